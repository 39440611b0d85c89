package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// tokenByCode exchanges an authorization code (OAuth 2.1, section 4.1.3). A
// code counts once; whoever presents it a second time ends what the first got.
func (s *Server) tokenByCode(ctx context.Context, r *request, f form, c *Client) error {
	if f.get("code") == "" {
		return invalidRequest("code is missing")
	}
	if !isVerifier(f.get("code_verifier")) {
		return invalidRequest("code_verifier is missing or not 43 to 128 unreserved characters").because("pkce_missing")
	}
	name := hashed(f.get("code"))
	k, err := s.useCode(ctx, name, func(k *code, now time.Time) error {
		if err := k.fits(f, c, r.place.issuer, now); err != nil {
			return err
		}
		return s.checkCodeResource(k, f)
	})
	if err != nil {
		return err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	if err := s.knowUser(ctx, k.Person.User); err != nil {
		return err
	}
	if s.endedSince(k.ClientID, &k.Person, k.Resource, k.CreatedAt) {
		return invalidGrant("revoked", "the sign-in behind this code has ended")
	}
	g := Grant{ID: k.GrantID, Issuer: k.Issuer, ClientID: c.ID, Client: k.ClientName, Person: k.Person, Resource: k.Resource, Scopes: k.Scopes, CreatedAt: now, LastUsed: now}
	answer, err := s.begin(ctx, c, g, k.CreatedAt, now)
	if err != nil {
		return err
	}
	if err := s.confirmCode(ctx, name, g.ID); err != nil {
		return err
	}
	s.noteUse(ctx, c, now)
	s.sendTokens(ctx, r, c, &g, grantCode, answer)
	return nil
}

// fits reports why a code does not go with a request.
func (k *code) fits(f form, c *Client, issuer string, now time.Time) error {
	switch {
	case k.Issuer != issuer:
		return invalidGrant("code_issuer", "the code was issued by another issuer")
	case k.ClientID != c.ID:
		return invalidGrant("code_client", "the code was issued to another client")
	case !now.Before(k.Expires):
		return invalidGrant("code_expired", "the code has expired")
	case f.has("redirect_uri") && f.get("redirect_uri") != k.RedirectURI:
		return invalidGrant("code_redirect", "redirect_uri differs from that of the authorization request")
	case !verifies(f.get("code_verifier"), k.Challenge):
		return invalidGrant("pkce_wrong", "code_verifier does not fit the code_challenge")
	}
	return nil
}

// checkCodeResource lets the exchange repeat the resource, not change it.
func (s *Server) checkCodeResource(k *code, f form) error {
	uri, err := f.resource()
	if err != nil || uri == "" {
		return err
	}
	if target, ok := s.audienceOf(k.Issuer, uri); !ok || target.resource != k.Resource {
		return errTarget("resource differs from that of the authorization request")
	}
	return nil
}

// useCode marks a code as used, in one compare-and-swap: of many callers one
// gets it. A wrong verifier uses it up too, for then somebody has a code that
// is not theirs.
func (s *Server) useCode(ctx context.Context, name string, check func(*code, time.Time) error) (code, error) {
	for range retries {
		row, err := s.codes.Get(ctx, name)
		if fault.Is(err, fault.NotFound) {
			return code{}, invalidGrant("code_unknown", "the code is not known, or has expired")
		}
		if err != nil {
			return code{}, err
		}
		now, err := s.kv.Now(ctx)
		if err != nil {
			return code{}, err
		}
		k := row.Value
		refusal := check(&k, now)
		if k.Used {
			return code{}, s.replayed(ctx, name, row, refusal)
		}
		if refusal != nil && reasonOf(refusal) != "pkce_wrong" {
			return code{}, refusal
		}
		k.Used = true
		_, err = s.codes.Update(ctx, name, k, row.Version, codeMemory)
		switch {
		case fault.Is(err, fault.Conflict):
			continue
		case err != nil:
			return code{}, err
		case refusal != nil:
			return code{}, refusal
		}
		return k, nil
	}
	return code{}, errBusy
}

// replayed handles a code that comes a second time. Where the request would
// have been right but for that, what the code gave is ended: two have it.
func (s *Server) replayed(ctx context.Context, name string, row store.Row[code], refusal error) error {
	again := invalidGrant("code_replayed", "the code was used already; what it gave has been revoked")
	if reason := reasonOf(refusal); reason == "code_issuer" || reason == "code_client" {
		return invalidGrant(reason, "the code was issued to another client")
	}
	k := row.Value
	if !k.Replayed {
		k.Replayed = true
		if _, err := s.codes.Put(ctx, name, k, codeMemory); err != nil {
			return err
		}
	}
	if err := s.endGrant(ctx, k.GrantID); err != nil {
		return err
	}
	return again
}

// confirmCode looks whether somebody presented the code again while its grant
// was made: a grant that appeared after its end was declared is ended here. The
// winner gets its answer all the same; what is in it does not count any more.
func (s *Server) confirmCode(ctx context.Context, name, grantID string) error {
	row, err := s.codes.Get(ctx, name)
	if err == nil && !row.Value.Replayed {
		return nil
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return s.endGrant(ctx, grantID)
}

// endedSince reports whether a client, person or host was revoked after the
// moment given.
func (s *Server) endedSince(clientID string, person *Person, resource string, made time.Time) bool {
	return s.revoked.since(RevokeClient, clientID, made) || s.revoked.since(RevokeUser, person.Subject, made) ||
		s.revoked.host(hostOf(resource), made) || !s.users.counts(person.User, made.Truncate(time.Millisecond))
}

// isVerifier reports whether s has the form of a code_verifier (RFC 7636,
// section 4.1).
func isVerifier(s string) bool {
	return len(s) >= 43 && len(s) <= 128 && !slices.ContainsFunc([]byte(s), func(c byte) bool { return !isURLSafe(c) && c != '.' && c != '~' })
}

// verifies compares a verifier with an S256 challenge in constant time.
func verifies(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return sameText(base64.RawURLEncoding.EncodeToString(sum[:]), challenge)
}
