package edge

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"net/http/httptrace"

	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

func TestForwardPassesTrailersBothWays(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Client-Sum")+"+"+r.Trailer.Get("X-Auth-User"))
		w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	for _, scheme := range []string{"http", "https"} {
		pr, pw := io.Pipe()
		req, _ := http.NewRequest(http.MethodPost, scheme+"://app.test/", pr)
		req.Trailer = http.Header{"X-Client-Sum": nil, "X-Auth-User": nil}
		go func() {
			_, _ = io.WriteString(pw, "data")
			req.Trailer["X-Client-Sum"] = []string{"42"}
			req.Trailer["X-Auth-User"] = []string{"forged"}
			_ = pw.Close()
		}()
		resp, body := do(t, r.client(overH2), req)
		if body != "data" || resp.Trailer.Get("X-Sum") != "42+" || resp.Trailer.Get("X-Late") != "yes" {
			t.Errorf("%s: %q, trailers %v", scheme, body, resp.Trailer)
		}
	}
}

// h2cBackend is a cleartext HTTP/2 server, as gRPC servers are.
func h2cBackend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return "h2c://" + strings.TrimPrefix(s.URL, "http://")
}

func TestForwardCarriesGRPCOverH2C(t *testing.T) {
	target := h2cBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
			t.Errorf("target got %s, TE %q", r.Proto, r.Header.Get("Te"))
		}
		w.Header().Set("Content-Type", "application/grpc")
		if r.URL.Path == "/refused" { // a trailers-only answer
			w.Header().Set("Grpc-Status", "7")
			return
		}
		w.(http.Flusher).Flush()
		buf := make([]byte, 5) // bidirectional: answers each message before the next one is sent
		for {
			if _, err := io.ReadFull(r.Body, buf); err != nil {
				break
			}
			_, _ = w.Write(buf)
			w.(http.Flusher).Flush()
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	r := newRig(t, Options{}, to("grpc.test", target))
	pr, pw := io.Pipe()
	req, _ := http.NewRequest(http.MethodPost, "https://grpc.test/pkg.Service/Call", pr)
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := r.client(overH2).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	for i := range 3 {
		message := "msg-" + strconv.Itoa(i)
		if _, err := io.WriteString(pw, message); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != message {
			t.Fatalf("%q %v", buf, err)
		}
	}
	_ = pw.Close()
	_, _ = io.ReadAll(resp.Body)
	if got := resp.Trailer.Get("Grpc-Status"); got != "0" {
		t.Errorf("grpc-status %q in %v", got, resp.Trailer)
	}
	resp, _ = r.get("https://grpc.test/refused", header("Te", "trailers"))
	if got := resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status"); got != "7" {
		t.Errorf("trailers-only answer gave status %q", got)
	}
}

func TestForwardSendsEventsAtOnce(t *testing.T) {
	sent := make(chan time.Time, 8)
	next := make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			sent <- time.Now()
			_, _ = io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	for _, proto := range []func(*http.Transport){func(*http.Transport) {}, overH2} {
		resp, err := r.client(proto).Get("https://app.test/")
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(resp.Body)
		for range 3 {
			line, err := lines.ReadString('\n')
			if err != nil || line != "data: x\n" {
				t.Fatalf("%q %v", line, err)
			}
			if d := time.Since(<-sent); d > 50*time.Millisecond {
				t.Errorf("an event took %v", d)
			}
			_, _ = lines.ReadString('\n')
			next <- struct{}{}
		}
		_ = resp.Body.Close()
	}
}

func TestForwardPassesInterimAnswers(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("X-Final", "1")
		_, _ = io.WriteString(w, "done")
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	var hints atomic.Int64
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code == 103 && h.Get("Link") != "" {
			hints.Add(1)
		}
		return nil
	}}
	req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), http.MethodGet, "https://app.test/", nil)
	resp, body := do(t, r.client(), req)
	if hints.Load() != 1 || body != "done" || len(resp.Header["Link"]) != 1 {
		t.Errorf("%d hints, body %q, Link %q", hints.Load(), body, resp.Header["Link"])
	}
}

// long is 1 GiB when everything is tested, else 64 MiB.
func long() int64 {
	if os.Getenv("GATEHOUSE_TEST_ALL") == "1" {
		return 1 << 30
	}
	return 64 << 20
}

func TestForwardMovesLargeBodiesInConstantMemory(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(long(), 10))
		_, _ = io.CopyN(w, zeros{}, long())
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	for _, proto := range []func(*http.Transport){func(*http.Transport) {}, overH2} {
		c := r.client(proto)
		peak := watchHeap(t, func() {
			resp, err := c.Get("https://app.test/")
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if n != long() || err != nil {
				t.Errorf("down: %d %v", n, err)
			}
			_ = resp.Body.Close()
			req, _ := http.NewRequest(http.MethodPost, "https://app.test/", io.LimitReader(zeros{}, long()))
			if _, body := do(t, c, req); body != strconv.FormatInt(long(), 10) {
				t.Errorf("up: %s", body)
			}
		})
		if peak > 32<<20 {
			t.Errorf("the heap grew by %d MiB", peak>>20)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// watchHeap is the most by which the heap grew while f ran.
func watchHeap(t *testing.T, f func()) (growth int64) {
	t.Helper()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base := int64(m.HeapInuse)
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-done:
			tick.Stop()
			return growth
		case <-tick.C:
			runtime.ReadMemStats(&m)
			growth = max(growth, int64(m.HeapInuse)-base)
		}
	}
}

func TestForwardCancelsTheTargetWhenTheClientGoes(t *testing.T) {
	gone := make(chan struct{}, 2)
	started := make(chan struct{}, 2)
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	for _, proto := range []func(*http.Transport){func(*http.Transport) {}, overH2} {
		ctx, cancel := context.WithCancel(context.Background())
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://app.test/", nil)
		go func() { <-started; cancel() }()
		if resp, err := r.client(proto).Do(req); err == nil {
			_ = resp.Body.Close()
			t.Error("got an answer")
		}
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			t.Fatal("the target's request goes on")
		}
	}
	r.journal.wait(t, func(e *journal.Entry) bool { return e.ErrorKind == "client_gone" })
}

func TestForwardCutsAnswersThatBreakOff(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	r := newRig(t, Options{}, to("app.test", b.URL))
	for _, proto := range []func(*http.Transport){func(*http.Transport) {}, overH2} {
		resp, err := r.client(proto).Get("https://app.test/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if string(body) != "half" || err == nil {
			t.Errorf("%q %v: half an answer must not look whole", body, err)
		}
		_ = resp.Body.Close()
	}
	r.journal.wait(t, func(e *journal.Entry) bool { return e.ErrorKind == "reset" })
}

func TestForwardTellsTargetFailuresApart(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	hang := make(chan struct{})
	slow := backend(t, func(http.ResponseWriter, *http.Request) { <-hang })
	t.Cleanup(func() { close(hang) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			_, _ = io.WriteString(c, "SSH-2.0-nope\r\n")
			_ = c.Close()
		}
	}()
	r := newRig(t, Options{},
		to("closed.test", closed.URL), to("slow.test", slow.URL, func(p *site.Proxy) { p.RequestTimeout = 0.1 }),
		to("ssh.test", "http://"+l.Addr().String()), to("metadata.test", "http://169.254.169.254/"),
		to("docker.test", "http://127.0.0.1:2375/"), to("service.test", "service:none"), to("stdio.test", "stdio:none"))
	r.set(to("self.test", "http://"+r.plain), to("selfname.test", "http://x.localhost:"+strings.Split(r.plain, ":")[1]))
	for name, want := range map[string]struct {
		status int
		code   string
	}{
		"closed": {502, "connect"}, "slow": {504, "timeout"}, "ssh": {502, "bad_answer"}, "metadata": {502, "refused_address"},
		"docker": {502, "refused_address"}, "self": {502, "refused_address"}, "selfname": {502, "refused_address"},
		"service": {503, "no_target"}, "stdio": {503, "no_target"},
	} {
		resp, body := r.get("http://" + name + ".test/")
		if resp.StatusCode != want.status || !strings.Contains(body, `"code":"`+want.code+`"`) || !strings.Contains(body, `"request_id":"`) ||
			resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	resp, body := r.get("http://closed.test/", header("Accept", "text/html,*/*"))
	if resp.StatusCode != 502 || !strings.HasPrefix(body, "<!doctype html>") || !strings.Contains(body, "Request ") {
		t.Errorf("a browser got %d %s", resp.StatusCode, body)
	}
}

func TestForwardRefusesLoopsThroughOtherDoors(t *testing.T) {
	var r *rig
	// A helper that sends everything back, as a balancer in front of us would.
	back := backend(t, func(w http.ResponseWriter, req *http.Request) {
		again, _ := http.NewRequest(http.MethodGet, "http://loop.test/", nil)
		again.Header = req.Header.Clone()
		resp, err := r.client().Do(again)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
	})
	r = newRig(t, Options{}, to("loop.test", back.URL))
	if resp, _ := r.get("http://loop.test/"); resp.StatusCode != http.StatusLoopDetected {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestForwardBoundsBodies(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
	})
	r := newRig(t, Options{}, to("app.test", b.URL, func(p *site.Proxy) { p.MaxBodyBytes = 1000 }))
	for _, c := range []struct {
		size    int
		chunked bool
		want    int
	}{{1000, false, 200}, {1001, false, 413}, {1000, true, 200}, {1001, true, 413}, {1 << 20, true, 413}} {
		for _, proto := range []func(*http.Transport){func(*http.Transport) {}, overH2} {
			req, _ := http.NewRequest(http.MethodPost, "https://app.test/", strings.NewReader(strings.Repeat("x", c.size)))
			if c.chunked {
				req.ContentLength = -1
			}
			resp, _ := do(t, r.client(proto), req)
			if resp.StatusCode != c.want {
				t.Errorf("%d bytes, chunked %v, %s: %d", c.size, c.chunked, resp.Proto, resp.StatusCode)
			}
		}
	}
}

func TestForwardVerifiesTheTargetsCertificate(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(hello))
	t.Cleanup(s.Close)
	ca := pemOf(s.Certificate())
	r := newRig(t, Options{}, to("strict.test", s.URL), to("ca.test", s.URL, func(p *site.Proxy) { p.TargetCA = ca }),
		to("insecure.test", s.URL, func(p *site.Proxy) { p.TargetInsecure = true }))
	for name, want := range map[string]int{"strict.test": 502, "ca.test": 200, "insecure.test": 200} {
		if resp, body := r.get("http://" + name + "/"); resp.StatusCode != want {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

func TestForwardReachesUnixSocketsByName(t *testing.T) {
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(hello)}
	go s.Serve(l)
	t.Cleanup(func() { _ = s.Close() })
	lookup := func(target string) (string, string, bool) { return "unix", path, target == "unix:app" }
	r := newRig(t, Options{Lookup: lookup}, to("app.test", "unix:app"), to("none.test", "unix:none"))
	if resp, body := r.get("http://app.test/"); resp.StatusCode != 200 || body != "hello app.test" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	if resp, _ := r.get("http://none.test/"); resp.StatusCode != 503 {
		t.Errorf("unknown name: %d", resp.StatusCode)
	}
}

func TestForwardResolvesLocalhostNamesItself(t *testing.T) {
	b := backend(t, hello)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(b.URL, "http://"))
	r := newRig(t, Options{}, to("app.test", "http://anything.localhost:"+port))
	if resp, body := r.get("http://app.test/"); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestForwardSurvivesTargetsThatCloseIdleConnections(t *testing.T) {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	r := newRig(t, Options{}, to("app.test", s.URL))
	for range 50 {
		if resp, body := r.get("http://app.test/"); resp.StatusCode != 200 {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
		s.CloseClientConnections()
	}
	if conns.Load() < 2 {
		t.Error("the target's connections were never replaced: the test shows nothing")
	}
}

func TestForwardRefusesCONNECT(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL))
	got := r.send("CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 405 ") {
		t.Errorf("%q", got)
	}
}

func TestHTTP2RefusesADifferentHostHeader(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL))
	c := r.dialTLS("app.test", "h2")
	defer c.Close()
	status := h2Get(t, c, "app.test", [2]string{"host", "other.test"})
	if status != "400" {
		t.Errorf("status %s", status)
	}
}

func TestForwardSpeaksHTTP2ToTargetsThatDo(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	r := newRig(t, Options{}, to("app.test", s.URL, func(p *site.Proxy) { p.TargetCA = pemOf(s.Certificate()) }))
	if resp, body := r.get("https://app.test/"); resp.StatusCode != 200 || body != "HTTP/2.0" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
