package edge

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/site"
)

func TestUnknownHostIs404(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL))
	resp, body := r.get("http://other.test/")
	if resp.StatusCode != 404 || !strings.Contains(body, `"code":"unknown_host"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for _, host := range []string{"", "a b", "[::1", "app.test:99x", strings.Repeat("a", 300), "."} {
		got := r.send("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 404 ") && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("Host %q: %.60q", host, got)
		}
	}
}

func TestNamesAreNormalised(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL), to("*.wild.test", backend(t, hello).URL), to("xn--bcher-kva.test", backend(t, hello).URL))
	for _, host := range []string{"APP.Test", "app.test.", "app.test:8080", "App.test.:1", "x.wild.test"} {
		got := r.send("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("%s: %.60q", host, got)
		}
	}
	if got := r.send("GET / HTTP/1.1\r\nHost: a.b.wild.test\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("two labels: %.60q", got)
	}
	for host, want := range map[string]string{"BÜCHER.test": "xn--bcher-kva.test", "[::1]:80": "::1", "1.2.3.4:5": "1.2.3.4"} {
		if got, ok := hostName(host); got != want || !ok {
			t.Errorf("%s became %q", host, got)
		}
	}
}

func TestUnknownServerNameGetsItsAlert(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL), to("plain.test", backend(t, hello).URL, func(p *site.Proxy) { p.EnableHTTPS = false }))
	for _, name := range []string{"other.test", "plain.test"} {
		err := tls.Client(r.dial(r.secure), &tls.Config{RootCAs: r.certs.pool, ServerName: name}).Handshake()
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := r.dial(r.secure)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
	if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
		t.Errorf("plain HTTP on the TLS port: %q", b)
	}
}

func TestTLSALPNValidationPassesForAnyName(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL))
	c := tls.Client(r.dial(r.secure), &tls.Config{RootCAs: r.certs.pool, ServerName: "new.test", NextProtos: []string{"acme-tls/1"}})
	if err := c.Handshake(); err != nil || c.ConnectionState().NegotiatedProtocol != "acme-tls/1" {
		t.Errorf("%v %+v", err, c.ConnectionState().NegotiatedProtocol)
	}
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
		t.Errorf("%q %v", b, err)
	}
	mixed := &tls.Config{RootCAs: r.certs.pool, ServerName: "new.test", NextProtos: []string{"h2", "acme-tls/1"}}
	if c := tls.Client(r.dial(r.secure), mixed); c.Handshake() == nil && c.ConnectionState().NegotiatedProtocol != "acme-tls/1" {
		t.Error("a validation of an unknown name became an HTTP connection")
	}
}

func TestOtherHostOnTheConnectionNeedsTheCertificate(t *testing.T) {
	r := newRig(t, Options{})
	r.certs.also["a.test"] = []string{"b.test"}
	r.set(to("a.test", backend(t, hello).URL), to("b.test", backend(t, hello).URL), to("c.test", backend(t, hello).URL),
		to("raw.test", backend(t, hello).URL, func(p *site.Proxy) { p.TLSMode = site.TLSPassthrough }))
	for host, want := range map[string]int{"a.test": 200, "b.test": 200, "c.test": 421, "raw.test": 421, "none.test": 404} {
		for _, protocol := range []string{"h2", "http/1.1"} {
			c := r.dialTLS("a.test", protocol)
			var status string
			if protocol == "h2" {
				status = h2Get(t, c, host)
			} else {
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
				b, _ := io.ReadAll(c)
				status = string(b[9:12])
			}
			if status != http.StatusText(want) && status != itoa(want) {
				t.Errorf("%s over %s: %s, want %d", host, protocol, status, want)
			}
			_ = c.Close()
		}
	}
	got := r.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: c.test\r\nConnection: close\r\n\r\n")
	if strings.Count(got, "HTTP/1.1 200 OK") != 2 {
		t.Errorf("plain HTTP, any known name: %q", got)
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

func TestResumedSessionsCoverOnlyTheirName(t *testing.T) {
	r := newRig(t, Options{}, to("a.test", backend(t, hello).URL), to("b.test", backend(t, hello).URL))
	cache := &oneSession{}
	connect := func(name string) bool {
		c := tls.Client(r.dial(r.secure), &tls.Config{RootCAs: r.certs.pool, ServerName: name, ClientSessionCache: cache, InsecureSkipVerify: true}) //nolint:gosec // the attacker's choice
		defer c.Close()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+name+"\r\nConnection: close\r\n\r\n")
		if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 200 ") {
			t.Errorf("%s: %q", name, b)
		}
		return c.ConnectionState().DidResume
	}
	if connect("a.test") || !connect("a.test") {
		t.Error("sessions are not resumed: the test shows nothing")
	}
	if connect("b.test") {
		t.Error("a session of a.test was resumed for b.test")
	}
}

// oneSession is a client cache that mixes all names up.
type oneSession struct {
	mu sync.Mutex // guards state
	s  *tls.ClientSessionState
}

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.s, o.s != nil
}

func (o *oneSession) Put(_ string, s *tls.ClientSessionState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.s = s
}

func TestDisabledHostAsksNoBackend(t *testing.T) {
	b := backend(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	r := newRig(t, Options{}, to("app.test", b.URL, func(p *site.Proxy) { p.Enabled = false }))
	for _, scheme := range []string{"http", "https"} {
		if resp, body := r.get(scheme + "://app.test/"); resp.StatusCode != 503 || !strings.Contains(body, "disabled") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
}

func TestProtectedHostsNeverWorkOverPlainHTTP(t *testing.T) {
	b := backend(t, func(http.ResponseWriter, *http.Request) { t.Error("the target was asked over plain HTTP") })
	var mu sync.Mutex
	var lost []string
	acme := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "challenge") })
	r := newRig(t, Options{
		TokenInClear: func(v *site.Visit, token string) { mu.Lock(); lost = append(lost, v.Name+" "+token); mu.Unlock() },
		Locals:       map[string]http.Handler{"internal:acme": acme},
	}, to("app.test", b.URL, guarded), to("mcp.test", b.URL, func(p *site.Proxy) { p.ResourceEndpoint = "/mcp" }),
		to("nohttps.test", b.URL, guarded, func(p *site.Proxy) { p.EnableHTTPS = false }))
	_, port, _ := strings.Cut(r.secure, ":")
	request := func(method, host string, lines ...string) string {
		return r.send(method + " /x?y=1 HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nContent-Length: 0\r\n" + strings.Join(append(lines, "", ""), "\r\n"))
	}
	for _, host := range []string{"app.test", "mcp.test"} {
		for _, method := range []string{"GET", "HEAD"} {
			if got := request(method, host); !strings.HasPrefix(got, "HTTP/1.1 308 ") || !strings.Contains(got, "Location: https://"+host+":"+port+"/x?y=1\r\n") {
				t.Errorf("%s %s: %q", method, host, got)
			}
		}
		for _, c := range [][]string{{"POST"}, {"GET", "Authorization: Bearer secret"}, {"POST", "Authorization: bearer  two"}, {"GET", "Authorization: Basic abc"}, {"GET", "Cookie: a=1; __Host-gatehouse=s"}, {"OPTIONS"}, {"DELETE"}} {
			if got := request(c[0], host, c[1:]...); !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.Contains(got, "https_required") {
				t.Errorf("%s %v: %q", host, c, got)
			}
		}
	}
	if got := request("GET", "nohttps.test"); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("nohttps: %q", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := "app.test secret,app.test two,mcp.test secret,mcp.test two"; strings.Join(lost, ",") != want {
		t.Errorf("reported %q", lost)
	}
	if r.gate.asked.Load() != 0 {
		t.Error("the gate was asked")
	}
	for _, host := range []string{"app.test", "nobody.test"} {
		if _, body := r.get("http://" + host + "/.well-known/acme-challenge/token"); body != "challenge" {
			t.Errorf("%s: %q", host, body)
		}
	}
}

func TestRedirectHTTPS(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL, func(p *site.Proxy) { p.RedirectHTTPS = true }))
	got := r.send("POST //x HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	_, port, _ := strings.Cut(r.secure, ":")
	if !strings.HasPrefix(got, "HTTP/1.1 308 ") || !strings.Contains(got, "Location: https://app.test:"+port+"//x\r\n") {
		t.Errorf("%q", got)
	}
	if resp, _ := r.get("https://app.test/"); resp.StatusCode != 200 {
		t.Errorf("over TLS: %d", resp.StatusCode)
	}
}

func TestLoopbackMayUsePlainHTTPOnLocalhostNames(t *testing.T) {
	var visit site.Visit
	r := newRig(t, Options{}, to("app.localhost", backend(t, hello).URL, guarded), site.SignInProxy("auth.localhost"))
	r.gate.decide(func(v *site.Visit, _ *http.Request) site.Verdict { visit = *v; return site.Verdict{} })
	_, plain, _ := strings.Cut(r.plain, ":")
	_, secure, _ := strings.Cut(r.secure, ":")
	if resp, _ := r.get("http://app.localhost/"); resp.StatusCode != 200 || visit.Origin != "http://app.localhost:"+plain || visit.SignIn != "http://auth.localhost:"+plain {
		t.Errorf("%d %+v", resp.StatusCode, visit)
	}
	if resp, _ := r.get("https://app.localhost/"); resp.StatusCode != 200 || visit.Origin != "https://app.localhost:"+secure || visit.SignIn != "https://auth.localhost:"+secure {
		t.Errorf("%d %+v", resp.StatusCode, visit)
	}
}

func TestLocalhostNamesAreForLocalPeersOnly(t *testing.T) {
	b := backend(t, hello)
	far := newRig(t, Options{LocalhostPeers: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, to("app.localhost", b.URL), to("app.test", b.URL))
	if resp, body := far.get("http://app.localhost/"); resp.StatusCode != 404 || !strings.Contains(body, "unknown_host") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if err := tls.Client(far.dial(far.secure), &tls.Config{RootCAs: far.certs.pool, ServerName: "app.localhost"}).Handshake(); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("%v", err)
	}
	// Nor through a connection for another name.
	c := far.dialTLS("app.test")
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
	if got, _ := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 404 ") {
		t.Errorf("%q", got)
	}
	// A trusted proxy on this machine does not lend its address to its clients.
	near := newRig(t, Options{TrustedProxies: []netip.Prefix{loopback}}, to("app.localhost", b.URL))
	for line, want := range map[string]string{"X-Forwarded-For: 203.0.113.7": "404", "X-Forwarded-For: 127.0.0.1": "200", "X-A: b": "200"} {
		if got := near.send("GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n" + line + "\r\n\r\n"); got[9:12] != want {
			t.Errorf("%s: %.60q", line, got)
		}
	}
}

func TestTrustedProxyMaySayHTTPS(t *testing.T) {
	r := newRig(t, Options{TrustedProxies: []netip.Prefix{loopback}}, to("app.test", backend(t, hello).URL, guarded))
	if resp, _ := r.get("http://app.test/", header("X-Forwarded-Proto", "https")); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp, _ := r.get("http://app.test/"); resp.StatusCode != 308 {
		t.Errorf("without it: %d", resp.StatusCode)
	}
	for forwarded, want := range map[string]int{"for=192.0.2.7;proto=https": 200, `for=192.0.2.7;Proto="HTTPS"`: 200, "proto=https, for=192.0.2.7;proto=http": 308, "for=192.0.2.7": 308} {
		if resp, _ := r.get("http://app.test/", header("Forwarded", forwarded)); resp.StatusCode != want {
			t.Errorf("Forwarded: %s: %d, want %d", forwarded, resp.StatusCode, want)
		}
	}
}

func TestGateDecidesAndTheEdgeAnswers(t *testing.T) {
	b := backend(t, func(http.ResponseWriter, *http.Request) { t.Error("the target was asked") })
	r := newRig(t, Options{}, to("app.test", b.URL, guarded))
	challenge := `Bearer resource_metadata="https://app.test/.well-known/oauth-protected-resource", scope="mcp"`
	answer := func(v site.Verdict, accept string) (*http.Response, string) {
		r.gate.decide(func(*site.Visit, *http.Request) site.Verdict { return v })
		return r.get("https://app.test/", header("Accept", accept))
	}
	resp, body := answer(site.Verdict{Outcome: site.Challenge, Header: challenge}, "*/*")
	if resp.StatusCode != 401 || resp.Header.Get("Www-Authenticate") != challenge || !strings.Contains(body, `"error":`) || !strings.Contains(body, `"error_description":`) || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	resp, body = answer(site.Verdict{Outcome: site.Wait, Error: "too_many_attempts", Description: "later"}, "*/*")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "60" || resp.Header.Get("Www-Authenticate") != "" || !strings.Contains(body, "too_many_attempts") {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	resp, body = answer(site.Verdict{Outcome: site.Challenge, Header: challenge, Error: "invalid_token", Description: "the token has expired"}, "*/*")
	if resp.StatusCode != 401 || !strings.Contains(body, `"error":"invalid_token"`) || !strings.Contains(body, "the token has expired") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, body = answer(site.Verdict{Outcome: site.Forbid, Error: "access_denied", Description: "<b>no</b>"}, "*/*")
	if resp.StatusCode != 403 || !strings.Contains(body, `"error":"access_denied"`) || resp.Header.Get("Www-Authenticate") != "" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, body = answer(site.Verdict{Outcome: site.Forbid, Error: "access_denied", Description: "<b>no</b>"}, "text/html")
	if resp.StatusCode != 403 || !strings.Contains(body, "&lt;b&gt;no") || resp.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, _ = answer(site.Verdict{Outcome: site.SignIn, Location: "https://auth.test/signin?x=1"}, "text/html")
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "https://auth.test/signin?x=1" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func TestRoutesPickTheTargetAndItsPath(t *testing.T) {
	app := backend(t, mirror)
	api := backend(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Target", "api"); mirror(w, r) })
	r := newRig(t, Options{})
	route := func(id, pattern, match string, change func(*site.Route)) {
		rt := site.Route{ID: id, PathPattern: pattern, Match: match, Target: api.URL, Priority: 50, Scope: site.ScopeGlobal, Enabled: true, Version: 1}
		if change != nil {
			change(&rt)
		}
		r.routes = append(r.routes, rt)
	}
	route("keep", "/keep", site.MatchPrefix, nil)
	route("strip", "/strip", site.MatchPrefix, func(r *site.Route) { r.StripPrefix = true })
	route("rewrite", "/old", site.MatchExact, func(r *site.Route) { r.RewritePath = "/new" })
	route("base", "/base", site.MatchPrefix, func(r *site.Route) { r.Target += "/v1/"; r.StripPrefix = true })
	route("post", "/post", site.MatchPrefix, func(r *site.Route) { r.Methods = []string{"POST"} })
	r.set(to("app.test", app.URL))
	for path, want := range map[string]string{
		"/":                  "/",
		"/keep/a%20b?q=%2f":  "api /keep/a%20b?q=%2f",
		"/keepx":             "/keepx",
		"/strip":             "api /",
		"/strip/a/b?x":       "api /a/b?x",
		"/strip/a%20b":       "api /a%20b",
		"/strip//evil.test":  "400",
		"/strip/%2e%2e/x":    "/strip/%2e%2e/x",
		"/strip/a%2fb":       "400",
		"/old":               "api /new",
		"/base/x":            "api /v1/x",
		"/post/x":            "/post/x",
		"//evil.test/x":      "//evil.test/x",
		"/a%2fb/%41?x=1&y=;": "/a%2fb/%41?x=1&y=;",
		"/caf\xc3\xa9":       "/caf%C3%A9",
	} {
		got := r.send("GET " + path + " HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		result := head[9:12]
		if result == "200" {
			result = seen(t, body).Get("Path")
			if strings.Contains(head, "X-Target: api") {
				result = "api " + result
			}
		}
		if result != want {
			t.Errorf("%s: %q, want %q", path, result, want)
		}
	}
}

func TestDisabledEndpointIs404AndNeverTheTarget(t *testing.T) {
	b := backend(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	r := newRig(t, Options{}, to("app.test", b.URL, guarded, func(p *site.Proxy) { p.DisabledRoutes = []string{"register"} }))
	for path, says := range map[string]string{"/register": "switched off on this host", "//authorize": "another spelling", "/./token": "another spelling"} {
		if resp, body := r.get("https://app.test" + path); resp.StatusCode != 404 || !strings.Contains(body, says) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

func TestForeignPagesDoNotReachMCPEndpoints(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Access-Control-Allow-Origin", "*") })
	r := newRig(t, Options{}, to("mcp.test", b.URL, guarded, func(p *site.Proxy) {
		p.MCPEnabled, p.ResourceEndpoint, p.MCPAllowedOrigins = true, "/mcp", []string{"https://claude.test"}
	}))
	_, port, _ := strings.Cut(r.secure, ":")
	for origin, want := range map[string]int{"https://evil.test": 403, "null": 403, "https://claude.test": 200, "http://localhost:6274": 200, "https://mcp.test:" + port: 200, "http://localhost.evil.test": 403} {
		resp, _ := r.get("https://mcp.test/mcp", header("Origin", origin))
		allowed := resp.Header["Access-Control-Allow-Origin"]
		if resp.StatusCode != want || (want == 200) != (len(allowed) == 1 && allowed[0] == origin) {
			t.Errorf("%s: %d %v", origin, resp.StatusCode, resp.Header)
		}
	}
	if resp, _ := r.get("https://mcp.test/page", header("Origin", "https://evil.test")); resp.StatusCode != 200 {
		t.Errorf("beside the endpoint: %d", resp.StatusCode)
	}
	r.gate.decide(func(*site.Visit, *http.Request) site.Verdict {
		return site.Verdict{Outcome: site.Challenge, Header: "Bearer"}
	})
	preflight := func(req *http.Request) { req.Method = http.MethodOptions }
	resp, _ := r.get("https://mcp.test/mcp", preflight, header("Origin", "https://claude.test"), header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "mcp-session-id"))
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Headers") != "mcp-session-id" {
		t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
	}
	resp, _ = r.get("https://mcp.test/mcp", header("Origin", "https://claude.test"))
	if resp.StatusCode != 401 || !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("401 can't be read: %v", resp.Header)
	}
}
