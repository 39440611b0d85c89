package store

import (
	"context"
	"time"

	"gatehouse/internal/fault"
)

// Copied is how much Copy has copied.
type Copied struct {
	Keys   int
	Blocks int
}

// Copy copies all keys, with what is left of their time, and the logs named, from
// one store into another, which must have no keys. Versions are given anew.
// Secrets stay sealed: both are opened with the same SECRET_KEY. Nobody else may
// change the stores meanwhile. After an error the copy is not whole.
func Copy(ctx context.Context, from, to Store, logs ...string) (Copied, error) {
	var c Copied
	there, err := to.List(ctx, "", "", 1)
	if err != nil {
		return c, err
	}
	if len(there) > 0 {
		return c, fault.New(fault.Exists, "there is data already where the copy should go: empty it first")
	}
	if c.Keys, err = copyKeys(ctx, from, to); err != nil {
		return c, err
	}
	for _, log := range logs {
		n, err := copyLog(ctx, from, to, log)
		c.Blocks += n
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

func copyKeys(ctx context.Context, from, to KV) (int, error) {
	now, err := from.Now(ctx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	n, after := 0, ""
	for {
		items, err := from.List(ctx, "", after, MaxCommit)
		if err != nil {
			return n, err
		}
		var writes []Write
		size := 0
		for _, it := range items {
			w := Write{Key: it.Key, Value: it.Value, If: 0}
			if !it.Expires.IsZero() {
				if w.TTL = it.Expires.Sub(now.Add(time.Since(began))); w.TTL <= 0 {
					continue
				}
			}
			if size += len(it.Key) + len(it.Value); size > MaxCommitBytes {
				if _, err := to.Commit(ctx, writes...); err != nil {
					return n, err
				}
				n += len(writes)
				writes, size = nil, len(it.Key)+len(it.Value)
			}
			writes = append(writes, w)
		}
		if _, err := to.Commit(ctx, writes...); err != nil {
			return n, err
		}
		n += len(writes)
		if len(items) < MaxCommit {
			return n, nil
		}
		after = items[len(items)-1].Key
	}
}

func copyLog(ctx context.Context, from, to Log, log string) (n int, err error) {
	var failed error
	err = from.Range(ctx, log, time.Time{}, time.Time{}, false, func(b Block) bool {
		if _, failed = to.Append(ctx, b, false); failed != nil {
			return false
		}
		n++
		return true
	})
	if failed != nil {
		return n, failed
	}
	return n, err
}
