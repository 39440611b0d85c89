package oauth

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/principal"
)

// Access tokens are RFC 9068 JWTs. This file mints and verifies them.
const (
	tokenType = "at+jwt"
	skew      = 30 * time.Second // leeway for nbf and iat; exp has none
	maxToken  = 8 << 10          // bytes; longer ones are not looked at
)

// order is what an access token is to say, beside what its grant does.
type order struct {
	scopes, groups []string
	now, until     time.Time
	from           []string // the tokens that it is exchanged for, by jti; it ends with each of them
}

// mint signs an access token for a grant.
func (s *Server) mint(g *Grant, w order) (token string, c *claims, err error) {
	now := w.now
	c = &claims{
		Issuer: g.Issuer, Subject: g.Person.Subject, Audience: jwt.ClaimStrings{g.Resource},
		ClientID: g.ClientID, Party: g.ClientID, ID: s.newTokenID(), Scope: strings.Join(w.scopes, " "),
		Issued: new(now.Unix()), Earliest: new(now.Unix()), Expires: new(w.until.Unix()),
		User: g.Person.User, Email: g.Person.Email, Name: g.Person.Name, Groups: w.groups, GrantID: g.ID, From: w.from,
	}
	if !g.Person.AuthTime.IsZero() {
		c.AuthTime = new(g.Person.AuthTime.Unix())
	}
	key := s.keys.Load().signer(now)
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
	t.Header["typ"], t.Header["kid"] = tokenType, key.id
	token, err = t.SignedString(key.private)
	if err != nil {
		return "", nil, fmt.Errorf("sign an access token: %w", err)
	}
	// What we signed need not be verified when it comes.
	v := &verified{claims: c, kid: key.id, expires: time.Unix(*c.Expires, 0), issued: time.Unix(*c.Issued, 0)}
	s.verified.put(fingerprint("", token), &entry{token: v, until: v.expires})
	return token, c, nil
}

// badToken says why a token does not count.
type badToken struct {
	reason      string // exact, for the log
	description string // for the client
	ours        bool   // it is, or claims to be, a token of ours
}

func (b *badToken) Error() string { return b.reason }

var (
	badFormat    = &badToken{reason: "token_malformed", description: "The access token is not one that this server issued"}
	badForeign   = &badToken{reason: "token_foreign", description: "The access token is not one that this server issued"}
	badHeader    = &badToken{reason: "token_header", description: "The access token is not one that this server issued", ours: true}
	badKey       = &badToken{reason: "token_key_unknown", description: "The access token was signed by a key that is not in use", ours: true}
	badSignature = &badToken{reason: "token_signature", description: "The access token's signature is wrong", ours: true}
	badBounded   = &badToken{reason: "token_attempts", description: "Too many bad access tokens came from this address", ours: true}
	badClaims    = &badToken{reason: "token_claims", description: "The access token lacks a required claim", ours: true}
	badExpired   = &badToken{reason: "token_expired", description: "The access token has expired", ours: true}
	badEarly     = &badToken{reason: "token_not_yet", description: "The access token is not valid yet", ours: true}
	badIssuer    = &badToken{reason: "token_issuer", description: "The access token was issued by another issuer", ours: true}
	badAudience  = &badToken{reason: "token_audience", description: "The access token is for another resource", ours: true}
	badRevoked   = &badToken{reason: "token_revoked", description: "The access token was revoked", ours: true}
)

// verified is a token whose signature and own times were checked. It is
// immutable; revocation and who it is for are asked at each use.
type verified struct {
	claims  *claims
	kid     string
	expires time.Time
	issued  time.Time
}

// verify checks a token from address: form, key, signature, required claims and
// times. The result is remembered by the token's SHA-256, so that the same token
// costs RSA once. It always tells whether the token is one of ours, even where
// it does not count any more.
func (s *Server) verify(token string, from netip.Addr, now time.Time) (*entry, *badToken) {
	sum := fingerprint("", token)
	if e := s.verified.get(sum, now); e != nil && e.token != nil {
		return e, nil
	}
	if len(token) > maxToken {
		return nil, badFormat
	}
	v, bad := s.verifyFresh(token, from, now)
	if bad != nil {
		return nil, bad
	}
	return s.verified.put(sum, &entry{token: v, until: v.expires}), nil
}

func (s *Server) verifyFresh(token string, from netip.Addr, now time.Time) (*verified, *badToken) {
	ring := s.keys.Load()
	var kid string
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	c := &claims{}
	_, err := parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		key, err := s.keyFor(ring, t, from, now)
		kid, _ = t.Header["kid"].(string)
		return key, err
	})
	switch {
	case err == nil:
	case errors.Is(err, jwt.ErrTokenSignatureInvalid) && s.looksOurs(token):
		s.limits.badToken(from)
		if s.ownTokenID(c.ID) {
			s.forged.note(c.ID)
		}
		return nil, badSignature
	default:
		if bad, ok := errors.AsType[*badToken](err); ok {
			return nil, bad
		}
		if s.looksOurs(token) {
			return nil, badHeader
		}
		return nil, badFormat
	}
	if bad := c.check(now); bad != nil {
		return nil, bad
	}
	return &verified{claims: c, kid: kid, expires: time.Unix(*c.Expires, 0), issued: time.Unix(*c.Issued, 0)}, nil
}

// keyFor chooses the key for a token from our own ring alone; what the header
// offers (jwk, jku, x5u, x5c) or demands (crit) is refused, never followed. A
// token that has expired is refused here, before RSA is spent on it.
func (s *Server) keyFor(ring *keyring, t *jwt.Token, from netip.Addr, now time.Time) (*rsa.PublicKey, error) {
	kid, _ := t.Header["kid"].(string)
	key := ring.byID[kid]
	typ, _ := t.Header["typ"].(string)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	for _, name := range []string{"crit", "jwk", "jku", "x5u", "x5c"} {
		if _, there := t.Header[name]; there {
			return nil, badHeader
		}
	}
	switch {
	case key == nil && !s.ownIssuer(t.Claims.(*claims).Issuer):
		return nil, badForeign
	case typ != tokenType:
		return nil, badHeader
	case s.limits.badTokens(from) && !s.likelyOurs(t.Claims.(*claims).ID):
		return nil, badBounded
	case key == nil:
		s.limits.badToken(from)
		return nil, badKey
	}
	if exp := t.Claims.(*claims).Expires; exp != nil && now.Unix() >= *exp {
		return nil, badExpired
	}
	return key, nil
}

// ownIssuer reports whether iss is the issuer of any host of ours.
func (s *Server) ownIssuer(iss string) bool {
	if iss == "" {
		return false
	}
	if iss == s.opt.FixedIssuer {
		return true
	}
	return s.hostOf(iss) != nil
}

// looksOurs reports whether a token names a key or an issuer of ours, without
// any check of its signature: such a token is never passed on to a target, and
// never treated as somebody else's.
func (s *Server) looksOurs(token string) bool {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return false
	}
	c := &claims{}
	t, _, err := jwt.NewParser().ParseUnverified(token, c)
	if t == nil || (err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable)) {
		return s.namesOurKey(token)
	}
	kid, _ := t.Header["kid"].(string)
	return s.keys.Load().byID[kid] != nil || s.ownIssuer(c.Issuer)
}

// namesOurKey looks at the header alone, for tokens whose claims can't be read.
func (s *Server) namesOurKey(token string) bool {
	head, _, _ := strings.Cut(token, ".")
	raw, err := jwt.NewParser().DecodeSegment(head)
	if err != nil {
		return false
	}
	var header struct {
		Kid string `json:"kid"`
	}
	return json.Unmarshal(raw, &header) == nil && s.keys.Load().byID[header.Kid] != nil
}

// principal is who a verified token speaks for, with the scopes given.
func (v *verified) principal(scopes []string) *principal.Principal {
	c := v.claims
	p := &principal.Principal{
		Subject: c.Subject, User: c.User, Email: c.Email, Name: c.Name, Groups: c.Groups, Scopes: scopes, ClientID: c.ClientID,
		AuthType: principal.Bearer, Issuer: c.Issuer, TokenID: c.ID, KeyID: v.kid, FromTokens: c.From, GrantID: c.GrantID, IssuedAt: v.issued, Expires: v.expires,
	}
	if p.User == "" {
		p.User = c.Subject
	}
	if c.AuthTime != nil {
		p.AuthTime = time.Unix(*c.AuthTime, 0)
	}
	return p
}
