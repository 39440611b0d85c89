package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestVerifyIsForTrustedPeers: nobody else learns at either door that there is a
// /verify, whatever they claim; a trusted peer is answered at both.
func TestVerifyIsForTrustedPeers(t *testing.T) {
	t.Parallel()
	question := []string{"X-Forwarded-Host: app.corp.test", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /open/x", "X-Forwarded-Proto: https", "X-Forwarded-For: 127.0.0.1"}
	lines := func(first string) string {
		return first + strings.Join(question, "\r\n") + "\r\nConnection: close\r\n\r\n"
	}
	const far = "PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n"
	request := lines("GET /verify HTTP/1.1\r\nHost: auth.corp.test\r\n")
	for name, c := range map[string]struct {
		env            []string
		direct, public int
	}{
		"this peer is trusted": {[]string{"TRUSTED_PROXIES=127.0.0.1"}, 200, 200},
		"another one is":       {[]string{"TRUSTED_PROXIES=192.0.2.1"}, 404, 403}, // without trust in X-Forwarded-Proto it is plain HTTP
	} {
		s := start(t, append([]string{"BASE_DOMAIN=corp.test", "RATE_LIMITS=off"}, c.env...), "serve")
		s.serves(t, "app.corp.test", `,"auth_excluded_paths":["/open/"]`)
		for _, method := range []string{"GET", "HEAD", "POST"} {
			if got := ask(t, s.client(), method, s.Direct+"/verify", "", question...); got.StatusCode != c.direct {
				t.Errorf("%s: %s at the direct door: %d %s", name, method, got.StatusCode, got.Body)
			}
		}
		if got := ask(t, s.client(), "DELETE", s.Direct+"/verify", "", question...); got.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: DELETE: %d", name, got.StatusCode)
		}
		w := s.dial(t, "")
		w.send(strings.Replace(request, "GET", "POST", 1))
		if got := w.read(); got.StatusCode != c.public {
			t.Errorf("%s: at the sign-in host: %d %s", name, got.StatusCode, got.Body)
		}
		w = s.dial(t, "auth.corp.test")
		w.send(request)
		if got := w.read(); got.StatusCode != c.direct {
			t.Errorf("%s: at the sign-in host by TLS: %d %s", name, got.StatusCode, got.Body)
		}
		if c.direct == 200 {
			w = s.dial(t, "")
			w.send(far + request)
			if got := w.read(); got.StatusCode == http.StatusOK {
				t.Errorf("%s: somebody far behind it: %d", name, got.StatusCode)
			}
		}
		if got := get(t, s.stranger().c, s.url("app.corp.test", "/verify"), question...); got.StatusCode == http.StatusOK {
			t.Errorf("%s: a protected host has a /verify", name)
		}
	}
}

// TestOneClientsBadTokensAreItsOwn: one proxy asks for everybody; whoever sends bad
// tokens through it shuts nobody else out.
func TestOneClientsBadTokensAreItsOwn(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"TRUSTED_PROXIES=127.0.0.1"}, "protect", "app.localhost", "internal:demo")
	p := s.stranger()
	p.becomeAdmin()
	c := s.register(t, "app.localhost", "http://127.0.0.1:7777/back")
	access := c.accessFor(p, "").Access
	s.kill()
	s.run() // which knows no token by heart
	verify := func(client, token string) answer {
		t.Helper()
		return get(t, s.client(), s.Direct+"/verify", "X-Forwarded-Host: app.localhost", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /", "X-Forwarded-Proto: https",
			"X-Forwarded-For: "+client, "Authorization: Bearer "+token)
	}
	last := answer{}
	for i := range 70 {
		last = verify("203.0.113.9", access[:len(access)-13]+fmt.Sprintf("%03d", i)+access[len(access)-10:])
	}
	if last.StatusCode != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
		t.Errorf("after 70 bad tokens: %d %v", last.StatusCode, last.Header)
	}
	if got := verify("198.51.100.7", access); got.StatusCode != http.StatusOK || got.Header.Get("X-Auth-User") != "local:alice" {
		t.Errorf("somebody else: %d %s", got.StatusCode, got.Body)
	}
}
