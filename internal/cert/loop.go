package cert

import (
	"context"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// Run obtains and renews what is due, and follows what other nodes change, until
// ctx ends and every order that it began has ended too.
func (m *Manager) Run(ctx context.Context) error {
	m.runs.Store(true)
	defer m.runs.Store(false)
	var orders sync.WaitGroup
	defer orders.Wait()
	places := make(chan struct{}, m.opt.Workers)
	events := m.opt.Store.Watch(ctx, ObjectPrefix)
	timer := time.NewTimer(0)
	defer timer.Stop()
	read := true // what is in memory is what the store has
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return nil
			}
			if read = m.followAll(ctx, e, events) && read; !read {
				timer.Reset(trouble)
				continue
			}
		case <-m.nudge:
		case <-timer.C:
			m.doubt() // certificates end, too
		}
		if !read {
			read = m.follow(ctx, store.Event{Kind: store.Reload})
		}
		next := m.start(ctx, places, &orders)
		if made := m.ensure(ctx); !made || !read {
			next = earlier(next, time.Now().Add(trouble))
		}
		timer.Reset(max(time.Until(next), 10*time.Millisecond))
	}
}

// followAll follows an event and those that wait behind it: many certificates
// that change at once are looked through once.
func (m *Manager) followAll(ctx context.Context, e store.Event, more <-chan store.Event) bool {
	ok := m.follow(ctx, e)
	for range cap(more) + 1 {
		select {
		case e, open := <-more:
			if !open {
				return ok
			}
			ok = m.follow(ctx, e) && ok
		default:
			return ok
		}
	}
	return ok
}

// follow takes a change in the store into memory; false: it could not be read.
func (m *Manager) follow(ctx context.Context, e store.Event) bool {
	var err error
	switch name := strings.TrimPrefix(e.Key, ObjectPrefix); {
	case e.Kind == store.Reload:
		err = m.Load(ctx)
	case strings.HasPrefix(e.Key, DomainPrefix):
	default:
		err = m.apply(ctx, name)
	}
	if err != nil && ctx.Err() == nil {
		m.log.WarnContext(ctx, "certificates could not be read; trying again", "error", err)
	}
	return err == nil
}

// start begins the orders that are due, as far as there are places, and answers
// when to look again.
func (m *Manager) start(ctx context.Context, places chan struct{}, orders *sync.WaitGroup) time.Time {
	now := time.Now()
	due, next := m.agenda(now)
	for _, name := range due {
		select {
		case places <- struct{}{}:
		default:
			return next // one that ends wakes us
		}
		m.hold(name, never)
		orders.Go(func() {
			until := m.work(ctx, name)
			<-places
			m.hold(name, until)
			m.wake()
		})
	}
	return next
}

// agenda is which objects want to be worked on now, but for those in work, and
// when the next one will.
func (m *Manager) agenda(now time.Time) (due []string, next time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next = now.Add(m.opt.CheckEvery)
	for name, o := range m.objects {
		at := earlier(o.due(m.opt.Threshold), o.ask())
		if until, busy := m.busy[name]; busy {
			if until.Equal(never) {
				continue
			}
			if now.Before(until) {
				at = later(at, until)
			} else {
				delete(m.busy, name)
			}
		}
		if at.After(now) {
			next = earlier(next, at)
		} else {
			due = append(due, name)
		}
	}
	return due, next
}

// hold keeps the loop from an object until a time; zero: no longer.
func (m *Manager) hold(name string, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if until.IsZero() {
		delete(m.busy, name)
		return
	}
	m.busy[name] = until
}
