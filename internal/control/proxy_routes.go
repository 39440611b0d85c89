package control

import (
	"context"
	"slices"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// SetProxyRoutes is the argument of set_proxy_routes.
type SetProxyRoutes struct {
	Hostname       string    `json:"hostname" required:"true" jsonschema:"the host"`
	IfMatch        string    `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
	RouteMode      *string   `json:"route_mode,omitempty" jsonschema:"all, selective or none of the global routes apply"`
	EnabledRoutes  *[]string `json:"enabled_routes,omitempty" jsonschema:"route ids that apply with route_mode selective"`
	DisabledRoutes *[]string `json:"disabled_routes,omitempty" jsonschema:"route ids that do not apply"`
}

// ProxyRoute is the argument of what concerns one route of one host.
type ProxyRoute struct {
	Hostname string `json:"hostname" required:"true" jsonschema:"the host"`
	RouteID  string `json:"route_id" required:"true" jsonschema:"the route"`
	IfMatch  string `json:"if_match,omitempty" jsonschema:"the version of the host that must be the present one"`
}

// ProxyRoutes are the routes of a host and the settings that choose them.
type ProxyRoutes struct {
	Hostname       string      `json:"proxy_hostname"`
	RouteMode      string      `json:"route_mode"`
	EnabledRoutes  []string    `json:"enabled_routes"`
	DisabledRoutes []string    `json:"disabled_routes"`
	Routes         []RouteView `json:"routes" jsonschema:"in the order in which they are tried"`
	Version        int64       `json:"version" jsonschema:"of the host, for If-Match"`
}

// Tag is the version for the ETag header.
func (r ProxyRoutes) Tag() int64 { return r.Version }

// ListProxyRoutes answers the routes that apply to a host.
func (c *Control) ListProxyRoutes(ctx context.Context, in ProxyName) (ProxyRoutes, error) {
	row, err := c.proxy(ctx, in.Hostname)
	if err != nil {
		return ProxyRoutes{}, err
	}
	return c.proxyRoutes(ctx, row.Value, row.Version)
}

func (c *Control) proxyRoutes(ctx context.Context, p site.Proxy, version int64) (ProxyRoutes, error) {
	stored, err := c.storedRoutes(ctx)
	if err != nil {
		return ProxyRoutes{}, err
	}
	host, err := site.NewHost(p, c.role(p.Hostname), stored)
	if err != nil {
		return ProxyRoutes{}, fault.Wrap(fault.Internal, err, "the routes of %s can't be compiled", p.Hostname)
	}
	out := ProxyRoutes{Hostname: p.Hostname, RouteMode: p.RouteMode, EnabledRoutes: none(p.EnabledRoutes), DisabledRoutes: none(p.DisabledRoutes),
		Routes: []RouteView{}, Version: version}
	full := c.admin(ctx)
	for _, r := range host.Routes() {
		out.Routes = append(out.Routes, routeView(r, full))
	}
	return out, nil
}

// SetProxyRoutes changes which routes apply to a host.
func (c *Control) SetProxyRoutes(ctx context.Context, in SetProxyRoutes) (ProxyRoutes, error) {
	return c.chooseRoutes(ctx, in.Hostname, in.IfMatch, func(p *site.Proxy) {
		if in.RouteMode != nil {
			p.RouteMode = *in.RouteMode
		}
		if in.EnabledRoutes != nil {
			p.EnabledRoutes = *in.EnabledRoutes
		}
		if in.DisabledRoutes != nil {
			p.DisabledRoutes = *in.DisabledRoutes
		}
	})
}

// EnableProxyRoute lets a route apply to a host.
func (c *Control) EnableProxyRoute(ctx context.Context, in ProxyRoute) (ProxyRoutes, error) {
	if err := c.routeExists(ctx, in.RouteID); err != nil {
		return ProxyRoutes{}, err
	}
	return c.chooseRoutes(ctx, in.Hostname, in.IfMatch, func(p *site.Proxy) {
		p.DisabledRoutes = without(p.DisabledRoutes, in.RouteID)
		if p.RouteMode == site.RoutesSelective && !site.IsBuiltIn(in.RouteID) {
			p.EnabledRoutes = append(without(p.EnabledRoutes, in.RouteID), in.RouteID)
		}
	})
}

// DisableProxyRoute keeps a route from a host.
func (c *Control) DisableProxyRoute(ctx context.Context, in ProxyRoute) (ProxyRoutes, error) {
	if err := c.routeExists(ctx, in.RouteID); err != nil {
		return ProxyRoutes{}, err
	}
	return c.chooseRoutes(ctx, in.Hostname, in.IfMatch, func(p *site.Proxy) {
		p.EnabledRoutes = without(p.EnabledRoutes, in.RouteID)
		p.DisabledRoutes = append(without(p.DisabledRoutes, in.RouteID), in.RouteID)
	})
}

func (c *Control) chooseRoutes(ctx context.Context, hostname, ifMatch string, choose func(*site.Proxy)) (ProxyRoutes, error) {
	view, err := c.changeProxy(ctx, hostname, ifMatch, func(p site.Proxy) (site.Proxy, error) {
		p = p.Clone()
		choose(&p)
		return p, nil
	})
	if err != nil {
		return ProxyRoutes{}, err
	}
	return c.proxyRoutes(ctx, site.Proxy(*view.ProxySettings), view.Version)
}

func (c *Control) routeExists(ctx context.Context, id string) error {
	if site.IsBuiltIn(id) {
		return nil
	}
	_, err := c.routes.Get(ctx, id)
	return err
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(have string) bool { return have == s })
}

// none is list, and empty instead of nil.
func none(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
