package test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestEachHostIsItsOwnIssuer: without any settings what one host's issuer gave is
// nothing at another: tokens, registrations, codes. Each name of a wildcard is one.
func TestEachHostIsItsOwnIssuer(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "a.localhost", "internal:demo")
	s.serves(t, "b.localhost", "")
	s.serves(t, "*.wild.localhost", `,"auth_mode":"redirect"`)
	p := s.stranger()
	p.becomeAdmin()
	hosts := []string{"a.localhost", "b.localhost", "one.wild.localhost", "two.wild.localhost"}
	clients, access := map[string]*oauthClient{}, map[string]string{}
	for _, host := range hosts {
		origin := s.url(host, "")
		m := metadata(t, p.c, origin+"/.well-known/oauth-authorization-server")
		prm := metadata(t, p.c, origin+"/.well-known/oauth-protected-resource")
		if m["issuer"] != origin || m["token_endpoint"] != origin+"/token" || prm["resource"] != origin || texts(prm, "authorization_servers") != origin {
			t.Errorf("%s: %v %v", host, m, prm)
		}
		clients[host] = s.register(t, host, "http://127.0.0.1:7777/back")
		access[host] = clients[host].accessFor(p, "").Access
	}
	for _, at := range hosts {
		for _, of := range hosts {
			status, challenge := opens(t, p.c, s.url(at, "/"), access[of])
			if at == of && status != http.StatusOK {
				t.Errorf("%s: its own token gets %d %s", at, status, challenge)
			}
			if at != of && (status != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`)) {
				t.Errorf("%s: the token of %s gets %d %s", at, of, status, challenge)
			}
		}
	}
	a, b := clients["a.localhost"], clients["b.localhost"]
	code := a.code(p, nil)
	a.issuer = b.issuer // the same client, code and verifier at the other issuer
	if got, out := a.exchange(code, nil); got.StatusCode != http.StatusUnauthorized || out.Error != "invalid_client" {
		t.Errorf("a registration of another issuer: %d %s", got.StatusCode, got.Body)
	}
	b.verifier = a.verifier
	if got, out := b.exchange(code, nil); got.StatusCode != http.StatusBadRequest || out.Error != "invalid_grant" {
		t.Errorf("a code of another issuer: %d %s", got.StatusCode, got.Body)
	}
	if back := b.refusedAuthorize(url.Values{"resource": {s.url("a.localhost", "/")}}); back.Get("error") != "invalid_target" || back.Get("iss") != b.issuer {
		t.Errorf("another issuer's resource: %v", back)
	}
	// A session is one name's too, though one proxy serves both.
	one, two := s.url("one.wild.localhost", "/"), s.url("two.wild.localhost", "/")
	page := p.follow(one)
	var cookies []string
	for _, c := range p.c.Jar.Cookies(page.Request.URL) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	cookie := "Cookie: " + strings.Join(cookies, "; ")
	for at, want := range map[string]int{one: 200, two: 401} {
		if got := get(t, s.stranger().c, at, cookie); got.StatusCode != want {
			t.Errorf("the session of %s at %s: %d", one, at, got.StatusCode)
		}
	}
}

// TestAHostMayTakeAnothersIssuer: auth_proxy names the issuer; clients find it
// from the host alone, its tokens count there, and sessions work as ever.
func TestAHostMayTakeAnothersIssuer(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "issuer.localhost", "internal:demo")
	s.local("proxy", "create", "tools.localhost", "internal:demo", "--auth", "--mcp", "--allow", "local:alice", "--auth-proxy", "issuer.localhost")
	s.serves(t, "page.localhost", `,"auth_mode":"redirect","auth_proxy":"auth.localhost"`)
	p := s.stranger()
	p.becomeAdmin()
	issuer, tools := s.url("issuer.localhost", ""), s.url("tools.localhost", "/mcp")
	prm := metadata(t, p.c, s.url("tools.localhost", "/.well-known/oauth-protected-resource/mcp"))
	if texts(prm, "authorization_servers") != issuer || prm["resource"] != tools {
		t.Errorf("%v", prm)
	}
	for _, at := range []string{"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration"} {
		if m := metadata(t, p.c, s.url("tools.localhost", at)); m["issuer"] != issuer || m["token_endpoint"] != issuer+"/token" {
			t.Errorf("%s on the host says %v", at, m)
		}
	}
	if got := p.sdkUser(t, tools); got != "local:alice" {
		t.Errorf("the tool was told %v", got)
	}
	c := s.register(t, "issuer.localhost", "http://127.0.0.1:7777/back")
	out := c.accessFor(p, tools)
	for at, want := range map[string]int{s.url("issuer.localhost", "/"): 401, s.url("page.localhost", "/"): 401} {
		if status, challenge := opens(t, p.c, at, out.Access); status != want {
			t.Errorf("a token for %s at %s: %d %s", tools, at, status, challenge)
		}
	}
	if status, _ := opens(t, p.c, s.url("issuer.localhost", "/"), c.accessFor(p, "").Access); status != http.StatusOK {
		t.Errorf("without a resource the token is for the issuer's own host: %d", status)
	}
	if got, fresh := c.refresh(out.Refresh); fresh.Access == "" {
		t.Errorf("refresh: %d %s", got.StatusCode, got.Body)
	}
	own := s.register(t, "tools.localhost", "http://127.0.0.1:7777/back")
	if back := own.refusedAuthorize(url.Values{"resource": {tools}}); back.Get("error") != "invalid_target" {
		t.Errorf("the host's own issuer: %v", back)
	}
	if page := p.follow(s.url("page.localhost", "/x?y=z")); page.StatusCode != http.StatusOK || page.Request.URL.String() != s.url("page.localhost", "/x?y=z") {
		t.Errorf("a browser ends at %s with %d", page.Request.URL, page.StatusCode)
	}
	if status := s.local("proxy", "status", "tools.localhost"); !strings.Contains(status, `"issuer":"`+issuer+`"`) {
		t.Errorf("proxy status does not name the issuer:\n%s", status)
	}
	s.signed(t, "PUT", "/proxies/issuer.localhost", `{"enabled":false}`)
	if got := get(t, p.c, s.url("tools.localhost", "/.well-known/oauth-authorization-server")); got.StatusCode != http.StatusNotFound {
		t.Errorf("metadata of an issuer that is switched off: %d %s", got.StatusCode, got.Body)
	}
}

// TestAuthProxyNamesAHostThatIssues: everything else is refused, by the field's name.
func TestAuthProxyNamesAHostThatIssues(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "protect", "issuer.localhost", "internal:demo")
	s.signed(t, "POST", "/proxies/", `{"proxy_hostname":"bare.localhost","target_url":"internal:demo"}`)
	s.serves(t, "off.localhost", `,"enabled":false`)
	s.serves(t, "taker.localhost", `,"auth_proxy":"issuer.localhost"`)
	s.serves(t, "x.localhost", "")
	for name, rule := range map[string]string{
		"nobody.localhost": "not served here", "x.localhost": "another host", "off.localhost": "switched off", "bare.localhost": "without an authorization server",
		"taker.localhost": "takes the issuer of issuer.localhost", "*.localhost": "not a wildcard", "https://issuer.localhost": "hostname",
	} {
		got := s.signed(t, "PUT", "/proxies/x.localhost", fmt.Sprintf(`{"auth_proxy":%q}`, name))
		if got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.Body, `"location":"auth_proxy"`) {
			t.Errorf("%s: %d %s, want 422 with %q", name, got.StatusCode, got.Body, rule)
		}
	}
	if got := s.signed(t, "PUT", "/proxies/issuer.localhost", `{"auth_proxy":"x.localhost"}`); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.Body, "while taker.localhost takes") {
		t.Errorf("a chain from the other end: %d %s", got.StatusCode, got.Body)
	}
	if got := s.signed(t, "PUT", "/proxies/auth.localhost", `{"auth_proxy":"x.localhost"}`); got.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("the sign-in host: %d %s", got.StatusCode, got.Body)
	}
}

// TestOneIssuerForAll is OAUTH_ISSUER: every host names the central issuer, which
// wants to be told the resource and gives tokens for one host each.
func TestOneIssuerForAll(t *testing.T) {
	t.Parallel()
	secure := freePort(t)
	issuer := "https://auth.localhost:" + secure
	s := start(t, []string{"RATE_LIMITS=off", "HTTPS_PORT=" + secure, "OAUTH_ISSUER=" + issuer}, "protect", "tools.localhost", "internal:demo", "--mcp", "--allow", "local:alice")
	s.serves(t, "b.localhost", `,"oauth_server_grant_types":["refresh_token"]`)
	p := s.stranger()
	p.becomeAdmin()
	tools := s.url("tools.localhost", "/mcp")
	for _, host := range []string{"tools.localhost", "b.localhost", "auth.localhost"} {
		m := metadata(t, p.c, s.url(host, "/.well-known/oauth-authorization-server"))
		if m["issuer"] != issuer || m["authorization_endpoint"] != issuer+"/authorize" || !strings.HasPrefix(texts(m, "grant_types_supported"), "authorization_code refresh_token") {
			t.Errorf("%s says %v", host, m)
		}
		if prm := metadata(t, p.c, s.url(host, "/.well-known/oauth-protected-resource")); texts(prm, "authorization_servers") != issuer {
			t.Errorf("%s says %v", host, prm)
		}
	}
	if got := p.sdkUser(t, tools); got != "local:alice" {
		t.Errorf("the tool was told %v", got)
	}
	p.login("--scope", "admin") // the command line names the API's resource
	s.must("proxy", "list")
	c := s.register(t, "auth.localhost", "http://127.0.0.1:7777/back")
	if back := c.refusedAuthorize(nil); back.Get("error") != "invalid_target" || back.Get("iss") != issuer || !strings.Contains(back.Get("error_description"), "resource is missing") {
		t.Errorf("without a resource: %v", back)
	}
	if back := c.refusedAuthorize(url.Values{"resource": {"https://evil.example/"}}); back.Get("error") != "invalid_target" {
		t.Errorf("a resource that is not ours: %v", back)
	}
	if got, out := c.post("/device/code", url.Values{"client_id": {"device_flow_client"}}); got.StatusCode != http.StatusBadRequest || out.Error != "invalid_target" {
		t.Errorf("a device without a resource: %d %s", got.StatusCode, got.Body)
	}
	access := c.accessFor(p, s.url("b.localhost", "/")).Access
	if status, challenge := opens(t, p.c, s.url("b.localhost", "/"), access); status != http.StatusOK {
		t.Errorf("its own host: %d %s", status, challenge)
	}
	for _, at := range []string{tools, issuer + "/proxies/"} {
		if status, challenge := opens(t, p.c, at, access); status != http.StatusUnauthorized || !strings.Contains(challenge, "another resource") {
			t.Errorf("at %s: %d %s", at, status, challenge)
		}
	}
	if out := s.local("proxy", "status", "tools.localhost"); !strings.Contains(out, `"issuer":"`+issuer+`"`) {
		t.Errorf("proxy status does not name the issuer:\n%s", out)
	}
}

// TestACentralIssuerIsOneOfOurHosts: what nobody here answers for ends the start.
func TestACentralIssuerIsOneOfOurHosts(t *testing.T) {
	t.Parallel()
	for value, rule := range map[string]string{
		"https://nobody.example":              "is not the origin of a host that is served here",
		"https://auth.localhost:1":            "is not the origin of a host that is served here",
		"http://auth.localhost:1":             "is not the origin of a host that is served here",
		"https://auth.localhost/":             "without path or trailing slash",
		"https://auth.localhost/tenant":       "without path or trailing slash",
		"http://auth.example.com":             "must be an https origin",
		"https://auth.localhost?x":            "must be an https origin",
		"https://user:secret@auth.localhost/": "must be an https origin",
	} {
		s := &server{t: t, dir: t.TempDir(), env: []string{"OAUTH_ISSUER=" + value}}
		_, errs, code := s.cli("serve")
		if code == 0 || !strings.Contains(errs, "OAUTH_ISSUER") || !strings.Contains(errs, rule) {
			t.Errorf("%s: exit %d, %s", value, code, errs)
		}
	}
}

// TestNarrowedMetadataIsWhatTheEndpointsDo: what oauth_server_* takes away is
// refused, by clients that registered before too, and what it must not touch is 422.
func TestNarrowedMetadataIsWhatTheEndpointsDo(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "app.localhost", "internal:demo")
	p := s.stranger()
	p.becomeAdmin()
	origin := s.url("app.localhost", "")
	old := s.register(t, "app.localhost", "http://127.0.0.1:7777/back")
	out := old.accessFor(p, "")
	put := func(body string, want int) answer {
		t.Helper()
		got := s.signed(t, "PUT", "/proxies/app.localhost", body)
		if got.StatusCode != want {
			t.Fatalf("%s: %d %s", body, got.StatusCode, got.Body)
		}
		return got
	}
	at := func() map[string]any { return metadata(t, p.c, origin+"/.well-known/oauth-authorization-server") }
	refused := func(what string, got answer, out tokens, status int, code string) {
		t.Helper()
		if got.StatusCode != status || out.Error != code {
			t.Errorf("%s: %d %s, want %d %s", what, got.StatusCode, got.Body, status, code)
		}
	}

	put(`{"oauth_server_grant_types":["authorization_code"]}`, 200)
	m := at()
	if texts(m, "grant_types_supported") != "authorization_code" || m["device_authorization_endpoint"] != nil || m["authorization_endpoint"] != origin+"/authorize" {
		t.Errorf("without refresh and device: %v", m)
	}
	got, answer := old.refresh(out.Refresh)
	refused("refresh", got, answer, 400, "unsupported_grant_type")
	got, answer = old.post("/device/code", url.Values{"client_id": {"device_flow_client"}})
	refused("a device", got, answer, 400, "unauthorized_client")

	put(`{"oauth_server_grant_types":["refresh_token"]}`, 200)
	if m := at(); m["authorization_endpoint"] != nil {
		t.Errorf("without codes: %v", m)
	}
	if back := old.refusedAuthorize(nil); back.Get("error") != "unauthorized_client" {
		t.Errorf("authorize without codes: %v", back)
	}

	put(`{"oauth_server_grant_types":null,"oauth_server_token_auth_methods":["client_secret_basic"]}`, 200)
	m = at()
	for _, field := range []string{"token_endpoint_auth_methods_supported", "revocation_endpoint_auth_methods_supported", "introspection_endpoint_auth_methods_supported"} {
		if texts(m, field) != "client_secret_basic" {
			t.Errorf("%s: %v", field, m[field])
		}
	}
	reg := ask(t, p.c, "POST", origin+"/register", `{"redirect_uris":["https://x.example/"],"token_endpoint_auth_method":"none"}`, "Content-Type: application/json")
	if reg.StatusCode != http.StatusBadRequest || !strings.Contains(reg.Body, "invalid_client_metadata") {
		t.Errorf("a public client: %d %s", reg.StatusCode, reg.Body)
	}
	got, answer = old.refresh(out.Refresh)
	refused("a public client of before", got, answer, 401, "invalid_client")
	put(`{"oauth_server_token_auth_methods":["none"]}`, 200)
	if m := at(); m["introspection_endpoint"] != nil {
		t.Errorf("introspection without a client that may ask: %v", m)
	}
	if got, fresh := old.refresh(out.Refresh); fresh.Access == "" {
		t.Errorf("after it was allowed again: %d %s", got.StatusCode, got.Body)
	}

	put(`{"oauth_server_token_auth_methods":null,"oauth_server_scopes":["user"],"oauth_server_custom_metadata":{"service_documentation":"https://docs.example/","op_policy_uri":"https://docs.example/policy"}}`, 200)
	if m := at(); texts(m, "scopes_supported") != "user" || m["service_documentation"] != "https://docs.example/" || m["op_policy_uri"] != "https://docs.example/policy" {
		t.Errorf("%v", m)
	}
	put(`{"oauth_server_scopes":["reports"],"oauth_server_override_defaults":true}`, 200)
	if m := at(); texts(m, "scopes_supported") != "reports" || m["issuer"] != origin || texts(m, "code_challenge_methods_supported") != "S256" {
		t.Errorf("with override_defaults: %v", m)
	}
	for _, field := range []string{"issuer", "authorization_endpoint", "token_endpoint", "registration_endpoint", "made_up_endpoint", "jwks_uri", "JWKS_URI", "code_challenge_methods_supported",
		"authorization_response_iss_parameter_supported", "response_types_supported", "grant_types_supported", "token_endpoint_auth_methods_supported", "scopes_supported",
		"id_token_signing_alg_values_supported", "signed_metadata", "resource_indicators_supported"} {
		if got := put(`{"oauth_server_custom_metadata":{"`+field+`":["x"]}}`, 422); !strings.Contains(got.Body, `"location":"oauth_server_custom_metadata.`+field+`"`) {
			t.Errorf("%s: %s", field, got.Body)
		}
	}
	put(`{"oauth_server_grant_types":["password"]}`, 422)
	put(`{"oauth_server_token_auth_methods":["tls_client_auth"]}`, 422)
	put(`{"resource_custom_metadata":{"authorization_servers":["https://evil.example"]}}`, 422)
}

// TestMetadataStandsWhereClientsLook: path insertion, OpenID's name, the root, and a
// plain 404 everywhere else; loopback's plain HTTP is an issuer of its own.
func TestMetadataStandsWhereClientsLook(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "tools.localhost", "internal:demo", "--mcp", "--allow", "*")
	s.serves(t, "page.localhost", `,"auth_mode":"redirect"`)
	s.signed(t, "POST", "/proxies/", `{"proxy_hostname":"open.localhost","target_url":"internal:demo"}`)
	c := s.stranger().c
	const server, openid, resource = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/oauth-protected-resource"
	for host, paths := range map[string]map[string]int{
		"tools.localhost": {
			server: 200, server + "/": 200, server + "/mcp": 200, server + "/mcp/": 404, server + "/x": 404, server + "/mcp/x": 404, server + "x": 401,
			openid: 200, openid + "/mcp": 200, openid + "/x": 404, "/mcp" + openid: 401, "/mcp" + server: 401,
			resource: 200, resource + "/mcp": 200, resource + "/x": 404, resource + "/mcp/x": 404, "/mcp" + resource: 401,
			"/.well-known//oauth-protected-resource": 404, "/.well-known/oauth-protected-resource/..%2f": 401,
		},
		"page.localhost": {server: 200, server + "/mcp": 404, openid: 200, resource: 200, resource + "/": 200, resource + "/mcp": 404},
		"auth.localhost": {server: 200, server + "/mcp": 200, resource: 200, resource + "/mcp": 200},
		"localhost":      {server: 200, resource + "/mcp": 200},
		"open.localhost": {resource: 404, resource + "/mcp": 404},
	} {
		for path, want := range paths {
			got := get(t, c, s.url(host, path))
			if got.StatusCode != want || !strings.Contains(got.Header.Get("Content-Type"), "json") {
				t.Errorf("%s%s: %d %s %s, want %d", host, path, got.StatusCode, got.Header.Get("Content-Type"), got.Body, want)
			}
			if cache := got.Header.Get("Cache-Control"); (want == 200) != strings.HasPrefix(cache, "public, max-age=") || want != 200 && cache != "no-store" {
				t.Errorf("%s%s: Cache-Control %q", host, path, cache)
			}
		}
	}
	at := s.url("tools.localhost", resource+"/mcp")
	full, head := get(t, c, at), ask(t, c, "HEAD", at, "")
	if head.StatusCode != 200 || head.Body != "" || head.Header.Get("Content-Type") != full.Header.Get("Content-Type") {
		t.Errorf("HEAD: %d %v %q", head.StatusCode, head.Header, head.Body)
	}
	pre := ask(t, c, "OPTIONS", at, "", "Origin: https://inspector.example", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: mcp-protocol-version")
	if pre.StatusCode != 204 || pre.Header.Get("Access-Control-Allow-Origin") != "*" || pre.Header.Get("Access-Control-Allow-Headers") != "mcp-protocol-version" || pre.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", pre.StatusCode, pre.Header)
	}
	if got := ask(t, c, "POST", at, "{}"); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", got.StatusCode, got.Header)
	}
	plain := strings.Replace(s.HTTP, "localhost", "tools.localhost", 1)
	m, prm := metadata(t, c, plain+server), metadata(t, c, plain+resource)
	if m["issuer"] != plain || m["jwks_uri"] != plain+"/jwks" || prm["resource"] != plain+"/mcp" || texts(prm, "authorization_servers") != plain {
		t.Errorf("over plain HTTP: %v %v", m, prm)
	}
}

// TestWhatRealClientsRefuse has a case for each thing that a client is known to
// turn away from.
func TestWhatRealClientsRefuse(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "tools.localhost", "internal:demo", "--mcp", "--mode", "redirect", "--allow", "*")
	p := s.stranger()
	p.becomeAdmin()
	origin := s.url("tools.localhost", "")
	for _, at := range []string{"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration"} {
		m := metadata(t, p.c, origin+at)
		if m["issuer"] != origin || strings.HasSuffix(fmt.Sprint(m["issuer"]), "/") {
			t.Errorf("%s: issuer %v", at, m["issuer"])
		}
		if texts(m, "code_challenge_methods_supported") != "S256" || m["registration_endpoint"] != origin+"/register" || m["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("%s: %v", at, m)
		}
	}
	for _, at := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"} {
		if prm := metadata(t, p.c, origin+at); prm["resource"] != origin+"/mcp" {
			t.Errorf("%s: resource %v is not the exact URL", at, prm["resource"])
		}
	}
	c := s.register(t, "tools.localhost", "http://127.0.0.1:7777/back")
	c.code(p, nil) // fails when iss is not sent as the metadata say
	if back := c.refusedAuthorize(url.Values{"code_challenge": nil}); back.Get("iss") != origin || back.Get("error") == "" {
		t.Errorf("iss in an error: %v", back)
	}
	for _, accept := range []string{"text/event-stream", "application/json, text/event-stream", "text/html", "*/*"} { // mcp-remote begins with a GET
		got := get(t, p.c, origin+"/mcp", "Accept: "+accept)
		if got.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(got.Header.Get("Www-Authenticate"), `Bearer resource_metadata="`+origin+`/.well-known/oauth-protected-resource/mcp", scope=`) {
			t.Errorf("GET /mcp for %s: %d %v", accept, got.StatusCode, got.Header)
		}
	}
	for _, at := range []string{"/.well-known/oauth-authorization-server/other", "/.well-known/oauth-protected-resource/other", "/.well-known/openid-configuration/other"} {
		got := get(t, p.c, origin+at, "Accept: text/html")
		if got.StatusCode != http.StatusNotFound || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Www-Authenticate") != "" || got.Header.Get("Location") != "" {
			t.Errorf("%s: %d %v %s", at, got.StatusCode, got.Header, got.Body)
		}
	}
}
