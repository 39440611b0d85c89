package journal

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/store"
)

// Options are the journal's bounds; zero fields take the defaults.
type Options struct {
	Retention      time.Duration // how long entries are kept; 168 h
	AuditRetention time.Duration // how long audit entries are kept; a year
	MaxEntries     int           // how many entries are kept, audit aside; 1,000,000
	Queue          int           // how many entries may wait to be stored; 16,384
	Logger         *slog.Logger  // for the journal's own troubles; none: silence

	// Upkeep reports whether it is this node that drops what is too old, for all
	// that share the store; nil: it always is.
	Upkeep func() bool
}

const (
	defaultRetention      = 168 * time.Hour
	defaultAuditRetention = 365 * 24 * time.Hour
	defaultMaxEntries     = 1_000_000
	defaultQueue          = 16_384

	// auditReserve is room in the queue that audit entries alone may use.
	auditReserve = 1024

	blockRows  = 500             // entries of a block at most
	blockBytes = 2 << 20         // bytes of a block's entries, roughly, at most
	flushEvery = time.Second     // how long an entry waits to be stored
	tidyEvery  = time.Minute     // between looks at retention and at blocks that Follow lost
	wakeAt     = blockRows / 2   // entries in the queue that are worth waking Run for
	flushGrace = 5 * time.Second // for the last flush, after ctx has ended
)

// Journal keeps entries. New makes one; Run stores what Write takes.
type Journal struct {
	log   store.Log
	opts  Options
	codec *codec
	slog  *slog.Logger
	wake  chan struct{} // has room for one: Run has something to do

	queueMu sync.Mutex // guards queue, spare and last
	queue   []item     // as written: not masked, seen by nobody
	spare   []item
	last    int64 // the latest position given
	node    uint16

	settling sync.Mutex // one at a time moves entries from queue to pending
	flushing sync.Mutex // one at a time appends blocks and puts them into the index
	loading  sync.Mutex // guards loaded
	loaded   bool       // the index knows the blocks of earlier runs
	mu       sync.RWMutex
	requests *ledger // guarded by mu
	audits   *ledger // guarded by mu

	followers followers
	lines     shown

	waiting    atomic.Int64 // entries that are not stored yet
	written    atomic.Int64
	dropped    atomic.Int64
	unreadable atomic.Int64
}

var _ Recorder = (*Journal)(nil)

// New is a journal on log.
func New(log store.Log, opts Options) (*Journal, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	j := &Journal{log: log, opts: opts.withDefaults(), codec: c, node: newNode(), wake: make(chan struct{}, 1)}
	j.slog = j.opts.Logger.With(ComponentKey, "journal")
	j.lines.to, _ = log.(store.Liner) // most stores are none
	j.requests = newLedger(requestLog, false)
	j.audits = newLedger(auditLog, true)
	return j, nil
}

// The logs in the store.
const (
	requestLog = "request"
	auditLog   = "audit"
)

// LogNames are the logs in the store that a journal keeps.
func LogNames() []string { return []string{requestLog, auditLog} }

func (o Options) withDefaults() Options {
	if o.Retention <= 0 {
		o.Retention = defaultRetention
	}
	if o.AuditRetention <= 0 {
		o.AuditRetention = defaultAuditRetention
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = defaultMaxEntries
	}
	if o.Queue <= 0 {
		o.Queue = defaultQueue
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (j *Journal) ledgers() [2]*ledger { return [2]*ledger{j.requests, j.audits} }

// keep is how long the entries of l are kept.
func (j *Journal) keep(l *ledger) time.Duration {
	if l == j.audits {
		return j.opts.AuditRetention
	}
	return j.opts.Retention
}

// Write takes e, which belongs to the journal from now on, and stamps it with the
// present time. It never waits: when the queue is full, e is dropped and counted.
func (j *Journal) Write(e *Entry) {
	if e == nil {
		return
	}
	now := time.Now().UnixNano()
	limit := int64(j.opts.Queue)
	if e.Kind == Audit {
		limit += auditReserve
	}
	if j.waiting.Add(1) > limit {
		j.waiting.Add(-1)
		j.dropped.Add(1)
		return
	}
	j.queueMu.Lock()
	if now <= j.last && j.last-now < int64(maxDrift) {
		now = j.last + 1
	}
	j.last = now
	j.queue = append(j.queue, item{e, position{now, j.node}})
	n := len(j.queue)
	j.queueMu.Unlock()
	if n == wakeAt || e.Kind == Audit || j.followers.some.Load() {
		j.rouse()
	}
}

func (j *Journal) rouse() {
	select {
	case j.wake <- struct{}{}:
	default: // it is awake
	}
}

// settle moves what was written from the queue to where searches see it: masked,
// with ID and time; followers get it on the way.
func (j *Journal) settle() {
	j.settling.Lock()
	defer j.settling.Unlock()
	j.queueMu.Lock()
	items := j.queue
	j.queue, j.spare = j.spare[:0], items
	j.queueMu.Unlock()
	if len(items) == 0 {
		return
	}
	for _, it := range items {
		sanitize(it.entry)
		it.entry.ID, it.entry.Time = it.at.String(), it.at.time()
	}
	j.mu.Lock()
	for _, it := range items {
		l := j.requests
		if it.entry.Kind == Audit {
			l = j.audits
		}
		l.pending = append(l.pending, it)
	}
	j.mu.Unlock()
	j.followers.deliver(items)
	clear(items) // the spare queue must not keep entries alive
}

// Counts is the journal's own state.
type Counts struct {
	Written    int64 `json:"written"`    // entries stored since the start
	Waiting    int64 `json:"waiting"`    // entries not stored yet
	Dropped    int64 `json:"dropped"`    // entries lost because the queue was full
	Unfollowed int64 `json:"unfollowed"` // entries that followers were too slow for
	Unreadable int64 `json:"unreadable"` // blocks that could not be read
	Kept       int64 `json:"kept"`       // entries that searches see
}

// Counts answers the journal's own state.
func (j *Journal) Counts() Counts {
	j.mu.RLock()
	kept := j.requests.rows + j.audits.rows
	j.mu.RUnlock()
	return Counts{
		Written: j.written.Load(), Waiting: j.waiting.Load(), Dropped: j.dropped.Load(),
		Unfollowed: j.followers.lost.Load(), Unreadable: j.unreadable.Load(), Kept: int64(kept) + j.waiting.Load(),
	}
}

// Flush stores all that was written before it was called.
func (j *Journal) Flush(ctx context.Context) error {
	j.settle()
	j.flushing.Lock()
	defer j.flushing.Unlock()
	for _, l := range [...]*ledger{j.audits, j.requests} {
		if err := j.flush(ctx, l, 1); err != nil {
			return err
		}
	}
	return nil
}
