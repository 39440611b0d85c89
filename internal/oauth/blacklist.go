package oauth

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// revocation is one entry of the list of what no longer counts. It lasts as
// long as anything that it ends could.
type revocation struct {
	Kind string    `json:"kind"`
	ID   string    `json:"id"`
	At   time.Time `json:"at"` // ends what was made until then
}

// blacklist is the list of revocations in memory. Entries only ever leave it by
// age: a store that has lost some does not bring back what was revoked.
type blacklist struct {
	mu  sync.RWMutex // guards all
	all map[string]revoked
}

type revoked struct {
	at, until time.Time
}

func (b *blacklist) add(r revocation, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[string]revoked{}
	}
	key := r.Kind + ":" + r.ID
	if old, ok := b.all[key]; !ok || old.at.Before(r.At) {
		b.all[key] = revoked{r.At, until}
	}
}

// any reports whether something of this kind and id was revoked, ever.
func (b *blacklist) any(kind, id string) bool {
	if id == "" {
		return false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, ok := b.all[kind+":"+id]
	return ok
}

// anyOf reports whether one of several of this kind was revoked, ever.
func (b *blacklist) anyOf(kind string, ids []string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return b.any(kind, id) })
}

// since reports whether what was made at the time given was revoked afterwards.
func (b *blacklist) since(kind, id string, made time.Time) bool {
	if id == "" {
		return false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	r, ok := b.all[kind+":"+id]
	return ok && !made.After(r.at)
}

// host reports whether what was made for a host then was revoked with the host
// or with the wildcard that served it.
func (b *blacklist) host(name string, made time.Time) bool {
	_, parent, _ := strings.Cut(name, ".")
	return b.since(RevokeProxy, name, made) || b.since(RevokeProxy, "*."+parent, made)
}

// servedBy reports whether a proxy called hostname, which may be a wildcard,
// serves name.
func servedBy(name, hostname string) bool {
	_, parent, _ := strings.Cut(name, ".")
	return name == hostname || "*."+parent == hostname
}

func (b *blacklist) prune(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, r := range b.all {
		if now.After(r.until) {
			delete(b.all, key)
		}
	}
}

// hostOf is the hostname in a resource or origin of ours.
func hostOf(resource string) string {
	_, rest, _ := strings.Cut(resource, "://")
	if i := strings.IndexAny(rest, ":/"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}
