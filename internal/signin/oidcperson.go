package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"gatehouse/internal/oauth"
)

// claims are what an id_token or the userinfo endpoint says about somebody. A
// member that is of another type than it should be says nothing.
type claims struct {
	Subject  string          `json:"sub"`
	Party    string          `json:"azp"`
	Email    string          `json:"email"`
	Verified json.RawMessage `json:"email_verified"`
	Name     string          `json:"name"`
	Called   string          `json:"preferred_username"`
	Groups   json.RawMessage `json:"groups"`
}

// address is the e-mail address, when the provider says that it is verified.
// Some say it as a text.
func (c *claims) address() string {
	if v := string(c.Verified); v != "true" && v != `"true"` {
		return ""
	}
	return c.Email
}

// groups are the groups claim; told is false when there is none.
func (c *claims) groups() (groups []string, told bool) {
	if len(c.Groups) == 0 || string(c.Groups) == "null" {
		return nil, false
	}
	if json.Unmarshal(c.Groups, &groups) == nil {
		return groups, true
	}
	var one string
	if json.Unmarshal(c.Groups, &one) == nil {
		return []string{one}, true
	}
	return nil, true
}

// identified reads the id_token that came with token: by whom it is signed, for
// whom it was made and, unless nonce is empty, that it answers this very sign-in.
// It answers nil when there is none and none has to be.
func (o *oidcProvider) identified(ctx context.Context, at *discovered, token *oauth2.Token, nonce string) (*claims, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" && nonce == "" {
		return nil, nil
	}
	if raw == "" {
		return nil, malformed(o.label(), errors.New("no id_token came with the token"))
	}
	id, err := at.verifier.Verify(gooidc.ClientContext(ctx, o.client), raw)
	if err != nil {
		return nil, o.unproven(ctx, err)
	}
	var who claims
	if err := id.Claims(&who); err != nil {
		return nil, malformed(o.label(), err)
	}
	switch {
	case nonce != "" && !same(id.Nonce, nonce):
		return nil, o.unproven(ctx, errors.New("the id_token's nonce is not ours"))
	case who.Party != "" && who.Party != o.app.ClientID, who.Party == "" && len(id.Audience) > 1:
		return nil, o.unproven(ctx, errors.New("the id_token was made for another client"))
	case id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil:
		return nil, o.unproven(ctx, errors.New("the id_token's at_hash is not the access token's"))
	case !isSubject(id.Subject):
		return nil, malformed(o.label(), fmt.Errorf("sub %.80q", id.Subject))
	}
	return &who, nil
}

// isSubject reports whether sub is what OpenID Connect Core, section 2, allows:
// at most 255 ASCII characters; ours are visible ones.
func isSubject(sub string) bool {
	return sub != "" && len(sub) <= 255 && !strings.ContainsFunc(sub, func(r rune) bool { return r <= ' ' || r > '~' })
}

// complete adds to the claims of an id_token what the userinfo endpoint says. who
// is nil where only the endpoint tells.
func (o *oidcProvider) complete(ctx context.Context, at *discovered, who *claims, token *oauth2.Token, named []string) (*claims, error) {
	if who != nil && !who.lack(named) {
		return who, nil
	}
	more, err := o.userinfo(ctx, at, token.AccessToken)
	switch {
	case err != nil:
		return nil, err
	case who == nil:
		who = more
	case more != nil && more.Subject != who.Subject:
		return nil, o.unproven(ctx, errors.New("the userinfo endpoint told of somebody else")) // OIDC Core, section 5.3.2
	case more != nil:
		who = who.with(more)
	}
	if who == nil || !isSubject(who.Subject) {
		return nil, malformed(o.label(), errors.New("nobody said who it is"))
	}
	return who, nil
}

// person is who the claims describe.
func (o *oidcProvider) person(who *claims, named []string) oauth.Person {
	now := time.Now()
	p := oauth.Person{Subject: o.subject(who.Subject), Email: who.address(), Name: legible(who.Name), Provider: oidc, AuthTime: now, Checked: now}
	p.User = nameFor(p.Subject, p.Email)
	if p.Name == "" {
		p.Name = legible(who.Called)
	}
	groups, _ := who.groups()
	p.Groups = namedOIDCGroups(groups, named)
	return p
}

// lack reports whether the claims leave something open that we want to know.
func (c *claims) lack(named []string) bool {
	_, told := c.groups()
	return c.Email == "" || c.Name == "" || (len(named) > 0 && !told)
}

// with adds what more says where c says nothing. An address and whether it is
// verified come from one place.
func (c *claims) with(more *claims) *claims {
	all := *c
	if all.Email == "" {
		all.Email, all.Verified = more.Email, more.Verified
	}
	if all.Name == "" {
		all.Name = more.Name
	}
	if all.Called == "" {
		all.Called = more.Called
	}
	if _, told := all.groups(); !told {
		all.Groups = more.Groups
	}
	return &all
}

// userinfo asks the userinfo endpoint; nil where the provider has none.
func (o *oidcProvider) userinfo(ctx context.Context, at *discovered, token string) (*claims, error) {
	address := at.provider.UserInfoEndpoint()
	if !o.trustworthy(address) || token == "" {
		return nil, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, malformed(o.label(), err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	res, err := o.client.Do(req)
	if err != nil {
		return nil, o.unreachable(err)
	}
	defer func() { _ = res.Body.Close() }()
	cause := fmt.Errorf("userinfo endpoint: status %d", res.StatusCode)
	switch {
	case res.StatusCode == http.StatusOK:
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return nil, tokenRefused(o.label(), cause)
	case res.StatusCode == http.StatusTooManyRequests:
		return nil, limited(o.label(), retryAfter(res), cause)
	case res.StatusCode >= 500:
		return nil, away(o.label(), cause)
	default:
		return nil, malformed(o.label(), cause)
	}
	var who claims
	if err := json.NewDecoder(res.Body).Decode(&who); err != nil {
		return nil, malformed(o.label(), fmt.Errorf("userinfo endpoint: %w", err))
	}
	return &who, nil
}

// subject is the stable identity of sub; it names the issuer. A # stands in no
// issuer, so that no two pairs read alike.
func (o *oidcProvider) subject(sub string) string {
	return oidc + ":" + strings.TrimPrefix(o.app.Issuer, "https://") + "#" + sub
}

// nameFor is the name that lists hold: the address, when the provider vouches
// for it; else the subject. What people choose themselves (preferred_username,
// an unverified address) names nobody.
func nameFor(subject, verified string) string {
	local, domain, ok := cutLast(verified, "@")
	if !ok || local == "" || domain == "" || len(verified) > 240 || strings.ContainsFunc(verified, unfitForName) {
		return subject
	}
	return oidc + ":" + strings.ToLower(verified)
}

// unfitForName is every character that lists can't hold or that sets a subject
// apart from an address.
func unfitForName(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`*,#/:;"<>()[]\`, r)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// oidcGroup begins a group in a policy that only the OpenID provider can give.
const oidcGroup = oidc + ":"

func isOIDCGroup(name string) bool {
	return len(name) > len(oidcGroup) && strings.EqualFold(name[:len(oidcGroup)], oidcGroup)
}

// namedOIDCGroups are those of the named groups that somebody has, as policies
// name them: plainly or with the prefix.
func namedOIDCGroups(have, named []string) []string {
	var groups []string
	for _, name := range named {
		plain := name
		if isOIDCGroup(name) {
			plain = name[len(oidcGroup):]
		}
		if slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, plain) }) {
			groups = append(groups, name)
		}
	}
	return groups
}
