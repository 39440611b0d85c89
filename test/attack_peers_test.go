package test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestNobodyBorrowsAnAddress: a trusted proxy in front names its clients, who are
// never this machine, whatever address they or it claim; others name nobody.
func TestNobodyBorrowsAnAddress(t *testing.T) {
	t.Parallel()
	backend := newTap(t)
	s := start(t, []string{"RATE_LIMITS=off", "TRUSTED_PROXIES=127.0.0.1/32", "BASE_DOMAIN=corp.test"}, "protect", "app.corp.test", backend.url)
	s.signed(t, "POST", "/proxies/", `{"proxy_hostname":"open.localhost","target_url":"`+backend.url+`"}`)
	s.signed(t, "POST", "/proxies/", `{"proxy_hostname":"open.corp.test","target_url":"`+backend.url+`"}`)
	const far, near = "PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n", "PROXY TCP4 127.0.0.1 127.0.0.1 4711 80\r\n"
	before := backend.reached.Load()
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"localhost from far":                   {far + "GET /proxies/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 404},
		"a name under localhost from far":      {far + "GET / HTTP/1.1\r\nHost: open.localhost\r\n\r\n", 404},
		"from far, claiming loopback":          {far + "GET / HTTP/1.1\r\nHost: open.localhost\r\nX-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n\r\n", 404},
		"the proxy claims loopback":            {near + "GET / HTTP/1.1\r\nHost: open.localhost\r\n\r\n", 404},
		"the proxy claims loopback, by v6":     {"PROXY TCP6 ::1 ::1 4711 80\r\nGET / HTTP/1.1\r\nHost: open.localhost\r\n\r\n", 404},
		"the proxy claims loopback, mapped":    {"PROXY TCP6 ::ffff:127.0.0.1 ::1 4711 80\r\nGET / HTTP/1.1\r\nHost: open.localhost\r\n\r\n", 404},
		"speaking for somebody far":            {"GET / HTTP/1.1\r\nHost: open.localhost\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n", 404},
		"a protected host in clear":            {far + "POST / HTTP/1.1\r\nHost: app.corp.test\r\nContent-Length: 0\r\n\r\n", 403},
		"a protected host in clear, read":      {far + "GET /x HTTP/1.1\r\nHost: app.corp.test\r\n\r\n", 308},
		"claiming TLS from far":                {far + "POST / HTTP/1.1\r\nHost: app.corp.test\r\nX-Forwarded-Proto: https\r\nContent-Length: 0\r\n\r\n", 403},
		"a cookie in clear":                    {far + "GET / HTTP/1.1\r\nHost: app.corp.test\r\nCookie: __Host-gatehouse=x\r\n\r\n", 403},
		"the token endpoint in clear":          {far + "POST /token HTTP/1.1\r\nHost: app.corp.test\r\nContent-Length: 0\r\n\r\n", 403},
		"the sign-in host in clear":            {far + "POST /signin HTTP/1.1\r\nHost: auth.corp.test\r\nContent-Length: 0\r\n\r\n", 403},
		"the API in clear":                     {far + "DELETE /proxies/app.corp.test HTTP/1.1\r\nHost: auth.corp.test\r\n\r\n", 403},
		"a protected host, without being told": {"POST / HTTP/1.1\r\nHost: app.corp.test\r\nContent-Length: 0\r\n\r\n", 403},
	} {
		w := s.dial(t, "")
		w.send(c.text)
		if got := w.read(); got.StatusCode != c.want {
			t.Errorf("%s: %d, want %d\n%s", name, got.StatusCode, c.want, got.Body)
		}
	}
	if got := backend.reached.Load() - before; got != 0 {
		t.Errorf("%d of them reached the backend", got)
	}
	w := s.dial(t, "")
	w.send(far + "GET / HTTP/1.1\r\nHost: open.corp.test\r\nX-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nConnection: close\r\n\r\n")
	if got := w.read(); !strings.Contains(got.Body, "203.0.113.9") || strings.Contains(got.Body, "6.6.6.6") {
		t.Errorf("the backend hears of another client than the proxy named:\n%s", got.Body)
	}
	w = s.dial(t, "")
	w.send(far + far + "GET / HTTP/1.1\r\nHost: open.corp.test\r\n\r\n")
	if got := w.read(); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a second PROXY header, the client's own: %d", got.StatusCode)
	}
}

// TestStrangersProxyHeaderIsAnError: who is not trusted is not heard, and a token
// that was shown in clear is lost.
func TestStrangersProxyHeaderIsAnError(t *testing.T) {
	t.Parallel()
	backend := newTap(t)
	s := start(t, []string{"RATE_LIMITS=off", "BASE_DOMAIN=corp.test"}, "protect", "app.corp.test", backend.url)
	for name, text := range map[string]string{
		"v1": "PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"v2": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x7f\x00\x00\x01\x12\x67\x00\x50GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		w := s.dial(t, "")
		w.send(text)
		if got := w.read(); got.StatusCode != http.StatusBadRequest {
			t.Errorf("a PROXY header (%s) from a stranger: %d", name, got.StatusCode)
		}
		if !w.closed() {
			t.Errorf("a PROXY header (%s) from a stranger: the connection stays", name)
		}
	}

	p := s.stranger()
	p.becomeAdminAt("auth.corp.test")
	c := s.register(t, "app.corp.test", "http://127.0.0.1:9/back")
	_, out := c.exchange(c.code(p, nil), nil)
	if got := get(t, c.c, c.issuer+"/", "Authorization: Bearer "+out.Access); got.StatusCode != http.StatusOK {
		t.Fatalf("the token does not work: %d", got.StatusCode)
	}
	if got := get(t, c.c, strings.Replace(s.HTTP, "localhost", "app.corp.test", 1)+"/", "Authorization: Bearer "+out.Access); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "https_required") {
		t.Errorf("a token in clear: %d %s", got.StatusCode, got.Body)
	}
	s.await(2e9, "end of the token that was shown in clear", func() bool {
		return get(t, c.c, c.issuer+"/", "Authorization: Bearer "+out.Access).StatusCode == http.StatusUnauthorized
	})
	if got := get(t, s.client(), strings.Replace(s.HTTP, "localhost", "app.corp.test", 1)+"//evil.test/x?y"); got.Header.Get("Location") != c.issuer+"//evil.test/x?y" {
		t.Errorf("the way to HTTPS: %d to %s", got.StatusCode, got.Header.Get("Location"))
	}
}

// becomeAdminAt is becomeAdmin where the sign-in host has another name.
func (p *person) becomeAdminAt(host string) {
	p.s.t.Helper()
	u, err := url.Parse(p.s.setup())
	if err != nil || u.Hostname() != host {
		p.s.t.Fatalf("the setup link is %v, not on %s: %v", u, host, err)
	}
	p.becomeAdmin()
}
