package cert

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/store"
)

// later is a store whose clock goes ahead.
type clockAhead struct {
	store.KV
	by time.Duration
}

func (c clockAhead) Now(ctx context.Context) (time.Time, error) {
	now, err := c.KV.Now(ctx)
	return now.Add(c.by), err
}

type keySet struct {
	mu   sync.Mutex
	keys [][32]byte
}

func (k *keySet) use(keys [][32]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
}

func (k *keySet) get() [][32]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys
}

// TestNodesShareTicketKeysAndTurnThemTogether: of many that start or rotate at
// once one wins; old keys still open for a while, and are gone then.
func TestNodesShareTicketKeysAndTurnThemTogether(t *testing.T) {
	kv := realStore(t)
	const nodes = 8
	sets := make([]keySet, nodes)
	var last [][32]byte
	for turn := range 5 {
		var all sync.WaitGroup
		at := clockAhead{kv, time.Duration(turn) * (ticketEvery + time.Second)}
		for i := range nodes {
			all.Go(func() {
				if err := NewTickets(at, oneSealer(t), sets[i].use, quiet).Load(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		first := sets[0].get()
		for i := range sets {
			if got := sets[i].get(); len(got) != len(first) || got[0] != first[0] {
				t.Fatalf("turn %d: node %d has other keys", turn, i)
			}
		}
		if len(first) != min(turn+1, ticketsKept) {
			t.Errorf("turn %d: %d keys", turn, len(first))
		}
		if last != nil && (first[0] == last[0] || first[1] != last[0]) {
			t.Errorf("turn %d: the last key does not open any more, or seals on", turn)
		}
		last = first
	}
	item, err := kv.Get(t.Context(), ticketKey)
	if err != nil || bytes.Contains(item.Value, []byte("keys")) {
		t.Errorf("%v: the keys stand in the store in clear", err)
	}
}

// TestANodeFollowsTheOthersTicketKeys by the store's watch.
func TestANodeFollowsTheOthersTicketKeys(t *testing.T) {
	kv := realStore(t)
	var here, there keySet
	follower := NewTickets(kv, oneSealer(t), here.use, quiet)
	if err := follower.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- follower.Run(ctx) }()
	if err := NewTickets(clockAhead{kv, ticketEvery + time.Second}, oneSealer(t), there.use, quiet).Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "new key on the other node", func() bool { return len(here.get()) == 2 && here.get()[0] == there.get()[0] })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
