package site

import (
	"maps"
	"slices"
	"strings"
)

// Change is what became of some records since a world was made: nil is one that
// is gone.
type Change struct {
	Proxies map[string]*Proxy // by hostname
	Routes  map[string]*Route // by id
}

// With is w after a change; w itself stays as it is. Only hosts that the change
// is about are compiled, all others are the same *Host as in w. errs are as NewWorld's.
func (w *World) With(c Change) (next *World, errs []error) {
	next = &World{Origins: w.Origins, hosts: w.hosts, sorted: w.sorted, routes: w.routes, out: maps.Clone(w.out)}
	due := maps.Clone(c.Proxies)
	if due == nil {
		due = map[string]*Proxy{}
	}
	if len(c.Routes) > 0 {
		next.routes = maps.Clone(w.routes)
		for id, r := range c.Routes {
			if delete(next.routes, id); r != nil {
				next.routes[id] = *r
			}
		}
		w.touched(c.Routes, due)
	}
	routes := slices.Collect(maps.Values(next.routes))
	changed := make(map[string]*Host, len(due))
	for name, p := range due {
		delete(next.out, name)
		changed[name] = nil
		if p == nil {
			continue
		}
		h, err := NewHost(*p, w.Origins.Role(name), routes)
		if err != nil {
			errs = append(errs, err)
			next.out[name] = *p
			continue
		}
		changed[name] = sameHost(w, h)
	}
	maps.DeleteFunc(changed, func(name string, h *Host) bool { return w.hosts[name] == h })
	if len(changed) > 0 {
		next.hosts = maps.Clone(w.hosts)
		for name, h := range changed {
			if delete(next.hosts, name); h != nil {
				next.hosts[name] = h
			}
		}
		next.sorted = merge(w.sorted, changed)
	}
	return next, errs
}

// touched adds to due the proxies that a change of routes may concern.
func (w *World) touched(routes map[string]*Route, due map[string]*Proxy) {
	var all []Route // as they were, and as they are
	for id, r := range routes {
		if old, ok := w.routes[id]; ok {
			all = append(all, old)
		}
		if r != nil {
			all = append(all, *r)
		}
	}
	for _, h := range w.sorted {
		name := h.Proxy.Hostname
		if _, known := due[name]; !known && slices.ContainsFunc(all, h.Takes) {
			due[name] = &h.Proxy
		}
	}
	for name, p := range w.out {
		if _, known := due[name]; !known {
			due[name] = &p
		}
	}
}

// merge is the sorted hosts with some of them changed; nil takes away.
func merge(sorted []*Host, changed map[string]*Host) []*Host {
	all := make([]*Host, 0, len(sorted)+len(changed))
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		at, there := slices.BinarySearchFunc(sorted, name, func(h *Host, name string) int { return strings.Compare(h.Proxy.Hostname, name) })
		all = append(all, sorted[:at]...)
		if h := changed[name]; h != nil {
			all = append(all, h)
		}
		if there {
			at++
		}
		sorted = sorted[at:]
	}
	return append(all, sorted...)
}

// Since are the hosts that w has and before has not, and those of which it is the
// other way round; one that was changed is in both.
func (w *World) Since(before *World) (come, gone []*Host) {
	a, b := before.sorted, w.sorted
	for len(a) > 0 && len(b) > 0 {
		if a[0] == b[0] {
			a, b = a[1:], b[1:]
			continue
		}
		order := byName(a[0], b[0])
		if order <= 0 {
			gone, a = append(gone, a[0]), a[1:]
		}
		if order >= 0 {
			come, b = append(come, b[0]), b[1:]
		}
	}
	return append(come, b...), append(gone, a...)
}
