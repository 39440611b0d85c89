package oauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/internal/site"
)

func TestForwardAuth(t *testing.T) {
	r := newRig(t)
	r.change("app.example.com", func(p *site.Proxy) {
		p.AuthMode, p.AuthExcludedPaths = site.ModeRedirect, []string{"/open"}
	})
	r.change("off.example.com", func(p *site.Proxy) { p.Enabled = false })
	r.change("bare.example.com", func(p *site.Proxy) { p.AuthEnabled = false })
	access, _, _ := r.tokens(appOrigin, person("alice"), "user")
	carol := r.cookie(appOrigin, person("carol"), "")
	alice := r.cookie(appOrigin, person("alice"), "")
	withCookie := func(c *http.Cookie) []string { return []string{"Cookie", c.Name + "=" + c.Value} }
	ask := func(trusted bool, headers ...string) *http.Response {
		v, _ := r.visit(http.MethodGet, authOrigin+"/verify")
		v.Trusted = trusted
		req := httptest.NewRequest(http.MethodGet, authOrigin+"/verify", nil)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req.WithContext(site.WithVisit(t.Context(), v)))
		return w.Result()
	}
	app := []string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", "/a?b=c", "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https"}
	if res := ask(false, app...); res.StatusCode != http.StatusNotFound {
		t.Errorf("a peer that is not trusted: %d", res.StatusCode)
	}
	for name, c := range map[string]struct {
		headers []string
		status  int
		header  string
		has     string
	}{
		"a token":                     {with(app, "Authorization", "Bearer "+access), 200, "X-Auth-User", "alice"},
		"its scopes":                  {with(app, "Authorization", "Bearer "+access), 200, "X-Auth-Scopes", "user"},
		"a session":                   {with(app, withCookie(alice)...), 200, "X-Auth-Subject", "github:alice"},
		"a session's POST from there": {with(with(app, withCookie(alice)...), "X-Forwarded-Method", "POST", "Origin", "https://evil.example"), 403, "", ""},
		"a session's WebSocket":       {with(with(app, withCookie(alice)...), "Sec-WebSocket-Key", "x", "Origin", "https://evil.example"), 403, "", ""},
		"a session's POST from here":  {with(with(app, withCookie(alice)...), "X-Forwarded-Method", "POST", "Origin", appOrigin), 200, "X-Auth-User", "alice"},
		"somebody not listed":         {with(app, withCookie(carol)...), 403, "", ""},
		"nothing":                     {app, 401, "WWW-Authenticate", `Bearer resource_metadata="https://app.example.com/.well-known/oauth-protected-resource"`},
		"a browser":                   {with(app, browser...), 401, "Location", "https://app.example.com/.gatehouse/start?return=%2Fa%3Fb%3Dc"},
		"nginx's headers":             {[]string{"X-Forwarded-Host", "APP.example.com:443", "X-Original-URI", "/open/x", "X-Original-Method", "POST"}, 200, "X-Auth-User", ""},
		"a whole address":             {[]string{"X-Forwarded-Host", "app.example.com", "X-Original-Url", "https://app.example.com/open"}, 200, "", ""},
		"an ambiguous path":           {[]string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", "/open/..%2fadmin"}, 401, "", ""},
		"another ambiguous path":      {[]string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", "//open"}, 401, "", ""},
		"a broken path":               {[]string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", "/%zz"}, 403, "", ""},
		"no path":                     {[]string{"X-Forwarded-Host", "app.example.com"}, 403, "", ""},
		"no host":                     {[]string{"X-Forwarded-Uri", "/"}, 403, "", ""},
		"an unknown host":             {[]string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Uri", "/"}, 403, "", ""},
		"a disabled host":             {[]string{"X-Forwarded-Host", "off.example.com", "X-Forwarded-Uri", "/"}, 403, "", ""},
		"an unprotected host":         {[]string{"X-Forwarded-Host", "bare.example.com", "X-Forwarded-Uri", "/"}, 403, "", ""},
		"the sign-in host":            {[]string{"X-Forwarded-Host", "auth.example.com", "X-Forwarded-Uri", "/health"}, 403, "", ""},
		"plain http":                  {[]string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", "/open", "X-Forwarded-Proto", "http"}, 403, "", ""},
	} {
		res := ask(true, c.headers...)
		if res.StatusCode != c.status || !strings.HasPrefix(res.Header.Get(c.header), c.has) || (c.has == "" && c.header != "" && res.Header.Get(c.header) != "") {
			t.Errorf("%s: %d %v", name, res.StatusCode, res.Header)
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: may be cached", name)
		}
	}
}
