package site

import (
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientOf is the client of a request that came from peer, by what forwarding
// headers say (X-Forwarded-For, else Forwarded, RFC 7239): the right-most address
// that is not a trusted proxy's own; of a chain of nothing else, the left-most.
// Only what a trusted peer sends may be asked: who calls this has made sure.
func ClientOf(h http.Header, peer netip.Addr, trusted []netip.Prefix) netip.Addr {
	client := peer
	for hop := range hopsFromRight(h) {
		a, ok := hopAddress(hop)
		if !ok {
			break
		}
		client = a
		if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) }) {
			break
		}
	}
	return client
}

// SaidHTTPS reports whether the nearest proxy says that it was reached by TLS: in
// X-Forwarded-Proto or, where there is none, in Forwarded.
func SaidHTTPS(h http.Header) bool {
	for proto := range elementsFromRight(h["X-Forwarded-Proto"]) {
		return strings.EqualFold(proto, "https")
	}
	for element := range elementsFromRight(h["Forwarded"]) {
		return strings.EqualFold(parameter(element, "proto"), "https")
	}
	return false
}

// hopsFromRight walks over the addresses of X-Forwarded-For or, where there is
// none, of Forwarded, nearest first.
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
