package edge

import (
	"bufio"
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

	"gatehouse/internal/site"
)

// events is a target that sends an event every few milliseconds.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// both serves events, WebSockets and plain requests.
func both(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/events":
		events(w, r)
	case "/ws":
		echo(w, r)
	default:
		hello(w, r)
	}
}

func TestChangesOfOtherHostsCutNothing(t *testing.T) {
	b := backend(t, both)
	r := newRig(t, Options{}, to("steady.test", b.URL), to("other.test", b.URL))
	stop := make(chan struct{})
	var work sync.WaitGroup
	var failures, done, eventsSeen, messages atomic.Int64
	fail := func(what string, err error) {
		select {
		case <-stop:
		default:
			failures.Add(1)
			t.Errorf("%s: %v", what, err)
		}
	}
	client := r.client(func(tr *http.Transport) { tr.MaxIdleConnsPerHost = 100 })
	var closers []io.Closer
	for range 50 {
		resp, err := client.Get("https://steady.test/events")
		if err != nil {
			t.Fatal(err)
		}
		closers = append(closers, resp.Body)
		work.Go(func() {
			lines := bufio.NewReader(resp.Body)
			for want := 0; ; want++ {
				line, err := lines.ReadString('\n')
				if err != nil || line != fmt.Sprintf("data: %d\n", want) {
					fail("event stream", fmt.Errorf("%q %w", line, err))
					return
				}
				_, _ = lines.ReadString('\n')
				eventsSeen.Add(1)
			}
		})
	}
	for range 50 {
		c := r.webSocket("wss://steady.test/ws")
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				if err := roundTrip(c, []byte("message")); err != nil {
					fail("WebSocket", err)
					return
				}
				messages.Add(1)
			}
		})
	}
	for range 4 { // 50 requests a second each
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				req, _ := http.NewRequest(http.MethodGet, "https://steady.test/", nil)
				resp, err := client.Do(req)
				if err != nil {
					fail("request", err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					fail("request", errors.New(resp.Status))
				}
				done.Add(1)
			}
		})
	}
	for i := range 200 { // create, change, disable, delete, and routes of others
		name := fmt.Sprintf("h%d.test", i%10)
		switch i % 5 {
		case 0, 1:
			r.set(to(name, b.URL))
		case 2:
			r.set(to("other.test", b.URL, func(p *site.Proxy) { p.Enabled = i%2 == 0 }))
		case 3:
			r.routes = append(r.routes, site.Route{ID: fmt.Sprint("r", i), PathPattern: "/r", Match: site.MatchPrefix, Target: b.URL, Scope: site.ScopeProxy, ProxyHostnames: []string{"other.test"}, Enabled: true, Version: int64(i)})
			r.rebuild()
		case 4:
			r.remove(name)
		}
		time.Sleep(5 * time.Millisecond)
	}
	// The host itself may change too: its streams drain.
	r.set(to("steady.test", b.URL, func(p *site.Proxy) { p.CustomHeaders = map[string]string{"X-New": "1"} }))
	time.Sleep(100 * time.Millisecond)
	close(stop)
	for _, c := range closers {
		_ = c.Close()
	}
	work.Wait()
	t.Logf("%d requests, %d events, %d messages", done.Load(), eventsSeen.Load(), messages.Load())
	if failures.Load() > 0 || done.Load() < 50 || eventsSeen.Load() < 1000 || messages.Load() < 500 {
		t.Errorf("%d failures, %d requests, %d events, %d messages", failures.Load(), done.Load(), eventsSeen.Load(), messages.Load())
	}
}

func TestStreamsEndWhenTheirHostOrRightIsGone(t *testing.T) {
	for why, end := range map[string]func(r *rig){
		"revoked":  func(r *rig) { r.gate.denied.Store(true) },
		"removed":  func(r *rig) { r.remove("app.test") },
		"disabled": func(r *rig) { r.set(to("app.test", "http://x", func(p *site.Proxy) { p.Enabled = false })) },
		"shutdown": func(r *rig) { go r.stop() },
	} {
		for _, proto := range []func(*http.Transport){func(*http.Transport) {}, overH2} {
			gone := make(chan struct{})
			b := backend(t, func(w http.ResponseWriter, r *http.Request) { events(w, r); close(gone) })
			r := newRig(t, Options{}, to("app.test", b.URL), to("other.test", b.URL))
			resp, err := r.client(proto).Get("https://app.test/")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = resp.Body.Read(make([]byte, 1))
			start := time.Now()
			end(r)
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Errorf("%s: an event stream that we end should end well: %v", why, err)
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("%s: after %v", why, d)
			}
			<-gone
			_ = resp.Body.Close()
			r.stop()
		}
	}
}

func TestRevokedDownloadIsVisiblyCut(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		for {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	resp, err := r.client().Get("https://app.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.gate.denied.Store(true)
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("half a download looks whole")
	}
}

func TestShutdownFinishesRequests(t *testing.T) {
	started, release := make(chan struct{}, 2), make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		started <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "finished")
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	answers := make(chan string, 2)
	for _, proto := range []func(*http.Transport){func(*http.Transport) {}, overH2} {
		go func() {
			resp, err := r.client(proto).Get("https://app.test/")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			answers <- string(body)
		}()
		<-started
	}
	stopped := make(chan struct{})
	go func() { r.stop(); close(stopped) }()
	for range 200 { // until nothing is accepted any more
		c, err := (&http.Client{Timeout: time.Second}).Get("http://" + r.plain)
		if err != nil {
			break
		}
		_ = c.Body.Close()
		time.Sleep(5 * time.Millisecond)
	}
	select {
	case <-stopped:
		t.Fatal("Run ended before its requests")
	default:
	}
	close(release)
	for range 2 {
		if got := <-answers; got != "finished" {
			t.Errorf("%q", got)
		}
	}
	<-stopped
}

func TestShutdownCutsWhatTakesTooLong(t *testing.T) {
	started := make(chan struct{})
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) { close(started); <-r.Context().Done() })
	r := newRig(t, Options{ShutdownTimeout: 200 * time.Millisecond}, to("app.test", b.URL))
	go func() {
		if resp, err := r.client().Get("https://app.test/"); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-started
	start := time.Now()
	r.stop()
	if d := time.Since(start); d < 200*time.Millisecond || d > 5*time.Second {
		t.Errorf("Run took %v to end", d)
	}
}

func TestConnectionsAreBoundedByAddress(t *testing.T) {
	// Loopback is not counted, so the connections come from elsewhere by a PROXY header.
	r := newRig(t, Options{TrustedProxies: []netip.Prefix{loopback}, MaxConnectionsPerIP: 2}, to("app.test", backend(t, hello).URL))
	request := "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"
	open := func(source string) bool {
		c := r.dial(r.plain)
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, header2(t, 1, source)+request)
		b := make([]byte, 12)
		_, err := io.ReadFull(c, b)
		return err == nil && string(b) == "HTTP/1.1 200"
	}
	for i, want := range []bool{true, true, false} {
		if got := open("203.0.113.1:1000"); got != want {
			t.Errorf("connection %d: %v", i+1, got)
		}
	}
	if !open("203.0.113.2:1000") {
		t.Error("another address is refused")
	}
	for i, want := range []bool{true, true, false} {
		if got := open(fmt.Sprintf("[2001:db8::%d]:1000", i+1)); got != want {
			t.Errorf("IPv6 connection %d of one /64: %v", i+1, got)
		}
	}
}

func TestConnectionsAreBoundedInAll(t *testing.T) {
	r := newRig(t, Options{MaxConnections: 2}, to("app.test", backend(t, hello).URL))
	first, second := r.dial(r.plain), r.dial(r.plain)
	defer second.Close()
	for _, c := range []io.ReadWriter{first, second} {
		_, _ = io.WriteString(c, smuggled)
		if resp, _ := readResponse(t, bufio.NewReader(c)); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	third := r.dial(r.plain)
	if b, _ := io.ReadAll(third); len(b) > 0 {
		t.Errorf("%q", b)
	}
	_ = first.Close()
	for range 100 {
		if strings.HasPrefix(r.send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n"), "HTTP/1.1 200") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("a place is never given back")
}

func TestRequestsAreBoundedByAddress(t *testing.T) {
	var l rateLimit
	l.seed, l.perSecond = newRig(t, Options{}).rates.seed, 3
	a, b := addressKey(netip.MustParseAddr("203.0.113.1")), addressKey(netip.MustParseAddr("203.0.113.2"))
	now := time.Unix(1000, 0)
	for i := range 5 {
		if got := l.allow(a, now); got != (i < 3) {
			t.Errorf("request %d: %v", i+1, got)
		}
	}
	if !l.allow(b, now) || !l.allow(a, now.Add(time.Second)) {
		t.Error("another address or second is refused")
	}
	r := newRig(t, Options{MaxRequestsPerIP: 1}, to("app.test", backend(t, hello).URL))
	refused := false
	for range 10 {
		resp, _ := r.get("http://app.test/")
		refused = refused || resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "1"
	}
	if !refused {
		t.Error("ten requests at once, and one a second allowed")
	}
}

func TestIdleConnectionsOfRetiredInstancesClose(t *testing.T) {
	var open atomic.Int64
	b := countedBackend(t, &open)
	r := newRig(t, Options{}, to("app.test", b))
	r.get("http://app.test/")
	if open.Load() != 1 {
		t.Fatalf("%d connections", open.Load())
	}
	r.set(to("app.test", b, func(p *site.Proxy) { p.CustomHeaders = map[string]string{"X-A": "b"} }))
	for range 200 {
		if open.Load() == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the old instance keeps its idle connection")
}

// countedBackend is a target whose open connections are counted.
func countedBackend(t *testing.T, open *atomic.Int64) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}
