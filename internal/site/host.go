package site

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Role tells the two built-in hosts from all others.
type Role uint8

// The roles.
const (
	Ordinary Role = iota
	LocalhostRole
	SignInHost
)

// Host is a proxy with the routes that apply to it, compiled: what the edge
// serves and the gate judges by. It is immutable; a change makes a new one.
type Host struct {
	Proxy  Proxy
	Role   Role
	routes []compiled
	asks   bool   // one of its routes asks for a sign-in
	stamp  string // what it was compiled from; equal stamps are equal hosts
}

type compiled struct {
	Route
	re      *regexp.Regexp
	guarded *Route // a loosening route without its override: for paths that can be read in two ways
	gone    bool   // a built-in that is disabled: answers 404, never the target
}

// NewHost compiles a proxy with all stored routes. Routes that do not apply to
// the proxy are left out.
func NewHost(p Proxy, role Role, stored []Route) (*Host, error) {
	h := &Host{Proxy: p, Role: role}
	own, err := h.compile(stored)
	if err != nil {
		return nil, err
	}
	h.asks = slices.ContainsFunc(own, func(c compiled) bool { return c.Auth != nil && c.Auth.AuthType == AuthOAuth })
	for _, r := range BuiltInRoutes() {
		if !h.On(r.ID) {
			continue
		}
		off := r.ID != RouteACME && slices.Contains(p.DisabledRoutes, r.ID)
		h.routes = append(h.routes, compiled{Route: r, gone: off})
	}
	slices.SortStableFunc(h.routes, func(a, b compiled) int { return order(a.Route, b.Route) })
	h.routes = append(h.routes, own...)
	h.stamp = stampOf(p, role, own)
	return h, nil
}

func (h *Host) compile(stored []Route) ([]compiled, error) {
	if h.Role == SignInHost {
		return nil, nil // no user's route is ever added to it
	}
	var own []compiled
	for _, r := range stored {
		if !r.Enabled || !h.Takes(r) {
			continue
		}
		c, err := compileRoute(r)
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", r.ID, err)
		}
		own = append(own, c)
	}
	slices.SortStableFunc(own, func(a, b compiled) int { return order(a.Route, b.Route) })
	return own, nil
}

func compileRoute(r Route) (compiled, error) {
	c := compiled{Route: r}
	if r.Loosens() {
		c.guarded = r.withoutOverride()
	}
	if r.Match != MatchRegex {
		return c, nil
	}
	var err error
	c.re, err = compilePattern(r.PathPattern)
	return c, err
}

// withoutOverride is r as it stands for a path that can be read in two ways: it
// still matches, so that what it forbids stays forbidden, but it only adds its
// conditions to the proxy's and opens nothing.
func (r Route) withoutOverride() *Route {
	r.OverrideAuth = false
	if r.Auth != nil && r.Auth.AuthType == AuthNone {
		r.Auth = nil
	}
	return &r
}

// Takes reports whether a stored route applies to h by its scope and the
// proxy's route_mode, enabled_routes and disabled_routes.
func (h *Host) Takes(r Route) bool {
	if slices.Contains(h.Proxy.DisabledRoutes, r.ID) {
		return false
	}
	if r.Scope == ScopeProxy {
		return slices.Contains(r.ProxyHostnames, h.Proxy.Hostname)
	}
	switch h.Proxy.RouteMode {
	case RoutesNone:
		return false
	case RoutesSelective:
		return slices.Contains(h.Proxy.EnabledRoutes, r.ID)
	default:
		return true
	}
}

// order puts higher priority first; ties: exact, then longer pattern, then older.
func order(a, b Route) int {
	switch {
	case a.Priority != b.Priority:
		return b.Priority - a.Priority
	case (a.Match == MatchExact) != (b.Match == MatchExact):
		if a.Match == MatchExact {
			return -1
		}
		return 1
	case len(a.PathPattern) != len(b.PathPattern):
		return len(b.PathPattern) - len(a.PathPattern)
	case !a.CreatedAt.Equal(b.CreatedAt):
		return a.CreatedAt.Compare(b.CreatedAt)
	}
	return strings.Compare(a.ID, b.ID)
}

// Match is the route for a request; nil means the proxy's own target. gone is
// true when the path belongs to a built-in route that is disabled here, or comes
// in a spelling that only some programs read as it: the answer is 404.
//
// For a path that is not Plain a route never replaces the proxy's access
// settings: the route that Match answers then has no OverrideAuth.
func (h *Host) Match(method string, p Path) (route *Route, gone bool) {
	for i := range h.routes {
		c := &h.routes[i]
		switch {
		case !c.takes(method) || !c.matches(p):
		case c.BuiltIn && (c.gone || !p.Plain):
			if c.ID != RouteACME {
				return nil, true
			}
		case !p.Plain && c.guarded != nil:
			return c.guarded, false
		default:
			return &c.Route, false
		}
	}
	return nil, false
}

func (c *compiled) takes(method string) bool {
	return len(c.Methods) == 0 || slices.Contains(c.Methods, method) ||
		(method == http.MethodHead && slices.Contains(c.Methods, http.MethodGet))
}

// matches compares the clean path. Where access depends on the route, what a
// lenient target could read counts too: "/x;/../admin" is under a rule for
// "/admin", whatever else it may be.
func (c *compiled) matches(p Path) bool {
	if c.matchesText(p.Clean) {
		return true
	}
	return !p.Plain && (c.BuiltIn || c.Auth != nil) && c.matchesText(p.Loose)
}

func (c *compiled) matchesText(path string) bool {
	switch {
	case c.BuiltIn && c.ID == RouteMCP:
		return path == c.PathPattern || path == c.PathPattern+"/"
	case c.BuiltIn && c.ID == RouteRegister: // itself and one client below it
		return under(path, c.PathPattern) && strings.Count(path, "/") <= 2
	case c.Match == MatchExact:
		return path == c.PathPattern
	case c.Match == MatchRegex:
		return c.re.MatchString(path)
	}
	return under(path, c.PathPattern)
}

// Loosens reports whether a route opens a path further than its proxy does. A
// path that can be read in two ways never matches such a route.
func (r *Route) Loosens() bool { return r.OverrideAuth && r.Auth != nil && r.Scope == ScopeProxy }

// Excluded reports whether the path is one of auth_excluded_paths, and which.
func (h *Host) Excluded(p Path) (string, bool) {
	if !p.Plain {
		return "", false
	}
	for _, prefix := range h.Proxy.AuthExcludedPaths {
		if p.Under(prefix) {
			return prefix, true
		}
	}
	return "", false
}

// Protected reports whether the OAuth endpoints stand on h: it asks for a
// sign-in, itself or on one of its routes, or has a resource endpoint.
func (h *Host) Protected() bool {
	return h.Proxy.AuthEnabled || h.Proxy.ResourceEndpoint != "" || h.asks
}

// Routes are the routes that apply to h, in the order in which they are tried.
func (h *Host) Routes() []Route {
	routes := make([]Route, len(h.routes))
	for i, c := range h.routes {
		routes[i] = c.Route
		routes[i].Enabled = !c.gone
	}
	return routes
}

func stampOf(p Proxy, role Role, routes []compiled) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %d", p.Hostname, p.Version, role)
	for _, c := range routes {
		fmt.Fprintf(&b, " %s %d", c.ID, c.Version)
	}
	return b.String()
}
