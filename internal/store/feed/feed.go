// Package feed stands between a publisher that never waits and readers who may
// be slow: each reader has a bounded queue of its own and decides what becomes
// of it when something new comes.
package feed

import (
	"context"
	"sync"
)

// Put adds v to a reader's queue and answers the queue as it is then. It must
// keep it bounded, may pass v over, and is called with the hub's lock held.
type Put[T any] func(queue []T, v T) []T

// Hub hands what is published to all its readers. The zero Hub is ready.
type Hub[T any] struct {
	mu      sync.Mutex // guards readers and closed; held during Publish, so that all readers see one order
	readers map[*reader[T]]struct{}
	closed  bool
	running sync.WaitGroup
}

type reader[T any] struct {
	mu    sync.Mutex // guards queue
	queue []T
	put   Put[T]
	wake  chan struct{} // has room for one: the queue is not empty
	end   context.CancelFunc
}

// Subscribe starts a reader whose queue begins with first. Its channel is closed
// when ctx ends or the hub is closed.
func (h *Hub[T]) Subscribe(ctx context.Context, put Put[T], first ...T) <-chan T {
	ctx, cancel := context.WithCancel(ctx)
	r := &reader[T]{put: put, queue: first, wake: make(chan struct{}, 1), end: cancel}
	out := make(chan T)
	if !h.add(r) {
		cancel()
		close(out)
		return out
	}
	go func() {
		defer h.remove(r)
		defer close(out)
		r.deliver(ctx, out)
	}()
	return out
}

// Publish gives v to every reader. It does not wait.
func (h *Hub[T]) Publish(v T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.readers {
		r.push(v)
	}
}

// Idle reports whether nobody is reading, so that nothing need be made for them.
func (h *Hub[T]) Idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers) == 0
}

// Close ends all readers and waits until they have ended.
func (h *Hub[T]) Close() {
	h.mu.Lock()
	h.closed = true
	for r := range h.readers {
		r.end()
	}
	h.mu.Unlock()
	h.running.Wait()
}

func (h *Hub[T]) add(r *reader[T]) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	if h.readers == nil {
		h.readers = make(map[*reader[T]]struct{})
	}
	h.readers[r] = struct{}{}
	h.running.Add(1)
	return true
}

func (h *Hub[T]) remove(r *reader[T]) {
	r.end()
	h.mu.Lock()
	delete(h.readers, r)
	h.mu.Unlock()
	h.running.Done()
}

func (r *reader[T]) push(v T) {
	r.mu.Lock()
	r.queue = r.put(r.queue, v)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (r *reader[T]) deliver(ctx context.Context, out chan<- T) {
	for {
		v, ok := r.next()
		if !ok {
			select {
			case <-r.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case out <- v:
		case <-ctx.Done():
			return
		}
	}
}

func (r *reader[T]) next() (v T, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return v, false
	}
	v = r.queue[0]
	var none T
	r.queue[0] = none // let go of what it holds
	r.queue = r.queue[1:]
	if len(r.queue) == 0 {
		r.queue = nil
	}
	return v, true
}
