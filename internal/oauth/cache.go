package oauth

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/site"
)

// The cache remembers tokens and cookies that were verified, by SHA-256, so
// that RSA and unsealing happen once for each. Strangers can't fill it: nothing
// gets in that did not verify.
const (
	shards   = 32
	shardCap = 1024 // entries; beyond it any is dropped
)

type cache struct {
	shard [shards]struct {
		mu      sync.RWMutex // guards entries
		entries map[[32]byte]*entry
	}
}

// entry is one verified credential: a token or a session.
type entry struct {
	token   *verified
	session *Session
	until   time.Time
	bound   atomic.Pointer[binding] // the latest decision on it
}

// binding is a decision that holds while nothing that it rests on has changed.
type binding struct {
	host    *site.Host
	route   *site.Route
	origin  string
	mcp     bool
	change  int64     // Server.change as it was
	until   time.Time // decisions age, so that what depends on time is asked again
	verdict site.Verdict
}

// fingerprint is the SHA-256 of a credential under its name, without a copy on
// the heap for those of usual size.
func fingerprint(name, value string) [32]byte {
	var buf [2048]byte
	text := append(append(append(buf[:0], name...), 0), value...)
	return sha256.Sum256(text)
}

func newCache() *cache {
	c := &cache{}
	for i := range c.shard {
		c.shard[i].entries = make(map[[32]byte]*entry)
	}
	return c
}

// get is the entry for sum, while it lasts.
func (c *cache) get(sum [32]byte, now time.Time) *entry {
	s := &c.shard[sum[0]%shards]
	s.mu.RLock()
	e := s.entries[sum]
	s.mu.RUnlock()
	if e == nil || !now.Before(e.until) {
		return nil
	}
	return e
}

// put remembers e and answers it.
func (c *cache) put(sum [32]byte, e *entry) *entry {
	s := &c.shard[sum[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) >= shardCap {
		for other := range s.entries {
			delete(s.entries, other)
			break
		}
	}
	s.entries[sum] = e
	return e
}

// prune forgets what has expired.
func (c *cache) prune(now time.Time) {
	for i := range c.shard {
		s := &c.shard[i]
		s.mu.Lock()
		for sum, e := range s.entries {
			if !now.Before(e.until) {
				delete(s.entries, sum)
			}
		}
		s.mu.Unlock()
	}
}

// makeRoomFor lets, of most that are there, the one go that would go first anyway,
// where key is to be one more.
func makeRoomFor[V any](by map[string]V, key string, most int, until func(V) time.Time) {
	if _, there := by[key]; there || len(by) < most {
		return
	}
	first, soonest := "", time.Time{}
	for other, v := range by {
		if at := until(v); first == "" || at.Before(soonest) {
			first, soonest = other, at
		}
	}
	delete(by, first)
}
