package signin

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// liar is an OpenID provider that says what a test wants it to say: honest ones
// don't lie, and package test has one of those. It sends everybody back at once.
type liar struct {
	*httptest.Server
	key, other *rsa.PrivateKey

	mu       sync.Mutex // guards all below
	document map[string]any
	claims   map[string]any // of the id_token, over what an honest one has
	info     map[string]any // of the userinfo endpoint; nil: it answers 401
	sign     func(jwt.MapClaims) string
	callback func(url.Values) // changes the way back
	fail     map[string]http.HandlerFunc
	asked    []url.Values // what authorize got
	tokens   []url.Values // what the token endpoint got
	refresh  string       // the refresh token that counts now; empty: none is given
	nonce    string
	serial   int
}

var rsaKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return keys
})

func newLiar(t *testing.T) *liar {
	t.Helper()
	keys := rsaKeys()
	l := &liar{key: keys[0], other: keys[1], fail: map[string]http.HandlerFunc{}, claims: map[string]any{},
		info: map[string]any{"sub": "s-1", "email": "alice@example.com", "email_verified": true, "name": "Alice"}}
	l.Server = httptest.NewServer(http.HandlerFunc(l.serve))
	t.Cleanup(l.Close)
	l.document = map[string]any{"issuer": l.URL, "authorization_endpoint": l.URL + "/authorize", "token_endpoint": l.URL + "/token",
		"userinfo_endpoint": l.URL + "/userinfo", "jwks_uri": l.URL + "/jwks", "id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported": []string{"openid", "profile", "email", "groups", "offline_access"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"}}
	l.sign = func(c jwt.MapClaims) string { return signed(jwt.SigningMethodRS256, c, l.key, "k1") }
	return l
}

func signed(method jwt.SigningMethod, c jwt.MapClaims, key any, kid string) string {
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		panic(err)
	}
	return text
}

func (l *liar) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *liar) serve(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.fail[r.URL.Path]; f != nil {
		f(w, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		l.json(w, l.document)
	case "/jwks":
		e := base64.RawURLEncoding.EncodeToString(big.NewInt(int64(l.key.E)).Bytes())
		l.json(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1", "n": base64.RawURLEncoding.EncodeToString(l.key.N.Bytes()), "e": e}}})
	case "/authorize":
		l.asked = append(l.asked, r.Form)
		l.nonce = r.Form.Get("nonce")
		back := url.Values{"code": {"the-code"}, "state": {r.Form.Get("state")}}
		if l.callback != nil {
			l.callback(back)
		}
		http.Redirect(w, r, r.Form.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
	case "/token":
		l.token(w, r)
	case "/userinfo":
		if l.info == nil || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer provided-at-") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		l.json(w, l.info)
	}
}

func (l *liar) token(w http.ResponseWriter, r *http.Request) {
	l.tokens = append(l.tokens, r.PostForm)
	if id, secret, ok := r.BasicAuth(); !ok || id != "client" || secret != "oidc-secret" {
		w.WriteHeader(http.StatusUnauthorized)
		l.json(w, map[string]any{"error": "invalid_client"})
		return
	}
	l.serial++
	answer := map[string]any{"access_token": fmt.Sprintf("provided-at-%d", l.serial), "token_type": "Bearer", "expires_in": 300}
	if r.PostForm.Get("grant_type") == "refresh_token" {
		if l.refresh == "" || r.PostForm.Get("refresh_token") != l.refresh {
			w.WriteHeader(http.StatusBadRequest)
			l.json(w, map[string]any{"error": "invalid_grant"})
			return
		}
	} else {
		now := time.Now()
		c := jwt.MapClaims{"iss": l.URL, "aud": "client", "sub": "s-1", "nonce": l.nonce, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
		maps.Copy(c, l.claims)
		answer["id_token"] = l.sign(c)
	}
	if l.refresh != "" {
		l.refresh = fmt.Sprintf("rt-%d", l.serial)
		answer["refresh_token"] = l.refresh
	}
	l.json(w, answer)
}

func (l *liar) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// provided is a house whose people come from a liar.
func provided(t *testing.T, settings ...setting) (*house, *liar) {
	t.Helper()
	l := newLiar(t)
	settings = append([]setting{func(_ *house, oo *oauth.Options, o *Options, _ *[]site.Proxy) {
		o.OIDC = OIDCApp{Issuer: l.URL, ClientID: "client", ClientSecret: "oidc-secret", Name: "Example ID"}
		oo.Lists = oauth.Lists{Admin: []string{"oidc:alice@example.com"}}
		o.Lists = oo.Lists.Admin
	}}, settings...)
	return newHouse(t, settings...), l
}

func TestOIDCSignInReachesTheBackend(t *testing.T) {
	h, l := provided(t)
	b := h.browser().open(h.origin("app.localhost")+"/reports").sees(200, "Sign in", "Continue with Example ID", "app.localhost")
	if len(l.asked) != 0 {
		t.Fatal("the provider was asked before the person pressed the button")
	}
	b.press("Continue with Example ID").sees(200, "backend of app.localhost at /reports for oidc:alice@example.com")
	q := l.asked[0]
	if q.Get("scope") != "openid profile email" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 ||
		len(q.Get("nonce")) != 43 || len(q.Get("state")) != 43 || q.Get("redirect_uri") != h.origin("auth.localhost")+"/callback" {
		t.Errorf("the provider was asked with %v", q)
	}
	if got := l.tokens[0]; got.Get("redirect_uri") != q.Get("redirect_uri") || len(got.Get("code_verifier")) < 43 {
		t.Errorf("the code was redeemed with %v", got)
	}
	sessions, err := h.oauth.Sessions(t.Context(), "oidc:"+l.URL+"#s-1")
	if err != nil || len(sessions) != 2 {
		t.Errorf("sessions under issuer and sub: %v, %v", sessions, err)
	}
	items, err := h.kv.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if strings.Contains(string(item.Value), "provided-at-1") || strings.Contains(string(item.Value), "oidc-secret") {
			t.Errorf("%s holds a secret readably", item.Key)
		}
	}
}

// TestOIDCAnswersThatProveNothing is every way in which an answer could come from
// somebody else, or be meant for somebody else.
func TestOIDCAnswersThatProveNothing(t *testing.T) {
	for name, c := range map[string]struct {
		lie    func(*liar)
		title  string
		reason string
	}{
		"nonce of another sign-in (OIDC Core 3.1.3.7)": {func(l *liar) { l.claims["nonce"] = "another" }, "answer can't be trusted", "provider_unproven"},
		"no nonce":                 {func(l *liar) { l.claims["nonce"] = nil }, "answer can't be trusted", "provider_unproven"},
		"another issuer":           {func(l *liar) { l.claims["iss"] = "https://evil.example" }, "answer can't be trusted", "provider_unproven"},
		"another audience":         {func(l *liar) { l.claims["aud"] = "other" }, "answer can't be trusted", "provider_unproven"},
		"another authorized party": {func(l *liar) { l.claims["aud"], l.claims["azp"] = []string{"client", "other"}, "other" }, "answer can't be trusted", "provider_unproven"},
		"two audiences, no party":  {func(l *liar) { l.claims["aud"] = []string{"client", "other"} }, "answer can't be trusted", "provider_unproven"},
		"expired":                  {func(l *liar) { l.claims["exp"] = time.Now().Add(-time.Minute).Unix() }, "answer can't be trusted", "provider_unproven"},
		"at_hash of another token": {func(l *liar) { l.claims["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" }, "answer can't be trusted", "provider_unproven"},
		"alg none (RFC 8725)": {func(l *liar) {
			l.sign = func(c jwt.MapClaims) string {
				return signed(jwt.SigningMethodNone, c, jwt.UnsafeAllowNoneSignatureType, "k1")
			}
		}, "answer can't be trusted", "provider_unproven"},
		"HS256 with the client secret": {func(l *liar) {
			l.sign = func(c jwt.MapClaims) string { return signed(jwt.SigningMethodHS256, c, []byte("oidc-secret"), "k1") }
		}, "answer can't be trusted", "provider_unproven"},
		"another key under a known kid": {func(l *liar) {
			l.sign = func(c jwt.MapClaims) string { return signed(jwt.SigningMethodRS256, c, l.other, "k1") }
		}, "answer can't be trusted", "provider_unproven"},
		"a key nobody knows": {func(l *liar) {
			l.sign = func(c jwt.MapClaims) string { return signed(jwt.SigningMethodRS256, c, l.other, "k2") }
		}, "answer can't be trusted", "provider_unproven"},
		"no id_token":           {func(l *liar) { l.sign = func(jwt.MapClaims) string { return "" } }, "answer makes no sense", "provider_malformed"},
		"id_token of garbage":   {func(l *liar) { l.sign = func(jwt.MapClaims) string { return "x.y.z" } }, "answer can't be trusted", "provider_unproven"},
		"no sub":                {func(l *liar) { l.claims["sub"] = "" }, "answer makes no sense", "provider_malformed"},
		"sub with a line break": {func(l *liar) { l.claims["sub"] = "a\nb" }, "answer makes no sense", "provider_malformed"},
		"userinfo of somebody else (OIDC Core 5.3.2)": {func(l *liar) { l.info["sub"] = "s-2" }, "answer can't be trusted", "provider_unproven"},
		"mix-up: another iss (RFC 9207)":              {func(l *liar) { l.callback = func(v url.Values) { v.Set("iss", "https://evil.example") } }, "Somebody else answered for Example ID", "provider_mixed_up"},
		"mix-up: two iss":                             {func(l *liar) { l.callback = func(v url.Values) { v["iss"] = []string{l.URL, "https://evil.example"} } }, "Somebody else answered for Example ID", "provider_mixed_up"},
		"mix-up: iss promised and not sent":           {func(l *liar) { l.document["authorization_response_iss_parameter_supported"] = true }, "Somebody else answered for Example ID", "provider_mixed_up"},
		"mix-up: an error without the promised iss": {func(l *liar) {
			l.document["authorization_response_iss_parameter_supported"] = true
			l.callback = func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }
		}, "Somebody else answered for Example ID", "provider_mixed_up"},
	} {
		t.Run(name, func(t *testing.T) {
			h, l := provided(t)
			c.lie(l)
			b := h.browser().open(h.origin("app.localhost") + "/").press("Continue with Example ID")
			h.refused(b, c.title, c.reason)
		})
	}
}

// refused wants a page of an error, no session, the reason in the log, and no
// secret in either.
func (h *house) refused(b *browser, title, reason string) {
	h.t.Helper()
	if b.status < 400 || !strings.Contains(b.words(), title) {
		h.t.Fatalf("%d %s", b.status, b.words())
	}
	if b.cookie(h.origin("auth.localhost"), "__Host-gatehouse") != "" || b.cookie(h.origin("app.localhost"), "__Host-gatehouse") != "" {
		h.t.Error("a session was opened")
	}
	if !h.events.has(func(e journal.Entry) bool {
		return e.Action == "signin" && e.AuthResult == "denied" && e.AuthReason == reason
	}) {
		h.t.Errorf("the log does not say %s: %+v", reason, h.events.all)
	}
	h.events.mu.Lock()
	log := fmt.Sprintf("%+v", h.events.all)
	h.events.mu.Unlock()
	for _, secret := range []string{"app-secret", "oidc-secret", "the-code", "provided-at-1", "gho_", "eyJhbGciOi"} {
		if strings.Contains(b.body, secret) || strings.Contains(log, secret) || strings.Contains(h.logged.String(), secret) {
			h.t.Errorf("%q is on the page or in a log:\n%s\n%s", secret, log, h.logged.String())
		}
	}
}

// TestFailuresOfAnOIDCProviderSayWhatToDo: down, slow, malformed, set up wrongly.
func TestFailuresOfAnOIDCProviderSayWhatToDo(t *testing.T) {
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	slow := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	gone := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	const discovery = "/.well-known/openid-configuration"
	for name, c := range map[string]struct {
		path          string
		do            http.HandlerFunc
		title, reason string
		again         bool
	}{
		"discovery down":         {discovery, status(503, "<html>"), "Example ID does not answer", "provider_unreachable", true},
		"discovery slow":         {discovery, slow, "Example ID does not answer", "provider_unreachable", true},
		"discovery gone":         {discovery, gone, "Example ID does not answer", "provider_unreachable", true},
		"discovery malformed":    {discovery, status(200, `{"issuer":`), "Example ID does not answer", "provider_unreachable", true},
		"discovery of another":   {discovery, status(200, `{"issuer":"https://other.example"}`), "does not accept this installation", "provider_issuer_mismatch", false},
		"discovery far too long": {discovery, status(200, `{"issuer":"`+strings.Repeat("x", oidcMaxBody)+`"}`), "Example ID does not answer", "provider_unreachable", true},
		"keys down":              {"/jwks", status(500, ""), "Example ID does not answer", "provider_unreachable", true},
		"keys gone":              {"/jwks", gone, "Example ID does not answer", "provider_unreachable", true},
		"token endpoint down":    {"/token", status(502, "<html>"), "Example ID does not answer", "provider_unreachable", true},
		"token endpoint slow":    {"/token", slow, "Example ID does not answer", "provider_unreachable", true},
		"token endpoint limits":  {"/token", status(429, "{}"), "Example ID asks us to slow down", "provider_rate_limited", true},
		"code no longer good":    {"/token", status(400, `{"error":"invalid_grant"}`), "Example ID no longer knows this sign-in", "provider_code_expired", true},
		"wrong secret":           {"/token", status(401, `{"error":"invalid_client"}`), "does not accept this installation", "provider_invalid_client", false},
		"token malformed":        {"/token", status(200, `{"access`), "Example ID", "provider_unreachable", true},
		"userinfo down":          {"/userinfo", status(500, ""), "Example ID does not answer", "provider_unreachable", true},
		"userinfo refuses":       {"/userinfo", status(401, ""), "does not accept its own sign-in", "provider_token_refused", true},
		"userinfo malformed":     {"/userinfo", status(200, "["), "answer makes no sense", "provider_malformed", true},
		"userinfo limits":        {"/userinfo", status(429, ""), "asks us to slow down", "provider_rate_limited", true},
		"redirect, not answer":   {"/userinfo", status(302, ""), "answer makes no sense", "provider_malformed", true},
	} {
		t.Run(name, func(t *testing.T) {
			h, l := provided(t)
			h.pages.oidc.client.Timeout = 300 * time.Millisecond
			l.set(func() { l.fail[c.path] = c.do })
			b := h.browser().open(h.origin("app.localhost") + "/x").press("Continue with Example ID")
			h.refused(b, c.title, c.reason)
			if again := strings.Contains(b.body, ">Try again<"); again != c.again {
				t.Errorf("offers to try again: %v", again)
			}
			if c.again {
				l.set(func() { delete(l.fail, c.path) })
				h.pages.oidc.pause = time.Time{} // the pause after a failed discovery is over
				b.follow("Try again").press("Continue with Example ID").sees(200, "backend of app.localhost at /x for oidc:alice@example.com")
			}
		})
	}
}

func TestOIDCProviderThatIsDownDoesNotHinderOtherWays(t *testing.T) {
	h, l := provided(t)
	l.Close()
	b := h.browser().alice()
	b.open(h.origin("auth.localhost")+"/account").sees(200, "local:alice")
	h.browser().open(h.origin("auth.localhost")+"/signin").sees(200, "Continue with Example ID").press("Continue with Example ID").sees(502, "Example ID does not answer", "Try again")
}

func TestOIDCDocumentMayNotSendCodesOrSecretsOverHTTP(t *testing.T) {
	o := newOIDC(OIDCApp{Issuer: "https://id.example"}, http.DefaultClient)
	for address, want := range map[string]bool{"https://x.example/token": true, "http://x.example/token": false, "": false, "ftp://x": false, "https://user:p@x.example/": false} {
		if o.trustworthy(address) != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
}

// TestOIDCNamesNobodyCanChoose: what people set themselves names nobody; lists
// hold addresses that the provider vouches for, or issuer and sub.
func TestOIDCNamesNobodyCanChoose(t *testing.T) {
	for name, c := range map[string]struct {
		info map[string]any
		want string // after "oidc:"; "#" stands for issuer and sub
	}{
		"verified":                    {map[string]any{"email": "Alice@Example.com", "email_verified": true}, "alice@example.com"},
		"verified as a text":          {map[string]any{"email": "alice@example.com", "email_verified": "true"}, "alice@example.com"},
		"not verified":                {map[string]any{"email": "alice@example.com", "email_verified": false}, "#"},
		"verified not said":           {map[string]any{"email": "alice@example.com"}, "#"},
		"verified of another type":    {map[string]any{"email": "alice@example.com", "email_verified": 1}, "#"},
		"username that is an address": {map[string]any{"preferred_username": "alice@example.com"}, "#"},
		"username":                    {map[string]any{"preferred_username": "alice", "email": "x@example.com"}, "#"},
		"no address":                  {map[string]any{}, "#"},
		"not an address":              {map[string]any{"email": "alice", "email_verified": true}, "#"},
		"address like a subject":      {map[string]any{"email": "id.example#s@example.com", "email_verified": true}, "#"},
		"address with a comma":        {map[string]any{"email": "a,local:admin@example.com", "email_verified": true}, "#"},
		"address in other letters":    {map[string]any{"email": "аlice@example.com", "email_verified": true}, "#"},
		"nothing before the at":       {map[string]any{"email": "@example.com", "email_verified": true}, "#"},
	} {
		t.Run(name, func(t *testing.T) {
			h, l := provided(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"*"} }))
			l.info = c.info
			l.info["sub"] = "s-1"
			want := "oidc:" + c.want
			if c.want == "#" {
				want = "oidc:" + l.URL + "#s-1"
			}
			h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(200, "for "+want)
		})
	}
}

func TestOIDCUnverifiedAddressOpensNothing(t *testing.T) {
	h, l := provided(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers, p.AuthRequiredEmails = []string{}, []string{"*@example.com"} }))
	l.info["email_verified"] = false
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(403, "You are signed in as oidc:")
	l.info["email_verified"] = true
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(200, "for oidc:alice@example.com")
	// The id_token's own address is not made good by another place's word for another one.
	l.claims["email"] = "boss@example.com"
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(403, "You are signed in as oidc:")
}

func TestOIDCAddressStaysWithItsFirstAccount(t *testing.T) {
	h, l := provided(t)
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(200, "for oidc:alice@example.com")
	if !h.events.has(func(e journal.Entry) bool { return e.Kind == journal.Audit && e.Action == "bind_oidc_login" }) {
		t.Error("no audit entry")
	}
	l.claims["sub"], l.info["sub"] = "s-2", "s-2" // the address was given to somebody else
	b := h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(403, "This name belongs to somebody else here", "addresses can change hands")
	if b.cookie(h.origin("auth.localhost"), "__Host-gatehouse") != "" {
		t.Error("signed in all the same")
	}
	if b.follow("Try again").sees(200, "Continue with Example ID", "app.localhost"); b.url.Query().Get("switch") != "1" {
		t.Errorf("the way on is %s, which leads to the same account again", b.url)
	}
	if err := h.pages.Release(t.Context(), "OIDC:alice@example.com"); err != nil {
		t.Fatal(err)
	}
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(200, "for oidc:alice@example.com")
}

func groupsRule(groups ...string) setting {
	return withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers, p.AuthRequiredGroups = []string{}, groups })
}

func TestOIDCGroups(t *testing.T) {
	h, l := provided(t, groupsRule("Staff", "oidc:ops"))
	for claim, status := range map[any]int{"staff": 200, "ops": 200, "oidc:ops": 403, "admins": 403, 7: 403, nil: 403} {
		l.info["groups"] = claim
		b := h.browser().open(h.origin("app.localhost") + "/").press("Continue with Example ID")
		if b.status != status {
			t.Errorf("groups %v: %d, want %d: %s", claim, b.status, status, b.words())
		}
	}
	l.info["groups"] = []string{"x", "STAFF"}
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(200, "for oidc:alice@example.com")
	if got := l.asked[0].Get("scope"); got != "openid profile email groups offline_access" {
		t.Errorf("asked for %q", got)
	}
}

// TestGroupWithoutPrefixIsGitHubsWhereGitHubIsAWayIn: anybody can found an
// organization at GitHub, and call a group anything at some providers.
func TestGroupWithoutPrefixIsGitHubsWhereGitHubIsAWayIn(t *testing.T) {
	h, l := provided(t, groupsRule("acme", "oidc:staff"), func(_ *house, _ *oauth.Options, o *Options, _ *[]site.Proxy) {
		o.GitHub = GitHubApp{ClientID: "app-id", ClientSecret: "app-secret"}
	})
	l.info["groups"] = []string{"acme"}
	h.browser().open(h.origin("app.localhost")+"/").sees(200, "Continue with GitHub", "Continue with Example ID").press("Continue with Example ID").sees(403, "You are signed in as")
	l.info["groups"] = []string{"staff"}
	h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(200, "for oidc:alice@example.com")
}

func TestUseAnotherAccountAsksTheProviderForOne(t *testing.T) {
	h, l := provided(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"oidc:bob@example.com"} }))
	b := h.browser().open(h.origin("app.localhost")+"/").press("Continue with Example ID").sees(403, "You are signed in as oidc:alice@example.com")
	l.info["email"], l.info["sub"], l.claims["sub"] = "bob@example.com", "s-2", "s-2"
	b.press("Use another account").press("Continue with Example ID").sees(200, "for oidc:bob@example.com")
	if l.asked[0].Get("prompt") != "" || l.asked[1].Get("prompt") != "login" {
		t.Errorf("prompts %q, %q", l.asked[0].Get("prompt"), l.asked[1].Get("prompt"))
	}
	l.document["prompt_values_supported"] = []string{"none", "select_account"}
	h.pages.oidc.until = time.Time{}
	b.open(h.origin("auth.localhost")+"/signin?switch=1").press("Use another account").press("Continue with Example ID").sees(200, "bob@example.com")
	if got := l.asked[2].Get("prompt"); got != "select_account" {
		t.Errorf("prompt %q", got)
	}
}

func TestAnswerOfOneProviderIsNotTakenForAnothers(t *testing.T) {
	h, gh := hub(t, func(_ *house, _ *oauth.Options, o *Options, _ *[]site.Proxy) {
		l := newLiar(t)
		o.OIDC = OIDCApp{Issuer: l.URL, ClientID: "client", ClientSecret: "oidc-secret"}
	})
	_ = gh
	b := h.browser()
	b.stop = func(u *url.URL) bool { return u.Path == "/callback" }
	b.open(h.origin("app.localhost") + "/").press("Continue with GitHub")
	back := must2(url.Parse(b.header.Get("Location")))
	q := back.Query()
	q.Set("iss", h.pages.oidc.app.Issuer) // the OpenID provider answers a sign-in that went to GitHub
	back.RawQuery = q.Encode()
	b.stop = nil
	h.refused(b.open(back.String()), "Somebody else answered for GitHub", "provider_mixed_up")
}
