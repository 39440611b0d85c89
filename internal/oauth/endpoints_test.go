package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/site"
)

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
