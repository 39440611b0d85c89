// Package site describes a proxied host: the proxy, its routes, its access
// policy, and one visit to it. It is pure: types, Normalize, Validate and Match,
// no I/O, no goroutine, no clock of its own. Who keeps sites is package store's
// and roster's matter, who serves them package edge's, who is let in package
// oauth's.
package site

import (
	"maps"
	"slices"
	"time"
)

// Names that Gatehouse itself serves.
const (
	LocalhostName   = "localhost" // the built-in proxy for the API on this machine
	SignInLabel     = "auth"      // the sign-in host is SignInLabel + "." + BASE_DOMAIN
	PagesPrefix     = "/.gatehouse/"
	APIDirectTarget = "http://127.0.0.1:9000" // the localhost proxy's target; served in the process
)

// Proxy is a hostname that Gatehouse serves. The JSON names are the API's and
// the store's. Slices that distinguish null (take the environment's) from empty
// (nobody) say so.
type Proxy struct {
	Hostname string `json:"proxy_hostname" jsonschema:"the hostname that is served; a wildcard only as leftmost label"`

	TargetURL             string            `json:"target_url" jsonschema:"where requests go: an http, https or h2c URL, service:NAME, unix:NAME, stdio:NAME or internal:demo, internal:mcp"`
	Targets               []WeightedTarget  `json:"targets" jsonschema:"several targets instead of target_url"`
	LBPolicy              string            `json:"lb_policy" jsonschema:"round_robin, least_conn or sticky"`
	HealthPath            string            `json:"health_path" jsonschema:"path asked every 10 s for active health checks; empty: none"`
	CertName              string            `json:"cert_name" jsonschema:"the named certificate to serve; empty: chosen by hostname"`
	Enabled               bool              `json:"enabled" jsonschema:"false answers 503 and asks no backend"`
	EnableHTTP            bool              `json:"enable_http" jsonschema:"serve plain HTTP"`
	EnableHTTPS           bool              `json:"enable_https" jsonschema:"serve HTTPS"`
	RedirectHTTPS         bool              `json:"redirect_https" jsonschema:"answer plain HTTP with 308 to https"`
	TLSMode               string            `json:"tls_mode" jsonschema:"terminate, or passthrough: raw TLS bytes go to the target"`
	SendProxyProtocol     string            `json:"send_proxy_protocol" jsonschema:"off, v1 or v2: a PROXY header to the target"`
	PreserveHostHeader    bool              `json:"preserve_host_header" jsonschema:"pass the client's Host on"`
	CustomHeaders         map[string]string `json:"custom_headers" jsonschema:"headers set on requests to the target; an empty value removes"`
	CustomResponseHeaders map[string]string `json:"custom_response_headers" jsonschema:"headers set on every answer of this host; an empty value removes"`
	TargetCA              string            `json:"target_ca" jsonschema:"PEM certificates that the target's certificate is checked against"`
	TargetInsecure        bool              `json:"target_insecure" jsonschema:"do not verify the target's certificate"`
	ConnectTimeout        float64           `json:"connect_timeout" jsonschema:"seconds to connect to the target; 0: PROXY_CONNECT_TIMEOUT"`
	RequestTimeout        float64           `json:"request_timeout" jsonschema:"seconds until the target's response headers; 0: PROXY_REQUEST_TIMEOUT"`
	MaxBodyBytes          int64             `json:"max_body_bytes" jsonschema:"largest request body; 0: unlimited"`

	AuthEnabled        bool     `json:"auth_enabled" jsonschema:"ask for a sign-in or a token"`
	AuthType           string   `json:"auth_type" jsonschema:"oauth or none"`
	AuthProxy          string   `json:"auth_proxy" jsonschema:"a host whose issuer is used instead of this one"`
	AuthMode           string   `json:"auth_mode" jsonschema:"forward answers 401; redirect sends browsers to sign in; passthrough lets requests without credential on"`
	AuthRequiredUsers  []string `json:"auth_required_users" jsonschema:"who may in; null: the default lists; [\"*\"]: anyone signed in"`
	AuthRequiredEmails []string `json:"auth_required_emails" jsonschema:"globs of verified e-mail addresses"`
	AuthRequiredGroups []string `json:"auth_required_groups" jsonschema:"org or org/team of GitHub, or groups of the OpenID provider"`
	AuthAllowedScopes  []string `json:"auth_allowed_scopes" jsonschema:"a token needs one of these scopes; empty: any"`
	AuthAllowedOrigins []string `json:"auth_allowed_origins" jsonschema:"foreign origins that may use the session cookie"`
	MCPAllowedOrigins  []string `json:"mcp_allowed_origins" jsonschema:"foreign origins that may call the MCP endpoint"`
	AuthPassHeaders    bool     `json:"auth_pass_headers" jsonschema:"tell the target who is asking"`
	AuthCookieName     string   `json:"auth_cookie_name" jsonschema:"session cookie; begins with __Host-gatehouse"`
	AuthHeaderPrefix   string   `json:"auth_header_prefix" jsonschema:"prefix of the identity headers, X-…-"`
	AuthExcludedPaths  []string `json:"auth_excluded_paths" jsonschema:"whole-segment prefixes that need no sign-in"`
	AuthRealm          string   `json:"auth_realm" jsonschema:"realm of the challenge; empty: none"`
	OAuthAdminUsers    []string `json:"oauth_admin_users" jsonschema:"who gets the admin scope of this resource; null: OAUTH_ADMIN_USERS"`
	OAuthUserUsers     []string `json:"oauth_user_users" jsonschema:"who gets the user scope; null: OAUTH_USER_USERS; * is anyone signed in"`
	OAuthMCPUsers      []string `json:"oauth_mcp_users" jsonschema:"who gets the mcp scope; null: OAUTH_MCP_USERS; * is anyone signed in"`

	RouteMode      string   `json:"route_mode" jsonschema:"all, selective or none of the global routes apply"`
	EnabledRoutes  []string `json:"enabled_routes" jsonschema:"route ids that apply with route_mode selective"`
	DisabledRoutes []string `json:"disabled_routes" jsonschema:"route ids that do not apply"`

	ResourceEndpoint            string         `json:"resource_endpoint" jsonschema:"path of the protected resource: / or /mcp; empty: none set"`
	ResourceScopes              []string       `json:"resource_scopes" jsonschema:"scopes that the resource knows"`
	ResourceStateful            bool           `json:"resource_stateful" jsonschema:"MCP sessions stay with the target that began them, whatever lb_policy says"`
	ResourceVersions            []string       `json:"resource_versions" jsonschema:"versions of MCP that the endpoint is used in; none: all that the target speaks"`
	ResourceOverrideBackend     bool           `json:"resource_override_backend" jsonschema:"answer the metadata ourselves even where the target has its own"`
	ResourceDocumentationSuffix string         `json:"resource_documentation_suffix" jsonschema:"path of the resource's documentation"`
	ResourceCustomMetadata      map[string]any `json:"resource_custom_metadata" jsonschema:"fields added to the protected-resource metadata"`

	OAuthServerScopes           []string       `json:"oauth_server_scopes" jsonschema:"narrows scopes_supported"`
	OAuthServerGrantTypes       []string       `json:"oauth_server_grant_types" jsonschema:"narrows grant_types_supported"`
	OAuthServerTokenAuthMethods []string       `json:"oauth_server_token_auth_methods" jsonschema:"narrows token_endpoint_auth_methods_supported"`
	OAuthServerCustomMetadata   map[string]any `json:"oauth_server_custom_metadata" jsonschema:"fields added to the authorization-server metadata"`
	OAuthServerOverrideDefaults bool           `json:"oauth_server_override_defaults" jsonschema:"the oauth_server fields replace the defaults instead of narrowing them"`

	UpgradeProtocols []string `json:"upgrade_protocols" jsonschema:"Upgrade protocols beside websocket"`
	AllowLinkLocal   bool     `json:"allow_link_local" jsonschema:"targets may resolve to 169.254.0.0/16"`

	GitHubClientID     string `json:"github_client_id" jsonschema:"this host's own GitHub App"`
	GitHubClientSecret string `json:"github_client_secret,omitempty" jsonschema:"its secret; write-only"`

	MCPEnabled bool      `json:"mcp_enabled" jsonschema:"the target is an MCP server: log calls per tool, apply mcp_tools"`
	MCPTools   []MCPRule `json:"mcp_tools" jsonschema:"rules for MCP tools; first match wins"`

	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Version   int64     `json:"version"` // the store's; not part of the stored value
}

// WeightedTarget is one of several targets.
type WeightedTarget struct {
	URL    string `json:"url"`
	Weight int    `json:"weight"` // 1..1000
}

// StickyCookieName is the cookie that keeps a browser at one of several targets.
const StickyCookieName = DefaultCookieName + "-target"

// Modes and policies, the values of the fields of the same name.
const (
	TLSTerminate   = "terminate"
	TLSPassthrough = "passthrough"

	ModeForward     = "forward"
	ModeRedirect    = "redirect"
	ModePassthrough = "passthrough"

	AuthOAuth = "oauth"
	AuthNone  = "none"

	RoutesAll       = "all"
	RoutesSelective = "selective"
	RoutesNone      = "none"

	RoundRobin = "round_robin"
	LeastConn  = "least_conn"
	Sticky     = "sticky"

	DefaultCookieName   = "__Host-gatehouse"
	DefaultHeaderPrefix = "X-Auth-"
)

// Default is a proxy with every field at its default.
func Default(hostname string) Proxy {
	return Proxy{
		Hostname: hostname, LBPolicy: RoundRobin,
		Enabled: true, EnableHTTP: true, EnableHTTPS: true,
		TLSMode: TLSTerminate, SendProxyProtocol: "off", PreserveHostHeader: true,
		AuthType: AuthOAuth, AuthMode: ModeForward, AuthPassHeaders: true,
		AuthCookieName: DefaultCookieName, AuthHeaderPrefix: DefaultHeaderPrefix,
		RouteMode: RoutesAll, ResourceScopes: []string{"admin", "user", "mcp"}, ResourceOverrideBackend: true,
	}
}

// GitHubSecretPlace is the place for which github_client_secret is sealed: what
// is stored in that field is the sealed secret in base64.
func (p Proxy) GitHubSecretPlace() string { return "proxy:" + p.Hostname + ":github_client_secret" }

// Clone is a copy that shares nothing that can be changed through it, the values
// inside custom metadata excepted.
func (p Proxy) Clone() Proxy {
	c := p
	c.Targets = slices.Clone(p.Targets)
	c.MCPTools = slices.Clone(p.MCPTools) // what is inside is never changed in place
	c.CustomHeaders = maps.Clone(p.CustomHeaders)
	c.CustomResponseHeaders = maps.Clone(p.CustomResponseHeaders)
	c.ResourceCustomMetadata = maps.Clone(p.ResourceCustomMetadata)
	c.OAuthServerCustomMetadata = maps.Clone(p.OAuthServerCustomMetadata)
	for _, list := range []*[]string{
		&c.AuthRequiredUsers, &c.AuthRequiredEmails, &c.AuthRequiredGroups, &c.AuthAllowedScopes, &c.AuthAllowedOrigins,
		&c.MCPAllowedOrigins, &c.AuthExcludedPaths, &c.OAuthAdminUsers, &c.OAuthUserUsers, &c.OAuthMCPUsers,
		&c.EnabledRoutes, &c.DisabledRoutes, &c.ResourceScopes, &c.ResourceVersions, &c.OAuthServerScopes,
		&c.OAuthServerGrantTypes, &c.OAuthServerTokenAuthMethods, &c.UpgradeProtocols,
	} {
		*list = slices.Clone(*list)
	}
	return c
}
