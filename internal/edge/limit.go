package edge

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const limitShards = 32

// connLimit counts open connections, in all and by address.
type connLimit struct {
	seed   maphash.Seed
	limit  int64
	perIP  int
	open   atomic.Int64
	shards [limitShards]struct {
		mu   sync.Mutex // guards open
		open map[netip.Addr]int
	}
}

func (l *connLimit) enter() bool {
	if l.open.Add(1) <= l.limit {
		return true
	}
	l.open.Add(-1)
	return false
}

func (l *connLimit) leave() { l.open.Add(-1) }

func (l *connLimit) enterFrom(a netip.Addr) bool {
	s := &l.shards[shardOf(l.seed, a)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[netip.Addr]int)
	}
	if s.open[a] >= l.perIP {
		return false
	}
	s.open[a]++
	return true
}

func (l *connLimit) leaveFrom(a netip.Addr) {
	s := &l.shards[shardOf(l.seed, a)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[a] <= 1 {
		delete(s.open, a)
		return
	}
	s.open[a]--
}

// rateLimit bounds requests a second by address. Each second starts anew: its
// counts are forgotten together, so memory holds one second's addresses.
type rateLimit struct {
	seed      maphash.Seed
	perSecond int
	shards    [limitShards]struct {
		mu     sync.Mutex // guards second and counts
		second int64
		counts map[netip.Addr]int
	}
}

// allow counts one request at now and reports whether it may go on.
func (l *rateLimit) allow(a netip.Addr, now time.Time) bool {
	if l.perSecond <= 0 {
		return true
	}
	s := &l.shards[shardOf(l.seed, a)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); s.second != second || s.counts == nil {
		s.second, s.counts = second, make(map[netip.Addr]int)
	}
	s.counts[a]++
	return s.counts[a] <= l.perSecond
}

// shardOf spreads addresses; maphash so that nobody can aim at one shard.
func shardOf(seed maphash.Seed, a netip.Addr) int {
	return int(maphash.Comparable(seed, a) % limitShards) //nolint:gosec // less than limitShards
}
