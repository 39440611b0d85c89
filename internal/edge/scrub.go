package edge

import "strings"

// scrub removes what clients may not say about themselves: from headers and from
// announced trailers, with - or _, in any case.
func (x *exchange) scrub() {
	prefix := ""
	if x.inst != nil {
		prefix = x.inst.prefix
	}
	for name := range x.r.Header {
		if forbidden(name, prefix, x.visit.Trusted) {
			delete(x.r.Header, name)
		}
	}
	for name := range x.r.Trailer {
		if forbidden(name, prefix, x.visit.Trusted) || hopByHop(name) || privateTrailer(name) {
			delete(x.r.Trailer, name)
		}
	}
}

// forbidden reports whether a client may not send a header. prefix is the host's
// identity prefix in lower case.
func forbidden(name, prefix string, trusted bool) bool {
	switch name[0] | 0x20 {
	case 'x':
		return like(name, "x-auth-", true) || like(name, "x-internal-", true) || like(name, "x-remote-", true) ||
			(prefix != "" && like(name, prefix, true)) || like(name, "x-original-url", false) || like(name, "x-rewrite-url", false) ||
			forbiddenForwarding(name, trusted)
	case 'r':
		return like(name, "remote-user", false)
	case 'p':
		return like(name, "proxy", false) || misspelled(name, "proxy-connection") || misspelled(name, "proxy-authorization")
	case 'f':
		return !trusted && like(name, "forwarded", false)
	case 't':
		return misspelled(name, "transfer-encoding")
	case 'c':
		return misspelled(name, "content-length") || misspelled(name, "content-type")
	}
	return false
}

func forbiddenForwarding(name string, trusted bool) bool {
	if like(name, "x-forwarded-", true) {
		rest := name[len("x-forwarded-"):]
		return !trusted || strings.Contains(name, "_") || like(rest, "user", false) || like(rest, "email", false) || like(rest, "groups", false)
	}
	return like(name, "x-real-ip", false) && (!trusted || name != "X-Real-Ip") ||
		like(name, "x-request-id", false) && (!trusted || name != "X-Request-Id")
}

// like compares a header's name with one in lower case, _ being as good as -.
// With prefix it is enough that name begins so.
func like(name, lower string, prefix bool) bool {
	if len(name) < len(lower) || (!prefix && len(name) != len(lower)) {
		return false
	}
	for i := range len(lower) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case c == '_':
			c = '-'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// misspelled reports whether name is one that matters, written with _: some
// programs behind us read both alike.
func misspelled(name, lower string) bool {
	return like(name, lower, false) && strings.IndexByte(name, '_') >= 0
}

// hopByHop reports whether a header is about one connection only (RFC 9110, 7.6.1).
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// privateTrailer reports whether a field has no business in a trailer.
func privateTrailer(name string) bool {
	switch name {
	case "Authorization", "Cookie", "Host", "Content-Length", "Content-Type", "Content-Encoding", "Set-Cookie", "Traceparent":
		return true
	}
	return false
}
