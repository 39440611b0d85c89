package journal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// Run stores entries until ctx ends, and then what is left. It also keeps the
// bounds, and learns the blocks of other nodes.
func (j *Journal) Run(ctx context.Context) error {
	var others sync.WaitGroup
	for _, l := range j.ledgers() {
		others.Go(func() { j.watch(ctx, l) })
	}
	j.work(ctx)
	others.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushGrace)
	defer cancel()
	return j.Flush(last)
}

func (j *Journal) work(ctx context.Context) {
	flush, tidy := time.NewTicker(flushEvery), time.NewTicker(tidyEvery)
	defer flush.Stop()
	defer tidy.Stop()
	var trouble troubles
	trouble.note(ctx, j, j.tidy(ctx))
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
			if trouble.last != nil { // the store is away: once a second is enough
				j.settle()
				continue
			}
			err = j.flushFull(ctx)
		case <-flush.C:
			if err = j.Flush(ctx); err == nil {
				j.lines.show(ctx)
			}
		case <-tidy.C:
			err = j.tidy(ctx)
		}
		trouble.note(ctx, j, err)
	}
}

// flushFull stores audit entries and full blocks; the rest waits for company.
func (j *Journal) flushFull(ctx context.Context) error {
	j.settle()
	j.flushing.Lock()
	defer j.flushing.Unlock()
	return errors.Join(j.flush(ctx, j.audits, 1), j.flush(ctx, j.requests, blockRows))
}

// flush stores the pending entries of l in blocks, while there are at least so
// many. flushing is held.
func (j *Journal) flush(ctx context.Context, l *ledger, least int) error {
	for {
		j.mu.RLock()
		batch := slices.Clone(l.pending[:min(len(l.pending), blockRows)])
		enough := len(l.pending) >= least
		j.mu.RUnlock()
		if !enough || len(batch) == 0 {
			return nil
		}
		if err := j.store(ctx, l, batch[:fitting(batch)]); err != nil {
			return err
		}
	}
}

// fitting is how many of items go into one block by their size, one at least.
func fitting(items []item) int {
	size := 0
	for i, it := range items {
		size += roughSize(it.entry)
		if size > blockBytes && i > 0 {
			return i
		}
	}
	return len(items)
}

// roughSize is about what e takes in a block before it is compressed.
func roughSize(e *Entry) (size int) {
	for _, c := range textColumns {
		if c.id != colRequestHeaders && c.id != colResponseHeaders && c.id != colScopes {
			size += len(c.get(e))
		}
	}
	for _, headers := range [...]map[string]string{e.RequestHeaders, e.ResponseHeaders} {
		for name, value := range headers {
			size += len(name) + len(value)
		}
	}
	return size
}

// store appends one block of the first items of l.pending.
func (j *Journal) store(ctx context.Context, l *ledger, items []item) error {
	n := len(items)
	slices.SortFunc(items, func(a, b item) int { return a.at.compare(b.at) })
	entries, at := make([]*Entry, n), make([]position, n)
	for i, it := range items {
		entries[i], at[i] = it.entry, it.at
	}
	data, block := j.codec.encode(entries, at)
	var s *segment
	if len(data) <= store.MaxValue {
		id, err := j.log.Append(ctx, store.Block{Log: l.name, First: at[0].time(), Last: at[n-1].time(), Data: data}, l.sync)
		if err != nil {
			return err
		}
		s = segmentOf(id, block)
		j.written.Add(int64(n))
	} else {
		j.dropped.Add(int64(n)) // one entry with more in it than any block may hold
	}
	j.lines.add(items)
	j.mu.Lock()
	l.pending = l.pending[n:] // not moved: searches may be reading it
	if s != nil {
		l.add(s)
	}
	j.mu.Unlock()
	j.waiting.Add(-int64(n))
	return nil
}

// watch learns the blocks of l that other nodes append, and hands their entries
// to followers.
func (j *Journal) watch(ctx context.Context, l *ledger) {
	for b := range j.log.Follow(ctx, l.name) {
		j.flushing.Lock() // a block of our own can come before Append answers its id: wait for that
		known := j.knows(l, b.ID)
		j.flushing.Unlock()
		if known {
			continue
		}
		var news lessons
		news.learn(j.codec, b)
		j.take(l, news)
		if j.followers.some.Load() {
			j.deliverBlock(b)
		}
	}
}

func (j *Journal) deliverBlock(b store.Block) {
	opened, err := j.codec.open(b.Data)
	if err != nil || j.codec.openDetails(opened) != nil {
		return // counted when it was learned
	}
	items := make([]item, opened.rows)
	for row := range items {
		items[row] = item{opened.entry(row), opened.position(row)}
	}
	j.followers.deliver(items)
}

// troubles tells the process log when storing begins to fail and when it works again.
type troubles struct {
	last    error
	dropped int64
}

func (t *troubles) note(ctx context.Context, j *Journal, err error) {
	if ctx.Err() != nil {
		return
	}
	switch {
	case err != nil && t.last == nil:
		j.slog.Error("entries can't be stored; they wait in memory", "error", err)
	case err == nil && t.last != nil:
		j.slog.Info("entries are stored again")
	}
	t.last = err
	if dropped := j.dropped.Load(); dropped > t.dropped && err == nil {
		j.slog.Warn("entries were dropped because they came faster than they could be stored", "count", dropped-t.dropped)
		t.dropped = dropped
	}
}
