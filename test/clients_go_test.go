package test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

const loopbackRedirect = "http://127.0.0.1:7777/callback"

// goSDK infers application_type from the redirect URI, always sends state, and
// refreshes through golang.org/x/oauth2: ten seconds before expiry, so here before
// each call, without resource. It asks a person who is denied a second time: once
// for server/discover, with which it begins, and once for the older initialize.
func goSDK(t *testing.T, o *office) {
	asked := 0
	session, err := o.bySDK(t, func(at string) (*auth.AuthorizationResult, error) {
		asked++
		back := o.alice.consent(at)
		return &auth.AuthorizationResult{Code: back.Get("code"), State: back.Get("state"), Iss: back.Get("iss")}, nil
	})
	if err != nil {
		t.Fatalf("the client did not get in: %v", err)
	}
	defer session.Close()
	for range 2 {
		callsAs(t, session)
	}
	if o.refreshes("gosdk") == 0 || asked != 1 {
		t.Errorf("%d refreshes in the log, the person was asked %d times", o.refreshes("gosdk"), asked)
	}
	for _, d := range o.denials() {
		asked = 0
		session, err := o.bySDK(t, func(at string) (*auth.AuthorizationResult, error) {
			asked++
			back := d.deny(at).Query()
			return nil, errors.New(back.Get("error") + ": " + back.Get("error_description"))
		})
		if err == nil {
			session.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "access_denied: "+d.says) || asked > 2 {
			t.Errorf("%s: %v after asking %d times", d.how, err, asked)
		}
	}
}

// bySDK is a connection by the official Go SDK.
func (o *office) bySDK(t *testing.T, ask func(at string) (*auth.AuthorizationResult, error)) (*mcp.ClientSession, error) {
	t.Helper()
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "Go SDK", RedirectURIs: []string{loopbackRedirect}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		}},
		RedirectURL: loopbackRedirect, Client: o.web,
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			return ask(args.URL)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: o.mcp("gosdk"), HTTPClient: o.web, OAuthHandler: handler}, nil)
}

// goOAuth2 is golang.org/x/oauth2 with what the metadata says. Without an
// AuthStyle it tries Basic first and the body when that is refused: a code and a
// device code must outlive the first try.
func goOAuth2(t *testing.T, o *office) {
	for _, method := range []string{"none", "client_secret_post", "client_secret_basic"} {
		cfg := o.byOAuth2(t, method)
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, o.web)
		verifier := oauth2.GenerateVerifier()
		back := o.alice.consent(cfg.AuthCodeURL("a state", oauth2.S256ChallengeOption(verifier)))
		if back.Get("state") != "a state" {
			t.Errorf("state came back as %q", back.Get("state"))
		}
		token, err := cfg.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		o.callsTwice(t, cfg.Client(ctx, token), method)
	}
	for _, d := range o.denials() {
		back := d.deny(o.byOAuth2(t, "none").AuthCodeURL("a state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))
		if got := back.Query(); got.Get("state") != "a state" || !strings.HasPrefix(got.Get("error_description"), d.says) {
			t.Errorf("%s: the client is told %v", d.how, got)
		}
	}
}

// callsTwice calls by a client that refreshes ten seconds before expiry: here at
// each call.
func (o *office) callsTwice(t *testing.T, c *http.Client, how string) {
	t.Helper()
	before := o.refreshes("gooauth")
	for range 2 {
		got := ask(t, c, "POST", o.mcp("gooauth"), whoami, "Content-Type: application/json", "Accept: application/json, text/event-stream")
		if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"user":"local:alice"`) {
			t.Errorf("%s: %d %s", how, got.StatusCode, got.Body)
		}
	}
	if got := o.refreshes("gooauth") - before; got != 2 {
		t.Errorf("%s: %d refreshes in the log, want 2", how, got)
	}
}

const whoami = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`

// goDevice is the device flow of golang.org/x/oauth2.
func goDevice(t *testing.T, o *office) {
	cfg := o.byOAuth2(t, "none")
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, o.web)
	begin := func() *oauth2.DeviceAuthResponse {
		d, err := cfg.DeviceAuth(ctx, oauth2.SetAuthURLParam("resource", o.mcp("gooauth")))
		if err != nil {
			t.Fatal(err)
		}
		d.Interval = 1 // it has been answered before the first question
		return d
	}
	d := begin()
	o.alice.approve(d.UserCode)
	token, err := cfg.DeviceAccessToken(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	o.callsTwice(t, cfg.Client(ctx, token), "device")

	d = begin()
	o.alice.answerDevice(d.UserCode, "deny")
	_, err = cfg.DeviceAccessToken(ctx, d)
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refused.ErrorCode != "access_denied" {
		t.Errorf("a device that was refused got %v, want access_denied", err)
	}
}

// byOAuth2 registers a client and configures golang.org/x/oauth2 from the metadata.
func (o *office) byOAuth2(t *testing.T, method string) *oauth2.Config {
	t.Helper()
	issuer := o.url("gooauth.localhost", "")
	var at struct {
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
		Register  string `json:"registration_endpoint"`
		Device    string `json:"device_authorization_endpoint"`
	}
	decode(t, get(t, o.web, issuer+"/.well-known/oauth-authorization-server").Body, &at)
	body, err := json.Marshal(map[string]any{"client_name": "x/oauth2 " + method, "redirect_uris": []string{loopbackRedirect}, "token_endpoint_auth_method": method,
		"grant_types": []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"}})
	if err != nil {
		t.Fatal(err)
	}
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	decode(t, ask(t, o.web, "POST", at.Register, string(body), "Content-Type: application/json").Body, &client)
	return &oauth2.Config{ClientID: client.ID, ClientSecret: client.Secret, RedirectURL: loopbackRedirect,
		Endpoint: oauth2.Endpoint{AuthURL: at.Authorize, TokenURL: at.Token, DeviceAuthURL: at.Device}}
}
