package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/site"
)

func TestServerMetadata(t *testing.T) {
	r := newRig(t)
	a := r.ask(http.MethodGet, mcpOrigin+"/.well-known/oauth-authorization-server", "")
	m := a.json(t)
	for field, want := range map[string]any{
		"issuer": mcpOrigin, "authorization_endpoint": mcpOrigin + "/authorize", "token_endpoint": mcpOrigin + "/token", "jwks_uri": mcpOrigin + "/jwks",
		"registration_endpoint": mcpOrigin + "/register", "revocation_endpoint": mcpOrigin + "/revoke", "introspection_endpoint": mcpOrigin + "/introspect",
		"device_authorization_endpoint": mcpOrigin + "/device/code", "scopes_supported": []string{"user", "mcp"}, "response_types_supported": []string{"code"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange", "client_credentials"},
		"token_endpoint_auth_methods_supported": []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}, "code_challenge_methods_supported": []string{"S256"},
		"authorization_response_iss_parameter_supported": true, "resource_indicators_supported": true, "response_modes_supported": []string{"query"},
		"introspection_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}, "client_id_metadata_document_supported": nil,
		"token_endpoint_auth_signing_alg_values_supported": clientAlgs(), "revocation_endpoint_auth_signing_alg_values_supported": clientAlgs(), "introspection_endpoint_auth_signing_alg_values_supported": clientAlgs(),
	} {
		if got, _ := json.Marshal(m[field]); string(got) != mustJSON(t, want) {
			t.Errorf("%s is %s, want %v", field, got, want)
		}
	}
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.Header.Get("Cache-Control"), "max-age") {
		t.Errorf("%v", a.Header)
	}
	for path, status := range map[string]int{
		"/.well-known/oauth-authorization-server/mcp": 200, "/.well-known/oauth-authorization-server/": 200, "/.well-known/oauth-authorization-server/other": 404,
		"/.well-known/openid-configuration": 200, "/.well-known/openid-configuration/mcp": 200, "/.well-known/openid-configuration/x": 404,
		"/.well-known/oauth-protected-resource": 200, "/.well-known/oauth-protected-resource/mcp": 200, "/.well-known/oauth-protected-resource/mcp/x": 404,
	} {
		if a := r.ask(http.MethodGet, mcpOrigin+path, ""); a.StatusCode != status || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	openID := r.ask(http.MethodGet, mcpOrigin+"/.well-known/openid-configuration", "").json(t)
	if openID["issuer"] != mcpOrigin || openID["subject_types_supported"] == nil || slices.Contains(openID["scopes_supported"].([]any), any("openid")) {
		t.Errorf("%v", openID)
	}
}

func TestAProxyNarrowsTheMetadataAndNothingElse(t *testing.T) {
	r := newRig(t)
	r.change("app.example.com", func(p *site.Proxy) {
		p.OAuthServerScopes, p.OAuthServerGrantTypes, p.OAuthServerTokenAuthMethods = []string{"user"}, []string{"authorization_code"}, []string{"none"}
		p.OAuthServerCustomMetadata = map[string]any{"issuer": "https://evil.example", "token_endpoint": "https://evil.example/token", "jwks_uri": "https://evil.example", "code_challenge_methods_supported": []string{"plain"}, "op_policy_uri": "https://app.example.com/policy"}
		p.ResourceCustomMetadata = map[string]any{"resource": "https://evil.example", "authorization_servers": []string{"https://evil.example"}, "resource_name": "The app"}
		p.DisabledRoutes = []string{site.RouteDeviceCode, site.RouteIntrospect}
	})
	m := r.ask(http.MethodGet, appOrigin+"/.well-known/oauth-authorization-server", "").json(t)
	for field, want := range map[string]any{"issuer": appOrigin, "token_endpoint": appOrigin + "/token", "jwks_uri": appOrigin + "/jwks", "code_challenge_methods_supported": []string{"S256"}, "op_policy_uri": "https://app.example.com/policy",
		"scopes_supported": []string{"user"}, "grant_types_supported": []string{"authorization_code"}, "token_endpoint_auth_methods_supported": []string{"none"}, "device_authorization_endpoint": nil, "introspection_endpoint": nil, "token_endpoint_auth_signing_alg_values_supported": nil, "revocation_endpoint_auth_signing_alg_values_supported": nil} {
		if got, _ := json.Marshal(m[field]); string(got) != mustJSON(t, want) {
			t.Errorf("%s is %s, want %v", field, got, want)
		}
	}
	prm := r.ask(http.MethodGet, appOrigin+"/.well-known/oauth-protected-resource", "").json(t)
	if prm["resource"] != appOrigin || prm["authorization_servers"].([]any)[0] != appOrigin || prm["resource_name"] != "The app" {
		t.Errorf("%v", prm)
	}
	client := r.registered(appOrigin)
	a := r.post(appOrigin+"/token", codeForm(client, r.code(appOrigin, client, person("alice"), authorizeQuery(client))))
	if a.StatusCode != http.StatusOK || a.text(t, "refresh_token") != "" {
		t.Errorf("a host without refresh tokens gives one: %s", a.body)
	}
	r.refresh(appOrigin, client, "x").refused(t, 400, "unsupported_grant_type", "")
}

func TestResourceMetadata(t *testing.T) {
	r := newRig(t)
	for path, want := range map[string]string{
		appOrigin + "/.well-known/oauth-protected-resource":          `{"authorization_servers":["https://app.example.com"],"bearer_methods_supported":["header"],"resource":"https://app.example.com","resource_name":"app.example.com","scopes_supported":["user","mcp"]}`,
		mcpOrigin + "/.well-known/oauth-protected-resource/mcp":      `{"authorization_servers":["https://mcp.example.com"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/mcp","resource_name":"mcp.example.com","scopes_supported":["user","mcp"]}`,
		"http://localhost/.well-known/oauth-protected-resource/mcp":  `{"authorization_servers":["http://localhost"],"bearer_methods_supported":["header"],"resource":"http://localhost/mcp","resource_name":"localhost","scopes_supported":["user","mcp"]}`,
		"https://localhost/.well-known/oauth-protected-resource/mcp": `{"authorization_servers":["https://localhost"],"bearer_methods_supported":["header"],"resource":"https://localhost/mcp","resource_name":"localhost","scopes_supported":["user","mcp"]}`,
	} {
		if a := r.ask(http.MethodGet, path, ""); string(a.body) != want {
			t.Errorf("%s:\n%s", path, a.body)
		}
	}
}

func TestJWKS(t *testing.T) {
	r := newRig(t)
	a := r.ask(http.MethodGet, appOrigin+"/jwks", "")
	keys := a.json(t)["keys"].([]any)
	k := keys[0].(map[string]any)
	if len(keys) != 1 || k["kid"] != thumbprint(&testKey().PublicKey) || k["kty"] != "RSA" || k["alg"] != "RS256" || k["use"] != "sig" || k["d"] != nil {
		t.Errorf("%s", a.body)
	}
	if a.Header.Get("Cache-Control") != "public, max-age=3600" {
		t.Error(a.Header.Get("Cache-Control"))
	}
}
