package edge

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// mirror answers with the headers that it got.
func mirror(w http.ResponseWriter, r *http.Request) {
	h := r.Header.Clone()
	h["Host"] = []string{r.Host}
	h["Path"] = []string{r.RequestURI}
	_ = json.NewEncoder(w).Encode(h)
}

func seen(t testing.TB, body string) http.Header {
	t.Helper()
	var h http.Header
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return h
}

// raw is a request with header lines exactly as given.
func (r *rig) raw(host string, lines ...string) http.Header {
	r.t.Helper()
	got := r.send("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + strings.Join(append(lines, "", ""), "\r\n"))
	_, body, _ := strings.Cut(got, "\r\n\r\n")
	return seen(r.t, body)
}

var forged = []string{
	"X-Auth-User", "x-auth-user", "X_Auth_User", "x_auth-email", "X-AUTH-SCOPES", "X-Auth-Anything", "X-Auth-",
	"X-Me-User", "x_me_User", "X-ME-Groups", "X-Internal-Secret", "x_internal_x", "Remote-User", "REMOTE_USER", "remote-user",
	"X-Remote-User", "X_Remote_Groups", "X-Forwarded-User", "x_forwarded_email", "X-Forwarded-Groups",
	"X-Original-URL", "x_original_url", "X-Rewrite-Url", "X_Rewrite_URL", "Proxy", "PROXY",
	"Keep-Alive", "Proxy-Authorization", "Proxy-Authenticate", "Proxy-Connection", "Trailer", "Content_Length", "Transfer_Encoding",
}

var forgedByStrangers = []string{
	"X-Forwarded-For", "x_forwarded_for", "X-Forwarded-Host", "X-Forwarded-Proto", "X_Forwarded_Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"Forwarded", "FORWARDED", "X-Real-IP", "x_real_ip", "X-Request-Id", "X_Request_ID",
}

func TestForgedHeadersAreDropped(t *testing.T) {
	b := backend(t, mirror)
	me := func(p *site.Proxy) { p.AuthHeaderPrefix = "X-Me-" }
	r := newRig(t, Options{}, to("app.test", b.URL, me))
	trusting := newRig(t, Options{TrustedProxies: []netip.Prefix{loopback}}, to("app.test", b.URL, me))
	check := func(r *rig, who string, names []string) {
		for _, name := range names {
			h := r.raw("app.test", name+": forged", "X-Kept: yes")
			if h.Get("X-Kept") != "yes" {
				t.Fatalf("%s of %s: the request did not come through", name, who)
			}
			for key, values := range h {
				if slices.Contains(values, "forged") || strings.Contains(strings.Join(values, ","), "forged") {
					t.Errorf("%s of %s came through as %s", name, who, key)
				}
			}
		}
	}
	check(r, "a stranger", slices.Concat(forged, forgedByStrangers))
	check(trusting, "a trusted proxy", forged)
	for _, name := range []string{"X-Forwarded-Port", "X-Forwarded-For", "X-Request-Id"} {
		if h := trusting.raw("app.test", name+": 203.0.113.9"); !strings.HasPrefix(h.Get(name), "203.0.113.9") {
			t.Errorf("a trusted proxy's %s is gone: %v", name, h)
		}
	}
}

func TestForgedHeadersAreDroppedOverHTTP2(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, mirror).URL, func(p *site.Proxy) { p.AuthHeaderPrefix = "X-Me-" }))
	req, _ := http.NewRequest(http.MethodGet, "https://app.test/", nil)
	for _, name := range forged {
		if !hopByHop(http.CanonicalHeaderKey(name)) {
			req.Header[name] = []string{"forged"}
		}
	}
	if _, body := do(t, r.client(overH2), req); strings.Contains(body, "forged") {
		t.Errorf("%s", body)
	}
}

func TestConnectionCannotNameOurHeaders(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, mirror).URL))
	r.gate.decide(allowAlice)
	h := r.raw("app.test", "X-Custom: 1", "Connection: X-Auth-User, X-Forwarded-For, X-Custom", "Connection: close, X-Real-Ip")
	if h.Get("X-Auth-User") != "alice" || h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Real-Ip") != "127.0.0.1" || h.Get("X-Custom") != "" {
		t.Errorf("%v", h)
	}
}

func allowAlice(*site.Visit, *http.Request) site.Verdict {
	return site.Verdict{Step: 9, Reason: "allowed", OwnToken: true, Principal: &principal.Principal{
		Subject: "github:1", User: "alice", Email: "älice@example.com", Scopes: []string{"mcp", "user"}, ClientID: "client 1", AuthType: principal.Bearer,
	}}
}

func TestTargetLearnsWhoAsks(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, mirror).URL, guarded), to("quiet.test", backend(t, mirror).URL, guarded, func(p *site.Proxy) { p.AuthPassHeaders = false }),
		to("me.test", backend(t, mirror).URL, guarded, func(p *site.Proxy) { p.AuthHeaderPrefix = "X-Me-" }))
	r.gate.decide(allowAlice)
	_, body := r.get("https://app.test/", header("Authorization", "Bearer ours"))
	h := seen(t, body)
	for name, want := range map[string]string{
		"X-Auth-User": "alice", "X-Auth-Email": "%C3%A4lice@example.com", "X-Auth-Scopes": "mcp user", "X-Auth-Client-Id": "client%201",
		"X-Auth-Subject": "github:1", "Authorization": "", "X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1", "X-Forwarded-Host": "app.test", "X-Forwarded-Proto": "https",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(h.Get("X-Request-Id")) != 32 || !strings.HasPrefix(h.Get("Traceparent"), "00-"+h.Get("X-Request-Id")) {
		t.Errorf("ids %v", h)
	}
	_, body = r.get("https://quiet.test/")
	for name := range seen(t, body) {
		if strings.HasPrefix(name, "X-Auth") {
			t.Errorf("%s was passed", name)
		}
	}
	_, body = r.get("https://me.test/")
	if h := seen(t, body); h.Get("X-Me-User") != "alice" || h.Get("X-Auth-User") != "" {
		t.Errorf("prefix: %v", h)
	}
}

func TestAuthorizationThatIsNotOursPasses(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, mirror).URL))
	_, body := r.get("https://app.test/", header("Authorization", "Basic abc"))
	if got := seen(t, body).Get("Authorization"); got != "Basic abc" {
		t.Errorf("%q", got)
	}
}

func TestOurCookiesStayHere(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, mirror).URL, func(p *site.Proxy) { p.AuthCookieName = "__Host-gatehouse-app" }))
	for sent, want := range map[string]string{
		"a=1; __Host-gatehouse=x; b=2":                      "a=1; b=2",
		"__Host-gatehouse-app=x":                            "",
		"__host-GATEHOUSE=x; a=1":                           "a=1",
		"gatehouse=x; gatehouse-signin=y;gatehousekeeper=z": "gatehousekeeper=z",
		"a=\"q; __Host-gatehouse=x\"":                       "a=\"q",
		" __Host-gatehouse =x;a=1;":                         "a=1; ",
		"plain=1;  odd=2":                                   "plain=1;  odd=2",
	} {
		if got := r.raw("app.test", "Cookie: "+sent).Get("Cookie"); strings.TrimRight(got, "; ") != strings.TrimRight(want, "; ") {
			t.Errorf("%q became %q, want %q", sent, got, want)
		}
	}
}

func TestAnswersBySessionArePrivate(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if v := r.URL.Query().Get("cc"); v != "" {
			w.Header().Set("Cache-Control", v)
		}
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	r.gate.decide(func(*site.Visit, *http.Request) site.Verdict { return site.Verdict{ByCookie: true} })
	for sent, want := range map[string]string{
		"": "private", "no-store": "no-store", "private,max-age=5": "private,max-age=5", "public,max-age=60,s-maxage=600": "private, max-age=60", "No-Store": "No-Store",
	} {
		resp, _ := r.get("https://app.test/?cc=" + sent)
		if got := resp.Header.Get("Cache-Control"); got != want {
			t.Errorf("%q became %q, want %q", sent, got, want)
		}
	}
}

func TestCustomHeaders(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "secret/1.0")
		mirror(w, r)
	})
	r := newRig(t, Options{Locals: map[string]http.Handler{"internal:oauth": http.HandlerFunc(hello)}}, to("app.test", b.URL, guarded, func(p *site.Proxy) {
		p.CustomHeaders = map[string]string{"X-Who": "<${user}> ${email}", "Accept-Language": "", "User-Agent": "", "X-Id": "${request_id}"}
		p.CustomResponseHeaders = map[string]string{"Server": "", "X-Frame-Options": "DENY", "X-For": "${user}"}
		p.PreserveHostHeader = false
	}), to("down.test", "http://127.0.0.1:1/", func(p *site.Proxy) { p.CustomResponseHeaders = map[string]string{"X-Frame-Options": "DENY"} }))
	r.gate.decide(allowAlice)
	resp, body := r.get("https://app.test/", header("Accept-Language", "de"), header("X-Who", "mallory"))
	h := seen(t, body)
	if h.Get("X-Who") != "<alice> %C3%A4lice@example.com" || h.Get("Accept-Language") != "" || h.Get("User-Agent") != "" || h.Get("X-Id") != h.Get("X-Request-Id") {
		t.Errorf("to the target: %v", h)
	}
	if h.Get("Host") != strings.TrimPrefix(b.URL, "http://") {
		t.Errorf("Host %q", h.Get("Host"))
	}
	if resp.Header.Get("Server") != "" || resp.Header.Get("X-Frame-Options") != "DENY" || resp.Header.Get("X-For") != "alice" {
		t.Errorf("to the client: %v", resp.Header)
	}
	if resp, _ := r.get("https://down.test/"); resp.StatusCode != 502 || resp.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("an error lacks them: %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := r.get("https://app.test/jwks"); resp.StatusCode != 200 || resp.Header.Get("X-Frame-Options") != "" {
		t.Errorf("our own endpoint has them: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestTrustedChainsGiveTheClient(t *testing.T) {
	trusted := []netip.Prefix{loopback, netip.MustParsePrefix("10.0.0.0/8")}
	var visit site.Visit
	r := newRig(t, Options{TrustedProxies: trusted}, to("app.test", backend(t, mirror).URL))
	r.gate.decide(func(v *site.Visit, _ *http.Request) site.Verdict { visit = *v; return site.Verdict{} })
	for lines, want := range map[string]string{
		"X-Forwarded-For: 203.0.113.7":                                  "203.0.113.7",
		"X-Forwarded-For: 198.51.100.1, 203.0.113.7, 10.1.2.3":          "203.0.113.7",
		"X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.7": "203.0.113.7",
		"X-Forwarded-For: 10.9.9.9, 10.1.2.3":                           "10.9.9.9",
		"X-Forwarded-For: nonsense, 10.1.2.3":                           "10.1.2.3",
		"X-Forwarded-For: [2001:db8::1]:4711":                           "2001:db8::1",
		"Forwarded: for=203.0.113.9;proto=https, for=10.0.0.1":          "203.0.113.9",
		"Forwarded: For=\"[2001:db8::5]:80\"":                           "2001:db8::5",
		"X-Custom: none":                                                "127.0.0.1",
	} {
		r.raw("app.test", lines)
		if visit.Client.String() != want || visit.Peer.String() != "127.0.0.1" {
			t.Errorf("%s: client %s, peer %s", lines, visit.Client, visit.Peer)
		}
	}
	r.raw("app.test", "X-Forwarded-Proto: http, https")
	if !visit.Secure || visit.Origin[:8] != "https://" {
		t.Errorf("a trusted proxy's https is not believed: %+v", visit)
	}
	r.raw("app.test", "X-Forwarded-Proto: https, http")
	if visit.Secure {
		t.Error("the nearest proxy said http")
	}
	stranger := newRig(t, Options{}, to("app.test", backend(t, mirror).URL))
	stranger.gate.decide(func(v *site.Visit, _ *http.Request) site.Verdict { visit = *v; return site.Verdict{} })
	h := stranger.raw("app.test", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test", "X-Request-Id: mine")
	if visit.Client.String() != "127.0.0.1" || visit.Secure || h.Get("X-Forwarded-Host") != "app.test" || h.Get("X-Forwarded-Proto") != "http" || h.Get("X-Request-Id") == "mine" {
		t.Errorf("a stranger is believed: %+v %v", visit, h)
	}
}

func TestTraceparentContinuesTheClientsTrace(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, mirror).URL))
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	got := r.raw("app.test", "traceparent: 00-"+trace+"-00f067aa0ba902b7-01").Get("Traceparent")
	if !strings.HasPrefix(got, "00-"+trace+"-") || strings.Contains(got, "00f067aa0ba902b7") {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"", "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01", "x"} {
		got := r.raw("app.test", "traceparent: "+bad).Get("Traceparent")
		if len(got) != 55 || strings.Contains(got, strings.Repeat("0", 32)) {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestIdentityNeverReachesLocalHandlersAsHeaders(t *testing.T) {
	var got http.Header
	var who *principal.Principal
	var visit *site.Visit
	api := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, who, visit = maps.Clone(r.Header), principal.From(r.Context()), site.VisitFrom(r.Context())
	})
	r := newRig(t, Options{Locals: map[string]http.Handler{"internal:api": api}}, site.Localhost())
	r.gate.decide(allowAlice)
	r.send("GET /proxies/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Auth-User: mallory\r\nx_auth_scopes: admin\r\nAuthorization: Bearer t\r\nCookie: gatehouse=s\r\n\r\n")
	if visit == nil || visit.Host.Proxy.Hostname != "localhost" || who == nil || who.User != "alice" {
		t.Fatalf("visit %v, principal %v", visit, who)
	}
	if text := fmt.Sprint(got); strings.Contains(text, "mallory") || strings.Contains(text, "admin") {
		t.Errorf("forged headers: %v", got)
	}
	if got.Get("Authorization") == "" || got.Get("Cookie") == "" {
		t.Errorf("our own handlers need credentials: %v", got)
	}
}
