package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// result is what one run of the program left behind.
type result struct {
	out, err string
	code     int
}

// home is a folder of its own for one test: data, credentials, nothing else.
type home struct {
	t   *testing.T
	env []string
}

func newHome(t *testing.T, env ...string) *home {
	t.Helper()
	dir := t.TempDir()
	return &home{t, append([]string{"HOME=" + dir, "DATA_DIR=" + filepath.Join(dir, "data"), "XDG_CONFIG_HOME=" + filepath.Join(dir, "config")}, env...)}
}

// run runs the program in this process.
func (h *home) run(args ...string) result { return h.feed("", args...) }

// feed is run with something on stdin.
func (h *home) feed(stdin string, args ...string) result {
	h.t.Helper()
	return h.during(h.t.Context(), stdin, args...)
}

func (h *home) during(ctx context.Context, stdin string, args ...string) result {
	var out, errs bytes.Buffer
	code := run(ctx, args, h.env, strings.NewReader(stdin), &out, &errs)
	return result{out.String(), errs.String(), code}
}

// must is run that has to succeed; it gives stdout.
func (h *home) must(args ...string) string {
	h.t.Helper()
	r := h.run(args...)
	if r.code != exitOK {
		h.t.Fatalf("gatehouse %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// asked is a request that the stand-in for an API got.
type asked struct {
	method, uri, body, authorization, ifMatch string
}

// standIn answers every request with the same, and remembers what it was asked.
type standIn struct {
	*httptest.Server
	mu   sync.Mutex
	seen []asked
}

func newStandIn(t *testing.T, h http.HandlerFunc) *standIn {
	t.Helper()
	s := &standIn{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		s.mu.Lock()
		s.seen = append(s.seen, asked{r.Method, r.RequestURI, body.String(), r.Header.Get("Authorization"), r.Header.Get("If-Match")})
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) requests() []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]asked(nil), s.seen...)
}

// answering is a handler that gives one JSON answer.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}
