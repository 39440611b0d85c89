package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// signer is a client's own key.
type signer struct {
	id, alg string
	key     crypto.Signer
}

func newSigner(t testing.TB, id, alg string) signer {
	t.Helper()
	switch alg {
	case "ES256":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return signer{id, alg, key}
	case "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return signer{id, alg, key}
	}
	return signer{id, alg, otherKey()}
}

// public is the key as it is published.
func (s signer) public(t testing.TB) map[string]any {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	k := map[string]any{"kid": s.id, "use": "sig"}
	switch key := s.key.Public().(type) {
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		k["kty"], k["crv"], k["x"], k["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", b64(key)
	}
	return k
}

func keySetOf(t testing.TB, all ...signer) string {
	keys := []any{}
	for _, s := range all {
		keys = append(keys, s.public(t))
	}
	return mustJSON(t, map[string]any{"keys": keys})
}

// assertion signs what a client says of itself; nil values remove members.
func (s signer) assertion(t testing.TB, client string, claims, header map[string]any) string {
	t.Helper()
	now := time.Now()
	body := jwt.MapClaims{"iss": client, "sub": client, "aud": appOrigin, "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "jti": newID()}
	maps.Copy(body, claims)
	token := jwt.NewWithClaims(jwt.GetSigningMethod(s.alg), body)
	token.Header["kid"] = s.id
	maps.Copy(token.Header, header)
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	maps.DeleteFunc(token.Header, func(_ string, v any) bool { return v == nil })
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func proof(client, assertion string) url.Values {
	return url.Values{"client_id": {client}, "client_assertion_type": {assertionType}, "client_assertion": {assertion}}
}

// keyed registers a client that proves itself by keys.
func (r *rig) keyed(members string) string {
	r.t.Helper()
	a := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"private_key_jwt",`+members+`}`)
	if a.StatusCode != http.StatusCreated {
		r.t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return a.text(r.t, "client_id")
}

// proves sends an assertion to the revocation endpoint, which asks nothing else
// of a client: 200 where it counts.
func (r *rig) proves(client, assertion string) answer {
	return r.post(appOrigin+"/revoke", changed(proof(client, assertion), url.Values{"token": {"nothing of ours"}}))
}

func TestClientsProveThemselvesByTheirKeys(t *testing.T) {
	r := newRig(t)
	for _, alg := range clientAlgs() {
		s := newSigner(t, "k1", alg)
		client := r.keyed(`"jwks":` + keySetOf(t, s))
		f := changed(codeForm(client, r.code(appOrigin, client, person("alice"), authorizeQuery(client))), proof(client, s.assertion(t, client, nil, nil)))
		a := r.post(appOrigin+"/token", f)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", alg, a.StatusCode, a.body)
		}
		f = changed(proof(client, s.assertion(t, client, nil, nil)), url.Values{"grant_type": {grantRefresh}, "refresh_token": {a.text(t, "refresh_token")}})
		f.Del("client_id") // which the assertion says
		a = r.post(appOrigin+"/token", f)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: refresh: %d %s", alg, a.StatusCode, a.body)
		}
		seen := r.post(appOrigin+"/introspect", changed(proof(client, s.assertion(t, client, nil, nil)), url.Values{"token": {a.text(t, "access_token")}}))
		if seen.StatusCode != http.StatusOK || seen.json(t)["active"] != true {
			t.Errorf("%s: introspect: %d %s", alg, seen.StatusCode, seen.body)
		}
		for _, form := range []url.Values{{"client_id": {client}}, {"client_id": {client}, "client_secret": {"x"}}} {
			r.post(appOrigin+"/revoke", changed(form, url.Values{"token": {"x"}})).refused(t, 401, "invalid_client", "private_key_jwt")
		}
	}
}

// RFC 7523, section 3, and what RFC 8725 warns of.
func TestAssertionsThatDoNotCount(t *testing.T) {
	r := newRig(t)
	s, thief := newSigner(t, "k1", "ES256"), newSigner(t, "k1", "ES256")
	rsaSigner := newSigner(t, "r1", "RS256")
	client, other := r.keyed(`"jwks":`+keySetOf(t, s, rsaSigner)), r.keyed(`"jwks":`+keySetOf(t, thief))
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	segment64 := func(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(mustJSON(t, v))) }
	good := map[string]any{"iss": client, "sub": client, "aud": appOrigin, "exp": at(time.Minute), "jti": newID()}
	bySecret := func(key []byte) string {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(good))
		token.Header["kid"] = "r1"
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		assertion, reason string
	}{
		"another's key":                 {thief.assertion(t, client, nil, nil), "assertion_signature"},
		"another client's assertion":    {thief.assertion(t, other, nil, nil), "assertion_client"},
		"another iss":                   {s.assertion(t, client, map[string]any{"iss": "https://evil.example"}, nil), "assertion_client"},
		"another sub":                   {s.assertion(t, client, map[string]any{"sub": other}, nil), "assertion_client"},
		"no iss":                        {s.assertion(t, client, map[string]any{"iss": nil}, nil), "assertion_client"},
		"no sub":                        {s.assertion(t, client, map[string]any{"sub": nil}, nil), "assertion_client"},
		"for another server":            {s.assertion(t, client, map[string]any{"aud": "https://evil.example"}, nil), "assertion_audience"},
		"for another issuer here":       {s.assertion(t, client, map[string]any{"aud": mcpOrigin}, nil), "assertion_audience"},
		"for a longer name":             {s.assertion(t, client, map[string]any{"aud": appOrigin + ".evil.example"}, nil), "assertion_audience"},
		"for nobody":                    {s.assertion(t, client, map[string]any{"aud": nil}, nil), "assertion_audience"},
		"for an empty list":             {s.assertion(t, client, map[string]any{"aud": []string{}}, nil), "assertion_audience"},
		"without an end":                {s.assertion(t, client, map[string]any{"exp": nil}, nil), "assertion_times"},
		"ended":                         {s.assertion(t, client, map[string]any{"exp": at(-time.Second)}, nil), "assertion_expired"},
		"for an hour":                   {s.assertion(t, client, map[string]any{"exp": at(time.Hour)}, nil), "assertion_times"},
		"not yet":                       {s.assertion(t, client, map[string]any{"nbf": at(time.Minute)}, nil), "assertion_times"},
		"from the future":               {s.assertion(t, client, map[string]any{"iat": at(time.Minute)}, nil), "assertion_times"},
		"from yesterday":                {s.assertion(t, client, map[string]any{"iat": at(-24 * time.Hour)}, nil), "assertion_times"},
		"without an id":                 {s.assertion(t, client, map[string]any{"jti": nil}, nil), "assertion_id"},
		"with a long id":                {s.assertion(t, client, map[string]any{"jti": strings.Repeat("x", 600)}, nil), "assertion_id"},
		"an unknown key":                {s.assertion(t, client, nil, map[string]any{"kid": "k2"}), "assertion_key_unknown"},
		"a kid that is a number":        {s.assertion(t, client, nil, map[string]any{"kid": 1}), "assertion_header"},
		"the key in the header":         {thief.assertion(t, client, nil, map[string]any{"jwk": thief.public(t)}), "assertion_header"},
		"the key by address":            {thief.assertion(t, client, nil, map[string]any{"jku": "https://evil.example/jwks"}), "assertion_header"},
		"a certificate by address":      {thief.assertion(t, client, nil, map[string]any{"x5u": "https://evil.example/cert"}), "assertion_header"},
		"a certificate":                 {thief.assertion(t, client, nil, map[string]any{"x5c": []string{"x"}}), "assertion_header"},
		"a critical extension":          {s.assertion(t, client, nil, map[string]any{"crit": []string{"b64"}, "b64": false}), "assertion_header"},
		"alg none":                      {segment64(map[string]any{"alg": "none", "kid": "k1"}) + "." + segment64(good) + ".", "assertion_alg"},
		"alg None":                      {segment64(map[string]any{"alg": "None", "kid": "k1"}) + "." + segment64(good) + ".", "assertion_alg"},
		"no alg":                        {segment64(map[string]any{"kid": "k1"}) + "." + segment64(good) + ".x", "assertion_alg"},
		"HS256 by the public key":       {bySecret(rsaSigner.key.Public().(*rsa.PublicKey).N.Bytes()), "assertion_alg"},
		"HS256 by nothing":              {bySecret([]byte{}), "assertion_alg"},
		"RS512":                         {signer{"r1", "RS512", rsaSigner.key}.assertion(t, client, nil, nil), "assertion_alg"},
		"RS256 for a key of ES256":      {signer{"k1", "RS256", rsaSigner.key}.assertion(t, client, nil, nil), "assertion_key_unknown"},
		"no signature":                  {strings.TrimRight(s.assertion(t, client, nil, nil), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"), "assertion_signature"},
		"words":                         {"hello", "assertion_malformed"},
		"two segments":                  {"e30.e30", "assertion_malformed"},
		"padding":                       {s.assertion(t, client, nil, nil) + "=", "assertion_malformed"},
		"a token of ours":               {r.sign(t, nil, nil), "assertion_client"},
		"very long":                     {s.assertion(t, client, map[string]any{"x": strings.Repeat("x", maxAssertion)}, nil), "assertion_large"},
		"for the host's lookalike path": {s.assertion(t, client, map[string]any{"aud": appOrigin + "/token/x"}, nil), "assertion_audience"},
	} {
		a := r.proves(client, c.assertion)
		a.refused(t, 401, "invalid_client", "client_assertion")
		if reasons := r.log.reasons(); reasons[len(reasons)-1] != c.reason {
			t.Errorf("%s: the log says %s, want %s: %s", name, reasons[len(reasons)-1], c.reason, a.body)
		}
	}
	for name, claims := range map[string]map[string]any{
		"the issuer": {"aud": appOrigin}, "the token endpoint": {"aud": appOrigin + "/token"}, "a list": {"aud": []string{"https://other.example", appOrigin}}, "no iat": {"iat": nil},
		"a clock a little ahead": {"iat": at(20 * time.Second), "nbf": at(20 * time.Second)}, "ten minutes": {"exp": at(10 * time.Minute)},
	} {
		if a := r.proves(client, s.assertion(t, client, claims, nil)); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := r.proves(client, s.assertion(t, client, nil, map[string]any{"kid": nil})); a.StatusCode != http.StatusOK {
		t.Errorf("without a kid: %d %s", a.StatusCode, a.body)
	}
}

func TestAnAssertionCountsOnceAmongMany(t *testing.T) {
	r := newRig(t)
	s := newSigner(t, "k1", "EdDSA")
	client := r.keyed(`"jwks":` + keySetOf(t, s))
	assertion := s.assertion(t, client, nil, nil)
	var all sync.WaitGroup
	answers := make(chan int, 20)
	for range cap(answers) {
		v, _ := r.visit(http.MethodPost, appOrigin+"/revoke")
		all.Go(func() {
			req := request{Request: nil, visit: v, place: r.placeOf(v)}
			c, err := r.client(t.Context(), appOrigin, client)
			if err != nil {
				t.Error(err)
			}
			if err := r.authenticateByKey(t.Context(), &req, &c, assertion); err == nil {
				answers <- 1
			} else if reasonOf(err) != "assertion_replayed" {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(answers) != 1 {
		t.Errorf("it counted %d times", len(answers))
	}
	r.proves(client, assertion).refused(t, 401, "invalid_client", "jti")
	newRigOn(t, r.kv).proves(client, assertion).refused(t, 401, "invalid_client", "jti")
	same := s.assertion(t, client, map[string]any{"jti": "one"}, nil)
	if a := r.proves(client, same); a.StatusCode != http.StatusOK {
		t.Fatalf("%s", a.body)
	}
	r.proves(client, s.assertion(t, client, map[string]any{"jti": "one", "x": 1}, nil)).refused(t, 401, "invalid_client", "jti")
	other := newSigner(t, "k1", "EdDSA")
	neighbour := r.keyed(`"jwks":` + keySetOf(t, other))
	if a := r.proves(neighbour, other.assertion(t, neighbour, map[string]any{"jti": "one"}, nil)); a.StatusCode != http.StatusOK {
		t.Errorf("another client's jti: %s", a.body)
	}
	r.flight.assertions.each = 2
	r.proves(client, s.assertion(t, client, nil, nil)).refused(t, 429, "temporarily_unavailable", "")
	if a := r.proves(neighbour, other.assertion(t, neighbour, nil, nil)); a.StatusCode != http.StatusOK {
		t.Errorf("another client waits for that: %s", a.body)
	}
	r.proves(client, assertion).refused(t, 429, "temporarily_unavailable", "") // never room by forgetting one
}

func TestOneWayOfAuthenticationAtATime(t *testing.T) {
	r := newRig(t)
	s := newSigner(t, "k1", "EdDSA")
	client, public := r.keyed(`"jwks":`+keySetOf(t, s)), r.registered(appOrigin)
	for name, c := range map[string]struct {
		changes url.Values
		headers []string
		status  int
		code    string
	}{
		"and a secret":    {url.Values{"client_secret": {"x"}}, nil, 400, "invalid_request"},
		"and Basic":       {nil, []string{"Authorization", "Basic eDp5"}, 400, "invalid_request"},
		"another type":    {url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}}, nil, 400, "invalid_request"},
		"no type":         {url.Values{"client_assertion_type": nil}, nil, 400, "invalid_request"},
		"only a type":     {url.Values{"client_assertion": nil}, nil, 400, "invalid_request"},
		"two assertions":  {url.Values{"client_assertion": {"a", "b"}}, nil, 400, "invalid_request"},
		"another client":  {url.Values{"client_id": {public}}, nil, 401, "invalid_client"},
		"of nobody":       {url.Values{"client_id": nil, "client_assertion": {"x"}}, nil, 400, "invalid_request"},
		"an unknown name": {url.Values{"client_id": nil, "client_assertion": {s.assertion(t, "nobody", nil, nil)}}, nil, 401, "invalid_client"},
	} {
		f := changed(changed(proof(client, s.assertion(t, client, nil, nil)), url.Values{"token": {"x"}}), c.changes)
		a := r.post(appOrigin+"/revoke", f, c.headers...)
		if a.StatusCode != c.status || a.text(t, "error") != c.code {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	q := changed(proof(client, s.assertion(t, client, nil, nil)), url.Values{"token": {"x"}})
	r.ask(http.MethodPost, appOrigin+"/revoke?"+q.Encode(), "token=x", "Content-Type", "application/x-www-form-urlencoded").refused(t, 400, "invalid_request", "client_id")
}

const keysURL = "https://keys.example/jwks.json"

func TestKeysByAddressAreFetchedKeptAndRenewed(t *testing.T) {
	r, w := newWebRig(t)
	first, second := newSigner(t, "k1", "ES256"), newSigner(t, "k2", "ES256")
	w.pages[keysURL] = keySetOf(t, first)
	client := r.keyed(`"jwks_uri":"` + keysURL + `"`)
	if w.asked[keysURL] != 0 {
		t.Error("fetched at registration")
	}
	use := func(s signer) answer {
		return r.proves(client, s.assertion(t, client, map[string]any{"exp": r.now().Add(time.Minute).Unix(), "iat": r.now().Unix()}, nil))
	}
	for range 3 {
		if a := use(first); a.StatusCode != http.StatusOK || w.asked[keysURL] != 1 {
			t.Fatalf("%d %s, fetched %d times", a.StatusCode, a.body, w.asked[keysURL])
		}
	}
	for range 5 {
		use(second).refused(t, 401, "invalid_client", "not among")
	}
	if w.asked[keysURL] != 1 {
		t.Errorf("fetched again %d times within a minute of the last", w.asked[keysURL]-1)
	}
	w.pages[keysURL] = keySetOf(t, first, second)
	r.after(keysAgain)
	if a := use(second); a.StatusCode != http.StatusOK || w.asked[keysURL] != 2 {
		t.Errorf("a new key: %d %s", a.StatusCode, a.body)
	}
	w.pages[keysURL] = keySetOf(t, second)
	r.after(11 * time.Minute)
	use(first).refused(t, 401, "invalid_client", "not among")
	delete(w.pages, keysURL)
	r.after(11 * time.Minute)
	if a := use(second); a.StatusCode != http.StatusOK {
		t.Errorf("while nobody answers: %d %s", a.StatusCode, a.body)
	}
	r.after(keysOverdue)
	use(second).refused(t, 503, "temporarily_unavailable", "jwks_uri")
	w.fails[keysURL] = fault.New(fault.Denied, "could not be reached")
	use(second).refused(t, 401, "invalid_client", "could not be reached")
	delete(w.fails, keysURL)
	for name, page := range map[string]string{"a page": `<html>`, "no set": `{}`, "secrets": `{"keys":[{"kty":"oct","k":"AQAB"}]}`, "nothing of use": `{"keys":[]}`} {
		w.pages[keysURL] = page
		if a := use(second); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
}

func TestAClientByURLProvesItselfByItsKeys(t *testing.T) {
	r, w := newWebRig(t)
	s := newSigner(t, "cimd-1", "RS256")
	w.pages[keysURL] = keySetOf(t, s)
	w.pages[clientURL] = strings.Replace(clientDoc, `"token_endpoint_auth_method":"none"`, `"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["none","private_key_jwt","client_secret_post"],"token_endpoint_auth_signing_alg":"RS256","jwks_uri":"`+keysURL+`"`, 1)
	code := r.code(appOrigin, clientURL, person("alice"), authorizeQuery(clientURL))
	r.post(appOrigin+"/token", codeForm(clientURL, code)).refused(t, 401, "invalid_client", "private_key_jwt") // as it chose, whatever else it names
	a := r.post(appOrigin+"/token", changed(codeForm(clientURL, code), proof(clientURL, s.assertion(t, clientURL, map[string]any{"aud": appOrigin + "/token"}, nil))))
	if a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	pss := signer{s.id, "PS256", s.key}
	r.proves(clientURL, pss.assertion(t, clientURL, nil, nil)).refused(t, 401, "invalid_client", "RS256")
	r.change("app.example.com", func(p *site.Proxy) { p.OAuthServerTokenAuthMethods = []string{"none"} })
	code = r.code(appOrigin, clientURL, person("alice"), authorizeQuery(clientURL))
	if a := r.post(appOrigin+"/token", codeForm(clientURL, code)); a.StatusCode != http.StatusOK {
		t.Errorf("where its choice is not offered: %d %s", a.StatusCode, a.body)
	}
}

func TestKeysThatAreOfNoUse(t *testing.T) {
	good := newSigner(t, "k", "ES256").public(t)
	rsaKey := newSigner(t, "k", "RS256").public(t)
	with := func(base map[string]any, changes map[string]any) string {
		k := maps.Clone(base)
		maps.Copy(k, changes)
		return mustJSON(t, map[string]any{"keys": []any{k}})
	}
	b64 := base64.RawURLEncoding.EncodeToString
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]string{
		"another curve":      with(good, map[string]any{"crv": "P-384"}),
		"no point":           with(good, map[string]any{"x": b64(make([]byte, 32))}),
		"a short coordinate": with(good, map[string]any{"x": "AQAB"}),
		"for encryption":     with(good, map[string]any{"use": "enc"}),
		"for signing alone":  with(good, map[string]any{"key_ops": []string{"sign"}}),
		"another algorithm":  with(good, map[string]any{"alg": "ES512"}),
		"a small modulus":    with(rsaKey, map[string]any{"n": b64(small.N.Bytes())}),
		"a huge modulus":     with(rsaKey, map[string]any{"n": b64(slices.Repeat([]byte{255}, 1100))}),
		"exponent 1":         with(rsaKey, map[string]any{"e": "AQ"}),
		"an even exponent":   with(rsaKey, map[string]any{"e": "Ag"}),
		"a huge exponent":    with(rsaKey, map[string]any{"e": "_____w_w"}),
		"an unknown kind":    with(good, map[string]any{"kty": "XX"}),
		"another case":       strings.ReplaceAll(with(good, nil), `"x"`, `"X"`),
		"a number for an id": with(good, map[string]any{"kid": 1}),
		"X25519":             with(map[string]any{"kty": "OKP", "crv": "X25519", "x": b64(make([]byte, 32))}, nil),
		"many":               `{"keys":[` + strings.TrimSuffix(strings.Repeat(mustJSON(t, good)+",", maxKeys+1), ",") + `]}`,
	} {
		if keys, wrong := readKeys([]byte(set)); wrong == "" || len(keys) > 0 {
			t.Errorf("%s: %v", name, keys)
		}
	}
	mixed := `{"keys":[{"kty":"XX","kid":[1],"x":{}},` + mustJSON(t, good) + `]}`
	if keys, wrong := readKeys([]byte(mixed)); wrong != "" || len(keys) != 1 {
		t.Errorf("a good one beside one of an unknown kind: %v %s", keys, wrong)
	}
	if keys, wrong := readKeys([]byte(with(good, map[string]any{"alg": "ES256", "key_ops": []string{"verify"}}))); wrong != "" || !keys[0].fits("ES256") || keys[0].fits("RS256") {
		t.Errorf("a good one: %v %s", keys, wrong)
	}
}

func TestKeySetsInMemoryAreBounded(t *testing.T) {
	k := newKeySets()
	now := time.Now()
	for i := range 2 * maxKeySets {
		k.put(fmt.Sprint(i), keySet{until: now.Add(time.Duration(i) * time.Second)})
	}
	if _, ok := k.get(fmt.Sprint(2*maxKeySets - 1)); len(k.by) != maxKeySets || !ok {
		t.Errorf("%d sets", len(k.by))
	}
	k.prune(now.Add(2*keysOverdue + time.Hour))
	if len(k.by) != 0 {
		t.Errorf("%d sets for ever", len(k.by))
	}
}

func FuzzClientAssertion(f *testing.F) {
	r := newRig(f)
	s := newSigner(f, "k1", "EdDSA")
	id := r.keyed(`"jwks":` + keySetOf(f, s))
	genuine := s.assertion(f, id, map[string]any{"exp": time.Now().Add(9 * time.Minute).Unix()}, nil)
	f.Add(genuine)
	f.Add("e30.e30.")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(genuine, ".")[1] + ".")
	v, _ := r.visit(http.MethodPost, appOrigin+"/token")
	req := &request{visit: v, place: r.placeOf(v)}
	c, err := r.client(f.Context(), appOrigin, id)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, assertion string) {
		if err := r.authenticateByKey(t.Context(), req, &c, assertion); err == nil && assertion != genuine {
			t.Errorf("%q counts", assertion)
		} else if err != nil && asError(err).Code == "server_error" {
			t.Error(err)
		}
	})
}

func FuzzKeySet(f *testing.F) {
	for _, alg := range clientAlgs() {
		f.Add([]byte(keySetOf(f, newSigner(f, "k", alg))))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, wrong := readKeys(raw)
		if (wrong == "") != (len(keys) > 0) || len(keys) > maxKeys {
			t.Errorf("%d keys, %q", len(keys), wrong)
		}
		for _, k := range keys {
			if fits := slices.DeleteFunc(clientAlgs(), func(alg string) bool { return !k.fits(alg) }); len(fits) == 0 {
				t.Errorf("%+v fits nothing", k)
			}
		}
	})
}

// TestForgedAssertionsShutNoNeighbourOut: many clients of one company come from one
// address; who forges for one of them shuts out that one there, for a minute.
func TestForgedAssertionsShutNoNeighbourOut(t *testing.T) {
	r := newRig(t, func(o *Options) { o.RateLimits = true })
	s, forger := newSigner(t, "k1", "EdDSA"), newSigner(t, "k1", "EdDSA")
	victim, neighbour := r.keyed(`"jwks":`+keySetOf(t, s)), r.keyed(`"jwks":`+keySetOf(t, s))
	for range perMinute {
		r.proves(victim, forger.assertion(t, victim, nil, nil))
	}
	r.proves(victim, s.assertion(t, victim, nil, nil)).refused(t, 429, "temporarily_unavailable", "")
	if a := r.proves(neighbour, s.assertion(t, neighbour, nil, nil)); a.StatusCode != http.StatusOK {
		t.Errorf("a neighbour: %d %s", a.StatusCode, a.body)
	}
	r.from = netip.MustParseAddr("198.51.100.9")
	if a := r.proves(victim, s.assertion(t, victim, nil, nil)); a.StatusCode != http.StatusOK {
		t.Errorf("the same client elsewhere: %d %s", a.StatusCode, a.body)
	}
}
