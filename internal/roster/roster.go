// Package roster keeps the present site.World: it reads proxies and routes from
// the store, follows their changes on every node, and publishes each new world
// to those who serve from it. What a world means is package site's matter; who
// may change it package control's.
package roster

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// Where proxies and routes stand in the store.
const (
	ProxyPrefix = "proxy:"
	RoutePrefix = "route:"
)

// gather is how long a change waits for others that come with it, so that a
// burst of changes makes one world and not hundreds.
const gather = 5 * time.Millisecond

// longest is how long changes wait at most, however slow the machine.
const longest = 250 * time.Millisecond

// Roster follows the store and publishes worlds.
type Roster struct {
	kv      store.KV
	origins site.Origins
	publish func(*site.World)
	log     *slog.Logger
	world   atomic.Pointer[site.World]

	pending site.Change // what was read since the last world; Load's and Run's
	rest    time.Time   // no change makes a world before it

	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed and replaced at each publication
}

// New makes a roster. publish is called for each new world, from Load and then
// from Run, never twice at once.
func New(kv store.KV, origins site.Origins, publish func(*site.World), log *slog.Logger) *Roster {
	r := &Roster{kv: kv, origins: origins, publish: publish, log: log, changed: make(chan struct{})}
	r.forget()
	return r
}

// World is the present world, immutable; nil before Load.
func (r *Roster) World() *site.World { return r.world.Load() }

// Load reads everything and publishes the first world.
func (r *Roster) Load(ctx context.Context) error {
	proxies, err := readAll(ctx, store.NewTable[site.Proxy](r.kv, ProxyPrefix, "proxy"), r.log,
		func(p *site.Proxy, version int64) { p.Version = version })
	if err != nil {
		return err
	}
	routes, err := readAll(ctx, store.NewTable[site.Route](r.kv, RoutePrefix, "route"), r.log,
		func(t *site.Route, version int64) { t.Version = version })
	if err != nil {
		return err
	}
	r.forget()
	r.show(site.NewWorld(r.origins, proxies, routes, r.world.Load()))
	return nil
}

func (r *Roster) forget() {
	r.pending = site.Change{Proxies: map[string]*site.Proxy{}, Routes: map[string]*site.Route{}}
}

// readAll reads a table record by record: one that can't be read is told and
// left out, so that it never takes the others down.
func readAll[T any](ctx context.Context, table store.Table[T], log *slog.Logger, stamp func(*T, int64)) ([]T, error) {
	rows, bad, err := table.Readable(ctx)
	if err != nil {
		return nil, err
	}
	for _, err := range bad {
		log.ErrorContext(ctx, "a stored record is left out", "error", err)
	}
	all := make([]T, len(rows))
	for i, row := range rows {
		stamp(&row.Value, row.Version)
		all[i] = row.Value
	}
	return all, nil
}

// tryAgain is how long a change that could not be read waits for the store.
const tryAgain = time.Second

// Run follows the store until ctx ends. While the store is away the world stays
// as it is; then everything is read again.
func (r *Roster) Run(ctx context.Context) error {
	proxies := r.kv.Watch(ctx, ProxyPrefix)
	routes := r.kv.Watch(ctx, RoutePrefix)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	again := time.NewTimer(time.Hour)
	again.Stop()
	gathering := false
	for {
		var event store.Event
		var ok bool
		select {
		case event, ok = <-proxies:
		case event, ok = <-routes:
		case <-timer.C:
			gathering = false
			r.advance()
			continue
		case <-again.C:
			event, ok = store.Event{Kind: store.Reload}, true
		}
		if !ok {
			return context.Cause(ctx)
		}
		due, missed := r.apply(ctx, event)
		if due && !gathering { // what comes later does not put it off
			gathering = true
			timer.Reset(max(gather, time.Until(r.rest)))
		}
		if missed {
			again.Reset(tryAgain)
		}
	}
}

// apply takes one event in and reports whether a new world is due, and whether
// the store was away, so that something is missing.
func (r *Roster) apply(ctx context.Context, event store.Event) (due, missed bool) {
	var err error
	switch {
	case event.Kind == store.Reload:
		err = r.Load(ctx)
	case len(event.Key) > len(ProxyPrefix) && event.Key[:len(ProxyPrefix)] == ProxyPrefix:
		err = refresh(ctx, r.kv, ProxyPrefix, "proxy", event.Key, r.pending.Proxies, func(p *site.Proxy, v int64) { p.Version = v })
	default:
		err = refresh(ctx, r.kv, RoutePrefix, "route", event.Key, r.pending.Routes, func(t *site.Route, v int64) { t.Version = v })
	}
	if err != nil {
		if ctx.Err() == nil {
			r.log.ErrorContext(ctx, "a change is not served yet", "key", event.Key, "error", err)
		}
		return false, fault.Is(err, fault.Unavailable)
	}
	return event.Kind != store.Reload, false // Load has published already
}

// refresh reads the record of a key into what is pending.
func refresh[T any](ctx context.Context, kv store.KV, prefix, noun, key string, into map[string]*T, stamp func(*T, int64)) error {
	name := key[len(prefix):]
	row, err := store.NewTable[T](kv, prefix, noun).Get(ctx, name)
	if fault.Is(err, fault.NotFound) {
		into[name] = nil
		return nil
	}
	if err != nil {
		return err
	}
	stamp(&row.Value, row.Version)
	into[name] = &row.Value
	return nil
}

// advance publishes the world with what is pending. Where a world is dear it is
// made less often: changes never take more than a fifth of a processor from those
// who are served.
func (r *Roster) advance() {
	began := time.Now()
	r.show(r.world.Load().With(r.pending))
	r.forget()
	now := time.Now()
	r.rest = now.Add(min(4*now.Sub(began), longest))
}

// show publishes a world.
func (r *Roster) show(world *site.World, errs []error) {
	for _, err := range errs {
		r.log.Error("a host is not served", "error", err)
	}
	r.world.Store(world)
	r.publish(world)
	r.mu.Lock()
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
}

// Await returns when the published world has the key at this version or a later
// one (version 0: without it), so that who made a change is answered when it is
// served. It gives up after a second, or when ctx ends: the change is stored in
// any case.
func (r *Roster) Await(ctx context.Context, key string, version int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if r.serves(key, version) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// serves asks the published world, not the records: those are ahead of it.
func (r *Roster) serves(key string, version int64) bool {
	w := r.world.Load()
	if w == nil {
		return false
	}
	if len(key) > len(ProxyPrefix) && key[:len(ProxyPrefix)] == ProxyPrefix {
		return w.HasProxy(key[len(ProxyPrefix):], version)
	}
	return w.HasRoute(key[len(RoutePrefix):], version)
}
