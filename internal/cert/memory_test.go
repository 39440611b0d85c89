package cert_test

import (
	"context"
	"sync"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// memory is a store.KV of one key, which is all that this package keeps, for
// tests in which years pass: the real store's own timers would fire all along.
type memory struct {
	store.KV
	mu       sync.Mutex
	item     *store.Item
	version  int64
	away     bool
	watchers []chan store.Event
}

func (m *memory) Get(_ context.Context, key string) (store.Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.away:
		return store.Item{}, fault.New(fault.Unavailable, "the store is away")
	case m.item == nil || m.item.Key != key:
		return store.Item{}, fault.New(fault.NotFound, "no %s", key)
	}
	return *m.item, nil
}

func (m *memory) Commit(_ context.Context, writes ...store.Write) ([]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := writes[0]
	present := int64(0)
	if m.item != nil {
		present = m.item.Version
	}
	if w.If != store.AnyVersion && w.If != present {
		return nil, fault.New(fault.Conflict, "%s is at version %d", w.Key, present)
	}
	m.version++
	m.item = &store.Item{Key: w.Key, Value: w.Value, Version: m.version}
	for _, ch := range m.watchers {
		select {
		case ch <- store.Event{Kind: store.Changed, Key: w.Key}:
		default: // what is still unread will make the reader look in any case
		}
	}
	return []int64{m.version}, nil
}

func (m *memory) Watch(ctx context.Context, _ string) <-chan store.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	ch := make(chan store.Event, 16)
	ch <- store.Event{Kind: store.Reload}
	m.watchers = append(m.watchers, ch)
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.watchers = nil
		close(ch)
	})
	return ch
}

func (m *memory) setAway(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}
