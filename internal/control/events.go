package control

import (
	"context"
	"encoding/json"
	"strings"

	"gatehouse/internal/cert"
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
	EventCertificate  = "certificate_ready" // obtained, renewed or uploaded
)

// revokedPrefix is where package oauth keeps what no longer counts.
const revokedPrefix = "oauth:revoked:"

// Event tells that something was changed, on this node or another.
type Event struct {
	Kind string `json:"event"`
	Name string `json:"name,omitempty" jsonschema:"of the host, the route or the certificate"`
}

// Events tells of changes from now on until ctx ends, when the channel is
// closed. It is for callers with the scope user.
func (c *Control) Events(ctx context.Context) (<-chan Event, error) {
	proxies := c.deps.Store.Watch(ctx, roster.ProxyPrefix)
	routes := c.deps.Store.Watch(ctx, roster.RoutePrefix)
	revoked := c.deps.Store.Watch(ctx, revokedPrefix)
	certificates := c.deps.Store.Watch(ctx, cert.DomainPrefix) // written whenever one is in place
	known, err := c.knownProxies(ctx)
	if err != nil {
		return nil, err
	}
	out := make(chan Event)
	go func() {
		defer close(out)
		t := teller{control: c, known: known, started: map[string]bool{}, ready: map[string]string{}}
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
			case event, ok = <-certificates:
				prefix = cert.DomainPrefix
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
	known   map[string]bool   // hosts that were there
	started map[string]bool   // watches that said their first Reload
	ready   map[string]string // fingerprints that were told, by certificate
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
	case prefix == cert.DomainPrefix:
		return t.certificate(ctx, e)
	case e.Kind == store.Deleted:
		delete(t.known, name)
		return Event{EventProxyDeleted, name}, true
	case t.known[name]:
		return Event{EventProxyUpdated, name}, true
	}
	t.known[name] = true
	return Event{EventProxyCreated, name}, true
}

// certificate tells once of each certificate that is put in place, however many
// names it has.
func (t *teller) certificate(ctx context.Context, e store.Event) (Event, bool) {
	if e.Kind != store.Changed {
		return Event{}, false
	}
	item, err := t.control.deps.Store.Get(ctx, e.Key)
	if err != nil {
		return Event{}, false
	}
	var name string
	if err := json.Unmarshal(item.Value, &name); err != nil {
		return Event{}, false
	}
	o, err := t.control.deps.Manager.Object(ctx, name)
	if err != nil || t.ready[name] == o.Fingerprint {
		return Event{}, false
	}
	t.ready[name] = o.Fingerprint
	return Event{EventCertificate, name}, true
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
