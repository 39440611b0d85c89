package test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// This file has what the attacks need beside the harness: a backend that keeps
// the very bytes that reached it, connections that send whatever bytes they are
// told to, and an OAuth client that can do each step wrong.

// tap is a backend that answers each request with the bytes of that request, or
// with the answer that it was told to give.
type tap struct {
	t        *testing.T
	listener net.Listener
	url      string
	reached  atomic.Int64 // requests
	work     sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	answer func(r *http.Request) string // raw; nil or empty: the request's own bytes
}

func newTap(t *testing.T) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &tap{t: t, listener: l, url: "http://" + l.Addr().String()}
	b.work.Go(b.accept)
	t.Cleanup(b.close)
	return b
}

// says makes the backend give this answer from now on.
func (b *tap) says(answer func(r *http.Request) string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

func (b *tap) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.conns = append(b.conns, c)
		b.mu.Unlock()
		b.work.Go(func() { b.serve(c) })
	}
}

func (b *tap) close() {
	b.listener.Close()
	b.mu.Lock()
	for _, c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.work.Wait()
}

func (b *tap) serve(c net.Conn) {
	defer c.Close()
	var raw bytes.Buffer
	in := bufio.NewReader(io.TeeReader(c, &raw))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		b.reached.Add(1)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		b.mu.Lock()
		answer := b.answer
		b.mu.Unlock()
		text := ""
		if answer != nil {
			text = answer(r)
		}
		if text == "" {
			text = ok("text/plain", raw.String())
		}
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		raw.Reset()
	}
}

// ok is a raw answer of a backend, with more header lines where they are given.
func ok(kind, body string, lines ...string) string {
	head := "HTTP/1.1 200 OK\r\nContent-Type: " + kind + "\r\n"
	for _, l := range lines {
		head += l + "\r\n"
	}
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
}

// wire is a connection to a public port that sends whatever bytes it is given.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dial connects to the HTTPS port by this server name, or to the HTTP port when
// name is empty.
func (s *server) dial(t *testing.T, name string) *wire {
	t.Helper()
	at := s.HTTP
	if name != "" {
		at = s.HTTPS
	}
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port(at), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(12 * time.Second))
	if name == "" {
		return &wire{t, conn, bufio.NewReader(conn)}
	}
	secure := tls.Client(conn, &tls.Config{RootCAs: s.trusted(), ServerName: name, NextProtos: []string{"http/1.1"}})
	if err := secure.HandshakeContext(t.Context()); err != nil {
		t.Fatalf("handshake with %s: %v", name, err)
	}
	return &wire{t, secure, bufio.NewReader(secure)}
}

// dialAt connects to the address of a URL in clear.
func dialAt(t *testing.T, address string) *wire {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(address, "http://"), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(12 * time.Second))
	return &wire{t, conn, bufio.NewReader(conn)}
}

// trusted is the local CA as serve left it in the data folder.
func (s *server) trusted() *x509.CertPool {
	s.t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.dir, "data", "ca.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		s.t.Fatal("ca.pem holds no certificate")
	}
	return pool
}

// stranger is a person with a new browser.
func (s *server) stranger() *person {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c := s.client()
	c.Jar = jar
	c.Transport = &http.Transport{DialContext: loopback, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: s.trusted()}}
	s.t.Cleanup(c.CloseIdleConnections)
	return &person{s, c}
}

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, text); err != nil {
		w.t.Logf("sending: %v", err) // the other side may have had enough already
	}
}

// read is the next answer; interim ones (1xx) count as answers.
func (w *wire) read() answer {
	w.t.Helper()
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.t.Fatalf("no answer: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("answer %d broke off: %v", res.StatusCode, err)
	}
	return answer{res, string(body)}
}

// closed reports whether the other side ends the connection and says no more.
func (w *wire) closed() bool {
	_ = w.conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	b, err := w.in.ReadByte()
	if err == nil {
		w.t.Logf("more came: %q", b)
		return false
	}
	timeout, ok := err.(net.Error) //nolint:errorlint // what net's reads give, bare or in tls's
	return !ok || !timeout.Timeout()
}

// askH2 asks for / of a host by hand-made HTTP/2 frames with one more header
// field, and gives the status; empty when the stream or connection was ended.
func (s *server) askH2(t *testing.T, host, name, value string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", "127.0.0.1:"+port(s.HTTPS), &tls.Config{RootCAs: s.trusted(), ServerName: host, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	frames := http2.NewFramer(conn, conn)
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", host}, {":path", "/"}, {name, value}} {
		if err := enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := frames.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			return ""
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return ""
		}
	}
}

// oauthClient is an OAuth client of one issuer, with its person's browser.
type oauthClient struct {
	t        *testing.T
	s        *server
	c        *http.Client
	issuer   string
	id       string
	redirect string
	verifier string
}

// register makes a public client at the issuer of a host.
func (s *server) register(t *testing.T, host, redirect string) *oauthClient {
	t.Helper()
	c := &oauthClient{t: t, s: s, c: s.stranger().c, issuer: s.url(host, ""), redirect: redirect, verifier: random()}
	got := ask(t, c.c, "POST", c.issuer+"/register", `{"client_name":"attack","redirect_uris":["`+redirect+`"],"token_endpoint_auth_method":"none"}`, "Content-Type: application/json")
	if got.StatusCode != http.StatusCreated {
		t.Fatalf("register: %d %s", got.StatusCode, got.Body)
	}
	var made struct {
		ID string `json:"client_id"`
	}
	decode(t, got.Body, &made)
	c.id = made.ID
	return c
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// request is a proper authorization request; changes replace parameters, nil
// removes them.
func (c *oauthClient) request(changes url.Values) string {
	sum := sha256.Sum256([]byte(c.verifier))
	q := url.Values{"client_id": {c.id}, "redirect_uri": {c.redirect}, "response_type": {"code"}, "state": {"the-state"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}, "scope": {"user"}}
	for name, values := range changes {
		if values == nil {
			q.Del(name)
			continue
		}
		q[name] = values
	}
	return c.issuer + "/authorize?" + q.Encode()
}

// code walks p through sign-in and consent and gives the code.
func (c *oauthClient) code(p *person, changes url.Values) string {
	c.t.Helper()
	page := p.follow(c.request(changes))
	if strings.Contains(page.Body, `name="password"`) {
		page = p.signIn(page, adminName, adminPassword)
	}
	done := p.submit(page, "/consent", url.Values{"answer": {"allow"}})
	to, err := done.Location()
	if err != nil || !strings.HasPrefix(to.String(), c.redirect) || to.Query().Get("code") == "" {
		c.t.Fatalf("no code: %d %v\n%s", done.StatusCode, to, done.Body)
	}
	if got := to.Query().Get("iss"); got != c.issuer {
		c.t.Errorf("iss is %q, want %q", got, c.issuer)
	}
	return to.Query().Get("code")
}

// tokens is what the token endpoint answers.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	Error   string `json:"error"`
}

// post asks an endpoint of the issuer.
func (c *oauthClient) post(path string, form url.Values) (answer, tokens) {
	c.t.Helper()
	got := ask(c.t, c.c, "POST", c.issuer+path, form.Encode(), "Content-Type: application/x-www-form-urlencoded")
	var out tokens
	if strings.HasPrefix(got.Header.Get("Content-Type"), "application/json") && got.Body != "" {
		decode(c.t, got.Body, &out)
	}
	return got, out
}

// exchange turns a code into tokens; changes as in request.
func (c *oauthClient) exchange(code string, changes url.Values) (answer, tokens) {
	c.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {c.id}, "code": {code}, "redirect_uri": {c.redirect}, "code_verifier": {c.verifier}}
	for name, values := range changes {
		if values == nil {
			form.Del(name)
			continue
		}
		form[name] = values
	}
	return c.post("/token", form)
}

func (c *oauthClient) refresh(token string) (answer, tokens) {
	c.t.Helper()
	return c.post("/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {token}})
}
