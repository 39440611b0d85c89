package signin

import (
	"context"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/fault"
)

// How wrong passwords slow an account down: nobody is ever locked out by
// somebody else's guessing.
const (
	freeFailures = 3                // before anything slows down
	slowStep     = time.Second / 2  // after that; doubled at each further failure
	slowest      = 4 * time.Second  // at most
	slowMemory   = 15 * time.Minute // after the last failure all is forgotten
	maxSlowed    = 8192             // accounts remembered
	maxDelayed   = 256              // attempts that wait at once
)

// brake delays attempts on accounts whose password was lately given wrong,
// whether they exist or not.
type brake struct {
	mu      sync.Mutex // guards all below
	failed  map[string]failures
	waiting int
}

type failures struct {
	count int
	last  time.Time
}

func newBrake() *brake { return &brake{failed: make(map[string]failures)} }

// wait holds an attempt on the account called name back for as long as its
// failures ask. TooMany: too many wait already.
func (b *brake) wait(ctx context.Context, name string) error {
	d, ok := b.enter(name)
	if !ok {
		return &fault.Error{Kind: fault.TooMany, RetryAfter: slowest, Public: "too many sign-ins are waiting: try again in a few seconds"}
	}
	if d == 0 {
		return nil
	}
	defer b.leave()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *brake) enter(name string) (d time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d = b.delay(name); d == 0 {
		return 0, true
	}
	if b.waiting >= maxDelayed {
		return 0, false
	}
	b.waiting++
	return d, true
}

func (b *brake) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting--
}

func (b *brake) delay(name string) time.Duration {
	f := b.failed[strings.ToLower(name)]
	if f.count < freeFailures || time.Since(f.last) > slowMemory {
		return 0
	}
	return min(slowStep<<min(f.count-freeFailures, 8), slowest)
}

// note counts how an attempt ended; a right password clears the account.
func (b *brake) note(name string, right bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name = strings.ToLower(name)
	if right {
		delete(b.failed, name)
		return
	}
	f := b.failed[name]
	if time.Since(f.last) > slowMemory {
		f.count = 0
	}
	if f.count == 0 {
		b.makeRoom()
	}
	b.failed[name] = failures{count: f.count + 1, last: time.Now()}
}

func (b *brake) makeRoom() {
	if len(b.failed) < maxSlowed {
		return
	}
	for name, f := range b.failed {
		if time.Since(f.last) > slowMemory {
			delete(b.failed, name)
		}
	}
	for name := range b.failed {
		if len(b.failed) < maxSlowed {
			return
		}
		delete(b.failed, name)
	}
}
