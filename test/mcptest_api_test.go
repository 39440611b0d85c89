package test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// results are the events of a compliance test that the API streams.
func results(t *testing.T, stream string) (kinds map[string]int, last string) {
	t.Helper()
	kinds = map[string]int{}
	for line := range strings.Lines(stream) {
		if kind, is := strings.CutPrefix(strings.TrimSpace(line), "event: "); is {
			kinds[kind]++
		}
		if data, is := strings.CutPrefix(strings.TrimSpace(line), "data: "); is {
			last = data
		}
	}
	return kinds, last
}

// TestTheAPITestsAHostAndReachesNothingElse: a test of a host comes as a stream, goes
// through the data path, and can't be sent elsewhere by what the host's backend says.
func TestTheAPITestsAHostAndReachesNothingElse(t *testing.T) {
	t.Parallel()
	o := newOffice(t, []string{"RATE_LIMITS=off"}, "first")
	o.alice.login("--scope", "admin")
	api := &api{o.server, o.token()}

	token := strings.TrimSpace(o.alice.login("--resource", o.mcp("first"), "--print-token"))
	got := api.do("POST", "/mcp-servers/first.localhost/test", `{"protocol":"2025-11-25","token":"`+token+`"}`, 200)
	kinds, last := results(t, got.Body)
	var report compliance
	decode(t, last, &report)
	if got.Header.Get("Content-Type") != "text/event-stream" || kinds["report"] != 1 || kinds["result"] != report.Totals.Checks || report.Totals.Checks < 100 || report.Totals.Failed > 0 || report.Totals.Passed < 85 {
		t.Errorf("%v %+v\n%s", kinds, report.Totals, last)
	}
	if strings.Contains(got.Body, token) || strings.Contains(o.said(), token) || strings.Contains(o.local("log", "search", "--limit", "1000", "--format", "json"), token) {
		t.Error("the token was told")
	}
	for body, status := range map[string]int{`{"category":"nope"}`: 422, `{"protocol":"1"}`: 422, `{"token":"a b"}`: 422} {
		api.do("POST", "/mcp-servers/first.localhost/test", body, status)
	}

	o.elsewhereIsNotReached(t, api)
	o.oneTestAHost(t, api)
}

// elsewhereIsNotReached has a backend point at a listener of this machine in every
// way that a client would follow.
func (o *office) elsewhereIsNotReached(t *testing.T, api *api) {
	var reached atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(inside.Close)
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+inside.URL+`/.well-known/oauth-protected-resource"`)
		w.Header().Set("Location", inside.URL)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(bad.Close)
	o.local("proxy", "create", "bad.localhost", bad.URL)
	got := api.do("POST", "/mcp-servers/bad.localhost/test", `{}`, 200)
	if !strings.Contains(got.Body, "is not asked from here") || reached.Load() != 0 {
		t.Errorf("the inside was reached %d times:\n%s", reached.Load(), got.Body)
	}
}

// oneTestAHost has a backend that does not answer: meanwhile nobody else tests it, and
// the test ends with its client.
func (o *office) oneTestAHost(t *testing.T, api *api) {
	asked, gone := make(chan struct{}, 100), make(chan struct{}, 100)
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else net/http does not look whether the client is gone
		asked <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	}))
	t.Cleanup(func() { slow.CloseClientConnections(); slow.Close() })
	o.local("proxy", "create", "slow.localhost", slow.URL)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := send(ctx, o.client(), "POST", o.Direct+"/mcp-servers/slow.localhost/test", `{}`, "Authorization: Bearer "+api.token, "Content-Type: application/json")
		ended <- err
	}()
	select {
	case <-asked:
	case <-time.After(30 * time.Second):
		t.Fatal("the backend was not asked")
	}
	if got := api.do("POST", "/mcp-servers/slow.localhost/test", `{}`, 429); got.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	cancel()
	<-ended
	select {
	case <-gone:
	case <-time.After(8 * time.Second): // sooner than the test would give up by itself
		t.Error("the backend is asked on, for nobody")
	}
	o.await(20*time.Second, "free place", func() bool {
		return api.ask("POST", "/mcp-servers/slow.localhost/test", `{"category":"nope"}`).StatusCode == 422
	})
}
