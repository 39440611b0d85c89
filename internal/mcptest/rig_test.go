package mcptest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	goodToken  = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLXRoZS1nb29kLXRva2Vu"
	otherToken = "other-token-0123456789abcdef0123456789abcde"
)

type echoed struct {
	Text string `json:"text" jsonschema:"what to say"`
}

type counted struct {
	Count int `json:"count" jsonschema:"how many"`
}

// newTools is a server with two tools that read and one that does not.
func newTools() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "good", Version: "1"}, &mcp.ServerOptions{
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{ListChanged: true}},
	})
	reads := &mcp.ToolAnnotations{ReadOnlyHint: true}
	mcp.AddTool(s, &mcp.Tool{Name: "echo", Description: "Says a text back.", Annotations: reads},
		func(_ context.Context, _ *mcp.CallToolRequest, in echoed) (*mcp.CallToolResult, echoed, error) {
			return nil, in, nil
		})
	mcp.AddTool(s, &mcp.Tool{Name: "count", Description: "Counts.", Annotations: reads},
		func(_ context.Context, _ *mcp.CallToolRequest, in counted) (*mcp.CallToolResult, counted, error) {
			return nil, in, nil
		})
	mcp.AddTool(s, &mcp.Tool{Name: "destroy", Description: "Must never be called by a test."},
		func(context.Context, *mcp.CallToolRequest, echoed) (*mcp.CallToolResult, echoed, error) {
			panic("a tool that does not say that it reads was called")
		})
	return s
}

// good is a correct server: both eras, sessions bound to a token, with the sign-in
// that the specification wants.
type good struct {
	*httptest.Server
	handler http.Handler                    // of the endpoint, what the gate lets through
	listen  func(net.Listener) net.Listener // stands before it; nil: nothing does
}

// layer changes what a server does.
type layer func(g *good, next http.Handler) http.Handler

func newGood(t *testing.T, layers ...layer) *good {
	t.Helper()
	tools := newTools()
	get := func(*http.Request) *mcp.Server { return tools }
	// A store, so that streams are primed and can be resumed.
	stateful := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)})
	stateless := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	g := &good{}
	g.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		w.Header().Set("X-Accel-Buffering", "no")
		if r.Header.Get("Mcp-Protocol-Version") >= sessionless || strings.Contains(string(body), metaVersion) {
			stateless.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodPost && r.Header.Get("Mcp-Session-Id") == "" && !strings.Contains(string(body), `"initialize"`) && json.Valid(body) {
			http.Error(w, "Mcp-Session-Id is missing", http.StatusBadRequest)
			return
		}
		if unknownMethod(w, body) {
			return
		}
		stateful.ServeHTTP(w, r)
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/", g.document)
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && origin != g.URL {
			http.Error(w, "a foreign origin", http.StatusForbidden)
			return
		}
		g.gate().ServeHTTP(w, r)
	})
	var h http.Handler = mux
	for _, l := range layers {
		h = l(g, h)
	}
	g.Server = httptest.NewUnstartedServer(h)
	if g.listen != nil {
		g.Listener = g.listen(g.Listener)
	}
	g.Start()
	t.Cleanup(func() { g.CloseClientConnections(); g.Close() })
	return g
}

func (g *good) gate() http.Handler {
	verify := func(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		switch token {
		case goodToken, otherToken:
			return &auth.TokenInfo{UserID: token}, nil
		}
		return nil, auth.ErrInvalidToken
	}
	checked := auth.RequireBearerToken(verify, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(g.handler)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		challenge := `Bearer resource_metadata="` + g.URL + `/.well-known/oauth-protected-resource/mcp", scope="mcp"`
		if r.Header.Get("Authorization") != "" {
			challenge += `, error="invalid_token", error_description="it is none"`
		}
		if t := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); t != goodToken && t != otherToken {
			w.Header().Set("WWW-Authenticate", challenge)
			http.Error(w, "sign in", http.StatusUnauthorized)
			return
		}
		checked.ServeHTTP(w, r)
	})
}

func (g *good) document(w http.ResponseWriter, r *http.Request) {
	var doc map[string]any
	switch r.URL.Path {
	case "/.well-known/oauth-protected-resource/mcp":
		doc = map[string]any{"resource": g.URL + "/mcp", "authorization_servers": []string{g.URL}}
	case "/.well-known/oauth-authorization-server":
		doc = map[string]any{"issuer": g.URL, "authorization_endpoint": g.URL + "/authorize", "token_endpoint": g.URL + "/token",
			"registration_endpoint": g.URL + "/register", "response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
			"authorization_response_iss_parameter_supported": true}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(doc)
}

// unknownMethod answers what the SDK answers in plain text in the older versions.
func unknownMethod(w http.ResponseWriter, body []byte) bool {
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if json.Unmarshal(body, &m) != nil || !strings.HasPrefix(m.Method, "gatehouse/") {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": m.ID, "error": map[string]any{"code": -32601, "message": "no such method"}})
	return true
}

func (g *good) endpoint() string { return g.URL + "/mcp" }

// test runs a test of g, by a token that is good there.
func (g *good) test(t *testing.T, o Options) *Report {
	t.Helper()
	if o.URL == "" {
		o.URL = g.endpoint()
	}
	if o.Token == "" {
		o.Token, o.Other = goodToken, otherToken
	}
	o.QueryToken, o.listen = true, 30*time.Millisecond
	if o.Transport == nil {
		o.Transport = newTransport(t)
	}
	if o.Pause == 0 {
		o.Pause = 1 // nobody waits in these tests
	}
	report, err := Test(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func newTransport(t *testing.T) *http.Transport {
	tr := &http.Transport{MaxIdleConnsPerHost: 20}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// not are the results that are neither passed nor skipped.
func not(report *Report) []Result {
	var all []Result
	for _, res := range report.Results {
		if res.Status == Failed || res.Status == Warned {
			all = append(all, res)
		}
	}
	return all
}

func TestACorrectServerPassesInEveryVersion(t *testing.T) {
	g := newGood(t)
	seen := map[string]bool{}
	for _, version := range Versions() {
		t.Run(version, func(t *testing.T) {
			report := g.test(t, Options{Protocol: version})
			for _, res := range not(report) {
				t.Errorf("%s: %s (%s)", res.Check, res.Detail, res.Reference)
			}
			for _, res := range report.Results {
				if res.Status == Passed {
					seen[res.Check] = true
				}
				if u, err := url.Parse(res.Reference.URL); err != nil || u.Scheme != "https" || res.Reference.Section == "" {
					t.Errorf("%s cites %+v", res.Check, res.Reference)
				}
			}
			if report.Protocol != version || report.Totals.Passed < 50 {
				t.Errorf("%s: %+v", report.Protocol, report.Totals)
			}
			t.Logf("%s: %+v", version, report.Totals)
		})
	}
	for _, c := range allChecks() {
		if !seen[c.id] {
			t.Errorf("no version passes %s: it was never made", c.id)
		}
	}
}
