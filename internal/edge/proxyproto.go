package edge

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// The PROXY protocol (haproxy's proxy-protocol.txt), versions 1 and 2: taken
// from trusted peers, and written to targets that ask for it.

var (
	proxyV1 = []byte("PROXY ")
	proxyV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

const (
	maxProxyV1 = 107
	maxProxyV2 = 16 + 4096 // address and TLVs
)

// errProxyHeader says that a PROXY header is malformed.
var errProxyHeader = errors.New("PROXY header refused")

// takeProxyHeader reads the PROXY header of a peer that may send one, when its
// connection begins with one. Nobody asks it for other peers: what they send in its place
// is neither a ClientHello nor an HTTP head, and is refused as such.
func (p *peekConn) takeProxyHeader() (found bool, err error) {
	size, err := p.proxyHeaderSize()
	if err != nil || size == 0 {
		return false, err
	}
	source, local, err := parseProxyHeader(p.head[:size])
	if err != nil {
		return false, err
	}
	p.head = p.head[size:]
	if source.IsValid() {
		p.info.peer, p.info.local, p.info.named = source, local, true
	}
	return true, nil
}

// proxyHeaderSize waits until it is clear whether a PROXY header stands first,
// and how long it is; 0 is none.
func (p *peekConn) proxyHeaderSize() (int, error) {
	for {
		size, more, err := proxyHeaderSize(p.head)
		if !more || err != nil {
			return size, err
		}
		if err := p.more(maxProxyV2); err != nil {
			return 0, err
		}
	}
}

// proxyHeaderSize is the length of the PROXY header that b begins with, 0 for
// none. more asks for more bytes of it.
func proxyHeaderSize(b []byte) (size int, more bool, err error) {
	switch {
	case len(b) == 0:
		return 0, true, nil
	case bytes.HasPrefix(b, proxyV2):
		return sizeV2(b)
	case bytes.HasPrefix(b, proxyV1):
		return sizeV1(b)
	}
	return 0, bytes.HasPrefix(proxyV2, b) || bytes.HasPrefix(proxyV1, b), nil
}

func sizeV1(b []byte) (int, bool, error) {
	i := bytes.Index(b[:min(len(b), maxProxyV1)], []byte("\r\n"))
	switch {
	case i >= 0:
		return i + 2, false, nil
	case len(b) >= maxProxyV1:
		return 0, false, fmt.Errorf("%w: version 1 has at most %d bytes", errProxyHeader, maxProxyV1)
	}
	return 0, true, nil
}

func sizeV2(b []byte) (int, bool, error) {
	if len(b) < 16 {
		return 0, true, nil
	}
	size := 16 + int(b[14])<<8 + int(b[15])
	if size > maxProxyV2 {
		return 0, false, fmt.Errorf("%w: version 2 has at most %d bytes here", errProxyHeader, maxProxyV2)
	}
	return size, len(b) < size, nil
}

// parseProxyHeader reads one whole header. Without a source the sender itself is
// the peer: LOCAL, UNKNOWN, and clients that the balancer reached by a unix socket.
// One that came to the balancer by datagrams (QUIC) is still who it is. Nothing
// beside the addresses is believed.
func parseProxyHeader(b []byte) (source, local netip.AddrPort, err error) {
	r := bufio.NewReader(bytes.NewReader(b))
	h, err := proxyproto.Read(r)
	if err != nil {
		return source, local, fmt.Errorf("%w: %w", errProxyHeader, err)
	}
	if r.Buffered() > 0 {
		return source, local, fmt.Errorf("%w: bytes behind it", errProxyHeader)
	}
	if h.Command.IsLocal() {
		return source, local, nil
	}
	if from, to, ok := h.TCPAddrs(); ok {
		return addrPort(from), addrPort(to), nil
	}
	if from, to, ok := h.UDPAddrs(); ok {
		return addrPort((*net.TCPAddr)(from)), addrPort((*net.TCPAddr)(to)), nil
	}
	return source, local, nil
}

// proxyHeader is the header for a connection to a target on behalf of a client;
// nil: of nobody.
func proxyHeader(version byte, info *connInfo) ([]byte, error) {
	if info == nil { // a connection of our own: LOCAL, or UNKNOWN in version 1
		h := &proxyproto.Header{Version: version, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
		return h.Format()
	}
	h := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(info.peer), net.TCPAddrFromAddrPort(info.local))
	b, err := h.Format()
	if err != nil {
		return nil, fmt.Errorf("PROXY header for %s: %w", info.peer, err)
	}
	return b, nil
}

// proxyVersion reads send_proxy_protocol; 0 is off.
func proxyVersion(setting string) byte {
	switch setting {
	case "v1":
		return 1
	case "v2":
		return 2
	}
	return 0
}
