package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestInterimAnswersCarryNoCookiesOfOurs: a backend's 1xx is cut like its final answer.
func TestInterimAnswersCarryNoCookiesOfOurs(t *testing.T) {
	t.Parallel()
	backend := newTap(t)
	s := start(t, nil, "serve")
	s.local("proxy", "create", "open.localhost", backend.url)
	backend.says(func(*http.Request) string {
		return "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nSet-Cookie: __Host-gatehouse=evil; Path=/; Secure\r\nSet-Cookie: theme=dark\r\nConnection: X-Foo\r\nX-Foo: hop\r\nKeep-Alive: timeout=1\r\n\r\n" + ok("text/plain", "hello", "Set-Cookie: =__Host-gatehouse=nameless; Path=/; Secure", "Set-Cookie: theme=dark")
	})
	w := s.dial(t, "open.localhost")
	w.send("GET / HTTP/1.1\r\nHost: open.localhost\r\nConnection: close\r\n\r\n")
	for range 2 {
		got := w.read()
		t.Log(got.StatusCode, got.Header)
		if set := fmt.Sprint(got.Header); strings.Contains(set, "evil") || strings.Contains(set, "nameless") || strings.Contains(set, "hop") {
			t.Errorf("%d passed %s", got.StatusCode, set)
		}
	}
}

// TestStreamsEndWithTheRightBehindThem: a stream ends within two seconds of what
// it was opened by, whichever it was.
func TestStreamsEndWithTheRightBehindThem(t *testing.T) {
	backend := ticking(t)
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "app.localhost", backend.URL)
	alice := s.stranger()
	alice.becomeAdmin()
	home := s.url("auth.localhost", "")

	// What ends a right ends the streams that rest on it.
	for name, end := range map[string]func(){
		"sign-out": func() { alice.submit(alice.follow(home+"/account"), "/logout", url.Values{}) },
		"list":     func() { s.signed(t, "PUT", "/proxies/app.localhost", `{"auth_required_users":["local:carol"]}`) },
	} {
		s.signed(t, "PUT", "/proxies/app.localhost", `{"auth_required_users":["*"],"auth_required_emails":null}`)
		if page := alice.follow(s.url("app.localhost", "/")); strings.Contains(page.Body, `name="password"`) {
			alice.signIn(page, adminName, adminPassword)
		}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		req, err := http.NewRequestWithContext(ctx, "GET", s.url("app.localhost", "/events"), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := alice.c.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: no stream: %v %v", name, res, err)
		}
		lines := bufio.NewScanner(res.Body)
		lines.Scan()
		end()
		ended := time.Now()
		for lines.Scan() {
			if time.Since(ended) > 4*time.Second {
				t.Errorf("%s: the stream goes on", name)
				break
			}
		}
		if took := time.Since(ended); took > 3*time.Second {
			t.Errorf("%s: the stream ended after %v", name, took)
		}
		res.Body.Close()
		stop()
	}
}

// TestCommandLineShowsItsTokenToGatehouseAlone: another account of this machine
// takes the port of a Gatehouse that is not running just now, and waits for the
// administrator's command line.
func TestCommandLineShowsItsTokenToGatehouseAlone(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve")
	p := s.stranger()
	p.becomeAdmin()
	p.login("--scope", "admin")
	s.must("proxy", "list")
	s.kill()
	l, err := net.Listen("tcp", "127.0.0.1:"+port(s.HTTP))
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	impostor := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		heard = append(heard, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+" "+string(body))
		w.WriteHeader(http.StatusUnauthorized) // makes it refresh, and show the refresh token too
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = impostor.Serve(l) }()
	_, errs, code := s.cli("proxy", "list")
	t.Logf("exit %d %s", code, errs)
	impostor.Close()
	<-done
	s.run()
	for _, h := range heard {
		t.Errorf("the impostor heard %s", h)
		if _, token, ok := strings.Cut(h, "Bearer "); ok {
			got := get(t, s.client(), s.Direct+"/config/export", "Authorization: Bearer "+strings.TrimSpace(token))
			t.Errorf("and with it reads the whole configuration: %d", got.StatusCode)
		}
	}
}

// TestDirectDoorIsAsStrict: the door beside the data path takes no message that
// two programs could cut at different places (a proxy that asks /verify stands in
// front of it and keeps connections alive).
func TestDirectDoorIsAsStrict(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve")
	for name, text := range map[string]string{
		"CL.TE":    "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"bare LF":  "GET /health HTTP/1.1\nHost: x\n\n",
		"obs-fold": "GET /health HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.Direct, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, text)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusBadRequest || !res.Close {
			t.Errorf("%s: %v %v, want 400 and the end", name, res, err)
		}
		conn.Close()
	}
}
