package edge

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// hostName is the name in a Host, :authority or server_name: lower case, in its
// ASCII form, without port and trailing dot. ok is false for what can't be a
// host's name.
func hostName(host string) (name string, ok bool) {
	name = withoutPort(host)
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 || name[0] == '.' {
		return "", false
	}
	if plainName(name) {
		return name, true
	}
	return foreignName(name)
}

// withoutPort cuts ":443" off a name or a bracketed address.
func withoutPort(host string) string {
	if strings.HasPrefix(host, "[") {
		if i := strings.IndexByte(host, ']'); i > 0 && (i+1 == len(host) || host[i+1] == ':') {
			return host[1:i]
		}
		return ""
	}
	name, port, found := strings.Cut(host, ":")
	if found && !digits(port) {
		return ""
	}
	return name
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) <= 5
}

// plainName reports whether name is in its final form already.
func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

func foreignName(name string) (string, bool) {
	lower := strings.ToLower(name)
	if plainName(lower) {
		return lower, true
	}
	if strings.Contains(name, ":") { // an IPv6 address: nobody's name, but well formed
		a, err := netip.ParseAddr(name)
		return a.String(), err == nil && a.Zone() == ""
	}
	ascii, err := idna.Lookup.ToASCII(name)
	return ascii, err == nil && ascii != ""
}
