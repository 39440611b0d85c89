package control

import (
	"context"
	"errors"
	"runtime"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// storePatience is how long health waits for the store.
const storePatience = 2 * time.Second

// Health is how this node is. Who may not read sees the status alone.
type Health struct {
	Status string `json:"status" jsonschema:"healthy, or degraded: it serves, but something it needs is away"`
	*HealthDetails
}

// HealthDetails are what callers with the scope user see, and whoever asks at
// the direct listener.
type HealthDetails struct {
	Store   string  `json:"store" jsonschema:"ok, or what is wrong with it"`
	Clock   string  `json:"clock" jsonschema:"ok, or how far this node's is off the store's"`
	Backend string  `json:"backend" jsonschema:"where the store is: embedded or redis"`
	Node    string  `json:"node"`
	Version string  `json:"version"`
	Uptime  float64 `json:"uptime_seconds"`
	Proxies int     `json:"proxies" jsonschema:"hosts that this node serves"`

	Certificates int    `json:"certificates" jsonschema:"certificates that are kept"`
	Scheduler    string `json:"scheduler" jsonschema:"how their renewal goes: ok, or what is wrong"`
}

// Health answers how this node is. It fails only when the node can't serve.
func (c *Control) Health(ctx context.Context, _ Nothing) (Health, error) {
	h, storeState := Health{Status: "healthy"}, c.storeState(ctx)
	if storeState != "ok" || c.ClockOff() != nil {
		h.Status = "degraded"
	}
	if v := site.VisitFrom(ctx); c.mayRead(ctx) || (v != nil && v.Direct) {
		h.HealthDetails = &HealthDetails{Store: storeState, Clock: c.clockState(), Backend: c.deps.Backend, Node: c.deps.Node, Version: c.deps.Release,
			Uptime: c.now().Sub(c.started).Seconds(), Proxies: c.world().Len()}
		if c.deps.Manager != nil {
			h.Certificates, h.Scheduler = c.deps.Manager.State()
		}
	}
	return h, nil
}

// Ready is nil when the store answers: what begins now would need it.
func (c *Control) Ready(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	_, err := c.deps.Store.Now(asked)
	if errors.Is(err, context.DeadlineExceeded) {
		return &fault.Error{Kind: fault.Unavailable, Public: "the store does not answer: try again in a moment", Cause: err, RetryAfter: beatEvery}
	}
	return err
}

// storeState is ok, or what is wrong with the store.
func (c *Control) storeState(ctx context.Context) string {
	asked, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	if _, err := c.deps.Store.Now(asked); err != nil {
		c.log.WarnContext(ctx, "the store does not answer", "error", err)
		return publicText(err)
	}
	return "ok"
}

// Info is what an installation is.
type Info struct {
	Name       string             `json:"name"`
	Version    string             `json:"version"`
	Node       string             `json:"node"`
	Started    time.Time          `json:"started"`
	Go         string             `json:"go"`
	Platform   string             `json:"platform"`
	BaseDomain string             `json:"base_domain"`
	SignIn     string             `json:"sign_in" jsonschema:"origin of the sign-in host"`
	Digests    *Digests           `json:"digests,omitempty" jsonschema:"of what this node serves, to compare nodes; for administrators"`
	Store      *store.Description `json:"store,omitempty" jsonschema:"for administrators"`
}

// Info answers what this installation is.
func (c *Control) Info(ctx context.Context, _ Nothing) (Info, error) {
	info := Info{Name: "Gatehouse", Version: c.deps.Release, Node: c.deps.Node, Started: c.started.UTC(), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, BaseDomain: c.deps.Origins.BaseDomain, SignIn: c.deps.Origins.SignIn(true)}
	if !c.admin(ctx) {
		return info, nil
	}
	info.Digests = c.digests()
	described, err := c.deps.Store.Describe(ctx)
	info.Store = &described
	if fault.Is(err, fault.Unavailable) { // how much there is in it can wait
		err = nil
	}
	return info, err
}

// Version is the version that runs.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

// Version answers the version that runs.
func (c *Control) Version(context.Context, Nothing) (Version, error) {
	return Version{c.deps.Release, runtime.Version()}, nil
}

// Stats are counts of what there is.
type Stats struct {
	Proxies    int     `json:"proxies"`
	Enabled    int     `json:"proxies_enabled"`
	Protected  int     `json:"proxies_protected" jsonschema:"with sign-in or a resource endpoint"`
	Routes     int     `json:"routes" jsonschema:"stored routes, built-in ones not counted"`
	Uptime     float64 `json:"uptime_seconds"`
	Goroutines int     `json:"goroutines"`
	Memory     uint64  `json:"memory_bytes" jsonschema:"what the process got from the system"`
	Heap       uint64  `json:"heap_bytes" jsonschema:"of it, in use"`

	Journal journal.Counts `json:"journal" jsonschema:"state of the request log"`
}

// Stats answers counts of what there is.
func (c *Control) Stats(ctx context.Context, _ Nothing) (Stats, error) {
	routes, err := c.routes.All(ctx)
	if err != nil {
		return Stats{}, err
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s := Stats{Routes: len(routes), Uptime: c.now().Sub(c.started).Seconds(), Goroutines: runtime.NumGoroutine(), Memory: memory.Sys, Heap: memory.HeapInuse, Journal: c.deps.Journal.Counts()}
	for _, host := range c.world().Hosts() {
		s.Proxies++
		if host.Proxy.Enabled {
			s.Enabled++
		}
		if host.Protected() {
			s.Protected++
		}
	}
	return s, nil
}
