package control

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"reflect"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// Resources are a view over hosts: the resource of a protected host is what its
// tokens are for. Writing one writes its host.

// ResourceView is a protected resource.
type ResourceView struct {
	Resource    string   `json:"resource" jsonschema:"its URI: what tokens are for"`
	Hostname    string   `json:"proxy_hostname"`
	Issuer      string   `json:"issuer,omitempty" jsonschema:"the authorization server that grants it; empty for wildcards, whose names have one each"`
	Metadata    string   `json:"metadata_url,omitempty" jsonschema:"where its metadata stands (RFC 9728)"`
	AuthEnabled bool     `json:"auth_enabled" jsonschema:"false: everybody may in, with a token or without"`
	MCP         bool     `json:"mcp_enabled"`
	Endpoint    string   `json:"resource_endpoint" jsonschema:"empty: none was set, and the origin is the resource"`
	Scopes      []string `json:"resource_scopes"`
	BuiltIn     bool     `json:"built_in"`
	Version     int64    `json:"version" jsonschema:"of the host, for If-Match"`

	*ResourceSettings
}

// ResourceSettings are the settings of a resource that administrators see.
type ResourceSettings struct {
	Stateful            bool           `json:"resource_stateful"`
	Versions            []string       `json:"resource_versions"`
	OverrideBackend     bool           `json:"resource_override_backend"`
	DocumentationSuffix string         `json:"resource_documentation_suffix"`
	CustomMetadata      map[string]any `json:"resource_custom_metadata"`
}

// Tag is the version for the ETag header.
func (v ResourceView) Tag() int64 { return v.Version }

// ResourceName, CreateResource, UpdateResource and DeleteResource are the
// arguments of the operations on resources.
type (
	// ResourceName is the argument of what concerns one resource.
	ResourceName struct {
		URI string `json:"uri" required:"true" jsonschema:"the resource, percent-encoded in a path"`
	}
	// CreateResource is the argument of create_resource.
	CreateResource struct {
		URI    string     `json:"uri" required:"true" jsonschema:"the resource: the origin of a host that is served, and the path of the endpoint"`
		Fields site.Patch `json:",embed" of:"resources"`
	}
	// UpdateResource is the argument of update_resource.
	UpdateResource struct {
		URI     string     `json:"uri" required:"true" jsonschema:"the resource, percent-encoded in a path"`
		IfMatch string     `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
		Fields  site.Patch `json:",embed" of:"resources"`
	}
	// DeleteResource is the argument of delete_resource.
	DeleteResource struct {
		URI     string `json:"uri" required:"true" jsonschema:"the resource, percent-encoded in a path"`
		IfMatch string `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
	}
)

// ListResources answers the protected resources in the order of their hosts.
func (c *Control) ListResources(ctx context.Context, in Paging) (Page[ResourceView], error) {
	views := []ResourceView{}
	for _, host := range c.world().Hosts() {
		if isResource(host) {
			views = append(views, c.resourceView(ctx, host, c.deps.Origins.Of(host.Proxy.Hostname, true)))
		}
	}
	return pageOf(in, views, func(v ResourceView) string { return v.Hostname })
}

// ShowResource answers one protected resource.
func (c *Control) ShowResource(ctx context.Context, in ResourceName) (ResourceView, error) {
	at, err := c.resource(in.URI)
	if err != nil {
		return ResourceView{}, err
	}
	return c.resourceView(ctx, at.host, at.origin), nil
}

// CreateResource makes a host that is served a protected resource. Whoever does
// that wants tokens asked for: auth_enabled becomes true unless it is named.
func (c *Control) CreateResource(ctx context.Context, in CreateResource) (ResourceView, error) {
	at, err := c.locate(in.URI)
	if err != nil {
		return ResourceView{}, err
	}
	if in.Fields["resource_endpoint"] != nil {
		return ResourceView{}, fault.BadField("resource_endpoint", "is what uri says: leave it out")
	}
	fields := site.Patch{}
	if at.host.Role == site.Ordinary {
		fields["auth_enabled"] = json.RawMessage("true")
	}
	maps.Copy(fields, in.Fields)
	if err := fields.Set("resource_endpoint", at.endpoint); err != nil {
		return ResourceView{}, err
	}
	return c.setResource(ctx, at, "", fields, func(p site.Proxy) error {
		if p.ResourceEndpoint != "" {
			return fault.New(fault.Exists, "%s is a resource already: %s", p.Hostname, site.ResourceOf(at.origin, p.ResourceEndpoint))
		}
		return nil
	})
}

// UpdateResource changes a resource's settings.
func (c *Control) UpdateResource(ctx context.Context, in UpdateResource) (ResourceView, error) {
	at, err := c.resource(in.URI)
	if err != nil {
		return ResourceView{}, err
	}
	return c.setResource(ctx, at, in.IfMatch, in.Fields, func(site.Proxy) error { return nil })
}

// DeleteResource puts a host's resource settings back to their defaults. The host
// stays, and so does its sign-in: while that is on, its origin is a resource.
func (c *Control) DeleteResource(ctx context.Context, in DeleteResource) (Done, error) {
	at, err := c.resource(in.URI)
	if err != nil {
		return Done{}, err
	}
	if err := c.keepsResource(at.host.Proxy.Hostname); err != nil {
		return Done{}, err
	}
	cleared, part := site.Patch{}, sectionOf("resource")
	for f := range fields(reflect.TypeFor[site.Proxy]()) {
		if field := jsonName(f); part.has(field) {
			cleared[field] = json.RawMessage("null")
		}
	}
	_, err = c.setResource(ctx, at, in.IfMatch, cleared, func(site.Proxy) error { return nil })
	return Done{err == nil}, err
}

// keepsResource is Denied for Gatehouse's own hosts: every token for Gatehouse
// itself is for their resource.
func (c *Control) keepsResource(hostname string) error {
	if c.role(normal(hostname)) == site.Ordinary {
		return nil
	}
	return fault.New(fault.Denied, "%s is Gatehouse's own host: without its resource nobody could sign in to Gatehouse", hostname)
}

// setResource writes fields of a resource to its host.
func (c *Control) setResource(ctx context.Context, at located, ifMatch string, fields site.Patch, check func(site.Proxy) error) (ResourceView, error) {
	part := sectionOf("resources")
	var broken fault.Rules
	for field := range fields {
		if !part.has(field) && field != "version" {
			broken.Add(field, "is not one of the settings of a resource")
		}
	}
	if err := broken.Err(); err != nil {
		return ResourceView{}, err
	}
	view, err := c.changeProxy(ctx, at.host.Proxy.Hostname, ifMatch, func(p site.Proxy) (site.Proxy, error) {
		if err := check(p); err != nil {
			return p, err
		}
		return site.ApplyPatch(p, fields)
	})
	if err != nil {
		return ResourceView{}, err
	}
	host := c.world().Host(view.Hostname)
	if host == nil {
		return ResourceView{}, fault.New(fault.Unavailable, "the change is stored, and not served here yet")
	}
	return c.resourceView(ctx, host, at.origin), nil
}

// located is where a resource's URI leads.
type located struct {
	host     *site.Host
	name     string // the concrete hostname; a wildcard's pattern when it names all
	origin   string
	endpoint string // "/" for the origin alone
}

// locate finds the host that a resource's URI names, whether or not it is a
// resource.
func (c *Control) locate(uri string) (located, error) {
	u, err := url.Parse(uri)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return located{}, fault.BadField("uri", "is an https URL without user, query and fragment")
	}
	at := located{name: normal(u.Hostname()), endpoint: u.EscapedPath()}
	if at.host = c.world().Find(at.name); at.host == nil {
		at.host = c.world().Host(at.name)
	}
	if at.host == nil {
		return located{}, fault.New(fault.NotFound, "no host %s is served here: create it first", at.name)
	}
	secure := u.Scheme == "https"
	if !secure && !site.UnderLocalhost(at.name) {
		return located{}, fault.BadField("uri", "is https: plain http is for names under localhost")
	}
	at.origin = c.deps.Origins.Of(at.name, secure)
	if uri != at.origin && !strings.HasPrefix(uri, at.origin+"/") {
		return located{}, fault.BadField("uri", "begins with %s, which is how clients reach the host", at.origin)
	}
	if at.endpoint == "" {
		at.endpoint = "/"
	}
	return at, nil
}

// resource finds the host whose resource uri is.
func (c *Control) resource(uri string) (located, error) {
	at, err := c.locate(uri)
	if err != nil {
		return at, err
	}
	if resource := site.ResourceOf(at.origin, at.host.Proxy.ResourceEndpoint); !isResource(at.host) || !site.SameResource(uri, resource) {
		return at, fault.New(fault.NotFound, "there is no resource %q", uri)
	}
	return at, nil
}

func isResource(host *site.Host) bool { return host.Protected() || host.Role != site.Ordinary }

func (c *Control) resourceView(ctx context.Context, host *site.Host, origin string) ResourceView {
	p := &host.Proxy
	v := ResourceView{Resource: site.ResourceOf(origin, p.ResourceEndpoint), Hostname: p.Hostname, AuthEnabled: p.AuthEnabled, MCP: p.MCPEnabled,
		Endpoint: p.ResourceEndpoint, Scopes: none(p.ResourceScopes), BuiltIn: host.Role != site.Ordinary, Version: p.Version}
	if !strings.Contains(origin, "://"+site.Wildcard) {
		v.Issuer = c.deps.OAuth.IssuerOf(host, origin)
		v.Metadata = site.ResourceOf(origin+"/.well-known/oauth-protected-resource", p.ResourceEndpoint)
	}
	if c.admin(ctx) {
		v.ResourceSettings = &ResourceSettings{p.ResourceStateful, none(p.ResourceVersions), p.ResourceOverrideBackend, p.ResourceDocumentationSuffix, p.ResourceCustomMetadata}
	}
	return v
}
