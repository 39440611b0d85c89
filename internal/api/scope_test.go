package api

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/internal/control"
)

// concrete is a path of a pattern, with names that exist nowhere.
func concrete(pattern string) string {
	for strings.Contains(pattern, "{") {
		before, rest, _ := strings.Cut(pattern, "{")
		_, after, _ := strings.Cut(rest, "}")
		pattern = before + "none.example" + after
	}
	return pattern
}

// Whoever may not is refused before anything is read, whatever the operation.
func TestEveryOperationAsksForItsScope(t *testing.T) {
	s := start(t)
	operations := s.control.Operations()
	if len(operations) < 60 {
		t.Fatalf("only %d operations", len(operations))
	}
	for _, o := range operations {
		path := concrete(o.Pattern)
		status := func(caller string) int { return s.ask(caller, o.Method, path, "").status }
		if o.Scope == control.Public {
			if got := status(""); got != http.StatusOK {
				t.Errorf("%s is public and answers %d", o.Name, got)
			}
			continue
		}
		if got := s.ask("", o.Method, path, ""); got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), `Bearer resource_metadata="http://localhost/.well-known/oauth-protected-resource/mcp", scope="`) {
			t.Errorf("%s to nobody: %d %q", o.Name, got.status, got.header.Get("WWW-Authenticate"))
		}
		for _, caller := range []string{"mcp", "foreign", "stranger"} {
			if got := status(caller); got != http.StatusForbidden {
				t.Errorf("%s to %s: %d", o.Name, caller, got)
			}
		}
		if got := status("user"); (o.Scope == control.Admin) != (got == http.StatusForbidden) && !strings.Contains(path, "/user/none.example") {
			t.Errorf("%s (scope %s) to a user: %d", o.Name, o.Scope, got)
		}
		if o.Method != http.MethodGet && o.Scope != control.Admin {
			t.Errorf("%s changes something without admin", o.Name)
		}
	}
}

func TestExtrasAskForTheirScope(t *testing.T) {
	s := start(t)
	for _, e := range s.api.extras() {
		path := concrete(e.pattern)
		if got := s.ask("", e.method, path, ""); got.status != http.StatusUnauthorized {
			t.Errorf("%s to nobody: %d", e.pattern, got.status)
		}
		if got := s.ask("foreign", e.method, path, ""); got.status != http.StatusForbidden {
			t.Errorf("%s to an admin of another host: %d", e.pattern, got.status)
		}
	}
}

// What was refused is written down as well as what was done.
func TestAuditTellsWhoDidWhatAndHidesSecrets(t *testing.T) {
	s := start(t)
	s.must(403, s.ask("user", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1"}`))
	if e := s.journal.last(); e.Kind != "audit" || e.Action != "create_proxy" || e.User != "local:ann" || e.AuthResult != "denied" || e.Status != 403 {
		t.Fatalf("refusal: %+v", e)
	}
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1","github_client_id":"Iv1.x","github_client_secret":"hush-hush",
		"custom_headers":{"Authorization":"Basic c2VjcmV0","X-Tenant":"blue"}}`))
	e := s.journal.last()
	if e.Object != "proxy:a.localhost" || e.Door != "api" || e.User != "local:root" || e.Message != "token t1" || e.RequestID != "req-1" || e.Before != "" {
		t.Fatalf("creation: %+v", e)
	}
	if strings.Contains(e.After, "hush-hush") || strings.Contains(e.After, "c2VjcmV0") || !strings.Contains(e.After, "blue") {
		t.Fatalf("after: %s", e.After)
	}
	s.must(422, s.ask("admin", "PUT", "/proxies/a.localhost", `{"auth_mode":"open"}`))
	if e := s.journal.last(); e.Status != 422 || !strings.Contains(e.Error, "auth_mode") || e.After != "" {
		t.Fatalf("failure: %+v", e)
	}
}

// A user sees names and status, not how hosts are set up.
func TestUsersSeeNamesAndStatusOnly(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://10.1.2.3:1","custom_headers":{"X-Key":"k1"},"auth_required_users":["bob"]}`))
	s.must(201, s.ask("admin", "POST", "/routes/", `{"path_pattern":"/inner","target_value":"http://10.1.2.3:2"}`))
	for _, path := range []string{"/proxies/", "/proxies/a.localhost", "/proxies/a.localhost/status", "/routes/", "/routes/inner", "/proxies/a.localhost/routes", "/system/info", "/system/stats"} {
		got := s.must(200, s.ask("user", "GET", path, ""))
		for _, hidden := range []string{"10.1.2.3", "k1", "bob", "target", "auth_required", "place"} {
			if strings.Contains(got.body, hidden) {
				t.Errorf("%s shows a user %q: %s", path, hidden, got.body)
			}
		}
	}
	if got := s.must(200, s.ask("admin", "GET", "/proxies/a.localhost", "")); !strings.Contains(got.body, "k1") {
		t.Errorf("an administrator does not see the settings: %s", got.body)
	}
}

func TestGitHubSecretIsWriteOnlyAndSealed(t *testing.T) {
	s := start(t)
	body := `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1","github_client_id":"Iv1.x","github_client_secret":"hush-hush"}`
	made := s.must(201, s.ask("admin", "POST", "/proxies/", body))
	item, err := s.store.Get(t.Context(), "proxy:a.localhost")
	if err != nil {
		t.Fatal(err)
	}
	stored := string(item.Value)
	for what, text := range map[string]string{
		"store": stored, "answer": made.body, "show": s.ask("admin", "GET", "/proxies/a.localhost", "").body, "list": s.ask("admin", "GET", "/proxies/", "").body,
		"github": s.ask("admin", "GET", "/proxies/a.localhost/github-oauth", "").body, "export": s.ask("admin", "GET", "/config/export", "").body,
	} {
		if strings.Contains(text, "hush-hush") || (what != "store" && strings.Contains(text, "github_client_secret\":")) {
			t.Errorf("%s shows the secret: %s", what, text)
		}
	}
	if made.fields["github_configured"] != true {
		t.Errorf("not configured: %s", made.body)
	}
	s.must(200, s.ask("admin", "PUT", "/proxies/a.localhost", `{"auth_realm":"x"}`))
	again, err := s.store.Get(t.Context(), "proxy:a.localhost")
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(record string) string {
		_, rest, _ := strings.Cut(record, `"github_client_secret":"`)
		v, _, _ := strings.Cut(rest, `"`)
		return v
	}
	if sealed(stored) == "" || sealed(stored) != sealed(string(again.Value)) {
		t.Error("a change of something else changed the sealed secret")
	}
	s.must(422, s.ask("admin", "PUT", "/proxies/a.localhost", `{"github_client_secret":null}`))
	s.must(200, s.ask("admin", "DELETE", "/proxies/a.localhost/github-oauth", ""))
}
