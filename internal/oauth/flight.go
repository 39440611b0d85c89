package oauth

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/fault"
)

// Records that strangers make (pending requests, device codes, registered
// clients) are bounded per address and in all: beyond the bound the oldest goes.
const (
	flightEach = 100
	flightAll  = 10000
)

// flight remembers which records of one kind this node made, for whom.
type flight struct {
	clock func() time.Time

	mu   sync.Mutex // guards what follows
	by   map[netip.Addr][]record
	from map[string]netip.Addr // by key
}

// record is one record in flight: its key in the store and when it goes by itself.
type record struct {
	key   string
	until time.Time
}

// flights are the kinds of records in flight, each bounded for itself.
type flights struct {
	pendings, devices, clients *flight
}

func newFlights(clock func() time.Time) flights {
	return flights{newFlight(clock), newFlight(clock), newFlight(clock)}
}

func (f flights) prune(now time.Time) {
	for _, kind := range []*flight{f.pendings, f.devices, f.clients} {
		kind.prune(now)
	}
}

func newFlight(clock func() time.Time) *flight {
	return &flight{clock: clock, by: map[netip.Addr][]record{}, from: map[string]netip.Addr{}}
}

// add notes a record and answers the keys of those that must go for it.
func (f *flight) add(from netip.Addr, key string, life time.Duration) (evict []string) {
	from = network(from)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.by[from] = append(f.by[from], record{key, f.clock().Add(life)})
	f.from[key] = from
	if len(f.by[from]) > flightEach {
		evict = append(evict, f.drop(from))
	}
	if len(f.from) > flightAll {
		evict = append(evict, f.drop(f.busiest()))
	}
	return evict
}

// remove forgets a record that was used.
func (f *flight) remove(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, ok := f.from[key]
	if !ok {
		return
	}
	f.cut(from, slices.IndexFunc(f.by[from], func(r record) bool { return r.key == key }))
}

func (f *flight) drop(from netip.Addr) (key string) {
	key = f.by[from][0].key
	f.cut(from, 0)
	return key
}

func (f *flight) cut(from netip.Addr, i int) {
	delete(f.from, f.by[from][i].key)
	f.by[from] = slices.Delete(f.by[from], i, i+1)
	if len(f.by[from]) == 0 {
		delete(f.by, from)
	}
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

// prune forgets what is gone by itself.
func (f *flight) prune(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for from := range f.by {
		for i := 0; i < len(f.by[from]); {
			if f.by[from][i].until.After(now) {
				i++
				continue
			}
			f.cut(from, i)
		}
	}
}

// fly notes a record that a stranger is about to make and makes room for it.
func (s *Server) fly(ctx context.Context, f *flight, from netip.Addr, key string, life time.Duration) {
	for _, old := range f.add(from, key, life) {
		if _, err := s.kv.Take(ctx, old); err != nil && !fault.Is(err, fault.NotFound) {
			s.log.WarnContext(ctx, "a record in flight could not be removed", "key", old, "error", err)
		}
	}
}

// loadFlight notes the registered clients that nobody has used yet: they live
// long, so that a restart must not forget whose they are.
func (s *Server) loadFlight(ctx context.Context) error {
	rows, err := s.clients.All(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(rows, func(a, b clientRow) int { return a.Value.CreatedAt.Compare(b.Value.CreatedAt) })
	for _, row := range rows {
		from, err := netip.ParseAddr(row.Value.CreatedFrom)
		if err != nil || !row.Value.LastUsed.IsZero() {
			continue // made by an administrator, or in use
		}
		s.fly(ctx, s.flight.clients, from, s.clients.Key(row.Name), row.Expires.Sub(s.now()))
	}
	return nil
}
