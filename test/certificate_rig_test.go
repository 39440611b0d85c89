package test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// certified is a running Gatehouse with an authority that reaches it. Its tests
// mostly wait, for authorities are asked again once a second: they run side by side.
func certified(t *testing.T, o pebbleOptions, env ...string) (*pebble, *server) {
	t.Helper()
	t.Parallel()
	return certifiedAlone(t, o, env...)
}

// certifiedAlone is certified for a test that counts on time.
func certifiedAlone(t *testing.T, o pebbleOptions, env ...string) (*pebble, *server) {
	t.Helper()
	plain, secure := freePort(t), freePort(t)
	o.HTTP, o.TLS = number(t, plain), number(t, secure)
	ca := startPebble(t, o)
	all := append(ca.env(), "HTTP_PORT="+plain, "HTTPS_PORT="+secure)
	return ca, start(t, append(all, env...), "serve")
}

// shown is the certificate that a host shows now.
func (s *server) shown(host string) *x509.Certificate {
	s.t.Helper()
	c, err := tls.Dial("tcp", "127.0.0.1:"+port(s.HTTPS), &tls.Config{ServerName: host, InsecureSkipVerify: true}) // what it is is the question
	if err != nil {
		s.t.Fatalf("no handshake with %s: %v", host, err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// trusts reports whether a host shows a certificate that the authority signed
// for it.
func (s *server) trusts(ca *pebble, host string) bool {
	s.t.Helper()
	_, err := s.shown(host).Verify(x509.VerifyOptions{DNSName: host, Roots: ca.root(), Intermediates: ca.between(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err == nil
}

// certState is how a certificate stands, as the command line tells.
type certState struct {
	Name     string    `json:"cert_name"`
	Domains  []string  `json:"domains"`
	Status   string    `json:"status"`
	Message  string    `json:"message"`
	Settled  bool      `json:"settled"`
	NextTry  time.Time `json:"next_try"`
	Expires  time.Time `json:"expires_at"`
	Renewal  time.Time `json:"next_renewal"`
	Failures int       `json:"failures"`
	Serial   string    `json:"serial"`
	Staging  bool      `json:"staging"`
	Hosts    []string  `json:"hosts"`
	Print    string    `json:"fingerprint_sha256"`
	Chain    string    `json:"certificate"`
	Steps    []struct {
		Step, Domain, Detail string
	} `json:"steps"`
}

// state waits until nothing is under way for a certificate.
func (s *server) state(name string) (st certState) {
	s.t.Helper()
	s.await(60*time.Second, "end of what is under way for "+name, func() bool {
		out, _, code := s.cli("--local", "cert", "status", name)
		if code != 0 {
			return false // not asked for yet
		}
		st = certState{}
		decode(s.t, out, &st)
		return st.Settled
	})
	return st
}

// kept is a certificate with its details.
func (s *server) kept(name string) (st certState) {
	s.t.Helper()
	decode(s.t, s.local("cert", "show", name), &st)
	return st
}

// active wants a certificate to be there.
func (s *server) active(name string) certState {
	s.t.Helper()
	st := s.state(name)
	if st.Status != "active" || st.Message != "" {
		s.t.Fatalf("%s is %s: %s", name, st.Status, st.Message)
	}
	return st
}

// failed wants the last order for a certificate to have failed with all words.
func (s *server) failed(name string, words ...string) certState {
	s.t.Helper()
	st := s.state(name)
	for _, w := range words {
		if st.Status != "failed" || !strings.Contains(st.Message, w) || st.NextTry.Before(time.Now().Add(10*time.Second)) {
			s.t.Errorf("%s is %s, next try %v, not failed with %q: %s", name, st.Status, st.NextTry, w, st.Message)
		}
	}
	return st
}

// between is the certificate by which the authority signs.
func (p *pebble) between() *x509.CertPool { return p.pool("/intermediates/0") }

// believing believes every certificate: what is shown is not the question.
func believing(s *server) *http.Client {
	c := s.client()
	c.Timeout = 0
	c.Transport = &http.Transport{DialContext: loopback, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// events is a backend that streams for as long as it is listened to.
func events(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// listen opens a stream whose next reads the next event.
func listen(t *testing.T, c *http.Client, url string) (next func() string, state *tls.ConnectionState) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	return func() string {
		t.Helper()
		for lines.Scan() {
			if text := lines.Text(); text != "" {
				return text
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}, res.TLS
}

// faults stands in front of an authority and does what the test says.
type faults struct {
	Directory string
	act       atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	asked     atomic.Int64
}

// inFront puts a proxy in front of an authority.
func inFront(t *testing.T, p *pebble) *faults {
	t.Helper()
	f := &faults{}
	at, err := url.Parse(p.Directory)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(p.CA, p.key)
	if err != nil {
		t.Fatal(err)
	}
	onward := p.client.Transport.(*http.Transport).Clone() // the client's own closes each connection, now and then before the answer was read
	onward.DisableKeepAlives = false
	t.Cleanup(onward.CloseIdleConnections)
	pass := &httputil.ReverseProxy{Transport: onward, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "https", at.Host, r.In.Host
	}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked.Add(1)
		if act := f.act.Load(); act != nil && (*act)(w, r) {
			return
		}
		pass.ServeHTTP(w, r)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	f.Directory = s.URL + "/dir"
	return f
}

// do says what happens to requests from now on; nil: nothing.
func (f *faults) do(act func(w http.ResponseWriter, r *http.Request) bool) {
	if act == nil {
		f.act.Store(nil)
		return
	}
	f.act.Store(&act)
}

// manyNames are names of one certificate.
func manyNames(n int, domain string) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d.%s", i, domain)
	}
	return slices.Clip(names)
}
