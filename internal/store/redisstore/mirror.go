package redisstore

import (
	"context"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// mirror is what this node would write back when Redis has lost everything: all
// items that live for long, as they were last heard of.
type mirror struct {
	mu    sync.Mutex // guards items and whole
	items map[string]store.Item
	whole bool // everything has been read once
}

// Items that end sooner than this are not worth writing back: codes and tickets.
const mirrorLife = time.Minute

// mirrorPause lets changes gather: what is changed so shortly before Redis is lost
// is not in the mirror. mirrorAgain follows a failure.
const (
	mirrorPause = 10 * time.Millisecond
	mirrorAgain = time.Second
)

// reflect keeps the mirror until the store is closed.
func (s *Store) reflect() {
	ctx := s.closing
	events := s.Watch(ctx, "")
	changed := map[string]bool{}
	all := false
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	for {
		select {
		case e, open := <-events:
			if !open {
				return
			}
			if e.Kind == store.Reload {
				all = true
			} else {
				changed[e.Key] = true
			}
			if all || len(changed) == 1 {
				timer.Reset(mirrorPause)
			}
		case <-timer.C:
			if err := s.mirrorChanges(ctx, all, changed); err != nil {
				timer.Reset(mirrorAgain)
				continue
			}
			all = false
			clear(changed)
		}
	}
}

func (s *Store) mirrorChanges(ctx context.Context, all bool, changed map[string]bool) error {
	if all {
		items, err := s.everything(ctx)
		if err != nil {
			return err
		}
		s.mirror.replace(items)
		return nil
	}
	names := make([]string, 0, readAtOnce)
	for name := range changed {
		if names = append(names, name); len(names) == readAtOnce {
			if err := s.mirrorNames(ctx, names); err != nil {
				return err
			}
			names = names[:0]
		}
	}
	return s.mirrorNames(ctx, names)
}

func (s *Store) mirrorNames(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	items, err := s.items(ctx, names)
	if err == nil {
		s.mirror.update(names, items)
	}
	return err
}

// everything is all items.
func (s *Store) everything(ctx context.Context) ([]store.Item, error) {
	var all []store.Item
	after := ""
	for {
		page, err := s.List(ctx, "", after, store.MaxPage)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < store.MaxPage {
			return all, nil
		}
		after = page[len(page)-1].Key
	}
}

func (m *mirror) replace(items []store.Item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items, m.whole = make(map[string]store.Item, len(items)), true
	m.put(items)
}

func (m *mirror) update(names []string, items []store.Item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		delete(m.items, name)
	}
	m.put(items)
}

// put keeps the items that live for long. m.mu is held.
func (m *mirror) put(items []store.Item) {
	for _, it := range items {
		if it.Expires.IsZero() || time.Until(it.Expires) > mirrorLife {
			m.items[it.Key] = it
		}
	}
}

// all is everything that the mirror has, and whether that is everything there was.
func (m *mirror) all() (items []store.Item, whole bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range m.items {
		items = append(items, it)
	}
	return items, m.whole
}
