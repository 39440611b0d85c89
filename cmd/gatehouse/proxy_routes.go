package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/site"
)

// proxyRoutes is about which routes apply to a host.
func (a *app) proxyRoutes() *cobra.Command {
	return a.group("routes", "Which routes apply to a host", a.hostRoutesShow(), a.hostRoutesSet(),
		a.hostRouteSwitch("enable", "Let a route apply to a host", "enable_proxy_route"), a.hostRouteSwitch("disable", "Keep a route from a host", "disable_proxy_route"))
}

func hostRoutesView() render.View {
	v := routeView()
	v.List = "routes"
	return v
}

func (a *app) hostRoutesShow() *cobra.Command {
	return a.command(verb{
		use: "show HOST", short: "Show the routes of a host in the order in which they are tried", example: "  gatehouse proxy routes show app.example.com",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "list_proxy_routes", control.ProxyName{Hostname: args[0]}, hostRoutesView())
		},
	})
}

func (a *app) hostRoutesSet() *cobra.Command {
	var in control.SetProxyRoutes
	mode := &choice{words: []string{site.RoutesAll, site.RoutesSelective, site.RoutesNone}}
	var enabled, disabled []string
	var flags *pflag.FlagSet
	c := a.command(verb{
		use: "set HOST [flags]", short: "Choose which routes apply to a host",
		example: "  gatehouse proxy routes set app.example.com --mode selective --enabled reports,api",
		args:    cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			in.Hostname = args[0]
			if flags.Changed("mode") {
				in.RouteMode = &mode.value
			}
			if flags.Changed("enabled") {
				in.EnabledRoutes = &enabled
			}
			if flags.Changed("disabled") {
				in.DisabledRoutes = &disabled
			}
			if in.RouteMode == nil && in.EnabledRoutes == nil && in.DisabledRoutes == nil {
				return usage("say what to change: --mode, --enabled or --disabled")
			}
			return a.call(ctx, "set_proxy_routes", in, hostRoutesView())
		},
	})
	flags = c.Flags()
	flags.Var(mode, "mode", "which global routes apply: all, selective (those of --enabled) or none")
	flags.StringSliceVar(&enabled, "enabled", nil, "ids of the routes that apply with mode selective, with commas")
	flags.StringSliceVar(&disabled, "disabled", nil, "ids of the routes that do not apply, with commas")
	bindIfMatch(flags, &in.IfMatch)
	return c
}

func (a *app) hostRouteSwitch(word, short, operation string) *cobra.Command {
	return a.command(verb{
		use: word + " HOST ROUTE", short: short, example: "  gatehouse proxy routes " + word + " app.example.com device",
		args: cobra.ExactArgs(2), complete: a.hostThenRoute(),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, operation, control.ProxyRoute{Hostname: args[0], RouteID: args[1]}, done(args[0]+": route "+args[1]+" is "+word+"d"))
		},
	})
}

func (a *app) hostThenRoute() cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return a.live(cmd.Context(), "list_proxies", "proxy_hostname", begun), cobra.ShellCompDirectiveNoFileComp
		case 1:
			return a.live(cmd.Context(), "list_routes", "route_id", begun), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}
