package test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// assistant is the official Go SDK's client at a Gatehouse's own MCP server. It is
// told the URL and nothing else; its person signs in and allows it.
func (p *person) assistant(t *testing.T, endpoint, version string) *mcp.ClientSession {
	t.Helper()
	session, _ := p.assistants(t, endpoint, version)
	return session
}

// assistants also gives a way to connect anew with the tokens that were got.
func (p *person) assistants(t *testing.T, endpoint, version string) (first *mcp.ClientSession, again func() *mcp.ClientSession) {
	t.Helper()
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "Assistant", RedirectURIs: []string{loopbackRedirect}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		}},
		RedirectURL: loopbackRedirect, Client: p.s.trusting(),
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			back := p.consent(args.URL)
			return &auth.AuthorizationResult{Code: back.Get("code"), State: back.Get("state"), Iss: back.Get("iss")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	again = func() *mcp.ClientSession {
		t.Helper()
		session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
			&mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: p.s.trusting(), OAuthHandler: handler}, &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatalf("the client did not get in: %v", err)
		}
		t.Cleanup(func() { _ = session.Close() })
		return session
	}
	return again(), again
}

// does calls a tool and wants it to work.
func does(t *testing.T, c *mcp.ClientSession, tool string, args map[string]any) string {
	t.Helper()
	got, said := calls(t, c, tool, args)
	if got.IsError {
		t.Fatalf("%s: %s", tool, said)
	}
	return said
}

func calls(t *testing.T, c *mcp.ClientSession, tool string, args map[string]any) (*mcp.CallToolResult, string) {
	t.Helper()
	got, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	said := ""
	for _, part := range got.Content {
		if text, ok := part.(*mcp.TextContent); ok {
			said += text.Text
		}
	}
	return got, said
}

func offered(t *testing.T, c *mcp.ClientSession) []string {
	t.Helper()
	list, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names
}

// TestAnAssistantRunsGatehouse is an assistant's day, over MCP alone, in both eras.
func TestAnAssistantRunsGatehouse(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, "first")
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) { o.as(t, func() { o.day(t, version) }) })
	}
	t.Run("a reader", func(t *testing.T) { o.as(t, func() { o.reader(t) }) })
	t.Run("paths and strangers", func(t *testing.T) { o.as(t, func() { o.strangers(t) }) })
	t.Run("another host", func(t *testing.T) { o.as(t, func() { o.elsewhere(t) }) })
}

func (o *office) day(t *testing.T, version string) {
	c, again := o.alice.assistants(t, o.url("auth.localhost", "/mcp"), version)
	if got := c.InitializeResult().ProtocolVersion; got != version {
		t.Fatalf("the two speak %s", got)
	}
	host := "day-" + version + ".localhost"
	if slices.Contains(offered(t, c), "create_proxy") {
		t.Error("the client has more than it asked for")
	}
	if version < "2026" {
		// This client registers anew when it is asked for more: what it is then has
		// a session of its own.
		_, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "list_users"})
		if err == nil || !strings.Contains(err.Error(), "no such session") {
			t.Fatalf("another client in the same session: %v", err)
		}
		c = again()
	}
	does(t, c, "create_proxy", map[string]any{"proxy_hostname": host, "target_url": "internal:demo"})
	if !slices.Contains(offered(t, c), "create_proxy") {
		t.Error("the list did not grow")
	}
	does(t, c, "set_proxy_auth", map[string]any{"hostname": host, "auth_mode": "redirect", "auth_required_users": []string{"local:alice"}})

	// Bob may not in; the log says why, and the assistant mends it.
	if got := o.bob.follow(o.url(host, "/")); got.StatusCode != http.StatusForbidden {
		t.Fatalf("bob: %d", got.StatusCode)
	}
	o.alice.s.await(20*time.Second, "refusal in the log", func() bool {
		_, said := calls(t, c, "get_logs", map[string]any{"user": "local:bob", "limit": 20})
		return strings.Contains(said, "user_not_listed")
	})
	does(t, c, "explain_proxy", map[string]any{"hostname": host, "method": "GET", "path": "/", "user": "local:bob"})
	does(t, c, "update_proxy", map[string]any{"hostname": host, "auth_required_users": []string{"local:alice", "local:bob"}})
	if got := o.bob.follow(o.url(host, "/")); got.StatusCode != http.StatusOK {
		t.Errorf("bob after it was mended: %d", got.StatusCode)
	}
	if said := does(t, c, "run_command", map[string]any{"command": "proxy show", "arguments": []string{host}}); !strings.Contains(said, "local:bob") {
		t.Errorf("by a command line: %s", said)
	}
	for _, line := range []string{"proxy list --local", "proxy list --url http://127.0.0.1:1", "serve", "oauth login", "version", "system status", "log follow"} {
		if got, said := calls(t, c, "run_command", map[string]any{"command": line}); !got.IsError {
			t.Errorf("run_command runs %s: %s", line, said)
		}
	}
	does(t, c, "delete_proxy", map[string]any{"hostname": host})
	if strings.Contains(o.local("proxy", "list", "--format", "json"), host) {
		t.Error("the host is still there")
	}
	if said := o.local("log", "search", "--format", "json", "--limit", "1000"); !strings.Contains(said, `"door": "mcp"`) && !strings.Contains(said, `"door":"mcp"`) {
		t.Error("the changes are not written down as made over MCP")
	}
}

// reader is a person with the scopes user and mcp.
func (o *office) reader(t *testing.T) {
	c := o.bob.assistant(t, o.url("auth.localhost", "/mcp"), "2025-11-25")
	tools := offered(t, c)
	if !slices.Contains(tools, "list_proxies") || slices.Contains(tools, "create_proxy") || slices.Contains(tools, "run_command") {
		t.Errorf("a reader is offered %v", tools)
	}
	does(t, c, "list_proxies", nil)
	if got, said := calls(t, c, "delete_proxy", map[string]any{"hostname": "first.localhost"}); !got.IsError || !strings.Contains(said, "needs the scope admin") {
		t.Errorf("a reader deletes: %s", said)
	}

	// Alice's session, by bob's token.
	theirs := o.alice.assistant(t, o.url("auth.localhost", "/mcp"), "2025-11-25").ID()
	token := strings.TrimSpace(o.bob.login("--resource", o.url("auth.localhost", "/mcp"), "--print-token"))
	got := ask(t, o.web, "POST", o.url("auth.localhost", "/mcp"), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "Authorization: Bearer "+token,
		"Mcp-Session-Id: "+theirs, "Content-Type: application/json", "Accept: application/json, text/event-stream")
	if got.StatusCode != http.StatusNotFound {
		t.Errorf("with a stolen session: %d %s", got.StatusCode, got.Body)
	}

	got = ask(t, o.web, "POST", o.url("auth.localhost", "/mcp/"), `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05",`+
		`"capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, "Authorization: Bearer "+token, "Content-Type: application/json", "Accept: application/json, text/event-stream")
	if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"protocolVersion":"2024-11-05"`) || got.Header.Get("Mcp-Session-Id") == "" {
		t.Errorf("at /mcp/, in the oldest version: %d %s", got.StatusCode, got.Body)
	}
}

func (o *office) strangers(t *testing.T) {
	for _, at := range []string{o.url("auth.localhost", "/mcp"), o.url("auth.localhost", "/mcp/"), o.url("localhost", "/mcp"), o.url("localhost", "/mcp/")} {
		got := ask(t, o.web, "POST", at, modernPing, "Content-Type: application/json")
		if got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Header.Get("Www-Authenticate"), "/.well-known/oauth-protected-resource/mcp") {
			t.Errorf("%s: %d %s", at, got.StatusCode, got.Header)
		}
		got = ask(t, o.web, "POST", at, modernPing, "Content-Type: application/json", "Origin: https://evil.example")
		if got.StatusCode != http.StatusForbidden {
			t.Errorf("%s from a foreign page: %d", at, got.StatusCode)
		}
	}
}

const modernPing = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// elsewhere is a host of its own that leads to our MCP server.
func (o *office) elsewhere(t *testing.T) {
	o.local("proxy", "create", "ops.localhost", "internal:mcp", "--auth", "--mcp", "--allow", "*")
	c := o.alice.assistant(t, o.url("ops.localhost", "/mcp"), "2026-07-28")
	does(t, c, "get_proxy_auth", map[string]any{"hostname": "ops.localhost"}) // needs admin: the client asks for it
	if tools := offered(t, c); !slices.Contains(tools, "create_proxy") {
		t.Errorf("an administrator is offered %v", tools)
	}
	var missing *mcp.CallToolResult
	if missing, _ = calls(t, c, "get_proxy", map[string]any{"hostname": "nowhere.localhost"}); !missing.IsError {
		t.Error("a host that is not there")
	}
}

// TestServerConformance runs the server scenarios of the official conformance
// package at our own /mcp, through a bridge that adds the token. What is left out
// needs tools, prompts or resources that only the package's own example has.
func TestServerConformance(t *testing.T) {
	t.Parallel()
	node(t)
	o := newOffice(t, nil, "first")
	at := o.HTTP + "/mcp"
	o.alice.login("--scope", "admin")
	token := o.token()
	bridge := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			u, err := url.Parse(at)
			if err != nil {
				panic(err)
			}
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = u.Scheme, u.Host, u.Host
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
		Transport: o.web.Transport, FlushInterval: -1,
	})
	t.Cleanup(bridge.Close)
	for _, s := range conformanceScenarios {
		versions := s.versions
		if !whole() {
			versions = versions[len(versions)-1:]
		}
		for _, version := range versions {
			t.Run(s.name+"/"+version, func(t *testing.T) {
				o.as(t, func() {
					d := o.desktop()
					p := d.run("node_modules/@modelcontextprotocol/conformance/dist/index.js", "server", "--url", bridge.URL+"/mcp",
						"--scenario", s.name, "--spec-version", version, "--output-dir", d.home)
					p.end()
					checks := conformanceChecks(t, d.home)
					if len(checks) == 0 {
						t.Fatalf("no check was made:\n%s", p.printed())
					}
					for _, c := range checks {
						if c.Status == "FAILURE" && !slices.Contains(s.fixtures, c.ID) {
							t.Errorf("%s: %s", c.ID, c.Message)
						}
					}
				})
			})
		}
	}
}

type conformanceScenario struct {
	name     string
	versions []string
	fixtures []string // checks that need the package's own example
}

var conformanceScenarios = []conformanceScenario{
	{"server-initialize", []string{"2025-06-18", "2025-11-25"}, nil},
	{"server-session-lifecycle", []string{"2025-06-18", "2025-11-25"}, nil},
	{"server-stateless", []string{"2026-07-28"}, []string{ // want the tools test_missing_capability, test_streaming_elicitation, test_logging_tool
		"sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400",
		"sep-2575-http-server-no-independent-requests-on-stream", "sep-2575-server-no-log-without-loglevel"}},
	{"logging-set-level", []string{"2025-11-25"}, nil},
	{"ping", []string{"2025-06-18", "2025-11-25"}, nil},
	{"tools-list", []string{"2025-06-18", "2025-11-25", "2026-07-28"}, nil},
	{"server-sse-polling", []string{"2025-11-25"}, nil},
	{"server-sse-multiple-streams", []string{"2025-11-25", "2026-07-28"}, nil},
	{"resources-list", []string{"2025-06-18", "2025-11-25", "2026-07-28"}, nil},
	{"sep-2164-resource-not-found", []string{"2026-07-28"}, nil},
	{"prompts-list", []string{"2025-06-18", "2025-11-25", "2026-07-28"}, nil},
	{"dns-rebinding-protection", []string{"2025-11-25", "2026-07-28"}, nil},
	{"caching", []string{"2026-07-28"}, nil},
	{"http-header-validation", []string{"2026-07-28"}, nil},
	{"input-required-result-unsupported-methods", []string{"2026-07-28"}, nil},
}
