package edge

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/site"
)

// spare is a backend that can be killed and started again at its address.
type spare struct {
	t       testing.TB
	name    string
	address string
	handler http.Handler
	server  *httptest.Server
	asked   atomic.Int64
}

func newSpare(t testing.TB, name string, h http.HandlerFunc) *spare {
	t.Helper()
	s := &spare{t: t, name: name, address: "127.0.0.1:0"}
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if h != nil {
			h(w, r)
			return
		}
		_, _ = io.WriteString(w, name)
	})
	s.start()
	t.Cleanup(func() { s.kill() })
	return s
}

func (s *spare) start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = l.Addr().String()
	s.server = httptest.NewUnstartedServer(s.handler)
	_ = s.server.Listener.Close()
	s.server.Listener = l
	s.server.Start()
}

func (s *spare) kill() {
	s.server.CloseClientConnections()
	s.server.Close()
}

func (s *spare) url() string { return "http://" + s.address }

// behind is a proxy with these targets.
func behind(policy string, spares ...*spare) site.Proxy {
	return to("app.test", "", func(p *site.Proxy) {
		p.LBPolicy = policy
		for _, s := range spares {
			p.Targets = append(p.Targets, site.WeightedTarget{URL: s.url(), Weight: 1})
		}
	})
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			r.t.Fatal("never: " + what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestARequestThatMayHaveHappenedIsNotRepeated(t *testing.T) {
	cut := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	for _, c := range []struct {
		method, body string
		asked        int64
	}{
		{"GET", "", 2}, {"HEAD", "", 2}, {"DELETE", "", 2}, {"PUT", "x", 1}, {"POST", "", 1}, {"POST", "x", 1}, {"PATCH", "x", 1},
	} {
		a, b := newSpare(t, "a", cut), newSpare(t, "b", cut)
		r := newRig(t, Options{}, behind(site.RoundRobin, a, b))
		req, err := http.NewRequest(c.method, "http://app.test/", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if resp, _ := do(t, r.client(), req); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s %q: %d", c.method, c.body, resp.StatusCode)
		}
		if n := a.asked.Load() + b.asked.Load(); n != c.asked {
			t.Errorf("%s %q was sent %d times", c.method, c.body, n)
		}
	}
}

func TestABodyThatWasNotSentGoesToTheOtherTarget(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-For", strings.Join(r.Header["X-Forwarded-For"], "|"))
		_, _ = io.Copy(w, r.Body)
	}
	a, b := newSpare(t, "a", echo), newSpare(t, "b", echo)
	r := newRig(t, Options{}, behind(site.RoundRobin, a, b))
	a.kill()
	for range 6 {
		req, err := http.NewRequest(http.MethodPost, "http://app.test/", struct{ io.Reader }{strings.NewReader("the body")})
		if err != nil {
			t.Fatal(err)
		}
		if resp, body := do(t, r.client(), req); resp.StatusCode != http.StatusOK || body != "the body" || resp.Header.Get("X-For") != "127.0.0.1" {
			t.Fatalf("%d %q %v", resp.StatusCode, body, resp.Header)
		}
	}
}

func TestAllTargetsDeadIsAnsweredAtOnceAndEndsWithThem(t *testing.T) {
	a, b := newSpare(t, "a", nil), newSpare(t, "b", nil)
	r := newRig(t, Options{}, behind(site.LeastConn, a, b))
	a.kill()
	b.kill()
	for range 3 {
		if resp, _ := r.get("http://app.test/"); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%d", resp.StatusCode)
		}
	}
	b.start()
	if resp, body := r.get("http://app.test/"); resp.StatusCode != http.StatusOK || body != "b" {
		t.Errorf("with one back: %d %s", resp.StatusCode, body)
	}
}

func TestHealthChecksSpeakAsTheHostDoes(t *testing.T) {
	var ill atomic.Bool
	var leaked sync.Map
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/base/healthz" {
			for _, name := range []string{"Authorization", "Cookie", "X-Secret"} {
				if r.Header.Get(name) != "" {
					leaked.Store(name, true)
				}
			}
			if ill.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return
		}
		_, _ = io.WriteString(w, "served")
	}
	for _, version := range []string{"off", "v1", "v2"} {
		t.Run(version, func(t *testing.T) {
			ill.Store(true)
			s := newSpare(t, "a", h)
			target := s.url()
			if version != "off" {
				front := behindProxyHeader(t, s.address)
				target = "http://" + front
			}
			r := newRig(t, Options{}, to("app.test", target+"/base", func(p *site.Proxy) {
				p.HealthPath, p.SendProxyProtocol = "/healthz", version
				p.CustomHeaders = map[string]string{"X-Secret": "y"}
			}))
			status := func() int { resp, _ := r.get("http://app.test/"); return resp.StatusCode }
			r.until("503 for an ill target", func() bool { return status() == http.StatusServiceUnavailable })
			if got := r.TargetStates("app.test", time.Now()); len(got) != 1 || got[0].Healthy {
				t.Errorf("%+v", got)
			}
			ill.Store(false)
			r.until("well again", func() bool { return status() == http.StatusOK })
		})
	}
	leaked.Range(func(name, _ any) bool { t.Errorf("the check sent %s", name); return true })
}

// behindProxyHeader takes connections that begin with a PROXY header alone.
func behindProxyHeader(t *testing.T, address string) string {
	t.Helper()
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
			go func() {
				defer c.Close()
				head := make([]byte, 12)
				if _, err := io.ReadFull(c, head); err != nil {
					return
				}
				switch {
				case strings.HasPrefix(string(head), "PROXY "):
					for b := make([]byte, 1); b[0] != '\n'; {
						if _, err := c.Read(b); err != nil {
							return
						}
					}
				case string(head) == "\r\n\r\n\x00\r\nQUIT\n":
					rest := make([]byte, 4)
					_, _ = io.ReadFull(c, rest)
					_, _ = io.CopyN(io.Discard, c, int64(rest[2])<<8+int64(rest[3]))
				default:
					return
				}
				up, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer up.Close()
				go func() { _, _ = io.Copy(up, c) }()
				_, _ = io.Copy(c, up)
			}()
		}
	}()
	return l.Addr().String()
}

func TestPassthroughGoesToTheTargetThatLives(t *testing.T) {
	tls := func() *httptest.Server {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "raw") }))
		t.Cleanup(s.Close)
		return s
	}
	a, b := tls(), tls()
	r := newRig(t, Options{}, to("raw.test", "", func(p *site.Proxy) {
		p.TLSMode = site.TLSPassthrough
		p.Targets = []site.WeightedTarget{{URL: a.URL, Weight: 1}, {URL: b.URL, Weight: 1}}
	}))
	a.Close()
	for range 5 {
		c := r.client(func(tr *http.Transport) { tr.TLSClientConfig.InsecureSkipVerify = true })
		req, err := http.NewRequest(http.MethodGet, "https://raw.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, body := do(t, c, req); body != "raw" {
			t.Errorf("%q", body)
		}
	}
}

func TestAnUpgradeGoesToTheTargetThatLives(t *testing.T) {
	a, b := newSpare(t, "a", nil), backend(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nswitched")
	})
	r := newRig(t, Options{}, to("app.test", "", func(p *site.Proxy) {
		p.UpgradeProtocols = []string{"echo"}
		p.Targets = []site.WeightedTarget{{URL: a.url(), Weight: 1}, {URL: b.URL, Weight: 1}}
	}))
	a.kill()
	for range 3 {
		got := r.send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 101") || !strings.HasSuffix(got, "switched") {
			t.Errorf("%q", got)
		}
	}
}

func TestATargetThatIsNotThereGetsNoTurns(t *testing.T) {
	a := newSpare(t, "a", nil)
	r := newRig(t, Options{}, to("app.test", "", func(p *site.Proxy) {
		p.Targets = []site.WeightedTarget{{URL: "service:gone", Weight: 9}, {URL: a.url(), Weight: 1}}
	}))
	for range 6 {
		if resp, body := r.get("http://app.test/"); resp.StatusCode != http.StatusOK || body != "a" {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
}
