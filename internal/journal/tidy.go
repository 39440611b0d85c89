package journal

import (
	"context"
	"errors"
	"time"

	"gatehouse/internal/store"
)

// tidy keeps the bounds of time and number, and learns what Follow has lost.
func (j *Journal) tidy(ctx context.Context) error {
	if err := j.load(ctx); err != nil {
		return err
	}
	now := time.Now()
	for _, l := range j.ledgers() {
		if err := j.scan(ctx, l, now.Add(-2*tidyEvery)); err != nil {
			return err
		}
		if err := j.trim(ctx, l, now); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) trim(ctx context.Context, l *ledger, now time.Time) error {
	floor := now.Add(-j.keep(l)).UnixNano()
	j.mu.Lock()
	if l == j.requests {
		if more, any := l.surplus(j.opts.MaxEntries); any {
			floor = max(floor, more)
		}
	}
	old := l.floor
	l.raise(floor)
	j.mu.Unlock()
	if floor <= old || (j.opts.Upkeep != nil && !j.opts.Upkeep()) {
		return nil
	}
	return j.log.Drop(ctx, l.name, time.Unix(0, floor+1))
}

// Clear forgets all entries but those of kind Audit, for all nodes.
func (j *Journal) Clear(ctx context.Context) error {
	if err := j.Flush(ctx); err != nil {
		return err
	}
	j.flushing.Lock()
	defer j.flushing.Unlock()
	j.queueMu.Lock()
	now := time.Unix(0, max(time.Now().UnixNano(), j.last))
	j.queueMu.Unlock()
	// The mark comes first: the store may keep blocks for a while after Drop, and
	// a restart must not bring them back.
	mark := store.Block{Log: j.requests.name, First: now, Last: now, Data: floorBlock(now)}
	if _, err := j.log.Append(ctx, mark, true); err != nil {
		return err
	}
	j.mu.Lock()
	j.requests.raise(now.UnixNano())
	j.mu.Unlock()
	return errors.Join(j.log.Drop(ctx, j.requests.name, now), j.lines.forget(ctx))
}
