package redisstore

import (
	"context"
	"strconv"
	"time"

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
	keys, words := s.changeKeys(), make([]any, 0, 8*len(writes))
	for _, w := range writes {
		keys, words = s.change(keys, words, w.Key, w.Delete)
		value := w.Value
		if w.Delete {
			value = nil
		}
		words = append(words, value, w.If, micros(w.TTL))
	}
	answer, err := s.run(ctx, scriptCommit, keys, words...)
	if err != nil {
		return nil, err
	}
	return committed(answer, len(writes))
}

// micros is a time to live in microseconds, rounded up, so that none becomes 0.
func micros(d time.Duration) int64 { return int64((d + time.Microsecond - 1) / time.Microsecond) }

// committed reads what the script answered to n writes.
func committed(answer any, n int) ([]int64, error) {
	all, _ := answer.([]any)
	switch text(all, 0) {
	case "conflict":
		return nil, fault.New(fault.Conflict, "the key %q is not at the version that was read: read it again and repeat", text(all, 1))
	case "ok":
		if len(all) == n+1 {
			break
		}
		fallthrough
	default:
		return nil, fault.New(fault.Internal, "Redis answered something else than was asked")
	}
	versions := make([]int64, n)
	for i := range versions {
		version, err := strconv.ParseInt(text(all, i+1), 10, 64)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "Redis answered something else than was asked")
		}
		versions[i] = version
	}
	return versions, nil
}

// Take gets and deletes key in one step.
func (s *Store) Take(ctx context.Context, key string) (store.Item, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Item{}, err
	}
	keys, words := s.change(s.changeKeys(), nil, key, true)
	answer, err := s.run(ctx, scriptTake, keys, words...)
	if err != nil {
		return store.Item{}, err
	}
	all, _ := answer.([]any)
	if len(all) != 3 {
		return store.Item{}, notFound(key)
	}
	return item(key, text(all, 0), all[1], all[2]), nil
}

// sweepAtOnce is how many expired keys one script removes.
const sweepAtOnce = 200

// sweep removes what is left of keys that have expired, and tells of it. Each
// node does so; what one has removed the others do not find.
func (s *Store) sweep(ctx context.Context) error {
	for {
		answer, err := s.run(ctx, scriptDue, []string{s.key(keyID), s.key(keyExpiry)}, sweepAtOnce)
		if err != nil {
			return err
		}
		due, _ := answer.([]any)
		if len(due) == 0 {
			return nil
		}
		keys, words := s.changeKeys(), []any(nil)
		for i := range due {
			keys, words = s.change(keys, words, text(due, i), true)
		}
		if _, err := s.run(ctx, scriptExpire, keys, words...); err != nil {
			return err
		}
		if len(due) < sweepAtOnce {
			return nil
		}
	}
}
