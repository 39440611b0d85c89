package test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// metadata is a metadata document, which must be there and public.
func metadata(t *testing.T, c *http.Client, at string) map[string]any {
	t.Helper()
	got := get(t, c, at)
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("%s: %d %v %s", at, got.StatusCode, got.Header, got.Body)
	}
	var m map[string]any
	decode(t, got.Body, &m)
	return m
}

// texts are the strings of a field of metadata.
func texts(m map[string]any, field string) string {
	list, _ := m[field].([]any)
	var all []string
	for _, v := range list {
		s, _ := v.(string)
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

// refusedAuthorize is the error with which an authorization request comes back.
func (c *oauthClient) refusedAuthorize(changes url.Values) url.Values {
	c.t.Helper()
	got := get(c.t, c.c, c.request(changes))
	to, err := got.Location()
	if err != nil || !strings.HasPrefix(to.String(), c.redirect) {
		c.t.Fatalf("authorize answers %d %v, not the client: %s", got.StatusCode, to, got.Body)
	}
	return to.Query()
}

// accessFor is a whole flow at the client's issuer for a resource.
func (c *oauthClient) accessFor(p *person, resource string) tokens {
	c.t.Helper()
	changes := url.Values{}
	if resource != "" {
		changes.Set("resource", resource)
	}
	got, out := c.exchange(c.code(p, changes), nil)
	if out.Access == "" {
		c.t.Fatalf("no token for %q: %d %s", resource, got.StatusCode, got.Body)
	}
	return out
}

// opens is the status that a token gets at an address, and its challenge.
func opens(t *testing.T, c *http.Client, at, token string) (int, string) {
	t.Helper()
	got := get(t, c, at, "Authorization: Bearer "+token)
	return got.StatusCode, got.Header.Get("Www-Authenticate")
}

// sdkUser is whom the tool whoami of the demo's MCP server sees behind the official
// Go SDK's client, which is told nothing but the URL.
func (p *person) sdkUser(t *testing.T, endpoint string) any {
	t.Helper()
	const redirect = "http://127.0.0.1:7777/callback"
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "Go SDK test", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		}},
		RedirectURL: redirect, Client: p.s.stranger().c,
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			back := p.consent(args.URL)
			return &auth.AuthorizationResult{Code: back.Get("code"), State: back.Get("state"), Iss: back.Get("iss")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: p.s.stranger().c, OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatalf("the client did not get in: %v", err)
	}
	defer session.Close()
	who, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatal(err)
	}
	said, _ := who.StructuredContent.(map[string]any)
	return said["user"]
}

// serves makes a protected host before the demo, open to everybody who is signed
// in; fields are more of it, as JSON.
func (s *server) serves(t *testing.T, name, fields string) {
	t.Helper()
	body := `{"proxy_hostname":"` + name + `","target_url":"internal:demo","auth_enabled":true,"auth_required_users":["*"],"oauth_user_users":["*"]` + fields + `}`
	if got := s.signed(t, "POST", "/proxies/", body); got.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %d %s", name, got.StatusCode, got.Body)
	}
}
