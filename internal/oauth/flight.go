package oauth

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Records that strangers make (pending requests, device codes, registered
// clients) are bounded per address, sessions per person, grants per person and
// client, and all of them in all: beyond the bound the oldest goes.
const (
	flightEach   = 100
	flightAll    = 10_000
	sessionsEach = 500
	sessionsAll  = 100_000
	grantsEach   = 50
	grantsAll    = 100_000
)

// flight remembers which records of one kind this node made, for whom: an
// address, or a person.
type flight struct {
	clock     func() time.Time
	each, all int

	mu   sync.Mutex // guards what follows
	by   map[string][]record
	from map[string]string // by key
}

// record is one record in flight: its key in the store and when it goes by itself.
type record struct {
	key   string
	until time.Time
}

// flights are the kinds of records in flight, each bounded for itself.
type flights struct {
	pendings, devices, clients, kept, sessions, grants, assertions *flight
}

func newFlights(clock func() time.Time) flights {
	strangers := func() *flight { return newFlight(clock, flightEach, flightAll) }
	return flights{
		pendings: strangers(), devices: strangers(), clients: strangers(), kept: newFlight(clock, keptEach, keptAll),
		sessions: newFlight(clock, sessionsEach, sessionsAll), grants: newFlight(clock, grantsEach, grantsAll),
		assertions: newFlight(clock, assertionsEach, assertionsAll),
	}
}

func (f flights) prune(now time.Time) {
	for _, kind := range []*flight{f.pendings, f.devices, f.clients, f.kept, f.sessions, f.grants, f.assertions} {
		kind.prune(now)
	}
}

func newFlight(clock func() time.Time, each, all int) *flight {
	return &flight{clock: clock, each: each, all: all, by: map[string][]record{}, from: map[string]string{}}
}

// add notes a record and answers the keys of those that must go for it. They are
// chosen before it is there: one that is about to be made never goes for itself,
// which would leave it uncounted.
func (f *flight) add(from, key string, life time.Duration) (evict []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.by[from]) >= f.each {
		evict = append(evict, f.drop(from))
	}
	if len(f.from) >= f.all {
		evict = append(evict, f.drop(f.busiest()))
	}
	f.by[from] = append(f.by[from], record{key, f.clock().Add(life)})
	f.from[key] = from
	return evict
}

// room reports whether one more record of from would push none out.
func (f *flight) room(from string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.by[from]) < f.each && len(f.from) < f.all
}

// remove forgets a record that was used.
func (f *flight) remove(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(key)
}

// forget forgets a record, and answers whose it was.
func (f *flight) forget(key string) (from string, ok bool) {
	if from, ok = f.from[key]; ok {
		f.cut(from, slices.IndexFunc(f.by[from], func(r record) bool { return r.key == key }))
	}
	return from, ok
}

func (f *flight) drop(from string) (key string) {
	key = f.by[from][0].key
	f.cut(from, 0)
	return key
}

func (f *flight) cut(from string, i int) {
	delete(f.from, f.by[from][i].key)
	f.by[from] = slices.Delete(f.by[from], i, i+1)
	if len(f.by[from]) == 0 {
		delete(f.by, from)
	}
}

// touch notes that a record is in use: it is the youngest now, and the last of
// its owner's to go. life is how long it lasts from now on.
func (f *flight) touch(key string, life time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, ok := f.forget(key)
	if !ok {
		return
	}
	f.by[from] = append(f.by[from], record{key, f.clock().Add(life)})
	f.from[key] = from
}

// busiest is who has the most records: in a flood, its sender. Of equals, who
// come from many addresses, it is the one whose oldest record is the oldest, so
// that whoever came later still has time.
func (f *flight) busiest() (most string) {
	var n int
	var oldest time.Time
	for from, records := range f.by {
		if at := records[0].until; len(records) > n || len(records) == n && at.Before(oldest) {
			most, n, oldest = from, len(records), at
		}
	}
	return most
}

// prune forgets what is gone by itself.
func (f *flight) prune(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for from, records := range f.by {
		left := slices.DeleteFunc(records, func(r record) bool {
			gone := !r.until.After(now)
			if gone {
				delete(f.from, r.key)
			}
			return gone
		})
		if f.by[from] = left; len(left) == 0 {
			delete(f.by, from)
		}
	}
}

// fly notes a record that a stranger is about to make and makes room for it.
func (s *Server) fly(ctx context.Context, f *flight, from netip.Addr, key string, life time.Duration) {
	s.makeRoom(ctx, f.add(network(from).String(), key, life), func(old string) error {
		_, err := s.kv.Take(ctx, old)
		return err
	})
}

// makeRoom ends records that must go for newer ones.
func (s *Server) makeRoom(ctx context.Context, evicted []string, end func(key string) error) {
	for _, old := range evicted {
		if err := end(old); err != nil && !fault.Is(err, fault.NotFound) {
			s.log.WarnContext(ctx, "a record could not be removed to make room", "key", old, "error", err)
		}
	}
}

// seat notes a session and ends its person's oldest when they have too many.
func (s *Server) seat(ctx context.Context, e *Session) {
	s.makeRoom(ctx, s.flight.sessions.add(e.Person.Subject, e.ID, sessionLife), func(old string) error { return s.EndSession(ctx, old) })
}

// tally notes a grant and ends the oldest of the same person and client when
// there are too many: programs that sign in anew at each start leave many. A
// client that acts for itself has one for each resource anyway.
func (s *Server) tally(ctx context.Context, g *Grant, life time.Duration) {
	if !isPerson(g.Person.Subject) {
		return
	}
	s.makeRoom(ctx, s.flight.grants.add(g.Person.Subject+" "+g.ClientID, g.ID, life), func(old string) error { return s.endGrant(ctx, old) })
}

// halfEnded reports whether a revocation names a grant that is still there: the
// process was killed before it had removed it. The mark would not outlive the
// grant's refresh tokens.
func (s *Server) halfEnded(g *Grant) bool {
	return s.revoked.any(RevokeGrant, g.ID) || s.endedSince(g.ClientID, &g.Person, g.Resource, g.CreatedAt)
}

// loadFlight notes what outlives a restart: the clients that nobody has used
// yet, sessions and grants.
func (s *Server) loadFlight(ctx context.Context) error {
	clients, err := s.clients.All(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(clients, func(a, b clientRow) int { return a.Value.CreatedAt.Compare(b.Value.CreatedAt) })
	for _, row := range clients {
		from, err := netip.ParseAddr(row.Value.CreatedFrom)
		if err != nil || !row.Value.LastUsed.IsZero() {
			continue // made by an administrator, or in use
		}
		s.fly(ctx, s.flight.clients, from, s.clients.Key(row.Name), row.Expires.Sub(s.now()))
	}
	if err := s.loadKept(ctx); err != nil {
		return err
	}
	sessions, err := s.sessions.All(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(sessions, func(a, b store.Row[Session]) int { return a.Value.LastSeen.Compare(b.Value.LastSeen) })
	for _, row := range sessions {
		s.seat(ctx, &row.Value)
	}
	grants, err := s.grants.All(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(grants, func(a, b store.Row[Grant]) int { return a.Value.LastUsed.Compare(b.Value.LastUsed) })
	for _, row := range grants {
		if s.halfEnded(&row.Value) {
			if err := s.endGrant(ctx, row.Name); err != nil { // it gives nothing while the mark lasts
				s.log.WarnContext(ctx, "a revoked grant could not be removed; trying again at the next start", "grant", row.Name, "error", err)
			}
			continue
		}
		s.tally(ctx, &row.Value, row.Expires.Sub(s.now()))
	}
	return nil
}
