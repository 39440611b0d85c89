package control

import (
	"context"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/roster"
	"gatehouse/internal/store"
)

// Kinds of Event.
const (
	EventReload       = "reload" // events were lost: read everything again
	EventProxyCreated = "proxy_created"
	EventProxyUpdated = "proxy_updated"
	EventProxyDeleted = "proxy_deleted"
	EventRouteChanged = "route_changed"
	EventRevoked      = "revoked"
)

// revokedPrefix is where package oauth keeps what no longer counts.
const revokedPrefix = "oauth:revoked:"

// Event tells that something was changed, on this node or another.
type Event struct {
	Kind string `json:"event"`
	Name string `json:"name,omitempty" jsonschema:"of the host or the route"`
}

// Events tells of changes from now on until ctx ends, when the channel is
// closed. It is for callers with the scope user.
func (c *Control) Events(ctx context.Context) (<-chan Event, error) {
	proxies := c.deps.Store.Watch(ctx, roster.ProxyPrefix)
	routes := c.deps.Store.Watch(ctx, roster.RoutePrefix)
	revoked := c.deps.Store.Watch(ctx, revokedPrefix)
	known, err := c.knownProxies(ctx)
	if err != nil {
		return nil, err
	}
	out := make(chan Event)
	go func() {
		defer close(out)
		t := teller{control: c, known: known, started: map[string]bool{}}
		for {
			var event store.Event
			var ok bool
			var prefix string
			select {
			case event, ok = <-proxies:
				prefix = roster.ProxyPrefix
			case event, ok = <-routes:
				prefix = roster.RoutePrefix
			case event, ok = <-revoked:
				prefix = revokedPrefix
			}
			if !ok {
				return
			}
			told, worth := t.tell(ctx, prefix, event)
			if !worth {
				continue
			}
			select {
			case out <- told:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// teller turns the store's events into those of the API.
type teller struct {
	control *Control
	known   map[string]bool // hosts that were there
	started map[string]bool // watches that said their first Reload
}

func (t *teller) tell(ctx context.Context, prefix string, e store.Event) (Event, bool) {
	name := strings.TrimPrefix(e.Key, prefix)
	switch {
	case e.Kind == store.Reload && !t.started[prefix]:
		t.started[prefix] = true
		return Event{}, false
	case e.Kind == store.Reload:
		if known, err := t.control.knownProxies(ctx); err == nil {
			t.known = known
		}
		return Event{Kind: EventReload}, true
	case prefix == roster.RoutePrefix:
		return Event{EventRouteChanged, name}, true
	case prefix == revokedPrefix:
		return Event{Kind: EventRevoked}, e.Kind == store.Changed
	case e.Kind == store.Deleted:
		delete(t.known, name)
		return Event{EventProxyDeleted, name}, true
	case t.known[name]:
		return Event{EventProxyUpdated, name}, true
	}
	t.known[name] = true
	return Event{EventProxyCreated, name}, true
}

func (c *Control) knownProxies(ctx context.Context) (map[string]bool, error) {
	rows, err := c.proxies.All(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.KindOf(err), err, "the hosts can't be read")
	}
	known := make(map[string]bool, len(rows))
	for _, row := range rows {
		known[row.Name] = true
	}
	return known, nil
}
