package oauth

import (
	"context"
	"slices"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// The token types of an exchange (RFC 8693, section 3). Our access tokens are
// both.
const (
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

// maxExchanges is how often a token may be exchanged for one that is exchanged
// again: each names all that it came from.
const maxExchanges = 4

// tokenByExchange gives a client a narrower token for one that it has (RFC
// 8693): fewer scopes, to be handed to a part of it that is trusted less. The new
// token is of the same grant and resource, lives no longer, and ends with the one
// that it came from. A public client proves nothing beside the token; nobody gains
// by that, for the token that it shows does more.
func (s *Server) tokenByExchange(ctx context.Context, r *request, f form, c *Client) error {
	if err := exchangeForm(f); err != nil {
		return err
	}
	subject, err := s.subjectToken(r, f, c)
	if err != nil {
		return err
	}
	claims := subject.claims
	if err := withinResource(f, claims.Audience[0]); err != nil {
		return err
	}
	g, host, err := s.livingGrant(ctx, claims)
	if err != nil {
		return err
	}
	scopes, err := s.within(host, g, claims, f)
	if err != nil {
		return err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	until := now.Add(s.opt.AccessTokenLifetime)
	if subject.expires.Before(until) {
		until = subject.expires
	}
	if !until.After(now) {
		return badSubject("subject_expired", "has expired")
	}
	groups := intersect(groupsFor(host, g.Person.identity(now).groups), claims.Groups)
	from := append(slices.Clone(claims.From), claims.ID)
	answer, err := s.answerToken(g, order{scopes: scopes, groups: groups, now: now, until: until, from: from})
	if err != nil {
		return err
	}
	answer.IssuedType = typeAccessToken
	s.noteUse(ctx, c, now)
	s.sendTokens(ctx, r, c, g, "token_exchange", answer)
	return nil
}

// exchangeForm checks what is there whatever the token says.
func exchangeForm(f form) error {
	switch kind, wanted := f.get("subject_token_type"), f.get("requested_token_type"); {
	case f.get("subject_token") == "":
		return invalidRequest("subject_token is missing")
	case kind == "":
		return invalidRequest("subject_token_type is missing")
	case kind != typeAccessToken && kind != typeJWT:
		return invalidRequest("subject_token_type must be " + typeAccessToken)
	case wanted != "" && wanted != typeAccessToken:
		return invalidRequest("requested_token_type must be " + typeAccessToken)
	case f.get("actor_token") != "" || f.get("actor_token_type") != "":
		return invalidRequest("actor_token is not supported: nobody acts for somebody else here").because("actor_token")
	}
	return nil
}

func badSubject(reason, what string) *Error {
	return invalidRequest("the subject_token " + what).because(reason)
}

// subjectToken is the verified subject token: ours, alive, and the caller's.
func (s *Server) subjectToken(r *request, f form, c *Client) (*verified, error) {
	e, bad := s.verify(f.get("subject_token"), r.from(), s.now())
	if bad != nil {
		return nil, badSubject("subject_"+bad.reason, "does not count: "+bad.description)
	}
	t := e.token.claims
	switch {
	case t.Issuer != r.place.issuer:
		return nil, badSubject("subject_issuer", "was issued by another issuer")
	case t.ClientID != c.ID:
		return nil, badSubject("subject_of_another_client", "was issued to another client")
	case s.revokedToken(e.token):
		return nil, badSubject("subject_revoked", "was revoked")
	case len(t.From) >= maxExchanges:
		return nil, badSubject("subject_exchanged", "was exchanged too often: exchange the one that it came from")
	}
	return e.token, nil
}

// withinResource lets the exchange repeat the subject token's one resource, as
// resource or as audience, and name no other.
func withinResource(f form, resource string) error {
	for _, uri := range slices.Concat(f["resource"], f["audience"]) {
		if uri != "" && !site.SameResource(uri, resource) {
			return errTarget("the subject_token is for " + resource + " alone")
		}
	}
	return nil
}

// livingGrant is the grant of a token, whose resource is still served and whose
// person is still let in.
func (s *Server) livingGrant(ctx context.Context, c *claims) (*Grant, *site.Host, error) {
	row, err := s.grants.Get(ctx, c.GrantID)
	if fault.Is(err, fault.NotFound) {
		return nil, nil, badSubject("grant_ended", "is of a grant that has ended")
	}
	if err != nil {
		return nil, nil, err
	}
	g := &row.Value
	target, ok := s.audienceOf(g.Issuer, c.Audience[0])
	if !ok || target.resource != g.Resource {
		return nil, nil, errTarget("the resource of the subject_token is no longer served here")
	}
	if err := s.allowed(target.host, g.Person); err != nil {
		return nil, nil, badSubject(reasonOf(err), "is of an account that is no longer allowed to use this resource")
	}
	return g, target.host, nil
}

// within are the scopes of an exchange: those of the subject token or fewer, and
// of them what the lists give now.
func (s *Server) within(host *site.Host, g *Grant, c *claims, f form) ([]string, error) {
	scopes := c.scopes()
	if asked := f.scopes(); asked != nil {
		known := intersect(asked, host.Proxy.ResourceScopes)
		if len(without(known, scopes)) > 0 {
			return nil, newError("invalid_scope", "scope asks for more than the subject_token has").because("scope_widened")
		}
		scopes = known
	}
	if scopes = s.GrantedScopes(host, g.Person, scopes); len(scopes) == 0 {
		return nil, newError("invalid_scope", "none of the scopes asked for can be given").because("scope_not_given")
	}
	return scopes, nil
}
