package api

import (
	"strings"
	"testing"
)

// What can't be tested is refused before a stream begins, with the field that is wrong.
func TestAComplianceTestIsRefusedWithAReason(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"internal:demo"}`))
	for _, c := range []struct {
		caller, host, body string
		status             int
		says               string
	}{
		{"user", "a.localhost", `{}`, 403, "admin"},
		{"admin", "none.localhost", `{}`, 404, "none.localhost"},
		{"admin", "a.localhost", `{}`, 503, "no public listener"}, // the rig has none
		{"admin", "a.localhost", `{"nope":1}`, 422, "nope"},
		{"admin", "a.localhost", `{"hostname":"b.localhost"}`, 422, "hostname"},
		{"admin", "a.localhost", `[]`, 400, "object"},
	} {
		got := s.ask(c.caller, "POST", "/mcp-servers/"+c.host+"/test", c.body)
		if got.status != c.status || !strings.Contains(got.body, c.says) {
			t.Errorf("%s %s %s: %d %s", c.caller, c.host, c.body, got.status, got.body)
		}
	}
	if got := s.ask("admin", "POST", "/mcp-servers/a.localhost/test?token=x", `{}`); got.status != 400 {
		t.Errorf("arguments in the query: %d %s", got.status, got.body)
	}
	if got := s.ask("admin", "GET", "/mcp-servers/a.localhost/test", ""); got.status != 405 {
		t.Errorf("GET: %d", got.status)
	}
}
