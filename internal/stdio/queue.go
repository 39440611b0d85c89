package stdio

import "sync"

// queue holds messages for one reader, who may be slow, up to a bound of bytes.
type queue struct {
	ready chan struct{} // has a value when something may be there

	mu     sync.Mutex // guards what follows
	items  []item
	size   int
	closed bool
}

// item is a message; last: nothing comes behind it for its request.
type item struct {
	data []byte
	last bool
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// put adds an item. false: there is no room, or nobody reads any more.
func (q *queue) put(it item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || (len(q.items) > 0 && q.size+len(it.data) > maxQueued) || len(q.items) >= maxPending {
		return false
	}
	q.items, q.size = append(q.items, it), q.size+len(it.data)
	q.tell()
	return true
}

// last puts the last item in place of all that waits, whatever the bound.
func (q *queue) last(data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.items, q.size = []item{{data, true}}, len(data)
		q.tell()
	}
}

// tell wakes the reader. q.mu is held.
func (q *queue) tell() {
	select {
	case q.ready <- struct{}{}:
	default: // it will look anyhow
	}
}

// take is the next item. open is false when the queue is closed and empty.
func (q *queue) take() (it item, ok, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return it, false, !q.closed
	}
	it = q.items[0]
	q.items, q.size = q.items[1:], q.size-len(it.data)
	if len(q.items) > 0 || q.closed {
		q.tell()
	}
	return it, true, true
}

// close lets nothing more in; what is there can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.tell()
}
