package oauth

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/internal/fault"
)

// presented is how a request says which client it comes from.
type presented struct {
	id, secret string
	method     string // authNone, authBasic or authPost
}

// present reads the client's credentials: HTTP Basic or the body, never both,
// never the query.
func (r *request) present(f form) (presented, error) {
	id, secret := f.get("client_id"), f.get("client_secret")
	if f.get("client_assertion") != "" || f.get("client_assertion_type") != "" {
		return presented{}, refusedClient("client_assertion_unsupported", "Authentication by client_assertion is not supported here", false)
	}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		if secret != "" {
			return presented{id, secret, authPost}, nil
		}
		return presented{id, "", authNone}, nil
	}
	user, password, ok := basic(rest)
	switch {
	case !ok:
		return presented{}, invalidRequest("The Basic credentials can not be read")
	case secret != "":
		return presented{}, invalidRequest("Authenticate in one way: Basic or client_secret")
	case id != "" && id != user:
		return presented{}, invalidRequest("client_id differs from the Basic credentials")
	}
	return presented{user, password, authBasic}, nil
}

// basic reads Basic credentials, whose two parts are form-encoded (RFC 6749,
// section 2.3.1).
func basic(encoded string) (user, password string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	user, err1 := url.QueryUnescape(user)
	password, err2 := url.QueryUnescape(password)
	return user, password, err1 == nil && err2 == nil
}

// authenticate finds the client of a request and makes it prove itself as it
// registered. A request that names none is malformed; a named one that is
// unknown or fails is invalid_client, so that it registers again.
func (s *Server) authenticate(ctx context.Context, r *request, f form) (*Client, error) {
	p, err := r.present(f)
	if err != nil {
		return nil, err
	}
	if p.id == "" {
		return nil, invalidRequest("client_id is missing").because("client_missing")
	}
	tried := p.method == authBasic
	c, err := s.client(ctx, r.place.issuer, p.id)
	if fault.Is(err, fault.NotFound) {
		return nil, refusedClient("client_unknown", "This client is not registered here: register again", tried)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case !offers(r.place.host.Proxy.OAuthServerTokenAuthMethods, c.AuthMethod):
		return nil, refusedClient("client_auth_method", "This host no longer takes authentication by "+c.AuthMethod+": register again", tried)
	case c.AuthMethod == authNone && p.method == authBasic && p.secret == "": // a public client that says its id by Basic
	case c.AuthMethod != p.method:
		return nil, refusedClient("client_auth_method", "This client registered for authentication by "+c.AuthMethod, tried)
	case c.AuthMethod != authNone && !sameSecret(p.secret, c.SecretHash):
		return nil, refusedClient("client_secret_wrong", "The client's secret is wrong", tried)
	}
	return &c, nil
}

func refusedClient(reason, description string, basicTried bool) *Error {
	e := &Error{Code: "invalid_client", Description: description, Status: http.StatusUnauthorized, Reason: reason}
	if basicTried {
		e.Challenge = `Basic realm="gatehouse"`
	}
	return e
}

// offers reports whether the proxy of a host narrows a list of the metadata and,
// if it does, whether value stays in it.
func offers(narrowed []string, value string) bool {
	return len(narrowed) == 0 || slices.Contains(narrowed, value)
}
