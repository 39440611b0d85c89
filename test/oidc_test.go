package test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openID is a real OpenID provider: npm's oidc-provider, with its own pages.
type openID struct {
	t      *testing.T
	Issuer string `json:"issuer"`
}

// startOpenID starts one. It serves only after it was told its people.
func startOpenID(t *testing.T) *openID {
	t.Helper()
	node := need(t, "node", "Debian package nodejs")
	dir, err := filepath.Abs("npm")
	if err != nil {
		t.Fatal(err)
	}
	needFolder(t, filepath.Join(dir, "node_modules", "oidc-provider"), "npm ci in test/npm; scripts/test does it")
	cmd := exec.CommandContext(t.Context(), node, filepath.Join(dir, "oidc-provider.mjs"))
	cmd.Dir = dir
	stdin, err := cmd.StdinPipe() // it ends with its stdin
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the OpenID provider said:\n%s", stderr.String())
		}
	})
	o := &openID{t: t}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || json.Unmarshal([]byte(line), o) != nil || o.Issuer == "" {
		t.Fatalf("the OpenID provider does not start: %q %v\n%s", line, err, stderr.String())
	}
	return o
}

// needFolder is need for what is installed as a folder.
func needFolder(t *testing.T, path, how string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
		t.Fatalf("%s is not here and nothing may be skipped (%s)", path, how)
	}
	t.Skipf("%s is not here (%s)", path, how)
}

// knows tells the provider where its client may be answered and who its people are.
func (o *openID) knows(s *server, accounts map[string]map[string]any) {
	o.t.Helper()
	body, err := json.Marshal(map[string]any{"redirect_uris": []string{s.url("auth.localhost", "/callback")}, "accounts": accounts})
	if err != nil {
		o.t.Fatal(err)
	}
	if got := ask(o.t, http.DefaultClient, "POST", o.Issuer+"/configure", string(body)); got.StatusCode != http.StatusOK {
		o.t.Fatalf("%d %s", got.StatusCode, got.Body)
	}
}

func withOpenID(t *testing.T) (*server, *openID) {
	t.Helper()
	o := startOpenID(t)
	s := start(t, []string{"OIDC_ISSUER=" + o.Issuer, "OIDC_CLIENT_ID=gatehouse", "OIDC_CLIENT_SECRET=a secret of at least 32 characters, for tests", "OIDC_NAME=Example ID",
		"OAUTH_ADMIN_USERS=oidc:alice@example.com"},
		"protect", "app.localhost", mirror(t).URL, "--allow", "oidc:alice@example.com")
	return s, o
}

// signIn goes through the provider's own pages.
func (o *openID) signIn(b *browser, login string) {
	o.t.Helper()
	b.shows(o.Issuer+"/interaction/", "Sign-in")
	b.fill("login", login)
	b.fill("password", "any will do")
	b.press("Sign-in")
	b.shows(o.Issuer+"/interaction/", "Continue")
	b.press("Continue")
}

// TestOpenIDSignIn is people of a real OpenID provider in a real browser: down at
// first; an address that nobody verified opens nothing; who is listed comes in; a
// group opens a host; and a program on the person's terminal is let in by them.
func TestOpenIDSignIn(t *testing.T) {
	t.Parallel()
	s, o := withOpenID(t)
	if said := s.said(); strings.Contains(said, "/setup?") {
		t.Error("a setup link was printed although people can sign in by OpenID Connect")
	}
	b := open(t, s)
	b.goTo(s.url("app.localhost", "/"))
	b.shows(s.url("auth.localhost", "/signin"), "Continue with Example ID")
	b.press("Continue with Example ID")
	b.shows(s.url("auth.localhost", "/signin"), "Example ID does not answer")

	people := map[string]map[string]any{
		"m-1": {"email": "alice@example.com", "email_verified": false, "preferred_username": "alice@example.com", "name": "Mallory"},
		"a-1": {"email": "alice@example.com", "email_verified": true, "name": "Alice Example", "groups": []string{"staff"}},
	}
	o.knows(s, people)
	s.await(20*time.Second, "the provider's login", func() bool { // a failed discovery is not repeated within a second
		b.press("Try again")
		b.shows(s.url("auth.localhost", "/signin"), "Continue with Example ID")
		b.press("Continue with Example ID")
		s.await(10*time.Second, "an answer", func() bool {
			return strings.HasPrefix(b.address(), o.Issuer) || strings.Contains(b.text(), "does not answer")
		})
		return strings.HasPrefix(b.address(), o.Issuer)
	})
	o.signIn(b, "m-1")
	b.shows(s.url("auth.localhost", "/"), "No access to app.localhost")
	if strings.Contains(b.text(), "oidc:alice") {
		t.Fatalf("an address that nobody verified names somebody:\n%s", b.text())
	}
	b.shoot("refused")

	b.press("Use another account")
	b.shows(s.url("auth.localhost", "/signin"), "Continue with Example ID")
	b.press("Continue with Example ID")
	o.signIn(b, "a-1") // the provider asks anew
	b.shows(s.url("app.localhost", "/"), `user=["oidc:alice@example.com"]`)
	if want := `subject="oidc:` + o.Issuer + `#a-1"`; !strings.Contains(b.text(), want) {
		t.Errorf("the backend was not told %s:\n%s", want, b.text())
	}

	login := s.background("oauth", "login", "--scope", "admin", "--print-token")
	s.await(20*time.Second, "device code", func() bool { return codeLine.MatchString(login.stderr.String()) || login.ended() })
	b.goTo(s.url("auth.localhost", "/device?user_code="+codeLine.FindString(login.stderr.String())))
	b.shows(s.url("auth.localhost", "/device"), "Connect a device")
	b.press("Continue")
	b.shows(s.url("auth.localhost", "/device"), "Signed in as oidc:alice@example.com")
	b.press("Allow")
	login.wait()
	token := strings.TrimSpace(login.stdout.String())
	if got := get(t, s.client(), s.Direct+"/tokens/info", "Authorization: Bearer "+token); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "oidc:alice@example.com") {
		t.Errorf("with the token: %d %s", got.StatusCode, got.Body)
	}
	if list := s.local("oauth", "github-login", "list"); !strings.Contains(list, "oidc:alice@example.com") {
		t.Errorf("the bound name is not listed: %s", list)
	}

	s.local("proxy", "create", "wiki.localhost", mirror(t).URL, "--auth", "--mode", "redirect")
	s.local("proxy", "auth", "config", "wiki.localhost", "--allow-group", "staff", "--allow", "local:nobody")
	b.goTo(s.url("wiki.localhost", "/"))
	b.shows(s.url("auth.localhost", "/"), "No access to wiki.localhost") // groups were not asked for at that sign-in
	b.press("Use another account")
	b.shows(s.url("auth.localhost", "/signin"), "Continue with Example ID")
	b.press("Continue with Example ID")
	o.signIn(b, "a-1")
	b.shows(s.url("wiki.localhost", "/"), `user=["oidc:alice@example.com"]`)
}
