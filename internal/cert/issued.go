package cert

import (
	"crypto/tls"
	"strings"
	"time"
)

// issued are the certificates of all objects, by their names and by the names in
// them. It is immutable: a change makes a new one, which shares what stayed.
type issued struct {
	byName map[string]*Served // by object
	exact  map[string]*Served // by name in it
	wild   map[string]*Served // by the parent of a wildcard in it
	of     map[*tls.Certificate]*Served
}

// indexed makes the index. Of several certificates for one name the one that
// lasts longest counts, and any before one that is for trials only. Those that
// have ended count by the object's name alone.
func indexed(byName map[string]*Served, now time.Time) *issued {
	ix := &issued{byName: byName, exact: map[string]*Served{}, wild: map[string]*Served{}, of: make(map[*tls.Certificate]*Served, len(byName))}
	for _, s := range byName {
		ix.of[s.tls] = s
		if valid(s, now) == nil {
			continue
		}
		for _, name := range s.tls.Leaf.DNSNames {
			name = strings.ToLower(name)
			if parent, ok := strings.CutPrefix(name, "*."); ok {
				ix.wild[parent] = better(ix.wild[parent], s)
			} else {
				ix.exact[name] = better(ix.exact[name], s)
			}
		}
	}
	return ix
}

func better(a, b *Served) *Served {
	switch {
	case a == nil:
		return b
	case a.Staging != b.Staging:
		if a.Staging {
			return b
		}
		return a
	case !a.tls.Leaf.NotAfter.Equal(b.tls.Leaf.NotAfter):
		if b.tls.Leaf.NotAfter.After(a.tls.Leaf.NotAfter) {
			return b
		}
		return a
	case b.Object < a.Object: // the same on every node
		return b
	}
	return a
}

// pick is the certificate for a host: the object that it names, else one whose
// names hold it; nil when there is none. One that has expired is better than
// none only where the host names it.
func (ix *issued) pick(host Wanted, now time.Time) *Served {
	if s := ix.byName[host.Object]; s != nil {
		return s
	}
	if parent, wild := strings.CutPrefix(host.Name, "*."); wild {
		return valid(ix.wild[parent], now)
	}
	if s := valid(ix.exact[host.Name], now); s != nil {
		return s
	}
	_, parent, _ := strings.Cut(host.Name, ".")
	return valid(ix.wild[parent], now)
}

func valid(s *Served, now time.Time) *Served {
	if s == nil || now.After(s.tls.Leaf.NotAfter) {
		return nil
	}
	return s
}
