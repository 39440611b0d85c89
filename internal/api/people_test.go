package api

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/store"
)

func TestLocalAccountsLiveThroughTheAPI(t *testing.T) {
	s := start(t)
	made := s.must(201, s.ask("admin", "POST", "/oauth/users/", `{"name":"Ann","password":"long enough for all","scopes":["user"],"email":"ann@example.com"}`))
	if made.fields["name"] != "ann" || made.fields["user"] != "local:ann" || strings.Contains(made.body, "hash") {
		t.Errorf("%s", made.body)
	}
	s.must(409, s.ask("admin", "POST", "/oauth/users/", `{"name":"ann","password":"long enough for all"}`))
	if got := s.must(200, s.ask("admin", "PUT", "/oauth/users/ann", `{"scopes":["admin","mcp"]}`)); len(got.fields["scopes"].([]any)) != 2 || got.fields["email"] != "ann@example.com" {
		t.Errorf("%s", got.body)
	}
	changed := s.must(200, s.ask("admin", "PUT", "/oauth/users/ann", `{"password":"another one, as long","email":""}`))
	if changed.fields["password_since"] == made.fields["password_since"] || changed.fields["email"] != nil {
		t.Errorf("%s", changed.body)
	}
	s.must(422, s.ask("admin", "PUT", "/oauth/users/ann", `{"password":"short"}`))
	if got := s.must(200, s.ask("admin", "GET", "/oauth/users", "")); len(got.fields["items"].([]any)) != 1 {
		t.Errorf("%s", got.body)
	}
	s.must(200, s.ask("admin", "DELETE", "/oauth/users/ann", ""))
	s.must(404, s.ask("admin", "PUT", "/oauth/users/ann", `{}`))
	for _, e := range s.journal.entries {
		if text := e.Before + e.After + e.Error; strings.Contains(text, "long enough") || strings.Contains(text, "as long") || strings.Contains(text, "hash") {
			t.Errorf("the audit log has a password: %s", text)
		}
	}
}

// seed stores records as the authorization server writes them.
func seed[T any](s *system, prefix, name string, v T) {
	s.t.Helper()
	if _, err := store.NewTable[T](s.store, prefix, "record").Put(s.t.Context(), name, v, time.Hour); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) people() {
	now := time.Now()
	for _, who := range []string{"ann", "bob"} {
		person := oauth.Person{Subject: "local:" + who, User: "local:" + who, Token: []byte("provider-token"), AuthTime: now}
		seed(s, "oauth:grant:", "g-"+who, oauth.Grant{ID: "g-" + who, Issuer: "https://auth.localhost", ClientID: "c1", Person: person, Resource: "https://auth.localhost/mcp",
			Scopes: []string{"user"}, CreatedAt: now, Branches: []oauth.Branch{{Hash: "secret-hash", At: now}}})
		seed(s, "oauth:session:", "s-"+who, oauth.Session{ID: "s-" + who, Host: "auth.localhost", Origin: "https://auth.localhost", Person: person, CreatedAt: now, LastSeen: now})
		seed(s, "oauth:consent:", "local:"+who+":c1", oauth.Consent{Subject: "local:" + who, User: "local:" + who, ClientID: "c1", ClientName: "App"})
	}
	seed(s, "oauth:client:", "c1", oauth.Client{ID: "c1", Issuer: "https://auth.localhost", Name: "App", SecretHash: "secret-hash", RegistrationKey: "secret-hash", CreatedAt: now})
}

func TestPeopleSeeTheirOwnGrantsSessionsAndConsents(t *testing.T) {
	s := start(t)
	s.people()
	for _, path := range []string{"/tokens/", "/oauth/sessions", "/oauth/consents"} {
		own, all := s.must(200, s.ask("user", "GET", path, "")), s.must(200, s.ask("admin", "GET", path, ""))
		if strings.Contains(own.body, "bob") || !strings.Contains(own.body, "local:ann") {
			t.Errorf("%s shows a user %s", path, own.body)
		}
		if !strings.Contains(all.body, "local:bob") || !strings.Contains(all.body, "local:ann") {
			t.Errorf("%s shows an administrator %s", path, all.body)
		}
	}
	for _, path := range []string{"/tokens/", "/oauth/sessions", "/oauth/consents", "/oauth/clients", "/oauth/clients/c1", "/oauth/clients/c1/tokens", "/oauth/tokens", "/oauth/tokens/g-bob", "/oauth/proxies/auth.localhost/sessions"} {
		if got := s.must(200, s.ask("admin", "GET", path, "")); strings.Contains(got.body, "secret-hash") || strings.Contains(got.body, "provider-token") {
			t.Errorf("%s shows a secret: %s", path, got.body)
		}
	}
	info := s.must(200, s.ask("user", "GET", "/tokens/info", ""))
	if info.fields["user"] != "local:ann" || info.fields["grant_id"] != "g1" || info.fields["expires_at"] != nil {
		t.Errorf("%s", info.body)
	}
}

func TestAdministratorsEndGrantsSessionsClientsAndConsents(t *testing.T) {
	s := start(t)
	s.people()
	s.must(200, s.ask("admin", "DELETE", "/tokens/g-ann", ""))
	s.must(404, s.ask("admin", "GET", "/oauth/tokens/g-ann", ""))
	s.must(200, s.ask("admin", "DELETE", "/oauth/sessions/s-ann", ""))
	s.must(404, s.ask("admin", "DELETE", "/oauth/sessions/s-ann", ""))
	s.must(200, s.ask("admin", "DELETE", "/oauth/consents?subject=local:ann&client_id=c1", ""))
	if got := s.must(200, s.ask("admin", "GET", "/oauth/consents", "")); strings.Contains(got.body, "local:ann") || !strings.Contains(got.body, "local:bob") {
		t.Errorf("%s", got.body)
	}
	s.must(200, s.ask("admin", "DELETE", "/oauth/clients/c1", ""))
	if got := s.must(200, s.ask("admin", "GET", "/oauth/tokens", "")); strings.Contains(got.body, "g-bob") {
		t.Errorf("a deleted client keeps its grants: %s", got.body)
	}
}

func TestSigningKeysAreMadeAndShown(t *testing.T) {
	s := start(t)
	before := s.must(200, s.ask("user", "GET", "/oauth/health", ""))
	made := s.must(200, s.ask("admin", "POST", "/oauth/key/generate", `{"now":true}`))
	after := s.must(200, s.ask("user", "GET", "/oauth/health", ""))
	if before.fields["kid"] == after.fields["kid"] || after.fields["kid"] != made.fields["kid"] || after.fields["status"] != "healthy" {
		t.Errorf("%s %s %s", before.body, made.body, after.body)
	}
	if got := s.must(200, s.ask("admin", "GET", "/oauth/status", "")); len(got.fields["keys"].([]any)) != 2 || strings.Contains(got.body, "private") {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, s.ask("user", "GET", "/oauth/proxies", "")); !strings.Contains(got.body, `"issuer":"https://auth.localhost"`) || !strings.Contains(got.body, `"resource":"https://auth.localhost/mcp"`) {
		t.Errorf("%s", got.body)
	}
}

func TestLogsAreSearchedAndNarrowed(t *testing.T) {
	s := start(t)
	for _, e := range []journal.Entry{
		{Kind: journal.Request, User: "local:ann", ClientIP: "10.0.0.1", Proxy: "a.localhost", Method: "GET", Path: "/one", Status: 200, Duration: 5},
		{Kind: journal.Request, User: "local:bob", ClientIP: "10.0.0.2", Proxy: "b.localhost", Method: "POST", Path: "/two", Status: 502, Duration: 2500, ClientID: "c1", Session: "s1"},
		{Kind: journal.OAuth, User: "local:bob", ClientIP: "10.0.0.2", Proxy: "b.localhost", Action: "token", Message: "issued"},
		{Kind: journal.System, Level: "WARNING", Component: "edge", Message: "told"},
	} {
		s.journal.Write(&e)
	}
	for path, want := range map[string]int{
		"/logs/search?kind=request": 2, "/logs/ip/10.0.0.1": 1, "/logs/host/b.localhost": 2, "/logs/proxy/b.localhost?kind=request": 1, "/logs/client/c1": 1, "/logs/user/local:bob": 2,
		"/logs/session/s1": 1, "/logs/method/POST?kind=request": 1, "/logs/status/5xx": 1, "/logs/status/502": 1, "/logs/path?path=/one": 1, "/logs/path?path=/t*": 1, "/logs/slow": 1, "/logs/slow?slow_ms=3000": 0,
		"/logs/errors": 1, "/logs/events": 1, "/logs/oauth": 1, "/logs/oauth/10.0.0.2": 1, "/logs/oauth/10.0.0.1": 0, "/logs/oauth/user/local:bob": 1, "/oauth/events/ip/10.0.0.2": 1, "/oauth/events/user/local:bob": 1,
		"/oauth/events/proxy/b.localhost": 1, "/logs/search?q=issued": 1, "/logs/search?limit=1": 1, "/logs/search?hours=1&kind=request": 2,
	} {
		got := s.must(200, s.ask("admin", "GET", path, ""))
		if logs, _ := got.fields["logs"].([]any); logs == nil || len(logs) != want {
			t.Errorf("%s: %d entries, want %d: %s", path, len(logs), want, got.body)
		}
	}
	for _, path := range []string{"/logs/search", "/logs/host/b.localhost", "/logs/errors", "/logs/search?q=user:local:bob", "/logs/oauth", "/logs/ip/10.0.0.2"} {
		if got := s.must(200, s.ask("user", "GET", path, "")); strings.Contains(got.body, "bob") || strings.Contains(got.body, "10.0.0.2") {
			t.Errorf("%s shows a user %s", path, got.body)
		}
	}
	s.must(403, s.ask("user", "GET", "/logs/user/local:bob", ""))
	s.must(200, s.ask("user", "GET", "/logs/user/local:ann", ""))
	first := s.must(200, s.ask("admin", "GET", "/logs/search?kind=request&limit=1", ""))
	second := s.must(200, s.ask("admin", "GET", "/logs/search?kind=request&limit=1&cursor="+first.fields["cursor"].(string), ""))
	if strings.Contains(second.body, "/two") || !strings.Contains(second.body, "/one") {
		t.Errorf("second page: %s", second.body)
	}
}

func TestClearingLogsSparesChangesAndIsOne(t *testing.T) {
	s := start(t)
	s.must(200, s.ask("admin", "POST", "/logs/test", `{"message":"hello there"}`))
	if got := s.must(200, s.ask("admin", "GET", "/logs/search?q=hello", "")); len(got.fields["logs"].([]any)) != 1 {
		t.Errorf("%s", got.body)
	}
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1"}`))
	s.must(200, s.ask("admin", "DELETE", "/logs", ""))
	got := s.must(200, s.ask("admin", "GET", "/logs/search", ""))
	if strings.Contains(got.body, "hello") || !strings.Contains(got.body, "create_proxy") || !strings.Contains(got.body, "clear_logs") {
		t.Errorf("%s", got.body)
	}
}

func TestLogLevelsAreChangedAndPutBack(t *testing.T) {
	s := start(t)
	if got := s.must(200, s.ask("admin", "POST", "/logs/level", `{"level":"trace","component":"edge"}`)); got.fields["level"] != "INFO" || !strings.Contains(got.body, `"edge":"TRACE"`) {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, s.ask("admin", "POST", "/logs/level", `{"level":"ERROR"}`)); got.fields["level"] != "ERROR" {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, s.ask("admin", "DELETE", "/logs/level", "")); got.fields["level"] != "INFO" || strings.Contains(got.body, "edge") {
		t.Errorf("%s", got.body)
	}
}

func TestExplainShowsRouteAndDecision(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1","auth_enabled":true,"auth_mode":"redirect","auth_required_users":["local:ann"],"auth_excluded_paths":["/health"]}`))
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"*.w.localhost","target_url":"http://127.0.0.1:1","auth_enabled":true}`))
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"off.localhost","target_url":"http://127.0.0.1:1","enabled":false}`))
	s.must(201, s.ask("admin", "POST", "/routes/", `{"route_id":"x","path_pattern":"/x","target_value":"internal:demo"}`))
	for _, c := range []struct {
		host, body string
		status     int
		route      string
		says       string
	}{
		{"a.localhost", `{}`, 401, "", "no_credential"},
		{"a.localhost", `{"browser":true}`, 303, "", "no_credential"},
		{"a.localhost", `{"path":"/x/1","user":"local:ann"}`, 200, "x", "allowed"},
		{"a.localhost", `{"user":"local:bob"}`, 403, "", "user_not_listed"},
		{"a.localhost", `{"path":"/health"}`, 200, "", "excluded"},
		{"a.localhost", `{"path":"/health/../admin"}`, 401, "", "no_credential"},
		{"a.localhost", `{"path":"/token","method":"post"}`, 200, "token", "public"},
		{"*.w.localhost", `{"name":"a.w.localhost"}`, 401, "", "no_credential"},
		{"off.localhost", `{}`, 503, "", "disabled"},
	} {
		got := s.must(200, s.ask("admin", "POST", "/proxies/"+c.host+"/explain", c.body))
		id, _ := got.fields["route_id"].(string)
		if got.fields["status"] != float64(c.status) || id != c.route || got.fields["reason"] != c.says {
			t.Errorf("%s %s: %s", c.host, c.body, got.body)
		}
		if c.status != 503 && len(got.fields["steps"].([]any)) == 0 {
			t.Errorf("%s %s: no steps", c.host, c.body)
		}
	}
	s.must(422, s.ask("admin", "POST", "/proxies/*.w.localhost/explain", `{"name":"a.b.w.localhost"}`))
	s.must(422, s.ask("admin", "POST", "/proxies/a.localhost/explain", `{"path":"x"}`))
	s.must(422, s.ask("admin", "POST", "/proxies/a.localhost/explain", `{"method":"G ET"}`))
	s.must(404, s.ask("admin", "POST", "/proxies/nope.localhost/explain", `{}`))
}

func TestStatusTellsHowAHostStands(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1","auth_enabled":true,"resource_endpoint":"/mcp"}`))
	got := s.must(200, s.ask("admin", "GET", "/proxies/a.localhost/status", "")).fields
	if got["status"] != "serving" || got["version"] != got["serves_version"] || got["resource"] != "https://a.localhost/mcp" || got["issuer"] != "https://a.localhost" || got["target"] != "http://127.0.0.1:1" {
		t.Errorf("%v", got)
	}
	for t.Context().Err() == nil && got["certificate"] == nil { // it is made beside the answer
		got = s.must(200, s.ask("admin", "GET", "/proxies/a.localhost/status", "")).fields
	}
	if certificate, _ := got["certificate"].(map[string]any); certificate["kind"] != "local_ca" || certificate["fingerprint_sha256"] == "" || got["sessions"] != float64(0) {
		t.Errorf("%v", got)
	}
	s.must(200, s.ask("admin", "PUT", "/proxies/a.localhost", `{"enabled":false}`))
	if got := s.must(200, s.ask("user", "GET", "/proxies/a.localhost/status", "")).fields; got["status"] != "disabled" || got["target"] != nil || got["sessions"] != nil {
		t.Errorf("%v", got)
	}
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"*.w.localhost","target_url":"http://127.0.0.1:1","auth_enabled":true}`))
	if got := s.must(200, s.ask("user", "GET", "/proxies/*.w.localhost/status", "")).fields; got["status"] != "serving" || got["issuer"] != nil {
		t.Errorf("%v", got)
	}
}

func TestSystemTellsWhatRuns(t *testing.T) {
	s := start(t)
	if got := s.must(200, s.ask("admin", "GET", "/system/info", "")).fields; got["version"] != "test" || got["node"] != "one" || got["sign_in"] != "https://auth.localhost" || got["store"] == nil {
		t.Errorf("%v", got)
	}
	if got := s.must(200, s.ask("user", "GET", "/system/stats", "")).fields; got["proxies"] != float64(2) || got["journal"] == nil {
		t.Errorf("%v", got)
	}
	if got := s.must(200, s.ask("user", "GET", "/system/nodes", "")); !strings.Contains(got.body, `"self":true`) {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, s.ask("user", "GET", "/system/version", "")).fields; got["version"] != "test" {
		t.Errorf("%v", got)
	}
}

// What a host's visitors were granted ends with the host.
func TestDeletingAHostEndsWhatWasGrantedForIt(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1","auth_enabled":true}`))
	now := time.Now()
	seed(s, "oauth:grant:", "g1", oauth.Grant{ID: "g1", ClientID: "c1", Person: oauth.Person{Subject: "local:ann", User: "local:ann"}, Resource: "https://a.localhost", CreatedAt: now})
	s.must(200, s.ask("admin", "GET", "/oauth/tokens/g1", ""))
	s.must(200, s.ask("admin", "DELETE", "/proxies/a.localhost", ""))
	s.must(404, s.ask("admin", "GET", "/oauth/tokens/g1", ""))
}

func TestGitHubSecretIsOpenedForSigningIn(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1","github_client_id":"i","github_client_secret":"hush"}`))
	p := s.roster.World().Find("a.localhost").Proxy
	if secret, err := s.control.GitHubSecret(&p); err != nil || secret != "hush" {
		t.Errorf("%q %v", secret, err)
	}
	p.Hostname = "b.localhost"
	if secret, err := s.control.GitHubSecret(&p); err == nil {
		t.Errorf("the secret of one host opens for another: %q", secret)
	}
}
