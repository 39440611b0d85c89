package oauth

import (
	"slices"
	"strings"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// settings are a proxy's access settings after a route's own were worked in:
// what steps 3 to 8 of the access decision go by.
type settings struct {
	on       bool     // a sign-in or token is asked for
	mode     string   // forward, redirect or passthrough
	target   string   // where the request would go
	own      bool     // it would go to a part of Gatehouse itself
	mcp      bool     // it is for an MCP endpoint
	excluded string   // the entry of auth_excluded_paths that holds the path; empty: none
	anyOf    []string // one of these scopes is needed
	allOf    []string // all of these scopes are needed
	people   people   // who may in
	also     []people // who may in by tightening routes: all of them must agree
}

// people is one set of people: nil users mean the default lists.
type people struct {
	users, emails, groups []string
}

// settingsOf works out the settings for a route of host; nil is the proxy's own
// target. The path-dependent parts are settingsFor's.
func settingsOf(host *site.Host, route *site.Route) settings {
	p := &host.Proxy
	set := settings{
		on: p.AuthEnabled && p.AuthType != site.AuthNone, mode: p.AuthMode, target: targetOf(host, route),
		anyOf:  p.AuthAllowedScopes,
		people: people{p.AuthRequiredUsers, p.AuthRequiredEmails, p.AuthRequiredGroups},
	}
	set.own = isOwn(set.target)
	switch {
	case route == nil || route.Auth == nil:
	case route.Loosens():
		set.replace(route.Auth)
	default:
		set.tighten(route.Auth)
	}
	return set
}

// settingsFor adds to the settings what depends on the path.
func settingsFor(v *site.Visit, host *site.Host, route *site.Route) settings {
	if route != nil && route.Loosens() && !v.Path.Plain {
		route = &site.Route{ID: route.ID, Target: route.Target, Scope: route.Scope, Auth: route.Auth} // never opens what can be read in two ways
	}
	set := settingsOf(host, route)
	now := site.Visit{Host: host, Route: route, Path: v.Path}
	set.mcp = now.MCP()
	if set.mcp {
		set.allOf = withScope(set.allOf, principal.ScopeMCP)
	}
	if set.target == site.InternalMCP {
		set.on = true // there is nothing to do on our MCP server without a name
	} else if entry, ok := host.Excluded(v.Path); ok {
		set.excluded = entry
	}
	return set
}

// passes reports whether requests without a credential of ours go on to the
// target. Our own MCP server has nothing for them.
func (set *settings) passes() bool {
	return set.mode == site.ModePassthrough && set.target != site.InternalMCP
}

// replace puts a route's settings in place of the proxy's for what they name.
func (set *settings) replace(a *site.RouteAuth) {
	if a.AuthType != "" {
		set.on = a.AuthType != site.AuthNone
	}
	if a.RequiredScopes != nil {
		set.anyOf, set.allOf = nil, a.RequiredScopes
	}
	if a.AllowedUsers != nil || a.AllowedEmails != nil || a.AllowedOrgs != nil {
		set.people = routePeople(a)
	}
}

// tighten adds a route's settings to the proxy's.
func (set *settings) tighten(a *site.RouteAuth) {
	set.on = set.on || a.AuthType == site.AuthOAuth
	for _, scope := range a.RequiredScopes {
		set.allOf = withScope(set.allOf, scope)
	}
	if a.AllowedUsers != nil || a.AllowedEmails != nil || a.AllowedOrgs != nil {
		set.also = append(set.also, routePeople(a))
	}
}

// routePeople are the people whom a route names; there, no list of users means
// no users, not the default lists.
func routePeople(a *site.RouteAuth) people {
	users := a.AllowedUsers
	if users == nil {
		users = []string{}
	}
	return people{users, a.AllowedEmails, a.AllowedOrgs}
}

func withScope(scopes []string, scope string) []string {
	if slices.Contains(scopes, scope) {
		return scopes
	}
	return append(slices.Clip(scopes), scope)
}

// missing reports whether scopes do not suffice.
func (set *settings) missing(scopes []string) bool {
	for _, need := range set.allOf {
		if !principal.Implied(scopes, need) {
			return true
		}
	}
	return len(set.anyOf) > 0 && !slices.ContainsFunc(set.anyOf, func(s string) bool { return principal.Implied(scopes, s) })
}

// needed are the scopes that a challenge names for what is missing: all that
// are needed, and of the alternatives the first that is not admin.
func (set *settings) needed(scopes []string) []string {
	need := slices.Clone(set.allOf)
	if len(set.anyOf) == 0 || slices.ContainsFunc(set.anyOf, func(s string) bool { return principal.Implied(scopes, s) }) {
		return need
	}
	for _, s := range set.anyOf {
		if s != principal.ScopeAdmin {
			return withScope(need, s)
		}
	}
	return withScope(need, set.anyOf[0])
}

// targetOf is where a request would go, with the localhost proxy's own target
// under its name.
func targetOf(host *site.Host, route *site.Route) string {
	if route != nil {
		return route.Target
	}
	if host.Role == site.LocalhostRole && host.Proxy.TargetURL == site.APIDirectTarget {
		return site.InternalAPI
	}
	return host.Proxy.TargetURL
}

// isOwn reports whether a target is a part of Gatehouse over which its scopes
// give rights. The demo is a backend like others.
func isOwn(target string) bool {
	return strings.HasPrefix(target, "internal:") && target != site.InternalDemo
}
