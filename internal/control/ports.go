package control

import (
	"context"
	"strconv"

	"gatehouse/internal/ports"
	"gatehouse/internal/site"
)

// Ports knows which ports are whose; package ports has it.
type Ports interface {
	// Of is the ports of a proxy, and, when it has not both, why.
	Of(host string) (ports.Pair, ports.Lack)
	// Await returns when a proxy that is new has its ports, or one that is gone
	// has none, or after a second.
	Await(ctx context.Context, host string)
	// List is up to limit allocations behind a port.
	List(ctx context.Context, after, limit int) ([]ports.Allocation, error)
}

// Listening is where this node listens.
type Listening struct {
	HTTP, HTTPS string // addresses of the public ports

	// Instance tells how the port of an instance stands: bound to address, or why
	// not. ok is false for ports that are not bound because nobody asked for it.
	Instance func(port int) (address string, why error, ok bool)
}

// ListPorts answers the allocated ports in order.
func (c *Control) ListPorts(ctx context.Context, in Paging) (Page[ports.Allocation], error) {
	size, err := in.size()
	if err != nil {
		return Page[ports.Allocation]{}, err
	}
	after, err := in.after()
	if err != nil {
		return Page[ports.Allocation]{}, err
	}
	page := Page[ports.Allocation]{Items: []ports.Allocation{}}
	if c.deps.Ports == nil {
		return page, nil
	}
	port, _ := strconv.Atoi(after) // what is no number is the start
	if page.Items, err = c.deps.Ports.List(ctx, port, size); err != nil {
		return page, err
	}
	if len(page.Items) == size {
		page.Cursor = cursorOf(strconv.Itoa(page.Items[size-1].Port))
	}
	return page, nil
}

// awaitPorts waits until a change of proxies has reached their ports.
func (c *Control) awaitPorts(ctx context.Context, host string) {
	if c.deps.Ports != nil {
		c.deps.Ports.Await(ctx, host)
	}
}

// Listener is one address at which this node takes connections for a host.
type Listener struct {
	Kind    string `json:"kind" jsonschema:"dispatcher: a public port, which all hosts share; instance: a port of this host alone, for balancers that send a PROXY header"`
	Scheme  string `json:"scheme" jsonschema:"http or https"`
	Address string `json:"address,omitempty" jsonschema:"where this node listens, or would"`
	Status  string `json:"status" jsonschema:"listening; failed: the port can't be bound here; none: there is no port; off: PROXY_INSTANCE_PORTS is off on this node"`
	Message string `json:"message,omitempty" jsonschema:"why it does not listen; the public ports serve the host all the same"`
}

// The states of a Listener.
const (
	listens = "listening"
	failed  = "failed"
	noPort  = "none"
	off     = "off"
)

// listeners are where this node takes connections for a host, and its own ports.
func (c *Control) listeners(p site.Proxy) ([]Listener, ports.Pair) {
	all, where := []Listener{}, c.deps.Listening
	if p.EnableHTTP && where.HTTP != "" {
		all = append(all, Listener{Kind: "dispatcher", Scheme: "http", Address: where.HTTP, Status: listens})
	}
	if p.EnableHTTPS && where.HTTPS != "" {
		all = append(all, Listener{Kind: "dispatcher", Scheme: "https", Address: where.HTTPS, Status: listens})
	}
	if c.deps.Ports == nil {
		return all, ports.Pair{}
	}
	pair, why := c.deps.Ports.Of(p.Hostname)
	return append(all, c.instanceListener("http", pair.HTTP, why.HTTP), c.instanceListener("https", pair.HTTPS, why.HTTPS)), pair
}

func (c *Control) instanceListener(scheme string, port int, why string) Listener {
	l := Listener{Kind: "instance", Scheme: scheme, Status: listens}
	switch {
	case why == ports.Off:
		l.Status, l.Message = off, why
		return l
	case port == 0:
		l.Status, l.Message = noPort, why
		return l
	}
	address, err, ok := c.deps.Listening.Instance(port)
	l.Address = address
	switch {
	case !ok:
		l.Status, l.Message = failed, "the port is about to be bound"
	case err != nil:
		l.Status, l.Message = failed, err.Error()
	}
	return l
}
