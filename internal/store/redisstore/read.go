package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// readAtOnce is how many values one script reads: it holds up everybody else.
const readAtOnce = 100

// Get is the item at key.
func (s *Store) Get(ctx context.Context, key string) (store.Item, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Item{}, err
	}
	items, err := s.items(ctx, []string{key})
	if err == nil && len(items) == 0 {
		err = notFound(key)
	}
	if err != nil {
		return store.Item{}, err
	}
	return items[0], nil
}

// List is a page of the items under prefix. Each is as it was at some moment
// during the call.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := store.CheckRange(prefix, after, limit); err != nil {
		return nil, err
	}
	limit = store.PageLimit(limit)
	var items []store.Item
	for len(items) < limit {
		want := min(readAtOnce, limit-len(items))
		names, err := s.names(ctx, prefix, after, want)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			break
		}
		found, err := s.items(ctx, names)
		if err != nil {
			return nil, err
		}
		items = append(items, found...)
		after = names[len(names)-1]
		if len(names) < want {
			break
		}
	}
	return items, nil
}

// names are up to so many names under prefix, expired ones among them.
func (s *Store) names(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	by := redis.ZRangeArgs{Key: s.key(keyIndex), ByLex: true, Start: "-", Stop: "+", Count: int64(limit)}
	if prefix != "" {
		by.Start, by.Stop = "["+prefix, "("+prefix+"\xff" // which is in no UTF-8
	}
	if after != "" && after >= prefix {
		by.Start = "(" + after
	}
	var names []string
	err := s.reading(ctx, func(ctx context.Context) (err error) {
		names, err = s.client.ZRangeArgs(ctx, by).Result()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return names, err
}

// items are those of names that are there.
func (s *Store) items(ctx context.Context, names []string) ([]store.Item, error) {
	keys := []string{s.key(keyID), s.key(keyVersions)}
	args := make([]any, len(names))
	for i, name := range names {
		keys = append(keys, s.valueKey(name))
		args[i] = name
	}
	answer, err := s.runReading(ctx, scriptRead, keys, args...)
	if err != nil {
		return nil, err
	}
	all, ok := answer.([]any)
	if !ok || len(all) != 3*len(names) {
		return nil, fault.New(fault.Internal, "Redis answered something else than was asked")
	}
	items := make([]store.Item, 0, len(names))
	for i, name := range names {
		if value, there := all[3*i].(string); there {
			items = append(items, item(name, value, all[3*i+1], all[3*i+2]))
		}
	}
	return items, nil
}

// item is what a script told of one key.
func item(name, value string, version, expires any) store.Item {
	v, _ := version.(string)
	it := store.Item{Key: name, Value: []byte(value), Version: number(v)}
	// Redis keeps a key through the millisecond of its expiry; here it ends with it.
	if ms, ok := expires.(int64); ok && ms >= 0 {
		it.Expires = time.UnixMilli(ms + 1).UTC()
	}
	return it
}
