// Package redisstore is the backend of store for many nodes: one Redis 7, alone
// or behind Sentinels, that they share.
//
// Values stand at keys of their own, as they are, so that people can GET them.
// Beside them are the versions (a hash), the order of names (a sorted set, so
// that listing needs no SCAN), what expires when, and events, a stream that every
// node follows; keys.go has the names. Each change is one Lua script (lua/), so
// that it happens whole or not at all. Logs are streams of an hour each.
//
// Every script runs only on the data that this node knows (lua/fence.lua): a
// Redis that comes back empty, or as another one, is not obeyed until somebody
// says so. While Redis is away or strange every call fails at once; link.go has
// the loop that finds out.
package redisstore

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/feed"
)

// Options say which Redis, and how it is used.
type Options struct {
	Addrs              []string // host:port; with Master, of Sentinels
	Master             string   // the name that the Sentinels know; empty: Addrs is one Redis
	Username, Password string
	DB                 int
	TLS                *tls.Config // nil: plain TCP
	Prefix             string      // put before every key

	// LogLife is how long the streams of a log live without being dropped, so that
	// an installation that is gone leaves no logs behind; a log that is not in it
	// lives until it is dropped.
	LogLife map[string]time.Duration

	// Mirror keeps all that lives for long in memory too, so that Push can write it
	// back when Redis has lost it.
	Mirror bool

	// Patience is how long Open tries to reach Redis; 0 means DefaultPatience.
	Patience time.Duration

	Log *slog.Logger // nil: silence
}

// DefaultPatience covers a Redis that is just starting.
const DefaultPatience = 10 * time.Second

// Store is an open store in Redis. It is safe for concurrent use.
type Store struct {
	opts   Options
	client redis.UniversalClient
	log    *slog.Logger
	node   string // marks what this process holds
	link   link
	events feed.Hub[store.Event]
	blocks followers
	logs   logState
	mirror mirror

	closing context.Context // ends when Close begins
	tasks   sync.WaitGroup  // the loop and the leases
	close   func() error
}

var _ store.Store = (*Store)(nil)

// Open connects to Redis. Unavailable when it can't be reached, is too old, or
// refuses us; the sentence says which.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if len(opts.Addrs) == 0 {
		return nil, fault.BadField("REDIS_URL", "names no server")
	}
	s := &Store{opts: opts, client: dial(opts), log: opts.Log, node: strings.ToLower(rand.Text()[:8])}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	closing, cancel := context.WithCancel(context.Background())
	s.closing = closing
	s.close = sync.OnceValue(func() error {
		cancel()
		err := s.client.Close() // ends what waits for an answer
		s.events.Close()
		s.tasks.Wait()
		s.blocks.close()
		return err
	})
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// begin reaches Redis for the first time and starts the loop that follows it.
func (s *Store) begin(ctx context.Context) error {
	patience := s.opts.Patience
	if patience <= 0 {
		patience = DefaultPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var wait backoff
	var before error
	for {
		at, err := s.first(ctx)
		if err == nil {
			s.link.up()
			s.tasks.Go(func() { s.follow(at) })
			if s.opts.Mirror {
				s.tasks.Go(s.reflect)
			}
			return nil
		}
		if before != nil && ctx.Err() != nil {
			err = before // the end of our patience says less
		}
		before = err
		if !passing(err) || !wait.sleep(ctx) {
			return fault.Wrap(fault.Unavailable, err, "Redis at %s can't be used: %s", s.place(), reason(err))
		}
	}
}

// first checks the server and takes up its data, beginning it where there is none.
func (s *Store) first(ctx context.Context) (position, error) {
	if err := s.inspect(ctx); err != nil {
		return position{}, err
	}
	at, err := s.attach(ctx, strings.ToLower(rand.Text()))
	if err != nil {
		return at, err
	}
	s.link.id.Store(&at.id)
	return at, nil
}

// Close ends the watches and the leases and lets go of the connections. Calling
// it again answers the same.
func (s *Store) Close() error { return s.close() }

// Ready is nil, or why the store can't be used now: it is away, or its data is not ours.
// It asks nobody.
func (s *Store) Ready() error { return s.ready(s.closing) }

// Now is the clock of the Redis server.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := s.reading(ctx, func(ctx context.Context) (err error) {
		now, err = s.client.Time(ctx).Result()
		return err
	})
	return now.UTC(), err
}

// Describe tells the address, the number of keys, and the memory that the whole
// Redis uses.
func (s *Store) Describe(ctx context.Context) (store.Description, error) {
	d := store.Description{Backend: "redis", Place: s.place()}
	err := s.reading(ctx, func(ctx context.Context) (err error) {
		if d.Keys, err = s.client.ZCard(ctx, s.key(keyIndex)).Result(); err != nil {
			return err
		}
		info, err := s.client.Info(ctx, "memory").Result()
		d.Bytes, _ = strconv.ParseInt(infoField(info, "used_memory"), 10, 64)
		return err
	})
	return d, err
}

// place is where the data is, without credentials.
func (s *Store) place() string {
	u := url.URL{Scheme: "redis", Host: strings.Join(s.opts.Addrs, ","), Path: "/" + strconv.Itoa(s.opts.DB)}
	switch {
	case s.opts.Master != "":
		u.Scheme, u.Path = "redis+sentinel", "/"+s.opts.Master+u.Path
	case s.opts.TLS != nil:
		u.Scheme = "rediss"
	}
	return u.String()
}

// Bounds of each command and of the connections.
const (
	dialTimeout = 2 * time.Second
	opTimeout   = 3 * time.Second
	poolSize    = 32
)

// dial makes a client. It connects when it is first used, and never repeats a
// command by itself: of one whose answer was lost nobody knows whether it ran.
func dial(o Options) redis.UniversalClient {
	quiet()
	u := &redis.UniversalOptions{
		Addrs: o.Addrs, MasterName: o.Master, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLS,
		ClientName: "gatehouse", DisableIdentity: true, Protocol: 2,
		MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: opTimeout, WriteTimeout: opTimeout,
		ContextTimeoutEnabled: true, PoolSize: poolSize, PoolTimeout: opTimeout, ConnMaxIdleTime: 5 * time.Minute,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	return redis.NewUniversalClient(u)
}
