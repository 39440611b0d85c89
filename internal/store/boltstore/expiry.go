package boltstore

import (
	"time"

	"gatehouse/internal/store"
)

// sweep removes expired keys along with whatever else b does, if it is time, and
// notes when the next one is due.
func (w *writer) sweep(b *batch) {
	if b.now.Sub(w.swept) >= sweepPause || b.now.Before(w.swept) {
		w.swept = b.now
		if b.sweep(sweepLimit) == sweepLimit {
			w.swept = time.Time{} // there are more: go on at once
		}
	}
	w.next = b.nextExpiry()
}

// pause is how long the writer may sleep when nobody wants anything.
func (w *writer) pause(now time.Time) time.Duration {
	if w.broken != nil || w.next.IsZero() {
		return time.Hour
	}
	due := w.next
	if soonest := w.swept.Add(sweepPause); due.Before(soonest) {
		due = soonest
	}
	return min(max(due.Sub(now), 0), sweepLook)
}

// sweep removes up to limit keys that have expired and answers how many it did.
func (b *batch) sweep(limit int) int {
	for n := range limit {
		k, _ := b.expiry.Cursor().First()
		if k == nil {
			return n
		}
		expires, key := splitExpiry(k)
		if b.now.UnixMilli() < expires {
			return n
		}
		b.fail(b.expiry.Delete(k))
		b.fail(b.keys.Delete(key))
		if b.failed != nil {
			return n
		}
		b.tell(store.Deleted, string(key))
	}
	return limit
}

func (b *batch) nextExpiry() time.Time {
	k, _ := b.expiry.Cursor().First()
	if k == nil {
		return time.Time{}
	}
	expires, _ := splitExpiry(k)
	return time.UnixMilli(expires)
}
