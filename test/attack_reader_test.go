package test

import (
	"net/http"
	"strings"
	"testing"
)

// TestReaderSeesNothingOfOthers: whoever may read (user) sees names and status,
// and neither configuration, header values, nor what others did.
func TestReaderSeesNothingOfOthers(t *testing.T) {
	t.Parallel()
	backend := ticking(t)
	s := start(t, []string{"RATE_LIMITS=off", "OAUTH_USER_USERS=local:bob"}, "protect", "app.localhost", backend.URL)
	alice := s.stranger()
	alice.becomeAdmin()
	alice.follow(s.url("app.localhost", "/page-of-alice"))
	if _, errs, code := s.cliIn(bobPassword+"\n", "--local", "oauth", "user", "add", "bob", "--scopes", "user"); code != 0 {
		t.Fatalf("user add: %s", errs)
	}
	if got := s.signed(t, "PUT", "/proxies/app.localhost", `{"custom_headers":{"X-Backend-Key":"value-of-the-header"},"auth_required_emails":["carol@example.com"],"oauth_mcp_users":["local:carol"]}`); got.StatusCode != http.StatusOK {
		t.Fatalf("setting: %d %s", got.StatusCode, got.Body)
	}
	if got := s.signed(t, "POST", "/routes/", `{"route_id":"r1","path_pattern":"/r","target_value":"http://127.0.0.1:9","auth_config":{"auth_type":"oauth","allowed_users":["local:carol"]}}`); got.StatusCode != http.StatusCreated {
		t.Fatalf("route: %d %s", got.StatusCode, got.Body)
	}
	bob := s.stranger()
	bob.signIn(bob.follow(s.url("auth.localhost", "/signin")), "bob", bobPassword)
	home := s.url("auth.localhost", "")
	for _, path := range []string{"/proxies/", "/proxies/app.localhost", "/proxies/app.localhost/auth", "/proxies/app.localhost/status", "/proxies/app.localhost/routes", "/proxies/app.localhost/resource",
		"/proxies/app.localhost/oauth-server", "/proxies/app.localhost/github-oauth", "/proxy/targets/", "/proxy/targets/app.localhost", "/routes/", "/routes/r1", "/resources/", "/certificates/", "/ports/",
		"/oauth/clients", "/oauth/sessions", "/oauth/tokens", "/oauth/users/", "/oauth/consents", "/oauth/status", "/oauth/proxies", "/oauth/proxies/app.localhost/sessions", "/oauth/events/user/local:alice",
		"/tokens/", "/tokens/info", "/logs/search", "/logs/search?user=local:alice", "/logs/user/local:alice", "/logs/errors", "/logs/events", "/logs/stats", "/logs/proxy/app.localhost", "/logs/oauth", "/logs/oauth-flow",
		"/logs/oauth-debug", "/logs/ip/127.0.0.1", "/logs/path?path=/", "/logs/search?q=user:local:alice", "/logs/search?kind=audit", "/config/export", "/system/info", "/system/stats", "/system/nodes", "/openapi.json"} {
		got := get(t, bob.c, home+path)
		for _, other := range []string{"value-of-the-header", "carol", `"user":"local:alice"`, "page-of-alice", backend.URL} {
			if strings.Contains(got.Body, other) {
				t.Errorf("GET %s shows a reader %q: %d %s", path, other, got.StatusCode, around(got.Body, other))
			}
		}
	}
	for _, ask1 := range [][2]string{{"POST", "/proxies/app.localhost/explain"}, {"POST", "/logs/test"}, {"DELETE", "/logs"}, {"POST", "/oauth/key/generate"}, {"POST", "/logs/level"}, {"DELETE", "/proxies/app.localhost"}, {"PUT", "/proxies/app.localhost"}, {"POST", "/config/import"}, {"POST", "/oauth/users/"}, {"PUT", "/oauth/users/bob"}} {
		got := ask(t, bob.c, ask1[0], home+ask1[1], `{}`, "Origin: "+home, "Content-Type: application/json")
		if got.StatusCode != http.StatusForbidden && got.StatusCode != http.StatusNotFound && got.StatusCode != http.StatusMethodNotAllowed && !(ask1[1] == "/proxies/app.localhost/explain" && got.StatusCode == 422) {
			t.Errorf("%s %s by a reader: %d %s", ask1[0], ask1[1], got.StatusCode, got.Body)
		}
	}
}

func around(text, what string) string {
	i := strings.Index(text, what)
	return text[max(0, i-120):min(len(text), i+len(what)+60)]
}
