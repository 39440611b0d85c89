package journal

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gatehouse/internal/store"
)

// ledger is one of the store's logs as the journal knows it: what is not written
// yet, and the index of what is. Journal.mu guards it.
type ledger struct {
	name    string
	sync    bool // each block is safe before Append returns
	pending []item

	segments []*segment
	known    map[string]struct{} // ids of the blocks in segments
	rows     int
	floor    int64 // entries up to it are gone, whatever the store still has
}

// item is an entry on its way to the store.
type item struct {
	entry *Entry
	at    position
}

func newLedger(name string, sync bool) *ledger {
	return &ledger{name: name, sync: sync, known: make(map[string]struct{})}
}

func (l *ledger) knows(id string) bool {
	_, known := l.known[id]
	return known
}

// add puts a block into the index.
func (l *ledger) add(s *segment) {
	if l.knows(s.blocks[0].id) || s.last <= l.floor {
		return
	}
	l.known[s.blocks[0].id] = struct{}{}
	l.rows += s.rows
	if n := len(l.segments); n > 0 && l.segments[n-1].rows+s.rows <= mergeRows {
		l.segments[n-1] = l.segments[n-1].join(s)
		return
	}
	l.segments = append(l.segments, s)
}

// raise lets all segments go that end at or before floor.
func (l *ledger) raise(floor int64) {
	l.floor = max(l.floor, floor)
	l.segments = slices.DeleteFunc(slices.Clone(l.segments), func(s *segment) bool {
		if s.last > l.floor {
			return false
		}
		l.rows -= s.rows
		for _, b := range s.blocks {
			delete(l.known, b.id)
		}
		return true
	})
}

// surplus is the time up to which entries are more than max in all.
func (l *ledger) surplus(most int) (floor int64, any bool) {
	byAge := slices.SortedFunc(slices.Values(l.segments), func(a, b *segment) int { return int(min(max(a.last-b.last, -1), 1)) })
	rows := l.rows
	for _, s := range byAge {
		if rows <= most {
			break
		}
		rows -= s.rows
		floor, any = s.last, true
	}
	return floor, any
}

func (j *Journal) knows(l *ledger, id string) bool {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return l.knows(id)
}

// load makes sure that the index knows what the store holds.
func (j *Journal) load(ctx context.Context) error {
	j.loading.Lock()
	defer j.loading.Unlock()
	if j.loaded {
		return nil
	}
	for _, l := range j.ledgers() {
		if err := j.scan(ctx, l, time.Now().Add(-j.keep(l))); err != nil {
			return err
		}
	}
	j.loaded = true
	return nil
}

// scan learns the store's blocks from a time on. Nothing is locked while the
// store is read.
func (j *Journal) scan(ctx context.Context, l *ledger, from time.Time) error {
	var news lessons
	err := j.log.Range(ctx, l.name, from, time.Time{}, true, func(b store.Block) bool {
		if !j.knows(l, b.ID) {
			news.learn(j.codec, b)
		}
		return ctx.Err() == nil
	})
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	j.take(l, news)
	return nil
}

// lessons are what blocks have taught that the index does not know yet.
type lessons struct {
	segments   []*segment
	floor      int64
	unreadable int64
}

func (n *lessons) learn(c *codec, b store.Block) {
	if floor, ok := floorOf(b.Data); ok {
		n.floor = max(n.floor, floor)
		return
	}
	opened, err := c.open(b.Data)
	if err != nil {
		n.unreadable++
		return
	}
	n.segments = append(n.segments, segmentOf(b.ID, opened))
}

// take puts lessons into the index. Of a block that is being flushed the flush
// comes first, so that it is there once.
func (j *Journal) take(l *ledger, news lessons) {
	j.flushing.Lock()
	defer j.flushing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range news.segments {
		l.add(s)
	}
	l.raise(news.floor)
	j.unreadable.Add(news.unreadable)
}
