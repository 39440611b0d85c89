package redisstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/fault"
)

// link is how this node and Redis stand.
type link struct {
	id      atomic.Pointer[string] // the data that this node works on
	trouble atomic.Pointer[error]  // why nothing works now; nil: it does
}

func (l *link) known() string {
	if id := l.id.Load(); id != nil {
		return *id
	}
	return ""
}

func (l *link) up() { l.trouble.Store(nil) }

func (l *link) down(err error) { l.trouble.Store(&err) }

// state is nil, or why nothing works now.
func (l *link) state() error {
	if err := l.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// ready is why the store can't be used now, if so.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closing.Err() != nil {
		return errClosed()
	}
	return s.link.state()
}

// call runs one command, bounded in time. While Redis is known to be away it
// fails at once.
func (s *Store) call(ctx context.Context, command func(context.Context) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	return s.fault(ctx, command(bounded))
}

// reading is call for what changes nothing, and so may be tried again when the
// connection was broken: most often it had been for long.
func (s *Store) reading(ctx context.Context, command func(context.Context) error) error {
	err := s.call(ctx, command)
	if fault.Is(err, fault.Unavailable) && strings.Contains(err.Error(), "the connection broke") && s.ready(ctx) == nil {
		return s.call(ctx, command)
	}
	return err
}

// fault is a command's error in the store's words.
func (s *Store) fault(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case expired(ctx):
		return context.DeadlineExceeded
	case s.closing.Err() != nil:
		return errClosed()
	case says(err, "OTHERDATA"):
		err = strange(false)
		s.link.down(err) // the loop finds out which
		return err
	}
	if state := s.link.state(); state != nil {
		return state
	}
	return away(err)
}

// expired reports whether ctx's time is over, which sockets notice a little
// before ctx does.
func expired(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// inspect refuses a server that can't keep the contract, and says what it should
// not be like. What its ACL keeps from us is not asked.
func (s *Store) inspect(ctx context.Context) error {
	info, err := s.client.Info(ctx, "server", "memory", "persistence").Result()
	if says(err, "NOPERM") {
		return nil
	}
	if err != nil {
		return err
	}
	version := infoField(info, "redis_version")
	if major, _, _ := strings.Cut(version, "."); number(major) < 7 {
		return fault.New(fault.Unavailable, "it is version %s, and 7 or later is needed", version)
	}
	if policy := infoField(info, "maxmemory_policy"); policy != "noeviction" && infoField(info, "maxmemory") != "0" {
		s.log.WarnContext(ctx, "Redis throws data away when its memory is full: set maxmemory-policy to noeviction", "policy", policy)
	}
	if infoField(info, "aof_enabled") == "0" {
		s.log.WarnContext(ctx, "Redis may lose the latest changes when it ends: set appendonly to yes")
	}
	return nil
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // what is no number is 0
	return n
}

// backoff waits longer each time, up to two seconds, never quite as long as
// other nodes do.
type backoff struct{ last time.Duration }

const (
	backoffFirst = 50 * time.Millisecond
	backoffMost  = 2 * time.Second
)

// sleep waits; false when ctx has ended.
func (b *backoff) sleep(ctx context.Context) bool {
	b.last = min(max(2*b.last, backoffFirst), backoffMost)
	timer := time.NewTimer(b.last/2 + rand.N(b.last/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
