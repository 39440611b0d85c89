package handover

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

var key = bytes.Repeat([]byte{7}, 32)

// rig is two nodes, each with a front that first tries to hand over.
type rig struct {
	t      *testing.T
	a, b   *Peers
	front  *httptest.Server // of a
	served atomic.Int64     // requests that reached b's handler
	still  atomic.Bool      // what b's gate says
	where  atomic.Value     // address of b as a finds it
	handle func(w http.ResponseWriter, r *http.Request)
}

func newRig(t *testing.T, handle func(w http.ResponseWriter, r *http.Request)) *rig {
	t.Helper()
	r := &rig{t: t, handle: handle}
	r.still.Store(true)
	p := site.Default("app.localhost")
	p.TargetURL = site.InternalMCP
	w, errs := site.NewWorld(site.Origins{BaseDomain: "localhost", HTTPPort: 80, HTTPSPort: 443}, []site.Proxy{p}, nil, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	node := func(local http.Handler) (*Peers, string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		peers, err := New(Options{Key: key, Listener: l, Find: func(string) string { return r.where.Load().(string) }, World: func() *site.World { return w },
			Still: func(*site.Visit) bool { return r.still.Load() },
			Local: func(target string) http.Handler {
				if target != site.InternalMCP {
					return nil
				}
				return local
			}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() {
			if err := peers.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(func() { stop(); running.Wait() })
		return peers, l.Addr().String()
	}
	r.a, _ = node(http.NotFoundHandler())
	var at string
	r.b, at = node(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.served.Add(1)
		r.handle(w, req)
	}))
	r.where.Store(at)
	r.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		v := &site.Visit{Name: "app.localhost", Path: site.ParsePath(req.URL.EscapedPath()), Origin: "https://app.localhost",
			Client: netip.MustParseAddr("192.0.2.7"), Peer: netip.MustParseAddr("127.0.0.1"), RequestID: "abc"}
		ctx := principal.With(site.WithVisit(req.Context(), v), &principal.Principal{Subject: "local:alice", Scopes: []string{"mcp"}, ClientID: "c"})
		w.Header().Set("Cache-Control", "no-store")
		_ = http.NewResponseController(w).EnableFullDuplex()
		if !r.a.Pass(w, req.WithContext(ctx), req.Header.Get("Session")) {
			http.Error(w, "no such session", http.StatusNotFound)
		}
	}))
	t.Cleanup(r.front.Close)
	return r
}

func (r *rig) ask(method, path, id string, body io.Reader, headers ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.front.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Session", id)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.front.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { res.Body.Close() })
	return res
}

func (r *rig) wants(res *http.Response, status int, served int64) {
	r.t.Helper()
	if res.StatusCode != status || r.served.Load() != served {
		body, _ := io.ReadAll(res.Body)
		r.t.Errorf("status %d, want %d; %d requests reached the handler, want %d\n%s", res.StatusCode, status, r.served.Load(), served, body)
	}
}

func TestRequestReachesTheNodeOfItsSessionWithItsCaller(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		p, v := principal.From(req.Context()), site.VisitFrom(req.Context())
		body, _ := io.ReadAll(req.Body)
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintf(w, "%s %s %s %s %v %s %s %s|%s|%s|%s", req.Method, req.URL, body, p.Subject, p.Scopes, v.Client, v.Host.Proxy.Hostname, v.RequestID,
			req.Header.Get("Authorization"), req.Header.Get(noteHeader), req.Host)
	})
	res := r.ask("POST", "/mcp%20x?y=1", r.b.NewID(), strings.NewReader("hello"), "Authorization", "Bearer secret", noteHeader, "forged")
	body, _ := io.ReadAll(res.Body)
	want := "POST /mcp%20x?y=1 hello local:alice [mcp] 192.0.2.7 app.localhost abc|||" + strings.TrimPrefix(r.front.URL, "http://")
	if string(body) != want || len(res.Header.Values("Cache-Control")) != 1 {
		t.Errorf("%d %q, want %q; Cache-Control %q", res.StatusCode, body, want, res.Header.Values("Cache-Control"))
	}
}

func TestIDsNameTheirNodeAndAreRandom(t *testing.T) {
	r := newRig(t, nil)
	one, two := r.a.NewID(), r.a.NewID()
	tag, rest, _ := strings.Cut(one, ".")
	if one == two || tag != r.a.Tag() || len(rest) < 26 || r.a.Tag() == r.b.Tag() {
		t.Errorf("%s %s", one, two)
	}
	var nobody *Peers
	if id := nobody.NewID(); strings.Contains(id, ".") || len(id) < 26 || nobody.Pass(nil, nil, "x.y") {
		t.Errorf("a node that stands alone: %s", id)
	}
}

func TestStreamsBothWaysAndEndsWithItsClient(t *testing.T) {
	ended := make(chan struct{})
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		defer close(ended)
		lines := bufio.NewScanner(req.Body)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for lines.Scan() {
			fmt.Fprintln(w, "heard", lines.Text())
			_ = http.NewResponseController(w).Flush()
		}
		<-req.Context().Done()
	})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	read, write := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, "POST", r.front.URL+"/mcp", read)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Session", r.b.NewID())
	go func() { _, _ = io.WriteString(write, "one\n") }()
	res, err := r.front.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); line != "heard one\n" {
		t.Fatalf("%q %v", line, err)
	}
	leave()
	_ = write.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the handler goes on without its client")
	}
}

// TestWhatCanNotBeReachedIsAnsweredByTheCaller: the client then begins anew.
func TestWhatCanNotBeReachedIsAnsweredByTheCaller(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	there := r.where.Load()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for what, c := range map[string]struct{ id, at string }{
		"its own session": {r.a.NewID(), there.(string)}, "no tag": {"0123456789", there.(string)}, "an unknown node": {r.b.NewID(), ""},
		"a node that is gone": {r.b.NewID(), closed.Addr().String()}, "an address that is none": {r.b.NewID(), "example.com:443"},
	} {
		r.where.Store(c.at)
		t.Log(what)
		r.wants(r.ask("POST", "/mcp", c.id, nil), http.StatusNotFound, 0)
	}
	r.where.Store(there)
	r.wants(r.ask("POST", "/mcp", r.b.NewID(), nil), http.StatusNoContent, 1)
}

func TestReceiverAsksItsOwnGateAndWorld(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	r.still.Store(false)
	r.wants(r.ask("POST", "/mcp", r.b.NewID(), nil), http.StatusUnauthorized, 0)
	r.still.Store(true)
	r.wants(r.ask("POST", "/mcp", r.b.NewID(), nil), http.StatusNoContent, 1)
	r.wants(r.ask("GET", "/.well-known/oauth-protected-resource", r.b.NewID(), nil), http.StatusNotFound, 1) // another target's path
}

func TestWhatWasHandedOverIsNeverHandedOn(t *testing.T) {
	r := newRig(t, nil)
	r.handle = func(w http.ResponseWriter, req *http.Request) {
		if r.b.Pass(w, req, r.a.NewID()) {
			t.Error("it went on")
		}
		w.WriteHeader(http.StatusNotFound)
	}
	r.wants(r.ask("POST", "/mcp", r.b.NewID(), nil), http.StatusNotFound, 1)
}

// TestForgedAddressLearnsNothing: whoever writes to the store can lead a node to
// an address of theirs. They see a handshake that fails.
func TestForgedAddressLearnsNothing(t *testing.T) {
	r := newRig(t, nil)
	other, err := identity(bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	other.VerifyConnection, other.ClientAuth = nil, tls.RequestClientCert // they let anybody in
	var heard atomic.Bool
	theirs := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Store(true) }))
	theirs.TLS, theirs.EnableHTTP2 = other, true
	theirs.StartTLS()
	defer theirs.Close()
	r.where.Store(theirs.Listener.Addr().String())
	r.wants(r.ask("POST", "/mcp", r.b.NewID(), strings.NewReader("secret")), http.StatusNotFound, 0)
	if heard.Load() {
		t.Error("a stranger heard the request")
	}
}

// door asks b's door with a TLS configuration of its own.
func (r *rig) door(config *tls.Config, note ...string) (int, error) {
	transport := &http.Transport{TLSClientConfig: config, Protocols: onlyHTTP2()}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(r.t.Context(), "POST", "https://"+r.where.Load().(string)+"/mcp", http.NoBody)
	if err != nil {
		return 0, err
	}
	for _, n := range note {
		req.Header.Add(noteHeader, n)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return res.StatusCode, nil
}

func TestStrangersAreNotHeard(t *testing.T) {
	r := newRig(t, func(http.ResponseWriter, *http.Request) {})
	note, err := seal(&site.Visit{Name: "app.localhost", Path: site.ParsePath("/mcp")}, &principal.Principal{Subject: "local:root", Scopes: []string{"admin"}})
	if err != nil {
		t.Fatal(err)
	}
	ours, _ := identity(key)
	if status, err := r.door(ours, note); status != http.StatusOK {
		t.Fatalf("a node: %d %v: the rest of this test would show nothing", status, err)
	}
	other, _ := identity(bytes.Repeat([]byte{8}, 32))
	other.VerifyConnection = nil
	stolen, _ := identity(bytes.Repeat([]byte{8}, 32))
	stolen.VerifyConnection, stolen.Certificates[0].Certificate = nil, ours.Certificates[0].Certificate // the certificate without its key
	old := ours.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for what, config := range map[string]*tls.Config{
		"without a certificate": {InsecureSkipVerify: true}, "with another key": other, "with our certificate and another key": stolen, "with TLS 1.2": old,
	} {
		if status, err := r.door(config, note); err == nil {
			t.Errorf("%s: %d", what, status)
		}
	}
	c, err := net.Dial("tcp", r.where.Load().(string))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: 0\r\n\r\n", noteHeader, note)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if answer, _ := io.ReadAll(c); bytes.Contains(answer, []byte("200 OK")) {
		t.Errorf("without TLS: %s", answer)
	}
	if got := r.served.Load(); got != 1 {
		t.Errorf("%d requests were served, want the node's alone", got)
	}
}

// TestRecordedConnectionIsWorthNothing plays what a node has sent to another again.
func TestRecordedConnectionIsWorthNothing(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	at := r.where.Load().(string)
	var mu sync.Mutex
	var sent bytes.Buffer
	tap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	go func() {
		client, err := tap.Accept()
		if err != nil {
			return
		}
		node, err := net.Dial("tcp", at)
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(client, node) }()
		buf := make([]byte, 4096)
		for {
			n, err := client.Read(buf)
			mu.Lock()
			sent.Write(buf[:n])
			mu.Unlock()
			if _, writeErr := node.Write(buf[:n]); err != nil || writeErr != nil {
				_ = node.Close()
				return
			}
		}
	}()
	r.where.Store(tap.Addr().String())
	r.wants(r.ask("POST", "/mcp", r.b.NewID(), nil), http.StatusNoContent, 1)
	again, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	mu.Lock()
	_, _ = again.Write(sent.Bytes())
	mu.Unlock()
	_ = again.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, again); errors.Is(err, context.DeadlineExceeded) {
		t.Error("the connection stays open")
	}
	if got := r.served.Load(); got != 1 {
		t.Errorf("%d requests were served", got)
	}
}

func TestBadEnvelopesAreRefused(t *testing.T) {
	r := newRig(t, func(http.ResponseWriter, *http.Request) {})
	ours, _ := identity(key)
	for what, notes := range map[string][]string{
		"none": nil, "two": {"e30", "e30"}, "no base64": {"***"}, "no JSON": {"aGVsbG8"}, "too large": {strings.Repeat("A", maxNote+1)},
	} {
		if status, err := r.door(ours, notes...); status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", what, status, err)
		}
	}
	if status, err := r.door(ours, "e30"); status != http.StatusNotFound { // a visit to no host
		t.Errorf("an empty one: %d %v", status, err)
	}
	if status, _ := r.door(ours, strings.Repeat("A", 2*maxHeads)); status == http.StatusOK {
		t.Errorf("larger than all headers may be: %d", status)
	}
	if _, err := seal(&site.Visit{}, &principal.Principal{Groups: []string{strings.Repeat("g", maxNote)}}); err == nil {
		t.Error("more than fits was sealed")
	}
}

func FuzzOpen(f *testing.F) {
	note, _ := seal(&site.Visit{Name: "app.localhost", Path: site.ParsePath("/mcp")}, &principal.Principal{Subject: "local:alice"})
	for _, s := range []string{"", "e30", note, "bnVsbA"} {
		f.Add(s)
	}
	w, _ := site.NewWorld(site.Origins{BaseDomain: "localhost"}, []site.Proxy{site.Default("app.localhost")}, nil, nil)
	f.Fuzz(func(_ *testing.T, note string) {
		if e, err := open(note); err == nil {
			_ = e.visit(w, "POST")
		}
	})
}
