package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/internal/fault"
)

// registrationRequest is what a client may say of itself (RFC 7591, section 2).
// What is not named here is ignored.
type registrationRequest struct {
	RedirectURIs    []string       `json:"redirect_uris"`
	AuthMethod      *string        `json:"token_endpoint_auth_method"`
	GrantTypes      []string       `json:"grant_types"`
	ResponseTypes   []string       `json:"response_types"`
	Name            string         `json:"client_name"`
	URI             string         `json:"client_uri"`
	Scope           string         `json:"scope"`
	ApplicationType string         `json:"application_type"`
	JWKS            jsontext.Value `json:"jwks"`
	JWKSURI         string         `json:"jwks_uri"`
	SigningAlg      string         `json:"token_endpoint_auth_signing_alg"`
}

// offer is what a client can choose from where it registers.
type offer struct {
	methods, grants, scopes []string
	loopback                bool // its keys may stand on loopback
}

// registrationAnswer is a client's registration as it is told. No member is
// ever null.
type registrationAnswer struct {
	ClientID        string   `json:"client_id"`
	IssuedAt        int64    `json:"client_id_issued_at"` // seconds since 1970
	Secret          string   `json:"client_secret,omitempty"`
	SecretExpires   *int64   `json:"client_secret_expires_at,omitempty"` // 0: never; only with a secret
	RedirectURIs    []string `json:"redirect_uris,omitempty"`
	AuthMethod      string   `json:"token_endpoint_auth_method"`
	GrantTypes      []string `json:"grant_types"`
	ResponseTypes   []string `json:"response_types,omitempty"`
	Name            string   `json:"client_name,omitempty"`
	URI             string   `json:"client_uri,omitempty"`
	Scope           string   `json:"scope,omitempty"`
	ApplicationType string   `json:"application_type,omitempty"`
	JWKS            any      `json:"jwks,omitempty"`
	JWKSURI         string   `json:"jwks_uri,omitempty"`
	SigningAlg      string   `json:"token_endpoint_auth_signing_alg,omitempty"`
	RegistrationKey string   `json:"registration_access_token,omitempty"`
	RegistrationURI string   `json:"registration_client_uri,omitempty"`
}

// register takes a client's registration (RFC 7591).
func (s *Server) register(ctx context.Context, r *request) error {
	body, err := r.readBody()
	if err != nil {
		return err
	}
	var asked registrationRequest
	if deeper(body, maxDepth) {
		return badMetadata("The body is nested too deeply")
	}
	if err := jsonv2.Unmarshal(body, &asked); err != nil {
		return badMetadata("The body must be a JSON object of client metadata" + wrongMember(err))
	}
	c, err := asked.client(offer{authMethods(r.place.host), grantTypes(r.place.host), r.place.host.Proxy.ResourceScopes, s.opt.ClientLoopback})
	if err != nil {
		return err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	c.ID, c.Issuer, c.Known, c.CreatedAt, c.CreatedFrom = newID(), r.place.issuer, knownRegistered, now, r.from().String()
	secret, key := "", newSecret()
	if c.AuthMethod == authBasic || c.AuthMethod == authPost {
		secret = newSecret()
		c.SecretHash = hashed(secret)
	}
	c.RegistrationKey = hashed(key)
	s.fly(ctx, s.flight.clients, r.from(), s.clients.Key(c.ID), s.opt.ClientLifetime)
	if _, err := s.clients.Create(ctx, c.ID, c, s.opt.ClientLifetime); err != nil {
		return err
	}
	answer := describe(&c, r.place)
	answer.Secret, answer.RegistrationKey = secret, key
	if secret != "" {
		answer.SecretExpires = new(int64(0))
	}
	s.noteFlow(ctx, step{action: "register", client: c.ID, message: c.Name})
	writeJSON(r.w, http.StatusCreated, answer)
	return nil
}

// maxDepth is how deep JSON from strangers may nest.
const maxDepth = 32

// deeper reports whether JSON nests deeper than most.
func deeper(body []byte, most int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// firstToken is the member that p is in, so that one of a list has its name.
func firstToken(p jsontext.Pointer) string {
	for token := range p.Tokens() {
		return token
	}
	return ""
}

// wrongMember says where a JSON text is wrong, as far as its reader knows.
func wrongMember(err error) string {
	if e, ok := errors.AsType[*jsonv2.SemanticError](err); ok && e.JSONPointer != "" {
		return ": " + safeName(firstToken(e.JSONPointer)) + " has the wrong type"
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(e, jsontext.ErrDuplicateName) {
		return ": " + safeName(e.JSONPointer.LastToken()) + " is there twice"
	}
	return ""
}

func badMetadata(description string) *Error { return newError("invalid_client_metadata", description) }

// client checks a registration and fills in what was left out.
func (a *registrationRequest) client(from offer) (Client, error) {
	c := Client{Name: clipName(a.Name), ApplicationType: a.ApplicationType, AuthMethod: authBasic}
	if a.AuthMethod != nil {
		c.AuthMethod = *a.AuthMethod
	}
	if !slices.Contains(from.methods, c.AuthMethod) {
		return c, badMetadata("token_endpoint_auth_method must be one of " + strings.Join(from.methods, ", "))
	}
	if err := a.keys(&c, from.loopback); err != nil {
		return c, err
	}
	if a.ApplicationType != "" && a.ApplicationType != "web" && a.ApplicationType != "native" {
		return c, badMetadata("application_type must be web or native")
	}
	if err := a.grants(&c, from.grants); err != nil {
		return c, err
	}
	if err := a.redirects(&c); err != nil {
		return c, err
	}
	if a.URI != "" {
		u, err := url.Parse(a.URI)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || len(a.URI) > maxRedirectSize {
			return c, badMetadata("client_uri must be a web address")
		}
		c.URI = a.URI
	}
	c.Scope = strings.Join(intersect(strings.Fields(a.Scope), from.scopes), " ")
	return c, nil
}

// keys takes the keys of a client that proves itself by them: a set, or the
// address of one. Others have no use for them here, and they are left out.
func (a *registrationRequest) keys(c *Client, loopback bool) error {
	if c.AuthMethod != authKey {
		return nil
	}
	inline := len(a.JWKS) > 0 && a.JWKS.Kind() != 'n'
	switch {
	case inline == (a.JWKSURI != ""):
		return badMetadata("private_key_jwt needs jwks or jwks_uri, one of them")
	case a.SigningAlg != "" && !slices.Contains(clientAlgs(), a.SigningAlg):
		return badMetadata("token_endpoint_auth_signing_alg must be one of " + strings.Join(clientAlgs(), ", "))
	case inline:
		if _, wrong := readKeys(a.JWKS); wrong != "" {
			return badMetadata("jwks " + wrong)
		}
		c.JWKS = a.JWKS
	default:
		if wrong := checkKeysURL(a.JWKSURI, loopback); wrong != "" {
			return badMetadata("jwks_uri " + wrong)
		}
		c.JWKSURI = a.JWKSURI
	}
	c.SigningAlg = a.SigningAlg
	return nil
}

// grants takes those of the grant types asked for that are offered. None
// asked for means code and refresh, so that nobody is logged out every half hour.
func (a *registrationRequest) grants(c *Client, offered []string) error {
	asked := a.GrantTypes
	if len(asked) == 0 {
		asked = []string{grantCode, grantRefresh}
	}
	for _, g := range asked {
		if slices.Contains(offered, g) {
			c.GrantTypes = withScope(c.GrantTypes, g)
		}
	}
	if !c.may(grantCode) && !c.may(grantDevice) {
		return badMetadata("grant_types must hold one of " + strings.Join(offered, ", ") + " that a client can begin with")
	}
	if len(a.ResponseTypes) > 0 && c.may(grantCode) && !slices.Contains(a.ResponseTypes, "code") {
		return badMetadata("response_types must hold code")
	}
	if c.may(grantCode) {
		c.ResponseTypes = []string{"code"}
	}
	return nil
}

// redirects takes the redirect URIs that may be registered. One that may not is
// dropped, unless none is left.
func (a *registrationRequest) redirects(c *Client) error {
	why := ""
	if len(a.RedirectURIs) > maxRedirects {
		return newError("invalid_redirect_uri", "At most 20 redirect_uris can be registered")
	}
	for _, uri := range a.RedirectURIs {
		if wrong := checkRedirect(uri); wrong != "" {
			why = wrong
			continue
		}
		c.RedirectURIs = withScope(c.RedirectURIs, uri)
	}
	switch {
	case len(c.RedirectURIs) > 0 || (len(a.RedirectURIs) == 0 && !c.may(grantCode)):
		return nil
	case why == "":
		return newError("invalid_redirect_uri", "redirect_uris is missing")
	}
	return newError("invalid_redirect_uri", "redirect_uris: a redirect URI "+why)
}

func describe(c *Client, at place) registrationAnswer {
	a := registrationAnswer{ClientID: c.ID, IssuedAt: c.CreatedAt.Unix(), RedirectURIs: c.RedirectURIs, AuthMethod: c.AuthMethod,
		GrantTypes: c.GrantTypes, ResponseTypes: c.ResponseTypes, Name: c.Name, URI: c.URI, Scope: c.Scope, ApplicationType: c.ApplicationType,
		JWKSURI: c.JWKSURI, SigningAlg: c.SigningAlg, RegistrationURI: at.issuer + pathRegister + "/" + c.ID}
	if len(c.JWKS) > 0 {
		a.JWKS = json.RawMessage(c.JWKS)
	}
	return a
}

// clipName cuts a name from outside to what a page can show: 100 characters
// without controls or marks that turn the direction of text.
func clipName(name string) string {
	var out []rune
	for _, r := range strings.TrimSpace(name) {
		if len(out) == 100 {
			break
		}
		if r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0xfffd || (r >= 0x200b && r <= 0x200f) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == 0xfeff {
			continue
		}
		out = append(out, r)
	}
	return string(out)
}

// registration reads or deletes a registration (RFC 7592), by the token that
// came with it.
func (s *Server) registration(ctx context.Context, r *request) error {
	id := strings.TrimPrefix(r.visit.Path.Clean, pathRegister+"/")
	token, n := bearer(r.Request)
	c, err := s.client(ctx, r.place.issuer, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err != nil || n != 1 || c.RegistrationKey == "" || !sameSecret(token, c.RegistrationKey) {
		return &Error{Code: "invalid_token", Description: "The registration access token does not fit", Status: http.StatusUnauthorized,
			Challenge: `Bearer error="invalid_token"`, Reason: "registration_token_wrong"}
	}
	if r.Method == http.MethodDelete {
		if err := s.DeleteClient(ctx, id); err != nil {
			return err
		}
		r.w.Header().Set("Cache-Control", "no-store")
		r.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	answer := describe(&c, r.place)
	answer.RegistrationKey = token // we have its hash alone, but here it is
	writeJSON(r.w, http.StatusOK, answer)
	return nil
}
