package edge

import (
	"bytes"
	"strings"
)

// headCheck gathers what the lines of one request head say about framing.
type headCheck struct {
	started    bool
	old        bool   // HTTP/1.0
	chunked    bool   // Transfer-Encoding: chunked
	hasLength  bool   // Content-Length
	upgrade    bool   // Upgrade names something
	connection bool   // Connection lists upgrade
	hosts      int    // Host lines
	length     int64  // Content-Length
	authority  string // of a request target in absolute form
}

// add checks one line of the head.
func (h *headCheck) add(line []byte) *refusal {
	if !h.started {
		h.started = true
		return h.requestLine(line)
	}
	name, value, bad := field(line)
	if bad != nil {
		return bad
	}
	switch len(name) {
	case 4:
		if bytes.EqualFold(name, []byte("host")) {
			return h.host(value)
		}
	case 7:
		if bytes.EqualFold(name, []byte("upgrade")) {
			h.upgrade = h.upgrade || !bytes.EqualFold(value, []byte("h2c"))
		}
	case 10:
		if bytes.EqualFold(name, []byte("connection")) {
			h.connection = h.connection || hasToken(string(value), "upgrade")
		}
	case 14:
		if bytes.EqualFold(name, []byte("content-length")) {
			return h.contentLength(value)
		}
	case 17:
		if bytes.EqualFold(name, []byte("transfer-encoding")) {
			return h.transferEncoding(value)
		}
	}
	return nil
}

func (h *headCheck) requestLine(line []byte) *refusal {
	method, rest, ok1 := bytes.Cut(line, []byte{' '})
	target, version, ok2 := bytes.Cut(rest, []byte{' '})
	if !ok1 || !ok2 || !token(method) || len(method) > 32 {
		return malformed("a request line is method, target and version with one space between them")
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		h.old = true
	default:
		return malformed("the version is HTTP/1.1 or HTTP/1.0")
	}
	return h.target(string(method), target)
}

func (h *headCheck) target(method string, target []byte) *refusal {
	if len(target) == 0 {
		return malformed("the request target is empty")
	}
	for _, c := range target {
		if c <= ' ' || c == 0x7f || c == '#' {
			return malformed("the request target can't hold spaces, control characters or a fragment")
		}
	}
	switch {
	case target[0] == '/', string(target) == "*" && method == "OPTIONS", method == "CONNECT":
		return nil
	}
	scheme, rest, ok := strings.Cut(string(target), "://")
	if !ok || (!strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https")) {
		return malformed("the request target is a path or an http URL")
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	if rest == "" || !hostText([]byte(rest)) {
		return malformed("the request target's host is not a host")
	}
	h.authority = rest
	return nil
}

func (h *headCheck) host(value []byte) *refusal {
	h.hosts++
	if h.hosts > 1 {
		return malformed("there is more than one Host")
	}
	if !hostText(value) {
		return malformed("Host is a name and an optional port")
	}
	if h.authority != "" && !strings.EqualFold(h.authority, string(value)) {
		return malformed("Host and the request target name different hosts")
	}
	return nil
}

// hostText admits the characters of names, addresses and ports.
func hostText(b []byte) bool {
	for _, c := range b {
		if !letter(c) && (c < '0' || c > ':') && c != '-' && c != '.' && c != '_' && c != '[' && c != ']' {
			return false
		}
	}
	return true
}

func (h *headCheck) contentLength(value []byte) *refusal {
	if len(value) == 0 || len(value) > 18 {
		return malformed("Content-Length is 1 to 18 digits")
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return malformed("Content-Length is 1 to 18 digits")
		}
		n = n*10 + int64(c-'0')
	}
	if h.hasLength && n != h.length {
		return malformed("there are different values of Content-Length")
	}
	h.hasLength, h.length = true, n
	return nil
}

func (h *headCheck) transferEncoding(value []byte) *refusal {
	if h.chunked || !bytes.EqualFold(value, []byte("chunked")) {
		return malformed("Transfer-Encoding is chunked, once, or absent")
	}
	h.chunked = true
	return nil
}

// end checks the head as a whole.
func (h *headCheck) end() *refusal {
	switch {
	case !h.started:
		return malformed("a request begins with a method")
	case h.chunked && h.hasLength:
		return malformed("there are both Content-Length and Transfer-Encoding")
	case h.chunked && h.old:
		return malformed("HTTP/1.0 has no Transfer-Encoding")
	case h.hosts == 0 && !h.old:
		return malformed("Host is missing")
	}
	return nil
}

// upgrades reports whether the request asks to leave HTTP. What follows it is
// not checked, so its connection serves no further request. (An offer of h2c is
// never taken up and changes nothing.)
func (h *headCheck) upgrades() bool { return h.upgrade && h.connection }
