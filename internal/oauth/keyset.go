package oauth

import (
	"context"
	"slices"
	"sync"
	"time"
)

// How the keys behind a client's jwks_uri are kept, in memory alone.
const (
	maxKeySets  = 256
	keysAgain   = time.Minute    // a set is fetched again for a key that it lacks no sooner than this
	keysOverdue = 24 * time.Hour // how long a set that can't be fetched again still counts
)

// keySet is what stood at a jwks_uri.
type keySet struct {
	keys    []clientKey
	fetched time.Time
	until   time.Time
}

// keySets are the sets that this node has fetched, by address.
type keySets struct {
	mu sync.Mutex // guards by
	by map[string]keySet
}

func newKeySets() *keySets { return &keySets{by: map[string]keySet{}} }

func (k *keySets) get(url string) (keySet, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	set, ok := k.by[url]
	return set, ok
}

func (k *keySets) put(url string, set keySet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	makeRoomFor(k.by, url, maxKeySets, func(e keySet) time.Time { return e.until })
	k.by[url] = set
}

func (k *keySets) prune(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for url, set := range k.by {
		if now.After(set.until.Add(keysOverdue)) {
			delete(k.by, url)
		}
	}
}

// keysOf are the keys of a client that kid and alg choose: those with that id,
// all of the kind when the assertion names none.
func (s *Server) keysOf(ctx context.Context, c *Client, kid, alg string) ([]clientKey, error) {
	if len(c.JWKS) > 0 {
		all, wrong := readKeys(c.JWKS)
		if wrong != "" {
			return nil, refusedClient("assertion_keys", "The client's jwks "+wrong, false)
		}
		return choose(all, kid, alg), nil
	}
	set, there := s.keySets.get(c.JWKSURI)
	now := s.now()
	chosen := choose(set.keys, kid, alg)
	fresh := there && now.Before(set.until)
	if fresh && (len(chosen) > 0 || now.Before(set.fetched.Add(keysAgain))) {
		return chosen, nil
	}
	doc, err := s.document(ctx, c.JWKSURI)
	switch {
	case err == nil:
	case there && now.Before(set.until.Add(keysOverdue)):
		s.log.WarnContext(ctx, "a client's keys could not be fetched; those of before count", "client", c.ID, "error", err)
		return chosen, nil
	default:
		return nil, unfetched("assertion_keys_unfetchable", "The client's key set (jwks_uri)", err)
	}
	all, wrong := readKeys(doc.Body)
	if wrong != "" {
		return nil, refusedClient("assertion_keys", "What stands at the client's jwks_uri "+wrong, false)
	}
	s.keySets.put(c.JWKSURI, keySet{all, now, now.Add(doc.Life)})
	return choose(all, kid, alg), nil
}

// choose takes the keys that an assertion may be signed with.
func choose(all []clientKey, kid, alg string) []clientKey {
	return slices.DeleteFunc(slices.Clone(all), func(k clientKey) bool { return (kid != "" && k.id != kid) || !k.fits(alg) })
}
