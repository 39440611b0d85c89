package oauth

import (
	"context"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/store"
)

const tidyEvery = time.Minute

// Run follows what other nodes change (keys, revocations, local accounts),
// writes down which sessions were seen, and forgets what has expired. It returns
// when ctx ends and everything it started has ended.
func (s *Server) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { s.follow(ctx, keyKeys, s.loadKeys, s.readKeys) })
	all.Go(func() { s.follow(ctx, prefixRevoked, s.loadRevocations, s.readRevocation) })
	all.Go(func() { s.follow(ctx, prefixUser, s.loadUsers, s.readUser) })
	all.Go(func() { s.writeTouches(ctx) })
	all.Go(func() { s.revokeExposed(ctx) })
	all.Go(func() { s.tidy(ctx) })
	all.Wait()
	return nil
}

// follow keeps one part of the memory equal to the store: one reads a single
// name below prefix, whole everything. What can't be read is tried again, so
// that a store that was away for a moment leaves nothing behind.
func (s *Server) follow(ctx context.Context, prefix string, whole func(context.Context) error, one func(context.Context, string) error) {
	again := time.NewTimer(time.Hour)
	again.Stop()
	defer again.Stop()
	events := s.kv.Watch(ctx, prefix)
	for {
		var err error
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			if e.Kind == store.Reload {
				err = whole(ctx)
			} else {
				err = one(ctx, strings.TrimPrefix(e.Key, prefix))
			}
		case <-again.C:
			err = whole(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "a change in the store could not be read; trying again", "prefix", prefix, "error", err)
			again.Reset(time.Second)
		}
	}
}

func (s *Server) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := s.now()
			s.revoked.prune(now)
			s.verified.prune(now)
			s.limits.prune(now)
			s.forged.forget()
			s.unsigned.forget()
			s.flight.prune(now)
			s.byURL.prune(now)
			s.keySets.prune(now)
			s.own.prune(now)
			s.retireKeys(ctx)
		}
	}
}
