package boltstore

import (
	"context"
	"time"

	bolt "go.etcd.io/bbolt"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Commit makes all writes or none.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) ([]int64, error) {
	if err := store.CheckWrites(writes); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil || len(writes) == 0 {
		return nil, err
	}
	edits, bytes := prepare(writes)
	var versions []int64
	err := s.writer.do(ctx, bytes, func(b *batch) (err error) {
		versions, err = b.commit(edits)
		return err
	})
	if err != nil {
		return nil, err
	}
	return versions, nil
}

// Take gets and deletes key in one step.
func (s *Store) Take(ctx context.Context, key string) (store.Item, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Item{}, err
	}
	if err := s.ready(ctx); err != nil {
		return store.Item{}, err
	}
	var item store.Item
	err := s.writer.do(ctx, len(key), func(b *batch) (err error) {
		item, err = b.take([]byte(key))
		return err
	})
	if err != nil {
		return store.Item{}, err
	}
	return item, nil
}

// edit is a Write made ready by the caller, with bytes of its own: the caller may
// go away, and change its slices, while the writer is still at work.
type edit struct {
	key    []byte
	record []byte // the value with room for the head; nil: delete
	demand int64  // Write.If
	write  store.Write
}

func prepare(writes []store.Write) (edits []edit, bytes int) {
	edits = make([]edit, len(writes))
	for i, w := range writes {
		e := edit{key: []byte(w.Key), demand: w.If, write: store.Write{TTL: w.TTL}}
		if !w.Delete {
			e.record = room(w.Value)
		}
		edits[i] = e
		bytes += len(e.key) + len(e.record)
	}
	return edits, bytes
}

// batch is one transaction of the writer.
type batch struct {
	tx           *bolt.Tx
	keys, expiry *bolt.Bucket
	now          time.Time // one time for all
	events       []store.Event
	dirty        bool  // something was changed
	failed       error // a change broke off half way: the transaction must not be committed
}

func newBatch(tx *bolt.Tx, now time.Time) *batch {
	return &batch{tx: tx, keys: tx.Bucket(keysBucket), expiry: tx.Bucket(expiryBucket), now: now}
}

// commit checks every demand before it writes anything.
func (b *batch) commit(edits []edit) ([]int64, error) {
	old := make([]record, len(edits))
	for i, e := range edits {
		r, err := b.present(e.key)
		if err != nil {
			return nil, err
		}
		if e.demand != store.AnyVersion && e.demand != r.shown(b.now) {
			return nil, fault.New(fault.Conflict, "the key %q is not at the version that was read: read it again and repeat", e.key)
		}
		old[i] = r
	}
	versions := make([]int64, len(edits))
	for i, e := range edits {
		versions[i] = b.write(e, old[i])
	}
	return versions, nil
}

func (b *batch) take(key []byte) (store.Item, error) {
	r, err := b.present(key)
	if err != nil {
		return store.Item{}, err
	}
	if r.shown(b.now) == 0 {
		return store.Item{}, notFound(string(key))
	}
	item := r.item(key)
	b.remove(key, r)
	return item, nil
}

// present is what stands at key, expired or not; the zero record when nothing does.
func (b *batch) present(key []byte) (record, error) {
	data := b.keys.Get(key)
	if data == nil {
		return record{}, nil
	}
	return decodeRecord(data, key)
}

// write makes one edit over what stood there and answers the new version.
func (b *batch) write(e edit, old record) int64 {
	if e.record == nil {
		b.remove(e.key, old)
		return 0
	}
	b.unschedule(e.key, old)
	version, err := b.keys.NextSequence()
	b.fail(err)
	var expires int64
	if at := e.write.Expiry(b.now); !at.IsZero() {
		expires = at.UnixMilli()
		b.fail(b.expiry.Put(expiryKey(expires, e.key), nil))
	}
	stamp(e.record, e.key, version, expires)
	b.fail(b.keys.Put(e.key, e.record))
	b.tell(store.Changed, string(e.key))
	return int64(version)
}

func (b *batch) remove(key []byte, old record) {
	if old.version == 0 {
		return
	}
	b.unschedule(key, old)
	b.fail(b.keys.Delete(key))
	b.tell(store.Deleted, string(key))
}

// unschedule forgets when the record that stood at key was to expire.
func (b *batch) unschedule(key []byte, old record) {
	if old.expires != 0 {
		b.fail(b.expiry.Delete(expiryKey(old.expires, key)))
	}
}

func (b *batch) tell(kind store.EventKind, key string) {
	b.dirty = true
	b.events = append(b.events, store.Event{Kind: kind, Key: key})
}

// fail notes the first failure of the transaction.
func (b *batch) fail(err error) {
	if b.failed == nil {
		b.failed = err
	}
}
