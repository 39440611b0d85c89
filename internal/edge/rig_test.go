package edge

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

// rig is an Edge that runs on loopback, with a fake gate, certificates of its own
// and a recorder.
type rig struct {
	*Edge
	t       testing.TB
	gate    *fakeGate
	certs   *fakeCerts
	journal *recorder
	plain   string // host:port
	secure  string
	stop    func()
	version int64
	proxies map[string]site.Proxy
	routes  []site.Route
}

func newRig(t testing.TB, o Options, proxies ...site.Proxy) *rig {
	t.Helper()
	r := &rig{t: t, gate: &fakeGate{}, certs: newFakeCerts(t), journal: &recorder{}, proxies: map[string]site.Proxy{}}
	o.Gate, o.Certificates, o.Recorder = r.gate, r.certs, r.journal
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r.Edge = New(o)
	if err := r.Listen("127.0.0.1", 0, 0); err != nil {
		t.Fatal(err)
	}
	plain, secure := r.Addresses()
	r.plain, r.secure = plain.String(), secure.String()
	r.set(proxies...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// set creates or changes proxies; hosts that it does not name stay.
func (r *rig) set(proxies ...site.Proxy) {
	r.t.Helper()
	for _, p := range proxies {
		r.version++
		p.Version = r.version
		r.proxies[p.Hostname] = p
	}
	r.rebuild()
}

func (r *rig) remove(name string) {
	delete(r.proxies, name)
	r.rebuild()
}

func (r *rig) rebuild() {
	r.t.Helper()
	all := make([]site.Proxy, 0, len(r.proxies))
	for _, p := range r.proxies {
		all = append(all, p)
	}
	plain, secure := r.Addresses()
	o := site.Origins{BaseDomain: "localhost", HTTPPort: int(plain.Port()), HTTPSPort: int(secure.Port())}
	w, errs := site.NewWorld(o, all, r.routes, r.snapshot.Load().world)
	if len(errs) > 0 {
		r.t.Fatal(errs)
	}
	r.SetWorld(w)
}

// to is a proxy with the settings that most tests want.
func to(name, target string, change ...func(*site.Proxy)) site.Proxy {
	p := site.Default(name)
	p.TargetURL = target
	for _, c := range change {
		c(&p)
	}
	return p
}

func guarded(p *site.Proxy) { p.AuthEnabled = true }

// client reaches every name at the rig's listeners.
func (r *rig) client(change ...func(*http.Transport)) *http.Client {
	r.t.Helper()
	tr := &http.Transport{
		TLSClientConfig:    &tls.Config{RootCAs: r.certs.pool},
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			to := r.plain
			if strings.HasSuffix(address, ":443") {
				to = r.secure
			}
			return new(net.Dialer).DialContext(ctx, network, to)
		},
	}
	for _, c := range change {
		c(tr)
	}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func overH2(tr *http.Transport) { tr.ForceAttemptHTTP2 = true }

// get is one request by a client of its own; the body has been read.
func (r *rig) get(url string, change ...func(*http.Request)) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range change {
		c(req)
	}
	return do(r.t, r.client(), req)
}

func do(t testing.TB, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = append(r.Header[name], value) }
}

// send writes raw bytes to the plain listener and reads what comes until the
// connection is closed.
func (r *rig) send(raw string) string {
	r.t.Helper()
	c := r.dial(r.plain)
	defer c.Close()
	if _, err := io.WriteString(c, raw); err != nil {
		r.t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		r.t.Fatal(err)
	}
	return string(b)
}

func (r *rig) dial(address string) net.Conn {
	r.t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) dialTLS(name string, protocols ...string) *tls.Conn {
	r.t.Helper()
	c := tls.Client(r.dial(r.secure), &tls.Config{RootCAs: r.certs.pool, ServerName: name, NextProtos: protocols})
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// backend is an HTTP/1 server on loopback.
func backend(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func hello(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello "+r.Host) }

// fakeGate admits everybody unless it is told otherwise.
type fakeGate struct {
	admit  atomic.Pointer[func(*site.Visit, *http.Request) site.Verdict]
	denied atomic.Bool // Still answers false
	asked  atomic.Int64
}

func (g *fakeGate) decide(f func(*site.Visit, *http.Request) site.Verdict) { g.admit.Store(&f) }

func (g *fakeGate) Admit(v *site.Visit, r *http.Request) site.Verdict {
	g.asked.Add(1)
	if f := g.admit.Load(); f != nil {
		return (*f)(v, r)
	}
	return site.Verdict{Step: 3, Reason: "public"}
}

func (g *fakeGate) Still(*site.Visit) bool { return !g.denied.Load() }

// fakeCerts makes a certificate for each name that is asked for.
type fakeCerts struct {
	t    testing.TB
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	mu   sync.Mutex // guards made
	made map[string]*tls.Certificate
	also map[string][]string // further names on a name's certificate
}

func newFakeCerts(t testing.TB) *fakeCerts {
	t.Helper()
	c := &fakeCerts{t: t, made: map[string]*tls.Certificate{}, also: map[string][]string{}, pool: x509.NewCertPool()}
	c.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	c.ca = sign(t, template, template, c.key, c.key)
	c.pool.AddCert(c.ca)
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *fakeCerts) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	if name == "" {
		return nil, errors.New("no name")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert := c.made[name]; cert != nil {
		return cert, nil
	}
	key := newKey(c.t)
	leaf := sign(c.t, &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(c.made)) + 2), DNSNames: append([]string{name}, c.also[name]...),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, c.ca, key, c.key)
	c.made[name] = &tls.Certificate{Certificate: [][]byte{leaf.Raw, c.ca.Raw}, PrivateKey: key, Leaf: leaf}
	return c.made[name], nil
}

// recorder keeps entries.
type recorder struct {
	mu      sync.Mutex // guards entries
	entries []*journal.Entry
	dropAll bool
}

func (r *recorder) Write(e *journal.Entry) {
	if r.dropAll {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, e)
}

// wait is the first entry that f picks; entries are written when the answer is out already.
func (r *recorder) wait(t testing.TB, f func(*journal.Entry) bool) *journal.Entry {
	t.Helper()
	for range 1000 {
		r.mu.Lock()
		for _, e := range r.entries {
			if f(e) {
				r.mu.Unlock()
				return e
			}
		}
		r.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("no such journal entry")
	return nil
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// readResponse reads one response off a raw connection.
func readResponse(t testing.TB, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}
