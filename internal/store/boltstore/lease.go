package boltstore

import (
	"context"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// leases are the named locks. One process owns the store, so that they live in
// its memory; a lease is lost only when its ctx ends or the store is closed.
type leases struct {
	mu     sync.Mutex // guards held and closed, and what is said of each lease below
	held   map[string]*lease
	closed bool
}

type lease struct {
	all   *leases
	name  string
	ttl   time.Duration
	lost  chan struct{} // closed under all.mu, once
	freed chan struct{} // closed under all.mu, once: the next one may try
	timer *time.Timer   // frees the name a ttl after ctx ended
	quit  func() bool   // stops listening to ctx
}

// Lock waits until it holds the lock called name.
func (s *Store) Lock(ctx context.Context, name string, ttl time.Duration) (store.Lease, error) {
	if err := store.CheckLease(name, ttl); err != nil {
		return nil, err
	}
	for {
		if err := s.ready(ctx); err != nil {
			return nil, err
		}
		l, freed, err := s.leases.try(ctx, name, ttl)
		if err != nil {
			return nil, err
		}
		if l != nil {
			return l, nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.closing.Done():
			return nil, errClosed()
		}
	}
}

// try takes the lock, or answers what is closed when it is worth trying again.
func (a *leases) try(ctx context.Context, name string, ttl time.Duration) (*lease, <-chan struct{}, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, nil, errClosed()
	}
	if holder := a.held[name]; holder != nil {
		return nil, holder.freed, nil
	}
	l := &lease{all: a, name: name, ttl: ttl, lost: make(chan struct{}), freed: make(chan struct{})}
	if a.held == nil {
		a.held = make(map[string]*lease)
	}
	a.held[name] = l
	l.quit = context.AfterFunc(ctx, l.lapse)
	return l, nil, nil
}

// Lost is closed when the lock is no longer ours.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// Unlock gives the lock back.
func (l *lease) Unlock() {
	l.quit()
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	l.free()
}

// lapse tells the holder that its lock is lost and gives it a ttl to stop.
func (l *lease) lapse() {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if l.all.held[l.name] != l {
		return
	}
	closeOnce(l.lost)
	l.timer = time.AfterFunc(l.ttl, l.Unlock)
}

// free lets the next one in. all.mu is held.
func (l *lease) free() {
	if l.all.held[l.name] != l {
		return
	}
	delete(l.all.held, l.name)
	if l.timer != nil {
		l.timer.Stop()
	}
	closeOnce(l.lost)
	close(l.freed)
}

// close ends all leases.
func (a *leases) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, l := range a.held {
		l.quit()
		l.free()
	}
}

// closeOnce closes c unless it is closed. The caller holds the lock that guards c.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}
