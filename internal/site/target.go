package site

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kinds of Target.
const (
	TargetHTTP     = "http"  // HTTP/1.1 in clear
	TargetHTTPS    = "https" // TLS, HTTP/2 where offered
	TargetH2C      = "h2c"   // HTTP/2 in clear, by prior knowledge
	TargetService  = "service"
	TargetUnix     = "unix"
	TargetStdio    = "stdio"
	TargetInternal = "internal"
)

// Target is where requests go, parsed.
type Target struct {
	Kind string   // one of the kinds above
	Name string   // of service:, unix:, stdio: and internal: targets
	URL  *url.URL // of http, https and h2c targets; nil for others. Never changed
}

// String is the target as it is stored.
func (t Target) String() string {
	if t.URL != nil {
		return t.URL.String()
	}
	return t.Kind + ":" + t.Name
}

// Dialed reports whether the target is a URL, whose host is dialed.
func (t Target) Dialed() bool { return t.URL != nil }

// Address is host and port that a dialed target names, the port from the scheme
// when none is given; empty for others.
func (t Target) Address() (host, port string) {
	if t.URL == nil {
		return "", ""
	}
	host, port = t.URL.Hostname(), t.URL.Port()
	if port == "" {
		port = "80"
		if t.Kind == TargetHTTPS {
			port = "443"
		}
	}
	return host, port
}

var (
	errTarget       = errors.New("is an absolute http, https or h2c URL, service:NAME, unix:NAME, stdio:NAME, internal:demo or internal:mcp")
	errTargetUser   = errors.New("must not hold a user or password; send them by custom_headers")
	errTargetQuery  = errors.New("must not have a query or a fragment")
	errTargetHost   = errors.New("needs a host: a name of RFC 1123 labels or an address")
	errTargetPort   = errors.New("needs a port between 1 and 65535")
	errTargetPath   = errors.New("must not have a path that can be read in two ways: encoded dots or slashes, dot or empty segments")
	errTargetName   = errors.New("needs a name of a-z, 0-9, _ and -, at most 63 characters, after the colon")
	errTargetInside = errors.New("may name of the built-in services only internal:demo and internal:mcp")
	errTargetLong   = errors.New("is at most 2048 characters long")

	containerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

	targetName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
)

// insides are all built-in services, those that only built-in routes may name included.
var insides = []string{InternalAPI, InternalMCP, InternalWeb, InternalDemo, InternalOAuth, InternalPages, InternalACME}

// ParseTarget reads a target. It takes every built-in service; which of them a
// proxy or route may name is Validate's rule. Its errors say the rule that s
// breaks.
func ParseTarget(s string) (Target, error) {
	if len(s) > 2048 {
		return Target{}, errTargetLong
	}
	kind, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Target{}, errTarget
	}
	switch kind = strings.ToLower(kind); kind {
	case TargetHTTP, TargetHTTPS, TargetH2C:
		return parseURL(kind, s)
	case TargetService, TargetUnix, TargetStdio:
		if !targetName.MatchString(rest) {
			return Target{}, errTargetName
		}
		return Target{Kind: kind, Name: rest}, nil
	case TargetInternal:
		if !slices.Contains(insides, TargetInternal+":"+rest) {
			return Target{}, errTargetInside
		}
		return Target{Kind: kind, Name: rest}, nil
	}
	return Target{}, errTarget
}

func parseURL(kind, s string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" {
		return Target{}, errTarget
	}
	switch {
	case u.User != nil:
		return Target{}, errTargetUser
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(s, "#"):
		return Target{}, errTargetQuery
	case !targetHost(u):
		return Target{}, errTargetHost
	case !targetPort(u):
		return Target{}, errTargetPort
	case u.Path != "" && !ParsePath(u.EscapedPath()).Plain:
		return Target{}, errTargetPath
	}
	u.Scheme, u.Host = kind, asciiHost(u)
	return Target{Kind: kind, URL: u}, nil
}

// targetHost reports whether u's host is a name or an address that can be
// dialed. Names inside container networks may hold an underscore.
func targetHost(u *url.URL) bool {
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == "" && !addr.IsUnspecified() && !addr.IsMulticast()
	}
	if strings.Contains(host, "*") || host != strings.TrimSpace(host) {
		return false
	}
	if _, err := NormalizeHostname(host); err == nil {
		return true
	}
	return strings.Contains(host, "_") && containerName.MatchString(host)
}

// asciiHost is host and port with the name as DNS has it.
func asciiHost(u *url.URL) string {
	name, err := NormalizeHostname(u.Hostname())
	if err != nil {
		return strings.ToLower(u.Host) // an address, or a name with an underscore
	}
	if port := u.Port(); port != "" {
		name += ":" + port
	}
	return name
}

func targetPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.Atoi(u.Port())
	return err == nil && n >= 1 && n <= 65535
}
