package oauth

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Attempts are bounded per address (IPv6 by /64) and in all. What proves itself
// by a valid code, refresh or access token is never bounded: many people come
// from few addresses.
const (
	perMinute      = 60       // attempts a minute of one address
	perMinuteInAll = 100 * 60 // attempts a minute of all addresses
	maxAddresses   = 16384    // addresses that are remembered
	wrongUserCodes = 10       // wrong user codes of one address, then it waits
)

// limits are all bounds of the authorization server.
type limits struct {
	register      *bound // POST /register
	authorize     *bound // /authorize
	device        *bound // POST /device/code
	failed        *bound // what was refused at /token, /revoke, /introspect
	badSignatures *bound
	userCodes     *bound
	fetches       *bound // of documents that clients name
}

func newLimits(on bool, clock func() time.Time) limits {
	usual := func() *bound { return newBound(on, clock, perMinute, perMinuteInAll) }
	return limits{
		register: usual(), authorize: usual(), device: usual(), failed: usual(), fetches: usual(),
		badSignatures: newBound(on, clock, perMinute, 0), // of an address alone: nobody's tokens suffer from strangers
		userCodes:     newBound(true, clock, wrongUserCodes, perMinuteInAll),
	}
}

func (l *limits) all() []*bound {
	return []*bound{l.register, l.authorize, l.device, l.failed, l.badSignatures, l.userCodes, l.fetches}
}

func (l *limits) prune(now time.Time) {
	for _, b := range l.all() {
		b.prune(now)
	}
}

// badTokens reports whether an address has shown so many bad signatures that
// none of its unknown tokens is looked at for now; badToken notes one.
func (l *limits) badTokens(from netip.Addr) bool { return l.badSignatures.spent(from) }
func (l *limits) badToken(from netip.Addr)       { l.badSignatures.take(from) }

// bound admits so many attempts a minute, of one address and in all.
type bound struct {
	on    bool
	clock func() time.Time
	each  int
	all   *rate.Limiter

	mu sync.Mutex // guards by
	by map[netip.Addr]*rate.Limiter
}

func newBound(on bool, clock func() time.Time, each, inAll int) *bound {
	return &bound{on: on, clock: clock, each: each, all: perMinuteLimiter(inAll), by: map[netip.Addr]*rate.Limiter{}}
}

// perMinuteLimiter admits n a minute; 0 is no limit.
func perMinuteLimiter(n int) *rate.Limiter {
	if n == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Every(time.Minute/time.Duration(n)), n)
}

// take counts an attempt and reports after how long the next one may come; 0
// means that this one may go on.
func (b *bound) take(from netip.Addr) time.Duration {
	if !b.on {
		return 0
	}
	now := b.clock()
	if wait := reserve(b.of(from), now); wait > 0 {
		return wait
	}
	return reserve(b.all, now)
}

// spent reports whether the next attempt would be one too many.
func (b *bound) spent(from netip.Addr) bool {
	if !b.on {
		return false
	}
	now := b.clock()
	return b.of(from).TokensAt(now) < 1 || (b.all.Limit() != rate.Inf && b.all.TokensAt(now) < 1)
}

func reserve(l *rate.Limiter, now time.Time) time.Duration {
	if l.AllowN(now, 1) {
		return 0
	}
	r := l.ReserveN(now, 1)
	defer r.CancelAt(now)
	return max(r.DelayFrom(now), time.Millisecond)
}

// of is the limiter of an address. Of more addresses than can be remembered one
// is forgotten: its bound begins anew, that of all stays.
func (b *bound) of(from netip.Addr) *rate.Limiter {
	from = network(from)
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.by[from]
	if l != nil {
		return l
	}
	if len(b.by) >= maxAddresses {
		for other := range b.by {
			delete(b.by, other)
			break
		}
	}
	l = perMinuteLimiter(b.each)
	b.by[from] = l
	return l
}

// prune forgets the addresses that have been quiet for long enough to have
// their whole allowance again.
func (b *bound) prune(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for from, l := range b.by {
		if l.TokensAt(now) >= float64(b.each) {
			delete(b.by, from)
		}
	}
}

// network is what counts as one address: an IPv4 address, an IPv6 /64.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
