// Package bench measures parts of Gatehouse together, side by side with what
// they are compared to. Read the figures as ratios of one run: machines are
// noisy. Client and backend run in the same process, so their share is in every
// figure; the first two lines say how large it is.
package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/edge"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// BenchmarkRequest is one small GET on a connection that is kept: straight to
// the backend, through the standard library's proxy, through Gatehouse without
// sign-in, and through Gatehouse with the same access token each time.
func BenchmarkRequest(b *testing.B) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	b.Cleanup(backend.Close)
	target, err := url.Parse(backend.URL)
	if err != nil {
		b.Fatal(err)
	}
	plain := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() }})
	b.Cleanup(plain.Close)
	g := newGatehouse(b, backend.URL)

	b.Run("backend", func(b *testing.B) { measure(b, backend.URL, "", "") })
	b.Run("httputil", func(b *testing.B) { measure(b, plain.URL, "", "") })
	b.Run("gatehouse", func(b *testing.B) { measure(b, g.address, "open.localhost", "") })
	b.Run("gatehouse-token", func(b *testing.B) { measure(b, g.address, "app.localhost", g.token) })
}

// measure reports time, CPU time of the whole process, and allocations a request.
func measure(b *testing.B, address, host, token string) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address+"/", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	req.Host = host
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	once := func() {
		res, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			b.Fatalf("%d %s %v", res.StatusCode, body, err)
		}
	}
	once()
	b.ReportAllocs()
	b.ResetTimer()
	began := cpu(b)
	for range b.N {
		once()
	}
	b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// gatehouse is the request path as serve wires it: edge, gate and journal over
// the embedded store, with one open and one protected host.
type gatehouse struct {
	address string // plain HTTP, which loopback may use for names under localhost
	token   string // for app.localhost
}

func newGatehouse(b *testing.B, target string) *gatehouse {
	b.Helper()
	kv, err := boltstore.Open(b.TempDir(), boltstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = kv.Close() })
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	sealer, err := store.NewSealer(key)
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	record, err := journal.New(kv, journal.Options{Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	world := worldOf(b, listener, target)
	server, err := oauth.New(oauth.Options{KV: kv, Sealer: sealer, World: func() *site.World { return world }, Recorder: record, Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	e := edge.New(edge.Options{Gate: server, Certificates: none{}, Recorder: record, Logger: log})
	e.AddHTTP(listener)
	e.SetWorld(world)
	run(b, e.Run, record.Run)
	return &gatehouse{"http://" + listener.Addr().String(), tokenFor(b, server, world)}
}

// none has no certificate: plain HTTP needs none.
type none struct{}

func (none) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, http.ErrNotSupported }

func run(b *testing.B, parts ...func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, len(parts))
	for _, part := range parts {
		go func() { _ = part(ctx); done <- struct{}{} }()
	}
	b.Cleanup(func() {
		cancel()
		for range parts {
			<-done
		}
	})
}

func worldOf(b *testing.B, l net.Listener, target string) *site.World {
	b.Helper()
	open, app := site.Default("open.localhost"), site.Default("app.localhost")
	open.TargetURL, app.TargetURL = target, target
	app.AuthEnabled, app.AuthRequiredUsers, app.OAuthUserUsers, app.ResourceEndpoint = true, []string{"octocat"}, []string{"octocat"}, "/"
	origins := site.Origins{BaseDomain: "localhost", HTTPPort: l.Addr().(*net.TCPAddr).Port, HTTPSPort: 443}
	world, errs := site.NewWorld(origins, []site.Proxy{open, app, site.SignInProxy("auth.localhost")}, nil, nil)
	if len(errs) > 0 {
		b.Fatal(errs)
	}
	return world
}

// tokenFor is an access token for app.localhost by the device flow.
func tokenFor(b *testing.B, s *oauth.Server, w *site.World) string {
	b.Helper()
	var device struct {
		Code     string `json:"device_code"`
		UserCode string `json:"user_code"`
	}
	post(b, s, w, "/device/code", url.Values{"client_id": {"device_flow_client"}, "scope": {"user"}}, &device)
	v := visit(w, "auth.localhost", "/device")
	ctx := site.WithVisit(b.Context(), v)
	pending, err := s.DeviceByUserCode(ctx, v, device.UserCode)
	if err != nil {
		b.Fatal(err)
	}
	person := oauth.Person{Subject: "github:1", User: "octocat", Provider: "github", AuthTime: time.Now()}
	if err := s.ApproveDevice(ctx, pending.Device, person, pending.Scopes); err != nil {
		b.Fatal(err)
	}
	var token struct {
		Access string `json:"access_token"`
	}
	post(b, s, w, "/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device.Code}, "client_id": {"device_flow_client"}}, &token)
	return token.Access
}

func visit(w *site.World, name, path string) *site.Visit {
	loopback := netip.MustParseAddr("127.0.0.1")
	return &site.Visit{RequestID: "bench", Host: w.Find(name), Name: name, Path: site.ParsePath(path), Origin: w.Origins.Of(name, false),
		SignIn: w.Origins.SignIn(false), Client: loopback, Peer: loopback, Loopback: true}
}

func post(b *testing.B, s *oauth.Server, w *site.World, path string, form url.Values, into any) {
	b.Helper()
	v := visit(w, "app.localhost", path)
	v.Route, _ = v.Host.Match(http.MethodPost, v.Path)
	req := httptest.NewRequestWithContext(site.WithVisit(b.Context(), v), http.MethodPost, v.Origin+path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, req)
	if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil || answer.Code != http.StatusOK {
		b.Fatalf("%s: %d %s", path, answer.Code, answer.Body)
	}
}
