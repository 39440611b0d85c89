package ports_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/ports"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/redistest"
)

// onBoth runs a test on either backend. open opens the same data again: another
// node's, where nodes share it.
func onBoth(t *testing.T, test func(t *testing.T, open func() store.Store)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		s, err := boltstore.Open(t.TempDir(), boltstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		test(t, func() store.Store { return s })
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t, redistest.Options{})
		test(t, func() store.Store {
			s, err := redisstore.Open(t.Context(), redisstore.Options{Addrs: []string{server.Addr()}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		})
	})
}

// node is one node's keeper, which runs.
type node struct {
	*ports.Keeper
	t    *testing.T
	kv   store.Store
	stop func()

	mu        sync.Mutex // guards what follows
	busy      map[int]bool
	published map[string]ports.Pair
	notes     []ports.Note
}

// startNode runs a keeper for proxies that exist already. busy ports can't be bound there.
func startNode(t *testing.T, kv store.Store, busy map[int]bool, hosts ...string) *node {
	t.Helper()
	n := &node{t: t, kv: kv, busy: busy}
	n.Keeper = ports.New(ports.Options{KV: kv, Owners: "proxy:", Bind: "127.0.0.1", Probe: n.probe,
		Publish: func(all map[string]ports.Pair) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.published = maps.Clone(all)
		},
		Note: func(note ports.Note) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.notes = append(n.notes, note)
		}})
	n.Want(hosts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

func (n *node) probe(port int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy[port] {
		return errors.New("another program has the port")
	}
	return nil
}

// await waits until f holds.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// pair is a proxy's ports, when it has both.
func (n *node) pair(host string) ports.Pair {
	n.t.Helper()
	var p ports.Pair
	await(n.t, host+" has ports", func() bool {
		var why ports.Lack
		p, why = n.Of(host)
		return why == ports.Lack{}
	})
	return p
}

// create makes the records of proxies.
func create(t *testing.T, kv store.KV, hosts ...string) []string {
	t.Helper()
	for _, host := range hosts {
		if _, err := kv.Commit(t.Context(), store.Write{Key: "proxy:" + host, Value: []byte(`{}`), If: store.AnyVersion}); err != nil {
			t.Fatal(err)
		}
	}
	return hosts
}

func remove(t *testing.T, kv store.KV, hosts ...string) {
	t.Helper()
	for _, host := range hosts {
		if _, err := kv.Take(t.Context(), "proxy:"+host); err != nil {
			t.Fatal(err)
		}
	}
}

// all are all allocations that are stored.
func (n *node) all() []ports.Allocation {
	n.t.Helper()
	var all []ports.Allocation
	after := 0
	for {
		page, err := n.List(n.t.Context(), after, 500)
		if err != nil {
			n.t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < 500 {
			return all
		}
		after = page[len(page)-1].Port
	}
}

// many are hostnames, the same each time.
func many(count int) []string {
	hosts := make([]string, count)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("h%04d.test", i)
	}
	return hosts
}

// failing is a store that refuses everything while it is away.
type failing struct {
	store.Store
	away atomic.Bool
}

var errAway = errors.New("away")

func (f *failing) Commit(ctx context.Context, w ...store.Write) ([]int64, error) {
	if f.away.Load() {
		return nil, errAway
	}
	return f.Store.Commit(ctx, w...)
}

func (f *failing) Get(ctx context.Context, key string) (store.Item, error) {
	if f.away.Load() {
		return store.Item{}, errAway
	}
	return f.Store.Get(ctx, key)
}
