// Package freeport finds ports for programs that must be told one before they
// start. It looks below the range from which the kernel gives ports to outgoing
// connections, and gives none twice in one process, so that tests that run side
// by side don't take each other's.
package freeport

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// Ports below the kernel's own (net.ipv4.ip_local_port_range begins at 32768) and
// above those that Gatehouse allocates by itself.
const (
	first = 20000
	count = 12000
)

var given atomic.Uint32

// Of is a port on which nobody listens just now.
func Of(t testing.TB) int {
	t.Helper()
	start := uint32(os.Getpid()) * 97 //nolint:gosec // any number does: test processes begin at different places
	for range count {
		n := first + int((start+given.Add(1))%count)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Fatal("no free port")
	return 0
}
