package test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// TestMCPClientNeedsOnlyTheURL is the official Go SDK's client at a protected MCP
// server, told nothing but the URL: it finds the metadata, registers, sends the
// person to consent, gets a token and calls a tool, which knows the person.
func TestMCPClientNeedsOnlyTheURL(t *testing.T) {
	s := start(t, nil, "protect", "tools.localhost", "internal:demo", "--mcp", "--allow", "local:alice")
	p := s.person()
	p.becomeAdmin()
	const redirect = "http://127.0.0.1:7777/callback"
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "Go SDK test", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		}},
		RedirectURL: redirect, Client: s.trusting(),
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			back := p.consent(args.URL)
			return &auth.AuthorizationResult{Code: back.Get("code"), State: back.Get("state"), Iss: back.Get("iss")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: s.url("tools.localhost", "/mcp"), HTTPClient: s.trusting(), OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatalf("the client did not get in: %v", err)
	}
	defer session.Close()
	who, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := who.StructuredContent.(map[string]any); got["user"] != "local:alice" {
		t.Errorf("the tool was told %v", who.StructuredContent)
	}
}

// consent opens an authorization URL, allows what is asked, and gives the
// parameters with which the browser was sent back to the client.
func (p *person) consent(at string) url.Values {
	p.s.t.Helper()
	page := p.follow(at)
	if page.StatusCode != http.StatusOK {
		p.s.t.Fatalf("no consent page: %d\n%s", page.StatusCode, page.Body)
	}
	done := p.submit(page, "/consent", url.Values{"answer": {"allow"}})
	back, err := done.Location()
	if err != nil {
		p.s.t.Fatalf("consent led nowhere: %d\n%s", done.StatusCode, done.Body)
	}
	return back.Query()
}
