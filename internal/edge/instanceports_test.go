package edge

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"gatehouse/internal/journal"
	"gatehouse/internal/site"
	"gatehouse/test/freeport"
)

// instanced is a rig whose hosts have ports of their own.
type instanced struct {
	*rig
	ports []InstancePort
}

func newInstanced(t *testing.T, o Options, proxies ...site.Proxy) *instanced {
	t.Helper()
	r := &instanced{rig: newRig(t, o, proxies...)}
	for _, p := range proxies {
		r.ports = append(r.ports, InstancePort{freeport.Of(t), p.Hostname, false}, InstancePort{freeport.Of(t), p.Hostname, true})
	}
	r.SetInstancePorts(r.ports)
	return r
}

// at is the address of a host's own port.
func (r *instanced) at(host string, secure bool) string {
	r.t.Helper()
	for _, p := range r.ports {
		if p.Host == host && p.Secure == secure {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port))
		}
	}
	r.t.Fatalf("%s has no port", host)
	return ""
}

// sendTo writes raw bytes to an address and reads until the connection is closed.
func (r *instanced) sendTo(address, raw string) string {
	r.t.Helper()
	return r.plainAt(address).send(raw)
}

// plainAt is the rig with another plain listener.
func (r *instanced) plainAt(address string) *rig {
	other := *r.rig
	other.plain = address
	return &other
}

// handshake sends a PROXY header and then speaks TLS for name.
func (r *instanced) handshake(host, head, name string, protocols ...string) (*tls.Conn, error) {
	r.t.Helper()
	c := r.dial(r.at(host, true))
	if _, err := io.WriteString(c, head); err != nil {
		r.t.Fatal(err)
	}
	tc := tls.Client(c, &tls.Config{RootCAs: r.certs.pool, ServerName: name, NextProtos: protocols, InsecureSkipVerify: name == ""}) //nolint:gosec // without a name there is nothing to verify
	return tc, tc.Handshake()
}

func request(host string, headers ...string) string {
	return "GET / HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(headers, "Connection: close"), "\r\n") + "\r\n\r\n"
}

func TestInstancePortsServeTheirHostForTheClientThatTheHeaderNames(t *testing.T) {
	r := newInstanced(t, Options{}, to("app.test", backend(t, mirror).URL))
	for _, source := range []string{"203.0.113.7:4711", "[2001:db8::7]:4711"} {
		for _, version := range []byte{1, 2} {
			head, client := header2(t, version, source), netip.MustParseAddrPort(source).Addr().String()
			plain := r.sendTo(r.at("app.test", false), head+request("app.test"))
			tc, err := r.handshake("app.test", head, "app.test")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(tc, request("app.test"))
			secure, _ := io.ReadAll(tc)
			for scheme, got := range map[string]string{"http": plain, "https": string(secure)} {
				_, body, _ := strings.Cut(got, "\r\n\r\n")
				if h := seen(t, body); !strings.HasPrefix(got, "HTTP/1.1 200 ") || h.Get("X-Forwarded-For") != client || h.Get("X-Forwarded-Proto") != scheme {
					t.Errorf("%s, v%d: %.40q, the target saw %v", scheme, version, got, h)
				}
			}
			r.journal.wait(t, func(e *journal.Entry) bool { return e.ClientIP == client && e.Proxy == "app.test" && e.Status == 200 })
		}
	}
}

func TestInstancePortsServeHTTP2(t *testing.T) {
	r := newInstanced(t, Options{}, to("app.test", backend(t, hello).URL))
	tc, err := r.handshake("app.test", header2(t, 2, "203.0.113.7:4711"), "app.test", "h2")
	if err != nil || tc.ConnectionState().NegotiatedProtocol != "h2" {
		t.Fatal(err, tc.ConnectionState().NegotiatedProtocol)
	}
	tr := &http.Transport{Protocols: new(http.Protocols), DialTLS: func(string, string) (net.Conn, error) { return tc, nil }} //nolint:staticcheck // the connection is made already
	tr.Protocols.SetHTTP2(true)
	for host, want := range map[string]int{"app.test": 200, "other.test": 404} {
		req, _ := http.NewRequest(http.MethodGet, "https://app.test/", nil)
		req.Host = host
		if resp, _ := do(t, &http.Client{Transport: tr}, req); resp.StatusCode != want || resp.ProtoMajor != 2 {
			t.Errorf("%s: %s %d", host, resp.Proto, resp.StatusCode)
		}
	}
	_ = tc.Close()
}

// TestNoPROXYHeaderNoService sends everything but a PROXY header.
func TestNoPROXYHeaderNoService(t *testing.T) {
	r := newInstanced(t, Options{HeadTimeout: 300 * time.Millisecond, TrustedProxies: []netip.Prefix{loopback}}, to("app.test", backend(t, hello).URL))
	v2 := "\r\n\r\n\x00\r\nQUIT\n"
	for _, secure := range []bool{false, true} {
		for _, raw := range []string{request("app.test"), "", "P", "PROXY", "PROX" + request("app.test"), v2[:5], v2 + "\x31\x11\x00\x0c" + strings.Repeat("\x01", 12), "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", "\x16\x03\x01\x00\x05"} {
			if got := r.sendTo(r.at("app.test", secure), raw); got != "" {
				t.Errorf("secure %v, %q: %q", secure, raw, got)
			}
		}
	}
	if tc, err := r.handshake("app.test", "", "app.test"); err == nil {
		t.Errorf("a handshake without a PROXY header: %+v", tc.ConnectionState())
	}
	if n := r.gate.asked.Load(); n != 0 {
		t.Errorf("%d requests came as far as the gate", n)
	}
}

func TestASecondPROXYHeaderIsRefused(t *testing.T) {
	r := newInstanced(t, Options{TrustedProxies: []netip.Prefix{loopback}}, to("app.test", backend(t, hello).URL))
	for _, version := range []byte{1, 2} {
		first, second := header2(t, version, "203.0.113.7:4711"), header2(t, version, "127.0.0.1:4711")
		got := r.sendTo(r.at("app.test", false), first+second+request("app.test"))
		if strings.Contains(got, " 200 ") || strings.Contains(got, "hello") {
			t.Errorf("v%d twice: %q", version, got)
		}
		if _, err := r.handshake("app.test", first+second, "app.test"); err == nil {
			t.Errorf("v%d twice over TLS: the handshake succeeded", version)
		}
	}
	if n := r.gate.asked.Load(); n != 0 {
		t.Errorf("%d requests came as far as the gate", n)
	}
}

// TestOnlyBalancersReachInstancePorts comes from an address that is neither
// loopback nor trusted.
func TestOnlyBalancersReachInstancePorts(t *testing.T) {
	for from, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "192.0.2.7": false, "10.1.2.3": true} {
		peer := netip.MustParseAddr(from)
		i := connInfo{instance: "app.test", peer: netip.AddrPortFrom(peer, 4711), trusted: contains([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, peer)}
		if i.mayIntroduce() != want {
			t.Errorf("%s may connect: %v, want %v", from, !want, want)
		}
	}
	own := foreignAddress(t)
	for _, trusted := range []bool{false, true} {
		o := Options{InstanceListen: own}
		if trusted {
			o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(own + "/32")}
		}
		r := newInstanced(t, o, to("app.test", backend(t, hello).URL))
		_, port, _ := net.SplitHostPort(r.at("app.test", false))
		got := r.sendTo(net.JoinHostPort(own, port), header2(t, 2, "203.0.113.7:4711")+request("app.test"))
		if served := strings.HasPrefix(got, "HTTP/1.1 200 "); served != trusted || (!trusted && got != "") {
			t.Errorf("trusted %v: %q", trusted, got)
		}
	}
}

// foreignAddress is one of this machine's that is not loopback.
func foreignAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has loopback alone")
	return ""
}

// TestALoopbackSenderLendsNoTrust: a program of this machine may name a client, and
// nothing more is believed.
func TestALoopbackSenderLendsNoTrust(t *testing.T) {
	var visit site.Visit
	r := newInstanced(t, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		to("app.test", backend(t, mirror).URL), to("app.localhost", backend(t, hello).URL))
	r.gate.decide(func(v *site.Visit, _ *http.Request) site.Verdict { visit = *v; return site.Verdict{} })
	for _, source := range []string{"203.0.113.7:1", "10.0.0.9:1", "127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		got := r.sendTo(r.at("app.test", false), header2(t, 2, source)+request("app.test", "X-Forwarded-For: 198.51.100.9", "X-Forwarded-Proto: https", "X-Request-Id: mine"))
		want := netip.MustParseAddrPort(source).Addr().Unmap()
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || visit.Client != want || visit.Trusted || visit.Loopback || visit.Secure || visit.RequestID == "mine" {
			t.Errorf("%s: %.40q %+v", source, got, visit)
		}
		if got := r.sendTo(r.at("app.localhost", false), header2(t, 2, source)+request("app.localhost")); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
			t.Errorf("%s reaches a name under localhost: %.40q", source, got)
		}
	}
	local, _ := (&proxyproto.Header{Version: 2, Command: proxyproto.LOCAL}).Format()
	for _, head := range []string{string(local), "PROXY UNKNOWN\r\n"} { // the balancer asks for itself
		got := r.sendTo(r.at("app.localhost", false), head+request("app.localhost", "X-Forwarded-For: 198.51.100.9"))
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || visit.Client.String() != "127.0.0.1" || !visit.Loopback || visit.Trusted {
			t.Errorf("%q: %.40q %+v", head, got, visit)
		}
	}
}

func TestATrustedSenderIsBelievedAsOnThePublicPorts(t *testing.T) {
	var visit site.Visit
	r := newInstanced(t, Options{TrustedProxies: []netip.Prefix{loopback, netip.MustParsePrefix("10.0.0.0/8")}}, to("app.test", backend(t, mirror).URL))
	r.gate.decide(func(v *site.Visit, _ *http.Request) site.Verdict { visit = *v; return site.Verdict{} })
	for source, believed := range map[string]bool{"10.0.0.9:1": true, "203.0.113.7:1": false, "127.0.0.1:1": false} {
		got := r.sendTo(r.at("app.test", false), header2(t, 1, source)+request("app.test", "X-Forwarded-For: 198.51.100.9"))
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || visit.Trusted != believed || (visit.Client.String() == "198.51.100.9") != believed {
			t.Errorf("%s: %.40q %+v", source, got, visit)
		}
	}
}

func TestLimitsOnInstancePortsCountTheNamedAddress(t *testing.T) {
	r := newInstanced(t, Options{MaxConnectionsPerIP: 1, MaxRequestsPerIP: 1}, to("app.test", backend(t, hello).URL))
	at := r.at("app.test", false)
	held := r.dial(at)
	defer held.Close()
	_, _ = io.WriteString(held, header2(t, 2, "203.0.113.7:1")+"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
	if resp, _ := readResponse(t, bufio.NewReader(held)); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	if got := r.sendTo(at, header2(t, 2, "203.0.113.7:2")+request("app.test")); got != "" {
		t.Errorf("a second connection of the same address: %.40q", got)
	}
	if got := r.sendTo(at, header2(t, 2, "203.0.113.8:1")+request("app.test")); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("another address: %.40q", got)
	}
}

// TestAnInstancePortServesNoOtherHost asks for other hosts on it: by Host, by
// server name, on a connection whose certificate covers both.
func TestAnInstancePortServesNoOtherHost(t *testing.T) {
	b := backend(t, hello).URL
	r := newInstanced(t, Options{}, to("app.test", b), to("secret.test", b), to("*.wild.test", b), to("own.wild.test", b))
	r.certs.also["app.test"] = []string{"secret.test"}
	head := header2(t, 2, "203.0.113.7:1")
	for _, c := range []struct{ port, host, want string }{
		{"app.test", "app.test", "200"}, {"app.test", "APP.test.", "200"}, {"app.test", "app.test:13000", "200"},
		{"app.test", "secret.test", "421"}, {"app.test", "unknown.test", "404"}, {"app.test", "x.wild.test", "421"},
		{"*.wild.test", "x.wild.test", "200"}, {"*.wild.test", "own.wild.test", "421"}, {"own.wild.test", "x.wild.test", "421"},
	} {
		if got := r.sendTo(r.at(c.port, false), head+request(c.host)); !strings.HasPrefix(got, "HTTP/1.1 "+c.want+" ") {
			t.Errorf("%s on the port of %s: %.30q, want %s", c.host, c.port, got, c.want)
		}
		name := strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(c.host, ":13000"), "."))
		tc, err := r.handshake(c.port, head, name)
		if (err == nil) != (c.want == "200") {
			t.Errorf("a handshake for %s on the port of %s: %v", name, c.port, err)
		}
		_ = tc.Close()
	}
	if tc, err := r.handshake("app.test", head, ""); err == nil {
		t.Errorf("a handshake without a name: %v", tc.ConnectionState())
	}
	tc, err := r.handshake("app.test", head, "app.test")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(tc, request("secret.test"))
	if got, _ := io.ReadAll(tc); !strings.HasPrefix(string(got), "HTTP/1.1 421 ") {
		t.Errorf("a name that the certificate covers too: %.40q", got)
	}
	// What is another host's now was this one's when the connection was opened.
	held := r.dial(r.at("*.wild.test", false))
	defer held.Close()
	answers := bufio.NewReader(held)
	for _, want := range []int{200, 421} {
		_, _ = io.WriteString(held, map[int]string{200: head}[want]+"GET / HTTP/1.1\r\nHost: late.wild.test\r\n\r\n")
		if resp, _ := readResponse(t, answers); resp.StatusCode != want {
			t.Errorf("late.wild.test: %s, want %d", resp.Status, want)
		}
		r.set(to("late.wild.test", b))
	}
}

func TestPassthroughAndSwitchedOffHostsOnInstancePorts(t *testing.T) {
	target := rawTLS(t)
	r := newInstanced(t, Options{}, to("raw.test", "https://"+target, func(p *site.Proxy) { p.TLSMode = site.TLSPassthrough }),
		to("off.test", backend(t, hello).URL, func(p *site.Proxy) { p.Enabled = false }), to("other.test", backend(t, hello).URL))
	head := header2(t, 1, "203.0.113.7:1")
	c := r.dial(r.at("raw.test", true))
	_, _ = io.WriteString(c, head)
	tc := tls.Client(c, &tls.Config{ServerName: "raw.test", InsecureSkipVerify: true}) //nolint:gosec // the target's certificate is nobody's
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(tc); string(got) != "raw" {
		t.Errorf("the target behind TLS passthrough said %q", got)
	}
	_ = tc.Close()
	r.journal.wait(t, func(e *journal.Entry) bool { return e.Proxy == "raw.test" && e.ClientIP == "203.0.113.7" })
	if tc, err := r.handshake("other.test", head, "raw.test"); err == nil {
		t.Errorf("passthrough on the port of another host: %v", tc.ConnectionState())
	}
	if got := r.sendTo(r.at("off.test", false), head+request("off.test")); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("a host that is switched off: %.40q", got)
	}
}

// rawTLS is a TLS server that says one word.
func rawTLS(t *testing.T) string {
	t.Helper()
	certs := newFakeCerts(t)
	cert, err := certs.Get(&tls.ClientHelloInfo{ServerName: "raw.test"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*cert}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "raw")
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func TestTargetsMayNotLeadToInstancePorts(t *testing.T) {
	r := newInstanced(t, Options{}, to("app.test", backend(t, hello).URL))
	r.set(to("loop.test", "http://"+r.at("app.test", false), func(p *site.Proxy) { p.SendProxyProtocol = "v2" }))
	if got := r.send(request("loop.test")); !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.Contains(got, "refused_address") {
		t.Errorf("%q", got)
	}
	if !r.ListensOn(r.ports[0].Port) || r.ListensOn(1) {
		t.Error("the edge does not know its own ports")
	}
}

// TestChangesOfPortsLeaveOthersAlone removes one host's ports while a request of
// another is under way on its own.
func TestChangesOfPortsLeaveOthersAlone(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	r := newInstanced(t, Options{}, to("app.test", slow.URL), to("gone.test", backend(t, hello).URL))
	answer := make(chan string)
	go func() {
		answer <- r.sendTo(r.at("app.test", false), header2(t, 2, "203.0.113.7:1")+request("app.test"))
	}()
	<-arrived
	gone := r.at("gone.test", false)
	r.remove("gone.test")
	r.SetInstancePorts(r.ports[:2])
	close(release)
	if got := <-answer; !strings.HasSuffix(got, "done") && !strings.Contains(got, "done") {
		t.Errorf("the request on another port: %q", got)
	}
	if c, err := net.Dial("tcp", gone); err == nil {
		_ = c.Close()
		t.Error("the port of a host that is gone is open")
	}
	if _, _, ok := r.InstanceListener(r.ports[2].Port); ok {
		t.Error("the port of a host that is gone is still told of")
	}
}

func TestAPortThatIsTakenIsBoundWhenItIsFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL))
	r.SetInstancePorts([]InstancePort{{port, "app.test", false}})
	if _, err, ok := r.InstanceListener(port); !ok || err == nil || !strings.Contains(err.Error(), "another program has the port") {
		t.Errorf("a port that is taken: %v %v", err, ok)
	}
	if err := r.CanListen(port); err == nil {
		t.Error("a port that is taken can be bound")
	}
	if got := r.send(request("app.test")); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("its host on the public port: %.40q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		address, err, _ := r.InstanceListener(port)
		if err == nil {
			if want := fmt.Sprintf("127.0.0.1:%d", port); address != want {
				t.Errorf("it listens on %s, want %s", address, want)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestAConnectionOutlivesItsPort deletes a host whose port was given to another
// while a connection is open: it serves neither.
func TestAConnectionOutlivesItsPort(t *testing.T) {
	r := newInstanced(t, Options{}, to("old.test", backend(t, hello).URL), to("new.test", backend(t, hello).URL))
	at := r.at("old.test", false)
	held := r.dial(at)
	defer held.Close()
	answers := bufio.NewReader(held)
	ask := func(head, host string) int {
		_, _ = io.WriteString(held, head+"GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		resp, _ := readResponse(t, answers)
		return resp.StatusCode
	}
	if got := ask(header2(t, 2, "203.0.113.7:1"), "old.test"); got != 200 {
		t.Fatal(got)
	}
	r.remove("old.test")
	r.SetInstancePorts([]InstancePort{{r.ports[0].Port, "new.test", false}})
	for host, want := range map[string]int{"old.test": 404, "new.test": 421} {
		if got := ask("", host); got != want {
			t.Errorf("%s on the old connection: %d, want %d", host, got, want)
		}
	}
	if got := r.sendTo(at, header2(t, 2, "203.0.113.7:1")+request("new.test")); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("new.test on the port that is its own now: %.40q", got)
	}
}

// TestAClientOverDatagramsIsNotItsBalancer: QUIC clients of a balancer must not
// become loopback peers because their address is of another family.
func TestAClientOverDatagramsIsNotItsBalancer(t *testing.T) {
	var visit site.Visit
	r := newInstanced(t, Options{TrustedProxies: []netip.Prefix{loopback}}, to("app.test", backend(t, hello).URL))
	r.gate.decide(func(v *site.Visit, _ *http.Request) site.Verdict { visit = *v; return site.Verdict{} })
	head := "\r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c" + "\xcb\x00\x71\x07" + "\xc0\x00\x02\x01" + "\x12\x67\x01\xbb"
	for _, at := range []string{r.plain, r.at("app.test", false)} {
		if got := r.sendTo(at, head+request("app.test")); !strings.HasPrefix(got, "HTTP/1.1 200 ") || visit.Client.String() != "203.0.113.7" || visit.Loopback || visit.Trusted {
			t.Errorf("%s: %.40q %+v", at, got, visit)
		}
	}
}

func TestStreamsOnAnInstancePortEndWithTheirHost(t *testing.T) {
	stream := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: x\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	r := newInstanced(t, Options{}, to("app.test", stream.URL))
	c := r.dial(r.at("app.test", false))
	defer c.Close()
	_, _ = io.WriteString(c, header2(t, 2, "203.0.113.7:1")+request("app.test"))
	in := bufio.NewReader(c)
	for line := ""; line != "data: x\n"; {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	r.remove("app.test")
	r.SetInstancePorts(nil)
	if _, err := io.ReadAll(in); err != nil {
		t.Errorf("the stream of a host that is gone: %v", err)
	}
}

func TestChallengesAreAnsweredOnInstancePorts(t *testing.T) {
	acme := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the answer") })
	r := newInstanced(t, Options{Locals: map[string]http.Handler{site.InternalACME: acme}}, to("app.test", backend(t, hello).URL), to("other.test", backend(t, hello).URL))
	head := header2(t, 2, "203.0.113.7:1")
	if got := r.sendTo(r.at("app.test", false), head+"GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "the answer") {
		t.Errorf("HTTP-01: %q", got)
	}
	for name, want := range map[string]bool{"app.test": true, "other.test": false, "unknown.test": false} {
		if _, err := r.handshake("app.test", head, name, acmeProtocol); (err == nil) != want {
			t.Errorf("TLS-ALPN-01 for %s: %v", name, err)
		}
	}
}
