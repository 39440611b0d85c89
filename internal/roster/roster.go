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

// Roster follows the store and publishes worlds.
type Roster struct {
	kv      store.KV
	origins site.Origins
	publish func(*site.World)
	log     *slog.Logger
	world   atomic.Pointer[site.World]

	mu      sync.Mutex // guards what follows; Run writes, Await reads
	proxies map[string]site.Proxy
	routes  map[string]site.Route
	changed chan struct{} // closed and replaced at each publication
}

// New makes a roster. publish is called for each new world, from Load and then
// from Run, never twice at once.
func New(kv store.KV, origins site.Origins, publish func(*site.World), log *slog.Logger) *Roster {
	return &Roster{kv: kv, origins: origins, publish: publish, log: log,
		proxies: map[string]site.Proxy{}, routes: map[string]site.Route{}, changed: make(chan struct{})}
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
	r.mu.Lock()
	r.proxies, r.routes = proxies, routes
	r.mu.Unlock()
	r.rebuild()
	return nil
}

// readAll reads a table record by record: one that can't be read is told and
// left out, so that it never takes the others down.
func readAll[T any](ctx context.Context, table store.Table[T], log *slog.Logger, stamp func(*T, int64)) (map[string]T, error) {
	all := map[string]T{}
	rows, bad, err := table.Readable(ctx)
	if err != nil {
		return nil, err
	}
	for _, err := range bad {
		log.ErrorContext(ctx, "a stored record is left out", "error", err)
	}
	for _, row := range rows {
		stamp(&row.Value, row.Version)
		all[row.Name] = row.Value
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
	for {
		var event store.Event
		var ok bool
		select {
		case event, ok = <-proxies:
		case event, ok = <-routes:
		case <-timer.C:
			r.rebuild()
			continue
		case <-again.C:
			event, ok = store.Event{Kind: store.Reload}, true
		}
		if !ok {
			return context.Cause(ctx)
		}
		due, missed := r.apply(ctx, event)
		if due {
			timer.Reset(gather)
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
		err = refresh(ctx, r, r.kv, ProxyPrefix, "proxy", event.Key, r.proxies, func(p *site.Proxy, v int64) { p.Version = v })
	default:
		err = refresh(ctx, r, r.kv, RoutePrefix, "route", event.Key, r.routes, func(t *site.Route, v int64) { t.Version = v })
	}
	if err != nil {
		if ctx.Err() == nil {
			r.log.ErrorContext(ctx, "a change is not served yet", "key", event.Key, "error", err)
		}
		return false, fault.Is(err, fault.Unavailable)
	}
	return event.Kind != store.Reload, false // Load has published already
}

func refresh[T any](ctx context.Context, r *Roster, kv store.KV, prefix, noun, key string, into map[string]T, stamp func(*T, int64)) error {
	name := key[len(prefix):]
	row, err := store.NewTable[T](kv, prefix, noun).Get(ctx, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault.Is(err, fault.NotFound) {
		delete(into, name)
		return nil
	}
	if err != nil {
		return err
	}
	stamp(&row.Value, row.Version)
	into[name] = row.Value
	return nil
}

// rebuild compiles the present records and publishes the world.
func (r *Roster) rebuild() {
	r.mu.Lock()
	proxies := make([]site.Proxy, 0, len(r.proxies))
	for _, p := range r.proxies {
		proxies = append(proxies, p)
	}
	routes := make([]site.Route, 0, len(r.routes))
	for _, t := range r.routes {
		routes = append(routes, t)
	}
	r.mu.Unlock()
	world, errs := site.NewWorld(r.origins, proxies, routes, r.world.Load())
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
