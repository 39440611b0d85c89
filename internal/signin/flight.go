package signin

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Trips are records that strangers make: of too many the oldest make room.
const (
	flightEach = 100   // of one address
	flightAll  = 10000 // of all together, on this node
)

// flight knows the trips that this node began and that have not come back.
type flight struct {
	mu    sync.Mutex // guards trips
	trips []flown    // oldest first
}

type flown struct {
	from  netip.Prefix
	name  string
	until time.Time
}

func newFlight() *flight { return &flight{} }

// add notes a trip and answers the names of those that must go for it.
func (f *flight) add(from netip.Addr, name string) (evict []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, at := time.Now(), neighborhood(from)
	f.trips = slices.DeleteFunc(f.trips, func(t flown) bool { return !t.until.After(now) })
	f.trips = append(f.trips, flown{at, name, now.Add(tripLifetime)})
	if len(f.trips) > flightAll {
		evict = append(evict, f.drop(0))
	}
	mine, oldest := 0, -1
	for i, t := range f.trips {
		if t.from == at {
			if mine++; oldest < 0 {
				oldest = i
			}
		}
	}
	if mine > flightEach {
		evict = append(evict, f.drop(oldest))
	}
	return evict
}

func (f *flight) drop(i int) string {
	name := f.trips[i].name
	f.trips = slices.Delete(f.trips, i, i+1)
	return name
}

// remove forgets a trip that came back.
func (f *flight) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trips = slices.DeleteFunc(f.trips, func(t flown) bool { return t.name == name })
}
