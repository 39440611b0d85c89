package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// mirror is a backend that prints the identity headers that reached it.
func mirror(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "the backend saw user=%q subject=%q authorization=%q cookie=%q path=%s",
			r.Header.Values("X-Auth-User"), r.Header.Get("X-Auth-Subject"), r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.URL.RequestURI())
	}))
	t.Cleanup(s.Close)
	return s
}

// TestNewcomerWalk is the first quarter of an hour with Gatehouse, with the real
// program and a real browser: protect a host, open it, create the administrator
// by the link that was printed, sign in, and come back to the backend's page.
func TestNewcomerWalk(t *testing.T) {
	s := start(t, nil, "protect", "app.localhost", mirror(t).URL)
	link := s.onHTTPS(s.setup())
	b := open(t, s)
	b.header("X-Auth-User", "local:forged")

	b.goTo(s.url("app.localhost", "/reports?year=2026"))
	b.shows(s.url("auth.localhost", "/"), "Sign in")
	b.shoot("1-signin")

	b.goTo(link)
	b.shows(s.url("auth.localhost", "/setup"), "Create the first administrator")
	b.fill("name", adminName)
	b.fill("password", adminPassword)
	b.fill("again", adminPassword)
	b.shoot("2-setup")
	b.press("Create administrator")
	b.shows(s.url("auth.localhost", "/signin"), "Sign in")
	b.shoot("3-created")

	b.goTo(link)
	b.shows(s.url("auth.localhost", "/setup"), "link")
	if text := b.text(); strings.Contains(text, "Create the first administrator") {
		t.Errorf("a second use of the setup link was not refused:\n%s", text)
	}
	b.shoot("4-second-use")

	b.goTo(s.url("app.localhost", "/reports?year=2026"))
	b.shows(s.url("auth.localhost", "/"), "Sign in")
	b.fill("name", adminName)
	b.fill("password", adminPassword)
	b.press("Sign in")
	b.shows(s.url("app.localhost", "/reports?year=2026"), "the backend saw")
	b.shoot("5-backend")
	text := b.text()
	if !strings.Contains(text, `user=["local:alice"]`) {
		t.Errorf("the backend was not told who asks, and by us alone:\n%s", text)
	}
	if strings.Contains(text, "gatehouse") || !strings.Contains(text, `authorization=""`) {
		t.Errorf("a credential of ours reached the backend:\n%s", text)
	}
}

// TestDemoNeedsNothingElse is the very first command of the README.
func TestDemoNeedsNothingElse(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "protect", "app.localhost", "internal:demo")
	p := s.person()
	p.becomeAdmin()
	page := p.follow(s.url("app.localhost", "/"))
	if page.StatusCode != http.StatusOK || !strings.Contains(page.Body, "local:alice") {
		t.Errorf("the demo page: %d\n%s", page.StatusCode, page.Body)
	}
	if strings.Contains(page.Body, "gatehouse=") || !strings.Contains(page.Body, "X-Forwarded-Proto") {
		t.Errorf("the demo page shows other headers than a backend would get:\n%s", page.Body)
	}
	for _, bare := range []string{"auth.localhost", "localhost"} {
		if home := p.follow(s.url(bare, "/")); home.StatusCode != http.StatusOK || !strings.Contains(home.Body, "Connected") && !strings.Contains(home.Body, "alice") {
			t.Errorf("the bare address of %s: %d\n%s", bare, home.StatusCode, home.Body)
		}
	}
}
