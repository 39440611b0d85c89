package control

import (
	"context"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// doors are where the other nodes receive what is handed over, in memory.
type doors struct {
	mu  sync.RWMutex          // guards all
	all map[string]nodeRecord // by node id
}

// maxNodes bounds what is remembered of nodes.
const maxNodes = 1000

func (d *doors) set(id string, r *nodeRecord) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[string]nodeRecord{}
	}
	if delete(d.all, id); r != nil && len(d.all) < maxNodes {
		d.all[id] = *r
	}
}

func (d *doors) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.all)
}

func (d *doors) knows(id string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, ok := d.all[id]
	return ok
}

// NodeAt is where the node with a tag receives what is handed over to it; empty:
// nowhere, or there is no such node.
func (c *Control) NodeAt(tag string) string {
	c.doors.mu.RLock()
	defer c.doors.mu.RUnlock()
	for _, r := range c.doors.all {
		if tag != "" && r.Tag == tag {
			return r.Address
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
		c.doors.forget()
		for _, row := range rows {
			c.doors.set(row.Name, &row.Value)
		}
		return nil
	}
	id := e.Key[len(nodePrefix):]
	switch {
	case id == c.id:
		return nil
	case e.Kind == store.Deleted:
		c.doors.set(id, nil)
		return nil
	case c.doors.knows(id): // another sign of life: a process never changes its door
		return nil
	}
	row, err := c.nodes.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil {
		c.doors.set(id, &row.Value)
	}
	return err
}
