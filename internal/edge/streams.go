package edge

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	streamShards  = 64
	checkInterval = 500 * time.Millisecond
)

// streams are the exchanges under way, so that what is no longer allowed can be
// ended. Shards keep requests from waiting for each other.
type streams struct {
	next   atomic.Uint32
	shards [streamShards]streamShard
}

type streamShard struct {
	mu    sync.Mutex // guards the list, and tunnel and stream of what is in it
	first *exchange
}

// streamLinks is an exchange's place among the streams.
type streamLinks struct {
	shard      *streamShard // nil: not listed
	prev, next *exchange
	events     bool // an event stream: may end at any time
}

func (s *streams) add(x *exchange) {
	shard := &s.shards[s.next.Add(1)%streamShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	x.shard, x.next = shard, shard.first
	if shard.first != nil {
		shard.first.prev = x
	}
	shard.first = x
}

func (s *streams) remove(x *exchange) {
	shard := x.shard
	if shard == nil {
		return
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if x.prev == nil {
		shard.first = x.next
	} else {
		x.prev.next = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	x.shard, x.prev, x.next = nil, nil, nil
}

// each calls f for every exchange while its shard is held: f must be quick.
func (s *streams) each(f func(*exchange)) {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		for x := shard.first; x != nil; x = x.next {
			f(x)
		}
		shard.mu.Unlock()
	}
}

// watchStreams ends streams that would no longer be let in: it asks about twice
// a second, and after each change of the world.
func (e *Edge) watchStreams(ctx context.Context) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.recheck:
		}
		e.endDenied(time.Now())
	}
}

// endDenied looks at what has been under way for a while: short requests end on
// their own before anybody could act on them.
func (e *Edge) endDenied(now time.Time) {
	snap := e.snapshot.Load()
	e.streams.each(func(x *exchange) {
		in := snap.find(x.visit.Name)
		switch {
		case in == nil || !in.host.Proxy.Enabled:
			x.cut(errHostGone)
		case now.Sub(x.start) >= checkInterval && !e.Gate.Still(&x.visit):
			x.cut(errRevoked)
		}
	})
	e.raw.cut(func(c *rawConn) bool {
		in := snap.find(c.name)
		return in == nil || !in.host.Proxy.Enabled
	})
}

// cut ends the exchange now. Its shard is held.
func (x *exchange) cut(cause error) {
	if x.tunnel != nil {
		x.tunnel.end(cause)
		return
	}
	x.cancel(cause)
	// Frees a writer that a client keeps waiting; net/http resets the deadline
	// before the next request.
	_ = http.NewResponseController(x.w.ResponseWriter).SetWriteDeadline(time.Now().Add(time.Second))
}

// wind ends what has no end of its own, at shutdown. Its shard is held.
func (x *exchange) wind(cause error) {
	if x.tunnel != nil || x.events {
		x.cut(cause)
	}
}

// markEvents notes that the answer is an event stream, which may end at any time.
func (x *exchange) markEvents() {
	if x.shard == nil {
		return
	}
	x.shard.mu.Lock()
	defer x.shard.mu.Unlock()
	x.events = true
	if x.edge.closing.Load() {
		x.cancel(errShutdown)
	}
}
