package journal

import (
	"context"
	"sync"
	"sync/atomic"
)

// followBuffer is how many entries a follower may lag behind before it loses some.
const followBuffer = 512

// Follow delivers entries that match q as they come, from now on and from all
// nodes, until ctx ends, when the channel is closed. Times, limit and cursor of q
// do not count. A reader that is too slow loses entries (Counts.Unfollowed).
func (j *Journal) Follow(ctx context.Context, q Query) (<-chan *Entry, error) {
	p, err := q.plan()
	if err != nil {
		return nil, err
	}
	j.settle() // what was written before is not to be followed
	f := &follower{plan: p, ch: make(chan *Entry, followBuffer)}
	j.followers.add(f)
	context.AfterFunc(ctx, func() { j.followers.remove(f) })
	return f.ch, nil
}

type follower struct {
	plan *plan
	ch   chan *Entry
}

type followers struct {
	some atomic.Bool // there are any
	lost atomic.Int64

	mu  sync.Mutex // guards all and sending to and closing of channels
	all map[*follower]struct{}
}

func (f *followers) add(one *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = make(map[*follower]struct{})
	}
	f.all[one] = struct{}{}
	f.some.Store(true)
}

func (f *followers) remove(one *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, one)
	f.some.Store(len(f.all) > 0)
	close(one.ch)
}

func (f *followers) deliver(items []item) {
	if !f.some.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for one := range f.all {
		for _, it := range items {
			if !one.plan.matches(it.entry) {
				continue
			}
			select {
			case one.ch <- it.entry:
			default:
				f.lost.Add(1)
			}
		}
	}
}
