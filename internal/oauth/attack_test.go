package oauth

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/site"
)

// otherKey is the signing key of somebody else.
var otherKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		panic(err)
	}
	return key
})

// goodClaims are those of a token that opens app.example.com for alice.
func goodClaims() map[string]any {
	now := time.Now()
	return map[string]any{"iss": appOrigin, "sub": "github:alice", "aud": appOrigin, "client_id": "c", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(),
		"nbf": now.Unix(), "jti": newID(), "scope": "user", "username": "alice", "grant_id": newID()}
}

// sign makes a token with our own key; nil values in changes remove a member.
func (r *rig) sign(t testing.TB, claims, header map[string]any) string {
	return signWith(t, testKey(), claims, header, goodClaims(), goodHeader())
}

func goodHeader() map[string]any {
	return map[string]any{"typ": "at+jwt", "alg": "RS256", "kid": thumbprint(&testKey().PublicKey)}
}

func signWith(t testing.TB, key *rsa.PrivateKey, claims, header, body, head map[string]any) string {
	t.Helper()
	text := segment(t, merge(head, header)) + "." + segment(t, merge(body, claims))
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func merge(base, changes map[string]any) map[string]any {
	m := maps.Clone(base)
	for name, value := range changes {
		if value == nil {
			delete(m, name)
			continue
		}
		m[name] = value
	}
	return m
}

func segment(t testing.TB, m map[string]any) string {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// foreign is a well-made token of another issuer.
func foreign(t testing.TB) string {
	return signWith(t, otherKey(), map[string]any{"iss": "https://login.example.org"}, map[string]any{"kid": "theirs"}, goodClaims(), goodHeader())
}

func TestForgedAndForeignTokensAreRefused(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	mac := func(head map[string]any, key []byte) string {
		text := segment(t, merge(goodHeader(), head)) + "." + segment(t, goodClaims())
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
	der, err := x509.MarshalPKIXPublicKey(&testKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	n, e := numbers(&otherKey().PublicKey)
	embedded := map[string]any{"kty": "RSA", "n": n, "e": e}
	byOther := func(header map[string]any) string {
		return signWith(t, otherKey(), nil, header, goodClaims(), goodHeader())
	}
	none := segment(t, merge(goodHeader(), map[string]any{"alg": "none"})) + "." + segment(t, goodClaims()) + "."
	good := r.sign(t, nil, nil)
	// RFC 8725 for the header's part, RFC 9068 section 4 for the claims'.
	for name, c := range map[string]struct{ token, reason string }{
		"alg none":                             {none, "token_signature"},
		"alg None":                             {segment(t, merge(goodHeader(), map[string]any{"alg": "None"})) + "." + segment(t, goodClaims()) + ".", "token_header"},
		"HS256 keyed by our public PEM":        {mac(map[string]any{"alg": "HS256"}, public), "token_signature"},
		"HS256 keyed by our public DER":        {mac(map[string]any{"alg": "HS256"}, der), "token_signature"},
		"RS384 in the header":                  {r.sign(t, nil, map[string]any{"alg": "RS384"}), "token_signature"},
		"PS256 in the header":                  {r.sign(t, nil, map[string]any{"alg": "PS256"}), "token_signature"},
		"somebody else's key under our kid":    {byOther(nil), "token_signature"},
		"somebody else's key embedded (jwk)":   {byOther(map[string]any{"jwk": embedded}), "token_header"},
		"somebody else's key by address (jku)": {byOther(map[string]any{"jku": "https://evil.example/jwks"}), "token_header"},
		"a certificate by address (x5u)":       {byOther(map[string]any{"x5u": "https://evil.example/cert"}), "token_header"},
		"a certificate chain (x5c)":            {byOther(map[string]any{"x5c": []string{"MIIB"}}), "token_header"},
		"our signature with jwk":               {r.sign(t, nil, map[string]any{"jwk": embedded}), "token_header"},
		"a critical extension":                 {r.sign(t, nil, map[string]any{"crit": []string{"exp"}}), "token_header"},
		"an unknown kid with our issuer":       {r.sign(t, nil, map[string]any{"kid": "nobody"}), "token_key_unknown"},
		"no kid":                               {r.sign(t, nil, map[string]any{"kid": nil}), "token_key_unknown"},
		"a kid that is a path":                 {r.sign(t, nil, map[string]any{"kid": "../../etc/passwd"}), "token_key_unknown"},
		"a kid that is a number":               {r.sign(t, nil, map[string]any{"kid": 1}), "token_key_unknown"},
		"typ JWT":                              {r.sign(t, nil, map[string]any{"typ": "JWT"}), "token_header"},
		"no typ":                               {r.sign(t, nil, map[string]any{"typ": nil}), "token_header"},
		"typ of an ID token's logout":          {r.sign(t, nil, map[string]any{"typ": "logout+jwt"}), "token_header"},
		"a foreign issuer and kid":             {foreign(t), "token_foreign"},
		"a changed payload":                    {good[:len(segment(t, goodHeader()))+1] + segment(t, merge(goodClaims(), map[string]any{"username": "root"})) + good[len(good)-343:], "token_signature"},
		"another issuer of ours":               {r.sign(t, map[string]any{"iss": mcpOrigin}, nil), "token_issuer"},
		"an issuer that nobody is":             {r.sign(t, map[string]any{"iss": "https://evil.example"}, nil), "token_issuer"},
		"our issuer with a slash":              {r.sign(t, map[string]any{"iss": appOrigin + "/"}, nil), "token_issuer"},
		"our issuer over http":                 {r.sign(t, map[string]any{"iss": "http://app.example.com"}, nil), "token_issuer"},
		"another resource":                     {r.sign(t, map[string]any{"aud": mcpOrigin + "/mcp"}, nil), "token_audience"},
		"a resource that begins with ours":     {r.sign(t, map[string]any{"aud": appOrigin + ".evil.example"}, nil), "token_audience"},
		"our resource with a slash":            {r.sign(t, map[string]any{"aud": appOrigin + "/"}, nil), "token_audience"},
		"no audience":                          {r.sign(t, map[string]any{"aud": nil}, nil), "token_claims"},
		"an empty audience":                    {r.sign(t, map[string]any{"aud": []string{}}, nil), "token_claims"},
		"no subject":                           {r.sign(t, map[string]any{"sub": nil}, nil), "token_claims"},
		"no client":                            {r.sign(t, map[string]any{"client_id": nil}, nil), "token_claims"},
		"no jti":                               {r.sign(t, map[string]any{"jti": nil}, nil), "token_claims"},
		"no iat":                               {r.sign(t, map[string]any{"iat": nil}, nil), "token_claims"},
		"no exp":                               {r.sign(t, map[string]any{"exp": nil}, nil), "token_claims"},
		"exp in quotes":                        {r.sign(t, map[string]any{"exp": "99999999999"}, nil), "token_header"},
		"exp that overflows":                   {r.sign(t, map[string]any{"exp": 1e300}, nil), "token_header"},
		"exp now":                              {r.sign(t, map[string]any{"exp": now.Unix()}, nil), "token_expired"},
		"exp a second ago, no leeway":          {r.sign(t, map[string]any{"exp": now.Unix() - 1}, nil), "token_expired"},
		"nbf beyond the leeway":                {r.sign(t, map[string]any{"nbf": now.Unix() + 60}, nil), "token_not_yet"},
		"iat beyond the leeway":                {r.sign(t, map[string]any{"iat": now.Unix() + 60}, nil), "token_not_yet"},
		"two dots and nothing":                 {"..", "token_malformed"},
		"no dots":                              {"abc", "token_malformed"},
		"four parts":                           {good + ".x", "token_malformed"},
		"an encrypted token's five parts":      {"eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", "token_malformed"},
		"padding":                              {good + "==", "token_header"},
		"a huge one":                           {good + string(make([]byte, maxToken)), "token_malformed"},
		"an empty one":                         {"", "token_malformed"},
		"a payload that is no object":          {segment(t, goodHeader()) + ".W10." + good[len(good)-342:], "token_header"},
		"a header that is no object":           {"W10." + segment(t, goodClaims()) + ".AAAA", "token_malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+c.token)
			if verdict.Outcome != site.Challenge || verdict.Error != "invalid_token" || verdict.Reason != c.reason || verdict.Principal != nil {
				t.Errorf("got %d %s %s", verdict.Outcome, verdict.Error, verdict.Reason)
			}
		})
	}
	for name, token := range map[string]string{
		"the good one":           good,
		"typ with application/":  r.sign(t, nil, map[string]any{"typ": "application/at+jwt"}),
		"typ in capitals":        r.sign(t, nil, map[string]any{"typ": "AT+JWT"}),
		"an audience of several": r.sign(t, map[string]any{"aud": []string{"https://x.example", appOrigin}}, nil),
		"nbf within the leeway":  r.sign(t, map[string]any{"nbf": now.Unix() + 20, "iat": now.Unix() + 20}, nil),
		"no nbf":                 r.sign(t, map[string]any{"nbf": nil}, nil),
	} {
		if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token); verdict.Outcome != site.Allow {
			t.Errorf("%s: %s", name, verdict.Reason)
		}
	}
}

func TestBadSignaturesAreBoundedBeforeRSA(t *testing.T) {
	r := newRig(t, func(o *Options) { o.RateLimits = true })
	known := r.sign(t, nil, nil)
	if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+known); verdict.Outcome != site.Allow {
		t.Fatal(verdict.Reason)
	}
	var last site.Verdict
	for i := range 2 * perMinute { // a slow machine is given a further attempt each second
		if i > perMinute && last.Reason == "token_attempts" {
			break
		}
		last, _ = r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+spoil(r.sign(t, nil, nil)))
	}
	if last.Reason != "token_attempts" || last.Outcome != site.Wait || last.Header != "" {
		t.Errorf("after bad signatures without end: %+v; a client told invalid_token would throw a good one away", last)
	}
	if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+known); verdict.Outcome != site.Allow {
		t.Errorf("a token that is known is refused for its neighbours: %s", verdict.Reason)
	}
	minted, _, _ := r.tokens(appOrigin, person("alice"), "user")
	if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+minted); verdict.Outcome != site.Allow {
		t.Errorf("a token that was just made is refused for its neighbours: %s", verdict.Reason)
	}
	r.verified = newCache() // as after a restart, or on another node
	if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+minted); verdict.Outcome != site.Allow {
		t.Errorf("a token of ours that nobody has seen here is refused for its neighbours: %s", verdict.Reason)
	}
	r.verified = newCache()
	if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+spoil(minted)); verdict.Reason != "token_signature" {
		t.Errorf("a forged token under a true id: %s", verdict.Reason)
	}
	for range forgedEach {
		last, _ = r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+spoil(minted))
	}
	if last.Reason != "token_attempts" {
		t.Errorf("forged tokens without end under one true id: %s", last.Reason)
	}
	r.from = netip.MustParseAddr("198.51.100.9")
	if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+minted); verdict.Outcome != site.Allow {
		t.Errorf("the true token elsewhere is refused for them: %s", verdict.Reason)
	}
}
