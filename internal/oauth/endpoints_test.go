package oauth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

func TestRegistration(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		body, code, words string // code: empty where it is taken
		has               map[string]any
	}{
		"a public client":               {body: `{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"none","client_name":"  Fine  "}`, has: map[string]any{"client_name": "Fine", "token_endpoint_auth_method": "none", "client_secret": nil, "client_secret_expires_at": nil}},
		"no method is Basic":            {body: `{"redirect_uris":["https://c.example/cb"]}`, has: map[string]any{"token_endpoint_auth_method": "client_secret_basic", "client_secret_expires_at": 0.0}},
		"unknown members":               {body: `{"redirect_uris":["https://c.example/cb"],"software_id":"x","contacts":["a"],"tos_uri":"https://x"}`, has: map[string]any{"software_id": nil}},
		"grant types that we know":      {body: `{"redirect_uris":["https://c.example/cb"],"grant_types":["authorization_code","implicit","refresh_token"]}`, has: map[string]any{"grant_types": []any{"authorization_code", "refresh_token"}}},
		"a device client":               {body: `{"grant_types":["urn:ietf:params:oauth:grant-type:device_code"],"token_endpoint_auth_method":"none"}`, has: map[string]any{"redirect_uris": nil, "response_types": nil}},
		"a refused redirect is dropped": {body: `{"redirect_uris":["javascript:alert(1)","cursor://x/cb","http://127.0.0.1:33418","https://c.example/cb"]}`, has: map[string]any{"redirect_uris": []any{"cursor://x/cb", "http://127.0.0.1:33418", "https://c.example/cb"}}},
		"scopes that the host knows":    {body: `{"redirect_uris":["https://c.example/cb"],"scope":"user openid admin"}`, has: map[string]any{"scope": "user admin"}},
		"a name that turns the text":    {body: `{"redirect_uris":["https://c.example/cb"],"client_name":"a\u202eb\u0000c\u200b"}`, has: map[string]any{"client_name": "abc"}},

		"no JSON":                       {body: `redirect_uris=x`, code: "invalid_client_metadata", words: "JSON"},
		"an array":                      {body: `[]`, code: "invalid_client_metadata", words: "JSON"},
		"a string of redirects":         {body: `{"redirect_uris":"https://c.example/cb"}`, code: "invalid_client_metadata", words: "JSON"},
		"no redirects":                  {body: `{}`, code: "invalid_redirect_uri", words: "missing"},
		"an unknown method":             {body: `{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"tls_client_auth"}`, code: "invalid_client_metadata", words: "token_endpoint_auth_method"},
		"private_key_jwt":               {body: `{"redirect_uris":["https://c.example/cb"],"token_endpoint_auth_method":"private_key_jwt"}`, code: "invalid_client_metadata", words: "token_endpoint_auth_method"},
		"keys by address":               {body: `{"redirect_uris":["https://c.example/cb"],"jwks_uri":"https://c.example/jwks"}`, code: "invalid_client_metadata", words: "jwks"},
		"an unknown application_type":   {body: `{"redirect_uris":["https://c.example/cb"],"application_type":"tv"}`, code: "invalid_client_metadata", words: "application_type"},
		"only refresh":                  {body: `{"redirect_uris":["https://c.example/cb"],"grant_types":["refresh_token"]}`, code: "invalid_client_metadata", words: "grant_types"},
		"only implicit":                 {body: `{"redirect_uris":["https://c.example/cb"],"grant_types":["implicit"]}`, code: "invalid_client_metadata", words: "grant_types"},
		"only response_type token":      {body: `{"redirect_uris":["https://c.example/cb"],"response_types":["token"]}`, code: "invalid_client_metadata", words: "response_types"},
		"a client_uri that is a script": {body: `{"redirect_uris":["https://c.example/cb"],"client_uri":"javascript:alert(1)"}`, code: "invalid_client_metadata", words: "client_uri"},
		"many redirects":                {body: `{"redirect_uris":[` + strings.Repeat(`"https://c.example/cb",`, 20) + `"https://c.example/x"]}`, code: "invalid_redirect_uri", words: "20"},
	} {
		t.Run(name, func(t *testing.T) {
			r.in(t)
			a := r.ask(http.MethodPost, appOrigin+"/register", c.body, "Content-Type", "application/json")
			if c.code != "" {
				a.refused(t, 400, c.code, c.words)
				return
			}
			m := a.json(t)
			if a.StatusCode != http.StatusCreated || m["client_id"] == "" || a.Header.Get("Cache-Control") != "no-store" || strings.Contains(string(a.body), "null") {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			for field, want := range c.has {
				if got, _ := json.Marshal(m[field]); string(got) != mustJSON(t, want) {
					t.Errorf("%s is %s, want %v", field, got, want)
				}
			}
		})
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// RFC 7591 leaves the choice; RFC 9700, section 2.1, and RFC 8252 make it.
func TestRedirectURIsThatCanNotBeRegistered(t *testing.T) {
	r := newRig(t)
	for uri, words := range map[string]string{
		"javascript:alert(1)": "scheme", "JavaScript:alert(1)": "scheme", "data:text/html,x": "scheme", "vbscript:x": "scheme", "file:///etc/passwd": "scheme",
		"blob:https://c.example/x": "scheme", "about:blank": "scheme", "http://c.example/cb": "https", "http://127.0.0.1.evil.example/cb": "https", "http://localhost.evil.example/": "https",
		"http://192.168.1.1/cb": "https", "https://user@c.example/cb": "user", "https://user:pw@c.example/cb": "user", "https://c.example/cb#x": "fragment", "https://c.example/cb#": "fragment",
		"https://*.example/cb": "wildcard", "https://c.example/*": "wildcard", "/cb": "absolute", "c.example/cb": "absolute", "": "bytes", "https:///cb": "host", "https://c.example/a b": "ASCII",
		"https://c.example\\@evil.example": "ASCII", "https://ünï.example/cb": "ASCII", "https://c.example/" + strings.Repeat("x", maxRedirectSize): "bytes", "ws://c.example/cb": "scheme",
	} {
		body := mustJSON(t, map[string]any{"redirect_uris": []string{uri}})
		r.ask(http.MethodPost, appOrigin+"/register", body).refused(t, 400, "invalid_redirect_uri", words)
	}
}

func TestRegistrationIsReadAndDeletedByItsToken(t *testing.T) {
	r := newRig(t)
	m := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"client_secret_post"}`).json(t)
	id, key, uri := m["client_id"].(string), m["registration_access_token"].(string), m["registration_client_uri"].(string)
	if uri != appOrigin+"/register/"+id {
		t.Fatal(uri)
	}
	got := r.ask(http.MethodGet, uri, "", "Authorization", "Bearer "+key)
	if got.StatusCode != http.StatusOK || got.text(t, "client_id") != id || strings.Contains(string(got.body), m["client_secret"].(string)) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	for _, auth := range []string{"Bearer x", "Bearer ", "Basic x", "Bearer " + m["client_secret"].(string)} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			r.ask(method, uri, "", "Authorization", auth).refused(t, 401, "invalid_token", "")
		}
	}
	r.ask(http.MethodGet, mcpOrigin+"/register/"+id, "", "Authorization", "Bearer "+key).refused(t, 401, "invalid_token", "")
	r.ask(http.MethodGet, appOrigin+"/register/"+DeviceFlowClient, "", "Authorization", "Bearer "+key).refused(t, 401, "invalid_token", "")
	q := authorizeQuery(id)
	f := codeForm(id, r.code(appOrigin, id, person("alice"), q))
	f.Set("client_secret", m["client_secret"].(string))
	tokens := r.post(appOrigin+"/token", f)
	if tokens.StatusCode != http.StatusOK {
		t.Fatalf("%s", tokens.body)
	}
	if a := r.ask(http.MethodDelete, uri, "", "Authorization", "Bearer "+key); a.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+tokens.text(t, "access_token")); v.Reason != "token_revoked" {
		t.Errorf("the deleted client's token: %s", v.Reason)
	}
	r.ask(http.MethodGet, uri, "", "Authorization", "Bearer "+key).refused(t, 401, "invalid_token", "")
}

func TestConfidentialClientsProveThemselves(t *testing.T) {
	r := newRig(t)
	register := func(method string) (id, secret string) {
		m := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"`+method+`"}`).json(t)
		return m["client_id"].(string), m["client_secret"].(string)
	}
	basicID, basicSecret := register("client_secret_basic")
	postID, postSecret := register("client_secret_post")
	header := func(id, secret string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))}
	}
	for name, c := range map[string]struct {
		id        string
		form      url.Values
		headers   []string
		status    int
		code      string
		challenge string
	}{
		"Basic":                       {basicID, url.Values{"client_id": nil}, header(basicID, basicSecret), 200, "", ""},
		"Basic and the id":            {basicID, nil, header(basicID, basicSecret), 200, "", ""},
		"post":                        {postID, url.Values{"client_secret": {postSecret}}, nil, 200, "", ""},
		"Basic with a wrong secret":   {basicID, nil, header(basicID, "x"), 401, "invalid_client", "Basic"},
		"Basic with another's secret": {basicID, nil, header(basicID, postSecret), 401, "invalid_client", "Basic"},
		"Basic with an empty secret":  {basicID, nil, header(basicID, ""), 401, "invalid_client", "Basic"},
		"Basic of nobody":             {basicID, url.Values{"client_id": nil}, header("nobody", "x"), 401, "invalid_client", "Basic"},
		"Basic with another id":       {basicID, url.Values{"client_id": {postID}}, header(basicID, basicSecret), 400, "invalid_request", ""},
		"Basic and post":              {basicID, url.Values{"client_secret": {basicSecret}}, header(basicID, basicSecret), 400, "invalid_request", ""},
		"unreadable Basic":            {basicID, nil, []string{"Authorization", "Basic !"}, 400, "invalid_request", ""},
		"post for a Basic client":     {basicID, url.Values{"client_secret": {basicSecret}}, nil, 401, "invalid_client", ""},
		"nothing for a Basic client":  {basicID, nil, nil, 401, "invalid_client", ""},
		"post with a wrong secret":    {postID, url.Values{"client_secret": {"x"}}, nil, 401, "invalid_client", ""},
		"post with the stored hash":   {postID, url.Values{"client_secret": {hashed(postSecret)}}, nil, 401, "invalid_client", ""},
		"nothing for a post client":   {postID, nil, nil, 401, "invalid_client", ""},
		"two secrets":                 {postID, url.Values{"client_secret": {postSecret, postSecret}}, nil, 400, "invalid_request", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.in(t)
			f := changed(codeForm(c.id, r.code(appOrigin, c.id, person("alice"), authorizeQuery(c.id))), c.form)
			a := r.post(appOrigin+"/token", f, c.headers...)
			if c.code != "" {
				a.refused(t, c.status, c.code, "")
			} else if a.StatusCode != c.status {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, c.challenge) || (c.challenge == "" && got != "") {
				t.Errorf("WWW-Authenticate %q", got)
			}
		})
	}
}

func TestTokenEndpointReadsTheBodyAlone(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin)
	f := codeForm(client, r.code(appOrigin, client, person("alice"), authorizeQuery(client)))
	r.ask(http.MethodPost, appOrigin+"/token?"+f.Encode(), "", "Content-Type", "application/x-www-form-urlencoded").refused(t, 400, "invalid_request", "grant_type")
	r.ask(http.MethodPost, appOrigin+"/token", mustJSON(t, f), "Content-Type", "application/json").refused(t, 400, "invalid_request", "x-www-form-urlencoded")
	r.ask(http.MethodPost, appOrigin+"/token", f.Encode()).refused(t, 400, "invalid_request", "x-www-form-urlencoded")
	r.ask(http.MethodPost, appOrigin+"/token", "grant_type=%zz", "Content-Type", "application/x-www-form-urlencoded").refused(t, 400, "invalid_request", "encoded")
	r.ask(http.MethodPost, appOrigin+"/token", "a="+strings.Repeat("x", maxBody), "Content-Type", "application/x-www-form-urlencoded").refused(t, 413, "invalid_request", "larger")
	a := r.ask(http.MethodGet, appOrigin+"/token?"+f.Encode(), "")
	a.refused(t, 405, "invalid_request", "POST")
	if a.Header.Get("Allow") != "POST" {
		t.Errorf("Allow %q", a.Header.Get("Allow"))
	}
	if a := r.ask(http.MethodPost, appOrigin+"/token", f.Encode(), "Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"); a.StatusCode != http.StatusOK {
		t.Errorf("after all these: %d %s", a.StatusCode, a.body)
	}
}

func TestCORS(t *testing.T) {
	r := newRig(t)
	for path, open := range map[string]bool{"/token": true, "/register": true, "/revoke": true, "/jwks": true, "/.well-known/oauth-authorization-server": true,
		"/.well-known/oauth-protected-resource": true, "/introspect": false, "/authorize": false, "/device/code": false} {
		a := r.ask(http.MethodOptions, appOrigin+path, "", "Origin", "https://x.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "mcp-protocol-version, authorization")
		if open != (a.Header.Get("Access-Control-Allow-Origin") == "*") || a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", path, a.Header)
		}
		if open && (a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Headers") != "mcp-protocol-version, authorization") {
			t.Errorf("%s: preflight %d %v", path, a.StatusCode, a.Header)
		}
	}
	a := r.post(appOrigin+"/token", url.Values{}, "Origin", "https://x.example")
	if a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("an error can't be read by the script that caused it")
	}
}

func TestServerMetadata(t *testing.T) {
	r := newRig(t)
	a := r.ask(http.MethodGet, mcpOrigin+"/.well-known/oauth-authorization-server", "")
	m := a.json(t)
	for field, want := range map[string]any{
		"issuer": mcpOrigin, "authorization_endpoint": mcpOrigin + "/authorize", "token_endpoint": mcpOrigin + "/token", "jwks_uri": mcpOrigin + "/jwks",
		"registration_endpoint": mcpOrigin + "/register", "revocation_endpoint": mcpOrigin + "/revoke", "introspection_endpoint": mcpOrigin + "/introspect",
		"device_authorization_endpoint": mcpOrigin + "/device/code", "scopes_supported": []string{"user", "mcp"}, "response_types_supported": []string{"code"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"},
		"token_endpoint_auth_methods_supported": []string{"none", "client_secret_basic", "client_secret_post"}, "code_challenge_methods_supported": []string{"S256"},
		"authorization_response_iss_parameter_supported": true, "resource_indicators_supported": true, "response_modes_supported": []string{"query"},
		"introspection_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
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
		"scopes_supported": []string{"user"}, "grant_types_supported": []string{"authorization_code"}, "token_endpoint_auth_methods_supported": []string{"none"}, "device_authorization_endpoint": nil, "introspection_endpoint": nil} {
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

func TestRevocationEndpoint(t *testing.T) {
	r := newRig(t)
	access, refresh, client := r.tokens(appOrigin, person("alice"), "user")
	other := r.registered(appOrigin)
	revoke := func(client, token string) answer {
		return r.post(appOrigin+"/revoke", url.Values{"client_id": {client}, "token": {token}, "token_type_hint": {"whatever"}})
	}
	opens := func() string {
		v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access)
		return v.Reason
	}
	revoke(other, access).refused(t, 400, "invalid_grant", "another client")
	revoke(other, refresh).refused(t, 400, "invalid_grant", "another client")
	revoke("nobody", access).refused(t, 401, "invalid_client", "")
	revoke("", access).refused(t, 400, "invalid_request", "client_id")
	revoke(client, "").refused(t, 400, "invalid_request", "token")
	if a := revoke(client, "unknown"); a.StatusCode != http.StatusOK {
		t.Errorf("what is no token: %d", a.StatusCode)
	}
	if opens() != "allowed" {
		t.Fatal(opens())
	}
	if a := revoke(client, access); a.StatusCode != http.StatusOK || len(a.body) != 0 || opens() != "token_revoked" {
		t.Errorf("access token: %d %s %s", a.StatusCode, a.body, opens())
	}
	next := r.refresh(appOrigin, client, refresh)
	if next.StatusCode != http.StatusOK {
		t.Fatalf("its grant went with it: %s", next.body)
	}
	access = next.text(t, "access_token")
	if a := revoke(client, next.text(t, "refresh_token")); a.StatusCode != http.StatusOK || opens() != "token_revoked" {
		t.Errorf("refresh token: %d %s", a.StatusCode, opens())
	}
	r.refresh(appOrigin, client, next.text(t, "refresh_token")).refused(t, 400, "invalid_grant", "")
	if a := revoke(client, refresh); a.StatusCode != http.StatusOK {
		t.Errorf("again: %d", a.StatusCode)
	}
}

func TestIntrospection(t *testing.T) {
	r := newRig(t)
	access, refresh, client := r.tokens(appOrigin, person("alice"), "user")
	m := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"client_secret_post"}`).json(t)
	id, secret := m["client_id"].(string), m["client_secret"].(string)
	ask := func(token string) answer {
		return r.post(appOrigin+"/introspect", url.Values{"client_id": {id}, "client_secret": {secret}, "token": {token}})
	}
	r.post(appOrigin+"/introspect", url.Values{"token": {access}}).refused(t, 401, "invalid_client", "authenticates")
	r.post(appOrigin+"/introspect", url.Values{"token": {access}, "client_id": {client}}).refused(t, 401, "invalid_client", "authenticates")
	r.post(appOrigin+"/introspect", url.Values{"token": {access}, "client_id": {id}, "client_secret": {"x"}}).refused(t, 401, "invalid_client", "secret")
	got := ask(access).json(t)
	if got["active"] != true || got["scope"] != "user" || got["username"] != "alice" || got["client_id"] != client || got["sub"] != "github:alice" || got["iss"] != appOrigin || got["email"] != nil {
		t.Errorf("%v", got)
	}
	inactive := func(name, token string) {
		t.Helper()
		if a := ask(token); a.StatusCode != http.StatusOK || string(a.body) != `{"active":false}` {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	elsewhere, _, _ := r.tokens(mcpOrigin, person("alice"), "mcp")
	inactive("a token of another issuer", elsewhere)
	inactive("another client's refresh token", refresh)
	inactive("nonsense", "x")
	f := codeForm(id, r.code(appOrigin, id, person("alice"), authorizeQuery(id)))
	f.Set("client_secret", secret)
	own := r.post(appOrigin+"/token", f).text(t, "refresh_token")
	if got := ask(own).json(t); got["active"] != true || got["client_id"] != id || got["exp"] == nil {
		t.Errorf("its own refresh token: %v", got)
	}
	r.change("app.example.com", func(p *site.Proxy) { p.OAuthUserUsers = []string{} })
	if got := ask(access).json(t); got["active"] != true || got["scope"] != nil {
		t.Errorf("after the list lost alice: %v", got)
	}
	p, err := r.VerifyToken(access)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(t.Context(), RevokeToken, p.TokenID); err != nil {
		t.Fatal(err)
	}
	inactive("a revoked token", access)
}

func TestDeviceRefusals(t *testing.T) {
	r := newRig(t)
	start := func(f url.Values) answer { return r.post(appOrigin+"/device/code", f) }
	start(url.Values{}).refused(t, 400, "invalid_request", "client_id")
	start(url.Values{"client_id": {"nobody"}}).refused(t, 401, "invalid_client", "register")
	start(url.Values{"client_id": {r.registered(appOrigin)}}).refused(t, 400, "unauthorized_client", "device flow")
	start(url.Values{"client_id": {DeviceFlowClient}, "resource": {mcpOrigin + "/mcp"}}).refused(t, 400, "invalid_target", "")
	start(url.Values{"client_id": {DeviceFlowClient}, "scope": {"openid"}}).refused(t, 400, "invalid_scope", "")

	poll := func(origin, code, client string) answer {
		return r.post(origin+"/token", url.Values{"grant_type": {grantDevice}, "client_id": {client}, "device_code": {code}})
	}
	m := start(url.Values{"client_id": {DeviceFlowClient}}).json(t)
	code := m["device_code"].(string)
	poll(appOrigin, "x", DeviceFlowClient).refused(t, 400, "invalid_grant", "not known")
	poll(appOrigin, "", DeviceFlowClient).refused(t, 400, "invalid_request", "device_code")
	poll(mcpOrigin, code, DeviceFlowClient).refused(t, 400, "invalid_grant", "another client")
	other := r.ask(http.MethodPost, appOrigin+"/register", `{"grant_types":["`+grantDevice+`"],"token_endpoint_auth_method":"none"}`).text(t, "client_id")
	poll(appOrigin, code, other).refused(t, 400, "invalid_grant", "another client")

	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "authorization_pending", "")
	r.after(5 * time.Second)
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "authorization_pending", "")
	r.after(3 * time.Second)
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "slow_down", "")
	r.after(6 * time.Second) // ten are wanted now
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "slow_down", "")
	r.after(15 * time.Second)
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "authorization_pending", "")

	v, _ := r.visit(http.MethodGet, authOrigin+"/device")
	p, err := r.DeviceByUserCode(r.pages(), v, m["user_code"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ApproveDevice(r.pages(), p.Device, person("carol"), p.Scopes); !fault.Is(err, fault.Denied) {
		t.Errorf("somebody whom the policy does not let in approves: %v", err)
	}
	if err := r.RefuseDevice(r.pages(), p.Device); err != nil {
		t.Fatal(err)
	}
	if err := r.ApproveDevice(r.pages(), p.Device, person("alice"), p.Scopes); !fault.Is(err, fault.NotFound) {
		t.Errorf("approved after it was refused: %v", err)
	}
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "access_denied", "refused")

	m = start(url.Values{"client_id": {DeviceFlowClient}}).json(t)
	r.after(10*time.Minute + time.Second)
	poll(appOrigin, m["device_code"].(string), DeviceFlowClient).refused(t, 400, "expired_token", "start again")
	if _, err := r.DeviceByUserCode(r.pages(), v, m["user_code"].(string)); !fault.Is(err, fault.NotFound) {
		t.Errorf("an expired code: %v", err)
	}
}

func TestWrongUserCodesAreBounded(t *testing.T) {
	r := newRig(t)
	m := r.post(appOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}}).json(t)
	v, _ := r.visit(http.MethodGet, authOrigin+"/device")
	for i := range wrongUserCodes {
		if _, err := r.DeviceByUserCode(r.pages(), v, "BCDF-GHJK"); !fault.Is(err, fault.NotFound) {
			t.Fatalf("try %d: %v", i+1, err)
		}
	}
	if _, err := r.DeviceByUserCode(r.pages(), v, m["user_code"].(string)); !fault.Is(err, fault.TooMany) {
		t.Errorf("after ten wrong codes: %v", err)
	}
	r.after(time.Minute)
	if _, err := r.DeviceByUserCode(r.pages(), v, m["user_code"].(string)); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestUserCodesAreForgiving(t *testing.T) {
	for typed, want := range map[string]string{"BCDF-GHJK": "BCDF-GHJK", "bcdfghjk": "BCDF-GHJK", " b c d f - g h j k ": "BCDF-GHJK",
		"BCDF-GHJ": "", "BCDF-GHJKL": "", "ABCD-EFGH": "", "BCDF_GHJK": "", "": "", strings.Repeat("B", 1000): ""} {
		if got, ok := userCode(typed); got != want || ok != (want != "") {
			t.Errorf("%.20q: %q %v", typed, got, ok)
		}
	}
	for range 100 {
		code := newUserCode()
		if got, ok := userCode(code); !ok || got != code || strings.ContainsAny(code, "AEIOUY01") {
			t.Errorf("made %q", code)
		}
	}
}

func TestRateLimits(t *testing.T) {
	r := newRig(t, func(o *Options) { o.RateLimits = true })
	client := r.registered(appOrigin)
	ok, limited := 0, answer{}
	for range perMinute + 5 {
		a := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"]}`)
		if a.StatusCode == http.StatusCreated {
			ok++
		} else {
			limited = a
		}
	}
	if ok != perMinute-1 {
		t.Errorf("%d registrations went through", ok+1)
	}
	limited.refused(t, 429, "temporarily_unavailable", "")
	if limited.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", limited.Header.Get("Retry-After"))
	}
	for range perMinute {
		r.post(appOrigin+"/token", codeForm(client, "x"))
	}
	r.post(appOrigin+"/token", codeForm(client, "x")).refused(t, 429, "temporarily_unavailable", "")
	code := r.code(appOrigin, client, person("alice"), authorizeQuery(client))
	if a := r.post(appOrigin+"/token", codeForm(client, code)); a.StatusCode != http.StatusOK {
		t.Errorf("a valid code is refused for its neighbours: %d %s", a.StatusCode, a.body)
	}
	r.after(2 * time.Second)
	if a := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"]}`); a.StatusCode != http.StatusCreated {
		t.Errorf("two seconds later: %d", a.StatusCode)
	}
}

func TestNoSecretIsStoredInClear(t *testing.T) {
	r := newRig(t)
	m := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"client_secret_post"}`).json(t)
	id := m["client_id"].(string)
	a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(id).Encode(), "")
	handle := r.handleOf(a)
	stored := func() (all *strings.Builder) {
		all = &strings.Builder{}
		items, err := r.kv.List(t.Context(), "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			all.WriteString(item.Key + " " + string(item.Value) + "\n")
		}
		return all
	}
	before := stored()
	location, err := r.Approve(r.pages(), handle, person("alice"), []string{"user"})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(location)
	code := u.Query().Get("code")
	f := codeForm(id, code)
	f.Set("client_secret", m["client_secret"].(string))
	tokens := r.post(appOrigin+"/token", f)
	device := r.post(appOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}}).json(t)
	after := stored()
	if !strings.Contains(after.String(), prefixGrant) || !strings.Contains(after.String(), prefixDevice) {
		t.Fatal("the records are not where this test looks")
	}
	for name, secret := range map[string]string{"client secret": m["client_secret"].(string), "registration token": m["registration_access_token"].(string), "handle": handle, "code": code,
		"access token": tokens.text(t, "access_token"), "refresh token": tokens.text(t, "refresh_token"), "device code": device["device_code"].(string), "user code": device["user_code"].(string), "verifier": testVerifier} {
		if secret == "" {
			t.Fatalf("no %s", name)
		}
		if strings.Contains(before.String(), secret) || strings.Contains(after.String(), secret) {
			t.Errorf("the %s is stored in clear", name)
		}
		for _, e := range r.log.all {
			if strings.Contains(mustJSON(t, e), secret) {
				t.Errorf("the %s is in the journal: %+v", name, e)
			}
		}
	}
}

func TestConsentIsRememberedForHTTPSOnly(t *testing.T) {
	r := newRig(t)
	ctx, alice := t.Context(), person("alice")
	client := r.registered(appOrigin)
	p := Pending{Issuer: appOrigin, Host: "app.example.com", ClientID: client, RedirectURI: "https://client.example/cb", Resource: appOrigin, Scopes: []string{"user", "mcp"}}
	if r.Remembered(ctx, alice, p) {
		t.Error("before anything was approved")
	}
	if err := r.Remember(ctx, alice, p, []string{"user"}); err != nil {
		t.Fatal(err)
	}
	if r.Remembered(ctx, alice, p) {
		t.Error("a scope that was not approved")
	}
	if err := r.Remember(ctx, alice, p, []string{"mcp"}); err != nil {
		t.Fatal(err)
	}
	if !r.Remembered(ctx, alice, p) {
		t.Error("what was approved in two steps")
	}
	for name, change := range map[string]func(*Pending){
		"another person's": nil,
		"another redirect": func(p *Pending) { p.RedirectURI = "https://client.example/other" },
		"another resource": func(p *Pending) { p.Resource = mcpOrigin },
		"another issuer":   func(p *Pending) { p.Issuer = mcpOrigin },
		"another client":   func(p *Pending) { p.ClientID = r.registered(appOrigin) },
		"admin":            func(p *Pending) { p.Scopes = []string{"user", "admin"} },
		"a device":         func(p *Pending) { p.Device = "x" },
	} {
		q, who := p, alice
		if change == nil {
			who = person("bob")
		} else {
			change(&q)
		}
		if r.Remembered(ctx, who, q) {
			t.Errorf("%s: remembered", name)
		}
	}
	for _, uri := range []string{"http://127.0.0.1/cb", "com.example.app:/cb"} {
		q := p
		q.RedirectURI = uri
		if err := r.Remember(ctx, alice, q, q.Scopes); err != nil || r.Remembered(ctx, alice, q) {
			t.Errorf("%s: remembered, %v", uri, err)
		}
	}
	all, err := r.Consents(ctx, "github:alice")
	if err != nil || len(all) != 1 || len(all[0].Approvals) != 1 {
		t.Errorf("%+v %v", all, err)
	}
	row, err := r.clients.Get(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	row.Value.Name = "Somebody else"
	if _, err := r.clients.Put(ctx, client, row.Value, time.Hour); err != nil {
		t.Fatal(err)
	}
	if r.Remembered(ctx, alice, p) {
		t.Error("a changed registration")
	}
	if err := r.ForgetConsent(ctx, "github:alice", client); err != nil {
		t.Error(err)
	}
}
