// Package store is the contract for everything that Gatehouse remembers: a
// key-value store with versions and expiry, a log of blocks, and named locks.
//
// Two backends keep it: boltstore (files under DATA_DIR) and, for many nodes,
// redisstore. The conformance suite in storetest is the contract in executable
// form and runs on each. Backends hold no rules of the product; Table gives
// callers typed records and Sealer keeps secrets unreadable at rest, both once,
// above the backends.
//
// Errors are of package fault: NotFound, Conflict, Unavailable (the backend is
// away or its disk is full), Invalid (a key or value out of bounds), and
// whatever ctx ended with.
package store

import (
	"context"
	"time"
)

// Bounds that every backend checks, so that a write that one takes the other takes too.
const (
	MaxKey         = 1024     // bytes
	MaxValue       = 4 << 20  // bytes
	MaxCommit      = 256      // writes in one commit
	MaxCommitBytes = 16 << 20 // keys and values of one commit together
	MaxPage        = 1000     // items that List answers at most
	AnyVersion     = -1       // Write.If: whatever is there
)

// Item is one stored key.
type Item struct {
	Key     string
	Value   []byte    // the caller's to keep
	Version int64     // positive; changes at each write and never repeats for a key
	Expires time.Time // by the store's clock, in whole milliseconds, UTC; zero: never
}

// Write is one change in a commit.
type Write struct {
	Key    string
	Value  []byte        // ignored by Delete
	Delete bool          // remove the key; absent is fine unless If demands a version
	If     int64         // the version that must be there now: AnyVersion, 0 for "must not exist", or one that was read
	TTL    time.Duration // the key expires so long after the commit by the store's clock; 0: never
}

// Event tells that a key changed.
type Event struct {
	Kind EventKind
	Key  string // empty for Reload
}

// EventKind is what happened to a key.
type EventKind uint8

// The kinds of Event.
const (
	Reload  EventKind = iota // the start of a watch, or events were lost: list everything again
	Changed                  // written; read it for the value
	Deleted                  // deleted or expired
)

// KV is a key-value store. Keys are UTF-8 without control characters, ordered
// by bytes. An expired key is absent to every operation from the moment of its
// expiry, whenever its bytes are removed.
type KV interface {
	// Get is the item at key; NotFound when there is none.
	Get(ctx context.Context, key string) (Item, error)

	// List is up to limit items whose keys begin with prefix and are greater
	// than after, in key order. limit is cut to MaxPage; 0 means MaxPage. A
	// page shorter than the limit is the last.
	List(ctx context.Context, prefix, after string, limit int) ([]Item, error)

	// Commit makes all writes or none and answers the new version of each (0
	// for a deletion). When it returns nil the change survives kill -9 and
	// power loss, as far as the backend's own persistence does. Conflict: some
	// If did not hold, nothing was written. A key may stand in it only once.
	// After any other error but Invalid, ctx's own included, the writes may have
	// been made, all of them, or not; the same holds for Take.
	Commit(ctx context.Context, writes ...Write) ([]int64, error)

	// Take gets and deletes key in one step: of many callers exactly one gets
	// the item, the others NotFound. What was taken is gone for good.
	Take(ctx context.Context, key string) (Item, error)

	// Watch tells of changes to keys with prefix, those of other nodes too. The
	// first event is Reload; later ones come in commit order, each after the
	// change can be read. A reader too slow for the buffer, or a broken
	// connection, gets one Reload in place of what was lost. The channel is
	// closed when ctx ends or the store is closed. Expiry may be told up to a
	// second late.
	Watch(ctx context.Context, prefix string) <-chan Event

	// Now is the store's clock: one for all nodes.
	Now(ctx context.Context) (time.Time, error)
}

// Block is one flush of a log: bytes that the journal made, with the times of
// the first and last entry inside.
type Block struct {
	Log         string // which log: "request", "audit"; [a-z]{1,16}
	ID          string // set by the backend; ordered as appended within a Log
	First, Last time.Time
	Data        []byte // opaque here; at most MaxValue bytes; checked against corruption by the backend
}

// Log keeps blocks in the order in which they were appended, which is time's
// order as long as the writer's is. The journal above it encodes entries into
// blocks and searches them. Data that Range and Follow hand out may be kept, but
// not changed: others may have the same bytes.
type Log interface {
	// Append adds a block and answers its ID. With sync it returns after the
	// bytes are safe as Commit's are; without, within a second or so.
	Append(ctx context.Context, b Block, sync bool) (id string, err error)

	// Range calls fn for the blocks of log that overlap [from, to], newest
	// first with reverse, until fn returns false. A zero time is no bound. A block whose checksum fails
	// is passed over and counted in LogInfo.Damaged; it never ends the walk.
	Range(ctx context.Context, log string, from, to time.Time, reverse bool, fn func(Block) bool) error

	// Follow delivers the blocks that are appended from now on, by any node,
	// until ctx ends or the store is closed, when the channel is closed. A reader
	// too slow loses blocks, oldest first.
	Follow(ctx context.Context, log string) <-chan Block

	// Drop removes the blocks that end before the given time, as a whole and cheaply;
	// a backend may keep up to an hour more than asked.
	Drop(ctx context.Context, log string, before time.Time) error

	// Info is what the log holds.
	Info(ctx context.Context, log string) (LogInfo, error)
}

// LogInfo is the state of one log.
type LogInfo struct {
	Blocks, Bytes int64
	Damaged       int64 // blocks that failed their checksum since the store was opened
	Oldest        time.Time
}

// Locker hands out named locks with a lease.
type Locker interface {
	// Lock waits until it holds the lock called name or ctx ends. The lock is
	// renewed in the background until Unlock, the end of ctx, or the loss of the
	// store; Lost is then closed within ttl. Only Unlock frees the name at once;
	// after the others it stays taken for up to ttl, time for the holder to stop.
	// ttl is at least a second; names follow the rules of keys.
	Lock(ctx context.Context, name string, ttl time.Duration) (Lease, error)
}

// Lease is a lock that is held.
type Lease interface {
	Lost() <-chan struct{} // closed when the lock is no longer ours
	Unlock()               // gives it back; more than once is fine
}

// Store is all of it, and what a backend's Open returns.
type Store interface {
	KV
	Log
	Locker

	// Describe is the backend in words for people: kind, place without
	// credentials, size, keys.
	Describe(ctx context.Context) (Description, error)

	// Close flushes and ends everything that the store started. Later calls
	// answer Unavailable.
	Close() error
}

// Line is one log entry as text.
type Line struct {
	At   time.Time
	Text []byte
}

// Liner is a Store in which people look for the latest log entries with tools of
// its own. What it shows is a copy: the log is what counts.
type Liner interface {
	// ShowLines adds lines to those that are shown; old ones make room.
	ShowLines(ctx context.Context, lines []Line) error

	// ForgetLines takes all away.
	ForgetLines(ctx context.Context) error
}

// Regainer is a Store whose data may be lost or replaced beside it. It then obeys
// nothing that it finds, until one of these says what to do. Conflict: there is
// nothing to decide, or it can't be done; the sentence says why.
type Regainer interface {
	// Accept takes what is there now in place of what the nodes had.
	Accept(ctx context.Context) error

	// Push writes back what this node has and answers how many keys that were.
	Push(ctx context.Context) (int, error)
}

// Description is a backend in words for people.
type Description struct {
	Backend string `json:"backend"` // "embedded" or "redis"
	Place   string `json:"place"`   // folder or address, without credentials
	Keys    int64  `json:"keys"`
	Bytes   int64  `json:"bytes"`
}
