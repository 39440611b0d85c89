package client

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"gatehouse/internal/fault"
)

// ParseURL checks that raw can be an API's root.
func ParseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return nil, fault.New(fault.Invalid, "%q is no URL of an API: write http://HOST or https://HOST", raw)
	case u.User != nil:
		return nil, fault.New(fault.Invalid, "the API's URL must not hold a user name or password: sign in with `gatehouse oauth login`")
	case u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return nil, fault.New(fault.Invalid, "%q must end after the host: the API is at the root", raw)
	}
	u.Scheme, u.Host, u.Path = strings.ToLower(u.Scheme), strings.ToLower(u.Host), ""
	if p := u.Port(); p == "80" && u.Scheme == "http" || p == "443" && u.Scheme == "https" {
		u.Host = strings.TrimSuffix(u.Host, ":"+p)
	}
	return u, nil
}

// Loopback reports whether host (without port) can only mean this machine.
func Loopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// refuseClear keeps credentials off wires where others listen. Gatehouse revokes
// a token that it sees in clear; it must not come to that.
func refuseClear(r *http.Request) error {
	if r.URL.Scheme != "http" || r.Header.Get("Authorization") == "" || Loopback(r.URL.Hostname()) {
		return nil
	}
	return fault.New(fault.Invalid, "a token is never sent over plain http beyond this machine: use https://%s", r.URL.Host)
}

// dialHosts are the addresses to try for a name: *.localhost is this machine
// (RFC 6761), whatever the system's resolver knows of it.
func dialHosts(address string) []string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !Loopback(host) || net.ParseIP(host) != nil {
		return []string{address}
	}
	return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
}
