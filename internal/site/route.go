package site

import (
	"slices"
	"time"
)

// Route is a path rule that sends matching requests of some proxies to another
// target or to a built-in service.
type Route struct {
	ID             string     `json:"route_id" jsonschema:"name of the route; made from the path when not given"`
	PathPattern    string     `json:"path_pattern" jsonschema:"what the path must match"`
	Match          string     `json:"match" jsonschema:"prefix (whole segments), exact or regex (RE2, anchored)"`
	Target         string     `json:"target_value" jsonschema:"where matching requests go"`
	Priority       int        `json:"priority" jsonschema:"0..999, higher first"`
	Methods        []string   `json:"methods" jsonschema:"methods that match; empty: all"`
	Scope          string     `json:"scope" jsonschema:"global, or proxy: only the proxies in proxy_hostnames"`
	ProxyHostnames []string   `json:"proxy_hostnames" jsonschema:"hosts of a route with scope proxy"`
	Enabled        bool       `json:"enabled" jsonschema:"false: the route is not tried"`
	Description    string     `json:"description" jsonschema:"what it is for"`
	StripPrefix    bool       `json:"strip_prefix" jsonschema:"cut the matched prefix off the path for the target"`
	RewritePath    string     `json:"rewrite_path" jsonschema:"the path that the target gets instead"`
	Auth           *RouteAuth `json:"auth_config" jsonschema:"access settings for this path"`
	OverrideAuth   bool       `json:"override_proxy_auth" jsonschema:"auth_config replaces the proxy's settings for what it names"`
	BuiltIn        bool       `json:"built_in"` // ours: can be disabled per proxy, not changed or deleted
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	Version        int64      `json:"version"` // the store's; not part of the stored value
}

// DefaultRoute is a route with every field at its default.
func DefaultRoute() Route {
	return Route{Match: MatchPrefix, Priority: DefaultPriority, Scope: ScopeGlobal, Enabled: true}
}

// Clone is a copy that shares nothing that can be changed through it.
func (r Route) Clone() Route {
	r.Methods = slices.Clone(r.Methods)
	r.ProxyHostnames = slices.Clone(r.ProxyHostnames)
	if r.Auth != nil {
		auth := *r.Auth
		auth.RequiredScopes = slices.Clone(auth.RequiredScopes)
		auth.AllowedUsers = slices.Clone(auth.AllowedUsers)
		auth.AllowedEmails = slices.Clone(auth.AllowedEmails)
		auth.AllowedOrgs = slices.Clone(auth.AllowedOrgs)
		r.Auth = &auth
	}
	return r
}

// RouteAuth is a route's own access settings. With override_proxy_auth, on a
// route of scope proxy, what it names replaces the proxy's; without, and on every
// global route, its conditions come on top of the proxy's.
type RouteAuth struct {
	AuthType       string   `json:"auth_type" jsonschema:"none or oauth"`
	RequiredScopes []string `json:"required_scopes"`
	AllowedUsers   []string `json:"allowed_users"`
	AllowedEmails  []string `json:"allowed_emails"`
	AllowedOrgs    []string `json:"allowed_orgs"`
}

// Values of Route.Match and Route.Scope.
const (
	MatchPrefix = "prefix"
	MatchExact  = "exact"
	MatchRegex  = "regex"

	ScopeGlobal = "global"
	ScopeProxy  = "proxy"

	DefaultPriority = 50
)

// Ids of the built-in routes. They stay on a host that serves them unless the
// proxy disables them; they win over every other route.
const (
	RouteACME             = "acme-challenge"
	RouteServerMetadata   = "oauth-authorization-server"
	RouteOpenIDMetadata   = "openid-configuration"
	RouteResourceMetadata = "oauth-protected-resource"
	RouteAuthorize        = "authorize"
	RouteCallback         = "callback"
	RouteToken            = "token"
	RouteRegister         = "register"
	RouteRevoke           = "revoke"
	RouteIntrospect       = "introspect"
	RouteVerify           = "verify"
	RouteJWKS             = "jwks"
	RouteDevice           = "device"
	RouteDeviceCode       = "device-code"
	RouteDeviceToken      = "device-token"
	RouteHealth           = "health"
	RouteMCP              = "mcp"
	RouteGatehouse        = "gatehouse" // /.gatehouse/: browser sessions
	RouteHome             = "home"
)

// Built-in services: what a target "internal:…" names. OAuth and ACME are for
// built-in routes alone; Pages is everything people see on the sign-in host.
const (
	InternalAPI   = "internal:api"
	InternalMCP   = "internal:mcp"
	InternalWeb   = "internal:web"
	InternalDemo  = "internal:demo"
	InternalOAuth = "internal:oauth"
	InternalPages = "internal:pages"
	InternalACME  = "internal:acme"
)
