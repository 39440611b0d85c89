package redisstore_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/redistest"
)

// TestTheDocumentedACLSuffices makes the user of docs/redis.md and uses the store
// as that user: everything works, and keys of others can't be touched.
func TestTheDocumentedACLSuffices(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/redis.md")
	must(t, err)
	_, rule, found := strings.Cut(string(page), "    user gatehouse ")
	if !found {
		t.Fatal("docs/redis.md has no ACL rule")
	}
	rule, _, _ = strings.Cut(rule, "\n")
	const password = "0123456789abcdef0123456789abcdef"
	rule = strings.Replace(rule, "PASSWORD", password, 1)
	server := redistest.Start(t, redistest.Options{})
	server.CLI(t, append([]string{"acl", "setuser", "gatehouse"}, strings.Fields(rule)...)...)
	s := open(t, redisstore.Options{Addrs: []string{server.Addr()}, Username: "gatehouse", Password: password, Prefix: "gh:", Mirror: true})
	events := s.Watch(t.Context(), "")
	next(t, events)
	commit(t, s, put("proxy:a", "{}"), store.Write{Key: "short", Value: []byte("v"), If: 0, TTL: 50 * time.Millisecond})
	for _, want := range []string{"proxy:a", "short", "short"} { // the last is its expiry
		if e := next(t, events); e.Key != want {
			t.Fatalf("got %+v, want %s", e, want)
		}
	}
	must2(s.Take(t.Context(), "proxy:a"))(t)
	must(t, s.ShowLines(t.Context(), []store.Line{{At: time.Now(), Text: []byte("x")}}))
	lease, err := s.Lock(t.Context(), "l", time.Second)
	must(t, err)
	lease.Unlock()
	at := time.Now().Add(-48 * time.Hour)
	must2(s.Append(t.Context(), store.Block{Log: "audit", First: at, Last: at, Data: []byte("x")}, true))(t)
	n := 0
	must(t, s.Range(t.Context(), "audit", time.Time{}, time.Time{}, true, func(store.Block) bool { n++; return true }))
	must(t, s.Drop(t.Context(), "audit", time.Now()))
	if d, err := s.Describe(t.Context()); err != nil || d.Bytes == 0 || n != 1 {
		t.Errorf("%+v (%v), %d blocks", d, err, n)
	}
	server.CLI(t, "del", "gh:kv:id")
	eventually(t, "the loss is noticed", func() bool { return s.Ready() != nil })
	must2(s.Push(t.Context()))(t)
	if out := server.CLI(t, "--user", "gatehouse", "--pass", password, "get", "other:key"); !strings.Contains(out, "NOPERM") {
		t.Errorf("the user reads the keys of others: %s", out)
	}
	if out := server.CLI(t, "--user", "gatehouse", "--pass", password, "config", "get", "*"); !strings.Contains(out, "NOPERM") {
		t.Errorf("the user administers the server: %s", out)
	}
}
