package oauth

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// revokeToken ends a token of the client that asks (RFC 7009). A refresh token
// takes its grant with it; an access token goes alone. What is no token of ours
// is as good as revoked.
func (s *Server) revokeToken(ctx context.Context, r *request) error {
	f, err := r.readForm()
	if err != nil {
		return err
	}
	c, err := s.authenticate(ctx, r, f)
	if err != nil {
		return err
	}
	token := f.get("token")
	if token == "" {
		return invalidRequest("token is missing")
	}
	if err := s.revokeOwned(ctx, r, c, token); err != nil {
		return err
	}
	s.noteFlow(ctx, step{action: "revoke", client: c.ID})
	r.w.Header().Set("Cache-Control", "no-store")
	r.w.Header().Set("Content-Length", "0")
	r.w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) revokeOwned(ctx context.Context, r *request, c *Client, token string) error {
	notYours := newError("invalid_grant", "The token was issued to another client").because("token_of_another_client")
	if id, _, ok := s.readRefresh(token); ok {
		row, err := s.grants.Get(ctx, id)
		switch {
		case fault.Is(err, fault.NotFound):
			return nil
		case err != nil:
			return err
		case row.Value.ClientID != c.ID || row.Value.Issuer != r.place.issuer:
			return notYours
		}
		return s.endGrant(ctx, id)
	}
	e := s.read(token, r.from())
	if e == nil {
		return nil
	}
	if claims := e.token.claims; claims.ClientID != c.ID || claims.Issuer != r.place.issuer {
		return notYours
	}
	return s.mark(ctx, RevokeToken, e.token.claims.ID)
}

// read is a verified access token of ours; nil for anything else.
func (s *Server) read(token string, from netip.Addr) *entry {
	e, bad := s.verify(token, from, s.now())
	if bad != nil {
		return nil
	}
	return e
}

// introspection is what is told of a token (RFC 7662): never more than it says
// itself. Of one that does not count nothing is told but that.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	User      string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	Issued    int64    `json:"iat,omitempty"`
	Earliest  int64    `json:"nbf,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
}

// introspect tells a confidential client about a token.
func (s *Server) introspect(ctx context.Context, r *request) error {
	f, err := r.readForm()
	if err != nil {
		return err
	}
	public := refusedClient("client_not_confidential", "Introspection needs a client that authenticates itself", true)
	p, err := r.present(f)
	if err != nil {
		return err
	}
	if p.method == authNone {
		return public
	}
	c, err := s.authenticate(ctx, r, f)
	if err != nil {
		return err
	}
	if c.AuthMethod == authNone { // it said its name by Basic, and proved nothing
		return public
	}
	if f.get("token") == "" {
		return invalidRequest("token is missing")
	}
	answer, err := s.inspect(ctx, r, c, f.get("token"))
	if err != nil {
		return err
	}
	s.noteFlow(ctx, step{action: "introspect", client: c.ID})
	writeJSON(r.w, http.StatusOK, answer)
	return nil
}

func (s *Server) inspect(ctx context.Context, r *request, c *Client, token string) (introspection, error) {
	if id, _, ok := s.readRefresh(token); ok {
		return s.inspectRefresh(ctx, r, c, id, hashed(token))
	}
	e := s.read(token, r.from())
	if e == nil || e.token.claims.Issuer != r.place.issuer || s.revokedToken(e.token) {
		return introspection{}, nil
	}
	t := e.token.claims
	host, _, ok := s.opt.World().Resource(t.Audience[0])
	if !ok {
		return introspection{}, nil
	}
	who := identityOf(e.token.principal(nil))
	if admitted, _ := s.admits(host, who); !admitted {
		return introspection{}, nil // the gate would refuse it: whoever asks here instead must not take it
	}
	scopes := s.granted(host, false, who, strings.Fields(t.Scope))
	answer := introspection{Active: true, Scope: strings.Join(scopes, " "), ClientID: t.ClientID, User: t.User, TokenType: "Bearer",
		Expires: *t.Expires, Issued: *t.Issued, Subject: t.Subject, Audience: t.Audience, Issuer: t.Issuer, ID: t.ID}
	if t.Earliest != nil {
		answer.Earliest = *t.Earliest
	}
	return answer, nil
}

// inspectRefresh tells of a refresh token to the client that it belongs to.
func (s *Server) inspectRefresh(ctx context.Context, r *request, c *Client, id, hash string) (introspection, error) {
	row, err := s.grants.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	if s.halfEnded(&row.Value) {
		return introspection{}, nil
	}
	g := row.Value
	if g.ClientID != c.ID || g.Issuer != r.place.issuer || !g.unused(hash) {
		return introspection{}, nil
	}
	answer := introspection{Active: true, Scope: strings.Join(g.Scopes, " "), ClientID: g.ClientID, User: g.Person.User,
		Subject: g.Person.Subject, Audience: []string{g.Resource}, Issuer: g.Issuer, Issued: g.CreatedAt.Unix()}
	if !row.Expires.IsZero() {
		answer.Expires = row.Expires.Unix()
	}
	return answer, nil
}

// SeenInClear ends a bearer token that a request carried over plain HTTP, where
// anybody on the way could read it. It does not wait: Run does the work.
func (s *Server) SeenInClear(_ *site.Visit, token string) {
	if !s.looksOurs(token) {
		return
	}
	select {
	case s.exposed <- token:
	default: // a flood of them: the log has each request
	}
}

func (s *Server) revokeExposed(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case token := <-s.exposed:
			s.revokeSeen(ctx, token)
		}
	}
}

func (s *Server) revokeSeen(ctx context.Context, token string) {
	e := s.read(token, netip.IPv4Unspecified())
	if e == nil || s.revokedToken(e.token) {
		return
	}
	c := e.token.claims
	if err := s.mark(ctx, RevokeToken, c.ID); err != nil {
		s.log.ErrorContext(ctx, "a token that was seen in clear could not be revoked", "jti", c.ID, "error", err)
		return
	}
	s.noteFlow(ctx, step{action: "revoke", client: c.ClientID, user: c.User, message: "an access token was sent over plain HTTP and has been revoked"})
}
