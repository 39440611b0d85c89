package edge

import (
	"net/http"
	"net/netip"
	"strings"
)

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
