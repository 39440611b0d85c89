package edge

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"gatehouse/internal/journal"
	"gatehouse/internal/mcpgate"
	"gatehouse/internal/site"
)

// workshop is a rig with an MCP server behind app.test that answers by f.
func workshop(t *testing.T, f http.HandlerFunc, rules ...site.MCPRule) *rig {
	t.Helper()
	b := backend(t, f)
	return newRig(t, Options{MCP: mcpgate.New(mcpgate.Options{Recorder: drop{}, SessionKey: make([]byte, 32)})},
		to("app.test", b.URL, func(p *site.Proxy) { p.MCPEnabled, p.ResourceEndpoint, p.MCPTools = true, "/mcp", rules }))
}

var noSecrets = site.MCPRule{Tools: []string{"secret*"}, Action: site.MCPDeny}

// An event is with the client before the next one is there, and a stream that
// can't be judged any more ends as one that broke, not as one that was whole.
func TestAFilteredStreamIsPromptAndEndsBroken(t *testing.T) {
	for name, change := range map[string]func(*http.Transport){"HTTP/1": func(*http.Transport) {}, "HTTP/2": overH2} {
		goOn := make(chan struct{})
		r := workshop(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": hello\n\ndata: {\"id\":1,\"result\":{\"tools\":[{\"name\":\"secret\"},{\"name\":\"a\"}]}}\n\n")
			_ = http.NewResponseController(w).Flush()
			<-goOn
			_, _ = io.WriteString(w, "data: {\"id\":2,\"result\":{\"Tools\":[{\"name\":\"secret\"}]}}\n\ndata: {\"id\":3}\n\n")
		}, noSecrets)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://app.test/mcp", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.client(change).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(resp.Body)
		var first string
		for range 4 {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %q %v", name, first, err)
			}
			first += line
		}
		if first != ": hello\n\ndata: {\"id\":1,\"result\":{\"tools\":[{\"name\":\"a\"}]}}\n\n" {
			t.Errorf("%s: %q", name, first)
		}
		close(goOn)
		rest, err := io.ReadAll(in)
		resp.Body.Close()
		if err == nil || len(rest) > 0 {
			t.Errorf("%s: the stream goes on with %q and ends with %v", name, rest, err)
		}
		r.journal.wait(t, func(e *journal.Entry) bool { return e.ErrorKind == "mcp_unclear" })
	}
}

// What can't be judged is answered in its place.
func TestAListThatCanNotBeJudgedIsA502(t *testing.T) {
	for name, answer := range map[string]string{"twice": `{"id":1,"result":{"tools":[],"tools":[{"name":"secret"}]}}`, "compressed": ""} {
		r := workshop(t, func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			w.Header().Set("Content-Type", "application/json")
			if answer == "" {
				w.Header().Set("Content-Encoding", "br")
				_, _ = io.WriteString(w, "secret in another form")
			}
			_, _ = io.WriteString(w, answer)
		}, noSecrets)
		resp, body := r.post("https://app.test/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		if resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "secret") || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v %q", name, resp.StatusCode, resp.Header, body)
		}
	}
}

// post is one message by a client of its own.
func (r *rig) post(url, message string, headers ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(message))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return do(r.t, r.client(), req)
}

// Without rules nobody reads a large message before its target does, of whatever version.
func TestWithoutRulesLargeMessagesStream(t *testing.T) {
	r := workshop(t, func(w http.ResponseWriter, req *http.Request) {
		n, _ := io.Copy(io.Discard, req.Body)
		if n < 8<<20 {
			t.Errorf("%d bytes arrive", n)
		}
	})
	message := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":"` + strings.Repeat("y", 8<<20) + `"}}}`
	for _, headers := range [][]string{nil, {"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: a"}} {
		if resp, body := r.post("https://app.test/mcp", message, headers...); resp.StatusCode != http.StatusOK {
			t.Errorf("%v: %d %s", headers, resp.StatusCode, body)
		}
	}
	if resp, _ := r.post("https://app.test/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("headers that say something else: %d", resp.StatusCode)
	}
}
