package edge

import (
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// maxHello is the largest ClientHello, records and all, that is looked at.
const maxHello = 64 << 10

// clientHello is what the dispatcher wants to know of a ClientHello (RFC 8446,
// 4.1.2; RFC 6066, 3; RFC 7301).
type clientHello struct {
	name string // server_name, as sent; empty: none
	acme bool   // acme-tls/1 is among the protocols: a TLS-ALPN-01 validation
}

// errNotTLS says that a client does not speak TLS.
var errNotTLS = errors.New("not a TLS ClientHello")

// peekHello reads the ClientHello without taking it: however it is cut into
// records and segments.
func (p *peekConn) peekHello() (clientHello, error) {
	for {
		hello, whole, err := parseRecords(p.head)
		if whole || err != nil {
			return hello, err
		}
		if err := p.more(maxHello); err != nil {
			return clientHello{}, err
		}
	}
}

// parseRecords reads a ClientHello off the records in b. whole is false while b
// ends before the ClientHello does.
func parseRecords(b []byte) (hello clientHello, whole bool, err error) {
	if len(b) > 0 && b[0] != 22 { // handshake
		return hello, false, errNotTLS
	}
	message, whole, err := joinRecords(b)
	if !whole || err != nil {
		return hello, false, err
	}
	hello, ok := parseHello(message)
	if !ok {
		return hello, false, errNotTLS
	}
	return hello, true, nil
}

// joinRecords is the body of the handshake message that the records in b begin with.
func joinRecords(b []byte) (message []byte, whole bool, err error) {
	for len(b) >= 5 {
		if b[0] != 22 || b[1] != 3 {
			return nil, false, errNotTLS
		}
		n := int(b[3])<<8 | int(b[4])
		if n == 0 || n > 1<<14 {
			return nil, false, errNotTLS
		}
		piece := b[5:min(5+n, len(b))]
		if message == nil {
			message = slices.Clip(piece) // one record is the usual case: no copy
		} else {
			message = append(message, piece...)
		}
		if done, err := bodyOf(&message); done || err != nil {
			return message, done, err
		}
		if len(piece) < n {
			break
		}
		b = b[5+n:]
	}
	return nil, false, nil
}

// bodyOf cuts a complete handshake message down to its body.
func bodyOf(message *[]byte) (done bool, err error) {
	m := *message
	if len(m) > 0 && m[0] != 1 { // client_hello
		return false, errNotTLS
	}
	if len(m) < 4 {
		return false, nil
	}
	n := int(m[1])<<16 | int(m[2])<<8 | int(m[3])
	if n > maxHello {
		return false, errPeekLimit
	}
	if len(m) < 4+n {
		return false, nil
	}
	*message = m[4 : 4+n]
	return true, nil
}

const (
	extServerName = 0
	extALPN       = 16
)

func parseHello(body []byte) (hello clientHello, ok bool) {
	s := cryptobyte.String(body)
	var session, suites, compressions, extensions cryptobyte.String
	if !s.Skip(2+32) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&compressions) {
		return hello, false
	}
	if s.Empty() {
		return hello, true
	}
	if !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() {
		return hello, false
	}
	for !extensions.Empty() {
		var kind uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&data) || !hello.extension(kind, data) {
			return hello, false
		}
	}
	return hello, true
}

func (h *clientHello) extension(kind uint16, data cryptobyte.String) bool {
	var list cryptobyte.String
	switch kind {
	case extServerName:
		if h.name != "" || !data.ReadUint16LengthPrefixed(&list) || !data.Empty() {
			return false
		}
		return h.serverNames(list)
	case extALPN:
		if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() {
			return false
		}
		return h.protocols(list)
	}
	return true
}

func (h *clientHello) serverNames(list cryptobyte.String) bool {
	for !list.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) || len(name) == 0 {
			return false
		}
		if kind != 0 { // host_name
			continue
		}
		if h.name != "" {
			return false
		}
		h.name = string(name)
	}
	return true
}

func (h *clientHello) protocols(list cryptobyte.String) bool {
	for !list.Empty() {
		var protocol cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&protocol) || len(protocol) == 0 {
			return false
		}
		h.acme = h.acme || string(protocol) == acmeProtocol
	}
	return true
}
