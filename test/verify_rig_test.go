package test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"gatehouse/test/freeport"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// front is another reverse proxy that serves app.example.test and
// auth.example.test with the configuration of docs/forward-auth.md, and asks a
// Gatehouse behind it.
type front struct {
	t       *testing.T
	s       *server
	port    string
	roots   *x509.CertPool
	backend *witness
	direct  string // where it asks
	said    buffer
}

// documented is the code block of docs/forward-auth.md in a language, with the
// test's domain in place of the document's.
func documented(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/forward-auth.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)\n```" + language + "\n(.*?)\n```\n").FindSubmatch(text)
	if block == nil {
		t.Fatalf("docs/forward-auth.md has no %s block", language)
	}
	return strings.ReplaceAll(string(block[1]), "example.com", "example.test")
}

// swap replaces each old by its new and wants every one of them to be there: what
// runs is what is documented.
func swap(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the documented configuration does not hold %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// newFront starts a Gatehouse for a front on a free port, with a backend that
// tells what reached it, and an administrator.
func newFront(t *testing.T, changes ...func(*front)) *front {
	t.Helper()
	f := &front{t: t, port: freePort(t), backend: newWitness(t)}
	f.s = start(t, []string{"BASE_DOMAIN=example.test", "PUBLIC_HTTPS_PORT=" + f.port, "TRUSTED_PROXIES=127.0.0.1", "RATE_LIMITS=off"}, "serve")
	f.s.local("proxy", "create", "app.example.test", f.backend.URL, "--auth", "--mode", "redirect", "--allow", "*", "--exclude", "/open/")
	f.direct = f.s.Direct
	for _, change := range changes {
		change(f)
	}
	return f
}

// renewing puts somebody between the front and Gatehouse who lets time pass: each
// answer renews the session, as one after five minutes does.
func (f *front) renewing() {
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		on := r.Clone(r.Context())
		on.URL.Scheme, on.URL.Host, on.RequestURI = "http", strings.TrimPrefix(f.s.Direct, "http://"), ""
		res, err := http.DefaultTransport.RoundTrip(on)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		maps.Copy(w.Header(), res.Header)
		w.Header().Set("Set-Cookie", "__Host-gatehouse=renewed; Path=/; Secure; HttpOnly; SameSite=Lax")
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	}))
	f.t.Cleanup(between.Close)
	f.direct = between.URL
}

// certificate writes a certificate for the front's names, made by an authority
// that only this test trusts.
func (f *front) certificate(dir string) (cert, key string) {
	f.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "front"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{"app.example.test", "auth.example.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		f.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		f.t.Fatal(err)
	}
	f.roots = x509.NewCertPool()
	cert, key = filepath.Join(dir, "front.pem"), filepath.Join(dir, "front.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		f.t.Fatal(err)
	}
	f.roots.AddCert(leaf)
	return cert, key
}

// nginx is a front with the documented configuration of nginx.
func nginx(t *testing.T, changes ...func(*front)) *front {
	t.Helper()
	program := need(t, "nginx", "Debian package nginx-light")
	f := newFront(t, changes...)
	dir := t.TempDir()
	cert, key := f.certificate(dir)
	site := swap(t, documented(t, "nginx"), "listen 443", "listen 127.0.0.1:"+f.port, "/etc/ssl/example.test.pem", cert, "/etc/ssl/example.test.key", key,
		"http://127.0.0.1:3000", f.backend.URL, "http://127.0.0.1:9000", f.direct, "http://127.0.0.1:8080", "http://127.0.0.1:"+port(f.s.HTTP))
	main := "worker_processes 1;\ndaemon off;\nerror_log stderr;\npid " + dir + "/pid;\nevents {}\nhttp {\naccess_log off;\n"
	if os.Geteuid() == 0 {
		main = "user root;\n" + main // its workers read this test's folder
	}
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	f.run(dir, "nginx.conf", main+site+"\n}\n", program, "-p", dir, "-c")
	return f
}

// caddy is a front with the documented configuration of Caddy.
func caddy(t *testing.T, changes ...func(*front)) *front {
	t.Helper()
	program := need(t, "caddy", "scripts/test builds it from tools/caddy")
	f := newFront(t, changes...)
	dir := t.TempDir()
	cert, key := f.certificate(dir)
	site := swap(t, documented(t, "caddyfile"), "app.example.test {", "app.example.test:"+f.port+" {\n\tbind 127.0.0.1\n\ttls "+cert+" "+key,
		"auth.example.test {", "auth.example.test:"+f.port+" {\n\tbind 127.0.0.1\n\ttls "+cert+" "+key,
		"127.0.0.1:3000", strings.TrimPrefix(f.backend.URL, "http://"), "127.0.0.1:9000", strings.TrimPrefix(f.direct, "http://"),
		"127.0.0.1:8080", "127.0.0.1:"+port(f.s.HTTP))
	f.run(dir, "Caddyfile", "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\n"+site+"\n", program, "run", "--adapter", "caddyfile", "--config")
	return f
}

// run starts the front's program with a configuration and waits until it listens.
func (f *front) run(dir, name, text, program string, args ...string) {
	f.t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(program, append(args, path)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.Stdout, cmd.Stderr = &f.said, &f.said
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	f.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		if f.t.Failed() {
			f.t.Logf("%s said:\n%s", filepath.Base(program), f.said.String())
		}
	})
	f.s.await(15*time.Second, name, func() bool {
		select {
		case <-done:
			f.t.Fatalf("%s ended:\n%s\n%s", program, f.said.String(), text)
		default:
		}
		c, err := net.Dial("tcp", "127.0.0.1:"+f.port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (f *front) url(host, path string) string {
	return "https://" + host + ":" + f.port + path
}

func (f *front) app(path string) string { return f.url("app.example.test", path) }

// browser is somebody with a new browser who comes to the front.
func (f *front) browser() *person {
	f.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	c := f.s.client()
	c.Jar = jar
	c.Transport = &http.Transport{DialContext: loopback, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: f.roots}}
	f.t.Cleanup(c.CloseIdleConnections)
	return &person{f.s, c}
}

// admin uses the setup link, through the front.
func (f *front) admin(p *person) {
	f.t.Helper()
	link := f.s.setup()
	if !strings.HasPrefix(link, f.url("auth.example.test", "/setup?")) {
		f.t.Fatalf("the setup link is %s", link)
	}
	done := p.submit(p.follow(link), "/setup", url.Values{"name": {adminName}, "password": {adminPassword}, "again": {adminPassword}})
	if done.StatusCode != http.StatusSeeOther {
		f.t.Fatalf("setup: %d\n%s", done.StatusCode, done.Body)
	}
}

// dial connects to the front and sends whatever bytes it is told to.
func (f *front) dial(name string) *wire {
	f.t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", "127.0.0.1:"+f.port,
		&tls.Config{RootCAs: f.roots, ServerName: name, NextProtos: []string{"http/1.1"}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	return &wire{f.t, conn, bufio.NewReader(conn)}
}

// token is an access token for the app, got through the front by a client that
// registered there.
func (f *front) token(p *person) string {
	f.t.Helper()
	c := &oauthClient{t: f.t, s: f.s, c: p.c, issuer: f.app(""), redirect: "http://127.0.0.1:7777/back", verifier: random()}
	got := ask(f.t, p.c, "POST", c.issuer+"/register", `{"redirect_uris":["`+c.redirect+`"],"token_endpoint_auth_method":"none"}`, "Content-Type: application/json")
	var made struct {
		ID string `json:"client_id"`
	}
	decode(f.t, got.Body, &made)
	c.id = made.ID
	_, out := c.exchange(c.code(p, nil), nil)
	if out.Access == "" {
		f.t.Fatalf("no token: %+v", out)
	}
	return out.Access
}

// witness is a backend that tells what reached it, speaks WebSocket at /ws and
// sends events at /events.
type witness struct {
	*httptest.Server
	reached atomic.Int64
}

// seen is what a witness tells about a request.
type seen struct {
	Method, URI, Body string
	Headers           http.Header
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := &witness{}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.Close)
	return w
}

func (b *witness) serve(w http.ResponseWriter, r *http.Request) {
	b.reached.Add(1)
	switch r.URL.Path {
	case "/ws":
		mirrorSocket(w, r)
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // an answer that was buffered would never be seen
	default:
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "own=1")
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, string(body), r.Header})
	}
}

// mirrorSocket accepts a WebSocket and sends back what comes, byte for byte.
func mirrorSocket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		http.Error(w, "no upgrade", http.StatusUpgradeRequired)
		return
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455
	conn, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	_, _ = io.Copy(conn, in)
}

// saw is what the backend saw of a request that reached it.
func saw(t *testing.T, a answer) seen {
	t.Helper()
	var s seen
	if a.StatusCode != http.StatusOK {
		t.Fatalf("the backend was not reached: %d %v %s", a.StatusCode, a.Header, a.Body)
	}
	decode(t, a.Body, &s)
	return s
}

// events opens the event stream and wants its first event at once.
func (f *front) events(p *person, headers ...string) {
	f.t.Helper()
	ctx, stop := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, "GET", f.app("/events"), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := p.c.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if line != "data: hello\n" {
		f.t.Errorf("the first event: %d %q %v", res.StatusCode, line, err)
	}
}

// freePort is a port that nobody listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(freeport.Of(t))
}
