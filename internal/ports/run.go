package ports

import (
	"context"
	"maps"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

const (
	gather   = 2 * time.Millisecond // lets changes come together
	tryAgain = time.Second          // after the store was away
	lookOver = time.Minute          // while a proxy lacks a port: a program may have ended that had one
)

// Run keeps the allocation until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	events := k.o.KV.Watch(ctx, PairPrefix)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	due, all, failing, changed := false, false, false, map[string]bool{}
	for {
		select {
		case e, open := <-events:
			if !open {
				return context.Cause(ctx)
			}
			if e.Kind == store.Reload {
				all = true
			} else {
				changed[e.Key[len(PairPrefix):]] = true
			}
		case <-k.wake:
		case <-timer.C:
			due = false
			again, err := k.settle(ctx, all, changed)
			if err == nil {
				all = false
				clear(changed)
			} else if ctx.Err() == nil && !failing {
				k.o.Log.WarnContext(ctx, "the ports of instances can't be settled yet", "error", err)
			}
			failing = err != nil
			timer.Reset(again)
			continue
		}
		if !due {
			due = true
			timer.Reset(gather)
		}
	}
}

// settle brings the allocation in line with the proxies that there are, and says
// when to look again.
func (k *Keeper) settle(ctx context.Context, all bool, changed map[string]bool) (time.Duration, error) {
	err := k.read(ctx, all, changed)
	if err == nil && all {
		err = k.mend(ctx)
	}
	k.publish()
	if err == nil {
		err = k.release(ctx)
	}
	if err == nil && k.o.Probe != nil {
		err = k.allocate(ctx)
	}
	k.publish()
	lacking := k.finish(err)
	switch {
	case err != nil:
		return tryAgain, err
	case lacking:
		return lookOver, nil
	}
	return time.Hour, nil
}

// finish lets those go on who wait, and reports whether a proxy lacks a port.
func (k *Keeper) finish(err error) (lacking bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for host := range k.why {
		if !k.wanted[host] || k.held[host].whole() {
			delete(k.why, host)
		}
	}
	for _, host := range k.order {
		if k.held[host].whole() {
			continue
		}
		lacking = true
		if err != nil && k.why[host] == (Lack{}) {
			k.why[host] = Lack{away, away}
		}
	}
	close(k.settled)
	k.settled = make(chan struct{})
	return lacking && k.o.Probe != nil
}

// publish tells the ports of the proxies that there are.
func (k *Keeper) publish() {
	if k.o.Publish == nil {
		return
	}
	k.mu.Lock()
	present := make(map[string]Pair, len(k.held))
	for host, h := range k.held {
		if k.wanted[host] {
			present[host] = h.Pair
		}
	}
	k.mu.Unlock()
	if k.told == nil || !maps.Equal(present, k.told) {
		k.told = present
		k.o.Publish(present)
	}
}

// read takes in what is stored: all of it, or the pairs of those proxies.
func (k *Keeper) read(ctx context.Context, all bool, changed map[string]bool) error {
	if !all {
		for host := range changed {
			if err := k.readOne(ctx, host); err != nil {
				return err
			}
		}
		return nil
	}
	rows, bad, err := k.pairs.Readable(ctx)
	if err != nil {
		return err
	}
	for _, err := range bad {
		k.o.Log.ErrorContext(ctx, "a stored record is left out", "error", err)
	}
	there := make(map[string]held, len(rows))
	for _, row := range rows {
		there[row.Name] = held{row.Value, row.Version}
	}
	k.mu.Lock()
	k.held = there
	k.mu.Unlock()
	return nil
}

func (k *Keeper) readOne(ctx context.Context, host string) error {
	row, err := k.pairs.Get(ctx, host)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case fault.Is(err, fault.NotFound):
		delete(k.held, host)
		return nil
	case err != nil:
		return err
	}
	k.held[host] = held{row.Value, row.Version}
	return nil
}

// now is what is allocated and what is wanted, in order, at this moment.
func (k *Keeper) now() (map[string]held, []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.held), k.order
}

func (k *Keeper) set(host string, h held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[host] = h
}

func (k *Keeper) note(host, action, message string) {
	if k.o.Note != nil {
		k.o.Note(Note{Host: host, Action: action, Message: message})
	}
}
