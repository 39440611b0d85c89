package site

import (
	"net/url"
	"strconv"
	"strings"
)

// Origins knows how clients reach this installation: the domain, and the ports
// that they see. It never depends on a request.
type Origins struct {
	BaseDomain string // BASE_DOMAIN
	HTTPPort   int    // the plain HTTP port
	HTTPSPort  int    // PUBLIC_HTTPS_PORT
}

// SignInName is the sign-in host's name.
func (o Origins) SignInName() string { return SignInLabel + "." + o.BaseDomain }

// Role is the role of the host called name.
func (o Origins) Role(name string) Role {
	switch name {
	case LocalhostName:
		return LocalhostRole
	case o.SignInName():
		return SignInHost
	}
	return Ordinary
}

// Of is the origin of the host called name, over HTTPS or, on loopback, plain HTTP.
func (o Origins) Of(name string, secure bool) string {
	scheme, port, usual := "https://", o.HTTPSPort, 443
	if !secure {
		scheme, port, usual = "http://", o.HTTPPort, 80
	}
	if port == usual || port == 0 {
		return scheme + name
	}
	return scheme + name + ":" + strconv.Itoa(port)
}

// SignIn is the origin of the sign-in host.
func (o Origins) SignIn(secure bool) string { return o.Of(o.SignInName(), secure) }

// OwnPages reports whether the pages for people must stand on the host called
// name itself, under PagesPrefix, because its visitors can't reach the sign-in
// host: a public name while BASE_DOMAIN is localhost.
func (o Origins) OwnPages(name string) bool {
	return UnderLocalhost(o.BaseDomain) && !UnderLocalhost(name)
}

// UnderLocalhost reports whether name is localhost or a name below it, which
// only LOCALHOST_PEERS may reach and which works over plain HTTP on loopback.
func UnderLocalhost(name string) bool {
	return name == LocalhostName || strings.HasSuffix(name, "."+LocalhostName)
}

// Resource finds the host whose resource uri is. uri may have a slash behind a
// bare origin; secure tells which of the host's two origins it named. ok is
// false for anything that is not exactly a resource of a host in w.
func (w *World) Resource(uri string) (host *Host, origin string, ok bool) {
	u, err := url.Parse(uri)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, "", false
	}
	name := strings.ToLower(u.Hostname())
	if host = w.Find(name); host == nil {
		return nil, "", false
	}
	secure := u.Scheme == "https"
	if !secure && !UnderLocalhost(name) {
		return nil, "", false
	}
	origin = w.Origins.Of(name, secure)
	if !SameResource(uri, ResourceOf(origin, host.Proxy.ResourceEndpoint)) {
		return nil, "", false
	}
	return host, origin, true
}

// SameResource reports whether a client's uri names the resource; an origin and
// the origin with a slash are one.
func SameResource(uri, resource string) bool {
	if uri == resource {
		return true
	}
	bare, ok := strings.CutSuffix(uri, "/")
	return ok && bare == resource && strings.Count(bare, "/") == 2
}
