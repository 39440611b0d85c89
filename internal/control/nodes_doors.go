package control

import (
	"context"
	"maps"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// doors are where the other nodes receive what is handed over, in memory. The
// record of a node that lives goes away while the store does, so that a door stays
// known for a while after its record: at one that is closed nobody answers.
type doors struct {
	mu  sync.RWMutex    // guards all
	all map[string]door // by node id
}

type door struct {
	tag, address string
	gone         time.Time // when its record was found missing; zero: it is there
}

const (
	maxNodes = 1000          // doors that are remembered
	doorStay = 2 * beatLasts // how long a door is known without its record
)

// set takes note of a node's record, and forgets doors that are gone for long.
func (d *doors) set(id string, r *nodeRecord, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.all, func(_ string, old door) bool { return old.past(now) })
	if d.all == nil {
		d.all = map[string]door{}
	}
	if _, known := d.all[id]; known || len(d.all) < maxNodes {
		d.all[id] = door{tag: r.Tag, address: r.Address}
	}
}

// missing takes note that nodes have no record now: all but those that are there.
func (d *doors) missing(now time.Time, gone func(id string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, known := range d.all {
		if known.gone.IsZero() && gone(id) {
			known.gone = now
			d.all[id] = known
		}
	}
}

func (d door) past(now time.Time) bool { return !d.gone.IsZero() && now.Sub(d.gone) > doorStay }

// knows reports whether a node's record is there and known.
func (d *doors) knows(id string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	known, ok := d.all[id]
	return ok && known.gone.IsZero()
}

// NodeAt is where the node with a tag receives what is handed over to it; empty:
// nowhere, or there is no such node.
func (c *Control) NodeAt(tag string) string {
	c.doors.mu.RLock()
	defer c.doors.mu.RUnlock()
	for _, known := range c.doors.all {
		if tag != "" && known.tag == tag && !known.past(c.now()) {
			return known.address
		}
	}
	return ""
}

// followNodes keeps the doors of other nodes in memory until ctx ends. While the
// store is away they stay.
func (c *Control) followNodes(ctx context.Context) {
	events := c.deps.Store.Watch(ctx, nodePrefix)
	again := time.NewTimer(time.Hour)
	again.Stop()
	defer again.Stop()
	for {
		event := store.Event{Kind: store.Reload}
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			event = e
		case <-again.C:
		}
		if err := c.followNode(ctx, event); err != nil && ctx.Err() == nil {
			again.Reset(beatEvery)
		}
	}
}

func (c *Control) followNode(ctx context.Context, e store.Event) error {
	if e.Kind == store.Reload {
		rows, _, err := c.nodes.Readable(ctx)
		if err != nil {
			return err
		}
		there := map[string]bool{}
		for _, row := range rows {
			there[row.Name] = true
			c.doors.set(row.Name, &row.Value, c.now())
		}
		c.doors.missing(c.now(), func(id string) bool { return !there[id] })
		return nil
	}
	id := e.Key[len(nodePrefix):]
	switch {
	case id == c.id:
		return nil
	case e.Kind == store.Deleted:
		c.doors.missing(c.now(), func(gone string) bool { return gone == id })
		return nil
	case c.doors.knows(id): // another sign of life: a process never changes its door
		return nil
	}
	row, err := c.nodes.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil {
		c.doors.set(id, &row.Value, c.now())
	}
	return err
}
