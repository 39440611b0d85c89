package test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// curl asks with the real curl, trusting the local CA, and answers status,
// challenge and body.
func (s *server) curl(url string, args ...string) (status, challenge, body string) {
	s.t.Helper()
	program := need(s.t, "curl", "Debian package curl")
	ca := filepath.Join(s.dir, "ca.pem")
	if err := os.WriteFile(ca, []byte(s.must("ca", "export")), 0o600); err != nil {
		s.t.Fatal(err)
	}
	args = append([]string{"-sS", "--cacert", ca, "-w", "\n%{http_code} %header{www-authenticate}", url}, args...)
	cmd := exec.CommandContext(s.t.Context(), program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("curl %s: %v\n%s", url, err, out)
	}
	at := strings.LastIndexByte(string(out), '\n')
	status, challenge, _ = strings.Cut(string(out[at+1:]), " ")
	return status, challenge, string(out[:at])
}

// TestTokensByCurl is a protected host as programs see it: the exact challenge,
// a token by the device flow, tokens that must not work, and revocation.
func TestTokensByCurl(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"OAUTH_USER_USERS=local:alice"}, "protect", "app.localhost", mirror(t).URL)
	p := s.person()
	p.becomeAdmin()
	p.login("--scope", "admin")
	admin := &api{s, s.token()}
	app := s.url("app.localhost", "")

	status, challenge, _ := s.curl(app + "/")
	want := `Bearer resource_metadata="` + app + `/.well-known/oauth-protected-resource", scope="user mcp"`
	if status != "401" || challenge != want {
		t.Errorf("without a token: %s with\n  %s\nwant 401 with\n  %s", status, challenge, want)
	}

	token := strings.TrimSpace(p.login("--resource", app, "--scope", "user", "--print-token"))
	bearer := "Authorization: Bearer " + token
	status, _, body := s.curl(app+"/", "-H", bearer, "-H", "X-Auth-User: local:forged")
	if status != "200" || !strings.Contains(body, `user=["local:alice"]`) || !strings.Contains(body, `authorization=""`) {
		t.Errorf("with a token: %s %s", status, body)
	}

	admin.create("other.localhost", mirror(t).URL)
	admin.do("POST", "/proxies/other.localhost/auth", `{"auth_enabled":true}`, http.StatusOK)
	status, challenge, _ = s.curl(s.url("other.localhost", "/"), "-H", bearer)
	if status != "401" || !strings.Contains(challenge, `error="invalid_token"`) {
		t.Errorf("a token for another host: %s %s", status, challenge)
	}

	admin.do("PUT", "/proxies/app.localhost", `{"auth_allowed_scopes":["mcp"]}`, http.StatusOK)
	status, challenge, _ = s.curl(app+"/", "-H", bearer)
	if status != "403" || !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, `scope="mcp"`) {
		t.Errorf("a token without the scope: %s %s", status, challenge)
	}
	admin.do("PUT", "/proxies/app.localhost", `{"auth_allowed_scopes":null}`, http.StatusOK)

	status, _, _ = s.curl(app+"/", "-H", bearer)
	if status != "200" {
		t.Errorf("the scope is not asked for any more: %s", status)
	}
	s.must("oauth", "token", "revoke", grantOf(t, s, "app.localhost"), "--force")
	status, challenge, _ = s.curl(app+"/", "-H", bearer)
	if status != "401" || !strings.Contains(challenge, `error="invalid_token"`) {
		t.Errorf("after oauth token revoke: %s %s", status, challenge)
	}
}

// TestHealthAndMetadataWithoutSignIn: health tells strangers the status alone and
// readers more; a host without sign-in says that it has no resource metadata,
// whatever its backend would say.
func TestHealthAndMetadataWithoutSignIn(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve")
	admin := s.admin()
	stranger := get(t, s.client(), s.HTTP+"/health")
	reader := get(t, s.client(), s.HTTP+"/health", "Authorization: Bearer "+admin.token)
	if strings.Contains(stranger.Body, "version") || !strings.Contains(reader.Body, `"version"`) {
		t.Errorf("a stranger reads %s, a reader %s", stranger.Body, reader.Body)
	}
	admin.create("open.localhost", mirror(t).URL)
	metadata := strings.Replace(s.HTTP, "localhost", "open.localhost", 1) + "/.well-known/oauth-protected-resource"
	if got := get(t, s.client(), metadata); got.StatusCode != http.StatusNotFound || !strings.Contains(got.Header.Get("Content-Type"), "json") {
		t.Errorf("metadata of an open host: %d %s", got.StatusCode, got.Body)
	}
	admin.do("PUT", "/proxies/open.localhost", `{"resource_override_backend":false}`, http.StatusOK)
	if got := get(t, s.client(), metadata); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "the backend saw") {
		t.Errorf("with resource_override_backend false the backend answers, not %d %s", got.StatusCode, got.Body)
	}
}

// grantOf is the id of the grant for a host's resource.
func grantOf(t *testing.T, s *server, host string) string {
	t.Helper()
	var page struct {
		Items []struct{ ID, Resource string }
	}
	decode(t, s.must("oauth", "token", "list", "--format", "json"), &page)
	for _, g := range page.Items {
		if strings.Contains(g.Resource, "//"+host) {
			return g.ID
		}
	}
	t.Fatalf("no grant for %s in %+v", host, page.Items)
	return ""
}

// TestAnotherAccountCannotActLocally shows that --local is this account's: the
// key is 0600 in a 0700 folder, and the signature counts on loopback only.
func TestAnotherAccountCannotActLocally(t *testing.T) {
	s := start(t, nil, "serve")
	s.local("proxy", "list")
	data := filepath.Join(s.dir, "data")
	for path, want := range map[string]os.FileMode{data: 0o700, filepath.Join(data, "local.key"): 0o600, filepath.Join(data, "secret.key"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	_, errs, code := s.cli("--local", "--url", "http://gatehouse.example.com", "proxy", "list")
	if code != 2 || !strings.Contains(errs, "--local") {
		t.Errorf("--local towards another machine: exit %d, %s", code, errs)
	}
}

// TestForwardAuthKnowsABrowsersSession: a trusted proxy asks /verify at the direct
// door with the cookie that its visitor sent.
func TestForwardAuthKnowsABrowsersSession(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"TRUSTED_PROXIES=127.0.0.0/8"}, "protect", "app.localhost", mirror(t).URL)
	p := s.person()
	p.becomeAdmin()
	page := p.follow(s.url("app.localhost", "/"))
	if page.StatusCode != http.StatusOK {
		t.Fatalf("not signed in: %d\n%s", page.StatusCode, page.Body)
	}
	var cookies []string
	for _, c := range p.c.Jar.Cookies(page.Request.URL) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	question := []string{"X-Forwarded-Host: app.localhost", "X-Forwarded-Proto: https", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /reports"}
	got := get(t, s.client(), s.Direct+"/verify", append(question, "Cookie: "+strings.Join(cookies, "; "))...)
	if got.StatusCode != http.StatusOK || got.Header.Get("X-Auth-User") != "local:alice" {
		t.Errorf("with the session: %d %v %s", got.StatusCode, got.Header, got.Body)
	}
	if got := get(t, s.client(), s.Direct+"/verify", question...); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("without it: %d", got.StatusCode)
	}
	if got := get(t, s.client(), s.Direct+"/proxies/", "Cookie: "+strings.Join(cookies, "; ")); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the session opened the direct door itself: %d", got.StatusCode)
	}
}
