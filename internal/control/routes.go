package control

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// RouteName is the argument of what concerns one route.
type RouteName struct {
	ID string `json:"id" required:"true" jsonschema:"the route's id"`
}

// ListRoutes is the argument of list_routes.
type ListRoutes struct {
	Scope string `json:"scope,omitempty" jsonschema:"only routes of this scope: global or proxy"`
	Proxy string `json:"proxy,omitempty" jsonschema:"only routes that apply to this host"`
	Paging
}

// CreateRoute is the argument of create_route.
type CreateRoute struct {
	ID     string     `json:"route_id,omitempty" jsonschema:"name of the route; made from the path when not given"`
	Fields site.Patch `json:",embed" of:"route"`
}

// UpdateRoute is the argument of update_route.
type UpdateRoute struct {
	ID      string     `json:"id" required:"true" jsonschema:"the route's id"`
	IfMatch string     `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
	Fields  site.Patch `json:",embed" of:"route"`
}

// DeleteRoute is the argument of delete_route.
type DeleteRoute struct {
	ID      string `json:"id" required:"true" jsonschema:"the route's id"`
	IfMatch string `json:"if_match,omitempty" jsonschema:"the version that must be the present one"`
}

// RouteView is a route as callers see it: its name and status, and for
// administrators all of it.
type RouteView struct {
	ID      string `json:"route_id" jsonschema:"name of the route"`
	Enabled bool   `json:"enabled"`
	BuiltIn bool   `json:"built_in" jsonschema:"Gatehouse's own: can be disabled per host, not changed or deleted"`
	Version int64  `json:"version" jsonschema:"for If-Match; 0 for built-in routes"`

	*RouteSettings
}

// RouteSettings are all settings of a route.
type RouteSettings site.Route

// Tag is the version for the ETag header.
func (v RouteView) Tag() int64 { return v.Version }

func routeView(r site.Route, full bool) RouteView {
	v := RouteView{ID: r.ID, Enabled: r.Enabled, BuiltIn: r.BuiltIn, Version: r.Version}
	if full {
		v.RouteSettings = (*RouteSettings)(&r)
	}
	return v
}

// ListRoutes answers the routes in the order of their ids, built-in ones too.
func (c *Control) ListRoutes(ctx context.Context, in ListRoutes) (Page[RouteView], error) {
	routes, err := c.chosenRoutes(ctx, in)
	if err != nil {
		return Page[RouteView]{}, err
	}
	slices.SortFunc(routes, func(a, b site.Route) int { return strings.Compare(a.ID, b.ID) })
	page, err := pageOf(in.Paging, routes, func(r site.Route) string { return r.ID })
	if err != nil {
		return Page[RouteView]{}, err
	}
	full := c.admin(ctx)
	out := Page[RouteView]{Items: make([]RouteView, len(page.Items)), Cursor: page.Cursor}
	for i, r := range page.Items {
		out.Items[i] = routeView(r, full)
	}
	return out, nil
}

func (c *Control) chosenRoutes(ctx context.Context, in ListRoutes) ([]site.Route, error) {
	if in.Scope != "" && in.Scope != site.ScopeGlobal && in.Scope != site.ScopeProxy {
		return nil, fault.BadField("scope", "is global or proxy")
	}
	routes, err := c.storedRoutes(ctx)
	if err != nil {
		return nil, err
	}
	if in.Proxy != "" {
		row, err := c.proxy(ctx, in.Proxy)
		if err != nil {
			return nil, err
		}
		host, err := site.NewHost(row.Value, c.role(row.Value.Hostname), routes)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "the routes of %s can't be compiled", in.Proxy)
		}
		routes = host.Routes()
	} else {
		routes = append(routes, site.BuiltInRoutes()...)
	}
	return slices.DeleteFunc(routes, func(r site.Route) bool { return in.Scope != "" && r.Scope != in.Scope }), nil
}

func (c *Control) storedRoutes(ctx context.Context) ([]site.Route, error) {
	rows, err := c.routes.All(ctx)
	if err != nil {
		return nil, err
	}
	routes := make([]site.Route, len(rows))
	for i, row := range rows {
		routes[i] = row.Value
		routes[i].Version = row.Version
	}
	return routes, nil
}

// GetRoute answers one route.
func (c *Control) GetRoute(ctx context.Context, in RouteName) (RouteView, error) {
	for _, r := range site.BuiltInRoutes() {
		if r.ID == in.ID {
			return routeView(r, c.admin(ctx)), nil
		}
	}
	row, err := c.route(ctx, in.ID)
	if err != nil {
		return RouteView{}, err
	}
	return routeView(row, c.admin(ctx)), nil
}

// CreateRoute stores a new route and returns when this node serves it.
func (c *Control) CreateRoute(ctx context.Context, in CreateRoute) (RouteView, error) {
	r := site.DefaultRoute()
	r.ID = in.ID
	r, err := site.ApplyRoutePatch(r, in.Fields)
	if err != nil {
		return RouteView{}, err
	}
	r.CreatedAt = c.stamp()
	r.UpdatedAt = r.CreatedAt
	if r, err = c.checkedRoute(ctx, r, site.Route{}); err != nil {
		return RouteView{}, err
	}
	version, err := c.createRoute(ctx, &r, in.ID != "")
	if err != nil {
		return RouteView{}, err
	}
	noted(ctx, c.routes.Key(r.ID), nil, r)
	c.deps.Worlds.Await(ctx, c.routes.Key(r.ID), version)
	r.Version = version
	return routeView(r, true), nil
}

// createRoute stores r. An id that was made from the path gets a number behind
// it when it is taken.
func (c *Control) createRoute(ctx context.Context, r *site.Route, named bool) (int64, error) {
	made := r.ID
	for i := 2; ; i++ {
		version, err := c.routes.Create(ctx, r.ID, *r, 0)
		if named || !fault.Is(err, fault.Exists) || i > 100 {
			return version, err
		}
		r.ID = made[:min(len(made), 58)] + "-" + strconv.Itoa(i)
	}
}

// UpdateRoute changes a route and returns when this node serves it so.
func (c *Control) UpdateRoute(ctx context.Context, in UpdateRoute) (RouteView, error) {
	if err := ownRoute(in.ID); err != nil {
		return RouteView{}, err
	}
	var view RouteView
	err := retry(ctx, in.IfMatch, func() error {
		before, err := c.route(ctx, in.ID)
		if err != nil {
			return err
		}
		if err := matches(in.IfMatch, before.Version); err != nil {
			return err
		}
		after, err := site.ApplyRoutePatch(before, in.Fields)
		if err != nil {
			return err
		}
		after.UpdatedAt = c.stamp()
		if after, err = c.checkedRoute(ctx, after, before); err != nil {
			return err
		}
		version, err := c.routes.Update(ctx, in.ID, after, before.Version, 0)
		if err != nil {
			return err
		}
		noted(ctx, c.routes.Key(in.ID), before, after)
		c.deps.Worlds.Await(ctx, c.routes.Key(in.ID), version)
		after.Version = version
		view = routeView(after, true)
		return nil
	})
	return view, err
}

// DeleteRoute removes a route and returns when this node no longer serves it.
func (c *Control) DeleteRoute(ctx context.Context, in DeleteRoute) (Done, error) {
	if err := ownRoute(in.ID); err != nil {
		return Done{}, err
	}
	r, err := c.route(ctx, in.ID)
	if err != nil {
		return Done{}, err
	}
	if err := remove(ctx, c.deps.Store, c.routes.Key(in.ID), r.Version, in.IfMatch); err != nil {
		return Done{}, err
	}
	noted(ctx, c.routes.Key(in.ID), r, nil)
	c.deps.Worlds.Await(ctx, c.routes.Key(in.ID), 0)
	return Done{true}, nil
}

// checkedRoute is a route ready to be stored: normalized and found valid. The
// version is the store's, not part of the value.
func (c *Control) checkedRoute(ctx context.Context, r, before site.Route) (site.Route, error) {
	r = r.Normalize()
	r.Version, r.BuiltIn = 0, false
	if err := r.Validate(); err != nil {
		return r, err
	}
	var broken fault.Rules
	if r.Target != before.Target {
		c.checkTarget(ctx, &broken, "target_value", r.Target, site.Ordinary)
	}
	for _, name := range r.ProxyHostnames {
		if slices.Contains(before.ProxyHostnames, name) {
			continue
		}
		if err := c.checkRouteHost(ctx, &broken, name); err != nil {
			return r, err
		}
	}
	return r, broken.Err()
}

func (c *Control) checkRouteHost(ctx context.Context, broken *fault.Rules, name string) error {
	if c.role(name) == site.SignInHost {
		broken.Add("proxy_hostnames", "must not hold the sign-in host %s, to which no route is ever added", name)
		return nil
	}
	_, err := c.proxies.Get(ctx, name)
	if fault.Is(err, fault.NotFound) {
		broken.Add("proxy_hostnames", "holds %s, which is not served here", name)
		return nil
	}
	return err
}

func (c *Control) route(ctx context.Context, id string) (site.Route, error) {
	row, err := c.routes.Get(ctx, id)
	if err != nil {
		return site.Route{}, err
	}
	return versioned(row), nil
}

func versioned(row store.Row[site.Route]) site.Route {
	row.Value.Version = row.Version
	return row.Value
}

// ownRoute refuses the ids of built-in routes.
func ownRoute(id string) error {
	if site.IsBuiltIn(id) {
		return fault.New(fault.Denied, "the route %q is built in: it can be disabled per host, not changed or deleted", id)
	}
	return nil
}
