package config

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ipAddress is one address in its usual form. A zone (fe80::1%eth0) is allowed:
// it is part of where to listen.
func ipAddress() kind[string] {
	return kind[string]{"an IP address", func(raw string) (string, error) {
		ip, err := netip.ParseAddr(raw)
		if err != nil {
			return "", errForm
		}
		return ip.Unmap().String(), nil
	}}
}

// networks are address ranges; loopback stands for 127.0.0.0/8 and ::1.
func networks() kind[[]netip.Prefix] {
	return list("addresses or CIDR ranges separated by commas, such as 10.0.0.0/8,::1 (loopback is short for 127.0.0.0/8,::1)", false,
		func(member string) ([]netip.Prefix, error) {
			if strings.EqualFold(member, "loopback") {
				return loopback(), nil
			}
			p, err := network(member)
			return []netip.Prefix{p}, err
		})
}

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// network takes an address as the range that holds it alone. IPv4 written as
// IPv6 is refused: peers are compared in their plain form and it would never match.
func network(member string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(member)
	if err != nil {
		ip, err := netip.ParseAddr(member)
		if err != nil {
			return netip.Prefix{}, errForm
		}
		p = netip.PrefixFrom(ip, ip.BitLen())
	}
	if p.Addr().Is4In6() || p.Addr().Zone() != "" {
		return netip.Prefix{}, errors.New("write IPv4 plainly and leave zones out")
	}
	return p.Masked(), nil
}

// listenAddress is where to listen; the host may be empty, the port may be 0.
func listenAddress() kind[string] {
	return kind[string]{"host:port such as 127.0.0.1:9000, or off", func(raw string) (string, error) {
		if strings.EqualFold(raw, "off") {
			return "", nil
		}
		host, port, err := net.SplitHostPort(raw)
		if err != nil || !isPort(port) || host != "" && !isHost(host) {
			return "", errForm
		}
		return raw, nil
	}}
}

// nodeAddress is where other nodes are listened to.
func nodeAddress() kind[string] {
	return kind[string]{"address:port such as 10.0.0.5:7946, auto, or off", func(raw string) (string, error) {
		if strings.EqualFold(raw, NodeAuto) {
			return NodeAuto, nil
		}
		if host, _, err := net.SplitHostPort(raw); err == nil && host != "" {
			if _, err := netip.ParseAddr(host); err != nil {
				return "", errForm
			}
		}
		return listenAddress().parse(raw)
	}}
}

// dnsServer is a name server; port 53 unless given.
func dnsServer() kind[string] {
	return kind[string]{"a name server: host, or host:port", func(raw string) (string, error) {
		host, port, err := net.SplitHostPort(raw)
		if err != nil {
			host, port = strings.Trim(raw, "[]"), "53"
		}
		if !isHost(host) || !isPort(port) {
			return "", errForm
		}
		return net.JoinHostPort(host, port), nil
	}}
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// isHost takes what can be connected to: an address or a name, also with the
// underscores that Docker's names may have.
func isHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || isHostname(strings.ReplaceAll(s, "_", "x"))
}

// isHostname checks RFC 1123 labels. A name that ends in a number is no name
// but a mistyped address.
func isHostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	return !slices.ContainsFunc(labels, func(l string) bool { return !isLabel(l) }) &&
		strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

func isLabel(s string) bool {
	return len(s) >= 1 && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// hostname gives the name in lower case without a trailing dot. room is how many
// characters must remain for labels that will be put before it.
func hostname(room int) kind[string] {
	return kind[string]{"a hostname of letters, digits, hyphens and dots (international names in their xn-- form)", func(raw string) (string, error) {
		name := strings.ToLower(strings.TrimSuffix(raw, "."))
		if !isHostname(name) || len(name)+room > 253 {
			return "", errForm
		}
		return name, nil
	}}
}

func hostnames() kind[[]string] {
	one := hostname(0)
	return list("hostnames separated by commas, or any", true, func(member string) ([]string, error) {
		name, err := one.parse(member)
		return []string{name}, err
	})
}

// webURL is an absolute http or https URL, given without a trailing slash.
func webURL() kind[string] {
	return kind[string]{"an http or https URL without user, query or fragment", func(raw string) (string, error) {
		if _, err := parseWeb(raw); err != nil {
			return "", err
		}
		return strings.TrimRight(raw, "/"), nil
	}}
}

// secureURL is an absolute https URL, kept as it is given.
func secureURL() kind[string] {
	return kind[string]{"an https URL without user, query or fragment", func(raw string) (string, error) {
		if u, err := parseWeb(raw); err != nil || u.Scheme != "https" {
			return "", errForm
		}
		return raw, nil
	}}
}

func webURLOrOff() kind[string] {
	k := webURL()
	return kind[string]{"off or " + k.rule, func(raw string) (string, error) {
		if strings.EqualFold(raw, "off") {
			return "", nil
		}
		return k.parse(raw)
	}}
}

// secretURL is a URL that is itself a credential: its query may be part of that.
func secretURL() kind[Secret] {
	return kind[Secret]{"an http or https URL without user or fragment", func(raw string) (Secret, error) {
		before, _, _ := strings.Cut(raw, "?")
		if _, err := parseWeb(before); err != nil || strings.Contains(raw, "#") {
			return Secret{}, errForm
		}
		return NewSecret(raw), nil
	}}
}

// issuer is an issuer identifier (RFC 8414, section 2): https, http on loopback
// only, kept byte for byte because clients compare issuers as text. Ours is an
// origin and has no trailing slash, which several clients refuse; a provider's
// may have a path.
func issuer(pathAllowed bool) kind[string] {
	rule := "an https origin such as https://auth.example.com, without path or trailing slash (http on loopback only)"
	if pathAllowed {
		rule = "the provider's https issuer, exactly as its discovery document gives it (http on loopback only)"
	}
	return kind[string]{rule, func(raw string) (string, error) {
		u, err := parseWeb(raw)
		if err != nil || u.Scheme != "https" && !isLoopbackName(u.Hostname()) || !pathAllowed && u.Path != "" {
			return "", errForm
		}
		return raw, nil
	}}
}

func isLoopbackName(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func parseWeb(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || !isHost(u.Hostname()) ||
		u.User != nil || strings.ContainsAny(raw, "?#") || u.Port() != "" && !isPort(u.Port()) {
		return nil, errForm
	}
	return u, nil
}

// dockerHost is an Engine's address in the form of Docker's own variable.
func dockerHost() kind[string] {
	return kind[string]{"unix:///path, tcp://host:port or http(s)://host:port", func(raw string) (string, error) {
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return "", errForm
		}
		local := u.Scheme == "unix" && u.Host == "" && len(u.Path) > 1
		remote := slices.Contains([]string{"tcp", "http", "https"}, u.Scheme) && isHost(u.Hostname())
		if !local && !remote {
			return "", errForm
		}
		return raw, nil
	}}
}
