package test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// slow is an MCP server that keeps events, with a tool that ends when it is let.
func slow(t *testing.T) (url string, begun <-chan struct{}, end chan<- struct{}) {
	t.Helper()
	started, ends := make(chan struct{}), make(chan struct{})
	server := mcp.NewServer(&mcp.Implementation{Name: "slow", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "read_file"}, func(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, nothing, error) {
		select {
		case started <- struct{}{}:
			<-ends
		case <-time.After(30 * time.Second):
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done after the cut"}}}, nothing{}, nil
	})
	backend := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{DisableLocalhostProtection: true, EventStore: mcp.NewMemoryEventStore(nil)}))
	t.Cleanup(func() { backend.CloseClientConnections(); backend.Close() })
	return backend.URL, started, ends
}

// TestAStreamIsResumedThroughAHost: the connection is cut in the middle of a call,
// and what came meanwhile is got from the event that the client names, by whoever
// has the session and nobody else. The first event comes while the tool still runs.
func TestAStreamIsResumedThroughAHost(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, "first")
	backend, begun, end := slow(t)
	o.local("proxy", "create", "slow.localhost", backend, "--auth", "--mcp", "--allow", "local:alice", "--allow", "local:bob")
	bearer := func(p *person) string {
		return "Authorization: Bearer " + strings.TrimSpace(p.login("--resource", o.mcp("slow"), "--print-token"))
	}
	alice, bob := bearer(o.alice), bearer(o.bob)
	for _, rules := range []string{"[]", `[{"tools":["read_*"],"action":"allow"}]`} {
		t.Run("rules "+rules, func(t *testing.T) {
			o.as(t, func() {
				o.local("proxy", "update", "slow.localhost", "--set", "mcp_tools="+rules)
				o.resumes(t, alice, bob, begun, end)
			})
		})
	}
}

func (o *office) resumes(t *testing.T, alice, bob string, begun <-chan struct{}, end chan<- struct{}) {
	at := o.mcp("slow")
	headers := []string{"Content-Type: application/json", "Accept: application/json, text/event-stream", "Mcp-Protocol-Version: 2025-11-25"}
	got := ask(t, o.web, "POST", at, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},`+
		`"clientInfo":{"name":"x","version":"1"}}}`, append(headers, alice)...)
	id := got.Header.Get("Mcp-Session-Id")
	if got.StatusCode != http.StatusOK || id == "" {
		t.Fatalf("no session: %d %s", got.StatusCode, got.Body)
	}
	headers = append(headers, "Mcp-Session-Id: "+id)
	ask(t, o.web, "POST", at, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, slices.Concat(headers, []string{alice})...)

	last := o.cut(t, at, slices.Concat(headers, []string{alice}), begun)
	if last == "" {
		t.Fatal("no event came while the tool ran")
	}
	end <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	headers = append(headers, "Last-Event-ID: "+last)
	if got, err := send(ctx, o.web, "GET", at, "", slices.Concat(headers, []string{bob})...); err != nil || got.StatusCode != http.StatusNotFound {
		t.Errorf("by bob: %+v %v", got, err)
	}
	if got, err := send(ctx, o.web, "GET", at, "", slices.Concat(headers, []string{alice})...); err != nil || got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "done after the cut") {
		t.Errorf("resumed: %+v %v", got, err)
	}
}

// cut calls the tool, and goes away as soon as it runs and an event has come: the
// event's name.
func (o *office) cut(t *testing.T, at string, headers []string, begun <-chan struct{}) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", at, strings.NewReader(call("read_file")))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	res, err := o.web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			select {
			case <-begun:
				return id
			case <-ctx.Done():
				t.Fatal("the tool does not begin")
			}
		}
	}
	return ""
}
