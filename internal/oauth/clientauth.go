package oauth

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/fault"
)

// presented is how a request says which client it comes from.
type presented struct {
	id, secret string // secret is the assertion with authKey
	method     string // authNone, authBasic, authPost or authKey
}

// present reads the client's credentials: HTTP Basic, client_secret or
// client_assertion in the body, one of them, never the query.
func (r *request) present(f form) (presented, error) {
	id, secret := f.get("client_id"), f.get("client_secret")
	if f.get("client_assertion") != "" || f.get("client_assertion_type") != "" {
		return r.presentAssertion(f)
	}
	if len(r.Header["Authorization"]) > 1 {
		return presented{}, invalidRequest("Send one Authorization header")
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

// presentAssertion reads a client_assertion, which names its client by itself.
func (r *request) presentAssertion(f form) (presented, error) {
	id, assertion := f.get("client_id"), f.get("client_assertion")
	switch {
	case f.get("client_assertion_type") != assertionType:
		return presented{}, invalidRequest("client_assertion_type must be " + assertionType)
	case assertion == "":
		return presented{}, invalidRequest("client_assertion is missing")
	case f.get("client_secret") != "" || r.Header.Get("Authorization") != "":
		return presented{}, invalidRequest("Authenticate in one way: client_assertion, Basic or client_secret")
	}
	if id == "" && len(assertion) <= maxAssertion {
		claims := &jwt.RegisteredClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(assertion, claims); err == nil { // checked when the client is known
			id = claims.Subject
		}
	}
	return presented{id, assertion, authKey}, nil
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
	method := c.methodAt(r.place)
	switch {
	case !offers(r.place.host.Proxy.OAuthServerTokenAuthMethods, method):
		return nil, refusedClient("client_auth_method", "This host no longer takes authentication by "+method+": register again", tried)
	case method == authNone && p.method == authBasic && p.secret == "": // a public client that says its id by Basic
	case method != p.method:
		return nil, refusedClient("client_auth_method", "This client registered for authentication by "+method, tried)
	case method == authKey:
		if err := s.authenticateByKey(ctx, r, &c, p.secret); err != nil {
			return nil, err
		}
	case method != authNone && !sameSecret(p.secret, c.SecretHash):
		return nil, refusedClient("client_secret_wrong", "The client's secret is wrong", tried)
	}
	c.AuthMethod = method // as it proved itself here
	return &c, nil
}

// methodAt is how a client proves itself at a place: as it chose. One whose
// document names other ways too takes the first of them that is offered where its
// choice is not; nobody who can be asked for more is asked for less.
func (c *Client) methodAt(at place) string {
	offered := authMethods(at.host)
	if !slices.Contains(offered, c.AuthMethod) {
		for _, other := range c.AuthMethods {
			if slices.Contains(offered, other) {
				return other
			}
		}
	}
	return c.AuthMethod
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
