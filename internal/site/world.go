package site

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// World is every host at one moment. It is immutable: whoever keeps sites makes
// a new one for each change and hands it to the edge and the authorization
// server, who read it without lock or storage.
type World struct {
	Origins Origins
	hosts   map[string]*Host // by hostname; wildcards under "*.parent"
	sorted  []*Host          // the same in name order
	routes  map[string]Route // the stored routes
	out     map[string]Proxy // those that could not be compiled
}

// NewWorld compiles proxies and routes. A host that has not changed since prev
// (which may be nil) is the same *Host as there, so that what hangs on it can be
// kept. A host that can't be compiled is left out and told in errs: one bad
// record never takes the others down. It costs some 10 µs for each host.
func NewWorld(o Origins, proxies []Proxy, routes []Route, prev *World) (w *World, errs []error) {
	w = &World{Origins: o, hosts: make(map[string]*Host, len(proxies)), routes: make(map[string]Route, len(routes)), out: map[string]Proxy{}}
	for _, r := range routes {
		w.routes[r.ID] = r
	}
	for _, p := range proxies {
		h, err := NewHost(p, o.Role(p.Hostname), routes)
		if err != nil {
			errs = append(errs, err)
			w.out[p.Hostname] = p
			continue
		}
		w.hosts[p.Hostname] = sameHost(prev, h)
	}
	w.sorted = make([]*Host, 0, len(w.hosts))
	for _, h := range w.hosts {
		w.sorted = append(w.sorted, h)
	}
	slices.SortFunc(w.sorted, byName)
	return w, errs
}

// sameHost is the host of prev that h equals, else h.
func sameHost(prev *World, h *Host) *Host {
	if prev != nil {
		if old := prev.hosts[h.Proxy.Hostname]; old != nil && old.stamp == h.stamp {
			return old
		}
	}
	return h
}

func byName(a, b *Host) int { return strings.Compare(a.Proxy.Hostname, b.Proxy.Hostname) }

// Find is the host that serves name: the exact one, else the wildcard of its
// parent; nil when there is none. name is lower case without port or trailing dot.
func (w *World) Find(name string) *Host {
	if strings.HasPrefix(name, Wildcard) {
		return nil // a pattern, nobody's name
	}
	if h := w.hosts[name]; h != nil {
		return h
	}
	if label, parent, ok := strings.Cut(name, "."); ok && label != "" {
		return w.hosts["*."+parent]
	}
	return nil
}

// Host is the host of the proxy called hostname, a wildcard by its pattern; nil
// when there is none.
func (w *World) Host(hostname string) *Host { return w.hosts[hostname] }

// Hosts are all hosts in name order. The slice is the caller's to read only.
func (w *World) Hosts() []*Host { return w.sorted }

// Len is how many hosts there are.
func (w *World) Len() int { return len(w.hosts) }

// HasProxy reports whether w was made from the proxy at version or later; with
// version 0, whether it was made without it.
func (w *World) HasProxy(hostname string, version int64) bool {
	h := w.hosts[hostname]
	if h == nil || version == 0 {
		return h == nil && version == 0
	}
	return h.Proxy.Version >= version
}

// HasRoute is HasProxy for a stored route.
func (w *World) HasRoute(id string, version int64) bool {
	r, ok := w.routes[id]
	if !ok || version == 0 {
		return !ok && version == 0
	}
	return r.Version >= version
}

// Digest is what w holds of proxies and of routes, as SHA-256: two nodes that
// serve the same answer the same. It reads every host.
func (w *World) Digest() (proxies, routes [32]byte) {
	sum := sha256.New()
	for _, h := range w.Hosts() {
		b, err := json.Marshal(h.Proxy)
		if err != nil { // what was read from JSON can be written as JSON
			b = []byte(err.Error())
		}
		fmt.Fprintf(sum, "%d %s %s\n", len(b), b, h.stamp)
	}
	sum.Sum(proxies[:0])
	sum.Reset()
	for _, id := range slices.Sorted(maps.Keys(w.routes)) {
		fmt.Fprintf(sum, "%q %d\n", id, w.routes[id].Version)
	}
	sum.Sum(routes[:0])
	return proxies, routes
}
