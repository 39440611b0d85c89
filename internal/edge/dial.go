package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"gatehouse/internal/site"
)

// dialer connects to the targets of one host. Which addresses are refused is
// decided for each address after resolution, so a name that changes its mind
// between a check and the dial gains nothing.
type dialer struct {
	net     net.Dialer
	timeout time.Duration
	edge    *Edge
	link    bool // link-local addresses are allowed
	version byte // of the PROXY header to send; 0: none
	lookup  func(ctx context.Context) (network, address string, err error)
}

var (
	errRefusedAddress = errors.New("address refused as a target")
	errNoSuchTarget   = errors.New("no such target here")
)

func (e *Edge) newDialer(p *site.Proxy) *dialer {
	d := &dialer{edge: e, link: p.AllowLinkLocal, timeout: seconds(p.ConnectTimeout, e.ConnectTimeout), version: proxyVersion(p.SendProxyProtocol)}
	d.net = net.Dialer{Timeout: d.timeout, KeepAlive: 30 * time.Second, ControlContext: d.check}
	return d
}

// named is d for a target that is found by name at each dial.
func (d *dialer) named(value string, lookup func(string) (string, string, bool)) *dialer {
	n := *d
	n.net.ControlContext = n.check
	n.lookup = func(context.Context) (string, string, error) {
		network, address, ok := lookup(value)
		if !ok {
			return "", "", fmt.Errorf("%s: %w", value, errNoSuchTarget)
		}
		return network, address, nil
	}
	return &n
}

// DialContext connects to address, or to where the target's name leads.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.lookup != nil {
		var err error
		if network, address, err = d.lookup(ctx); err != nil {
			return nil, err
		}
	}
	c, err := d.dial(ctx, network, address)
	if err != nil || d.version == 0 {
		return c, err
	}
	if err := d.introduce(ctx, c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// dial also knows that names under localhost are this machine, which not every
// resolver does.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !site.UnderLocalhost(strings.ToLower(strings.TrimSuffix(host, "."))) {
		return d.net.DialContext(ctx, network, address)
	}
	c, err := d.net.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err == nil {
		return c, nil
	}
	if six, err6 := d.net.DialContext(ctx, network, net.JoinHostPort("::1", port)); err6 == nil {
		return six, nil
	}
	return nil, err
}

// introduce sends the PROXY header of the client whose request this is, or of
// nobody when we ask for ourselves.
func (d *dialer) introduce(ctx context.Context, c net.Conn) error {
	header, err := proxyHeader(d.version, infoFrom(ctx))
	if err != nil {
		return err
	}
	if err := c.SetWriteDeadline(time.Now().Add(d.timeout)); err != nil {
		return fmt.Errorf("PROXY header: %w", err)
	}
	if _, err := c.Write(header); err != nil {
		return fmt.Errorf("PROXY header: %w", err)
	}
	return c.SetWriteDeadline(time.Time{})
}

// check is asked of each address that is about to be dialed.
func (d *dialer) check(_ context.Context, network, address string, _ syscall.RawConn) error {
	if strings.HasPrefix(network, "unix") {
		return nil
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", errRefusedAddress, address)
	}
	ip := a.Addr().Unmap().WithZone("")
	switch {
	case ip.IsLinkLocalUnicast() && !d.link:
		return fmt.Errorf("%w: %s is link-local", errRefusedAddress, ip)
	case a.Port() == 2375 || a.Port() == 2376:
		return fmt.Errorf("%w: port %d is Docker's", errRefusedAddress, a.Port())
	case ip.IsMulticast():
		return fmt.Errorf("%w: %s is multicast", errRefusedAddress, ip)
	case d.edge.owns(ip, a.Port()):
		return fmt.Errorf("%w: %s is Gatehouse itself", errRefusedAddress, a)
	}
	return nil
}

// owns reports whether ip and port lead to one of our own listeners.
func (e *Edge) owns(ip netip.Addr, port uint16) bool {
	for _, l := range e.listeners {
		if ours(addrPort(l.Addr()), ip, port) {
			return true
		}
	}
	for _, l := range e.OwnListeners {
		if ours(l, ip, port) {
			return true
		}
	}
	return e.instancePorts.owns(ip, port)
}

func ours(listener netip.AddrPort, ip netip.Addr, port uint16) bool {
	if listener.Port() != port {
		return false
	}
	bound := listener.Addr().Unmap()
	return bound == ip || (bound.IsUnspecified() && onThisMachine(ip)) || (ip.IsUnspecified() && bound.IsLoopback())
}

// onThisMachine reports whether ip is an address of this machine.
func onThisMachine(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // can't tell: refuse rather than loop
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip.AsSlice()) {
			return true
		}
	}
	return false
}
