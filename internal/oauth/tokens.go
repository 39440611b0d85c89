package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/site"
)

// token is the token endpoint (RFC 6749, section 3.2). A grant type a file:
// grant_code.go, grant_refresh.go, grant_device.go, grant_client.go,
// grant_exchange.go.
func (s *Server) token(ctx context.Context, r *request) error {
	f, err := r.readForm()
	if err != nil {
		return err
	}
	kind := f.get("grant_type")
	if kind == "" {
		return invalidRequest("grant_type is missing")
	}
	grant := map[string]func(context.Context, *request, form, *Client) error{
		grantCode: s.tokenByCode, grantRefresh: s.tokenByRefresh, grantDevice: s.tokenByDevice,
		grantClient: s.tokenByClient, grantExchange: s.tokenByExchange,
	}[kind]
	if grant == nil || !offers(r.place.host.Proxy.OAuthServerGrantTypes, kind) {
		return newError("unsupported_grant_type", "This server does not know this grant_type")
	}
	c, err := s.authenticate(ctx, r, f)
	if err != nil {
		return err
	}
	if !c.may(kind) {
		return newError("unauthorized_client", "This client did not register for this grant_type")
	}
	if s.opt.ClockOff != nil {
		if err := s.opt.ClockOff(); err != nil { // before a code is used up
			return &Error{Code: "temporarily_unavailable", Description: "This server's clock is wrong: come back in a moment",
				Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second, Cause: err}
		}
	}
	return grant(ctx, r, f, c)
}

// tokenAnswer is a successful answer of the token endpoint.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	IssuedType   string `json:"issued_token_type,omitempty"` // of an exchange (RFC 8693)
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
}

// begin makes a new grant from what a person approved at the moment given, and
// answers its first tokens. The grant is stored before anything is answered.
func (s *Server) begin(ctx context.Context, c *Client, g Grant, approved, now time.Time) (tokenAnswer, error) {
	target, ok := s.audienceOf(g.Issuer, g.Resource)
	if !ok {
		return tokenAnswer{}, errTarget("the resource is no longer served here")
	}
	if err := s.allowed(target.host, g.Person); err != nil {
		return tokenAnswer{}, err
	}
	if g.Scopes = s.GrantedScopes(target.host, g.Person, g.Scopes); len(g.Scopes) == 0 {
		return tokenAnswer{}, invalidGrant("scope_not_given", "none of the approved scopes can be granted to this account any more")
	}
	refresh := ""
	life := s.opt.AccessTokenLifetime
	if s.refreshes(c, g.Issuer) {
		refresh = s.newRefreshToken(g.ID, now)
		g.Branches = []Branch{{Hash: hashed(refresh), At: now}}
		life = s.familyLife(&g, now)
	}
	answer, err := s.answerTokens(&g, g.Scopes, target.host, refresh, now)
	if err != nil {
		return answer, err
	}
	if _, err = s.grants.Create(ctx, g.ID, g, life); err != nil {
		return answer, err
	}
	if err := s.stillApproved(ctx, &g, approved); err != nil {
		return tokenAnswer{}, err
	}
	s.tally(ctx, &g, life)
	return answer, nil
}

// refreshes reports whether a client gets refresh tokens of an issuer: it
// registered for them, and the issuer's host still takes them.
func (s *Server) refreshes(c *Client, issuer string) bool {
	host := s.hostOf(issuer)
	return c.may(grantRefresh) && (host == nil || slices.Contains(grantTypes(host), grantRefresh))
}

// allowed asks step 8 of the access decision for a person who is not here.
func (s *Server) allowed(host *site.Host, person Person) error {
	if err := s.present(person); err != nil {
		return err
	}
	if ok, reason := s.Permitted(host, person); !ok {
		return invalidGrant(reason, "the account is no longer allowed to use this resource")
	}
	return nil
}

// present reports whether a person's account still exists.
func (s *Server) present(person Person) error {
	if _, local, ok := s.users.of(person.User); local && !ok {
		return invalidGrant("user_deleted", "the account does not exist any more")
	}
	return nil
}

// answerTokens mints the access token for a grant and completes the answer.
func (s *Server) answerTokens(g *Grant, scopes []string, host *site.Host, refresh string, now time.Time) (tokenAnswer, error) {
	answer, err := s.answerToken(g, order{scopes: scopes, groups: groupsFor(host, g.Person.identity(now).groups), now: now, until: now.Add(s.opt.AccessTokenLifetime)})
	answer.RefreshToken = refresh
	return answer, err
}

// answerToken mints an access token as ordered, and answers it alone.
func (s *Server) answerToken(g *Grant, w order) (tokenAnswer, error) {
	access, _, err := s.mint(g, w)
	if err != nil {
		return tokenAnswer{}, err
	}
	return tokenAnswer{AccessToken: access, TokenType: "Bearer", ExpiresIn: w.until.Unix() - w.now.Unix(), Scope: strings.Join(w.scopes, " ")}, nil
}

// groupsFor are those of a person's groups that the policy of host names; a
// token tells no others.
func groupsFor(host *site.Host, groups []string) []string {
	if len(groups) == 0 {
		return nil
	}
	policy := policyGroups(host)
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool {
		return !slices.ContainsFunc(policy, func(p string) bool { return strings.EqualFold(p, g) })
	})
}

// sendTokens answers and notes what was given to whom.
func (s *Server) sendTokens(ctx context.Context, r *request, c *Client, g *Grant, how string, answer tokenAnswer) {
	s.noteFlow(ctx, step{action: "token", client: c.ID, user: g.Person.User, scopes: strings.Fields(answer.Scope), message: how})
	writeJSON(r.w, http.StatusOK, answer)
}
