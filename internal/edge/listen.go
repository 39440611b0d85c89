package edge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// listener is one public port, or one of an instance.
type listener struct {
	net.Listener
	secure bool   // TLS is spoken here
	host   string // the only host that is served here; empty: all are
}

// Listen binds the two public ports: on all interfaces when host is empty. Port
// 0 is any free port, a negative one is none. It must come before Run; Addresses
// tells what was bound.
func (e *Edge) Listen(host string, httpPort, httpsPort int) error {
	plain, err := bind(host, httpPort)
	if err != nil {
		return fmt.Errorf("HTTP port: %w", err)
	}
	secure, err := bind(host, httpsPort)
	if err != nil {
		if plain != nil {
			err = errors.Join(err, plain.Close())
		}
		return fmt.Errorf("HTTPS port: %w", err)
	}
	if plain != nil {
		e.AddHTTP(plain)
	}
	if secure != nil {
		e.AddHTTPS(secure)
	}
	return nil
}

func bind(host string, port int) (net.Listener, error) {
	if port < 0 {
		return nil, nil //nolint:nilnil // no listener was asked for
	}
	return net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}

// AddHTTP serves plain HTTP on l, which belongs to the Edge from now on. It must
// come before Run.
func (e *Edge) AddHTTP(l net.Listener) { e.listeners = append(e.listeners, &listener{Listener: l}) }

// AddHTTPS serves TLS on l, which belongs to the Edge from now on. It must come
// before Run.
func (e *Edge) AddHTTPS(l net.Listener) {
	e.listeners = append(e.listeners, &listener{Listener: l, secure: true})
}

// Addresses are the bound addresses of the first plain and the first TLS
// listener; the zero AddrPort where there is none.
func (e *Edge) Addresses() (plain, secure netip.AddrPort) {
	for _, l := range e.listeners {
		switch a := addrPort(l.Addr()); {
		case l.secure && !secure.IsValid():
			secure = a
		case !l.secure && !plain.IsValid():
			plain = a
		}
	}
	return plain, secure
}

// accept takes connections off l until it is closed.
func (e *Edge) accept(l *listener) {
	for {
		c, err := l.Accept()
		if err == nil {
			e.take(c, l)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		e.Logger.Warn("accepting a connection failed", "address", l.Addr().String(), "error", err)
		time.Sleep(50 * time.Millisecond) // out of descriptors, mostly: some will be free soon
	}
}

// take gives a new connection a place and a goroutine, or closes it.
func (e *Edge) take(c net.Conn, l *listener) {
	peer := addrPort(c.RemoteAddr())
	if !e.conns.enter() {
		_ = c.Close() // there is no place: nothing else to say
		return
	}
	info := &connInfo{peer: peer, local: addrPort(c.LocalAddr()), secure: l.secure, instance: l.host, trusted: contains(e.TrustedProxies, peer.Addr())}
	p := &peekConn{Conn: c, info: info, gone: e.conns.leave}
	if !info.mayIntroduce() {
		e.drop(p, errNotBalancer)
		return
	}
	e.tunnels.Go(func() { e.dispatch(p) })
}
