package demo_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/demo"
	"gatehouse/internal/principal"
)

// as serves the demo the way the edge does: with the caller in the context.
func as(t *testing.T, p *principal.Principal) *httptest.Server {
	t.Helper()
	backend := demo.New()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		backend.ServeHTTP(w, r.WithContext(principal.With(r.Context(), p)))
	}))
	t.Cleanup(s.Close)
	return s
}

func TestPageShowsWhoAsksAndWhatReachedIt(t *testing.T) {
	s := as(t, &principal.Principal{User: "local:<alice>", Subject: "local:alice", AuthType: principal.Session})
	req, err := http.NewRequest("GET", s.URL+"/any/path?q=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Odd", "<script>")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"local:&lt;alice&gt;", "/any/path?q=1", "X-Odd", "&lt;script&gt;"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	if strings.Contains(string(body), "<script") {
		t.Error("a header's markup reached the page unescaped")
	}
}

func TestMCPServerOffersThreeToolsAndKnowsTheCaller(t *testing.T) {
	s := as(t, &principal.Principal{User: "octocat", ClientID: "c1"})
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: s.URL + "/mcp"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) != 3 {
		t.Fatalf("got %d tools, %v; want 3", len(tools.Tools), err)
	}
	who, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := who.StructuredContent.(map[string]any); got["user"] != "octocat" || got["client"] != "c1" {
		t.Errorf("whoami answered %v", who.StructuredContent)
	}
	sum, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "add", Arguments: map[string]any{"a": 2, "b": 3}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := sum.StructuredContent.(map[string]any); got["sum"] != 5.0 {
		t.Errorf("add answered %v", sum.StructuredContent)
	}
}
