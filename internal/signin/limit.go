package signin

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The bounds of sign-in attempts: generous for people, tight for machines.
const (
	perAddress   = 60    // attempts a minute from one address (IPv6: one /64)
	perAll       = 1200  // attempts a minute in all, on this node
	maxAddresses = 16384 // addresses remembered; the idle ones make room
)

// limiter bounds how often strangers may try. A nil *limiter allows everything.
type limiter struct {
	mu   sync.Mutex // guards by
	by   map[netip.Prefix]*rate.Limiter
	all  *rate.Limiter
	each int // attempts a minute for one address
}

func newLimiter(each, all int) *limiter {
	return &limiter{by: make(map[netip.Prefix]*rate.Limiter), all: perMinute(all), each: each}
}

func perMinute(n int) *rate.Limiter { return rate.NewLimiter(rate.Limit(n)/60, n) }

// take counts an attempt. When it is one too many, wait says after how long the
// next may be made.
func (l *limiter) take(from netip.Addr) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	now := time.Now()
	if wait, ok = reserve(l.of(neighborhood(from), now), now); !ok {
		return wait, false
	}
	return reserve(l.all, now)
}

func reserve(l *rate.Limiter, now time.Time) (wait time.Duration, ok bool) {
	r := l.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

func (l *limiter) of(p netip.Prefix, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.by[p]; one != nil {
		return one
	}
	if len(l.by) >= maxAddresses {
		l.makeRoom(now)
	}
	one := perMinute(l.each)
	l.by[p] = one
	return one
}

// makeRoom forgets the addresses whose allowance is full again, and when all
// are busy any one of them: the bound in all still stands.
func (l *limiter) makeRoom(now time.Time) {
	for p, one := range l.by {
		if one.TokensAt(now) >= float64(l.each) {
			delete(l.by, p)
		}
	}
	for p := range l.by {
		if len(l.by) < maxAddresses {
			return
		}
		delete(l.by, p)
	}
}

// neighborhood is what counts as one address: an IPv4 address, or the /64 that
// one IPv6 customer has.
func neighborhood(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil { // no address: all such share one allowance
		return netip.Prefix{}
	}
	return p
}
