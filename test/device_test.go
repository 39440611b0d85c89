package test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDeviceLoginInTheBrowser is `gatehouse oauth login` as people use it: the
// command prints a code, the browser takes it, shows who asks for what, and only
// the button there lets the command line in.
func TestDeviceLoginInTheBrowser(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "protect", "app.localhost", mirror(t).URL)
	s.person().becomeAdmin()
	b := open(t, s)
	app := s.url("app.localhost", "")

	login := s.background("oauth", "login", "--resource", app, "--scope", "user", "--print-token")
	s.await(20*time.Second, "device code", func() bool { return codeLine.MatchString(login.stderr.String()) || login.ended() })
	code := codeLine.FindString(login.stderr.String())
	if code == "" {
		t.Fatalf("oauth login printed no code:\n%s", login.stderr.String())
	}

	b.goTo(s.url("auth.localhost", "/device?user_code="+code))
	b.shows(s.url("auth.localhost", "/"), "Sign in")
	b.fill("name", adminName)
	b.fill("password", adminPassword)
	b.press("Sign in")
	b.shows(s.url("auth.localhost", "/device"), "Connect a device")
	b.shoot("1-code")
	if login.ended() {
		t.Fatal("the command line was let in before anybody agreed")
	}
	b.press("Continue")
	b.shows(s.url("auth.localhost", "/device"), "app.localhost")
	b.shoot("2-confirm")
	if login.ended() {
		t.Fatal("the command line was let in before anybody agreed")
	}
	b.press("Allow")
	login.wait()
	b.shoot("3-done")

	token := strings.TrimSpace(login.stdout.String())
	if got := get(t, s.trusting(), app+"/", "Authorization: Bearer "+token); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "local:alice") {
		t.Errorf("with the token: %d %s", got.StatusCode, got.Body)
	}
}
