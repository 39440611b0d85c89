package boltstore

import (
	"context"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/disk"
	"gatehouse/internal/store/feed"
)

// The writer makes one transaction of at most so much. A gathering is bounded so
// that nobody waits behind an endless one.
const (
	maxGathered      = 512
	maxGatheredBytes = 2 * store.MaxCommitBytes
)

// Expired keys are swept at most so often, so that many short lives do not
// become as many fsyncs, and looked for at least so often, so that a clock that
// was set forward is noticed.
const (
	sweepPause = 200 * time.Millisecond
	sweepLook  = time.Second
	sweepLimit = 1000 // keys in one transaction
)

// writer is the only one that changes the database. Callers hand it changes and
// wait; it gathers those that wait at the same time into one transaction, judges
// each against what the ones before it did, and answers all after one fsync.
type writer struct {
	db      *bolt.DB
	events  *feed.Hub[store.Event]
	closing context.Context
	queue   chan *change
	ended   chan struct{}

	// The rest is the loop's own.
	broken error     // a failed fsync or a damaged page: nothing is written any more
	stuck  bool      // the database can't even be closed; read by others once ended is closed
	swept  time.Time // when expired keys were last removed
	next   time.Time // when the next key expires; zero: none does
}

// change is what one caller wants done.
type change struct {
	ctx   context.Context
	bytes int
	apply func(*batch) error // a refusal of this change alone; it must come before the first write
	done  chan error
	err   error
}

func newWriter(closing context.Context, db *bolt.DB, events *feed.Hub[store.Event]) *writer {
	return &writer{db: db, events: events, closing: closing, queue: make(chan *change), ended: make(chan struct{})}
}

// do has the writer make a change and waits until it is safe on disk. When ctx
// ends first the change may still be made.
func (w *writer) do(ctx context.Context, bytes int, apply func(*batch) error) error {
	c := &change{ctx: ctx, bytes: bytes, apply: apply, done: make(chan error, 1)}
	select {
	case w.queue <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing.Done():
		return errClosed()
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run works until the store is closing. What it has taken from the queue it answers.
func (w *writer) run() {
	defer close(w.ended)
	debug.SetPanicOnFault(true) // a damaged page may point anywhere; see transact
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-w.closing.Done():
			return
		case c := <-w.queue:
			w.flush(w.gather(c))
		case <-timer.C:
			w.flush(nil)
		}
		timer.Reset(w.pause(time.Now()))
	}
}

// gather takes whoever else is waiting just now.
func (w *writer) gather(first *change) []*change {
	changes, bytes := []*change{first}, first.bytes
	for len(changes) < maxGathered && bytes < maxGatheredBytes {
		select {
		case c := <-w.queue:
			changes, bytes = append(changes, c), bytes+c.bytes
		default:
			return changes
		}
	}
	return changes
}

// flush makes the changes and answers each. When the transaction fails as a whole
// nobody's judgement counts: it may have rested on a neighbour's lost write.
func (w *writer) flush(changes []*change) {
	err := w.broken
	if err == nil {
		err = w.transact(changes)
	}
	for _, c := range changes {
		if err != nil {
			c.done <- err
			continue
		}
		c.done <- c.err
	}
}

// transact runs the changes in one transaction and tells the watchers.
func (w *writer) transact(changes []*change) (err error) {
	tx, err := w.db.Begin(true)
	if err != nil {
		return disk.Fault(err)
	}
	defer w.abandon(tx)
	defer func() {
		if r := recover(); r != nil {
			err = w.breakDown(panicked(r))
		}
	}()
	b := newBatch(tx, time.Now())
	for _, c := range changes {
		if c.err = c.ctx.Err(); c.err == nil {
			c.err = c.apply(b)
		}
	}
	w.sweep(b)
	if b.failed != nil {
		return disk.Fault(b.failed)
	}
	if !b.dirty {
		return nil
	}
	if err := tx.Commit(); err != nil {
		return w.commitFault(err)
	}
	for _, e := range b.events {
		w.events.Publish(e)
	}
	return nil
}

// abandon ends a transaction that was not committed; after a commit it does
// nothing. When even that panics, bbolt keeps its lock for good.
func (w *writer) abandon(tx *bolt.Tx) {
	defer func() {
		if r := recover(); r != nil {
			w.stuck = true
			_ = w.breakDown(panicked(r))
		}
	}()
	_ = tx.Rollback() // says only that it has ended already
}

// commitFault sorts out why a commit failed. A full disk has refused the new
// pages and changed nothing that counts. After any other failure, a failed fsync
// above all, nobody knows what is on disk, and a second try would build on it.
func (w *writer) commitFault(err error) error {
	if disk.Full(err) {
		return disk.Fault(err)
	}
	return w.breakDown(err)
}

func (w *writer) breakDown(err error) error {
	w.broken = &fault.Error{
		Kind:       fault.Unavailable,
		Public:     "the disk under DATA_DIR failed, so nothing is written any more: check the disk, then start gatehouse again",
		RetryAfter: disk.RetryAfter,
		Cause:      err,
	}
	return w.broken
}
