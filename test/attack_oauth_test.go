package test

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOAuthClientsAndTheirTokens attacks the authorization server as a client
// and as somebody who got hold of a client's codes and tokens. At its end
// nothing of what was secret stands in the process log or in the data folder.
func TestOAuthClientsAndTheirTokens(t *testing.T) {
	t.Parallel()
	backend := newTap(t)
	s := start(t, []string{"RATE_LIMITS=off", "LOG_LEVEL=TRACE"}, "protect", "app.localhost", backend.url)
	s.local("proxy", "create", "other.localhost", backend.url, "--auth")
	p := s.stranger()
	secrets := map[string]string{"password": adminPassword, "setup link": valueOf(t, s.setup(), "setup")}
	p.becomeAdmin()
	c := s.register(t, "app.localhost", "http://127.0.0.1:9/back")
	rig := &oauthRig{s, p, c, secrets}
	for _, attack := range []struct {
		name string
		run  func(*testing.T, *oauthRig)
	}{
		{"authorize", badRequests}, {"code", stolenCodes}, {"refresh", stolenRefresh}, {"token", forgedTokens},
		{"setup link twice", setupTwice}, {"ticket", stolenTicket}, {"open redirects", openRedirects}, {"sessions", carriedSessions},
		{"device", devices}, {"secrets at rest", secretsAtRest},
	} {
		t.Run(attack.name, func(t *testing.T) { c.t = t; attack.run(t, rig) })
	}
}

type oauthRig struct {
	s       *server
	p       *person
	c       *oauthClient
	secrets map[string]string // what must not be found in clear
}

func valueOf(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Query().Get(name) == "" {
		t.Fatalf("no %s in %s: %v", name, address, err)
	}
	return u.Query().Get(name)
}

// badRequests never get a consent page. Where client or redirect are wrong the
// browser is sent nowhere.
func badRequests(t *testing.T, rig *oauthRig) {
	for name, changes := range map[string]url.Values{
		"another redirect":            {"redirect_uri": {"https://evil.test/back"}},
		"redirect with more path":     {"redirect_uri": {"http://127.0.0.1:9/back/more"}},
		"redirect with a query":       {"redirect_uri": {"http://127.0.0.1:9/back?x=1"}},
		"redirect with a fragment":    {"redirect_uri": {"http://127.0.0.1:9/back#x"}},
		"redirect with a user":        {"redirect_uri": {"http://127.0.0.1:9@evil.test/back"}},
		"redirect with dots":          {"redirect_uri": {"http://127.0.0.1:9/x/../back"}},
		"redirect on a longer name":   {"redirect_uri": {"http://127.0.0.1.evil.test/back"}},
		"redirect on the other name":  {"redirect_uri": {"http://localhost:9/back"}},
		"redirect of another case":    {"redirect_uri": {"HTTP://127.0.0.1:9/back"}},
		"redirect by backslash":       {"redirect_uri": {`http://127.0.0.1:9\@evil.test/back`}},
		"redirect port out of range":  {"redirect_uri": {"http://127.0.0.1:99999/back"}},
		"script":                      {"redirect_uri": {"javascript:alert(1)"}},
		"two redirects":               {"redirect_uri": {"http://127.0.0.1:9/back", "https://evil.test/"}},
		"unknown client":              {"client_id": {"nobody"}},
		"two clients":                 {"client_id": {rig.c.id, "nobody"}},
		"no client":                   {"client_id": nil},
		"client by URL in this net":   {"client_id": {"https://127.0.0.1/client.json"}},
		"client by the metadata host": {"client_id": {"https://169.254.169.254/latest/client.json"}},
		"script in the client":        {"client_id": {"<script>alert(1)</script>"}},
	} {
		got := get(t, rig.c.c, rig.c.request(changes))
		if got.StatusCode < 400 || got.Header.Get("Location") != "" || strings.Contains(got.Body, "<script") {
			t.Errorf("%s: %d to %q\n%s", name, got.StatusCode, got.Header.Get("Location"), got.Body)
		}
	}
	for name, c := range map[string]struct {
		changes url.Values
		want    string
	}{
		"no PKCE":                {url.Values{"code_challenge": nil, "code_challenge_method": nil}, "invalid_request"},
		"PKCE plain":             {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"PKCE without a method":  {url.Values{"code_challenge_method": nil}, "invalid_request"},
		"PKCE of another case":   {url.Values{"code_challenge_method": {"s256"}}, "invalid_request"},
		"short challenge":        {url.Values{"code_challenge": {"abc"}}, "invalid_request"},
		"implicit":               {url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		"hybrid":                 {url.Values{"response_type": {"code token"}}, "unsupported_response_type"},
		"another host's":         {url.Values{"resource": {rig.s.url("other.localhost", "")}}, "invalid_target"},
		"the API's":              {url.Values{"resource": {rig.s.url("auth.localhost", "/mcp")}}, "invalid_target"},
		"somebody else's":        {url.Values{"resource": {"https://evil.test/"}}, "invalid_target"},
		"two resources":          {url.Values{"resource": {rig.c.issuer, rig.s.url("other.localhost", "")}}, "invalid_target"},
		"resource with a suffix": {url.Values{"resource": {rig.c.issuer + ".evil.test"}}, "invalid_target"},
		"two scopes":             {url.Values{"scope": {"user", "admin"}}, "invalid_request"},
		"two challenges":         {url.Values{"code_challenge": {rig.c.verifier, rig.c.verifier}}, "invalid_request"},
		"fragment":               {url.Values{"response_mode": {"fragment"}}, "invalid_request"},
		"a request object":       {url.Values{"request": {"eyJhbGciOiJub25lIn0.e30."}}, "request_not_supported"},
		"request by reference":   {url.Values{"request_uri": {"https://evil.test/"}}, "request_uri_not_supported"},
		"unknown scopes alone":   {url.Values{"scope": {"root"}}, "invalid_scope"},
	} {
		got := get(t, rig.c.c, rig.c.request(c.changes))
		to, err := got.Location()
		if err != nil || !strings.HasPrefix(to.String(), rig.c.redirect+"?") || to.Query().Get("error") != c.want || to.Query().Get("iss") != rig.c.issuer || to.Query().Has("code") {
			t.Errorf("%s: %d to %v, want the error %s\n%s", name, got.StatusCode, to, c.want, got.Body)
		}
	}
	for _, uri := range []string{"javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "http://evil.test/", "https://a@evil.test/", "https://evil.test/#x", "https://*.evil.test/", "blob:https://evil.test/x", "about:blank", `https://evil.test\@good.test/`} {
		body, err := json.Marshal(map[string]any{"redirect_uris": []string{uri}, "token_endpoint_auth_method": "none"})
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(t, rig.c.c, "POST", rig.c.issuer+"/register", string(body), "Content-Type: application/json"); got.StatusCode != http.StatusBadRequest {
			t.Errorf("a client with the redirect %s: %d %s", uri, got.StatusCode, got.Body)
		}
	}
}

// stolenCodes are of no use, and give away that they were stolen.
func stolenCodes(t *testing.T, rig *oauthRig) {
	thief := rig.s.register(t, "app.localhost", "http://127.0.0.1:9/thief")
	elsewhere := rig.s.register(t, "other.localhost", rig.c.redirect)
	code := rig.c.code(rig.p, nil)
	rig.secrets["code"] = code
	for name, c := range map[string]struct {
		by      *oauthClient
		changes url.Values
		want    string
	}{
		"by another client":       {thief, url.Values{"code_verifier": {rig.c.verifier}, "redirect_uri": {rig.c.redirect}}, "invalid_grant"},
		"in another's name there": {elsewhere, url.Values{"client_id": {rig.c.id}, "code_verifier": {rig.c.verifier}}, "invalid_client"},
		"at another issuer":       {elsewhere, url.Values{"code_verifier": {rig.c.verifier}}, "invalid_grant"},
		"with another redirect":   {rig.c, url.Values{"redirect_uri": {"http://127.0.0.1:9/thief"}}, "invalid_grant"},
		"without a verifier":      {rig.c, url.Values{"code_verifier": nil}, "invalid_request"},
		"for another resource":    {rig.c, url.Values{"resource": {rig.s.url("other.localhost", "")}}, "invalid_target"},
		"without a grant type":    {rig.c, url.Values{"grant_type": nil}, "invalid_request"},
		"two codes":               {rig.c, url.Values{"code": {code, code}}, "invalid_request"},
		"two clients":             {rig.c, url.Values{"client_id": {rig.c.id, thief.id}}, "invalid_request"},
		"two verifiers":           {rig.c, url.Values{"code_verifier": {rig.c.verifier, rig.c.verifier}}, "invalid_request"},
		"with a password":         {rig.c, url.Values{"grant_type": {"password"}, "username": {adminName}, "password": {adminPassword}}, "unsupported_grant_type"},
		"as a refresh token":      {rig.c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {code}}, "invalid_grant"},
		"as a device":             {rig.c, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code}}, "unauthorized_client"},
		"with a padded code":      {rig.c, url.Values{"code": {code + "="}}, "invalid_grant"},
	} {
		got, out := c.by.exchange(code, c.changes)
		if got.StatusCode < 400 || out.Error != c.want || out.Access != "" {
			t.Errorf("%s: %d %s, want %s", name, got.StatusCode, got.Body, c.want)
		}
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the answer may be cached", name)
		}
	}
	got, first := rig.c.exchange(code, nil)
	if got.StatusCode != http.StatusOK || first.Scope != "user" {
		t.Fatalf("the client's own use of its code: %d %s", got.StatusCode, got.Body)
	}
	rig.secrets["first access token"], rig.secrets["first refresh token"] = first.Access, first.Refresh
	if got := get(t, rig.c.c, rig.c.issuer+"/", "Authorization: Bearer "+first.Access); got.StatusCode != http.StatusOK || strings.Contains(got.Body, first.Access) {
		t.Errorf("the token opens the host and stays with us: %d\n%s", got.StatusCode, got.Body)
	}
	if got, out := rig.c.exchange(code, nil); got.StatusCode != http.StatusBadRequest || out.Error != "invalid_grant" {
		t.Errorf("a code twice: %d %s", got.StatusCode, got.Body)
	}
	if got := get(t, rig.c.c, rig.c.issuer+"/", "Authorization: Bearer "+first.Access); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("what a code gave that came twice still counts: %d", got.StatusCode)
	}
	if got, out := rig.c.refresh(first.Refresh); got.StatusCode != http.StatusBadRequest || out.Error != "invalid_grant" {
		t.Errorf("the refresh token of a code that came twice still counts: %d", got.StatusCode)
	}

	code = rig.c.code(rig.p, nil)
	if got, _ := rig.c.exchange(code, url.Values{"code_verifier": {random()}}); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a wrong verifier: %d %s", got.StatusCode, got.Body)
	}
	if got, _ := rig.c.exchange(code, nil); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a code outlives a wrong verifier: %d", got.StatusCode)
	}
}

// stolenRefresh: a refresh token is its client's, at its issuer, for its
// resource; and parallel use has an end.
func stolenRefresh(t *testing.T, rig *oauthRig) {
	_, out := rig.c.exchange(rig.c.code(rig.p, nil), nil)
	rig.secrets["refresh token"] = out.Refresh
	thief := rig.s.register(t, "app.localhost", "http://127.0.0.1:9/thief")
	elsewhere := rig.s.register(t, "other.localhost", rig.c.redirect)
	for name, c := range map[string]*oauthClient{"another client": thief, "another issuer": elsewhere} {
		if got, bad := c.refresh(out.Refresh); got.StatusCode != http.StatusBadRequest || bad.Access != "" {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.Body)
		}
	}
	for name, more := range map[string]url.Values{"more scope": {"scope": {"user admin"}}, "another resource": {"resource": {rig.s.url("other.localhost", "")}}} {
		more.Set("grant_type", "refresh_token")
		more.Set("client_id", rig.c.id)
		more.Set("refresh_token", out.Refresh)
		if got, bad := rig.c.post("/token", more); got.StatusCode != http.StatusBadRequest || bad.Access != "" {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.Body)
		}
	}
	if got, bad := thief.post("/revoke", url.Values{"client_id": {thief.id}, "token": {out.Refresh}}); got.StatusCode >= 500 || bad.Access != "" {
		t.Errorf("another client's revocation: %d", got.StatusCode)
	}
	last := out
	for i := range 8 { // the token itself again and again: eight living branches, not one more
		got, next := rig.c.refresh(out.Refresh)
		if got.StatusCode != http.StatusOK {
			t.Fatalf("use %d within the tolerance (after another client tried to revoke it): %d %s", i+1, got.StatusCode, got.Body)
		}
		last = next
	}
	if got, _ := rig.c.refresh(out.Refresh); got.StatusCode != http.StatusBadRequest {
		t.Errorf("the ninth use: %d %s", got.StatusCode, got.Body)
	}
	if got, _ := rig.c.refresh(last.Refresh); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a family outlives the ninth branch: %d", got.StatusCode)
	}
	if got := get(t, rig.c.c, rig.c.issuer+"/", "Authorization: Bearer "+last.Access); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("an access token outlives its family: %d", got.StatusCode)
	}
}

// forgedTokens are access tokens that nobody issued, or that are for somebody else.
func forgedTokens(t *testing.T, rig *oauthRig) {
	_, out := rig.c.exchange(rig.c.code(rig.p, nil), nil)
	rig.secrets["access token"] = out.Access
	head, claims, signature := parts(t, out.Access)
	public := publicKey(t, rig)
	encode := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	with := func(m map[string]any, name string, value any) map[string]any {
		c := map[string]any{name: value}
		for k, v := range m {
			if k != name {
				c[k] = v
			}
		}
		return c
	}
	hs := func(head map[string]any, key []byte) string {
		text := encode(head) + "." + encode(claims)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	changed := encode(with(claims, "username", "local:mallory"))
	forged := map[string]string{
		"alg none":         encode(with(head, "alg", "none")) + "." + encode(claims) + ".",
		"alg None":         encode(with(head, "alg", "None")) + "." + encode(claims) + "." + signature,
		"HS256 by PEM":     hs(with(head, "alg", "HS256"), key),
		"HS256 by DER":     hs(with(head, "alg", "HS256"), der),
		"HS256 by modulus": hs(with(head, "alg", "HS256"), public.N.Bytes()),
		"HS256 by nothing": hs(with(head, "alg", "HS256"), nil),
		"PS256":            encode(with(head, "alg", "PS256")) + "." + encode(claims) + "." + signature,
		"changed claims":   encode(head) + "." + changed + "." + signature,
		"no signature":     encode(head) + "." + encode(claims) + ".",
		"other kid":        encode(with(head, "kid", "x")) + "." + encode(claims) + "." + signature,
		"kid as a path":    encode(with(head, "kid", "../../../../dev/null")) + "." + encode(claims) + "." + signature,
		"own jwk":          encode(with(head, "jwk", map[string]any{"kty": "oct", "k": "AA"})) + "." + encode(claims) + "." + signature,
		"own jku":          encode(with(head, "jku", "https://evil.test/jwks")) + "." + encode(claims) + "." + signature,
		"plain JWT":        encode(with(head, "typ", "JWT")) + "." + encode(claims) + "." + signature,
		"crit":             encode(with(head, "crit", []string{"x"})) + "." + encode(claims) + "." + signature,
		"a refresh token":  out.Refresh,
		"with a part more": out.Access + ".x",
		"padded":           out.Access + "==",
		"other base64":     out.Access[:len(out.Access)-1] + sibling(out.Access[len(out.Access)-1]),
		"nothing":          "",
		"very long":        strings.Repeat("a", 9<<10) + ".b.c",
	}
	for name, token := range forged {
		for _, host := range []string{"app.localhost"} {
			got := get(t, rig.c.c, rig.s.url(host, "/"), "Authorization: Bearer "+token)
			if got.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %d\n%s", name, got.StatusCode, got.Body)
			}
		}
	}
	for name, at := range map[string]string{"another host": rig.s.url("other.localhost", "/"), "the API": rig.s.url("auth.localhost", "/proxies/"), "the MCP server": rig.s.url("auth.localhost", "/mcp"),
		"the API on localhost": rig.s.HTTP + "/proxies/", "the direct door": rig.s.Direct + "/proxies/"} {
		got := get(t, rig.c.c, at, "Authorization: Bearer "+out.Access)
		if got.StatusCode != http.StatusUnauthorized {
			t.Errorf("a token for app.localhost at %s: %d %s", name, got.StatusCode, got.Body)
		}
	}
	before := get(t, rig.c.c, rig.c.issuer+"/", "Authorization: Bearer "+out.Access)
	if before.StatusCode != http.StatusOK {
		t.Fatalf("the token itself: %d", before.StatusCode)
	}
	for name, got := range map[string]answer{
		"in the query":         get(t, rig.c.c, rig.c.issuer+"/?access_token="+out.Access),
		"two headers":          get(t, rig.c.c, rig.c.issuer+"/", "Authorization: Bearer "+out.Access, "Authorization: Bearer x"),
		"as Basic":             get(t, rig.c.c, rig.c.issuer+"/", "Authorization: Basic "+out.Access),
		"as a cookie":          get(t, rig.c.c, rig.c.issuer+"/", "Cookie: __Host-gatehouse="+out.Access),
		"from loopback, plain": get(t, rig.s.client(), strings.Replace(rig.s.HTTP, "localhost", "app.localhost", 1)+"/", "Authorization: Bearer "+out.Access),
	} {
		if got.StatusCode != http.StatusUnauthorized {
			t.Errorf("a token %s: %d", name, got.StatusCode)
		}
	}
	if got := get(t, rig.c.c, rig.c.issuer+"/", "Authorization: Bearer "+out.Access); got.StatusCode != http.StatusOK {
		t.Errorf("the attempts ended the token: %d", got.StatusCode)
	}
}

// sibling is another base64url character that differs in bits behind the end of
// what a 256-byte signature fills.
func sibling(c byte) string {
	const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(all[strings.IndexByte(all, c)^1])
}

func parts(t *testing.T, token string) (head, claims map[string]any, signature string) {
	t.Helper()
	p := strings.Split(token, ".")
	if len(p) != 3 {
		t.Fatal("no JWT")
	}
	for i, into := range []*map[string]any{&head, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(p[i])
		if err != nil {
			t.Fatal(err)
		}
		decode(t, string(b), into)
	}
	return head, claims, p[2]
}

func publicKey(t *testing.T, rig *oauthRig) *rsa.PublicKey {
	t.Helper()
	var set struct{ Keys []struct{ N, E, Kid string } }
	decode(t, get(t, rig.c.c, rig.c.issuer+"/jwks").Body, &set)
	n, err := base64.RawURLEncoding.DecodeString(set.Keys[0].N)
	if err != nil {
		t.Fatal(err)
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
}

func setupTwice(t *testing.T, rig *oauthRig) {
	link := rig.s.onHTTPS(rig.s.setup())
	if got := get(t, rig.s.stranger().c, link); got.StatusCode != http.StatusGone || strings.Contains(got.Body, "<form") && strings.Contains(got.Body, `name="again"`) {
		t.Errorf("the setup link again: %d\n%s", got.StatusCode, got.Body)
	}
	form := url.Values{"setup": {rig.secrets["setup link"]}, "name": {"mallory"}, "password": {adminPassword}, "again": {adminPassword}}
	stranger := rig.s.stranger()
	page := stranger.follow(rig.s.url("auth.localhost", "/signin"))
	for _, in := range inputTag.FindAllStringSubmatch(page.Body, -1) {
		if in[1] == "form" {
			form.Set("form", in[2])
		}
	}
	got := ask(t, stranger.c, "POST", rig.s.url("auth.localhost", "/setup"), form.Encode(), "Content-Type: application/x-www-form-urlencoded", "Origin: "+rig.s.url("auth.localhost", ""))
	if got.StatusCode != http.StatusGone {
		t.Errorf("posting to the used setup link: %d\n%s", got.StatusCode, got.Body)
	}
	if users := rig.s.local("oauth", "user", "list"); strings.Contains(users, "mallory") {
		t.Errorf("a second administrator was made:\n%s", users)
	}
}

// stolenTicket: the way back to a protected host counts in the browser that
// asked for it, on the host that asked, once.
func stolenTicket(t *testing.T, rig *oauthRig) {
	ticket := func() *url.URL { // p's, taken before its browser could use it
		began := get(t, rig.p.c, rig.c.issuer+"/.gatehouse/start?return=%2F")
		to, err := began.Location()
		if err != nil {
			t.Fatal(err)
		}
		back := get(t, rig.p.c, to.String(), "Accept: text/html")
		if to, err = back.Location(); err != nil || to.Query().Get("ticket") == "" {
			t.Fatalf("no ticket: %d %v\n%s", back.StatusCode, to, back.Body)
		}
		return to
	}
	taken := ticket()
	rig.secrets["ticket"] = taken.Query().Get("ticket")
	got := get(t, rig.s.stranger().c, taken.String())
	if got.StatusCode < 400 || strings.Contains(strings.Join(got.Header.Values("Set-Cookie"), ";"), "__Host-gatehouse=") {
		t.Errorf("a ticket in another browser: %d %v", got.StatusCode, got.Header)
	}
	if got := get(t, rig.p.c, taken.String()); got.StatusCode < 400 {
		t.Errorf("a ticket that somebody else tried: %d", got.StatusCode)
	}
	taken = ticket()
	other := *taken
	other.Host = strings.Replace(taken.Host, "app.", "other.", 1)
	get(t, rig.p.c, rig.s.url("other.localhost", "/.gatehouse/start?return=%2F"))
	if got := get(t, rig.p.c, other.String()); got.StatusCode < 400 {
		t.Errorf("a ticket on another host: %d %v", got.StatusCode, got.Header)
	}
	taken = ticket()
	if got := get(t, rig.p.c, taken.String()); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("a good ticket: %d\n%s", got.StatusCode, got.Body)
	}
	if got := get(t, rig.s.stranger().c, taken.String()); got.StatusCode < 400 {
		t.Errorf("a ticket twice: %d", got.StatusCode)
	}
}

// openRedirects: no address of ours brings a browser to a host that is not.
func openRedirects(t *testing.T, rig *oauthRig) {
	for _, to := range []string{"https://evil.test/", "//evil.test/", `/\evil.test/`, `\\evil.test`, "/%2f/evil.test", "/%5cevil.test", "///evil.test", "evil.test", "javascript:alert(1)",
		"/x/..//evil.test", "/.//evil.test", "/\tevil", "/%09/evil.test", "/\r\nSet-Cookie:x=y", "/%0d%0aSet-Cookie:x=y", "https:evil.test", "@evil.test", "/x#//evil.test", "/%2e%2e//evil.test"} {
		q := url.QueryEscape(to)
		for _, at := range []string{rig.c.issuer + "/.gatehouse/start?return=" + q, rig.s.url("auth.localhost", "/signin?next="+q)} {
			got := get(t, rig.p.c, at, "Accept: text/html")
			if strings.Contains(got.Header.Get("Location"), "evil") && got.StatusCode < 400 && !strings.Contains(got.Header.Get("Location"), "/signin?start=") || got.Header.Get("Set-Cookie") == "x=y" {
				t.Errorf("%s: %d to %s", at, got.StatusCode, got.Header.Get("Location"))
			}
			if end := rig.p.follow(at); !strings.HasSuffix(end.Request.URL.Hostname(), ".localhost") {
				t.Errorf("%s leads to %s", at, end.Request.URL)
			}
		}
	}
	w := rig.s.dial(t, "app.localhost")
	w.send("GET //evil.test/%2f.. HTTP/1.1\r\nHost: app.localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
	if got := w.read(); strings.HasPrefix(got.Header.Get("Location"), "//") || strings.HasPrefix(got.Header.Get("Location"), "http") {
		t.Errorf("a path that looks like a host leads to %s", got.Header.Get("Location"))
	}
	w = rig.s.dial(t, "")
	w.send("GET //evil.test/ HTTP/1.1\r\nHost: auth.localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
	if got := w.read(); strings.Contains(got.Header.Get("Location"), "//evil") && !strings.HasPrefix(got.Header.Get("Location"), rig.s.HTTPS[:8]) {
		t.Errorf("a path that looks like a host leads to %s", got.Header.Get("Location"))
	}
}

// carriedSessions: the cookie of one host is nothing on another, under no name.
func carriedSessions(t *testing.T, rig *oauthRig) {
	rig.p.follow(rig.c.issuer + "/")
	cookie := func(host string) string {
		u, err := url.Parse(rig.s.url(host, "/"))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range rig.p.c.Jar.Cookies(u) {
			if c.Name == "__Host-gatehouse" {
				return c.Value
			}
		}
		t.Fatalf("no session on %s", host)
		return ""
	}
	app, home := cookie("app.localhost"), cookie("auth.localhost")
	rig.secrets["session cookie of the host"], rig.secrets["session cookie of the sign-in host"] = app, home
	plain := func(host string) string { return strings.Replace(rig.s.HTTP, "localhost", host, 1) + "/" }
	for name, c := range map[string]struct{ at, cookie string }{
		"on another host":               {rig.s.url("other.localhost", "/"), "__Host-gatehouse=" + app},
		"on the sign-in host":           {rig.s.url("auth.localhost", "/proxies/"), "__Host-gatehouse=" + app},
		"of the sign-in host on a host": {rig.s.url("app.localhost", "/"), "__Host-gatehouse=" + home},
		"under the plain name":          {rig.s.url("app.localhost", "/"), "gatehouse=" + app},
		"over plain HTTP":               {plain("app.localhost"), "gatehouse=" + app},
		"over plain HTTP, full name":    {plain("app.localhost"), "__Host-gatehouse=" + app},
		"on localhost":                  {rig.s.HTTP + "/proxies/", "gatehouse=" + home},
		"at the direct door":            {rig.s.Direct + "/proxies/", "__Host-gatehouse=" + home + "; gatehouse=" + home},
		"changed":                       {rig.s.url("app.localhost", "/"), "__Host-gatehouse=" + app[:40] + flip(app[40]) + app[41:]},
		"at an MCP endpoint":            {rig.s.url("auth.localhost", "/mcp"), "__Host-gatehouse=" + home},
	} {
		if got := get(t, rig.s.stranger().c, c.at, "Cookie: "+c.cookie); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("a session %s: %d\n%s", name, got.StatusCode, got.Body)
		}
	}
	if got := get(t, rig.s.stranger().c, rig.s.url("app.localhost", "/"), "Cookie: __Host-gatehouse="+app); got.StatusCode != http.StatusOK || strings.Contains(got.Body, app) {
		t.Errorf("the session itself, which the backend must not see: %d\n%s", got.StatusCode, got.Body)
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// devices: a user code is not guessed, and its page never skips the question.
func devices(t *testing.T, rig *oauthRig) {
	at := rig.s.url("auth.localhost", "")
	begin := func() (device, user, complete string) {
		got := ask(t, rig.c.c, "POST", at+"/device/code", url.Values{"client_id": {"device_flow_client"}, "scope": {"user"}}.Encode(), "Content-Type: application/x-www-form-urlencoded")
		var out struct {
			Device   string `json:"device_code"`
			User     string `json:"user_code"`
			Complete string `json:"verification_uri_complete"`
		}
		decode(t, got.Body, &out)
		return out.Device, out.User, out.Complete
	}
	poll := func(device string) tokens {
		got := ask(t, rig.c.c, "POST", at+"/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"device_flow_client"}, "device_code": {device}}.Encode(), "Content-Type: application/x-www-form-urlencoded")
		var out tokens
		decode(t, got.Body, &out)
		return out
	}
	device, user, complete := begin()
	rig.secrets["device code"], rig.secrets["user code"] = device, user
	page := rig.p.follow(complete)
	if page.StatusCode != http.StatusOK || !strings.Contains(page.Body, `action="/device"`) {
		t.Errorf("the complete address: %d\n%s", page.StatusCode, page.Body)
	}
	if got := poll(device); got.Error != "authorization_pending" {
		t.Errorf("looking at the page was taken for an answer: %+v", got)
	}
	if got := poll(device); got.Error != "slow_down" {
		t.Errorf("polling at once again: %+v, want slow_down", got)
	}
	for i := range 12 {
		tried := rig.p.submit(rig.p.follow(at+"/device"), "/device", url.Values{"user_code": {"BCDF-GHJ" + string("KLMNPQRSTVWX"[i])}})
		if want := map[bool]int{true: http.StatusUnprocessableEntity, false: http.StatusTooManyRequests}[i < 10]; tried.StatusCode != want {
			t.Errorf("guess %d: %d, want %d", i+1, tried.StatusCode, want)
		}
	}
	if tried := rig.p.submit(rig.p.follow(at+"/device"), "/device", url.Values{"user_code": {user}}); tried.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right code behind ten wrong ones: %d, want 429", tried.StatusCode)
	}
}

const marker = "/a-path-that-the-log-must-show"

// secretsAtRest looks for all that was secret in the request log, in the process
// log, which is on its loudest, and in every file of the data folder.
func secretsAtRest(t *testing.T, rig *oauthRig) {
	find := func(where, text, but string) {
		for name, value := range rig.secrets {
			if name != but && strings.Contains(text, value) {
				t.Errorf("the %s is in clear in %s", name, where)
			}
		}
	}
	get(t, rig.c.c, rig.c.issuer+marker+"?code="+rig.secrets["code"]+"&token="+rig.secrets["access token"], "Referer: https://app.localhost/?code="+rig.secrets["code"],
		"Authorization: Bearer "+rig.secrets["first access token"], "User-Agent: "+rig.secrets["access token"])
	var entries string
	rig.s.await(5*time.Second, "entry in the request log", func() bool {
		entries = rig.s.local("log", "search", "--limit", "1000", "--format", "json")
		return strings.Contains(entries, marker)
	})
	find("the request log", entries, "")
	rig.s.stop()
	said := rig.s.said()
	if n := strings.Count(said, rig.secrets["setup link"]); n != 1 {
		t.Errorf("the setup link was printed %d times, want once", n)
	}
	find("the process log", said, "setup link")
	files := 0
	err := filepath.WalkDir(filepath.Join(rig.s.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		find(path, string(b), "")
		return err
	})
	if err != nil || files < 3 {
		t.Fatalf("%d files were looked at: %v", files, err)
	}
}
