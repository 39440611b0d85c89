package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/internal/site"
)

func TestAHostMayUseAnothersIssuer(t *testing.T) {
	r := newRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthProxy = "auth.example.com" })
	prm := r.ask(http.MethodGet, appOrigin+"/.well-known/oauth-protected-resource", "").json(t)
	if prm["authorization_servers"].([]any)[0] != authOrigin || prm["resource"] != appOrigin {
		t.Fatalf("%v", prm)
	}
	client := r.registered(authOrigin)
	q := authorizeQuery(client)
	q.Set("resource", appOrigin)
	a := r.post(authOrigin+"/token", codeForm(client, r.code(authOrigin, client, person("alice"), q)))
	if a.StatusCode != http.StatusOK {
		t.Fatalf("%s", a.body)
	}
	access := a.text(t, "access_token")
	for origin, want := range map[string]string{appOrigin + "/": "allowed", authOrigin + "/proxies/": "token_audience", mcpOrigin + "/": "token_issuer"} {
		if v, _ := r.admit(http.MethodGet, origin, "Authorization", "Bearer "+access); v.Reason != want {
			t.Errorf("%s: %s", origin, v.Reason)
		}
	}
	// The host's own issuer grants it nothing any more; nor does any other host's.
	for _, origin := range []string{appOrigin, mcpOrigin} {
		q := authorizeQuery(r.registered(origin))
		q.Set("resource", appOrigin)
		u, err := url.Parse(r.ask(http.MethodGet, origin+"/authorize?"+q.Encode(), "").Header.Get("Location"))
		if err != nil || u.Query().Get("error") != "invalid_target" {
			t.Errorf("%s grants it: %s", origin, u)
		}
		r.post(origin+"/device/code", url.Values{"client_id": {DeviceFlowClient}, "resource": {appOrigin}}).refused(t, 400, "invalid_target", "")
	}
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+r.sign(t, nil, nil)); v.Reason != "token_issuer" {
		t.Errorf("a token of its own issuer: %s", v.Reason)
	}
	r.change("app.example.com", func(p *site.Proxy) { p.AuthProxy = "" })
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access); v.Reason != "token_issuer" {
		t.Errorf("after the host left that issuer: %s", v.Reason)
	}
	r.refresh(authOrigin, client, a.text(t, "refresh_token")).refused(t, 400, "invalid_grant", "no longer served")
}

func TestACentralIssuer(t *testing.T) {
	r := newRig(t, func(o *Options) { o.FixedIssuer = authOrigin })
	m := r.ask(http.MethodGet, appOrigin+"/.well-known/oauth-authorization-server", "").json(t)
	if m["issuer"] != authOrigin || m["token_endpoint"] != authOrigin+"/token" {
		t.Errorf("%v", m)
	}
	client := r.registered(authOrigin)
	q := authorizeQuery(client)
	u, err := url.Parse(r.ask(http.MethodGet, authOrigin+"/authorize?"+q.Encode(), "").Header.Get("Location"))
	if err != nil || u.Query().Get("error") != "invalid_target" || u.Query().Get("iss") != authOrigin {
		t.Errorf("without a resource: %s", u)
	}
	q.Set("resource", appOrigin)
	a := r.post(authOrigin+"/token", codeForm(client, r.code(authOrigin, client, person("alice"), q)))
	if a.StatusCode != http.StatusOK {
		t.Fatalf("%s", a.body)
	}
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+a.text(t, "access_token")); v.Outcome != site.Allow {
		t.Error(v.Reason)
	}
	if v, _ := r.admit(http.MethodGet, "https://other.example.com/", "Authorization", "Bearer "+a.text(t, "access_token")); v.Reason != "token_audience" {
		t.Error(v.Reason)
	}
}

func TestEachNameOfAWildcardIsItsOwnResource(t *testing.T) {
	r := newRig(t)
	r.change("*.wild.example.com", func(p *site.Proxy) { p.AuthRequiredUsers, p.OAuthUserUsers = []string{"*"}, []string{"*"} })
	one, two := "https://one.wild.example.com", "https://two.wild.example.com"
	access, refresh, client := r.tokens(one, person("alice"), "user")
	cookie := r.cookie(one, person("alice"), "")
	for origin, want := range map[string]string{one: "allowed", two: "token_issuer"} {
		if v, _ := r.admit(http.MethodGet, origin+"/", "Authorization", "Bearer "+access); v.Reason != want {
			t.Errorf("%s by token: %s", origin, v.Reason)
		}
	}
	if v := r.bySession(two, cookie); v.Reason != "no_credential" {
		t.Errorf("by the other's session: %s", v.Reason)
	}
	if v := r.bySession(one, cookie); v.Reason != "allowed" {
		t.Error(v.Reason)
	}
	if err := r.Revoke(t.Context(), RevokeProxy, "*.wild.example.com"); err != nil {
		t.Fatal(err)
	}
	if v := r.bySession(one, cookie); v.Reason != "no_credential" {
		t.Errorf("the session after the proxy was revoked: %s", v.Reason)
	}
	if v, _ := r.admit(http.MethodGet, one+"/", "Authorization", "Bearer "+access); v.Reason != "token_revoked" {
		t.Errorf("the token after the proxy was revoked: %s", v.Reason)
	}
	r.refresh(one, client, refresh).refused(t, 400, "invalid_grant", "")
}

func TestLocalhostHasTwoOrigins(t *testing.T) {
	r := newRig(t)
	clear, _, _ := r.tokens("http://localhost", person("localroot"), "admin")
	secure, _, _ := r.tokens("https://localhost", person("localroot"), "admin")
	for _, c := range []struct{ origin, token, want string }{
		{"http://localhost", clear, "auth_disabled"}, {"https://localhost", secure, "auth_disabled"},
		{"http://localhost", secure, "token_issuer"}, {"https://localhost", clear, "token_issuer"}, {authOrigin, clear, "token_issuer"},
	} {
		v, _ := r.admit(http.MethodGet, c.origin+"/proxies/", "Authorization", "Bearer "+c.token)
		if v.Reason != c.want || (v.Outcome == site.Allow && !v.Principal.Has("admin")) {
			t.Errorf("%s: %+v", c.origin, v)
		}
	}
}

func TestTheDirectListenerTakesTokensOfTheAPIAlone(t *testing.T) {
	r := newRig(t)
	direct := func(path string, headers ...string) site.Verdict {
		v, req := r.visit(http.MethodGet, "http://localhost"+path)
		v.Direct, v.SignIn = true, authOrigin
		for i := 0; i < len(headers); i += 2 {
			req.Header.Add(headers[i], headers[i+1])
		}
		return r.Admit(v, req)
	}
	local, _, _ := r.tokens("http://localhost", person("localroot"), "admin")
	secure, _, _ := r.tokens("https://localhost", person("localroot"), "admin")
	world, _, _ := r.tokens(authOrigin, person("root"), "admin")
	app, _, _ := r.tokens(appOrigin, person("alice"), "user")
	for name, c := range map[string]struct{ token, reason, resource string }{
		"localhost over http":  {local, "auth_disabled", "http://localhost/mcp"},
		"localhost over https": {secure, "auth_disabled", "https://localhost/mcp"},
		"the sign-in host":     {world, "auth_disabled", authOrigin + "/mcp"},
		"a protected host":     {app, "token_audience", ""},
		"nonsense":             {"x", "token_malformed", ""},
	} {
		v := direct("/proxies/", "Authorization", "Bearer "+c.token)
		if v.Reason != c.reason || (c.resource != "" && (v.Principal == nil || v.Principal.Resource != c.resource || !v.Principal.Has("admin"))) {
			t.Errorf("%s: %+v %+v", name, v, v.Principal)
		}
	}
	cookie := r.cookie("http://localhost", person("localroot"), "")
	if v := direct("/proxies/", "Cookie", cookie.Name+"="+cookie.Value); v.Principal != nil || v.Reason != "auth_disabled" {
		t.Errorf("a cookie: %+v", v)
	}
	v, _ := r.visit(http.MethodGet, "http://localhost/.well-known/oauth-authorization-server")
	v.Direct, v.SignIn = true, authOrigin
	if p := r.placeOf(v); p.issuer != authOrigin || p.host.Role != site.SignInHost {
		t.Errorf("speaks for %+v", p)
	}
	if a := r.post(authOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}}); !strings.HasPrefix(a.text(t, "verification_uri"), authOrigin) {
		t.Errorf("%s", a.body)
	}
}
