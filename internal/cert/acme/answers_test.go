package acme

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	wire "github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// disk is a store in a folder of its own and a sealer for it.
func disk(t testing.TB) (store.Store, *store.Sealer) {
	t.Helper()
	kv, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	sealer, err := store.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	return kv, sealer
}

var quiet = slog.New(slog.DiscardHandler)

func challenge(kind, domain, token string) wire.Challenge {
	return wire.Challenge{Type: kind, Token: token, KeyAuthorization: token + ".thumb", Identifier: wire.Identifier{Type: "dns", Value: domain}}
}

func askFor(a *Answers, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest(method, "http://any.example"+path, nil))
	return w
}

// TestAnyNodeAnswers: what one node's order needs answered, another node answers.
func TestAnyNodeAnswers(t *testing.T) {
	kv, sealer := disk(t)
	here, there := NewAnswers(kv, sealer, quiet), NewAnswers(kv, sealer, quiet)
	c := challenge(HTTP01, "a.example.com", "tok-1")
	if err := here.present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Answers{here, there} {
		if w := askFor(a, "GET", HTTP01Path+"tok-1"); w.Code != 200 || w.Body.String() != "tok-1.thumb" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	alpn := challenge(TLSALPN01, "b.example.com", "tok-2")
	if err := here.present(t.Context(), alpn); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Answers{here, there} {
		cert := a.Handshake(t.Context(), "b.example.com")
		if cert == nil {
			t.Fatal("no certificate for the validation")
		}
		if !strings.Contains(certText(cert), "b.example.com") {
			t.Errorf("it is for %s", certText(cert))
		}
		if w := askFor(a, "GET", HTTP01Path+"tok-2"); w.Code != 404 {
			t.Errorf("the answer to TLS-ALPN-01 is told over HTTP: %d", w.Code)
		}
		if a.Handshake(t.Context(), "a.example.com") != nil || a.Handshake(t.Context(), "") != nil {
			t.Error("a validation that nobody asked for is answered")
		}
	}
	here.cleanUp(t.Context(), c)
	here.cleanUp(t.Context(), alpn)
	for _, a := range []*Answers{here, there} {
		if w := askFor(a, "GET", HTTP01Path+"tok-1"); w.Code != 404 {
			t.Errorf("after the order it is still answered: %d", w.Code)
		}
	}
	if there.Handshake(t.Context(), "b.example.com") != nil {
		t.Error("after the order the validation is still answered")
	}
}

func certText(c *tls.Certificate) string { return strings.Join(c.Leaf.DNSNames, ",") }

// TestAnswersReachOtherNodesMemory: strangers' floods of look-ups don't hold up
// what the watch brought.
func TestAnswersReachOtherNodesMemory(t *testing.T) {
	kv, sealer := disk(t)
	here, there := NewAnswers(kv, sealer, quiet), NewAnswers(kv, sealer, quiet)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- there.Run(ctx) }()
	has := func() bool {
		there.mu.RLock()
		defer there.mu.RUnlock()
		return len(there.known) > 0
	}
	wait := func(want bool) {
		for deadline := time.Now().Add(5 * time.Second); has() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("memory has it: %t, not %t", has(), want)
			}
		}
	}
	c := challenge(HTTP01, "a.example.com", "tok-1")
	if err := here.present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	wait(true)
	for range lookers { // all that may look into the store are at it
		there.looks <- struct{}{}
	}
	begin := time.Now()
	if w := askFor(there, "GET", HTTP01Path+"tok-1"); w.Code != 200 {
		t.Errorf("under a flood: %d", w.Code)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("under a flood it took %v", took)
	}
	if w := askFor(there, "GET", HTTP01Path+"tok-unknown"); w.Code != 404 {
		t.Errorf("a stranger's token under a flood: %d", w.Code)
	}
	here.cleanUp(t.Context(), c)
	wait(false)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestStrangersTokensFindNothing whatever they look like, and leave nothing behind.
func TestStrangersTokensFindNothing(t *testing.T) {
	kv, sealer := disk(t)
	a := NewAnswers(kv, sealer, quiet)
	if err := a.present(t.Context(), challenge(TLSALPN01, "b.example.com", "tok")); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", "x", "..", "tls-alpn-01:b.example.com", "a/b", "tok%00", "probe-", "probe-AAAA", strings.Repeat("a", 257), "t%C3%B6k", "tok."} {
		if w := askFor(a, "GET", HTTP01Path+token); w.Code != 404 || w.Body.String() != "no such challenge\n" {
			t.Errorf("%q: %d %s", token, w.Code, w.Body)
		}
	}
	if err := a.present(t.Context(), challenge(HTTP01, "a.example.com", "tok-1")); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if w := askFor(a, method, HTTP01Path+"tok-1"); w.Code != 404 {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	if w := askFor(a, http.MethodHead, HTTP01Path+"tok-1"); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
	if n := len(a.known); n != 2 {
		t.Errorf("%d answers are remembered", n)
	}
	if err := a.present(t.Context(), challenge(HTTP01, "a.example.com", "../x")); err == nil {
		t.Error("a malformed token of an authority is stored")
	}
}

// TestProbesAreAnsweredByEveryNodeForAMinute, and can't be made by others.
func TestProbesAreAnsweredByEveryNodeForAMinute(t *testing.T) {
	kv, sealer := disk(t)
	here, there := NewAnswers(kv, sealer, quiet), NewAnswers(kv, sealer, quiet)
	path, body := here.Probe(time.Now())
	if w := askFor(there, "GET", path); w.Code != 200 || w.Body.String() != body {
		t.Errorf("another node: %d %s, not %s", w.Code, w.Body, body)
	}
	_, foreign := disk(t)
	forged, _ := NewAnswers(kv, foreign, quiet).Probe(time.Now())
	old, _ := here.Probe(time.Now().Add(-2 * time.Minute))
	early, _ := here.Probe(time.Now().Add(2 * time.Minute))
	for _, path := range []string{forged, old, early} {
		if w := askFor(there, "GET", path); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestAnswersAreSealed: who reads the store can't answer for us.
func TestAnswersAreSealed(t *testing.T) {
	kv, sealer := disk(t)
	if err := NewAnswers(kv, sealer, quiet).present(t.Context(), challenge(HTTP01, "a.example.com", "tok-1")); err != nil {
		t.Fatal(err)
	}
	item, err := kv.Get(t.Context(), prefixAnswer+"tok-1")
	if err != nil || strings.Contains(string(item.Value), "thumb") || item.Expires.IsZero() {
		t.Errorf("%v %q expires %v", err, item.Value, item.Expires)
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"tok", "probe-AAAA", "../../etc", "%00", strings.Repeat("a", 300)} {
		f.Add(s)
	}
	kv, sealer := disk(f)
	a := NewAnswers(kv, sealer, quiet)
	f.Fuzz(func(t *testing.T, token string) {
		r := httptest.NewRequest(http.MethodGet, "http://x/", nil)
		r.URL.Path = HTTP01Path + token
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != 404 {
			t.Errorf("%q: %d", token, w.Code)
		}
	})
}
