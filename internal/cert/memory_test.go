package cert_test

import (
	"context"
	"encoding/base64"
	"errors"
	"sync"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// memory is a store.KV of one key, which is all that this package keeps.
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

// turned hides nothing, but is not what was put in, and opens only in its place.
type turned struct{}

func (turned) Seal(place string, plain []byte) (string, error) {
	b := []byte(place)
	for _, c := range plain {
		b = append(b, ^c)
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

func (turned) Open(place, sealed string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(b) < len(place) || string(b[:len(place)]) != place {
		return nil, errors.New("sealed elsewhere")
	}
	plain := make([]byte, 0, len(b))
	for _, c := range b[len(place):] {
		plain = append(plain, ^c)
	}
	return plain, nil
}
