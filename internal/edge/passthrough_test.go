package edge

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

func rawly(p *site.Proxy) { p.TLSMode = site.TLSPassthrough }

func TestPassthroughLeavesTLSToTheTarget(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(hello))
	t.Cleanup(s.Close)
	r := newRig(t, Options{}, to("raw.test", s.URL, rawly), to("app.test", backend(t, hello).URL))
	c := tls.Client(r.dial(r.secure), &tls.Config{ServerName: "raw.test", InsecureSkipVerify: true}) //nolint:gosec // whose certificate it is, is compared below
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.ConnectionState().PeerCertificates[0].Raw, s.Certificate().Raw) {
		t.Error("the certificate is not the target's")
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: raw.test\r\nConnection: close\r\n\r\n")
	if b, err := io.ReadAll(c); !strings.HasSuffix(string(b), "hello raw.test") || err != nil {
		t.Errorf("%q %v", b, err)
	}
	_ = c.Close()
	e := r.journal.wait(t, func(e *journal.Entry) bool { return e.Proxy == "raw.test" })
	if e.BytesIn == 0 || e.BytesOut == 0 || e.Error != "" {
		t.Errorf("%+v", e)
	}
	if r.gate.asked.Load() != 0 {
		t.Error("the gate was asked about raw bytes")
	}
}

func TestPassthroughEndsWhenTheHostIsRemoved(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(hello))
	t.Cleanup(s.Close)
	r := newRig(t, Options{}, to("raw.test", s.URL, rawly), to("off.test", s.URL, rawly, func(p *site.Proxy) { p.Enabled = false }))
	c := tls.Client(r.dial(r.secure), &tls.Config{ServerName: "raw.test", InsecureSkipVerify: true}) //nolint:gosec // a test
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	r.remove("raw.test")
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on")
	}
	if err := tls.Client(r.dial(r.secure), &tls.Config{ServerName: "off.test", InsecureSkipVerify: true}).Handshake(); err == nil { //nolint:gosec // a test
		t.Error("a disabled host was reached")
	}
}

// proxied is a target that wants a PROXY header on each connection and tells
// whom it named.
func proxied(t *testing.T, serve func(l net.Listener)) (address string, peers chan netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	peers = make(chan netip.AddrPort, 16)
	t.Cleanup(func() { _ = l.Close() })
	go serve(&proxyListener{Listener: l, peers: peers})
	return l.Addr().String(), peers
}

type proxyListener struct {
	net.Listener
	peers chan netip.AddrPort
}

func (p *proxyListener) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(c)
	h, err := proxyproto.Read(in)
	if err != nil {
		_ = c.Close()
		return p.Accept()
	}
	p.peers <- addrPort(h.SourceAddr)
	return readerConn{c, in}, nil
}

type readerConn struct {
	net.Conn
	r io.Reader
}

func (c readerConn) Read(b []byte) (int, error) { return c.r.Read(b) }

func TestTargetsGetPROXYHeaders(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	s.StartTLS()
	config := s.TLS
	s.Close()
	raw, rawPeers := proxied(t, func(l net.Listener) {
		_ = (&http.Server{Handler: http.HandlerFunc(hello)}).Serve(tls.NewListener(l, config))
	})
	plain, plainPeers := proxied(t, func(l net.Listener) { _ = (&http.Server{Handler: http.HandlerFunc(hello)}).Serve(l) })
	r := newRig(t, Options{})
	for _, version := range []string{"v1", "v2"} {
		version := func(p *site.Proxy) { p.SendProxyProtocol = version }
		r.set(to("raw.test", "https://"+raw, rawly, version), to("app.test", "http://"+plain, version))
		c := tls.Client(r.dial(r.secure), &tls.Config{ServerName: "raw.test", InsecureSkipVerify: true}) //nolint:gosec // a test
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: raw.test\r\nConnection: close\r\n\r\n")
		if b, err := io.ReadAll(c); !strings.HasSuffix(string(b), "hello raw.test") {
			t.Fatalf("%q %v", b, err)
		}
		_ = c.Close()
		if got := <-rawPeers; got != addrPort(c.LocalAddr()) {
			t.Errorf("the target was told %s, not %s", got, c.LocalAddr())
		}
		client := r.client()
		for range 2 { // each request of each client has its own connection
			req, _ := http.NewRequest(http.MethodGet, "http://app.test/", nil)
			if resp, body := do(t, client, req); resp.StatusCode != 200 {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
			if got := <-plainPeers; got.Addr().String() != "127.0.0.1" || got.Port() == 0 {
				t.Errorf("the target was told %s", got)
			}
		}
	}
}

// header2 is a PROXY v2 header as written by a trusted balancer.
func header2(t *testing.T, version byte, source string) string {
	t.Helper()
	to := "10.0.0.1:443"
	if strings.HasPrefix(source, "[") {
		to = "[2001:db8::1]:443"
	}
	h := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	if version == 2 {
		if err := h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("evil.test")}}); err != nil {
			t.Fatal(err)
		}
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPROXYHeadersOfTrustedPeersNameTheClient(t *testing.T) {
	var visit site.Visit
	trusting := Options{TrustedProxies: []netip.Prefix{loopback}}
	r := newRig(t, trusting, to("app.test", backend(t, mirror).URL), to("app.localhost", backend(t, mirror).URL))
	r.gate.decide(func(v *site.Visit, _ *http.Request) site.Verdict { visit = *v; return site.Verdict{} })
	request := "GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: 198.51.100.9\r\nConnection: close\r\n\r\n"
	for _, source := range []string{"203.0.113.5:4711", "[2001:db8::7]:4711"} {
		for _, version := range []byte{1, 2} {
			got := r.send(header2(t, version, source) + request)
			want := netip.MustParseAddrPort(source).Addr()
			if !strings.HasPrefix(got, "HTTP/1.1 200 ") || visit.Client != want || visit.Peer != want || visit.Trusted || visit.Loopback {
				t.Errorf("v%d %s: %.30q %+v", version, source, got, visit)
			}
			_, body, _ := strings.Cut(got, "\r\n\r\n")
			if h := seen(t, body); h.Get("X-Forwarded-For") != want.String() {
				t.Errorf("X-Forwarded-For %q", h.Get("X-Forwarded-For"))
			}
		}
	}
	c := r.dial(r.secure)
	_, _ = io.WriteString(c, header2(t, 2, "203.0.113.5:4711"))
	tc := tls.Client(c, &tls.Config{RootCAs: r.certs.pool, ServerName: "app.test"})
	_, _ = io.WriteString(tc, request)
	if b, _ := io.ReadAll(tc); !strings.HasPrefix(string(b), "HTTP/1.1 200 ") || visit.Client.String() != "203.0.113.5" {
		t.Errorf("over TLS: %.30q %+v", b, visit)
	}
	local := proxyproto.Header{Version: 2, Command: proxyproto.LOCAL}
	b, _ := local.Format()
	for _, head := range []string{string(b), "PROXY UNKNOWN\r\n", ""} {
		if got := r.send(head + "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") || visit.Client.String() != "127.0.0.1" || !visit.Loopback || !visit.Trusted {
			t.Errorf("%q: %.30q %+v", head, got, visit)
		}
	}
}

func TestPROXYHeaderMakesNoLoopbackPeer(t *testing.T) {
	var visit site.Visit
	r := newRig(t, Options{TrustedProxies: []netip.Prefix{loopback}}, to("app.test", backend(t, hello).URL), to("app.localhost", backend(t, hello).URL))
	r.gate.decide(func(v *site.Visit, _ *http.Request) site.Verdict { visit = *v; return site.Verdict{} })
	for _, source := range []string{"127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"} {
		for _, host := range []string{"app.test", "app.localhost"} {
			visit = site.Visit{}
			got := r.send(header2(t, 2, source) + "GET / HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n")
			want := "HTTP/1.1 200 "
			if host == "app.localhost" {
				want = "HTTP/1.1 404 "
			}
			if !strings.HasPrefix(got, want) || visit.Loopback || visit.Trusted || visit.Secure {
				t.Errorf("%s as %s: %.60q %+v", host, source, got, visit)
			}
		}
	}
}

func TestMalformedPROXYHeadersCloseTheConnection(t *testing.T) {
	r := newRig(t, Options{TrustedProxies: []netip.Prefix{loopback}, HeadTimeout: time.Second}, to("app.test", backend(t, hello).URL))
	v2 := "\r\n\r\n\x00\r\nQUIT\n"
	for _, head := range []string{
		"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n",
		"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n" + strings.Repeat("x", 120), "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY " + strings.Repeat("A", 200) + "\r\n",
		v2 + "\x31\x11\x00\x0c" + strings.Repeat("\x01", 12), v2 + "\x21\x11\x00\x02\x01\x01", v2 + "\x2f\x11\x00\x0c" + strings.Repeat("\x01", 12), v2 + "\x21\x11\xff\xff",
	} {
		if got := r.send(head + smuggled); got != "" {
			t.Errorf("%q: %.60q", head, got)
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02rest"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		size, more, err := proxyHeaderSize(b)
		if err != nil || more {
			return
		}
		if size > len(b) || size < 0 {
			t.Fatalf("size %d of %d bytes", size, len(b))
		}
		if size == 0 {
			if bytes.HasPrefix(b, []byte("PROXY ")) {
				t.Fatal("a PROXY header was overlooked")
			}
			return
		}
		source, _, err := parseProxyHeader(b[:size])
		if err == nil && source.IsValid() && source.Addr().Is4In6() {
			t.Fatalf("%s is not in its own form", source)
		}
	})
}
