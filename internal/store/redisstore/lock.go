package redisstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/store"
)

// How long one who waits for a lock lets pass between two looks.
const (
	lockWaitFirst = 10 * time.Millisecond
	lockWaitMost  = 250 * time.Millisecond
)

// lease is a lock that is held. Its mark begins with a number that is above those
// of all earlier holders.
type lease struct {
	s    *Store
	key  string
	mark string
	ttl  time.Duration
	lost chan struct{}
	end  func() // closes lost, once
	stop context.CancelFunc
}

// Lock waits until it holds the lock called name.
func (s *Store) Lock(ctx context.Context, name string, ttl time.Duration) (store.Lease, error) {
	if err := store.CheckLease(name, ttl); err != nil {
		return nil, err
	}
	for wait := lockWaitFirst; ; wait = min(2*wait, lockWaitMost) {
		asked := time.Now()
		mark, err := s.tryLock(ctx, name, ttl)
		if err != nil {
			return nil, err
		}
		if mark != "" {
			return s.hold(ctx, name, mark, ttl, asked), nil
		}
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-s.closing.Done():
			timer.Stop()
			return nil, errClosed()
		}
	}
}

// tryLock is the mark of the lock when it was free.
func (s *Store) tryLock(ctx context.Context, name string, ttl time.Duration) (string, error) {
	answer, err := s.run(ctx, scriptLock, []string{s.key(keyID), s.key(keyLock + name), s.key(keyLast)}, s.node, ttl.Milliseconds())
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	mark, _ := answer.(string)
	return mark, nil
}

// hold renews the lock, which was got by asking at a time, until it is lost.
func (s *Store) hold(ctx context.Context, name, mark string, ttl time.Duration, asked time.Time) *lease {
	l := &lease{s: s, key: s.key(keyLock + name), mark: mark, ttl: ttl, lost: make(chan struct{})}
	l.end = sync.OnceFunc(func() { close(l.lost) })
	ctx, l.stop = context.WithCancel(ctx)
	s.tasks.Go(func() { l.renew(ctx, asked) })
	return l
}

// renew keeps the lock. It is lost when Redis says so, and when nothing was heard
// for so long that Redis may have given it to another.
func (l *lease) renew(ctx context.Context, heard time.Time) {
	defer l.end()
	defer l.stop()
	tick := time.NewTicker(l.ttl / 4)
	defer tick.Stop()
	for {
		sure := time.NewTimer(time.Until(heard.Add(l.ttl * 9 / 10)))
		select {
		case <-ctx.Done():
		case <-l.s.closing.Done():
		case <-sure.C:
		case <-tick.C:
			sure.Stop()
			asked := time.Now()
			held, err := l.ask(ctx, asked.Sub(heard))
			if err == nil && !held {
				return
			}
			if err == nil {
				heard = asked
			}
			continue
		}
		sure.Stop()
		return
	}
}

// ask asks for one more time to live, within what is left of this one.
func (l *lease) ask(ctx context.Context, since time.Duration) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(l.ttl*9/10-since, 0))
	defer cancel()
	answer, err := l.s.run(ctx, scriptRenew, []string{l.s.key(keyID), l.key}, l.mark, l.ttl.Milliseconds())
	n, _ := answer.(int64)
	return n == 1, err
}

// Lost is closed when the lock is no longer ours.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// Unlock gives the lock back. When Redis is away it ends by itself.
func (l *lease) Unlock() {
	l.stop()
	l.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.s.closing), opTimeout)
	defer cancel()
	_, _ = l.s.run(ctx, scriptUnlock, []string{l.s.key(keyID), l.key}, l.mark) // it ends by itself
}
