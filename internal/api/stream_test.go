package api

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/journal"
)

// stream reads server-sent events until the test ends.
func (s *system) stream(caller, path string) (<-chan string, context.CancelFunc) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set(callerHeader, caller)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		s.t.Fatalf("%s: %d %v", path, res.StatusCode, res.Header)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		defer res.Body.Close()
		scanner := bufio.NewScanner(res.Body)
		for scanner.Scan() {
			if scanner.Text() != "" {
				lines <- scanner.Text()
			}
		}
	}()
	s.t.Cleanup(cancel)
	if first := <-lines; first != ":" {
		s.t.Fatalf("%s begins with %q", path, first)
	}
	return lines, cancel
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	event, ok := <-lines
	data := <-lines
	if !ok {
		t.Fatal("the stream ended")
	}
	return event + " " + data
}

func TestEventsTellOfChanges(t *testing.T) {
	s := start(t)
	lines, _ := s.stream("user", "/events")
	for _, step := range []struct{ method, path, body, want string }{
		{"POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1"}`, `event: proxy_created data: {"event":"proxy_created","name":"a.localhost"}`},
		{"PUT", "/proxies/a.localhost", `{"enabled":false}`, `event: proxy_updated data: {"event":"proxy_updated","name":"a.localhost"}`},
		{"PUT", "/proxies/localhost", `{"auth_realm":"x"}`, `event: proxy_updated data: {"event":"proxy_updated","name":"localhost"}`},
		{"POST", "/routes/", `{"path_pattern":"/x","target_value":"http://127.0.0.1:1"}`, `event: route_changed data: {"event":"route_changed","name":"x"}`},
		{"DELETE", "/routes/x", ``, `event: route_changed data: {"event":"route_changed","name":"x"}`},
		{"DELETE", "/tokens/some-jti?kind=token", ``, `event: revoked data: {"event":"revoked"}`},
		{"DELETE", "/proxies/a.localhost", ``, `event: proxy_deleted data: {"event":"proxy_deleted","name":"a.localhost"}`},
	} {
		if got := s.ask("admin", step.method, step.path, step.body); got.status >= 300 {
			t.Fatalf("%s %s: %s", step.method, step.path, got.body)
		}
		if got := next(t, lines); got != step.want {
			t.Errorf("%s %s: %s", step.method, step.path, got)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s := start(t)
	for range maxStreams {
		s.api.streams <- struct{}{}
	}
	got := s.must(503, s.ask("user", "GET", "/events", ""))
	if got.header.Get("Retry-After") != "10" || !strings.Contains(got.body, "too many streams") {
		t.Errorf("%v %s", got.header, got.body)
	}
	<-s.api.streams
	_, cancel := s.stream("user", "/events")
	cancel()
	if head := s.must(200, s.ask("user", "HEAD", "/openapi.json", "")); head.body != "" {
		t.Error(head.body)
	}
}

func TestFollowShowsAUserTheirOwnEntriesOnly(t *testing.T) {
	s := start(t)
	all, _ := s.stream("admin", "/logs/follow?kind=request")
	own, _ := s.stream("user", "/logs/follow")
	for _, user := range []string{"local:bob", "local:ann", "local:eve"} {
		s.journal.Write(&journal.Entry{Kind: journal.Request, User: user, Method: "GET", Path: "/" + user, Status: 200})
	}
	for _, user := range []string{"local:bob", "local:ann", "local:eve"} {
		if got := next(t, all); !strings.Contains(got, user) || !strings.HasPrefix(got, "event: log data: {") {
			t.Errorf("the administrator sees %s", got)
		}
	}
	if got := next(t, own); !strings.Contains(got, "/local:ann") {
		t.Errorf("the user sees %s", got)
	}
	if got := s.ask("user", "GET", "/logs/follow?user=local:bob", ""); got.status != 403 {
		t.Errorf("others' entries: %d", got.status)
	}
	if got := s.ask("user", "GET", "/logs/follow?nope=1", ""); got.status != 422 {
		t.Errorf("unknown filter: %d", got.status)
	}
}
