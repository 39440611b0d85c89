package boltstore

import (
	"context"
	"strings"

	"gatehouse/internal/store"
)

// watchQueue is how many events a reader may be behind before it has to list anew.
const watchQueue = 1024

// Watch tells of changes to keys with prefix.
func (s *Store) Watch(ctx context.Context, prefix string) <-chan store.Event {
	return s.events.Subscribe(ctx, func(queue []store.Event, e store.Event) []store.Event {
		switch {
		case !strings.HasPrefix(e.Key, prefix):
			return queue
		case len(queue) >= watchQueue:
			return []store.Event{{Kind: store.Reload}}
		}
		return append(queue, e)
	}, store.Event{Kind: store.Reload})
}
