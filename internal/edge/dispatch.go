package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"time"

	"gatehouse/internal/site"
)

const acmeProtocol = "acme-tls/1"

// dispatch brings one connection to where it is served: learns who the peer is
// and which name it wants, and hands it to the HTTP server or to a passthrough.
func (e *Edge) dispatch(p *peekConn) {
	_ = p.SetReadDeadline(time.Now().Add(e.HeadTimeout)) // a closed connection says so at the read
	if err := e.introduced(p); err != nil {
		e.refuseIntroduction(p, err)
		return
	}
	if !e.admitPeer(p) {
		e.drop(p, errTooManyConnections)
		return
	}
	if p.info.secure {
		e.dispatchTLS(p)
		return
	}
	e.serve(p, nil)
}

// identify decides what the peer that a PROXY header named may claim. It is never
// a peer on this machine, whatever its address.
func (e *Edge) identify(info *connInfo) {
	far := !info.named || !info.peer.Addr().IsLoopback()
	info.trusted = far && contains(e.TrustedProxies, info.peer.Addr())
	info.localPeer = far && contains(e.LocalhostPeers, info.peer.Addr())
}

// drop closes a connection before anything was asked on it.
func (e *Edge) drop(p *peekConn, why error) {
	e.Logger.Debug("connection closed", "peer", p.info.peer.String(), "reason", why)
	if !p.info.secure && errors.Is(why, os.ErrDeadlineExceeded) {
		_ = p.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = p.Write([]byte(plain408)) // best effort: it is closed either way
	}
	_ = p.Close()
}

// refuseIntroduction closes a connection whose peer did not say who it is. Where
// it must, nothing is said to it either.
func (e *Edge) refuseIntroduction(p *peekConn, why error) {
	if p.info.instance == "" {
		e.drop(p, why)
		return
	}
	e.Logger.Debug("connection to an instance port closed", "host", p.info.instance, "peer", p.info.peer.String(), "reason", why)
	_ = p.Close() // closing is all that was wanted
}

const plain408 = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// dispatchTLS finds the host by the ClientHello and either passes the bytes
// through or ends TLS here.
func (e *Edge) dispatchTLS(p *peekConn) {
	hello, err := p.peekHello()
	if err != nil {
		if errors.Is(err, errNotTLS) {
			_, _ = p.Write([]byte(plain400)) // most likely plain HTTP on the wrong port
		}
		e.drop(p, err)
		return
	}
	name, _ := hostName(hello.name)
	p.info.sni = name
	in := e.reachable(name, p.info)
	stray := p.info.instance != "" && !e.belongs(name, p.info)
	passes := in != nil && in.host.Proxy.TLSMode == site.TLSPassthrough
	switch {
	case stray:
		_, _ = p.Write(unrecognizedName)
		e.drop(p, errUnknownName)
	case passes:
		e.passthrough(p, in)
	case hello.acme: // also for names that nobody knows yet
		e.handshake(p, e.acme)
	case hello.name != "" && in == nil:
		_, _ = p.Write(unrecognizedName)
		e.drop(p, errUnknownName)
	default:
		e.handshake(p, e.tls)
	}
}

const plain400 = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 26\r\n\r\nthis port speaks TLS only\n"

// unrecognizedName is a fatal alert in a record of its own (RFC 8446, 6; RFC 6066, 3).
var unrecognizedName = []byte{21, 3, 3, 0, 2, 2, 112}

var (
	errUnknownName        = errors.New("unknown server name")
	errTooManyConnections = errors.New("too many connections from this address")
)

// belongs reports whether name is one of those of the instance on whose port the
// connection was accepted.
func (e *Edge) belongs(name string, info *connInfo) bool {
	_, in := e.lookup(name)
	return in != nil && info.serves(in)
}

// reachable is the instance that serves name over TLS to this peer, or nil.
func (e *Edge) reachable(name string, info *connInfo) *instance {
	if name == "" {
		return nil
	}
	_, in := e.lookup(name)
	if in == nil || !in.host.Proxy.EnableHTTPS || (site.UnderLocalhost(name) && !info.localPeer) {
		return nil
	}
	return in
}

// handshake ends TLS and hands the connection on.
func (e *Edge) handshake(p *peekConn, config *tls.Config) {
	c := tls.Server(p, config)
	ctx, cancel := context.WithTimeout(context.Background(), 2*e.HeadTimeout)
	defer cancel()
	_ = p.SetReadDeadline(time.Time{})
	if err := c.HandshakeContext(ctx); err != nil {
		e.drop(p, err)
		return
	}
	state := c.ConnectionState()
	if config == e.acme {
		_ = c.Close() // the handshake was all that the validation wanted
		return
	}
	p.info.tls = &state
	p.info.leaf = leafOf(p.cert)
	p.info.vouched = e.Vouched != nil && p.cert != nil && e.Vouched(p.cert)
	e.serve(p, c)
}

// serve gives the connection to the HTTP server: HTTP/2 as a *tls.Conn, as
// net/http wants it, HTTP/1 behind the strict check.
func (e *Edge) serve(p *peekConn, c *tls.Conn) {
	_ = p.SetReadDeadline(time.Time{})
	var ok bool
	switch {
	case c == nil:
		ok = e.handoff.give(newStrictConn(p, p.info, e.HeadTimeout))
	case p.info.tls.NegotiatedProtocol == "h2":
		ok = e.handoff.give(c)
	default:
		ok = e.handoff.give(newStrictConn(c, p.info, e.HeadTimeout))
	}
	if !ok {
		_ = p.Close() // shutting down
	}
}

// admitPeer counts the connection for its address.
func (e *Edge) admitPeer(p *peekConn) bool {
	if p.info.trusted || p.info.loopback() {
		return true
	}
	key := addressKey(p.info.peer.Addr())
	if !e.conns.enterFrom(key) {
		return false
	}
	leave := p.gone
	p.gone = func() {
		e.conns.leaveFrom(key)
		leave()
	}
	return true
}

// tlsConfig serves every name: the certificate is chosen for each handshake.
func (e *Edge) tlsConfig(protocols ...string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites12(), NextProtos: protocols}
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		e.choose(hello) // also where a session is resumed: the name's present certificate counts
		return nil, nil //nolint:nilnil // nil stands for the config that is being asked
	}
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if p, ok := hello.Conn.(*peekConn); ok {
			return p.cert, nil // without one crypto/tls sends unrecognized_name
		}
		return nil, errUnknownName
	}
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, []byte(cs.ServerName))
		return c.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := c.DecryptTicket(identity, cs)
		if err != nil || ss == nil || len(ss.Extra) == 0 || string(ss.Extra[len(ss.Extra)-1]) != cs.ServerName {
			return nil, nil //nolint:nilerr,nilnil // a ticket that is not for this name means a full handshake
		}
		return ss, nil
	}
	return c
}

// suites12 are the cipher suites of TLS 1.2: with forward secrecy and without
// CBC, which Go's defaults still have for old clients. TLS 1.3 has its own.
func suites12() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, // HTTP/2 demands these (RFC 9113, section 9.2.2)
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

func (e *Edge) choose(hello *tls.ClientHelloInfo) {
	p, ok := hello.Conn.(*peekConn)
	if !ok {
		return
	}
	cert, err := e.Certificates.Get(hello)
	if err != nil {
		e.Logger.Debug("no certificate", "name", hello.ServerName, "error", err)
		return
	}
	p.cert = cert
}

// leafOf is the certificate itself; nil when there is none or it can't be read,
// which then covers no name.
func leafOf(c *tls.Certificate) *x509.Certificate {
	if c == nil {
		return nil
	}
	if c.Leaf != nil {
		return c.Leaf
	}
	if len(c.Certificate) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// addressKey is what limits count by: an IPv4 address, an IPv6 /64.
func addressKey(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
