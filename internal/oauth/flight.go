package oauth

import (
	"net/netip"
	"sync"
	"time"
)

// Records that strangers make (pending requests, device codes, registered
// clients) are bounded per address and in all: beyond the bound the oldest goes.
const (
	flightEach = 100
	flightAll  = 10000
)

// flight remembers which records in flight this node made, for whom.
type flight struct {
	clock func() time.Time
	mu    sync.Mutex // guards by and count
	by    map[netip.Addr][]record
	count int
}

// record is one record in flight: its key in the store and when it goes by itself.
type record struct {
	key   string
	until time.Time
}

func newFlight(clock func() time.Time) flight {
	return flight{clock: clock, by: map[netip.Addr][]record{}}
}

// add notes a record and answers the keys of those that must go for it.
func (f *flight) add(from netip.Addr, key string, life time.Duration) (evict []string) {
	from = network(from)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.by[from] = append(f.by[from], record{key, f.clock().Add(life)})
	f.count++
	if len(f.by[from]) > flightEach {
		evict = append(evict, f.drop(from))
	}
	if f.count > flightAll {
		evict = append(evict, f.drop(f.busiest()))
	}
	return evict
}

// remove forgets a record that was used.
func (f *flight) remove(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for from, records := range f.by {
		for i, r := range records {
			if r.key == key {
				f.cut(from, i)
				return
			}
		}
	}
}

func (f *flight) drop(from netip.Addr) string {
	key := f.by[from][0].key
	f.cut(from, 0)
	return key
}

func (f *flight) cut(from netip.Addr, i int) {
	records := append(f.by[from][:i:i], f.by[from][i+1:]...)
	f.count--
	if len(records) == 0 {
		delete(f.by, from)
		return
	}
	f.by[from] = records
}

// busiest is the address with the most records: in a flood, its sender.
func (f *flight) busiest() (most netip.Addr) {
	n := -1
	for from, records := range f.by {
		if len(records) > n {
			most, n = from, len(records)
		}
	}
	return most
}

func (f *flight) prune(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for from, records := range f.by {
		kept := records[:0:0]
		for _, r := range records {
			if r.until.After(now) {
				kept = append(kept, r)
			}
		}
		f.count -= len(records) - len(kept)
		if len(kept) == 0 {
			delete(f.by, from)
		} else {
			f.by[from] = kept
		}
	}
}
