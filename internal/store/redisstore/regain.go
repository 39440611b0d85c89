package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

var _ store.Regainer = (*Store)(nil)

// pushing begins the id of data that is being written back. No node takes it for
// its own before it is whole.
const pushing = "pushing-"

// Accept takes what is in Redis now in place of what this node and those that
// share its data had.
func (s *Store) Accept(ctx context.Context) error {
	there, err := s.stranger(ctx)
	if err != nil {
		return err
	}
	if strings.HasPrefix(there, pushing) {
		return fault.New(fault.Conflict, "somebody is writing data back, or was cut off while doing it: wait, or push again")
	}
	keys := []string{s.key(keyID), s.key(keySucceeds)}
	if err := s.agreed(scriptAccept.Run(ctx, s.client, keys, there, strings.ToLower(rand.Text()), s.link.known())); err != nil {
		return err
	}
	return s.await(ctx)
}

// Push writes back what this node has, so that the nodes that share its data go
// on with it. Redis must be empty, or hold what a broken push has left.
func (s *Store) Push(ctx context.Context) (int, error) {
	there, err := s.stranger(ctx)
	if err != nil {
		return 0, err
	}
	if there != "" && !strings.HasPrefix(there, pushing) {
		return 0, fault.New(fault.Conflict, "Redis holds the data of another installation, which a push would mix with this one's: empty it, or set another REDIS_PREFIX")
	}
	items, whole := s.mirror.all()
	if !whole {
		return 0, fault.New(fault.Conflict, "this node had not read everything before Redis was lost: push from another node")
	}
	id := pushing + strings.ToLower(rand.Text())
	if err := s.agreed(scriptRename.Run(ctx, s.client, []string{s.key(keyID)}, there, id)); err != nil {
		return 0, err
	}
	written := 0
	for len(items) > 0 {
		n := pushable(items)
		if err := s.pushSome(ctx, id, items[:n]); err != nil {
			return written, err
		}
		written += n
		items = items[n:]
	}
	if err := s.agreed(scriptRename.Run(ctx, s.client, []string{s.key(keyID)}, id, s.link.known())); err != nil {
		return written, err
	}
	return written, s.await(ctx)
}

// pushable is how many of items fit into one commit, one at least.
func pushable(items []store.Item) int {
	bytes := 0
	for i, it := range items {
		bytes += len(it.Key) + len(it.Value)
		if i > 0 && (i == store.MaxCommit || bytes > store.MaxCommitBytes/4) {
			return i
		}
	}
	return len(items)
}

// pushSome writes items under the id of the push.
func (s *Store) pushSome(ctx context.Context, id string, items []store.Item) error {
	keys, words := s.changeKeys(), []any{id}
	for _, it := range items {
		ttl := time.Duration(0)
		if !it.Expires.IsZero() {
			if ttl = time.Until(it.Expires); ttl <= 0 {
				continue
			}
		}
		keys, words = s.change(keys, words, it.Key, false)
		words = append(words, it.Value, store.AnyVersion, micros(ttl))
	}
	answer, err := scriptCommit.Run(ctx, s.client, keys, words...).Result()
	if err != nil {
		return away(err)
	}
	_, err = committed(answer, (len(words)-1)/8)
	return err
}

// stranger is the id of the data in Redis, "" for none; Conflict when it is ours
// and there is nothing to decide.
func (s *Store) stranger(ctx context.Context) (string, error) {
	if s.closing.Err() != nil {
		return "", errClosed()
	}
	if s.link.state() == nil {
		return "", fault.New(fault.Conflict, "Redis holds this installation's data, and is in use: there is nothing to decide")
	}
	at, err := s.attach(ctx, "")
	if err == nil {
		return "", fault.New(fault.Conflict, "Redis holds this installation's data again: there is nothing to decide")
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Cause == nil {
		return at.id, nil
	}
	return "", away(err)
}

// agreed reads the answer of a script that changes the id.
func (s *Store) agreed(answer *redis.Cmd) error {
	n, err := answer.Int64()
	if err != nil {
		return away(err)
	}
	if n != 1 {
		return fault.New(fault.Conflict, "the data in Redis was changed by somebody else at the same time: look again")
	}
	return nil
}

// await returns when the loop has taken the data up.
func (s *Store) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*backoffMost+attachWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.link.state() == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s.link.state()
		case <-s.closing.Done():
			return errClosed()
		}
	}
}
