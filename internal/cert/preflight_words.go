package cert

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// dnsWords says in a few words why a name does not resolve.
func dnsWords(err error) string {
	d, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return "the look-up failed"
	case d.IsNotFound:
		return "there is no such name"
	case d.IsTimeout:
		return "the DNS server does not answer"
	}
	return "the DNS server failed"
}

// dialWords says in a few words why a connection was not made.
func dialWords(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no way there"
	}
	return "no HTTP there"
}

// haveIPv6 reports whether this machine has an IPv6 address of its own that goes
// beyond it.
func haveIPv6() bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is6() && !strings.Contains(a.String(), "%") && p.Addr().IsGlobalUnicast() && !p.Addr().IsPrivate() {
			return true
		}
	}
	return false
}
