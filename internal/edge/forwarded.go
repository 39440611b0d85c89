package edge

import (
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// hopsFromRight walks over the addresses of X-Forwarded-For or, where there is
// none, of Forwarded (RFC 7239), nearest first.
func hopsFromRight(h http.Header) iter.Seq[string] {
	if lines := h["X-Forwarded-For"]; len(lines) > 0 {
		return elementsFromRight(lines)
	}
	return func(yield func(string) bool) {
		for element := range elementsFromRight(h["Forwarded"]) {
			if !yield(parameter(element, "for")) {
				return
			}
		}
	}
}

func elementsFromRight(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, rest := range slices.Backward(lines) {
			for {
				comma := strings.LastIndexByte(rest, ',')
				if !yield(strings.TrimSpace(rest[comma+1:])) {
					return
				}
				if comma < 0 {
					break
				}
				rest = rest[:comma]
			}
		}
	}
}

// saidHTTPS reports whether the nearest proxy says that it was reached by TLS: in
// X-Forwarded-Proto or, where there is none, in Forwarded.
func saidHTTPS(h http.Header) bool {
	for proto := range elementsFromRight(h["X-Forwarded-Proto"]) {
		return strings.EqualFold(proto, "https")
	}
	for element := range elementsFromRight(h["Forwarded"]) {
		return strings.EqualFold(parameter(element, "proto"), "https")
	}
	return false
}

// parameter is a parameter's value in one element of Forwarded.
func parameter(element, wanted string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(name), wanted) {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// hopAddress reads an address with or without port and brackets.
func hopAddress(hop string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return ap.Addr().Unmap(), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	return a.Unmap(), err == nil && a.Zone() == ""
}

// remoteOf is the peer of a request that came through somebody else's server.
func remoteOf(r *http.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// traceOf reads the trace id of a traceparent header (W3C Trace Context, 3.2).
func traceOf(value string) (trace string, ok bool) {
	if len(value) != 55 || value[2] != '-' || value[35] != '-' || value[52] != '-' || value[:2] == "ff" {
		return "", false
	}
	for i := range len(value) {
		c := value[i]
		if i != 2 && i != 35 && i != 52 && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	trace, parent := value[3:35], value[36:52]
	return trace, strings.Trim(trace, "0") != "" && strings.Trim(parent, "0") != ""
}
