package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// A refresh token names its grant and when it was made, and carries a MAC: one
// that we never made is told from one that was used long ago, without
// remembering each of them.
//
//	0  format, 1
//	1  grant id, 16 bytes
//	17 seconds since 1970 when it was made, 8 bytes
//	25 random, 32 bytes
//	57 HMAC-SHA256 of all that, 32 bytes
const (
	refreshFormat = 1
	grantIDBytes  = 16
	refreshMade   = 1 + grantIDBytes
	refreshRandom = refreshMade + 8
	refreshBody   = refreshRandom + secretBytes
	refreshBytes  = refreshBody + sha256.Size
)

// newRefreshToken makes a refresh token for a grant.
func (s *Server) newRefreshToken(grantID string, now time.Time) string {
	raw := make([]byte, refreshBody, refreshBytes)
	raw[0] = refreshFormat
	_, _ = base64.RawURLEncoding.Decode(raw[1:refreshMade], []byte(grantID)) // ids are ours: newID
	binary.BigEndian.PutUint64(raw[refreshMade:], uint64(now.Unix()))
	_, _ = rand.Read(raw[refreshRandom:])
	return base64.RawURLEncoding.EncodeToString(s.refreshMAC(raw))
}

// refreshMAC appends the MAC of raw.
func (s *Server) refreshMAC(raw []byte) []byte {
	mac := hmac.New(sha256.New, s.keys.Load().refresh)
	mac.Write(raw)
	return mac.Sum(raw)
}

// readRefresh is the grant that a refresh token of ours belongs to, and when the
// token was made. Only the very text that was given out is one: base64 reads
// other texts as the same bytes.
func (s *Server) readRefresh(token string) (grantID string, made time.Time, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != refreshBytes || raw[0] != refreshFormat || base64.RawURLEncoding.EncodeToString(raw) != token {
		return "", made, false
	}
	if !hmac.Equal(s.refreshMAC(slices.Clone(raw[:refreshBody])), raw) {
		return "", made, false
	}
	made = time.Unix(int64(binary.BigEndian.Uint64(raw[refreshMade:refreshRandom])), 0)
	return base64.RawURLEncoding.EncodeToString(raw[1:refreshMade]), made, true
}

// tokenByRefresh rotates a refresh token (OAuth 2.1, section 4.3).
func (s *Server) tokenByRefresh(ctx context.Context, r *request, f form, c *Client) error {
	token := f.get("refresh_token")
	if token == "" {
		return invalidRequest("refresh_token is missing")
	}
	id, made, ok := s.readRefresh(token)
	if !ok {
		return invalidGrant("refresh_unknown", "the refresh token is not known")
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	if now.Sub(made) > idleLife {
		return invalidGrant("refresh_idle", "the refresh token has expired: sign in again")
	}
	done, err := s.families.take(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	for range retries {
		err := s.rotate(ctx, r, f, c, id, token)
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return errBusy
}

// rotate is one attempt; Conflict means that another node was faster. The family
// is written before anything is answered, and nothing heavy stands in between:
// of many refreshes only a few can be cut off there by a kill, and each of those
// costs its client one repetition.
func (s *Server) rotate(ctx context.Context, r *request, f form, c *Client, id, token string) error {
	row, err := s.grants.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return invalidGrant("grant_ended", "the refresh token has expired or was revoked")
	}
	if err != nil {
		return err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	g := row.Value
	if g.Issuer != r.place.issuer || g.ClientID != c.ID {
		return invalidGrant("refresh_client", "the refresh token was issued to another client")
	}
	next := s.newRefreshToken(id, now)
	if err := g.present(hashed(token), hashed(next), now, s.started); err != nil {
		return s.stolen(ctx, id, err)
	}
	host, scopes, err := s.renewed(ctx, &g, f, now)
	if err != nil {
		return err
	}
	answer, err := s.answerTokens(&g, scopes, host, next, now)
	if err != nil {
		return err
	}
	g.LastUsed = now
	life := s.familyLife(&g, now)
	if _, err := s.grants.Update(ctx, id, g, row.Version, life); err != nil {
		return err
	}
	s.flight.grants.touch(id, life)
	s.noteUse(ctx, c, now)
	s.sendTokens(ctx, r, c, &g, grantRefresh, answer)
	return nil
}

// stolen ends a family of which a token came back that should not.
func (s *Server) stolen(ctx context.Context, id string, why error) error {
	if err := s.endGrant(ctx, id); err != nil {
		return err
	}
	return invalidGrant(why.Error(), "the refresh token was used before; all tokens of this sign-in have been revoked")
}

// renewed asks the policy again: the person may still be here, and the scopes
// are cut to what the lists give now.
func (s *Server) renewed(ctx context.Context, g *Grant, f form, now time.Time) (*site.Host, []string, error) {
	uri, err := f.resource()
	if err != nil {
		return nil, nil, err
	}
	target, ok := s.audienceOf(g.Issuer, g.Resource)
	if !ok {
		return nil, nil, invalidGrant("resource_gone", "the resource is no longer served here")
	}
	if uri != "" && !site.SameResource(uri, g.Resource) {
		return nil, nil, errTarget("the refresh token is for " + g.Resource + " alone")
	}
	if s.opt.Recheck != nil {
		g.Person, err = s.opt.Recheck(ctx, g.Person, target.host)
		if fault.Is(err, fault.Denied) || fault.Is(err, fault.Unauthenticated) {
			return nil, nil, invalidGrant("recheck_denied", "the account could not be confirmed: sign in again")
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if s.halfEnded(g) {
		return nil, nil, invalidGrant("revoked", "the refresh token was revoked")
	}
	if err := s.allowed(target.host, g.Person); err != nil {
		return nil, nil, err
	}
	scopes, err := s.narrowed(target.host, g, f)
	return target.host, scopes, err
}

// narrowed are the scopes of a refresh: those of the grant, or fewer where fewer
// are asked for, and of them what the lists give now.
func (s *Server) narrowed(host *site.Host, g *Grant, f form) ([]string, error) {
	scopes := g.Scopes
	if asked := f.scopes(); asked != nil {
		known := intersect(asked, host.Proxy.ResourceScopes)
		if beyond := without(known, g.Scopes); len(beyond) > 0 {
			return nil, newError("invalid_scope", "scope asks for more than was granted").because("scope_widened")
		}
		if len(known) == 0 {
			return nil, newError("invalid_scope", "none of the scopes asked for is known here").because("scope_unknown")
		}
		scopes = known
	}
	scopes = s.GrantedScopes(host, g.Person, scopes)
	if len(scopes) == 0 {
		return nil, invalidGrant("scope_not_given", "none of the granted scopes is given to this account any more")
	}
	return scopes, nil
}

// familyLife is how long a grant with refresh tokens lasts when nobody uses it.
func (s *Server) familyLife(g *Grant, now time.Time) time.Duration {
	return max(min(idleLife, g.CreatedAt.Add(s.opt.RefreshTokenLifetime).Sub(now)), time.Second)
}
