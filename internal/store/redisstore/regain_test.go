package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/redistest"
)

// lost is a store with a mirror and another node's, whose Redis was emptied.
func lost(t *testing.T) (a, b *opened, server *redistest.Server) {
	t.Helper()
	server = redistest.Start(t, redistest.Options{})
	o := redisstore.Options{Addrs: []string{server.Addr()}, Mirror: true}
	a, b = open(t, o), open(t, o)
	commit(t, a, put("proxy:one", "1"), put("proxy:two", "2"), store.Write{Key: "grant", Value: []byte("long"), If: 0, TTL: 48 * time.Hour},
		store.Write{Key: "code", Value: []byte("short"), If: 0, TTL: time.Minute})
	eventually(t, "the mirror has it", func() bool { return a.Mirrored() == 3 })
	server.CLI(t, "flushall")
	for _, s := range []*opened{a, b} {
		eventually(t, "the loss is noticed", func() bool { return s.Ready() != nil })
	}
	return a, b, server
}

func TestPushWritesBackWhatTheNodeHas(t *testing.T) {
	t.Parallel()
	a, b, server := lost(t)
	events := b.Watch(t.Context(), "")
	next(t, events)
	n, err := a.Push(t.Context())
	must(t, err)
	if n != 3 {
		t.Errorf("%d keys were written, want 3", n)
	}
	eventually(t, "the other node goes on", works(b))
	if e := next(t, events); e.Kind != store.Reload {
		t.Errorf("the other node was told of %+v", e)
	}
	for key, want := range map[string]string{"proxy:one": "1", "proxy:two": "2", "grant": "long"} {
		item, err := b.Get(t.Context(), key)
		must(t, err)
		if string(item.Value) != want {
			t.Errorf("%s is %q", key, item.Value)
		}
		if left := time.Until(item.Expires); key == "grant" && (left > 48*time.Hour || left < 47*time.Hour) {
			t.Errorf("the grant ends in %s", left)
		}
	}
	if got := server.CLI(t, "scard", "proxies"); got != "2" {
		t.Errorf("%s proxies are listed", got)
	}
	if _, err := a.Push(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second push: %v, want Conflict", err)
	}
	if err := a.Accept(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Errorf("accepting one's own: %v, want Conflict", err)
	}
}

func TestAcceptTakesTheEmptyWorld(t *testing.T) {
	t.Parallel()
	a, b, _ := lost(t)
	must(t, a.Accept(t.Context()))
	eventually(t, "the other node goes on", works(b))
	for _, s := range []*opened{a, b} {
		items, err := s.List(t.Context(), "", "", 0)
		must(t, err)
		if len(items) != 0 {
			t.Errorf("there is %d of the old world", len(items))
		}
	}
	commit(t, b, put("k", "new"))
	item, err := a.Get(t.Context(), "k")
	must(t, err)
	if string(item.Value) != "new" {
		t.Errorf("k is %q", item.Value)
	}
}

// TestABrokenPushIsTakenForNothing leaves Redis as a push does that was cut off
// half way.
func TestABrokenPushIsTakenForNothing(t *testing.T) {
	t.Parallel()
	a, b, server := lost(t)
	server.CLI(t, "set", "kv:id", "pushing-x")
	server.CLI(t, "set", "proxy:one", "half")
	if _, err := b.Get(t.Context(), "proxy:one"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("reading half of what was pushed: %v", err)
	}
	if err := b.Accept(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Errorf("accepting it: %v", err)
	}
	o := a.options
	o.Patience = 300 * time.Millisecond
	if _, err := redisstore.Open(t.Context(), o); !fault.Is(err, fault.Unavailable) {
		t.Errorf("starting on it: %v", err)
	}
	_, err := a.Push(t.Context())
	must(t, err)
	item, err := a.Get(t.Context(), "proxy:one")
	must(t, err)
	if string(item.Value) != "1" {
		t.Errorf("proxy:one is %q", item.Value)
	}
}

func TestPushDoesNotMixInstallations(t *testing.T) {
	t.Parallel()
	a, _, server := lost(t)
	other := open(t, redisstore.Options{Addrs: []string{server.Addr()}}) // a node that knows nothing begins anew
	commit(t, other, put("k", "theirs"))
	_, err := a.Push(t.Context())
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "another installation") {
		t.Errorf("got %v, want Conflict", err)
	}
	must(t, a.Accept(t.Context()))
	item, err := a.Get(t.Context(), "k")
	must(t, err)
	if string(item.Value) != "theirs" {
		t.Errorf("k is %q", item.Value)
	}
}
