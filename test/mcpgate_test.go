package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// workshop is an MCP server of somebody else's, in all versions of the protocol,
// with tools that rules are about.
type workshop struct {
	*httptest.Server
	done atomic.Int64 // tools that were carried out
}

type nothing struct{}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{}
	server := mcp.NewServer(&mcp.Implementation{Name: "workshop", Version: "1"}, nil)
	for _, name := range []string{"read_file", "write_file", "delete_all", "admin_report", "break"} {
		mcp.AddTool(server, &mcp.Tool{Name: name, Description: name}, func(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, nothing, error) {
			w.done.Add(1)
			if name == "break" {
				return nil, nothing{}, fmt.Errorf("it is broken")
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: name + " done"}}}, nothing{}, nil
		})
	}
	of := func(*http.Request) *mcp.Server { return server }
	stateful := mcp.NewStreamableHTTPHandler(of, &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true})
	plain := mcp.NewStreamableHTTPHandler(of, &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true, JSONResponse: true})
	stateless := mcp.NewStreamableHTTPHandler(of, &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true, Stateless: true})
	events := mcp.NewSSEHandler(of, &mcp.SSEOptions{DisableLocalhostProtection: true})
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("the workshop can't read: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		switch {
		case strings.HasPrefix(r.URL.Path, "/sse"):
			events.ServeHTTP(rw, r)
		case r.Header.Get("X-Stream") != "":
			stream(rw, r.Header.Get("X-Stream"))
		case r.Header.Get("Mcp-Protocol-Version") >= "2026" || bytes.Contains(body, []byte("io.modelcontextprotocol/protocolVersion")):
			stateless.ServeHTTP(rw, r)
		case r.Header.Get("X-Plain") != "":
			plain.ServeHTTP(rw, r)
		default:
			stateful.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

// stream answers so many MiB as one event or one JSON text.
func stream(w http.ResponseWriter, what string) {
	kind, size, _ := strings.Cut(what, " ")
	n, _ := strconv.Atoi(size)
	begin, end := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`, `"}],"isError":true}}`
	w.Header().Set("Content-Type", "application/json")
	if kind == "events" {
		begin, end = "data: "+begin, end+"\n\n"
		w.Header().Set("Content-Type", "text/event-stream")
	}
	_, _ = io.WriteString(w, begin)
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for range n {
		_, _ = w.Write(piece)
	}
	_, _ = io.WriteString(w, end)
}

const rules = `[
 {"tools":["delete_*"],"action":"deny"},
 {"tools":["admin_*"],"action":"allow","requires_scope":"admin"},
 {"tools":["write_*"],"action":"allow","users":["local:alice"],"rate":"3/hour"},
 {"tools":["read_*","break"],"action":"allow"}]`

// gated are a workshop behind a host with rules, and who may use it.
type gated struct {
	*office
	shop       *workshop
	alice, bob string // access tokens
}

func newGated(t *testing.T) *gated {
	t.Helper()
	g := &gated{office: newOffice(t, nil, "first"), shop: newWorkshop(t)}
	g.local("proxy", "create", "shop.localhost", g.shop.URL, "--auth", "--mcp", "--allow", "local:alice", "--allow", "local:bob",
		"--set", "oauth_admin_users=[\"local:alice\"]", "--set", "mcp_tools="+rules)
	g.local("proxy", "create", "free.localhost", g.shop.URL, "--auth", "--mcp", "--allow", "local:alice", "--allow", "local:bob")
	token := func(p *person, host string) string {
		return strings.TrimSpace(p.login("--resource", g.mcp(host), "--print-token"))
	}
	g.alice, g.bob = token(g.office.alice, "shop"), token(g.office.bob, "shop")
	return g
}

// post sends one message to the shop.
func (g *gated) post(token, body string, headers ...string) answer {
	g.t.Helper()
	return g.postTo("/mcp", token, body, headers...)
}

func (g *gated) postTo(path, token, body string, headers ...string) answer {
	g.t.Helper()
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Content-Type:") }) {
		headers = append(headers, "Content-Type: application/json")
	}
	return ask(g.t, g.web, "POST", g.url("shop.localhost", path), body, append(headers, "Authorization: Bearer "+token, "Accept: application/json, text/event-stream")...)
}

func call(tool string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
}

func TestRulesForToolsHold(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	for _, version := range []string{"2025-06-18", "2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) { g.as(t, func() { g.bothEras(t, version) }) })
	}
	t.Run("events of 2024-11-05", func(t *testing.T) { g.as(t, func() { g.oldTransport(t) }) })
	t.Run("batches", func(t *testing.T) { g.as(t, func() { g.batches(t) }) })
	t.Run("step-up and rates", func(t *testing.T) { g.as(t, func() { g.stepUpAndRates(t) }) })
	t.Run("two readings", func(t *testing.T) { g.as(t, func() { g.twoReadings(t) }) })
	t.Run("sessions", func(t *testing.T) { g.as(t, func() { g.sessions(t) }) })
	t.Run("sizes", func(t *testing.T) { g.as(t, func() { g.sizes(t) }) })
	t.Run("versions", func(t *testing.T) { g.as(t, func() { g.versions(t) }) })
	t.Run("log", func(t *testing.T) { g.as(t, func() { g.log(t) }) })
}

// bothEras: a tool that is denied is neither listed nor carried out.
func (g *gated) bothEras(t *testing.T, version string) {
	c := g.office.bob.assistant(t, g.mcp("shop"), version)
	if got := c.InitializeResult().ProtocolVersion; got != version {
		t.Fatalf("the two speak %s", got)
	}
	if got := offered(t, c); !slices.Equal(got, []string{"break", "read_file"}) {
		t.Errorf("bob is offered %v", got)
	}
	if said := does(t, c, "read_file", nil); said != "read_file done" {
		t.Errorf("read_file: %s", said)
	}
	before := g.shop.done.Load()
	var all sync.WaitGroup
	for range 200 { // in one session, at once
		all.Go(func() {
			got, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "read_file"})
			if err != nil || got.IsError {
				t.Errorf("one of 200 calls: %v, %v", got, err)
			}
		})
	}
	all.Wait()
	if got := g.shop.done.Load() - before; got != 200 {
		t.Errorf("200 calls arrive %d times", got)
	}
	before = g.shop.done.Load()
	for _, tool := range []string{"delete_all", "write_file", "admin_report", "unheard_of"} {
		_, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
		if err == nil || !strings.Contains(err.Error(), "the tool "+tool) {
			t.Errorf("%s: %v", tool, err)
		}
	}
	if g.shop.done.Load() != before {
		t.Error("a denied tool was carried out")
	}
	if got, _ := calls(t, c, "break", nil); !got.IsError {
		t.Error("break works")
	}
}

// bearing puts a token on each request.
type bearing struct {
	http.RoundTripper
	token string
}

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}

func (g *gated) oldTransport(t *testing.T) {
	web := &http.Client{Transport: bearing{g.web.Transport, g.bob}}
	c, err := mcp.NewClient(&mcp.Implementation{Name: "old", Version: "1"}, nil).Connect(t.Context(),
		&mcp.SSEClientTransport{Endpoint: g.url("shop.localhost", "/sse"), HTTPClient: web}, &mcp.ClientSessionOptions{ProtocolVersion: "2024-11-05"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := offered(t, c); !slices.Equal(got, []string{"break", "read_file"}) {
		t.Errorf("bob is offered %v", got)
	}
	does(t, c, "read_file", nil)
	before := g.shop.done.Load()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.CallTool(ctx, &mcp.CallToolParams{Name: "delete_all"}); err == nil || g.shop.done.Load() != before {
		t.Errorf("delete_all on a message path that an event named: %v", err)
	}
}

func (g *gated) batches(t *testing.T) {
	before := g.shop.done.Load()
	got := g.post(g.bob, "["+call("read_file")+","+strings.Replace(call("delete_all"), `"id":1`, `"id":2`, 1)+"]", "Mcp-Protocol-Version: 2025-03-26")
	var replies []struct {
		ID    int
		Error struct {
			Code    int
			Message string
		}
	}
	decode(t, got.Body, &replies)
	if got.StatusCode != 200 || len(replies) != 2 || replies[1].Error.Code != -32010 || !strings.Contains(replies[0].Error.Message, "another message") || g.shop.done.Load() != before {
		t.Errorf("a batch with a denied call: %d %s", got.StatusCode, got.Body)
	}
	got = g.post(g.bob, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
	session := "Mcp-Session-Id: " + got.Header.Get("Mcp-Session-Id")
	g.post(g.bob, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, session)
	got = g.post(g.bob, `[{"jsonrpc":"2.0","id":1,"method":"tools/list"},`+strings.Replace(call("read_file"), `"id":1`, `"id":2`, 1)+"]", "Mcp-Protocol-Version: 2025-03-26", session)
	if strings.Contains(got.Body, "delete_all") || !strings.Contains(got.Body, "read_file done") || !strings.Contains(got.Body, `"tools":[`) {
		t.Errorf("a batch that lists: %d %s", got.StatusCode, got.Body)
	}
}

func (g *gated) stepUpAndRates(t *testing.T) {
	got := g.post(g.alice, call("admin_report"))
	if got.StatusCode != 403 || !strings.Contains(got.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) || !strings.Contains(got.Header.Get("WWW-Authenticate"), `scope="user mcp admin"`) {
		t.Errorf("a scope would help: %d %s %s", got.StatusCode, got.Header.Get("WWW-Authenticate"), got.Body)
	}
	if got := g.post(g.bob, call("admin_report")); got.StatusCode != 200 || got.Header.Get("WWW-Authenticate") != "" || !strings.Contains(got.Body, "-32010") {
		t.Errorf("no scope would help: %d %s", got.StatusCode, got.Body)
	}
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"}},`
	modern := func(tool string) answer {
		return g.post(g.alice, strings.Replace(call(tool), `"params":{`, `"params":{`+meta, 1), "Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: "+tool)
	}
	for i := range 3 {
		if got := modern("write_file"); got.StatusCode != 200 || !strings.Contains(got.Body, "write_file done") {
			t.Fatalf("call %d: %d %s", i, got.StatusCode, got.Body)
		}
	}
	got = modern("write_file")
	wait, _ := strconv.Atoi(got.Header.Get("Retry-After"))
	if !strings.Contains(got.Body, "-32011") || !strings.Contains(got.Body, "3/hour") || wait < 60 {
		t.Errorf("the fourth: %d, again after %d s, %s", got.StatusCode, wait, got.Body)
	}
	for name, headers := range map[string][]string{
		"another tool":    {"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: read_file"},
		"another method":  {"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/list", "Mcp-Name: break"},
		"another version": {"Mcp-Protocol-Version: 2025-11-25", "Mcp-Method: tools/call", "Mcp-Name: break"},
		"no headers":      {"Mcp-Protocol-Version: 2026-07-28"},
	} {
		got := g.post(g.alice, strings.Replace(call("break"), `"params":{`, `"params":{`+meta, 1), headers...)
		if got.StatusCode != 400 || !strings.Contains(got.Body, "-32020") {
			t.Errorf("headers with %s: %d %s", name, got.StatusCode, got.Body)
		}
	}
}

// twoReadings are messages by which a denied call could slip through: none
// reaches the backend.
func (g *gated) twoReadings(t *testing.T) {
	before := g.shop.done.Load()
	denied := call("delete_all")
	for name, c := range map[string]struct {
		path, body string
		headers    []string
	}{
		"method twice":        {"/mcp", strings.Replace(denied, `"method"`, `"method":"ping","method"`, 1), nil},
		"Method":              {"/mcp", strings.Replace(denied, `"method"`, `"METHOD"`, 1), nil},
		"a byte order mark":   {"/mcp", "\xEF\xBB\xBF" + denied, nil},
		"an encoding":         {"/mcp", denied, []string{"Content-Encoding: gzip"}},
		"another charset":     {"/mcp", denied, []string{"Content-Type: application/json; charset=utf-16"}},
		"beside the endpoint": {"/other", strings.Replace(denied, `"method"`, `"method":"ping","method"`, 1), nil},
		"a BOM beside it":     {"/other", "\xEF\xBB\xBF" + denied, nil},
	} {
		if got := g.postTo(c.path, g.bob, c.body, c.headers...); got.StatusCode != 400 {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.Body)
		}
	}
	for name, c := range map[string]struct {
		path    string
		headers []string
	}{
		"as text":             {"/mcp", []string{"Content-Type: text/plain"}},
		"as an old version":   {"/mcp", []string{"Mcp-Protocol-Version: 2024-11-05"}},
		"on a path below":     {"/mcp/x", nil},
		"in another case":     {"/MCP", nil},
		"on another path":     {"/messages?session=1", nil},
		"by another method":   {"/mcp", []string{"X-Http-Method-Override: PUT"}},
		"with a named method": {"/mcp", []string{"Mcp-Method: tools/call", "Mcp-Name: delete_all"}},
	} {
		if got := g.postTo(c.path, g.bob, denied, c.headers...); !strings.Contains(got.Body, "the tool delete_all is not open to you") {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.Body)
		}
	}
	if got := ask(t, g.web, "GET", g.url("shop.localhost", "/mcp"), "", "Authorization: Bearer "+g.bob, "Connection: Upgrade", "Upgrade: websocket"); got.StatusCode != 403 {
		t.Errorf("an upgrade goes round the rules: %d", got.StatusCode)
	}
	if g.shop.done.Load() != before {
		t.Error("a denied tool was carried out")
	}
	if got := g.postTo("/upload", g.bob, "a,b\n1,2", "Content-Type: text/csv"); got.StatusCode == 400 && strings.Contains(got.Body, "JSON-RPC message that everybody") {
		t.Errorf("what is no message is judged: %s", got.Body)
	}
}

// sessions: one that alice began is not there for bob, nor without its mark.
func (g *gated) sessions(t *testing.T) {
	const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`
	got := g.post(g.alice, hello)
	id := got.Header.Get("Mcp-Session-Id")
	if got.StatusCode != 200 || id == "" {
		t.Fatalf("%d %s", got.StatusCode, got.Body)
	}
	ping := `{"jsonrpc":"2.0","id":2,"method":"ping"}`
	if got := g.post(g.alice, ping, "Mcp-Session-Id: "+id); got.StatusCode != 200 {
		t.Errorf("alice's own: %d %s", got.StatusCode, got.Body)
	}
	raw := id[:strings.LastIndex(id, "~")]
	for name, foreign := range map[string]string{"bob's": id, "unmarked": raw, "mark of nothing": raw + "~", "cut": id[:len(id)-1]} {
		token := g.alice
		if name == "bob's" {
			token = g.bob
		}
		if got := g.post(token, ping, "Mcp-Session-Id: "+foreign); got.StatusCode != 404 {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.Body)
		}
	}
	if got := ask(t, g.web, "DELETE", g.url("shop.localhost", "/mcp"), "", "Authorization: Bearer "+g.bob, "Mcp-Session-Id: "+id); got.StatusCode != 404 {
		t.Errorf("bob ends alice's session: %d", got.StatusCode)
	}
	if got := g.post(g.alice, ping, "Mcp-Session-Id: "+id); got.StatusCode != 200 {
		t.Errorf("alice's own, afterwards: %d %s", got.StatusCode, got.Body)
	}
}

// sizes: four MiB pass, more is refused; what streams back is not held.
func (g *gated) sizes(t *testing.T) {
	padded := func(size int) string {
		body := call("read_file")
		return strings.Replace(body, `"arguments":{}`, `"arguments":{"x":"`+strings.Repeat("y", size-len(body)-len(`"x":""`))+`"}`, 1)
	}
	if got := g.post(g.bob, padded(4<<20), "X-Stream: json 0"); got.StatusCode != 200 {
		t.Errorf("4 MiB: %d %s", got.StatusCode, got.Body)
	}
	if got := g.post(g.bob, padded(4<<20+1), "X-Stream: json 0"); got.StatusCode != 413 || !strings.Contains(got.Body, "larger than 4 MiB") {
		t.Errorf("4 MiB and a byte: %d %s", got.StatusCode, got.Body)
	}
	for _, kind := range []string{"json", "events"} {
		before := g.memory(t, "VmRSS")
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", g.cmd.Process.Pid), []byte("5"), 0o600); err != nil { // VmHWM begins anew
			t.Skip(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", g.url("shop.localhost", "/mcp"), strings.NewReader(call("read_file")))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Authorization": "Bearer " + g.bob, "Content-Type": "application/json", "Accept": "application/json, text/event-stream", "X-Stream": kind + " 100"} {
			req.Header.Set(name, value)
		}
		res, err := g.web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if n < 100<<20 || err != nil {
			t.Errorf("%s: %d bytes, %v", kind, n, err)
		}
		if grown := g.memory(t, "VmHWM") - before; grown > 60<<10 {
			t.Errorf("%s: 100 MiB through the gate took %d KiB", kind, grown)
		}
	}
}

// memory is a line of the server's /proc/PID/status, in KiB.
func (g *gated) memory(t *testing.T, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// versions: a host speaks those of its list, whatever its backend does.
func (g *gated) versions(t *testing.T) {
	g.local("proxy", "update", "free.localhost", "--set", `resource_versions=["2025-03-26","2025-06-18"]`)
	c := g.office.alice.assistant(t, g.mcp("free"), "")
	if got := c.InitializeResult().ProtocolVersion; got != "2025-06-18" {
		t.Errorf("client and backend settle on %s", got)
	}
	does(t, c, "read_file", nil)
	got := ask(t, g.web, "POST", g.url("free.localhost", "/mcp"), call("read_file"), "Authorization: Bearer "+strings.TrimSpace(g.office.alice.login("--resource", g.mcp("free"), "--print-token")),
		"Content-Type: application/json", "Accept: application/json, text/event-stream", "Mcp-Protocol-Version: 2025-11-25")
	if got.StatusCode != 400 || !strings.Contains(got.Body, "-32022") || !strings.Contains(got.Body, `"supported":["2025-03-26","2025-06-18"]`) {
		t.Errorf("another version: %d %s", got.StatusCode, got.Body)
	}
}

// log: each call is there with who, what and how it ended, and no argument.
func (g *gated) log(t *testing.T) {
	g.post(g.bob, strings.Replace(call("read_file"), `"arguments":{}`, `"arguments":{"password":"hunter2-hunter2"}`, 1), "X-Stream: json 0")
	var page struct {
		Logs []map[string]any `json:"logs"`
	}
	text := g.local("log", "search", "kind:mcp", "--limit", "1000", "--format", "json")
	decode(t, text, &page)
	var failed, denied, listed int
	for _, e := range page.Logs {
		raw, _ := json.Marshal(e)
		switch {
		case e["proxy"] != "shop.localhost":
		case e["tool"] == "read_file" && e["is_error"] == true && e["user"] == "local:bob" && e["rpc_id"] == "1":
			failed++
		case e["tool"] == "delete_all" && e["auth_reason"] == "denied_by_rule" && e["auth_result"] == "denied":
			denied++
		case e["rpc_method"] == "tools/list" && e["is_error"] == nil:
			listed++
		}
		if strings.Contains(string(raw), "hunter2") {
			t.Errorf("an argument is in the log: %s", raw)
		}
	}
	if failed == 0 || denied < 10 || listed < 3 {
		t.Errorf("%d failed calls, %d denied, %d lists in the log:\n%s", failed, denied, listed, text)
	}
}
