package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/site"
)

// route is the noun for path rules.
func (a *app) route() *cobra.Command {
	return a.group("route", "Paths that go elsewhere",
		a.routeList(), a.routeCreate("create"), a.routeCreate("create-global"), a.routeCreate("create-proxy"), a.routeShow(), a.routeUpdate(), a.routeDelete())
}

// routes completes route ids.
func (a *app) routes() cobra.CompletionFunc { return a.names("list_routes", "route_id") }

func routeView() render.View {
	return render.View{List: "items", Empty: "No routes.", Columns: []render.Column{
		{Title: "ID", Field: "route_id"}, {Title: "PATH", Field: "path_pattern"}, {Title: "MATCH", Field: "match"}, {Title: "TARGET", Field: "target_value"},
		{Title: "PRIORITY", Field: "priority"}, {Title: "METHODS", Field: "methods"}, {Title: "HOSTS", Field: "proxy_hostnames"}, {Title: "ENABLED", Field: "enabled", As: render.YesNo},
		{Title: "BUILT IN", Field: "built_in", As: render.YesNo},
	}}
}

func (a *app) routeList() *cobra.Command {
	var in control.ListRoutes
	scope := &choice{words: []string{site.ScopeGlobal, site.ScopeProxy}}
	c := a.command(verb{
		use: "list [flags]", short: "List the routes, built-in ones too", example: "  gatehouse route list\n  gatehouse route list --proxy app.example.com",
		run: func(ctx context.Context, _ []string) error {
			in.Scope = scope.value
			return a.list(ctx, "list_routes", in, routeView())
		},
	})
	c.Flags().Var(scope, "scope", "only routes of this scope: global or proxy")
	c.Flags().StringVar(&in.Proxy, "proxy", "", "only routes that apply to this host")
	bindPaging(c.Flags(), &in.Paging)
	a.flagNames(c, "proxy", "list_proxies", "proxy_hostname")
	return c
}

func (a *app) routeShow() *cobra.Command {
	return a.command(verb{
		use: "show ID", short: "Show a route", example: "  gatehouse route show reports",
		args: cobra.ExactArgs(1), complete: a.routes(),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "get_route", control.RouteName{ID: args[0]}, render.View{})
		},
	})
}

// routeCreate is `create`, which makes a route of some hosts when --proxy names
// them and else of all; create-global and create-proxy say it in the word.
func (a *app) routeCreate(word string) *cobra.Command {
	var f *fields
	var hosts []string
	var id string
	shorts := map[string]string{
		"create": "Send a path of all hosts, or of those of --proxy, to another target", "create-global": "Send a path of all hosts to another target",
		"create-proxy": "Send a path of some hosts to another target",
	}
	hostFlags := " --proxy app.example.com"
	if word == "create-global" {
		hostFlags = ""
	}
	c := a.command(verb{
		use: word + " PATH TARGET [flags]", short: shorts[word],
		example: "  gatehouse route " + word + " /reports http://10.0.0.8:8080 --priority 60 --methods GET,HEAD" + hostFlags,
		args:    cobra.ExactArgs(2),
		run: func(ctx context.Context, args []string) error {
			if word == "create-proxy" && len(hosts) == 0 {
				return usage("name the hosts with --proxy HOST")
			}
			patch, err := routePatch(f, args[0], args[1], hosts)
			if err != nil {
				return err
			}
			return a.call(ctx, "create_route", control.CreateRoute{ID: id, Fields: patch}, routedView())
		},
	})
	f = fieldsOf[site.Route](c.Flags())
	bindRoute(f)
	c.Flags().StringVar(&id, "id", "", "name of the route (default: made from the path)")
	if word != "create-global" {
		c.Flags().StringArrayVar(&hosts, "proxy", nil, "host that the route is for; repeatable")
		a.flagNames(c, "proxy", "list_proxies", "proxy_hostname")
	}
	return c
}

func routePatch(f *fields, path, target string, hosts []string) (site.Patch, error) {
	patch, err := f.patch()
	if err != nil {
		return nil, err
	}
	set := map[string]any{"path_pattern": path, "target_value": target}
	if len(hosts) > 0 {
		set["scope"], set["proxy_hostnames"] = site.ScopeProxy, hosts
	}
	for name, value := range set {
		if err := patch.Set(name, value); err != nil {
			return nil, err
		}
	}
	return patch, nil
}

// bindRoute are the settings that create and update share.
func bindRoute(f *fields) {
	f.number("priority", "priority", "0 to 999, higher first (default 50)")
	f.word("match", "match", "how the path matches", site.MatchPrefix, site.MatchExact, site.MatchRegex)
	f.commas("methods", "methods", "methods that match, with commas (default: all)")
	f.text("description", "description", "what the route is for")
	f.yes("strip-prefix", "strip_prefix", "cut the matched prefix off the path for the target")
	f.text("rewrite-path", "rewrite_path", "path that the target gets instead")
	f.no("disabled", "enabled", "store it without using it")
	f.others()
}

func routedView() render.View {
	return render.View{Say: func(o render.Object) string {
		where := o.Text("proxy_hostnames")
		if where == "" {
			where = "all hosts"
		}
		return o.Text("route_id") + ": " + o.Text("path_pattern") + " of " + where + " -> " + o.Text("target_value")
	}}
}

func (a *app) routeUpdate() *cobra.Command {
	var f *fields
	var ifMatch string
	c := a.command(verb{
		use: "update ID [flags]", short: "Change settings of a route",
		long:    "Changes the settings that are named; all others stay. --default puts one back to its default.",
		example: "  gatehouse route update reports --target http://10.0.0.9:8080 --priority 70",
		args:    cobra.ExactArgs(1), complete: a.routes(),
		run: func(ctx context.Context, args []string) error {
			patch, err := f.required()
			if err != nil {
				return err
			}
			return a.call(ctx, "update_route", control.UpdateRoute{ID: args[0], IfMatch: ifMatch, Fields: patch}, routedView())
		},
	})
	f = fieldsOf[site.Route](c.Flags())
	f.text("path", "path_pattern", "what the path must match")
	f.text("target", "target_value", "where matching requests go")
	f.list("proxy", "proxy_hostnames", "host that the route is for")
	bindRoute(f)
	bindIfMatch(c.Flags(), &ifMatch)
	return c
}

func (a *app) routeDelete() *cobra.Command {
	var force bool
	var ifMatch string
	c := a.command(verb{
		use: "delete ID [flags]", short: "Remove a route", example: "  gatehouse route delete reports --force",
		args: cobra.ExactArgs(1), complete: a.routes(),
		run: func(ctx context.Context, args []string) error {
			if err := a.confirm(ctx, force, "Remove the route "+args[0]+"?"); err != nil {
				return err
			}
			return a.call(ctx, "delete_route", control.DeleteRoute{ID: args[0], IfMatch: ifMatch}, done("the route "+args[0]+" is removed"))
		},
	})
	bindForce(c.Flags(), &force)
	bindIfMatch(c.Flags(), &ifMatch)
	return c
}
