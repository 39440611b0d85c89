package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

var errNotGlobal = errors.New("not a global unicast address")

// special are the ranges that are not the public Internet's, of IPv4 and of what
// lies inside 2000::/3 (IANA's special-purpose registries, RFC 6890), with those
// that lead to IPv4 addresses in disguise. Of IPv6 nothing beyond 2000::/3 is
// dialed at all, so that 64:ff9b::/96, fc00::/7 and the like need no entry.
func special() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23",     // protocol assignments: Teredo, ORCHID, benchmarking, AMT
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4
		"2620:4f:8000::/48",
		"3fff::/20", // documentation
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// globalUnicast is the part of IPv6 that is handed out.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// IsGlobal reports whether a is an address of the public Internet that one
// machine answers at. IPv4 in IPv6's clothes (::ffff:0:0/96) counts as IPv4.
func IsGlobal(a netip.Addr) bool { return isGlobal(special(), a) }

func isGlobal(special []netip.Prefix, a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if a.Is6() && !globalUnicast.Contains(a) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsGlobalUnicast()
}

// IsLoopback reports whether a host is loopback by its very name: localhost, a
// name under it, or a loopback address.
func IsLoopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// dialer connects to global unicast addresses only.
type dialer struct {
	net      net.Dialer
	special  []netip.Prefix
	loopback bool
}

func newDialer(opt Options) *dialer {
	d := &dialer{special: special(), loopback: opt.AllowLoopback}
	d.net = net.Dialer{Timeout: Timeout, ControlContext: d.check}
	if opt.Resolver != "" {
		var plain net.Dialer // to the name server, which the administrator chose
		d.net.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return plain.DialContext(ctx, network, opt.Resolver)
		}}
	}
	return d
}

// DialContext resolves a name as it is, without the search list of this machine's
// network. It also knows that names under localhost are this machine, which not
// every resolver does; check lets them pass in tests alone.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		if IsLoopback(host) {
			host = "127.0.0.1"
		} else if !strings.HasSuffix(host, ".") {
			host += "."
		}
		address = net.JoinHostPort(host, port)
	}
	return d.net.DialContext(ctx, network, address)
}

// check is asked of each address that is about to be dialed, after resolution:
// a name that answers otherwise than a moment ago gains nothing.
func (d *dialer) check(_ context.Context, network, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return fmt.Errorf("%s: %w", address, errNotGlobal)
	}
	if (d.loopback && a.Addr().Unmap().IsLoopback()) || isGlobal(d.special, a.Addr()) {
		return nil
	}
	return fmt.Errorf("%s: %w", a.Addr(), errNotGlobal)
}
