package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// ticking is a backend with plain answers, a server-sent event every 100 ms and
// a WebSocket that echoes.
func ticking(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; r.Context().Err() == nil; n++ {
			fmt.Fprintf(w, "data: %d\n\n", n)
			w.(http.Flusher).Flush()
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// TestChangesCutNothing makes, changes, disables and deletes proxies and routes
// while another proxy is under load: 200 requests a second, 50 event streams
// and 50 WebSockets, not one of which may fail or be cut.
func TestChangesCutNothing(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve")
	api := s.admin()
	backend := ticking(t)
	api.create("load.localhost", backend.URL)

	seconds := 6
	if whole() {
		seconds = 60
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var failed, requests, events, echoes atomic.Int64
	report := func(format string, args ...any) {
		if ctx.Err() == nil && failed.Add(1) <= 5 {
			t.Errorf(format, args...)
		}
	}
	var open, all sync.WaitGroup
	for range 50 {
		open.Add(2)
		all.Go(func() { readEvents(ctx, s, open.Done, &events, report) })
		all.Go(func() { echo(ctx, s, open.Done, &echoes, report) })
	}
	open.Wait()
	pooled := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: loopback, MaxIdleConnsPerHost: 50,
		TLSClientConfig: &tls.Config{RootCAs: s.roots()}, ForceAttemptHTTP2: false}}
	for range 10 {
		all.Go(func() { request(ctx, pooled, s.url("load.localhost", "/"), 50*time.Millisecond, &requests, report) })
	}

	changes := 0
	for until := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(until); changes++ {
		change(t, api, backend.URL, changes)
	}
	stop()
	all.Wait()
	t.Logf("%d rounds of changes, %d requests, %d events, %d echoes, %d failures", changes, requests.Load(), events.Load(), echoes.Load(), failed.Load())
	if requests.Load() < int64(100*seconds) || events.Load() < int64(200*seconds) || echoes.Load() < int64(200*seconds) {
		t.Error("the load was not there: the test showed nothing")
	}
}

// change is one round: a proxy and its route come, change, go off and go.
func change(t *testing.T, api *api, target string, n int) {
	t.Helper()
	host, route := fmt.Sprintf("c%d.localhost", n%7), fmt.Sprintf("r%d", n)
	api.create(host, target)
	api.do("POST", "/routes/", fmt.Sprintf(`{"route_id":%q,"path_pattern":"/x","target_value":%q,"scope":"proxy","proxy_hostnames":[%q]}`, route, target, host), 201)
	api.do("PUT", "/routes/"+route, `{"priority":60}`, 200)
	api.do("PUT", "/proxies/"+host, `{"custom_headers":{"X-Round":"`+route+`"}}`, 200)
	api.do("PUT", "/proxies/"+host, `{"enabled":false}`, 200)
	if got := get(t, api.s.client(), strings.Replace(api.s.HTTP, "localhost", host, 1)+"/").StatusCode; got != http.StatusServiceUnavailable {
		t.Fatalf("a disabled host answered %d, want 503", got)
	}
	api.do("DELETE", "/routes/"+route, "", 200)
	api.do("DELETE", "/proxies/"+host, "", 200)
}

func request(ctx context.Context, c *http.Client, url string, every time.Duration, n *atomic.Int64, report func(string, ...any)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		res, err := c.Get(url)
		if err != nil {
			report("request: %v", err)
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || string(body) != "ok" {
			report("request: %d %q %v", res.StatusCode, body, err)
		}
		n.Add(1)
	}
}

func readEvents(ctx context.Context, s *server, open func(), n *atomic.Int64, report func(string, ...any)) {
	c := &http.Client{Transport: &http.Transport{DialContext: loopback}}
	req, err := http.NewRequestWithContext(ctx, "GET", strings.Replace(s.HTTP, "localhost", "load.localhost", 1)+"/events", nil)
	if err != nil {
		open()
		report("events: %v", err)
		return
	}
	res, err := c.Do(req)
	open()
	if err != nil {
		report("events: %v", err)
		return
	}
	defer res.Body.Close()
	buf := make([]byte, 256)
	for {
		if _, err := res.Body.Read(buf); err != nil {
			report("an event stream was cut: %v", err)
			return
		}
		n.Add(1)
	}
}

func echo(ctx context.Context, s *server, open func(), n *atomic.Int64, report func(string, ...any)) {
	c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(strings.Replace(s.HTTP, "localhost", "load.localhost", 1), "http")+"/ws",
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: loopback}}})
	open()
	if err != nil {
		report("websocket: %v", err)
		return
	}
	defer c.CloseNow()
	for ctx.Err() == nil {
		if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			report("a WebSocket was cut: %v", err)
			return
		}
		if _, _, err := c.Read(ctx); err != nil {
			report("a WebSocket was cut: %v", err)
			return
		}
		n.Add(1)
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
