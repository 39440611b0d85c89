package control

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Nodes that share a store write down that they live, and are taken for dead
// when they have not done so for a while.
const (
	nodePrefix = "node:"
	beatEvery  = 5 * time.Second
	beatLasts  = 16 * time.Second
)

// Node is one running Gatehouse process.
type Node struct {
	Node    string    `json:"node"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Uptime  float64   `json:"uptime_seconds"`
	Self    bool      `json:"self" jsonschema:"the node that answers"`
	Upkeep  bool      `json:"upkeep" jsonschema:"the node that does the clean-up work of all"`
}

// nodeRecord is a Node as it is stored.
type nodeRecord struct {
	Node    string    `json:"node"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"` // by the store's clock
	Upkeep  bool      `json:"upkeep,omitempty"`
	Tag     string    `json:"tag,omitempty"`
	Address string    `json:"address,omitempty"` // of its door for other nodes
}

// newNodeID tells processes apart, those on one machine too.
func newNodeID(name string) string { return name + ":" + strings.ToLower(rand.Text()[:8]) }

// Run tells the other nodes that this one lives, until ctx ends. With a store of
// its own there is nobody to tell.
func (c *Control) Run(ctx context.Context) error {
	if !c.deps.Shared {
		return nil
	}
	var follows sync.WaitGroup
	defer follows.Wait()
	follows.Go(func() { c.followNodes(ctx) })
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		if err := c.beat(ctx); err != nil && ctx.Err() == nil {
			c.log.DebugContext(ctx, "the other nodes can't be told that this one lives", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.leave(ctx)
			return nil
		}
	}
}

func (c *Control) beat(ctx context.Context) error {
	asked := c.now()
	now, err := c.deps.Store.Now(ctx)
	if err != nil {
		return err
	}
	c.compare(asked, now, c.now())
	_, err = c.nodes.Put(ctx, c.id, nodeRecord{Node: c.deps.Node, Version: c.deps.Release, Started: c.started.UTC(), Seen: now.UTC(),
		Upkeep: c.upkeep(), Tag: c.deps.Tag, Address: c.deps.Address}, beatLasts)
	return err
}

// mostSkew is how far a node's clock may be off the store's. Beyond it tokens that
// it signs would be refused elsewhere, or count for too long.
const mostSkew = 30 * time.Second

// compare takes note of how far this node's clock is off the store's, which was
// read between two moments.
func (c *Control) compare(asked, there, answered time.Time) {
	off := asked.Add(answered.Sub(asked) / 2).Sub(there)
	if spare := answered.Sub(asked) / 2; off.Abs()-spare <= mostSkew {
		off = 0
	}
	if was := time.Duration(c.skew.Swap(int64(off))); off != 0 && was == 0 {
		c.log.Error("this node's clock is wrong: it signs no tokens until that is mended", "off", off.Round(time.Second).String())
	}
}

// ClockOff is nil, or how far this node's clock is off the store's when that is
// too far to sign anything.
func (c *Control) ClockOff() error {
	off := time.Duration(c.skew.Load())
	if off == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Unavailable, RetryAfter: beatEvery,
		Public: fmt.Sprintf("this node's clock is %s off the store's: set it right", off.Round(time.Second))}
}

// clockState is ok, or what is wrong with the clock.
func (c *Control) clockState() string {
	if err := c.ClockOff(); err != nil {
		return publicText(err)
	}
	return "ok"
}

// leave takes this node off the list; else it leaves it by itself.
func (c *Control) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := c.nodes.Delete(ctx, c.id); err != nil && !fault.Is(err, fault.NotFound) {
		c.log.DebugContext(ctx, "this node is still on the list of nodes", "error", err)
	}
}

// Nodes answers the nodes that share this store: with the embedded store, this
// one; and this one alone while the store is away, which nobody else can be asked.
func (c *Control) Nodes(ctx context.Context, _ Nothing) (Page[Node], error) {
	page := Page[Node]{Items: []Node{c.self()}}
	if !c.deps.Shared {
		return page, nil
	}
	rows, _, err := c.nodes.Readable(ctx)
	if fault.Is(err, fault.Unavailable) {
		return page, nil
	}
	if err != nil {
		return page, err
	}
	for _, row := range rows {
		if row.Name == c.id {
			continue
		}
		r := row.Value
		page.Items = append(page.Items, Node{Node: r.Node, Version: r.Version, Started: r.Started, Uptime: r.Seen.Sub(r.Started).Seconds(), Upkeep: r.Upkeep})
	}
	return page, nil
}

func (c *Control) self() Node {
	return Node{Node: c.deps.Node, Version: c.deps.Release, Started: c.started.UTC(), Uptime: c.now().Sub(c.started).Seconds(), Self: true, Upkeep: c.upkeep()}
}

func (c *Control) upkeep() bool { return c.deps.Upkeep == nil || c.deps.Upkeep() }

func nodeTable(kv store.KV) store.Table[nodeRecord] {
	return store.NewTable[nodeRecord](kv, nodePrefix, "node")
}
