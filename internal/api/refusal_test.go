package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Every refusal says which field and why, and changes nothing.
func TestRefusalsNameFieldAndRuleAndChangeNothing(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1"}`))
	s.must(201, s.ask("admin", "POST", "/routes/", `{"route_id":"r","path_pattern":"/r","target_value":"http://127.0.0.1:1"}`))
	before := s.ask("admin", "GET", "/config/export", "").fields
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/proxies/", `{"target_url":"http://a"}`, 422, "proxy_hostname: is a hostname"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost"}`, 422, "target_url: is required"},
		{"POST", "/proxies/", `{"proxy_hostname":"b_.localhost","target_url":"http://a"}`, 422, "proxy_hostname: has labels"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.*.localhost","target_url":"http://a"}`, 422, "wildcard only as its whole leftmost label"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost:80","target_url":"http://a"}`, 422, "without scheme, path and port"},
		{"POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://a"}`, 409, `the proxy "a.localhost" exists already`},
		{"POST", "/proxies/", `{"proxy_hostname":"localhost","target_url":"http://a"}`, 409, "exists already"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"http://u:p@a"}`, 422, "target_url: must not hold a user or password"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"http://127.0.0.99:80"}`, 422, "target_url: leads back to Gatehouse itself"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"stdio:unknown"}`, 422, `target_url: names a stdio "unknown" that is not defined on this machine`},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"unix:files"}`, 422, "not defined on this machine"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"service:files"}`, 422, "not defined on this machine"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"internal:api"}`, 422, "only internal:demo and internal:mcp"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"http://a","auth_proxy":"c.localhost"}`, 422, "auth_proxy: names a host that is not served here"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"http://a","nope":1}`, 422, "nope: is not a field"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","Target_url":"http://a"}`, 422, "did you mean target_url?"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"http://a","target_url":"http://b"}`, 422, "target_url: stands there twice"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"http://a","custom_headers":{"A":"1","A":"2"}}`, 422, "custom_headers.A: stands there twice"},
		{"POST", "/proxies/", `{"proxy_hostname":5,"target_url":"http://a"}`, 422, "proxy_hostname: is a string"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"http://a","enabled":"yes"}`, 422, "enabled: is true or false"},
		{"POST", "/proxies/", `{"proxy_hostname":"b.localhost","target_url":"http://a","mcp_tools":"add"}`, 422, "mcp_tools: is a list of objects, as JSON"},
		{"POST", "/proxies/", `[]`, 400, "must be a JSON object"},
		{"POST", "/proxies/", `"x"`, 400, "must be a JSON object"},
		{"POST", "/proxies/", `{"a":`, 400, "can't be read"},
		{"POST", "/proxies/", `{"a":1}{"b":2}`, 400, "something follows"},
		{"POST", "/proxies/", "{\"a\":\"\xff\"}", 400, "can't be read"},
		{"POST", "/proxies/", `{"x":` + deep + `}`, 400, "deeper than 32"},
		{"POST", "/proxies/", `{"x":"` + strings.Repeat("y", maxBody) + `"}`, 413, "larger than 1048576 bytes"},
		{"PUT", "/proxies/nope.localhost", `{}`, 404, `there is no proxy "nope.localhost"`},
		{"PUT", "/proxies/a.localhost", `{"proxy_hostname":"b.localhost"}`, 422, "proxy_hostname: is set by Gatehouse"},
		{"PUT", "/proxies/a.localhost", `{"hostname":"b.localhost"}`, 422, "hostname: comes from the path"},
		{"PUT", "/proxies/a.localhost?x=1", `{}`, 422, "x: is not a query parameter here"},
		{"PUT", "/proxies/a.localhost", `{"if_match":"what"}`, 422, "if_match: is a version"},
		{"PUT", "/proxies/a.localhost", `{"if_match":"1"}`, 412, "the present version is"},
		{"PUT", "/proxies/auth.localhost", `{"target_url":"http://127.0.0.1:1"}`, 422, "target_url: must stay internal:api"},
		{"PUT", "/proxies/localhost", `{"oauth_admin_users":["eve"]}`, 422, "rights over Gatehouse come from"},
		{"DELETE", "/proxies/localhost", ``, 403, "can't be deleted"},
		{"DELETE", "/proxies/auth.localhost", ``, 403, "can't be deleted"},
		{"DELETE", "/proxies/nope.localhost", ``, 404, "there is no proxy"},
		{"DELETE", "/proxies/a.localhost?force=true", ``, 422, "force: is not a parameter"},
		{"DELETE", "/proxies/a.localhost", `{"x":1}`, 400, "takes no body"},
		{"GET", "/proxies/?limit=0x", ``, 422, "limit: is a whole number"},
		{"GET", "/proxies/?limit=-1", ``, 422, "limit: is between 1 and 1000"},
		{"GET", "/proxies/?limit=1001", ``, 422, "limit: is between 1 and 1000"},
		{"GET", "/proxies/?limit=1&limit=2", ``, 422, "limit: stands there twice"},
		{"GET", "/proxies/?cursor=%25", ``, 422, "cursor: is none that this list gave"},
		{"GET", "/proxies/?page=2", ``, 422, "page: is not a parameter"},
		{"GET", "/proxies/?a=%zz", ``, 400, "query can't be read"},
		{"POST", "/proxies/a.localhost/auth", `{"target_url":"http://b"}`, 422, "target_url: is not one of the auth settings"},
		{"POST", "/proxies/a.localhost/resource", `{"resource_custom_metadata":{"resource":"x"}}`, 422, "resource_custom_metadata.resource"},
		{"POST", "/proxies/a.localhost/github-oauth", `{"github_client_id":"x"}`, 422, "go together"},
		{"PUT", "/proxies/a.localhost/routes", `{"route_mode":"some"}`, 422, "route_mode: is all, selective or none"},
		{"POST", "/proxies/a.localhost/routes/nope/disable", ``, 404, `there is no route "nope"`},
		{"POST", "/proxies/a.localhost/routes/acme-challenge/disable", ``, 422, "can't be disabled"},
		{"POST", "/proxies/auth.localhost/routes/signin/disable", ``, 422, "can't be disabled"},
		{"POST", "/routes/", `{"path_pattern":"/x","target_value":"internal:api"}`, 422, "target_value: may name"},
		{"POST", "/routes/", `{"route_id":"token","path_pattern":"/x","target_value":"http://a"}`, 422, "built-in route"},
		{"POST", "/routes/", `{"route_id":"r","path_pattern":"/x","target_value":"http://a"}`, 409, "exists already"},
		{"POST", "/routes/", `{"path_pattern":"/x","target_value":"http://a","scope":"proxy","proxy_hostnames":["auth.localhost"]}`, 422, "no route is ever added"},
		{"POST", "/routes/", `{"path_pattern":"/x","target_value":"http://a","scope":"proxy","proxy_hostnames":["nope.localhost"]}`, 422, "not served here"},
		{"POST", "/routes/", `{"path_pattern":"/x","target_value":"http://a","auth_config":{"auth_type":"none"},"override_proxy_auth":true}`, 422, "may only tighten"},
		{"PUT", "/routes/token", `{"priority":1}`, 403, "built in"},
		{"DELETE", "/routes/mcp", ``, 403, "built in"},
		{"PUT", "/routes/r", `{"route_id":"other"}`, 422, "route_id: is set by Gatehouse"},
		{"GET", "/routes/?scope=all", ``, 422, "scope: is global or proxy"},
		{"GET", "/routes/?proxy=nope.localhost", ``, 404, "there is no proxy"},
		{"POST", "/oauth/users/", `{"name":"ann","password":"short"}`, 422, "password: must have at least"},
		{"POST", "/oauth/users/", `{"name":"A b","password":"long enough for all"}`, 422, "name: must be"},
		{"POST", "/oauth/users/", `{"name":"ann","password":"long enough for all","scopes":["root"]}`, 422, "scopes:"},
		{"POST", "/oauth/users/", `{"name":"ann","password":"long enough for all","email":"x"}`, 422, "email: is an e-mail address"},
		{"DELETE", "/oauth/users/nobody", ``, 404, "there is no user"},
		{"DELETE", "/oauth/clients/nobody", ``, 404, "there is no client"},
		{"DELETE", "/oauth/sessions/nobody", ``, 404, "there is no session"},
		{"DELETE", "/tokens/nobody", ``, 404, "there is no grant"},
		{"DELETE", "/tokens/x?kind=all", ``, 422, "kind: is grant, token, client, user, session or proxy"},
		{"DELETE", "/oauth/consents", ``, 422, "client_id: is required"},
		{"GET", "/logs/ip/nonsense", ``, 422, "ip: must be an IP address"},
		{"GET", "/logs/ip/127.0.0.1?ip=127.0.0.2", ``, 422, "ip: comes from the path"},
		{"GET", "/logs/status/9999", ``, 422, "status:"},
		{"GET", "/logs/path", ``, 422, "path: is required"},
		{"GET", "/logs/oauth?kind=audit", ``, 422, "kind: is always oauth here"},
		{"POST", "/logs/level", `{"level":"LOUD"}`, 422, "level: is one of"},
		{"POST", "/config/import", `{"format":"other"}`, 422, "format: is gatehouse-config-1"},
		{"POST", "/config/import", `{"skip_existing":true,"replace":true}`, 422, "exclude each other"},
		{"POST", "/config/import", `{"proxies":[{"proxy_hostname":"b.localhost","target_url":"http://a"},{"proxy_hostname":"a.localhost","target_url":"http://a"}]}`, 422, "proxies[1]: proxy:a.localhost exists already"},
		{"POST", "/config/import", `{"proxies":[{"proxy_hostname":"b.localhost","target_url":"x"}],"routes":[{"path_pattern":"y"}]}`, 422, "proxies[0].target_url"},
		{"POST", "/config/import", `{"proxies":[{"proxy_hostname":"b.localhost","target_url":"stdio:rm"}]}`, 422, "proxies[0].target_url: names a stdio"},
		{"GET", "/nothing", ``, 404, "there is nothing at /nothing"},
		{"GET", "/proxies//", ``, 404, "nothing"},
		{"GET", "/proxies/https:%2F%2Fa", ``, 404, `there is no proxy "https://a"`},
		{"GET", "/proxies/%2e%2e", ``, 404, `there is no proxy ".."`},
		{"GET", "/proxies/a%00b", ``, 422, "control characters"},
		{"GET", "/proxies/./", ``, 404, "nothing"},
		{"PATCH", "/proxies/a.localhost", `{}`, 405, "PATCH is not possible here"},
		{"POST", "/health", ``, 405, "POST is not possible here"},
	} {
		got := s.ask("admin", c.method, c.path, c.body)
		detail, _ := got.fields["detail"].(string)
		if got.status != c.status || !strings.Contains(detail, c.says) || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s %.80s: %d %.300s; want %d …%s…", c.method, c.path, c.body, got.status, got.body, c.status, c.says)
		}
		if got.status == 422 && len(got.fields["errors"].([]any)) == 0 {
			t.Errorf("%s %s: no errors[]", c.method, c.path)
		}
	}
	after := s.ask("admin", "GET", "/config/export", "").fields
	for _, part := range []string{"proxies", "routes"} {
		if fmt.Sprint(before[part]) != fmt.Sprint(after[part]) {
			t.Errorf("refusals changed %s:\n%v\n%v", part, before[part], after[part])
		}
	}
}

func TestBodiesAreJSONByTheirType(t *testing.T) {
	s := start(t)
	body := `{"proxy_hostname":"b.localhost","target_url":"http://a"}`
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		got := s.ask("admin", "POST", "/proxies/", body, "Content-Type", media)
		if got.status != http.StatusUnsupportedMediaType || !strings.Contains(got.body, "must be JSON") {
			t.Errorf("%q: %d %s", media, got.status, got.body)
		}
	}
	s.must(201, s.ask("admin", "POST", "/proxies/", body, "Content-Type", "application/json; charset=utf-8"))
}

func TestMethodsAreToldByAllow(t *testing.T) {
	s := start(t)
	for path, want := range map[string]string{"/proxies/": "GET, HEAD, OPTIONS, POST", "/proxies/a.localhost": "DELETE, GET, HEAD, OPTIONS, PUT", "/health": "GET, HEAD, OPTIONS"} {
		if got := s.ask("admin", "PATCH", path, ""); got.status != 405 || got.header.Get("Allow") != want {
			t.Errorf("%s: %d %q", path, got.status, got.header.Get("Allow"))
		}
		if got := s.ask("", "OPTIONS", path, ""); got.status != 204 || got.header.Get("Allow") != want || got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("OPTIONS %s: %d %v", path, got.status, got.header)
		}
	}
}

// Collections answer with and without the slash, by all their names, and HEAD
// is GET without a body.
func TestCollectionsHaveNoRedirects(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/proxies", "/proxies/", "/proxy/targets", "/proxy/targets/", "/routes", "/routes/", "/tokens", "/tokens/", "/oauth/users", "/oauth/users/", "/proxy/targets/localhost", "/proxy/targets/localhost/routes"} {
		s.must(200, s.ask("admin", "GET", path, ""))
		head := s.must(200, s.ask("admin", "HEAD", path, ""))
		if head.body != "" || head.header.Get("Content-Type") != "application/json" {
			t.Errorf("HEAD %s: %q %v", path, head.body, head.header)
		}
	}
}

func TestAnswersAreNotStoredNorSniffed(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/proxies/", "/health", "/nothing", "/openapi.json", "/docs"} {
		got := s.ask("admin", "GET", path, "")
		if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", path, got.header)
		}
	}
}
