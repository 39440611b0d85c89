package cert

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
)

// Digest is which certificates the wanted names are served with, as SHA-256: two
// nodes that serve the same answer the same. What each node signs for itself
// counts by where it comes from.
func (k *Keeper) Digest() (d [32]byte) {
	sum := sha256.New()
	if ca := k.ca.Load(); ca != nil {
		fmt.Fprintf(sum, "ca %s\n", ca.fingerprint())
	}
	served := *k.snapshot.Load()
	for _, name := range slices.Sorted(maps.Keys(served)) {
		s := served[name]
		fmt.Fprintf(sum, "%q %v", name, s.Kind)
		if s.Object != "" {
			fmt.Fprintf(sum, " %q %x", s.Object, sha256.Sum256(s.tls.Certificate[0]))
		}
		fmt.Fprintln(sum)
	}
	sum.Sum(d[:0])
	return d
}
