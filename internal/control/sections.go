package control

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// section is a part of a host's settings that has operations of its own.
type section struct {
	prefix string
	also   []string
}

// The sections, by their last path segment.
func sectionOf(name string) section {
	switch name {
	case "auth":
		return section{"auth_", []string{"oauth_admin_users", "oauth_user_users", "oauth_mcp_users"}}
	case "resource":
		return section{"resource_", nil}
	case "resources": // a resource as /resources/ has it
		return section{"resource_", []string{"auth_enabled", "mcp_enabled"}}
	case "oauth-server":
		return section{"oauth_server_", nil}
	case "github-oauth":
		return section{"github_", nil}
	}
	return section{prefix: "\x00"}
}

func (s section) has(field string) bool {
	return strings.HasPrefix(field, s.prefix) || slices.Contains(s.also, field)
}

// Settings is a section as an answer shows it: proxy_hostname, version, and the
// section's fields by their names.
type Settings map[string]any

// Tag is the version for the ETag header.
func (s Settings) Tag() int64 {
	version, _ := s["version"].(int64)
	return version
}

// SetAuth, SetResource, SetOAuthServer and SetGitHub are the arguments of the
// operations that set a section.
type (
	// SetAuth is the argument of set_proxy_auth.
	SetAuth struct {
		Hostname string     `json:"hostname" required:"true" jsonschema:"the host"`
		IfMatch  string     `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
		Fields   site.Patch `json:",embed" of:"auth"`
	}
	// SetResource is the argument of set_proxy_resource.
	SetResource struct {
		Hostname string     `json:"hostname" required:"true" jsonschema:"the host"`
		IfMatch  string     `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
		Fields   site.Patch `json:",embed" of:"resource"`
	}
	// SetOAuthServer is the argument of set_proxy_oauth_server.
	SetOAuthServer struct {
		Hostname string     `json:"hostname" required:"true" jsonschema:"the host"`
		IfMatch  string     `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
		Fields   site.Patch `json:",embed" of:"oauth-server"`
	}
	// SetGitHub is the argument of set_proxy_github.
	SetGitHub struct {
		Hostname string     `json:"hostname" required:"true" jsonschema:"the host"`
		IfMatch  string     `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
		Fields   site.Patch `json:",embed" of:"github-oauth"`
	}
)

// GetAuth answers a host's access settings.
func (c *Control) GetAuth(ctx context.Context, in ProxyName) (Settings, error) {
	return c.getSection(ctx, "auth", in.Hostname)
}

// SetAuth changes access settings. Who sets them wants a sign-in: auth_enabled
// becomes true unless it is named.
func (c *Control) SetAuth(ctx context.Context, in SetAuth) (Settings, error) {
	fields := site.Patch{"auth_enabled": json.RawMessage("true")}
	maps.Copy(fields, in.Fields)
	return c.setSection(ctx, "auth", in.Hostname, in.IfMatch, fields)
}

// ClearAuth puts the access settings back to their defaults.
func (c *Control) ClearAuth(ctx context.Context, in DeleteProxy) (Settings, error) {
	return c.clearSection(ctx, "auth", in)
}

// GetResource answers a host's protected-resource settings.
func (c *Control) GetResource(ctx context.Context, in ProxyName) (Settings, error) {
	return c.getSection(ctx, "resource", in.Hostname)
}

// SetResource changes protected-resource settings.
func (c *Control) SetResource(ctx context.Context, in SetResource) (Settings, error) {
	return c.setSection(ctx, "resource", in.Hostname, in.IfMatch, in.Fields)
}

// ClearResource puts the protected-resource settings back to their defaults.
func (c *Control) ClearResource(ctx context.Context, in DeleteProxy) (Settings, error) {
	if err := c.keepsResource(in.Hostname); err != nil {
		return nil, err
	}
	return c.clearSection(ctx, "resource", in)
}

// GetOAuthServer answers what a host's authorization-server metadata changes.
func (c *Control) GetOAuthServer(ctx context.Context, in ProxyName) (Settings, error) {
	return c.getSection(ctx, "oauth-server", in.Hostname)
}

// SetOAuthServer changes what a host's authorization-server metadata changes.
func (c *Control) SetOAuthServer(ctx context.Context, in SetOAuthServer) (Settings, error) {
	return c.setSection(ctx, "oauth-server", in.Hostname, in.IfMatch, in.Fields)
}

// ClearOAuthServer puts the authorization-server metadata back to its default.
func (c *Control) ClearOAuthServer(ctx context.Context, in DeleteProxy) (Settings, error) {
	return c.clearSection(ctx, "oauth-server", in)
}

// GetGitHub answers a host's own GitHub App, without its secret.
func (c *Control) GetGitHub(ctx context.Context, in ProxyName) (Settings, error) {
	return c.getSection(ctx, "github-oauth", in.Hostname)
}

// SetGitHub gives a host its own GitHub App.
func (c *Control) SetGitHub(ctx context.Context, in SetGitHub) (Settings, error) {
	return c.setSection(ctx, "github-oauth", in.Hostname, in.IfMatch, in.Fields)
}

// ClearGitHub takes a host's own GitHub App away.
func (c *Control) ClearGitHub(ctx context.Context, in DeleteProxy) (Settings, error) {
	return c.clearSection(ctx, "github-oauth", in)
}

func (c *Control) getSection(ctx context.Context, name, hostname string) (Settings, error) {
	row, err := c.proxy(ctx, hostname)
	if err != nil {
		return nil, err
	}
	return settings(sectionOf(name), c.view(row.Value, row.Version, true))
}

func (c *Control) setSection(ctx context.Context, name, hostname, ifMatch string, fields site.Patch) (Settings, error) {
	part := sectionOf(name)
	var broken fault.Rules
	for field := range fields {
		if !part.has(field) && field != "proxy_hostname" && field != "version" {
			broken.Add(field, "is not one of the %s settings", name)
		}
	}
	if err := broken.Err(); err != nil {
		return nil, err
	}
	view, err := c.changeProxy(ctx, hostname, ifMatch, func(p site.Proxy) (site.Proxy, error) {
		return site.ApplyPatch(p, fields)
	})
	if err != nil {
		return nil, err
	}
	return settings(part, view)
}

func (c *Control) clearSection(ctx context.Context, name string, in DeleteProxy) (Settings, error) {
	cleared, part := site.Patch{}, sectionOf(name)
	for f := range fields(reflect.TypeFor[site.Proxy]()) {
		if field := jsonName(f); part.has(field) {
			cleared[field] = json.RawMessage("null")
		}
	}
	return c.setSection(ctx, name, in.Hostname, in.IfMatch, cleared)
}

// settings cuts a section out of a whole host.
func settings(part section, view ProxyView) (Settings, error) {
	raw, err := json.Marshal(view)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the settings could not be shown")
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the settings could not be shown")
	}
	out := Settings{"proxy_hostname": view.Hostname, "version": view.Version}
	for name, value := range all {
		if part.has(name) {
			out[name] = value
		}
	}
	return out, nil
}

// Hostnames is an answer that lists hosts.
type Hostnames struct {
	Items []string `json:"items"`
}

// GitHubConfigured answers the hosts with a GitHub App of their own.
func (c *Control) GitHubConfigured(ctx context.Context, _ Nothing) (Hostnames, error) {
	return c.hostnames(ctx, func(p site.Proxy) bool { return p.GitHubClientID != "" })
}

// OAuthServersConfigured answers the hosts whose authorization-server metadata
// is not the default.
func (c *Control) OAuthServersConfigured(ctx context.Context, _ Nothing) (Hostnames, error) {
	return c.hostnames(ctx, func(p site.Proxy) bool {
		return len(p.OAuthServerScopes)+len(p.OAuthServerGrantTypes)+len(p.OAuthServerTokenAuthMethods)+len(p.OAuthServerCustomMetadata) > 0 ||
			p.OAuthServerOverrideDefaults
	})
}

func (c *Control) hostnames(ctx context.Context, with func(site.Proxy) bool) (Hostnames, error) {
	rows, err := c.proxies.All(ctx)
	if err != nil {
		return Hostnames{}, err
	}
	out := Hostnames{Items: []string{}}
	for _, row := range rows {
		if with(row.Value) {
			out.Items = append(out.Items, row.Name)
		}
	}
	return out, nil
}
