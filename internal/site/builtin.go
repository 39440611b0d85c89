package site

import "slices"

// pages are the ids and first path segments of the pages for people, which stand
// on the sign-in host.
var pages = []string{"signin", "consent", "setup", "account", "logout"}

// BuiltInRoutes are the routes that Gatehouse itself serves. They can be
// disabled per proxy by id but not changed or deleted, and win over every other
// route on the hosts where they are on. On has the rule for where that is.
func BuiltInRoutes() []Route {
	routes := []Route{
		builtIn(RouteACME, MatchPrefix, "/.well-known/acme-challenge", InternalACME, "answers ACME HTTP-01 challenges"),
		builtIn(RouteServerMetadata, MatchPrefix, "/.well-known/oauth-authorization-server", InternalOAuth, "authorization server metadata (RFC 8414)"),
		builtIn(RouteOpenIDMetadata, MatchPrefix, "/.well-known/openid-configuration", InternalOAuth, "the same metadata under its OpenID name"),
		builtIn(RouteResourceMetadata, MatchPrefix, "/.well-known/oauth-protected-resource", InternalOAuth, "protected resource metadata (RFC 9728)"),
		builtIn(RouteAuthorize, MatchExact, "/authorize", InternalOAuth, "authorization endpoint"),
		builtIn(RouteCallback, MatchExact, "/callback", InternalPages, "return from an identity provider"),
		builtIn(RouteToken, MatchExact, "/token", InternalOAuth, "token endpoint"),
		builtIn(RouteRegister, MatchPrefix, "/register", InternalOAuth, "dynamic client registration (RFC 7591, 7592)"),
		builtIn(RouteRevoke, MatchExact, "/revoke", InternalOAuth, "token revocation (RFC 7009)"),
		builtIn(RouteIntrospect, MatchExact, "/introspect", InternalOAuth, "token introspection (RFC 7662)"),
		builtIn(RouteVerify, MatchExact, "/verify", InternalOAuth, "forward-auth for other proxies"),
		builtIn(RouteJWKS, MatchExact, "/jwks", InternalOAuth, "public signing keys (RFC 7517)"),
		builtIn(RouteDevice, MatchExact, "/device", InternalPages, "page where a person enters a device's code"),
		builtIn(RouteDeviceCode, MatchExact, "/device/code", InternalOAuth, "device authorization (RFC 8628)"),
		builtIn(RouteDeviceToken, MatchExact, "/device/token", InternalOAuth, "alias of /token"),
		builtIn(RouteHealth, MatchExact, "/health", InternalAPI, "health of this node"),
		builtIn(RouteMCP, MatchExact, "/mcp", InternalMCP, "Gatehouse's own MCP server"),
		builtIn(RouteHome, MatchExact, "/", InternalPages, "leads people to their account"),
		builtIn(RouteGatehouse, MatchPrefix, "/.gatehouse", InternalPages, "browser sessions: start, callback, logout"),
	}
	for _, page := range pages {
		routes = append(routes, builtIn(page, MatchPrefix, "/"+page, InternalPages, "page for people"))
	}
	return routes
}

func builtIn(id, match, pattern, target, description string) Route {
	return Route{ID: id, PathPattern: pattern, Match: match, Target: target, Priority: 999, Scope: ScopeGlobal, Enabled: true, Description: description, BuiltIn: true}
}

// On reports whether a built-in route is on for a host of this role with these
// settings, before the proxy's own disabled_routes are asked.
func (h *Host) On(id string) bool {
	switch {
	case id == RouteACME:
		return true
	case id == RouteResourceMetadata && h.Proxy.ResourceOverrideBackend:
		return true // answers 404 where there is nothing to tell, so that clients don't take a backend's word
	case id == RouteHealth, id == RouteMCP, id == RouteHome:
		return h.Role != Ordinary
	case id == RouteVerify, slices.Contains(pages, id):
		return h.Role == SignInHost
	default:
		return h.Protected() || h.Role != Ordinary
	}
}

// Localhost is the built-in proxy for the API on this machine, as it is made
// when it is missing.
func Localhost() Proxy {
	p := Default(LocalhostName)
	p.TargetURL = APIDirectTarget
	p.ResourceEndpoint = "/mcp"
	p.AuthExcludedPaths = []string{"/token", "/device/", "/authorize", "/callback", "/jwks", "/.well-known/", "/register", "/revoke", "/introspect", "/health"}
	p.CreatedBy = "gatehouse"
	return p
}

// SignInProxy is the built-in proxy for the sign-in host called name.
func SignInProxy(name string) Proxy {
	p := Default(name)
	p.TargetURL = InternalAPI
	p.ResourceEndpoint = "/mcp"
	p.CreatedBy = "gatehouse"
	return p
}
