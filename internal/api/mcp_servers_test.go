package api

import (
	"strings"
	"testing"

	"gatehouse/internal/journal"
)

// Who runs an MCP server sees what is called there; everybody else what is their own.
func TestMCPServersTellWhatIsCalled(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"shop.localhost","target_url":"http://127.0.0.1:1","mcp_enabled":true,"resource_endpoint":"/mcp","mcp_tools":[{"tools":["delete_*"],"action":"deny"}]}`))
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"*.team.localhost","target_url":"http://127.0.0.1:1","mcp_enabled":true}`))
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"web.localhost","target_url":"http://127.0.0.1:1"}`))
	for _, e := range []journal.Entry{
		{Proxy: "shop.localhost", Tool: "read", User: "local:ann"},
		{Proxy: "shop.localhost", Tool: "read", User: "local:bob", IsError: true},
		{Proxy: "shop.localhost", Tool: "delete_all", User: "local:bob", IsError: true, AuthResult: "denied", AuthReason: "denied_by_rule"},
		{Proxy: "a.team.localhost", Tool: "read", User: "local:bob"},
		{Proxy: "b.team.localhost", Tool: "read", User: "local:bob"},
		{Proxy: "gone.localhost", Tool: "read", User: "local:bob"},
	} {
		e.Kind, e.RPCMethod = journal.MCP, "tools/call"
		s.journal.Write(&e)
	}
	all := s.must(200, s.ask("admin", "GET", "/mcp-servers/", "")).body
	for _, want := range []string{
		`"proxy_hostname":"shop.localhost","endpoint":"https://shop.localhost/mcp","auth_enabled":false,"mcp_enabled":true,"rules":1,"built_in":false,"tools":2,"calls":3,"errors":2`,
		`"proxy_hostname":"*.team.localhost"`, `"tools":1,"calls":2,"errors":0`, `"proxy_hostname":"localhost"`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in %s", want, all)
		}
	}
	if strings.Contains(all, "web.localhost") || strings.Contains(all, "gone.localhost") {
		t.Errorf("%s has what is no MCP server", all)
	}
	if got := s.must(200, s.ask("admin", "GET", "/mcp-servers/shop.localhost/tools", "")).body; !strings.Contains(got, `"items":[{"tool":"delete_all","calls":1,"errors":1},{"tool":"read","calls":2,"errors":1}]`) {
		t.Error(got)
	}
	if got := s.must(200, s.ask("user", "GET", "/mcp-servers/shop.localhost/tools", "")).body; !strings.Contains(got, `"items":[{"tool":"read","calls":1,"errors":0}]`) {
		t.Errorf("ann sees more than her own calls: %s", got)
	}
	got := s.must(200, s.ask("admin", "GET", "/mcp-servers/shop.localhost/calls?tool=delete_all", "")).body
	if strings.Count(got, `"kind":"mcp"`) != 1 || !strings.Contains(got, "denied_by_rule") {
		t.Error(got)
	}
	if got := s.must(200, s.ask("admin", "GET", "/mcp-servers/b.team.localhost/calls", "")).body; strings.Count(got, `"kind":"mcp"`) != 1 {
		t.Error(got)
	}
	s.must(404, s.ask("admin", "GET", "/mcp-servers/web.localhost/tools", ""))
	s.must(404, s.ask("admin", "GET", "/mcp-servers/none.localhost/calls", ""))
	s.must(403, s.ask("user", "GET", "/mcp-servers/shop.localhost/calls?user=local:bob", ""))
	s.must(422, s.ask("admin", "GET", "/mcp-servers/?hours=-1", ""))
}
