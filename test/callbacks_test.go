package test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// TestConsentReachesEveryKindOfCallback allows an application in a real browser,
// whose policies decide where a form may lead: to a site, to a site that leads
// on, to a program on this computer, and to an app by a scheme of its own. The
// sign-in stands before the first of them.
func TestConsentReachesEveryKindOfCallback(t *testing.T) {
	t.Parallel()
	var site string
	landing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/onward" {
			http.Redirect(w, r, site+"/landed?"+r.URL.RawQuery, http.StatusFound)
			return
		}
		fmt.Fprintf(w, "arrived with %s", r.URL.RawQuery)
	})
	client, program := httptest.NewServer(landing), httptest.NewServer(landing)
	t.Cleanup(client.Close)
	t.Cleanup(program.Close)
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "app.localhost", mirror(t).URL)
	s.local("proxy", "create", "client.localhost", client.URL)
	s.local("proxy", "create", "other.localhost", client.URL)
	site = s.url("other.localhost", "")
	s.person().becomeAdmin()
	b := open(t, s)
	tried := b.requests()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(program.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}

	for i, c := range []struct{ registered, sent, arrives string }{
		{s.url("client.localhost", "/callback"), "", s.url("client.localhost", "/callback")},
		{s.url("client.localhost", "/onward"), "", site + "/landed"},
		{"http://127.0.0.1/callback", "http://127.0.0.1:" + port + "/callback", "http://127.0.0.1:" + port + "/callback"},
		{"http://localhost/callback", "http://localhost:" + port + "/callback", "http://localhost:" + port + "/callback"},
		{"com.example.app:/callback", "", "com.example.app:/callback"},
		{"cursor://anysphere.cursor-mcp/oauth/callback", "", "cursor://anysphere.cursor-mcp/oauth/callback"},
	} {
		app := s.register(t, "app.localhost", c.registered)
		if c.sent != "" {
			app.redirect = c.sent
		}
		b.goTo(app.request(url.Values{"redirect_uri": {app.redirect}}))
		if i == 0 {
			b.shows(s.url("auth.localhost", "/signin"), "attack")
			b.fill("name", adminName)
			b.fill("password", adminPassword)
			b.press("Sign in")
		}
		b.shows(s.url("auth.localhost", "/consent"), "Allow attack?")
		b.press("Allow")
		if strings.HasPrefix(c.arrives, "http") {
			b.shows(c.arrives, "code=")
		}
		var code string
		s.await(15*time.Second, "the browser at "+c.arrives, func() bool {
			code = tried.code(c.arrives)
			return code != ""
		})
		if got, made := app.exchange(code, url.Values{"redirect_uri": {app.redirect}}); made.Access == "" {
			t.Errorf("%s: the code gave no token: %d %s", c.arrives, got.StatusCode, got.Body)
		}
	}
}

// TestPagesForPeopleRefuseFrames: no page that asks something of somebody shows
// inside another's, where its buttons could be covered (RFC 9700, section 4.16).
func TestPagesForPeopleRefuseFrames(t *testing.T) {
	t.Parallel()
	var home, handle string
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><p>the frame is below</p>")
		for _, path := range []string{"/consent?request=" + handle, "/device", "/account", "/signin?switch=1", "/logout"} {
			fmt.Fprintf(w, `<iframe src="%s%s"></iframe>`, home, path)
		}
	}))
	t.Cleanup(hostile.Close)
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "app.localhost", hostile.URL, "--mode", "redirect")
	home = s.url("auth.localhost", "")
	s.person().becomeAdmin()
	c := s.register(t, "app.localhost", "https://evil.test/back")
	began, err := get(t, c.c, c.request(nil)).Location()
	if err != nil {
		t.Fatal(err)
	}
	handle = began.Query().Get("request")
	b := open(t, s)
	b.goTo(s.url("app.localhost", "/"))
	b.shows(home, "Sign in")
	b.fill("name", adminName)
	b.fill("password", adminPassword)
	b.press("Sign in")
	b.shows(s.url("app.localhost", "/"), "the frame is below")
	tried := b.requests()
	b.goTo(s.url("app.localhost", "/again"))
	s.await(15*time.Second, "refusal of all five frames", func() bool { return tried.refused() == 5 })
	b.goTo(home + "/consent?request=" + url.QueryEscape(handle))
	b.shows(home+"/consent", "Allow attack?") // by itself it shows, still unanswered
}

// requests are what a browser tried to load.
type requests struct {
	mu      sync.Mutex // guards all below
	tried   []string
	by      map[network.RequestID]string
	blocked map[string]bool // addresses that a policy of theirs kept from being shown
}

// requests notes from now on what the browser tries to load.
func (b *browser) requests() *requests {
	b.t.Helper()
	r := &requests{by: map[network.RequestID]string{}, blocked: map[string]bool{}}
	b.header("X-Test", "1") // switches the network domain on
	if err := chromedp.Listen(b.ctx, r.note); err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (r *requests) note(ev any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		r.tried = append(r.tried, e.Request.URL)
		r.by[e.RequestID] = e.Request.URL
	case *network.EventLoadingFailed:
		if strings.Contains(e.ErrorText, "BLOCKED_BY_RESPONSE") || strings.Contains(string(e.BlockedReason), "csp") {
			r.blocked[r.by[e.RequestID]] = true
		}
	}
}

// refused is how many addresses were kept from being shown.
func (r *requests) refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.blocked, "") // asked for before anybody looked
	return len(r.blocked)
}

// code is what was brought to an address; empty when the browser did not try it.
func (r *requests) code(address string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tried := range slices.Backward(r.tried) {
		if u, err := url.Parse(tried); err == nil && strings.HasPrefix(tried, address) && u.Query().Get("code") != "" {
			return u.Query().Get("code")
		}
	}
	return ""
}
