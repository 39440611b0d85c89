package oauth

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Digest is what this node has in memory, as SHA-256: two nodes that decide alike
// answer the same.
type Digest struct {
	Keys        [32]byte // signing keys, by id and when they sign, and the version of all
	Revocations [32]byte // those that still count
	Users       [32]byte // local accounts
}

// Digest reads all of it.
func (s *Server) Digest() Digest {
	var d Digest
	sum := sha256.New()
	if ring := s.keys.Load(); ring != nil {
		fmt.Fprintf(sum, "%d\n", ring.version)
		for _, k := range ring.signing {
			fmt.Fprintf(sum, "%s %d\n", k.id, k.from.UnixMilli())
		}
	}
	sum.Sum(d.Keys[:0])
	sum.Reset()
	if all := s.users.accounts.Load(); all != nil {
		for _, name := range slices.Sorted(maps.Keys(*all)) {
			fmt.Fprintf(sum, "%q %q %d\n", name, (*all)[name].scopes, (*all)[name].since.UnixMilli())
		}
	}
	sum.Sum(d.Users[:0])
	d.Revocations = s.revoked.digest(s.now())
	return d
}

// soon is how long before its end an entry is passed over: nodes forget by clocks
// of their own.
const soon = time.Minute

func (b *blacklist) digest(now time.Time) (d [32]byte) {
	b.mu.RLock()
	all := maps.Clone(b.all)
	b.mu.RUnlock()
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if r := all[key]; now.Add(soon).Before(r.until) {
			fmt.Fprintf(sum, "%q %d\n", key, r.at.UnixMilli())
		}
	}
	sum.Sum(d[:0])
	return d
}
