package oauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/fault"
)

// Authentication by private_key_jwt (RFC 7521, 7523; OpenID Connect Core, section
// 9): the client signs a short statement with a key whose public half it has
// registered or published.
const (
	assertionType  = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	maxAssertion   = 8 << 10          // bytes
	assertionAhead = 10 * time.Minute // how far ahead exp may lie at most
	assertionPast  = time.Hour        // how long ago iat may lie at most
	maxTried       = 4                // keys that are tried for an assertion that names none

	assertionsEach = 10_000 // assertions of one client that are remembered; further ones wait
	assertionsAll  = 100_000
)

// authenticateByKey makes a client prove itself by an assertion that counts here,
// now and once.
func (s *Server) authenticateByKey(ctx context.Context, r *request, c *Client, assertion string) error {
	if len(assertion) > maxAssertion {
		return badAssertion("assertion_large", "is too large")
	}
	// By client too: whoever forges for one shuts no other out that comes from there.
	sender := network(r.from()).String() + " " + c.ID
	if s.opt.RateLimits && s.unsigned.many(sender, perMinute) {
		return tooMany(time.Minute)
	}
	claims := &jwt.RegisteredClaims{}
	parser := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()) // the keys come with the check of alg
	_, err := parser.ParseWithClaims(assertion, claims, func(t *jwt.Token) (any, error) { return s.assertionKeys(ctx, r.place, c, t) })
	if refusal, ok := errors.AsType[*Error](err); ok {
		return refusal
	}
	switch {
	case err == nil:
		return s.spend(ctx, c, claims)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		s.unsigned.note(sender)
		return badAssertion("assertion_signature", "has a wrong signature")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return badAssertion("assertion_malformed", "is not a JWT")
	}
	return errAssertionAlg()
}

func errAssertionAlg() *Error {
	return badAssertion("assertion_alg", "must be signed with one of "+strings.Join(clientAlgs(), ", "))
}

// assertionKeys checks what an assertion says and chooses the keys that it may be
// signed with: those of its client alone. What its header offers is never used.
func (s *Server) assertionKeys(ctx context.Context, at place, c *Client, t *jwt.Token) (any, error) {
	alg, _ := t.Header["alg"].(string)
	if !slices.Contains(clientAlgs(), alg) {
		return nil, errAssertionAlg()
	}
	for _, name := range []string{"crit", "b64", "jwk", "jku", "x5u", "x5c"} {
		if _, there := t.Header[name]; there {
			return nil, badAssertion("assertion_header", "must not have "+name+" in its header")
		}
	}
	if c.SigningAlg != "" && alg != c.SigningAlg {
		return nil, badAssertion("assertion_alg", "must be signed with "+c.SigningAlg+", as the client registered")
	}
	if err := checkAssertion(t.Claims.(*jwt.RegisteredClaims), c.ID, at.issuer, s.now()); err != nil {
		return nil, err
	}
	kid, ok := t.Header["kid"].(string)
	if _, there := t.Header["kid"]; there && !ok {
		return nil, badAssertion("assertion_header", "must have a kid that is a string, or none")
	}
	keys, err := s.keysOf(ctx, c, kid, alg)
	if err != nil {
		return nil, asError(err)
	}
	if len(keys) == 0 {
		return nil, badAssertion("assertion_key_unknown", "is signed with a key that is not among the client's")
	}
	var set jwt.VerificationKeySet
	for _, k := range keys[:min(len(keys), maxTried)] {
		set.Keys = append(set.Keys, k.key)
	}
	return set, nil
}

// checkAssertion checks the claims of an assertion by client for issuer.
func checkAssertion(claims *jwt.RegisteredClaims, client, issuer string, now time.Time) error {
	ours := func(aud string) bool { return aud == issuer || aud == issuer+pathToken }
	switch {
	case claims.Issuer != client || claims.Subject != client:
		return badAssertion("assertion_client", "must have the client_id as iss and sub")
	case !slices.ContainsFunc(claims.Audience, ours):
		return badAssertion("assertion_audience", "must have the issuer "+issuer+" as aud, or its token endpoint")
	case claims.ExpiresAt == nil:
		return badAssertion("assertion_times", "must have exp")
	case !now.Before(claims.ExpiresAt.Time):
		return badAssertion("assertion_expired", "has expired")
	case claims.ExpiresAt.After(now.Add(assertionAhead + skew)):
		return badAssertion("assertion_times", "must expire within 10 minutes")
	case claims.NotBefore != nil && claims.NotBefore.After(now.Add(skew)):
		return badAssertion("assertion_times", "is not valid yet (nbf)")
	case claims.IssuedAt != nil && (claims.IssuedAt.After(now.Add(skew)) || claims.IssuedAt.Before(now.Add(-assertionPast))):
		return badAssertion("assertion_times", "must have an iat within the last hour")
	case claims.ID == "" || len(claims.ID) > 512:
		return badAssertion("assertion_id", "must have a jti of 1 to 512 bytes")
	}
	return nil
}

// spend notes an assertion as used; of several that are the same one counts. It
// comes last, so that only what a client has really signed is remembered.
func (s *Server) spend(ctx context.Context, c *Client, claims *jwt.RegisteredClaims) error {
	name := hashed(c.ID + " " + claims.ID)
	life := max(claims.ExpiresAt.Sub(s.now()), 0) + 2*skew
	if !s.flight.assertions.room(c.ID) {
		return tooMany(time.Minute)
	}
	_, err := s.spent.Create(ctx, name, claims.ExpiresAt.Time, life)
	if fault.Is(err, fault.Exists) {
		return badAssertion("assertion_replayed", "was used before: sign a new one for each request (jti)")
	}
	if err == nil {
		s.flight.assertions.add(c.ID, name, life)
	}
	return err
}

func badAssertion(reason, rule string) *Error {
	return refusedClient(reason, "The client_assertion "+rule, false)
}
