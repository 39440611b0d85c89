package redisstore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// The loop waits for news at most so long, then looks for what has expired, and
// for whether this is still the data that it was. A server that keeps silent for
// the grace more is away.
const (
	newsWait   = 250 * time.Millisecond
	newsGrace  = 1500 * time.Millisecond
	newsCount  = 500
	attachWait = 2 * time.Second
	sayAgain   = time.Minute // between two lines about the same trouble
)

// position is where the loop stands.
type position struct {
	id       string
	counter  int64  // number of the last event
	events   string // its id in the stream
	appended string // the same of what was appended to the logs
	swept    time.Time
}

// attach finds out whose data is in Redis and where its streams end. An id to
// begin with is written where there is none.
func (s *Store) attach(ctx context.Context, begin string) (position, error) {
	ctx, cancel := context.WithTimeout(ctx, attachWait)
	defer cancel()
	keys := []string{s.key(keyID), s.key(keySucceeds), s.key(keyCounter), s.key(keyEvents), s.key(keyAppended)}
	answer, err := scriptAttach.Run(ctx, s.client, keys, s.link.known(), begin).Slice()
	if err != nil {
		return position{}, err
	}
	at := position{id: text(answer, 0), counter: number(text(answer, 2)), events: text(answer, 3), appended: text(answer, 4)}
	mine := s.link.known()
	if mine == "" && strings.HasPrefix(at.id, pushing) {
		return at, away(errors.New("another node is writing its data back"))
	}
	succeeds, _ := answer[1].(int64)
	switch {
	case mine == "" || mine == at.id:
		return at, nil
	case at.id != "" && succeeds == 1:
		s.log.WarnContext(ctx, "the data that is in Redis now was accepted in place of what this node had")
		s.link.id.Store(&at.id)
		return at, nil
	}
	return at, strange(at.id == "")
}

// follow keeps this node in step with Redis until the store is closed: it hands
// on what others change, and finds out when Redis is away, back, or strange.
func (s *Store) follow(at position) {
	ctx := s.closing
	for {
		err := s.read(ctx, &at)
		if ctx.Err() != nil {
			return
		}
		s.log.DebugContext(ctx, "what others change can't be followed", "error", err)
		if at, err = s.regain(ctx); err != nil {
			return
		}
		s.link.up()
		s.events.Publish(store.Event{Kind: store.Reload})
	}
}

// regain gets at our data again: at once when only a connection was cut, else
// later and later until it does, or ctx ends. Then nothing works meanwhile.
func (s *Store) regain(ctx context.Context) (position, error) {
	var wait backoff
	var said time.Time
	for {
		at, err := s.attach(ctx, "")
		if err == nil {
			if !said.IsZero() {
				s.log.InfoContext(ctx, "Redis is in use again")
			}
			return at, nil
		}
		if ctx.Err() != nil {
			return at, ctx.Err()
		}
		if _, ours := errors.AsType[*fault.Error](err); !ours {
			err = away(err)
		}
		s.link.down(err)
		if time.Since(said) > sayAgain {
			said = time.Now()
			s.log.ErrorContext(ctx, "what is in memory stays in use, nothing can be changed", "error", err)
		}
		if !wait.sleep(ctx) {
			return at, ctx.Err()
		}
	}
}

// read hands on what comes until something fails.
func (s *Store) read(ctx context.Context, at *position) error {
	for ctx.Err() == nil {
		if err := s.link.state(); err != nil {
			return err
		}
		if err := s.news(ctx, at); err != nil {
			return err
		}
		if time.Since(at.swept) < newsWait {
			continue
		}
		at.swept = time.Now()
		if err := s.sweep(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// news waits for what comes next in the two streams.
func (s *Store) news(ctx context.Context, at *position) error {
	bounded, cancel := context.WithTimeout(ctx, newsWait+newsGrace)
	defer cancel()
	streams, err := s.client.XRead(bounded, &redis.XReadArgs{
		Streams: []string{s.key(keyEvents), s.key(keyAppended), at.events, at.appended}, Count: newsCount, Block: newsWait,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, stream := range streams {
		for _, m := range stream.Messages {
			if stream.Stream == s.key(keyEvents) {
				at.events = m.ID
				s.changed(at, m.Values)
				continue
			}
			at.appended = m.ID
			if err := s.appended(ctx, m.Values); err != nil {
				return err
			}
		}
	}
	return nil
}

// changed tells the watchers of one event. Their numbers follow on one another:
// when one is missing, the stream was cut before we read it.
func (s *Store) changed(at *position, values map[string]any) {
	n, key := number(word(values, "n")), word(values, "key")
	if n != at.counter+1 {
		s.events.Publish(store.Event{Kind: store.Reload})
	}
	at.counter = n
	kind := store.Changed
	if word(values, "op") == "del" {
		kind = store.Deleted
	}
	s.events.Publish(store.Event{Kind: kind, Key: key})
}

// watchQueue is how many events a reader may be behind before it has to list anew.
const watchQueue = 1024

// Watch tells of changes to keys with prefix.
func (s *Store) Watch(ctx context.Context, prefix string) <-chan store.Event {
	return s.events.Subscribe(ctx, func(queue []store.Event, e store.Event) []store.Event {
		switch {
		case e.Kind == store.Reload:
			return []store.Event{e} // it stands for all that waited
		case !strings.HasPrefix(e.Key, prefix):
			return queue
		case len(queue) >= watchQueue:
			return []store.Event{{Kind: store.Reload}}
		}
		return append(queue, e)
	}, store.Event{Kind: store.Reload})
}

// text is the i-th of a script's answers, "" for nil.
func text(answer []any, i int) string {
	if i < len(answer) {
		if t, ok := answer[i].(string); ok {
			return t
		}
	}
	return ""
}

func word(values map[string]any, name string) string {
	t, _ := values[name].(string) // what is missing is empty
	return t
}
