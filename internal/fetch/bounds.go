package fetch

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gatehouse/internal/fault"
)

// How much strangers can make us fetch. Documents are cached above, so that a
// client in use costs a fetch in five minutes at most.
const (
	perHost   = 120 // fetches a minute from one host
	inAll     = 600 // fetches a minute from all hosts
	maxHosts  = 4096
	maxAtOnce = 32 // fetches that run at the same time
	maxOfHost = 8  // of them from one host
)

// bounds admits so many fetches a minute and at once.
type bounds struct {
	on    bool
	clock func() time.Time

	mu      sync.Mutex // guards what follows
	all     *rate.Limiter
	hosts   map[string]*rate.Limiter
	running map[string]int // by host
	total   int
}

func newBounds(on bool, clock func() time.Time) *bounds {
	return &bounds{on: on, clock: clock, all: perMinute(inAll), hosts: map[string]*rate.Limiter{}, running: map[string]int{}}
}

func perMinute(n int) *rate.Limiter {
	return rate.NewLimiter(rate.Every(time.Minute/time.Duration(n)), n)
}

// begin admits one fetch from host, to be ended by end, or says why not.
func (b *bounds) begin(host string) (end func(), err error) {
	if !b.on {
		return func() {}, nil
	}
	host = strings.ToLower(host)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	if b.total >= maxAtOnce || b.running[host] >= maxOfHost || !b.of(host, now).AllowN(now, 1) || !b.all.AllowN(now, 1) {
		return nil, &fault.Error{Kind: fault.TooMany, Public: "was asked for too often: try again in a minute", RetryAfter: time.Minute}
	}
	b.total++
	b.running[host]++
	return func() { b.end(host) }, nil
}

func (b *bounds) end(host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.running[host]--; b.running[host] == 0 {
		delete(b.running, host)
	}
}

// of is the limiter of a host. When there are too many, those that have been
// quiet are forgotten, and when none has, one is: the bound of all stays.
func (b *bounds) of(host string, now time.Time) *rate.Limiter {
	l := b.hosts[host]
	if l != nil {
		return l
	}
	if len(b.hosts) >= maxHosts {
		for name, other := range b.hosts {
			if other.TokensAt(now) >= perHost {
				delete(b.hosts, name)
			}
		}
		for name := range b.hosts {
			if len(b.hosts) < maxHosts {
				break
			}
			delete(b.hosts, name)
		}
	}
	l = perMinute(perHost)
	b.hosts[host] = l
	return l
}
