package test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestStrangerAtTheEdge attacks the data path with raw bytes: one server, a
// backend that shows the bytes that reached it, open.localhost without sign-in
// and app.localhost with it and /health excluded.
func TestStrangerAtTheEdge(t *testing.T) {
	backend := newTap(t)
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "app.localhost", backend.url, "--exclude", "/health")
	s.local("proxy", "create", "open.localhost", backend.url)
	for name, attack := range map[string]func(*testing.T, *server, *tap){
		"forged identity":  forgedIdentity,
		"smuggling":        smuggling,
		"upgrade":          upgradeSmuggling,
		"path tricks":      pathTricks,
		"host confusion":   hostConfusion,
		"backend's answer": hostileAnswers,
		"limits":           headLimits,
		"endless HTTP/2":   continuations,
	} {
		t.Run(name, func(t *testing.T) { attack(t, s, backend) })
	}
}

// forged are lines by which a client could say who it is, what it asked for or
// where it comes from.
var forged = []string{
	"X-Auth-User: mallory", "x-auth-user: mallory", "X_Auth_User: mallory", "x_auth-user: mallory", "X-AUTH_USER: mallory", "X-Auth-Anything: mallory",
	"X-Auth-Scopes: mallory", "X-Auth-Subject: mallory", "X_AUTH_EMAIL: mallory", "Remote-User: mallory", "Remote_User: mallory", "REMOTE_USER: mallory",
	"X-Remote-User: mallory", "X_Remote_Groups: mallory", "X-Forwarded-User: mallory", "X_Forwarded_User: mallory", "X-Forwarded-Email: mallory",
	"X-Forwarded-Groups: mallory", "X-Forwarded-Preferred-Username: mallory", "X-Internal-User: mallory", "X_Internal-Secret: mallory",
	"X-Original-URL: /mallory", "X-Rewrite-URL: /mallory", "X_Original_Url: /mallory", "Proxy: http://mallory", "Proxy-Authorization: Basic mallory",
	"X-Forwarded-For: 6.6.6.6", "X_Forwarded_For: 6.6.6.6", "X-Forwarded-Host: mallory.test", "X-Forwarded-Proto: mallory", "Forwarded: for=6.6.6.6;host=mallory",
	"X-Real-IP: 6.6.6.6", "X_Real_Ip: 6.6.6.6", "X-Request-Id: mallory",
	"Cookie: __Host-gatehouse=mallory; theme=dark; gatehouse=mallory; __Host-gatehouse-start=mallory; __host-gatehouse=mallory",
}

func forgedIdentity(t *testing.T, s *server, _ *tap) {
	lines := strings.Join(forged, "\r\n") + "\r\n"
	all := make([]string, len(forged))
	for i, l := range forged {
		all[i], _, _ = strings.Cut(l, ":")
	}
	for name, text := range map[string]string{
		"headers":              "GET /headers HTTP/1.1\r\nHost: open.localhost\r\nConnection: close\r\n" + lines + "\r\n",
		"named by Connection":  "GET /hops HTTP/1.1\r\nHost: open.localhost\r\nConnection: close, X-Auth-User, x-real-ip, X-Forwarded-For, X-Request-Id, Host\r\n" + lines + "\r\n",
		"announced trailers":   "POST /trailers HTTP/1.1\r\nHost: open.localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: " + strings.Join(all, ", ") + "\r\n\r\n3\r\nabc\r\n0\r\n" + lines + "\r\n",
		"unannounced trailers": "POST /trailers HTTP/1.1\r\nHost: open.localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\n" + lines + "X-Sum: 1\r\n\r\n",
		"on an excluded path":  "GET /health HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n" + lines + "\r\n",
	} {
		for _, sni := range []string{"", "open.localhost"} {
			if sni != "" && strings.Contains(text, "app.localhost") {
				sni = "app.localhost"
			}
			w := s.dial(t, sni)
			w.send(text)
			got := w.read()
			if strings.Contains(name, "trailers") && got.StatusCode == http.StatusBadRequest {
				continue // refusing the message is as good
			}
			saw := strings.ToLower(got.Body)
			if got.StatusCode != http.StatusOK || strings.Contains(saw, "mallory") || strings.Contains(saw, "6.6.6.6") {
				t.Errorf("%s (TLS %v): %d, the backend saw\n%s", name, sni != "", got.StatusCode, got.Body)
			}
			if name == "headers" && !strings.Contains(saw, "theme=dark") {
				t.Errorf("the backend's own cookie was lost:\n%s", got.Body)
			}
			if name == "named by Connection" && (!strings.Contains(saw, "x-forwarded-for: 127.0.0.1") || !strings.Contains(saw, "x-real-ip: 127.0.0.1")) {
				t.Errorf("a client's Connection header removed what we say:\n%s", got.Body)
			}
		}
	}
	// The same by HTTP/2, where names come as they like.
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url("open.localhost", "/h2"), strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{}
	for _, l := range forged {
		name, value, _ := strings.Cut(l, ": ")
		if name == "Proxy-Authorization" {
			continue // not sent by the client
		}
		req.Header[name] = append(req.Header[name], value)
		if name != "Cookie" {
			req.Trailer[name] = []string{value}
		}
	}
	res, err := s.stranger().c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if saw := strings.ToLower(string(body)); res.ProtoMajor != 2 || res.StatusCode != http.StatusOK || strings.Contains(saw, "mallory") || strings.Contains(saw, "6.6.6.6") {
		t.Errorf("by %s: %d, the backend saw\n%s", res.Proto, res.StatusCode, body)
	}
}

// smuggling sends messages that two programs could cut at different places. Each
// is 400 and the end of the connection, and no part of it becomes a request of
// its own.
func smuggling(t *testing.T, s *server, backend *tap) {
	const inner = "GET /smuggled HTTP/1.1\r\nHost: open.localhost\r\n\r\n"
	post := func(lines, rest string) string {
		return "POST /outer HTTP/1.1\r\nHost: open.localhost\r\n" + lines + "\r\n" + rest
	}
	backend.says(func(r *http.Request) string {
		if strings.Contains(r.URL.Path, "smuggled") {
			t.Errorf("a smuggled request reached the backend: %s %s", r.Method, r.URL)
		}
		return ""
	})
	defer backend.says(nil)
	chunked := "0\r\n\r\n" + inner
	for name, text := range map[string]string{
		"CL.TE":                      post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunked),
		"TE.CL":                      post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner)),
		"two lengths":                post("Content-Length: 0\r\nContent-Length: 50\r\n", inner),
		"list of lengths":            post("Content-Length: 5, 5\r\n", "hello"),
		"length with a sign":         post("Content-Length: +5\r\n", "hello"),
		"length in hex":              post("Content-Length: 0x5\r\n", "hello"),
		"length below zero":          post("Content-Length: -1\r\n", inner),
		"length too long":            post("Content-Length: 18446744073709551621\r\n", "hello"),
		"empty length":               post("Content-Length:\r\n", inner),
		"bare LF in the head":        "POST /outer HTTP/1.1\nHost: open.localhost\nContent-Length: 0\n\n" + inner,
		"bare LF in one line":        post("X: a\nTransfer-Encoding: chunked\r\n", chunked),
		"bare CR":                    post("X: a\rTransfer-Encoding: chunked\r\n", chunked),
		"obs-fold":                   post("Transfer-Encoding:\r\n chunked\r\n", chunked),
		"obs-fold first":             "POST /outer HTTP/1.1\r\n Host: open.localhost\r\nHost: open.localhost\r\n\r\n",
		"space before the colon":     post("Transfer-Encoding : chunked\r\n", chunked),
		"tab before the colon":       post("Content-Length\t: 50\r\n", inner),
		"NUL in a name":              post("Transfer\x00-Encoding: chunked\r\n", chunked),
		"NUL in a value":             post("X: a\x00b\r\n", ""),
		"vertical tab in the coding": post("Transfer-Encoding: \x0bchunked\r\n", chunked),
		"another coding":             post("Transfer-Encoding: xchunked\r\n", chunked),
		"gzip, chunked":              post("Transfer-Encoding: gzip, chunked\r\n", chunked),
		"chunked, identity":          post("Transfer-Encoding: chunked, identity\r\n", chunked),
		"chunked twice":              post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked),
		"quoted coding":              post("Transfer-Encoding: \"chunked\"\r\n", chunked),
		"no name":                    post(": x\r\n", ""),
		"no colon":                   post("Transfer-Encoding chunked\r\n", chunked),
		"HTTP/1.0 with a coding":     "POST /outer HTTP/1.0\r\nHost: open.localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
		"HTTP/1.2":                   "GET /outer HTTP/1.2\r\nHost: open.localhost\r\n\r\n",
		"HTTP/0.9":                   "GET /outer\r\n\r\n",
		"lower-case version":         "GET /outer http/1.1\r\nHost: open.localhost\r\n\r\n",
		"two spaces":                 "GET  /outer HTTP/1.1\r\nHost: open.localhost\r\n\r\n",
		"tab in the request line":    "GET\t/outer\tHTTP/1.1\r\nHost: open.localhost\r\n\r\n",
		"space in the target":        "GET /out er HTTP/1.1\r\nHost: open.localhost\r\n\r\n",
		"NUL in the target":          "GET /out\x00er HTTP/1.1\r\nHost: open.localhost\r\n\r\n",
		"empty lines first":          "\r\n\r\nGET /outer HTTP/1.1\r\nHost: open.localhost\r\n\r\n",
		"no Host":                    "GET /outer HTTP/1.1\r\n\r\n",
		"two Hosts":                  "GET /outer HTTP/1.1\r\nHost: open.localhost\r\nHost: app.localhost\r\n\r\n",
		"HTTP/2's preface":           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		for _, sni := range []string{"", "open.localhost"} {
			w := s.dial(t, sni)
			w.send(text)
			got := w.read()
			if got.StatusCode != http.StatusBadRequest {
				t.Errorf("%s (TLS %v): %d, want 400\n%s", name, sni != "", got.StatusCode, got.Body)
			}
			if !w.closed() {
				t.Errorf("%s (TLS %v): the connection stays open", name, sni != "")
			}
		}
	}
	// What is wrong only within the body: the backend's request breaks off, the
	// connection ends, and what stands behind is never a request.
	for name, rest := range map[string]string{
		"bare LF behind a size":     "5\nhello\n0\n\n" + inner,
		"LF in an extension":        "5;a\nb\r\nhello\r\n0\r\n\r\n" + inner,
		"NUL in an extension":       "5;a\x00b\r\nhello\r\n0\r\n\r\n" + inner,
		"space before the size":     " 5\r\nhello\r\n0\r\n\r\n" + inner,
		"size with a prefix":        "0x5\r\nhello\r\n0\r\n\r\n" + inner,
		"size with a sign":          "+5\r\nhello\r\n0\r\n\r\n" + inner,
		"size below zero":           "-5\r\nhello\r\n0\r\n\r\n" + inner,
		"size that overflows":       "100000000000000005\r\nhello\r\n0\r\n\r\n" + inner,
		"chunk longer than it says": "5\r\nhello!\r\n0\r\n\r\n" + inner,
		"framing in a trailer":      "0\r\nTransfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n" + inner,
		"bare LF in a trailer":      "0\r\nX: y\n\r\n" + inner,
		"obs-fold in a trailer":     "0\r\nX: y\r\n z\r\n\r\n" + inner,
		"long extension":            "5;" + strings.Repeat("a", 5000) + "\r\nhello\r\n0\r\n\r\n" + inner,
	} {
		for _, sni := range []string{"", "open.localhost"} {
			w := s.dial(t, sni)
			w.send(post("Transfer-Encoding: chunked\r\n", rest))
			got := w.read()
			if got.StatusCode < 400 {
				t.Errorf("%s (TLS %v): %d\n%s", name, sni != "", got.StatusCode, got.Body)
			}
			if !w.closed() {
				t.Errorf("%s (TLS %v): the connection stays open", name, sni != "")
			}
		}
	}
}

// upgradeSmuggling asks to leave HTTP and goes on with another request, which
// nobody would check: there is none. What a backend may switch to is what was
// asked for.
func upgradeSmuggling(t *testing.T, s *server, backend *tap) {
	const inner = "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
	before := backend.reached.Load()
	for name, head := range map[string]string{ // over plain HTTP, where any known name may follow
		"websocket without a switch": "GET /ws HTTP/1.1\r\nHost: open.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		"a protocol nobody knows":    "GET /x HTTP/1.1\r\nHost: open.localhost\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
		"h2c":                        "GET /h2c HTTP/1.1\r\nHost: open.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		"with a body":                "POST /b HTTP/1.1\r\nHost: open.localhost\r\nConnection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 5\r\n\r\nhello",
	} {
		w := s.dial(t, "")
		w.send(head + inner)
		first := w.read()
		if first.StatusCode != http.StatusOK || strings.Contains(strings.ToLower(first.Body), "upgrade") && !strings.Contains(name, "websocket") {
			t.Errorf("%s: %d\n%s", name, first.StatusCode, first.Body)
		}
		if name == "h2c" { // an offer is ignored: what follows is checked and judged as any request
			if second := w.read(); second.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: the second request got %d, want 401", name, second.StatusCode)
			}
			continue
		}
		if !w.closed() {
			t.Errorf("%s: the connection goes on", name)
		}
	}
	if got := backend.reached.Load() - before; got != 4 {
		t.Errorf("%d requests reached the backend, want 4", got)
	}
	backend.says(func(*http.Request) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\nSet-Cookie: __Host-gatehouse=evil; Path=/; Secure\r\n\r\nraw"
	})
	defer backend.says(nil)
	for name, head := range map[string]string{
		"nobody asked":     "GET / HTTP/1.1\r\nHost: open.localhost\r\nConnection: close\r\n\r\n",
		"another protocol": "GET /ws HTTP/1.1\r\nHost: open.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		"not on our list":  "GET / HTTP/1.1\r\nHost: open.localhost\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
	} {
		w := s.dial(t, "open.localhost")
		w.send(head)
		if got := w.read(); got.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %d, want 502", name, got.StatusCode)
		}
	}
	w := s.dial(t, "open.localhost")
	w.send("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: open.localhost\r\n\r\n")
	if got := w.read(); got.StatusCode != http.StatusMethodNotAllowed && got.StatusCode != http.StatusBadRequest {
		t.Errorf("CONNECT: %d, want 405", got.StatusCode)
	}
}

// pathTricks try to reach more of a protected host than the excluded /health:
// the backend, which decodes as it likes, must not even see them.
func pathTricks(t *testing.T, s *server, backend *tap) {
	for path, want := range map[string]int{"/health": 200, "/health/": 200, "/health/live?x=/../admin": 200, "/healthz": 401, "/Health": 401, "/admin": 401} {
		w := s.dial(t, "app.localhost")
		w.send("GET " + path + " HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
		if got := w.read(); got.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, got.StatusCode, want)
		}
	}
	before := backend.reached.Load()
	for _, path := range []string{
		"/health/../admin", "/health/./../admin", "/health/%2e%2e/admin", "/health/%2E%2e/admin", "/health/.%2e/admin", "/health/..%2fadmin", "/health%2f..%2fadmin",
		"/health/%252e%252e/admin", "/health/%c0%ae%c0%ae/admin", "/health/%e0%80%ae%e0%80%ae/admin", "/health/..;/admin", "/health;/../admin", "/health;x=y", "/health/..;x=y/admin",
		`/health/..\admin`, "/health/..%5cadmin", `/health\..\admin`, "/health%5c..%5cadmin", "//health", "/health//admin", "//health/../admin", "/./health", "/x/../health",
		"/health%00", "/health%00/../admin", "/health/%0d%0aX:y", "/health/%ff", "/health/\xff", "/health/..%c0%afadmin", "/%68ealth%2f..%2fadmin",
		"/health/...//admin", "/health/.. /admin", "/health/..%20/admin", "/health/%2e", "/health/.", "/health/%u002e%u002e/admin", "/health/%", "/health/%2", "/health/\u2025/admin",
		"/health/%ef%bc%8e%ef%bc%8e/admin", "/health/%ef%bc%8f..", "/admin/../health", "/admin%2f..%2fhealth", "/admin/..;/health", "/health%3b", "/health/%25%32%65",
		"http://app.localhost/health/../admin", "https://app.localhost/health/%2e%2e/admin", "http://app.localhost//health/..%2fadmin", "http://app.localhost?/health", "?/health",
	} {
		w := s.dial(t, "app.localhost")
		w.send("GET " + path + " HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
		if got := w.read(); got.StatusCode < 400 || got.StatusCode == 502 {
			t.Errorf("%q: %d %s\n%s", path, got.StatusCode, got.Header.Get("Location"), got.Body)
		}
	}
	if got := backend.reached.Load() - before; got != 0 {
		t.Errorf("%d of the tricks reached the backend", got)
	}
}

// hostConfusion asks one host in another's name.
func hostConfusion(t *testing.T, s *server, backend *tap) {
	before := backend.reached.Load()
	for name, c := range map[string]struct {
		sni, text string
		want      int
	}{
		"unknown host":                     {"", "GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n", 404},
		"an address for a name":            {"", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404},
		"empty host":                       {"", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 404},
		"user in the host":                 {"", "GET / HTTP/1.1\r\nHost: open.localhost@app.localhost\r\n\r\n", 400},
		"path in the host":                 {"", "GET / HTTP/1.1\r\nHost: open.localhost/app.localhost\r\n\r\n", 400},
		"two hosts in one":                 {"", "GET / HTTP/1.1\r\nHost: open.localhost, app.localhost\r\n\r\n", 400},
		"another name than covered":        {"open.localhost", "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 421},
		"sign-in host on another's":        {"open.localhost", "GET /signin HTTP/1.1\r\nHost: auth.localhost\r\n\r\n", 421},
		"absolute form against Host":       {"", "GET http://open.localhost/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
		"absolute form with a user":        {"", "GET http://open.localhost@app.localhost/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
		"absolute form of another scheme":  {"", "GET ftp://app.localhost/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
		"absolute form decides":            {"", "GET http://app.localhost/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 401},
		"X-Forwarded-Host":                 {"", "GET / HTTP/1.1\r\nHost: app.localhost\r\nX-Forwarded-Host: open.localhost\r\nX-Host: open.localhost\r\nForwarded: host=open.localhost\r\n\r\n", 401},
		"trailing dot, other case, a port": {"", "GET / HTTP/1.1\r\nHost: APP.localhost.:1\r\n\r\n", 401},
		"X-Original-URL":                   {"", "GET /admin HTTP/1.1\r\nHost: app.localhost\r\nX-Original-URL: /health\r\nX-Rewrite-URL: /health\r\n\r\n", 401},
		"method override":                  {"", "POST / HTTP/1.1\r\nHost: app.localhost\r\nX-HTTP-Method-Override: OPTIONS\r\nContent-Length: 0\r\n\r\n", 401},
		"asterisk":                         {"", "OPTIONS * HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	} {
		w := s.dial(t, c.sni)
		w.send(c.text)
		got := w.read()
		if got.StatusCode != c.want {
			t.Errorf("%s: %d, want %d\n%s", name, got.StatusCode, c.want, got.Body)
		}
		if strings.Contains(got.Header.Get("Www-Authenticate"), ":1/") {
			t.Errorf("%s: the challenge takes its origin from the request: %s", name, got.Header.Get("Www-Authenticate"))
		}
	}
	if got := backend.reached.Load() - before; got != 0 {
		t.Errorf("%d of them reached the backend", got)
	}
	for host, want := range map[string]string{"app.localhost": "400", "open.localhost": "200"} {
		if got := s.askH2(t, "open.localhost", "host", host); got != want {
			t.Errorf("HTTP/2: :authority open.localhost with Host %s: %s, want %s", host, got, want)
		}
	}
}

// hostileAnswers are a backend's: it may not set our cookies, nor break out of
// its own answer.
func hostileAnswers(t *testing.T, s *server, backend *tap) {
	defer backend.says(nil)
	cookies := []string{"Set-Cookie: __Host-gatehouse=evil; Path=/; Secure; HttpOnly", "Set-Cookie: gatehouse=evil; Path=/", "Set-Cookie:  __host-gatehouse =evil",
		"Set-Cookie: __Host-gatehouse-browser=evil; Path=/; Secure", "Set-Cookie: __Host-gatehouse-start=evil; Path=/; Secure", "Set-Cookie: gatehouse-once=evil", "Set-Cookie: theme=dark; Path=/"}
	backend.says(func(*http.Request) string { return ok("text/plain", "hello", cookies...) })
	for _, c := range []*http.Client{s.stranger().c, s.client()} {
		at := s.url("open.localhost", "/")
		if c.Transport.(*http.Transport).TLSClientConfig == nil {
			at = strings.Replace(s.HTTP, "localhost", "open.localhost", 1) + "/"
		}
		got := get(t, c, at)
		if set := strings.Join(got.Header.Values("Set-Cookie"), "\n"); strings.Contains(set, "evil") || !strings.Contains(set, "theme=dark") {
			t.Errorf("the backend set:\n%s", set)
		}
	}
	backend.says(func(*http.Request) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie, X-Sum\r\n\r\n5\r\nhello\r\n0\r\nSet-Cookie: __Host-gatehouse=evil\r\nX-Sum: 1\r\n\r\n"
	})
	w := s.dial(t, "open.localhost")
	w.send("GET / HTTP/1.1\r\nHost: open.localhost\r\nTE: trailers\r\nConnection: close\r\n\r\n")
	if got := w.read(); strings.Contains(fmt.Sprint(got.Header, got.Trailer), "evil") {
		t.Errorf("the backend set a cookie by a trailer: %v %v", got.Header, got.Trailer)
	}
	for name, raw := range map[string]string{
		"CL and TE":       "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"two lengths":     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
		"no HTTP":         "SSH-2.0-OpenSSH_9\r\n",
		"endless head":    "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 11<<20) + "\r\n\r\n",
		"CR in a value":   "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: __Host-gatehouse=evil\r\nContent-Length: 0\r\n\r\n",
		"a second answer": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
	} {
		backend.says(func(*http.Request) string { return raw })
		w := s.dial(t, "open.localhost")
		w.send("GET /1 HTTP/1.1\r\nHost: open.localhost\r\n\r\n")
		got := w.read()
		if strings.Contains(fmt.Sprint(got.Header), "evil") || strings.Contains(got.Body, "evil") {
			t.Errorf("%s: %v %s", name, got.Header, got.Body)
		}
		backend.says(func(*http.Request) string { return ok("text/plain", "second") })
		if got.Close {
			continue
		}
		w.send("GET /2 HTTP/1.1\r\nHost: open.localhost\r\nConnection: close\r\n\r\n")
		if got := w.read(); got.Body != "second" && got.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: the next request got %d %q", name, got.StatusCode, got.Body)
		}
	}
}

// headLimits are the bounds that a stranger meets.
func headLimits(t *testing.T, s *server, _ *tap) {
	var all sync.WaitGroup
	for _, sni := range []string{"", "open.localhost"} {
		for name, c := range map[string]struct {
			text string
			want int
		}{
			"one huge header":   {"GET / HTTP/1.1\r\nHost: open.localhost\r\nX: " + strings.Repeat("a", 65<<10) + "\r\n\r\n", 431},
			"huge target":       {"GET /" + strings.Repeat("a", 65<<10) + " HTTP/1.1\r\nHost: open.localhost\r\n\r\n", 431},
			"too many headers":  {"GET / HTTP/1.1\r\nHost: open.localhost\r\n" + strings.Repeat("X: y\r\n", 12<<10) + "\r\n", 431},
			"never an end":      {"GET / HTTP/1.1\r\nHost: open.localhost\r\n" + strings.Repeat("X: y\r\n", 30<<10), 431},
			"many, but allowed": {"GET / HTTP/1.1\r\nHost: open.localhost\r\n" + strings.Repeat("X: y\r\n", 500) + "\r\n", 200},
		} {
			w := s.dial(t, sni)
			all.Go(func() { w.send(c.text) })
			if got := w.read(); got.StatusCode != c.want {
				t.Errorf("%s (TLS %v): %d, want %d", name, sni != "", got.StatusCode, c.want)
			}
			w.conn.Close()
		}
		// A head that comes slowly, or not at all, is given five seconds.
		for name, head := range map[string]string{"nothing": "", "half a head": "GET / HTTP/1.1\r\nHost: open.localhost\r\nX: "} {
			w := s.dial(t, sni)
			w.send(head)
			all.Go(func() {
				begun := time.Now()
				stop := make(chan struct{})
				drip := make(chan struct{})
				go func() { // a byte now and then does not buy time
					defer close(drip)
					for head != "" {
						select {
						case <-stop:
							return
						case <-time.After(time.Second):
							_, _ = w.conn.Write([]byte("a"))
						}
					}
				}()
				res, err := http.ReadResponse(w.in, nil)
				took := time.Since(begun)
				close(stop)
				<-drip
				if err != nil || res.StatusCode != http.StatusRequestTimeout || took < 4*time.Second || took > 7*time.Second {
					t.Errorf("%s (TLS %v): %v %v after %v, want 408 after 5 s", name, sni != "", res, err, took)
				}
			})
		}
	}
	// HTTP/2 has the same bound.
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url("open.localhost", "/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		req.Header.Set(fmt.Sprintf("X-Filler-%d", i), strings.Repeat("a", 8<<10))
	}
	if res, err := s.stranger().c.Do(req); err == nil {
		res.Body.Close()
		if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("160 KiB of headers by HTTP/2: %d, want 431", res.StatusCode)
		}
	}
	all.Wait()
}

// continuations sends a head by HTTP/2 that never ends: the connection does.
func continuations(t *testing.T, s *server, _ *tap) {
	conn, err := tls.Dial("tcp", "127.0.0.1:"+port(s.HTTPS), &tls.Config{RootCAs: s.trusted(), ServerName: "open.localhost", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	frames := http2.NewFramer(conn, nil)
	if err := errors.Join(frames.WriteSettings(), frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})); err != nil {
		t.Fatal(err)
	}
	filler := bytes.Repeat([]byte{0x40, 1, 'a', 1, 'b'}, 3000) // a: b, again and again, as literals
	for range 2000 {
		if frames.WriteContinuation(1, false, filler) != nil {
			return
		}
	}
	t.Error("30 MB of an unfinished head were taken")
}
