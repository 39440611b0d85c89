package test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBehindNginx and TestBehindCaddy: another proxy serves the host, asks
// /verify with the documented configuration, and all that a host behind Gatehouse
// itself promises holds.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	behind(t, nginx(t))
}

// TestBehindCaddy is TestBehindNginx with Caddy.
func TestBehindCaddy(t *testing.T) {
	t.Parallel()
	behind(t, caddy(t))
}

func behind(t *testing.T, f *front) {
	alice := f.browser()
	f.admin(alice)
	f.anonymous()
	f.signedIn(alice)
	access := f.token(alice)
	f.withToken(access)
	f.upgrades(alice, access)
	f.spoofed(access)
	f.pathTricks()
	f.strangers(access)
	f.refusedPerson(alice)
	f.revoked(access)
}

const forgedName = "X-Auth-User: local:forged"

// anonymous: an API client gets the exact challenge, an open path works, and the
// names that a client gives itself never arrive.
func (f *front) anonymous() {
	t, c := f.t, f.browser().c
	got := get(t, c, f.app("/reports"))
	want := `Bearer resource_metadata="` + f.app("/.well-known/oauth-protected-resource") + `", scope="user mcp"`
	if got.StatusCode != http.StatusUnauthorized || got.Header.Get("Www-Authenticate") != want {
		t.Errorf("a program: %d %v, want %s", got.StatusCode, got.Header, want)
	}
	open := saw(t, get(t, c, f.app("/open/x?y=z"), forgedName, "x-auth-scopes: admin", "X-Auth-Subject: local:forged", "X-Auth-Email: a@b.example", "X-Auth-Client-Id: x", "X_Auth_User: local:forged"))
	for name, values := range open.Headers {
		if strings.HasPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "x-auth-") {
			t.Errorf("the backend was told %s: %v by a client", name, values)
		}
	}
	if open.URI != "/open/x?y=z" {
		t.Errorf("the backend got %s", open.URI)
	}
	if got := get(t, c, f.url("auth.example.test", "/health")); got.StatusCode != http.StatusOK {
		t.Errorf("the sign-in host: %d", got.StatusCode)
	}
	for _, path := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"} {
		if got := get(t, c, f.app(path)); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"`+f.app("")+`"`) {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.Body)
		}
	}
}

// signedIn: a browser is sent to sign in and comes back to the page it wanted.
func (f *front) signedIn(p *person) {
	t := f.t
	wanted := f.app("/reports?year=2026&x=%2F")
	first := get(t, p.c, wanted, "Accept: text/html")
	if first.StatusCode != http.StatusSeeOther || !strings.HasPrefix(first.Header.Get("Location"), f.app("/.gatehouse/start?return=")) {
		t.Fatalf("a browser: %d %v", first.StatusCode, first.Header)
	}
	page := p.follow(wanted)
	if strings.Contains(page.Body, `name="password"`) {
		page = p.signIn(page, adminName, adminPassword)
	}
	if page.Request.URL.String() != wanted {
		t.Errorf("came back to %s, not %s", page.Request.URL, wanted)
	}
	got := saw(t, page)
	if got.URI != "/reports?year=2026&x=%2F" || fmt.Sprint(got.Headers["X-Auth-User"]) != "[local:alice]" || got.Headers.Get("X-Auth-Subject") != "local:alice" {
		t.Errorf("the backend saw %+v", got)
	}
	got = saw(t, get(t, p.c, f.app("/"), forgedName, "Cookie: theme=dark; lang=en"))
	if fmt.Sprint(got.Headers["X-Auth-User"]) != "[local:alice]" {
		t.Errorf("a forged name beside a session: %v", got.Headers["X-Auth-User"])
	}
	if cookie := got.Headers.Get("Cookie"); strings.Contains(cookie, "gatehouse") || !strings.Contains(cookie, "theme=dark") || !strings.Contains(cookie, "lang=en") {
		t.Errorf("the backend got the cookies %q", cookie)
	}
	body := strings.Repeat("all of it ", 20000)
	if got := saw(t, ask(t, p.c, "POST", f.app("/form"), body, "Origin: "+f.app(""))); got.Method != "POST" || got.Body != body {
		t.Errorf("a POST arrived as %s with %d of %d bytes", got.Method, len(got.Body), len(body))
	}
	if got := ask(t, p.c, "POST", f.app("/form"), body, "Origin: https://evil.example"); got.StatusCode != http.StatusForbidden {
		t.Errorf("a POST from another site: %d", got.StatusCode)
	}
	if got := ask(t, p.c, "POST", f.app("/form"), "x", "X-Forwarded-Method: GET", "X-Original-Method: GET", "X-HTTP-Method-Override: GET"); got.StatusCode != http.StatusForbidden {
		t.Errorf("a POST without Origin that calls itself GET: %d", got.StatusCode)
	}
}

func (f *front) withToken(access string) {
	t, c := f.t, f.browser().c
	got := saw(t, get(t, c, f.app("/api"), "Authorization: Bearer "+access, forgedName))
	if fmt.Sprint(got.Headers["X-Auth-User"]) != "[local:alice]" || got.Headers.Get("X-Auth-Scopes") != "user" || got.Headers.Get("X-Auth-Client-Id") == "" {
		t.Errorf("the backend saw %v", got.Headers)
	}
	if got.Headers.Get("Authorization") != "" {
		t.Error("the token reached the backend")
	}
	if got := saw(t, ask(t, c, "POST", f.app("/api"), `{"a":1}`, "Authorization: Bearer "+access)); got.Body != `{"a":1}` {
		t.Errorf("the body arrived as %q", got.Body)
	}
	bad := get(t, c, f.app("/api"), "Authorization: Bearer "+access+"x", "Accept: text/html")
	if bad.StatusCode != http.StatusUnauthorized || !strings.Contains(bad.Header.Get("Www-Authenticate"), `error="invalid_token"`) || bad.Header.Get("Location") != "" {
		t.Errorf("a bad token: %d %v", bad.StatusCode, bad.Header)
	}
}

// upgrades: WebSockets and event streams pass, for those who may.
func (f *front) upgrades(p *person, access string) {
	t := f.t
	f.events(p)
	f.events(f.browser(), "Authorization: Bearer "+access)
	shake := func(headers string) (*wire, answer) {
		w := f.dial("app.example.test")
		w.send("GET /ws HTTP/1.1\r\nHost: app.example.test:" + f.port + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + headers + "\r\n")
		res, err := http.ReadResponse(w.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		return w, answer{res, ""}
	}
	w, got := shake("Authorization: Bearer " + access + "\r\n")
	if got.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("a WebSocket with a token: %d", got.StatusCode)
	}
	w.send("ping over the socket")
	back := make([]byte, len("ping over the socket"))
	if _, err := io.ReadFull(w.in, back); err != nil || string(back) != "ping over the socket" {
		t.Errorf("the WebSocket said %q: %v", back, err)
	}
	u, err := url.Parse(f.app("/"))
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, c := range p.c.Jar.Cookies(u) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	cookie := "Cookie: " + strings.Join(cookies, "; ") + "\r\n"
	for headers, want := range map[string]int{"": 401, cookie: 403, cookie + "Origin: https://evil.example\r\n": 403, cookie + "Origin: " + f.app("") + "\r\n": 101} {
		if _, got := shake(headers); got.StatusCode != want {
			t.Errorf("a WebSocket with %q: %d, want %d", headers, got.StatusCode, want)
		}
	}
}

// spoofed: what a client says in the headers by which proxies ask decides nothing.
func (f *front) spoofed(access string) {
	t := f.t
	before := f.backend.reached.Load()
	for _, headers := range [][]string{
		{"X-Forwarded-Uri: /open/x"}, {"X-Original-Uri: /open/x"}, {"X-Original-Url: https://app.example.test/open/x"}, {"X-Rewrite-Url: /open/x"},
		{"X-Forwarded-Uri: /open/x", "X-Forwarded-Uri: /open/x"}, {"X-Forwarded-Host: other.example.test"}, {"X-Forwarded-Host: auth.example.test", "X-Forwarded-Uri: /health"},
		{"X-Forwarded-Method: OPTIONS"}, {"X-Forwarded-Proto: http"}, {"X-Forwarded-For: 127.0.0.1", "X-Real-Ip: 127.0.0.1"}, {"X_Forwarded_Uri: /open/x"},
		{"Forwarded: host=other.example.test;proto=http;for=127.0.0.1"}, {"Connection: X-Forwarded-Uri, X-Forwarded-Host"}, {"X-Auth-User: local:alice"}, {"Remote-User: local:alice"},
	} {
		if got := f.raw("/admin", headers...); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v: %d", headers, got.StatusCode)
		}
	}
	if n := f.backend.reached.Load() - before; n != 0 {
		t.Errorf("%d of them reached the backend", n)
	}
	got := saw(t, f.raw("/admin", "Authorization: Bearer "+access, "Connection: X-Auth-User, X-Auth-Scopes"))
	if got.Headers.Get("X-Auth-User") != "local:alice" {
		t.Errorf("a client took the name away: %v", got.Headers)
	}
}

// raw asks for a path of the app by HTTP/1.1, byte for byte.
func (f *front) raw(path string, headers ...string) answer {
	f.t.Helper()
	w := f.dial("app.example.test")
	w.send(strings.Join(append([]string{"GET " + path + " HTTP/1.1", "Host: app.example.test:" + f.port}, headers...), "\r\n") + "\r\n\r\n")
	return w.read()
}

// pathTricks: however a path is written, an open path opens no more behind the
// front than Gatehouse alone would open.
func (f *front) pathTricks() {
	t := f.t
	for _, path := range []string{
		"/open/../admin", "/open/%2e%2e/admin", "/open/.%2e/admin", "/open%2f..%2fadmin", "/open/..%2fadmin", "//open/x", "/open//x", "/./open/x", "/open/./x",
		"/open/..;/admin", "/open/..\\admin", "/open/%5c..%5cadmin", "/open/..%5c..%5cadmin", "/open/%252e%252e/admin", "/open/%00", "/open/..%00/admin", "/OPEN/x", "/open", "/openx",
		"/open/%c0%ae%c0%ae/admin", "/open/%ef%bc%8e%ef%bc%8e/admin", "/admin?/../open/x", "/admin#/open/x", "/admin?x=/open/%0d%0aX-Forwarded-Uri:%20/open/x", "/x/../open/y",
		"/admin/..%2f..%2fopen/x", "http://app.example.test/admin", "http://evil.example/admin",
	} {
		before := f.backend.reached.Load()
		got := f.raw(path)
		if f.backend.reached.Load() != before || got.StatusCode == http.StatusOK && got.Body != "" { // Caddy says 200 and nothing for hosts that it does not know
			t.Errorf("%s: %d %s", path, got.StatusCode, got.Body)
		}
	}
}

// strangers: hosts that are not ours, and everybody but the front at /verify.
func (f *front) strangers(access string) {
	t := f.t
	before := f.backend.reached.Load()
	w := f.dial("app.example.test")
	w.send("GET /open/x HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer " + access + "\r\nConnection: close\r\n\r\n")
	got := w.read()
	if f.backend.reached.Load() != before || strings.Contains(got.Body, "local:alice") {
		t.Errorf("another host's name: %d %s", got.StatusCode, got.Body)
	}
	for _, path := range []string{"/gatehouse-verify", "/verify"} {
		if got := get(t, f.browser().c, f.app(path), "X-Forwarded-Uri: /open/x"); got.StatusCode != http.StatusNotFound && got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s from outside: %d %s", path, got.StatusCode, got.Body)
		}
	}
	if got := get(t, f.browser().c, f.url("auth.example.test", "/verify"), "X-Forwarded-Host: app.example.test", "X-Forwarded-Uri: /open/x", "X-Forwarded-Method: GET"); got.StatusCode != http.StatusNotFound {
		t.Errorf("the sign-in host's /verify from outside: %d %v", got.StatusCode, got.Header)
	}
}

// refusedPerson: who is signed in and no longer listed gets 403, not another round
// of signing in.
func (f *front) refusedPerson(p *person) {
	t := f.t
	f.s.signed(t, "PUT", "/proxies/app.example.test", `{"auth_required_users":["local:bob"]}`)
	for _, accept := range []string{"text/html", "application/json"} {
		if got := get(t, p.c, f.app("/"), "Accept: "+accept); got.StatusCode != http.StatusForbidden || got.Header.Get("Location") != "" || got.Header.Get("Www-Authenticate") != "" {
			t.Errorf("not listed: %d %v", got.StatusCode, got.Header)
		}
	}
	f.s.signed(t, "PUT", "/proxies/app.example.test", `{"auth_required_users":["*"]}`)
	if got := get(t, p.c, f.app("/")); got.StatusCode != http.StatusOK {
		t.Errorf("listed again: %d", got.StatusCode)
	}
	var log struct {
		Logs []struct {
			Kind, Action, Proxy, User, Path string
			Reason                          string `json:"auth_reason"`
		}
	}
	decode(t, f.s.local("log", "search", "--kind", "oauth", "--proxy", "app.example.test", "--limit", "500", "--format", "json"), &log)
	for _, e := range log.Logs {
		if e.Action == "verify" && e.User == "local:alice" && e.Path == "/" && e.Reason == "user_not_listed" {
			return
		}
	}
	t.Errorf("the refusal is not in the log under its host and with its reason")
}

// revoked: a token that was revoked is refused with the next request.
func (f *front) revoked(access string) {
	t, c := f.t, f.browser().c
	var page struct {
		Items []struct{ ID, Resource string }
	}
	decode(t, f.s.local("oauth", "token", "list", "--format", "json"), &page)
	for _, g := range page.Items {
		if g.Resource == f.app("") {
			f.s.local("oauth", "token", "revoke", g.ID, "--force")
		}
	}
	if got := get(t, c, f.app("/api"), "Authorization: Bearer "+access); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", got.StatusCode)
	}
}

// TestFrontsHandTheRenewedCookieOn: what /verify sets reaches the browser, and the
// backend's own cookies beside it; it does not reach the backend.
func TestFrontsHandTheRenewedCookieOn(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*testing.T, ...func(*front)) *front{"nginx": nginx, "caddy": caddy} {
		t.Run(name, func(t *testing.T) {
			f := begin(t, (*front).renewing)
			got := get(t, f.browser().c, f.app("/open/x"), "X-Gatehouse-Cookie: evil=1")
			if set := fmt.Sprint(got.Header.Values("Set-Cookie")); !strings.Contains(set, "__Host-gatehouse=renewed; Path=/; Secure") || !strings.Contains(set, "own=1") || strings.Contains(set, "evil") {
				t.Errorf("the browser was told %s", set)
			}
			if told := fmt.Sprint(saw(t, got).Headers); strings.Contains(told, "renewed") {
				t.Errorf("the backend was told %s", told)
			}
		})
	}
}

// TestBrowserSignsInBehindNginx is the walk of a newcomer whose page another proxy
// serves: there, to the sign-in host, and back to the page that was wanted.
func TestBrowserSignsInBehindNginx(t *testing.T) {
	t.Parallel()
	f := nginx(t)
	b := open(t, f.s, chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("host-resolver-rules", "MAP *.example.test 127.0.0.1"))
	b.goTo(f.s.setup())
	b.fill("name", adminName)
	b.fill("password", adminPassword)
	b.fill("again", adminPassword)
	b.press("Create administrator")
	b.shows(f.url("auth.example.test", "/signin"), "Sign in")
	b.goTo(f.app("/reports?year=2026"))
	b.shows(f.url("auth.example.test", "/signin"), "Sign in")
	b.fill("name", adminName)
	b.fill("password", adminPassword)
	b.press("Sign in")
	b.shows(f.app("/reports?year=2026"), `"local:alice"`)
	if text := b.text(); strings.Contains(text, "gatehouse=") {
		t.Errorf("the session reached the backend:\n%s", text)
	}
}
