package site

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"gatehouse/internal/fault"
)

var (
	protocolVersion = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

	grantTypes = []string{
		"authorization_code", "refresh_token", "client_credentials",
		"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange",
	}
	clientAuthMethods = []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}

	// What clients trust metadata for: never by hand.
	fixedResource = []string{"resource", "authorization_servers", "jwks_uri", "signed_metadata", "bearer_methods_supported", "scopes_supported"}
	fixedServer   = []string{
		"issuer", "jwks_uri", "signed_metadata", "mtls_endpoint_aliases", "code_challenge_methods_supported",
		"authorization_response_iss_parameter_supported", "response_types_supported", "response_modes_supported", "resource_indicators_supported",
		"client_id_metadata_document_supported", "subject_types_supported", "resource", "authorization_servers",
	}
	fieldsOfTheirOwn = map[string]string{
		"scopes_supported": "oauth_server_scopes", "grant_types_supported": "oauth_server_grant_types",
		"token_endpoint_auth_methods_supported": "oauth_server_token_auth_methods",
	}
)

func (p *Proxy) checkResource(broken *fault.Rules) {
	if e := p.ResourceEndpoint; e != "" {
		checkEndpoint(broken, e)
	}
	list(broken, "resource_scopes", p.ResourceScopes, scopeRule)
	list(broken, "resource_versions", p.ResourceVersions, func(s string) string {
		if !protocolVersion.MatchString(s) {
			return "is a protocol version such as 2025-11-25"
		}
		return ""
	})
	if s := p.ResourceDocumentationSuffix; s != "" {
		plainPath(broken, "resource_documentation_suffix", s)
	}
	if !p.ResourceOverrideBackend && p.AuthEnabled {
		broken.Add("resource_override_backend", "must be true while auth_enabled is: the target may not say who its authorization server is")
	}
	metadata(broken, "resource_custom_metadata", p.ResourceCustomMetadata, func(name string) bool {
		return contains(fixedResource, name)
	})
}

func checkEndpoint(broken *fault.Rules, endpoint string) {
	const path = "resource_endpoint"
	if endpoint == "/" {
		return
	}
	switch {
	case !plainPath(broken, path, endpoint):
	case strings.HasSuffix(endpoint, "/"):
		broken.Add(path, "has no slash at its end, / itself excepted")
	case strings.HasPrefix(endpoint, "/.well-known/"), strings.HasPrefix(endpoint+"/", PagesPrefix):
		broken.Add(path, "must not lie below /.well-known/ or %s", PagesPrefix)
	}
}

func (p *Proxy) checkOAuthServer(broken *fault.Rules) {
	list(broken, "oauth_server_scopes", p.OAuthServerScopes, scopeRule)
	list(broken, "oauth_server_grant_types", p.OAuthServerGrantTypes, among(grantTypes))
	list(broken, "oauth_server_token_auth_methods", p.OAuthServerTokenAuthMethods, among(clientAuthMethods))
	metadata(broken, "oauth_server_custom_metadata", p.OAuthServerCustomMetadata, func(name string) bool {
		return FixedServerMetadata(name) && fieldsOfTheirOwn[strings.ToLower(name)] == ""
	})
	for _, name := range sortedKeys(p.OAuthServerCustomMetadata) {
		if field := fieldsOfTheirOwn[strings.ToLower(name)]; field != "" {
			broken.Add("oauth_server_custom_metadata."+name, "is set by %s", field)
		}
	}
	if (p.GitHubClientID == "") != (p.GitHubClientSecret == "") {
		broken.Add("github_client_id", "and github_client_secret go together")
	}
	if len(p.GitHubClientID) > maxText || strings.ContainsFunc(p.GitHubClientID, unquotable) || strings.Contains(p.GitHubClientID, " ") {
		broken.Add("github_client_id", "is the client ID that GitHub shows")
	}
	if len(p.GitHubClientSecret) > maxText {
		broken.Add("github_client_secret", "is at most %d bytes long", maxText)
	}
}

// FixedServerMetadata reports whether a field of the authorization server's
// metadata is never a proxy's to say: who issues, where the endpoints are, and what
// this server really does.
func FixedServerMetadata(name string) bool {
	lower := strings.ToLower(name)
	return contains(fixedServer, name) || fieldsOfTheirOwn[lower] != "" || slices.ContainsFunc(
		[]string{"_endpoint", "_auth_methods_supported", "_alg_values_supported", "_enc_values_supported"},
		func(end string) bool { return strings.HasSuffix(lower, end) })
}

// metadata checks fields that a user adds to a metadata document.
func metadata(broken *fault.Rules, path string, fields map[string]any, fixed func(name string) bool) {
	for _, name := range sortedKeys(fields) {
		switch {
		case name == "" || len(name) > 128:
			broken.Add(path, "has names of 1 to 128 bytes")
		case fixed(name):
			broken.Add(path+"."+name, "is part of what clients trust and can't be changed")
		}
	}
	if text, err := json.Marshal(fields); err != nil || len(text) > maxMetadata {
		broken.Add(path, "is at most %d bytes of JSON", maxMetadata)
	}
}

func among(allowed []string) func(string) string {
	return func(s string) string {
		if slices.Contains(allowed, s) {
			return ""
		}
		return "is one of " + strings.Join(allowed, ", ")
	}
}

// contains ignores case: some readers of JSON do.
func contains(list []string, name string) bool {
	for _, s := range list {
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}
