package boltstore

import (
	"bytes"
	"context"
	"time"

	bolt "go.etcd.io/bbolt"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Get is the item at key.
func (s *Store) Get(ctx context.Context, key string) (store.Item, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Item{}, err
	}
	var item store.Item
	err := s.view(ctx, func(tx *bolt.Tx) error {
		r, found, err := lookup(tx.Bucket(keysBucket), []byte(key), time.Now())
		if err != nil {
			return err
		}
		if !found {
			return notFound(key)
		}
		item = r.item([]byte(key))
		return nil
	})
	return item, err
}

// List is a page of the items under prefix.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := store.CheckRange(prefix, after, limit); err != nil {
		return nil, err
	}
	var items []store.Item
	err := s.view(ctx, func(tx *bolt.Tx) (err error) {
		items, err = list(ctx, tx.Bucket(keysBucket).Cursor(), prefix, after, store.PageLimit(limit))
		return err
	})
	return items, err
}

func list(ctx context.Context, c *bolt.Cursor, prefix, after string, limit int) ([]store.Item, error) {
	var items []store.Item
	now := time.Now()
	k, v := c.Seek([]byte(max(prefix, after)))
	if after != "" && string(k) == after {
		k, v = c.Next()
	}
	for ; bytes.HasPrefix(k, []byte(prefix)) && k != nil && len(items) < limit; k, v = c.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := decodeRecord(v, k)
		if err != nil {
			return nil, err
		}
		if !r.expired(now) {
			items = append(items, r.item(k))
		}
	}
	return items, nil
}

// lookup is the record at key, unless it has expired.
func lookup(keys *bolt.Bucket, key []byte, now time.Time) (record, bool, error) {
	b := keys.Get(key)
	if b == nil {
		return record{}, false, nil
	}
	r, err := decodeRecord(b, key)
	return r, err == nil && !r.expired(now), err
}

func notFound(key string) error { return fault.New(fault.NotFound, "there is no key %q", key) }
