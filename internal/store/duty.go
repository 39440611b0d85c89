package store

import (
	"context"
	"sync/atomic"
	"time"
)

// Duty is work that one of the nodes that share a store does for all: clean-up,
// for instance. Whoever holds the lock has it, until it ends or is lost; then
// another node gets it within the lease. Two nodes may think for a moment that
// they have it: the work must bear that. A nil *Duty is of a node that stands alone.
type Duty struct {
	locker Locker
	name   string
	ttl    time.Duration
	mine   atomic.Bool
}

// NewDuty is the duty of that name. It starts nothing; nobody has it before Run.
func NewDuty(l Locker, name string, ttl time.Duration) *Duty {
	return &Duty{locker: l, name: name, ttl: ttl}
}

// Mine reports whether this node has the duty now.
func (d *Duty) Mine() bool { return d == nil || d.mine.Load() }

// dutyPause is how long a node waits for a store that is away.
const dutyPause = time.Second

// Run stands in line for the duty, and has it when its turn has come, until ctx ends.
func (d *Duty) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		lease, err := d.locker.Lock(ctx, d.name, d.ttl)
		if err != nil {
			select {
			case <-time.After(dutyPause):
			case <-ctx.Done():
			}
			continue
		}
		d.mine.Store(true)
		select {
		case <-lease.Lost():
		case <-ctx.Done():
		}
		d.mine.Store(false)
		lease.Unlock()
	}
	return nil
}
