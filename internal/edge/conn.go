package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// connInfo is what is known of one connection. It is complete before the first
// request but for covered.
type connInfo struct {
	peer      netip.AddrPort // who connected; after a PROXY header the address that it names
	local     netip.AddrPort // our side, as the peer sees it
	named     bool           // a PROXY header named peer
	trusted   bool           // peer is a trusted proxy
	localPeer bool           // peer may reach names under localhost
	secure    bool           // TLS ends here
	instance  string         // hostname of the proxy on whose own port it was accepted; empty: a public port

	sni     string // the name in the ClientHello, normalised
	tls     *tls.ConnectionState
	leaf    *x509.Certificate      // what we showed
	vouched bool                   // authorities that clients know vouch for it
	covered atomic.Pointer[string] // the last other name that leaf was found to cover

	strict *strictConn  // HTTP/1 only
	served atomic.Int64 // requests begun, HTTP/1 only
}

// loopback reports whether the peer is on this machine; a PROXY header can't say so.
func (i *connInfo) loopback() bool { return !i.named && i.peer.Addr().IsLoopback() }

// covers reports whether a request for name may come on this connection: always
// without TLS, else where the certificate that was shown speaks for name. The
// name of the handshake itself is covered: the client chose to go on.
func (i *connInfo) covers(name string) bool {
	if !i.secure || name == i.sni {
		return true
	}
	if last := i.covered.Load(); last != nil && *last == name {
		return true
	}
	if i.leaf == nil || i.leaf.VerifyHostname(name) != nil {
		return false
	}
	kept := name // so that only what is kept is allocated
	i.covered.Store(&kept)
	return true
}

type infoKey struct{}

// withInfo is http.Server's ConnContext.
func withInfo(ctx context.Context, c net.Conn) context.Context {
	switch c := c.(type) {
	case *strictConn:
		return context.WithValue(ctx, infoKey{}, c.info)
	case *tls.Conn:
		if p, ok := c.NetConn().(*peekConn); ok {
			return context.WithValue(ctx, infoKey{}, p.info)
		}
	}
	return ctx
}

func infoFrom(ctx context.Context) *connInfo {
	i, _ := ctx.Value(infoKey{}).(*connInfo)
	return i
}

// peekConn is an accepted connection whose first bytes can be looked at before
// somebody reads them. It answers for the address that a PROXY header named.
type peekConn struct {
	net.Conn
	info *connInfo
	cert *tls.Certificate // what the handshake shows
	head []byte           // read, and not taken yet
	once sync.Once
	gone func() // runs when the connection is closed
}

// errPeekLimit says that a client sent more than it may before it made itself understood.
var errPeekLimit = errors.New("more bytes than allowed")

// more reads once, up to what makes p.head limit bytes long.
func (p *peekConn) more(limit int) error {
	if len(p.head) >= limit {
		return errPeekLimit
	}
	if cap(p.head) == len(p.head) {
		bigger := make([]byte, len(p.head), max(2048, 2*cap(p.head)))
		copy(bigger, p.head)
		p.head = bigger
	}
	n, err := p.Conn.Read(p.head[len(p.head):min(cap(p.head), limit)])
	p.head = p.head[:len(p.head)+n]
	if n > 0 {
		return nil
	}
	return err
}

// Read gives the bytes that were looked at first.
func (p *peekConn) Read(b []byte) (int, error) {
	if len(p.head) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.head)
	p.head = p.head[n:]
	if len(p.head) == 0 {
		p.head = nil
	}
	return n, nil
}

// RemoteAddr is the peer's address, that of a PROXY header included.
func (p *peekConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.info.peer) }

// CloseWrite ends our side of the connection.
func (p *peekConn) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close also gives the connection's place back.
func (p *peekConn) Close() error {
	err := p.Conn.Close()
	p.once.Do(p.gone)
	return err
}

// handoff is a listener that is fed by the dispatcher: how connections get to
// http.Server without another hop.
type handoff struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	addr  net.Addr
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), done: make(chan struct{}), addr: &net.TCPAddr{}}
}

// give hands c over; it reports false when nobody takes connections any more.
func (h *handoff) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handoff) Addr() net.Addr { return h.addr }

// addrPort is the address behind a, IPv4 in its own form.
func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(a.String()) // a listener of another kind: no address, so trusted by nothing
	return ap
}

// contains reports whether one of the networks holds a.
func contains(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
