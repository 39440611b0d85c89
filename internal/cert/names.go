package cert

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// localSuffixes are the names that no public CA can ever sign for, because they
// are set aside for uses that are not global: localhost, test, example (RFC
// 6761), local (RFC 6762), home.arpa (RFC 8375) and internal (reserved by ICANN
// in 2024). The CA is made before anyone says which hosts there will be, and
// its constraints last as long as it does, so that names which are merely
// usual (lan, corp, home, a single label such as intranet) can't be among them:
// some of these may yet be sold as top-level domains. Hosts under those get a
// self-signed certificate. So does onion, which public CAs serve.
func localSuffixes() []string {
	return []string{"localhost", "test", "example", "local", "home.arpa", "internal"}
}

// localRanges are the addresses that the CA may sign for: loopback, private
// (RFC 1918) and unique local ones (RFC 4193).
func localRanges() []*net.IPNet {
	var ranges []*net.IPNet
	for _, s := range []string{"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"} {
		p := netip.MustParsePrefix(s)
		ranges = append(ranges, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	return ranges
}

// Local reports whether name, perhaps a wildcard, is served by the local CA: it
// lies under localhost, test, example, local, home.arpa or internal. name is
// lower case without a trailing dot.
func Local(name string) bool { return under(name, localSuffixes()) }

// under reports whether name is one of the suffixes or below one.
func under(name string, suffixes []string) bool {
	name = strings.TrimPrefix(name, "*.")
	return slices.ContainsFunc(suffixes, func(s string) bool {
		return name == s || strings.HasSuffix(name, "."+s)
	})
}

// tooWide reports whether clients refuse the wildcard name although it is in
// the certificate: *.localhost, like *.com, would span a whole registry.
func tooWide(name string) bool {
	parent, wild := strings.CutPrefix(name, "*.")
	return wild && slices.Contains(localSuffixes(), parent)
}

// isLabel reports whether s can be one label of a hostname (RFC 1123, and the
// underscore that some internal names have).
func isLabel(s string) bool {
	return len(s) >= 1 && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
