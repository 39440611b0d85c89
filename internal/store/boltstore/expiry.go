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
		b.expire(string(key), expires)
		if b.failed != nil {
			return n
		}
	}
	return limit
}

// expire removes the key, if it is still the one that was to expire then, and
// the note about it.
func (b *batch) expire(key string, expires int64) {
	b.dirty = true
	b.fail(b.expiry.Delete(expiryKey(expires, []byte(key))))
	r, err := b.present([]byte(key))
	if err != nil || r.expires != expires {
		return // damaged: whoever reads it will hear of that
	}
	b.fail(b.keys.Delete([]byte(key)))
	b.tell(store.Deleted, key)
}

func (b *batch) nextExpiry() time.Time {
	k, _ := b.expiry.Cursor().First()
	if k == nil {
		return time.Time{}
	}
	expires, _ := splitExpiry(k)
	return time.UnixMilli(expires)
}
