package site

import (
	"encoding/json"
	"strings"
	"testing"

	"gatehouse/internal/fault"
)

const selfSigned = `-----BEGIN CERTIFICATE-----
MIIBNzCB3qADAgECAgEBMAoGCCqGSM49BAMCMAAwHhcNMjYwMTAxMDAwMDAwWhcNMzYwMTAxMDAwMDAwWjAAMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
-----END CERTIFICATE-----`

func good() Proxy {
	p := Default("app.example.com")
	p.TargetURL = "http://127.0.0.1:3000"
	return p
}

// patched is a proxy with the fields of a JSON object changed.
func patched(t *testing.T, p Proxy, fields string) (Proxy, error) {
	t.Helper()
	var patch Patch
	if err := json.Unmarshal([]byte(fields), &patch); err != nil {
		t.Fatal(err)
	}
	return ApplyPatch(p, patch)
}

func TestProxiesAreTakenAsTheyAreMeant(t *testing.T) {
	for _, fields := range []string{
		`{}`, `{"target_url":"internal:demo"}`, `{"target_url":"internal:mcp","resource_endpoint":"/mcp"}`, `{"auth_enabled":true,"auth_mode":"redirect","resource_endpoint":"/"}`,
		`{"auth_cookie_name":"__Host-gatehouse-app"}`, `{"auth_header_prefix":"X-Remote-Id-"}`, `{"custom_headers":{"X-Tenant":"${user} at ${email}","Authorization":"Basic x","X-Gone":""}}`,
		`{"custom_response_headers":{"Strict-Transport-Security":"max-age=1","Server":""}}`, `{"auth_excluded_paths":["/","/health","/static/","/a/*","/a b".replace]}`,
		`{"auth_required_users":["*"]}`, `{"auth_required_users":[]}`, `{"oauth_admin_users":["octocat","github:1","local:a"]}`, `{"auth_required_emails":["*@example.com","a@b.test"]}`,
		`{"auth_required_groups":["org","org/team"]}`, `{"resource_custom_metadata":{"resource_name":"x","x":{"y":[1]}}}`, `{"oauth_server_custom_metadata":{"service_documentation":"https://x"}}`,
		`{"github_client_id":"Iv1.a","github_client_secret":"s"}`, `{"connect_timeout":2.5,"request_timeout":0}`, `{"upgrade_protocols":["foo"]}`, `{"tls_mode":"passthrough","target_url":"https://10.0.0.1:8443"}`,
		`{"disabled_routes":["token","register"],"route_mode":"none"}`, `{"mcp_enabled":true}`, `{"target_url":"http://169.254.1.1","allow_link_local":true}`, `{"auth_allowed_origins":["https://a.example","http://b:8080"]}`,
		`{"target_url":null,"targets":[{"url":"http://a","weight":1},{"url":"unix:b","weight":2}],"lb_policy":"sticky","health_path":"/h","resource_stateful":true}`,
		`{"redirect_https":true}`, `{"auth_realm":"my realm"}`, `{"oauth_server_grant_types":["authorization_code"],"oauth_server_token_auth_methods":["none"]}`,
	} {
		fields = strings.Replace(fields, `,"/a b".replace`, "", 1)
		p, err := patched(t, good(), fields)
		if err == nil {
			err = p.Normalize().Validate(Ordinary)
		}
		if err != nil {
			t.Errorf("%s: %v", fields, err)
		}
	}
}

func TestProxiesAreRefusedByFieldAndRule(t *testing.T) {
	for _, c := range []struct{ fields, path, rule string }{
		{`{"target_url":""}`, "target_url", "required"},
		{`{"target_url":null}`, "target_url", "required"},
		{`{"target_url":"ftp://x"}`, "target_url", "absolute"},
		{`{"target_url":"internal:api"}`, "target_url", "only internal:demo"},
		{`{"target_url":"internal:web"}`, "target_url", "only internal:demo"},
		{`{"target_url":"internal:oauth"}`, "target_url", "only internal:demo"},
		{`{"target_url":"internal:pages"}`, "target_url", "only internal:demo"},
		{`{"target_url":"internal:acme"}`, "target_url", "only internal:demo"},
		{`{"target_url":"http://169.254.169.254/latest"}`, "target_url", "link-local"},
		{`{"target_url":"http://[fe80::1]"}`, "target_url", "link-local"},
		{`{"target_url":"http://[::ffff:169.254.169.254]"}`, "target_url", "link-local"},
		{`{"targets":[{"url":"http://a","weight":1}]}`, "targets", "exclude"},
		{`{"target_url":null,"targets":[{"url":"nope","weight":0}]}`, "targets[0].url", "absolute"},
		{`{"target_url":null,"targets":[{"url":"http://a","weight":0}]}`, "targets[0].weight", "1000"},
		{`{"target_url":null,"targets":[{"url":"http://a","weight":1},{"url":"http://a","weight":1}]}`, "targets[1].url", "already"},
		{`{"target_url":null,"targets":[{"url":"stdio:x","weight":1}]}`, "targets[0].url", "stand alone"},
		{`{"target_url":null,"targets":[{"url":"internal:mcp","weight":1}]}`, "targets[0].url", "stand alone"},
		{`{"target_url":"internal:demo","health_path":"/h"}`, "health_path", "another server"},
		{`{"target_url":null,"tls_mode":"passthrough","targets":[{"url":"https://a/x","weight":1}]}`, "targets[0].url", "no path"},
		{`{"tls_mode":"passthrough","health_path":"/h"}`, "health_path", "passthrough"},
		{`{"auth_cookie_name":"__Host-gatehouse-target"}`, "auth_cookie_name", "can't be"},
		{`{"lb_policy":"random"}`, "lb_policy", "round_robin"},
		{`{"tls_mode":"raw"}`, "tls_mode", "terminate"},
		{`{"tls_mode":"passthrough","auth_enabled":true}`, "auth_enabled", "passthrough"},
		{`{"tls_mode":"passthrough","resource_endpoint":"/"}`, "resource_endpoint", "passthrough"},
		{`{"tls_mode":"passthrough","mcp_enabled":true}`, "mcp_enabled", "passthrough"},
		{`{"tls_mode":"passthrough","target_url":"internal:demo"}`, "target_url", "TCP"},
		{`{"tls_mode":"passthrough","target_url":"https://a/x"}`, "target_url", "no path"},
		{`{"tls_mode":"passthrough","enable_https":false}`, "tls_mode", "enable_https"},
		{`{"send_proxy_protocol":"v3"}`, "send_proxy_protocol", "v2"},
		{`{"redirect_https":true,"enable_https":false}`, "redirect_https", "enable_https"},
		{`{"connect_timeout":-1}`, "connect_timeout", "seconds"},
		{`{"request_timeout":1e9}`, "request_timeout", "seconds"},
		{`{"max_body_bytes":-1}`, "max_body_bytes", "unlimited"},
		{`{"target_ca":"nonsense"}`, "target_ca", "PEM"},
		{`{"upgrade_protocols":["h2c"]}`, "upgrade_protocols[0]", "HTTP"},
		{`{"upgrade_protocols":["TLS/1.0"]}`, "upgrade_protocols[0]", "protocol name"},
		{`{"upgrade_protocols":["websocket"]}`, "upgrade_protocols[0]", "always passes"},
		{`{"auth_type":"basic"}`, "auth_type", "oauth or none"},
		{`{"auth_mode":"open"}`, "auth_mode", "redirect"},
		{`{"auth_proxy":"app.example.com"}`, "auth_proxy", "another host"},
		{`{"auth_proxy":"*.example.com"}`, "auth_proxy", "wildcard"},
		{`{"auth_proxy":"a b"}`, "auth_proxy", "labels"},
		{`{"auth_required_users":["*","bob"]}`, "auth_required_users", "not both"},
		{`{"auth_required_users":["b ob"]}`, "auth_required_users[0]", "spaces"},
		{`{"auth_required_users":[""]}`, "auth_required_users[0]", "name"},
		{`{"oauth_admin_users":["*"]}`, "oauth_admin_users", "one by one"},
		{`{"auth_required_emails":["bob"]}`, "auth_required_emails[0]", "e-mail"},
		{`{"auth_required_emails":["[@x.test"]}`, "auth_required_emails[0]", "glob"},
		{`{"auth_allowed_scopes":["a b"]}`, "auth_allowed_scopes[0]", "scope"},
		{`{"auth_allowed_origins":["*"]}`, "auth_allowed_origins[0]", "origin"},
		{`{"auth_allowed_origins":["null"]}`, "auth_allowed_origins[0]", "origin"},
		{`{"auth_allowed_origins":["https://a.example/"]}`, "auth_allowed_origins[0]", "origin"},
		{`{"mcp_allowed_origins":["https://*.a.example"]}`, "mcp_allowed_origins[0]", "origin"},
		{`{"auth_cookie_name":"session"}`, "auth_cookie_name", "__Host-gatehouse"},
		{`{"auth_cookie_name":"__Host-gatehouse; Domain=x"}`, "auth_cookie_name", "__Host-gatehouse"},
		{`{"auth_header_prefix":"X-Forwarded-"}`, "auth_header_prefix", "X-Forwarded-"},
		{`{"auth_header_prefix":"x-forwarded-user-"}`, "auth_header_prefix", "begins with X-"},
		{`{"auth_header_prefix":"X-Forwarded-Auth-"}`, "auth_header_prefix", "X-Forwarded-"},
		{`{"auth_header_prefix":"Auth-"}`, "auth_header_prefix", "begins with X-"},
		{`{"auth_header_prefix":""}`, "auth_header_prefix", "begins with X-"},
		{`{"auth_header_prefix":"X-"}`, "auth_header_prefix", "begins with X-"},
		{`{"auth_excluded_paths":["health"]}`, "auth_excluded_paths[0]", "begins with /"},
		{`{"auth_excluded_paths":[""]}`, "auth_excluded_paths[0]", "begins with /"},
		{`{"auth_excluded_paths":["/a*"]}`, "auth_excluded_paths[0]", "at the end"},
		{`{"auth_excluded_paths":["/a%2fb"]}`, "auth_excluded_paths[0]", "decoded"},
		{`{"auth_excluded_paths":["/a/../b"]}`, "auth_excluded_paths[0]", "dot or empty"},
		{`{"auth_excluded_paths":["/a//b"]}`, "auth_excluded_paths[0]", "dot or empty"},
		{`{"auth_excluded_paths":["//"]}`, "auth_excluded_paths[0]", "dot or empty"},
		{`{"auth_excluded_paths":["/a;b"]}`, "auth_excluded_paths[0]", "semicolon"},
		{`{"auth_excluded_paths":["/a?b"]}`, "auth_excluded_paths[0]", "query"},
		{`{"auth_realm":"a\"b"}`, "auth_realm", "quotes"},
		{`{"custom_headers":{"Host":"x"}}`, "custom_headers.Host", "Gatehouse's to set"},
		{`{"custom_headers":{"content-length":"1"}}`, "custom_headers.Content-Length", "frames"},
		{`{"custom_headers":{"Transfer-Encoding":"chunked"}}`, "custom_headers.Transfer-Encoding", "frames"},
		{`{"custom_headers":{"Connection":"close"}}`, "custom_headers.Connection", "frames"},
		{`{"custom_headers":{"X-Auth-User":"root"}}`, "custom_headers.X-Auth-User", "who is asking"},
		{`{"custom_headers":{"x_auth_user":"root"}}`, "custom_headers.X_auth_user", "who is asking"},
		{`{"custom_headers":{"Remote-User":"root"}}`, "custom_headers.Remote-User", "who is asking"},
		{`{"custom_headers":{"X-Forwarded-Email":"a@b"}}`, "custom_headers.X-Forwarded-Email", "who is asking"},
		{`{"auth_header_prefix":"X-Who-","custom_headers":{"X-Who-User":"root"}}`, "custom_headers.X-Who-User", "who is asking"},
		{`{"custom_headers":{"A B":"x"}}`, "custom_headers.A B", "no header name"},
		{`{"custom_headers":{"X-A":"b\r\nc: d"}}`, "custom_headers.X-A", "control characters"},
		{`{"custom_headers":{"X-A":"${password}"}}`, "custom_headers.X-A", "${user}"},
		{`{"custom_headers":{"x-a":"1","X-A":"2"}}`, "custom_headers.x-a", "twice"},
		{`{"custom_response_headers":{"Set-Cookie":"__Host-gatehouse=x"}}`, "custom_response_headers.Set-Cookie", "cookie"},
		{`{"custom_response_headers":{"www-authenticate":""}}`, "custom_response_headers.Www-Authenticate", "refusals"},
		{`{"custom_response_headers":{"Content-Type":"text/plain"}}`, "custom_response_headers.Content-Type", "refusals"},
		{`{"custom_response_headers":{"Transfer-Encoding":""}}`, "custom_response_headers.Transfer-Encoding", "frames"},
		{`{"route_mode":"some"}`, "route_mode", "selective"},
		{`{"disabled_routes":["acme-challenge"]}`, "disabled_routes[0]", "can't be disabled"},
		{`{"disabled_routes":["gatehouse"]}`, "disabled_routes[0]", "can't be disabled"},
		{`{"disabled_routes":["A B"]}`, "disabled_routes[0]", "a-z"},
		{`{"resource_endpoint":"mcp"}`, "resource_endpoint", "begins with /"},
		{`{"resource_endpoint":"/mcp/"}`, "resource_endpoint", "slash"},
		{`{"resource_endpoint":"/mcp?x"}`, "resource_endpoint", "query"},
		{`{"resource_endpoint":"/.well-known/x"}`, "resource_endpoint", "below"},
		{`{"resource_endpoint":"/.gatehouse"}`, "resource_endpoint", "below"},
		{`{"resource_endpoint":"/a/../b"}`, "resource_endpoint", "dot"},
		{`{"resource_scopes":["a\"b"]}`, "resource_scopes[0]", "scope"},
		{`{"resource_versions":["latest"]}`, "resource_versions[0]", "2025-11-25"},
		{`{"auth_enabled":true,"resource_override_backend":false}`, "resource_override_backend", "auth_enabled"},
		{`{"resource_custom_metadata":{"resource":"https://x"}}`, "resource_custom_metadata.resource", "trust"},
		{`{"resource_custom_metadata":{"authorization_servers":[]}}`, "resource_custom_metadata.authorization_servers", "trust"},
		{`{"resource_custom_metadata":{"Authorization_Servers":[]}}`, "resource_custom_metadata.Authorization_Servers", "trust"},
		{`{"resource_custom_metadata":{"x":"` + strings.Repeat("y", 17<<10) + `"}}`, "resource_custom_metadata", "16384"},
		{`{"oauth_server_custom_metadata":{"issuer":"https://x"}}`, "oauth_server_custom_metadata.issuer", "trust"},
		{`{"oauth_server_custom_metadata":{"token_endpoint":"https://x"}}`, "oauth_server_custom_metadata.token_endpoint", "trust"},
		{`{"oauth_server_custom_metadata":{"jwks_uri":"https://x"}}`, "oauth_server_custom_metadata.jwks_uri", "trust"},
		{`{"oauth_server_custom_metadata":{"code_challenge_methods_supported":["plain"]}}`, "oauth_server_custom_metadata.code_challenge_methods_supported", "trust"},
		{`{"oauth_server_custom_metadata":{"authorization_response_iss_parameter_supported":false}}`, "oauth_server_custom_metadata.authorization_response_iss_parameter_supported", "trust"},
		{`{"oauth_server_grant_types":["password"]}`, "oauth_server_grant_types[0]", "authorization_code"},
		{`{"oauth_server_token_auth_methods":["tls_client_auth"]}`, "oauth_server_token_auth_methods[0]", "none"},
		{`{"github_client_id":"x"}`, "github_client_id", "together"},
		{`{"github_client_secret":"x"}`, "github_client_id", "together"},
		{`{"nope":1}`, "nope", "not a field"},
		{`{"Target_URL":"http://a"}`, "Target_URL", "did you mean target_url"},
		{`{"enabled":"yes"}`, "enabled", "true or false"},
		{`{"connect_timeout":"5s"}`, "connect_timeout", "number"},
		{`{"max_body_bytes":1.5}`, "max_body_bytes", "whole number"},
		{`{"auth_required_users":"bob"}`, "auth_required_users", "list"},
		{`{"auth_required_users":["a",1]}`, "auth_required_users[1]", "string"},
		{`{"targets":[{"url":"http://a","heavy":1}]}`, "targets[0].heavy", "not a field"},
		{`{"targets":[{"URL":"http://a"}]}`, "targets[0].URL", "not a field"},
		{`{"proxy_hostname":"other.example.com"}`, "proxy_hostname", "can't be changed"},
		{`{"version":7}`, "version", "can't be changed"},
		{`{"created_by":"me"}`, "created_by", "can't be changed"},
		{`{"created_at":"x"}`, "created_at", "time"},
	} {
		p, err := patched(t, good(), c.fields)
		if err == nil {
			err = p.Normalize().Validate(Ordinary)
		}
		if !told(err, c.path, c.rule) {
			t.Errorf("%.100s: want %s: …%s…, got %v", c.fields, c.path, c.rule, err)
		}
	}
}

// told reports whether err names the field with a rule that holds text.
func told(err error, path, text string) bool {
	if !fault.Is(err, fault.Invalid) {
		return false
	}
	for _, f := range fault.ProblemOf(err).Errors {
		if f.Path == path && strings.Contains(f.Rule, text) {
			return true
		}
	}
	return false
}

func TestAllBrokenRulesAreToldAtOnce(t *testing.T) {
	p := good()
	p.TargetURL, p.AuthMode, p.ConnectTimeout, p.AuthExcludedPaths = "x", "y", -1, []string{"z"}
	err := p.Validate(Ordinary)
	for _, path := range []string{"target_url", "auth_mode", "connect_timeout", "auth_excluded_paths[0]"} {
		if !told(err, path, "") {
			t.Errorf("%s is not told: %v", path, err)
		}
	}
}

func TestDefaultsAndBuiltInHostsAreValid(t *testing.T) {
	if err := good().Normalize().Validate(Ordinary); err != nil {
		t.Error(err)
	}
	if err := Localhost().Normalize().Validate(LocalhostRole); err != nil {
		t.Error(err)
	}
	if err := SignInProxy("auth.localhost").Normalize().Validate(SignInHost); err != nil {
		t.Error(err)
	}
}

// Gatehouse's own two hosts keep what signing in anywhere rests on.
func TestBuiltInHostsKeepTheirRules(t *testing.T) {
	signIn, local := SignInProxy("auth.localhost"), Localhost()
	for _, c := range []struct {
		p            Proxy
		role         Role
		fields, path string
	}{
		{signIn, SignInHost, `{"target_url":"http://127.0.0.1:1"}`, "target_url"},
		{signIn, SignInHost, `{"target_url":"internal:demo"}`, "target_url"},
		{signIn, SignInHost, `{"disabled_routes":["signin"]}`, "disabled_routes[0]"},
		{signIn, SignInHost, `{"disabled_routes":["authorize"]}`, "disabled_routes[0]"},
		{signIn, SignInHost, `{"oauth_admin_users":["eve"]}`, "oauth_admin_users"},
		{signIn, SignInHost, `{"auth_proxy":"a.example"}`, "auth_proxy"},
		{signIn, SignInHost, `{"custom_response_headers":{"Content-Security-Policy":""}}`, "custom_response_headers"},
		{local, LocalhostRole, `{"oauth_admin_users":["eve"]}`, "oauth_admin_users"},
		{local, LocalhostRole, `{"resource_endpoint":""}`, "resource_endpoint"},
		{local, LocalhostRole, `{"tls_mode":"passthrough"}`, "tls_mode"},
	} {
		p, err := patched(t, c.p, c.fields)
		if err == nil {
			err = p.Normalize().Validate(c.role)
		}
		if !told(err, c.path, "") {
			t.Errorf("%s %s: %v", c.p.Hostname, c.fields, err)
		}
	}
}

func TestNormalizeGivesOneSpelling(t *testing.T) {
	p := good()
	p.Hostname, p.TargetURL = "APP.Example.com", "HTTP://Backend:80"
	p.CustomHeaders = map[string]string{"x-tenant": "a"}
	p.AuthRequiredUsers, p.OAuthAdminUsers, p.OAuthUserUsers = []string{"a", "b", "a"}, nil, []string{}
	p.AuthAllowedOrigins = []string{"HTTPS://A.example"}
	n := p.Normalize()
	if n.Hostname != "app.example.com" || n.TargetURL != "http://backend:80" || n.CustomHeaders["X-Tenant"] != "a" || len(n.AuthRequiredUsers) != 2 || n.AuthAllowedOrigins[0] != "https://a.example" {
		t.Errorf("%+v", n)
	}
	if n.OAuthAdminUsers != nil || n.OAuthUserUsers == nil {
		t.Error("null and empty lists are not kept apart")
	}
	if p.AuthRequiredUsers[2] != "a" || p.AuthAllowedOrigins[0] != "HTTPS://A.example" || p.CustomHeaders["x-tenant"] != "a" {
		t.Error("the proxy that was normalized has changed")
	}
}

func TestCertificatesAreParsed(t *testing.T) {
	if certificates(selfSigned) {
		t.Error("a broken certificate passes")
	}
	if certificates("") || certificates("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----") {
		t.Error("what is no certificate passes")
	}
}
