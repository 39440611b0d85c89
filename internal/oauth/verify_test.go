package oauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/page"
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
	ask := func(trusted bool, headers ...string) *http.Response { // of two of a name the later one
		last := map[string]string{}
		for i := 0; i < len(headers); i += 2 {
			last[headers[i]] = headers[i+1]
		}
		headers = nil
		for name, value := range last {
			headers = append(headers, name, value)
		}
		return r.verify(trusted, headers...).Response
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
		"a whole address":             {[]string{"X-Forwarded-Host", "app.example.com", "X-Original-Method", "GET", "X-Original-Url", "https://app.example.com/open"}, 200, "", ""},
		"an ambiguous path":           {[]string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/open/..%2fadmin"}, 401, "", ""},
		"another ambiguous path":      {[]string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "//open"}, 401, "", ""},
		"a broken path":               {[]string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/%zz"}, 403, "", ""},
		"no path":                     {[]string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Method", "GET"}, 403, "", ""},
		"no host":                     {[]string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/"}, 403, "", ""},
		"an unknown host":             {[]string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/"}, 403, "", ""},
		"a disabled host":             {[]string{"X-Forwarded-Host", "off.example.com", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/"}, 403, "", ""},
		"an unprotected host":         {[]string{"X-Forwarded-Host", "bare.example.com", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/"}, 403, "", ""},
		"the sign-in host":            {[]string{"X-Forwarded-Host", "auth.example.com", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/health"}, 403, "", ""},
		"plain http":                  {[]string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/open", "X-Forwarded-Proto", "http"}, 403, "", ""},
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

// Who is sent to sign in sees the page that everybody sees, whose link leads
// where Location and Refresh do.
func TestForwardAuthSendsBrowsersToSignInByOurPage(t *testing.T) {
	r := newRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthMode = site.ModeRedirect })
	res := r.verify(true, "X-Forwarded-Host", "app.example.com", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", `/a?b="><script>`, "Accept", "text/html")
	to := res.Header.Get("Location")
	if res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(to, appOrigin+"/.gatehouse/start?return=%2Fa%3Fb%3D") || res.Header.Get("Refresh") != "0; url="+to {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	if res.Header.Get("Content-Security-Policy") != page.Policy || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", res.Header)
	}
	if body := string(res.body); !strings.Contains(body, `href="`+to+`"`) || !strings.Contains(body, "app.example.com") || strings.Contains(body, "<script") {
		t.Errorf("%s", body)
	}
}

// verify asks /verify as another proxy does. headers are names and values in turn.
func (r *rig) verify(trusted bool, headers ...string) answer {
	r.t.Helper()
	v, _ := r.visit(http.MethodGet, authOrigin+"/verify")
	v.Trusted = trusted
	req := httptest.NewRequest(http.MethodGet, authOrigin+"/verify", nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req.WithContext(site.WithVisit(r.t.Context(), v)))
	return answer{w.Result(), w.Body.Bytes()}
}

// TestForwardAuthIsNotTalkedInto: what a client can make another proxy say beside
// what that proxy says itself opens nothing.
func TestForwardAuthIsNotTalkedInto(t *testing.T) {
	r := newRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthExcludedPaths = []string{"/open", "/below/"} })
	alice := r.cookie(appOrigin, person("alice"), "")
	cookie := alice.Name + "=" + alice.Value
	const host, method, uri, proto = "X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Proto"
	for name, c := range map[string]struct {
		headers []string
		status  int
		reason  string
	}{
		"the open path itself":               {[]string{host, "app.example.com", method, "GET", uri, "/open"}, 200, ""},
		"another name for the path":          {[]string{host, "app.example.com", method, "GET", "X-Original-Uri", "/admin", uri, "/open"}, 403, "unreadable_uri"},
		"another name, the other way round":  {[]string{host, "app.example.com", method, "GET", "X-Original-Uri", "/open", uri, "/admin"}, 403, "unreadable_uri"},
		"a whole address beside it":          {[]string{host, "app.example.com", method, "GET", uri, "/admin", "X-Original-Url", "https://app.example.com/open"}, 403, "unreadable_uri"},
		"a whole address with a query":       {[]string{host, "app.example.com", method, "GET", "X-Original-Url", "https://app.example.com?/open"}, 403, "unreadable_uri"},
		"both names alike":                   {[]string{host, "app.example.com", method, "GET", "X-Original-Uri", "/open", uri, "/open"}, 200, ""},
		"two paths":                          {[]string{host, "app.example.com", method, "GET", uri, "/open", uri, "/admin"}, 403, "unreadable_uri"},
		"two hosts":                          {[]string{host, "app.example.com", host, "other.example.com", method, "GET", uri, "/open"}, 403, "unknown_host"},
		"a list of hosts":                    {[]string{host, "app.example.com, other.example.com", method, "GET", uri, "/open"}, 403, "unknown_host"},
		"two methods":                        {[]string{host, "app.example.com", method, "GET", method, "POST", uri, "/open"}, 403, "unreadable_method"},
		"another name for the method":        {[]string{host, "app.example.com", "X-Original-Method", "POST", method, "GET", uri, "/", "Cookie", cookie}, 403, "unreadable_method"},
		"no method":                          {[]string{host, "app.example.com", uri, "/", "Cookie", cookie}, 403, "unreadable_method"},
		"a method in lower case":             {[]string{host, "app.example.com", method, "get", uri, "/", "Cookie", cookie}, 403, "unreadable_method"},
		"a method that is two":               {[]string{host, "app.example.com", method, "GET, POST", uri, "/", "Cookie", cookie}, 403, "unreadable_method"},
		"a method that overrides":            {[]string{host, "app.example.com", method, "POST", uri, "/", "Cookie", cookie, "X-Http-Method-Override", "GET", "Origin", "https://evil.example"}, 403, "cross_origin"},
		"CONNECT by cookie":                  {[]string{host, "app.example.com", method, "CONNECT", uri, "/", "Cookie", cookie}, 403, "cross_origin"},
		"two schemes":                        {[]string{host, "app.example.com", method, "GET", uri, "/open", proto, "https", proto, "http"}, 403, "unreadable_proto"},
		"a scheme that is two":               {[]string{host, "app.example.com", method, "GET", uri, "/open", proto, "https,http"}, 403, "unreadable_proto"},
		"a WebSocket by Traefik":             {[]string{host, "app.example.com", method, "GET", uri, "/open", proto, "wss"}, 200, ""},
		"a WebSocket in clear":               {[]string{host, "app.example.com", method, "GET", uri, "/open", proto, "ws"}, 403, "https_required"},
		"a trailing dot":                     {[]string{host, "app.example.com.", method, "GET", uri, "/open"}, 200, ""},
		"an encoded dot":                     {[]string{host, "app.example.com", method, "GET", uri, "/below/%2e%2e/admin"}, 401, "no_credential"},
		"dots":                               {[]string{host, "app.example.com", method, "GET", uri, "/below/../admin"}, 401, "no_credential"},
		"an encoded slash":                   {[]string{host, "app.example.com", method, "GET", uri, "/below%2f..%2fadmin"}, 401, "no_credential"},
		"two slashes":                        {[]string{host, "app.example.com", method, "GET", uri, "/below//admin"}, 401, "no_credential"},
		"a backslash":                        {[]string{host, "app.example.com", method, "GET", uri, "/below/..\\admin"}, 401, "no_credential"},
		"an encoded backslash":               {[]string{host, "app.example.com", method, "GET", uri, "/below/%5c..%5cadmin"}, 401, "no_credential"},
		"a semicolon":                        {[]string{host, "app.example.com", method, "GET", uri, "/below/..;/admin"}, 401, "no_credential"},
		"a percent sign twice":               {[]string{host, "app.example.com", method, "GET", uri, "/below/%252e%252e/admin"}, 401, "no_credential"},
		"a NUL":                              {[]string{host, "app.example.com", method, "GET", uri, "/below/%00"}, 401, "no_credential"},
		"bytes that are not UTF-8":           {[]string{host, "app.example.com", method, "GET", uri, "/below/%c0%ae%c0%ae/admin"}, 401, "no_credential"},
		"a space":                            {[]string{host, "app.example.com", method, "GET", uri, "/below/ /x"}, 403, "unreadable_uri"},
		"a path without a slash before":      {[]string{host, "app.example.com", method, "GET", uri, "open"}, 403, "unreadable_uri"},
		"a whole address in place of a path": {[]string{host, "app.example.com", method, "GET", uri, "http://evil.example/open"}, 403, "unreadable_uri"},
		"a path in the query":                {[]string{host, "app.example.com", method, "GET", uri, "/admin?/../open"}, 401, "no_credential"},
		"an open path with a lying query":    {[]string{host, "app.example.com", method, "GET", uri, "/open?/../admin%0d%0aX:y"}, 200, ""},
		"an endpoint of ours":                {[]string{host, "app.example.com", method, "POST", uri, "/token"}, 403, "gatehouse_path"},
		"a page of ours":                     {[]string{host, "app.example.com", method, "GET", uri, "/.gatehouse/start"}, 403, "gatehouse_path"},
		"ACME":                               {[]string{host, "app.example.com", method, "GET", uri, "/.well-known/acme-challenge/x"}, 403, "gatehouse_path"},
		"an endpoint of ours in disguise":    {[]string{host, "app.example.com", method, "POST", uri, "/x/..//token"}, 403, "route_disabled"},
		"a wildcard as a name":               {[]string{host, "*.example.com", method, "GET", uri, "/open"}, 403, "host_not_protected"},
		"a token in the query":               {[]string{host, "app.example.com", method, "GET", uri, "/?access_token=x"}, 401, "no_credential"},
	} {
		before := len(r.log.reasons())
		a := r.verify(true, c.headers...)
		reason := ""
		if all := r.log.reasons(); len(all) > before {
			reason = all[len(all)-1]
		}
		if a.StatusCode != c.status || reason != c.reason {
			t.Errorf("%s: %d because of %q, want %d because of %q: %s", name, a.StatusCode, reason, c.status, c.reason, a.body)
		}
		if a.StatusCode != http.StatusOK && a.Header.Get("X-Auth-User") != "" {
			t.Errorf("%s: a refusal names somebody", name)
		}
	}
}

// TestForwardAuthKeepsAnsweringWhateverItsClientsSend: one proxy asks for all its
// clients, so that nothing is counted against its address.
func TestForwardAuthKeepsAnsweringWhateverItsClientsSend(t *testing.T) {
	r := newRig(t, func(o *Options) { o.RateLimits = true })
	for range 200 {
		if a := r.verify(true, "X-Forwarded-Host", "evil.example", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/"); a.StatusCode != http.StatusForbidden {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
}

// TestForwardAuthRenewsSessions: the asking proxy gets the cookie to hand on.
func TestForwardAuthRenewsSessions(t *testing.T) {
	r := newRig(t)
	c := r.cookie(appOrigin, person("alice"), "")
	question := []string{"X-Forwarded-Host", "app.example.com", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/", "Cookie", c.Name + "=" + c.Value}
	if a := r.verify(true, question...); a.StatusCode != http.StatusOK || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("a fresh session: %d %v", a.StatusCode, a.Header)
	}
	r.after(sessionRenew + time.Second)
	if a := r.verify(true, question...); a.StatusCode != http.StatusOK || !strings.HasPrefix(a.Header.Get("Set-Cookie"), c.Name+"=") {
		t.Errorf("one that has been used for a while: %d %v", a.StatusCode, a.Header)
	}
}

// FuzzQuestion: whatever a proxy hands on, a path that is open behind it is open
// in front, for the bytes that its target gets.
func FuzzQuestion(f *testing.F) {
	f.Add("app.example.com", "GET", "/open/x?y", "", "")
	f.Add("app.example.com:443", "GET", "", "/open/..%2fx", "https://app.example.com/open")
	f.Fuzz(func(t *testing.T, host, method, uri, original, whole string) {
		h := http.Header{"X-Forwarded-Host": {host}, "X-Forwarded-Method": {method}, "X-Forwarded-Uri": {uri}, "X-Original-Uri": {original}, "X-Original-Url": {whole}}
		q, refusal := readQuestion(h)
		if refusal != nil {
			return
		}
		path, _, _ := strings.Cut(q.uri, "?")
		if q.path != site.ParsePath(path) || (uri != "" && uri != q.uri) || (original != "" && original != q.uri) || !strings.HasSuffix(whole, q.uri) && whole != "" {
			t.Fatalf("%+v of %q", q, h)
		}
		if name, err := site.NormalizeHostname(q.name); err != nil || name != q.name || !isMethod(q.method) {
			t.Fatalf("%+v of %q", q, h)
		}
	})
}
