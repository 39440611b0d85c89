package mcpgate

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	rateShards = 16
	maxRates   = 4096 // callers and tools that one shard remembers
)

// rates count calls by host, rate, caller and tool. They outlive a change of the
// rules, so that changing another rule forgives nobody.
type rates struct {
	seed   maphash.Seed
	shards [rateShards]struct {
		mu   sync.Mutex // guards the rest
		all  map[rateKey]*counter
		next time.Time // before then none of all is full again
	}
}

type rateKey struct{ host, rate, who, tool string }

type counter struct {
	*rate.Limiter
	full time.Time // when it has forgotten everything
}

// take counts one call at now. wait is how long until there is room for one, 0
// when it may go on.
func (r *rates) take(k rateKey, calls int, per time.Duration, now time.Time) (wait time.Duration) {
	s := &r.shards[maphash.Comparable(r.seed, k)%rateShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.all[k]
	if c == nil {
		if s.all == nil {
			s.all = map[rateKey]*counter{}
		}
		if len(s.all) >= maxRates {
			if !now.Before(s.next) {
				s.next = forgetFull(s.all, now)
			}
			if len(s.all) >= maxRates {
				return per // somebody must wait, and it is not who came first
			}
		}
		c = &counter{Limiter: rate.NewLimiter(rate.Limit(float64(calls)/per.Seconds()), calls)}
		s.all[k] = c
	}
	c.full = now.Add(per)
	booked := c.ReserveN(now, 1)
	if wait = booked.DelayFrom(now); wait > 0 {
		booked.CancelAt(now)
	}
	return wait
}

// forgetFull takes out what has come to its full rate again, and is when the next
// one may have: nobody looks before.
func forgetFull(all map[rateKey]*counter, now time.Time) (next time.Time) {
	for k, c := range all {
		switch {
		case !now.Before(c.full):
			delete(all, k)
		case next.IsZero() || c.full.Before(next):
			next = c.full
		}
	}
	return next
}
