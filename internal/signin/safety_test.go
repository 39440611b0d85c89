package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

func TestFormWithoutTokenIsRefused(t *testing.T) {
	h := newHouse(t)
	h.account("alice", password, "admin")
	auth := h.origin("auth.localhost")
	b := h.browser().open(auth + "/signin")
	action, good := b.fill("Sign in", "name", "alice", "password", password)
	other := h.browser().open(auth + "/signin")
	_, foreign := other.fill("Sign in")
	for _, token := range []string{"", "x", foreign.Get("form")} {
		values := maps.Clone(good)
		values.Set("form", token)
		b.post(action, values, "Origin", "null", "Sec-Fetch-Site", "same-origin")
		b.sees(403, "This page is out of date")
	}
	if b.cookie(auth, "__Host-gatehouse") != "" {
		t.Error("somebody was signed in")
	}
}

func TestPostFromAnotherSiteIsRefused(t *testing.T) {
	h := newHouse(t)
	h.account("alice", password, "admin")
	auth := h.origin("auth.localhost")
	b := h.browser().open(auth + "/signin")
	action, values := b.fill("Sign in", "name", "alice", "password", password)
	for _, from := range [][]string{
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		{"Origin", h.origin("app.localhost"), "Sec-Fetch-Site", "same-site"}, // a backend's script next door
		{"Origin", h.origin("app.localhost")},
		{"Origin", "null"}, // a sandboxed frame
		{"Origin", "null", "Sec-Fetch-Site", "cross-site"},
		{"Origin", "null", "Sec-Fetch-Site", "none"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", strings.Replace(auth, "https:", "http:", 1)},
		{"Origin", auth + ".evil.example"},
	} {
		b.post(action, values, from...).sees(403, "This came from another site")
	}
	b.post(action, values, "Origin", auth).sees(200, "Where you are signed in")
}

func TestCrossSitePostWithTheCookieRevokesNothing(t *testing.T) {
	h := newHouse(t)
	b := h.browser().alice()
	auth := h.origin("auth.localhost")
	for _, path := range []string{"/logout", "/account", "/consent", "/device"} {
		b.post(auth+path, url.Values{"session": {"x"}, "answer": {"allow"}}, "Origin", h.origin("app.localhost"), "Sec-Fetch-Site", "same-site").sees(403)
		b.post(auth+path, url.Values{"session": {"x"}, "answer": {"allow"}}).sees(403, "out of date")
	}
	b.open(auth+"/account").sees(200, "local:alice")
}

func TestFormFromBeforeASignInDoesNotWorkAfterIt(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	auth := h.origin("auth.localhost")
	h.account("alice", password, "admin")
	b.open(auth + "/signin")
	action, before := b.fill("Sign in", "name", "alice", "password", password)
	b.post(action, before, "Origin", auth).sees(200, "Where you are signed in")
	b.post(action, before, "Origin", auth).sees(200, "Where you are signed in") // goes on as who they are; proves nothing anew
	if sessions, err := h.oauth.Sessions(t.Context(), "local:alice"); err != nil || len(sessions) != 1 {
		t.Errorf("the old form opened a session: %v, %v", sessions, err)
	}
	_, mine := b.open(auth + "/logout").fill("Sign out")
	b.press("Sign out").alice()
	b.post(auth+"/logout", mine, "Origin", auth).sees(403, "out of date")
}

func TestSignInMakesANewSessionAndEndsTheOld(t *testing.T) {
	h := newHouse(t)
	auth := h.origin("auth.localhost")
	b := h.browser().alice()
	planted := b.cookie(auth, "__Host-gatehouse")
	h.account("bob", password)
	// The attacker's session is in the victim's browser; the victim signs in.
	b.open(auth+"/logout").press("Sign out").open(auth+"/signin").press("Sign in", "name", "bob", "password", password)
	if now := b.cookie(auth, "__Host-gatehouse"); now == planted || now == "" {
		t.Fatal("the session survived the sign-in")
	}
	thief := h.browser()
	thief.jar.SetCookies(must2(url.Parse(auth)), []*http.Cookie{{Name: "__Host-gatehouse", Value: planted, Secure: true, Path: "/"}})
	thief.open(auth+"/account").sees(200, "Sign in", "Password")
}

func TestTicketCountsInTheBrowserThatBeganOnly(t *testing.T) {
	h := newHouse(t)
	app := h.origin("app.localhost")
	b := h.browser().alice()
	b.stop = func(u *url.URL) bool { return u.Query().Get("ticket") != "" }
	b.open(app + "/private")
	ticket := b.header.Get("Location")
	if b.status != 303 || !strings.HasPrefix(ticket, app+"/.gatehouse/callback?ticket=") {
		t.Fatalf("got %d %s", b.status, ticket)
	}
	// Another browser gets hold of it: refused, and spent.
	h.browser().open(ticket).sees(403, "This sign-in began in another browser")
	b.stop = nil
	b.open(ticket).sees(400, "This sign-in was used already")
	// Begun anew it works, once.
	b.open(app+"/private").sees(200, "backend")
	b.open(ticket).sees(400, "used already")
}

func TestTicketForcedOnSomebodyElseSignsNobodyIn(t *testing.T) {
	h := newHouse(t)
	app := h.origin("app.localhost")
	attacker := h.browser().alice()
	attacker.stop = func(u *url.URL) bool { return u.Query().Get("ticket") != "" }
	attacker.open(app + "/")
	victim := h.browser()
	victim.stop = func(u *url.URL) bool { return strings.HasPrefix(u.Host, "auth.") }
	victim.open(app + "/") // has a start cookie of their own
	victim.open(attacker.header.Get("Location")).sees(403, "began in another browser")
	if victim.cookie(app, "__Host-gatehouse") != "" {
		t.Error("the victim has the attacker's session")
	}
}

func TestTicketOfOneHostOpensNoOther(t *testing.T) {
	h := newHouse(t, withProxy("other.localhost", func(*site.Proxy) {}))
	b := h.browser().alice()
	b.stop = func(u *url.URL) bool { return u.Query().Get("ticket") != "" }
	b.open(h.origin("app.localhost") + "/")
	stolen := strings.Replace(b.header.Get("Location"), "//app.", "//other.", 1)
	b.open(stolen).sees(400, "used already")
}

func TestReturnAddressOnAnotherHostIsRefused(t *testing.T) {
	h := newHouse(t)
	b := h.browser().alice()
	for _, path := range []string{"/.gatehouse/start?return=", "/signin?next="} {
		origin := h.origin("app.localhost")
		if strings.HasPrefix(path, "/signin") {
			origin = h.origin("auth.localhost")
		}
		for _, evil := range []string{"//evil.example", `/\evil.example`, "/%2f%2fevil.example", "https://evil.example/", "/a\r\nX: y", "javascript:alert(1)", "/.gatehouse/start"} {
			b.open(origin+path+url.QueryEscape(evil)).sees(400, "That address is not on this host")
		}
		b.open(origin + path + "/ok&" + strings.Trim(strings.SplitN(path, "?", 2)[1], "=") + "=//evil.example")
		if b.url.Hostname() != must2(url.Parse(origin)).Hostname() {
			t.Errorf("a repeated parameter led to %s", b.url)
		}
	}
}

func TestStartCanNotBeForged(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	for _, start := range []string{"x", "e30", base64.RawURLEncoding.EncodeToString([]byte(`{"name":"app.localhost","origin":"https://evil.example"}`))} {
		b.open(h.origin("auth.localhost")+"/signin?start="+start).sees(400, "This address is not complete")
	}
}

var styleTag = regexp.MustCompile(`(?s)<style>(.*?)</style>`)

func TestPagesCarryNoScriptAndAStrictPolicy(t *testing.T) {
	h := newHouse(t)
	b := h.browser().alice()
	for _, address := range []string{"/account", "/logout", "/device", "/setup?setup=x", "/signin?start=x", "/consent?request=x"} {
		b.open(h.origin("auth.localhost") + address)
		csp := b.header.Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, rule) {
				t.Errorf("%s: the policy lacks %s: %s", address, rule, csp)
			}
		}
		if strings.Contains(csp, "form-action") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
			t.Errorf("%s: %s", address, csp)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY"} {
			if got := b.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", address, name, got)
			}
		}
		if strings.Contains(b.body, "<script") || regexp.MustCompile(`\son[a-z]+=|\sstyle=`).MatchString(b.body) {
			t.Errorf("%s carries script or inline style", address)
		}
		sheet := styleTag.FindStringSubmatch(b.body)
		if sheet == nil {
			t.Fatalf("%s: no style sheet", address)
		}
		sum := sha256.Sum256([]byte(sheet[1]))
		if !strings.Contains(csp, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("%s: a browser would not apply the style sheet", address)
		}
	}
}

func TestCookiesAreForThisHostAndNoScript(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.stop = func(*url.URL) bool { return true }
	b.open(h.origin("app.localhost") + "/.gatehouse/start?return=/")
	b2 := h.browser().open(h.origin("auth.localhost") + "/signin")
	for _, line := range append(b.header.Values("Set-Cookie"), b2.header.Values("Set-Cookie")...) {
		c, err := http.ParseSetCookie(line)
		if err != nil || !strings.HasPrefix(c.Name, "__Host-gatehouse") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s (%v)", line, err)
		}
	}
	if len(b.header.Values("Set-Cookie")) != 1 || len(b2.header.Values("Set-Cookie")) != 1 {
		t.Error("expected one cookie each")
	}
}

func TestTooManyAttemptsFromOneAddressWait(t *testing.T) {
	h := newHouse(t, func(_ *house, _ *oauth.Options, o *Options, _ *[]site.Proxy) { o.RateLimits = true })
	h.account("alice", password, "admin")
	b := h.browser().open(h.origin("auth.localhost") + "/signin")
	action, values := b.fill("Sign in", "name", "alice", "password", password)
	values.Set("form", "wrong")
	for range perAddress {
		b.post(action, values, "Origin", h.origin("auth.localhost")).sees(403, "out of date")
	}
	b.post(action, values, "Origin", h.origin("auth.localhost")).sees(429, "too many attempts from your network")
	if b.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	other := h.browser()
	other.from = "192.0.2.99"
	other.alice()
}

func TestOversizedFormIsRefused(t *testing.T) {
	h := newHouse(t)
	b := h.browser().open(h.origin("auth.localhost") + "/signin")
	b.post(b.url.String(), url.Values{"name": {strings.Repeat("a", maxForm+1)}}, "Origin", h.origin("auth.localhost")).sees(413, "64 KiB")
}

func TestOtherMethodsAreRefused(t *testing.T) {
	h := newHouse(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, h.origin("auth.localhost")+"/signin", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := h.browser().client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("got %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}
