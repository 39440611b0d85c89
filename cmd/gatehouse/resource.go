package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/site"
)

// resource is the noun for what tokens are for: a view over protected hosts.
func (a *app) resource() *cobra.Command {
	return a.group("resource", "Protected resources: what tokens are for",
		a.listing("List the protected resources", "resource list", "list_resources", resourcesView()),
		a.resourceRegister(), a.resourceShow(), a.resourceUpdate(), a.resourceDelete(), a.resourceValidate(), a.resourceAuto())
}

func resourcesView() render.View {
	return render.View{List: "items", Empty: "No host is a protected resource.", Columns: []render.Column{
		{Title: "RESOURCE", Field: "resource"}, {Title: "HOST", Field: "proxy_hostname"}, {Title: "SIGN-IN", Field: "auth_enabled", As: render.YesNo},
		{Title: "MCP", Field: "mcp_enabled", As: render.YesNo}, {Title: "SCOPES", Field: "resource_scopes"}, {Title: "ISSUER", Field: "issuer"},
	}}
}

func (a *app) resources() cobra.CompletionFunc { return a.names("list_resources", "resource") }

func bindResource(f *fields) {
	f.commas("scopes", "resource_scopes", "scopes that the resource knows, with commas")
	f.yes("mcp", "mcp_enabled", "the target is an MCP server")
	f.text("documentation", "resource_documentation_suffix", "path of its documentation")
	f.others()
}

func (a *app) resourceRegister() *cobra.Command {
	var f *fields
	c := a.command(verb{
		use: "register URI [flags]", short: "Make a host that is served a protected resource",
		long: "URI is the host's origin with the path of the endpoint. Sign-in is switched on: --auth=false leaves the host open, and tokens\n" +
			"are then asked for by nobody.",
		example: "  gatehouse resource register https://app.example.com/mcp --mcp --scopes user,mcp",
		args:    cobra.ExactArgs(1),
		run: func(ctx context.Context, args []string) error {
			patch, err := f.patch()
			if err != nil {
				return err
			}
			return a.call(ctx, "create_resource", control.CreateResource{URI: args[0], Fields: patch}, render.View{})
		},
	})
	f = fieldsOf[site.Proxy](c.Flags())
	f.yes("auth", "auth_enabled", "ask for a sign-in or a token (--auth=false: do not)")
	bindResource(f)
	return c
}

func (a *app) resourceShow() *cobra.Command {
	return a.command(verb{
		use: "show URI", short: "Show a protected resource", example: "  gatehouse resource show https://app.example.com/mcp",
		args: cobra.ExactArgs(1), complete: a.resources(),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "get_resource", control.ResourceName{URI: args[0]}, render.View{})
		},
	})
}

func (a *app) resourceUpdate() *cobra.Command {
	var f *fields
	var ifMatch string
	c := a.command(verb{
		use: "update URI [flags]", short: "Change settings of a protected resource",
		long:    "Changes the settings that are named; all others stay. --default puts one back to its default.",
		example: "  gatehouse resource update https://app.example.com/mcp --scopes user,mcp,reports",
		args:    cobra.ExactArgs(1), complete: a.resources(),
		run: func(ctx context.Context, args []string) error {
			patch, err := f.required()
			if err != nil {
				return err
			}
			return a.call(ctx, "update_resource", control.UpdateResource{URI: args[0], IfMatch: ifMatch, Fields: patch}, render.View{})
		},
	})
	f = fieldsOf[site.Proxy](c.Flags())
	f.text("endpoint", "resource_endpoint", "path of the resource: / or /mcp; tokens for the old one no longer count")
	f.yes("auth", "auth_enabled", "ask for a sign-in or a token (--auth=false: do not)")
	bindResource(f)
	bindIfMatch(c.Flags(), &ifMatch)
	return c
}

func (a *app) resourceDelete() *cobra.Command {
	var force bool
	var ifMatch string
	c := a.command(verb{
		use: "delete URI [flags]", short: "Put a host's resource settings back to their defaults",
		long:    "The host stays, and so does its sign-in: while that is on, its origin is a resource.",
		example: "  gatehouse resource delete https://app.example.com/mcp --force",
		args:    cobra.ExactArgs(1), complete: a.resources(),
		run: func(ctx context.Context, args []string) error {
			if err := a.confirm(ctx, force, "Forget the resource settings of "+args[0]+"?"); err != nil {
				return err
			}
			return a.call(ctx, "delete_resource", control.DeleteResource{URI: args[0], IfMatch: ifMatch}, done(args[0]+" has no settings of its own any more"))
		},
	})
	bindForce(c.Flags(), &force)
	bindIfMatch(c.Flags(), &ifMatch)
	return c
}

func (a *app) resourceValidate() *cobra.Command {
	return a.command(verb{
		use: "validate-token URI", short: "Show what the gate makes of an access token at a resource, step by step",
		long: "Asks for the token on a terminal; in a pipe, it is the first line of stdin. It is never an argument: process lists show those.",
		example: "  gatehouse resource validate-token https://app.example.com/ < token.txt\n" +
			"  gatehouse oauth login --resource https://app.example.com/ | gatehouse resource validate-token https://app.example.com/",
		args: cobra.ExactArgs(1), complete: a.resources(),
		run: func(ctx context.Context, args []string) error {
			token, err := a.presented(ctx, "token")
			if err != nil {
				return err
			}
			return a.stepwise(ctx, "validate_resource_token", control.ValidateToken{URI: args[0], Token: token})
		},
	})
}

func (a *app) resourceAuto() *cobra.Command {
	var in control.AutoRegister
	c := a.command(verb{
		use: "auto-register [HOST]... [flags]", short: "Give a resource endpoint to the hosts with sign-in that have none",
		long: "Hosts that are MCP servers, or are called so, get /mcp, all others the whole host. A host that lets everybody in is left\n" +
			"alone. Where the endpoint becomes /mcp, tokens for the bare origin no longer count.",
		example: "  gatehouse resource auto-register --preview\n  gatehouse resource auto-register app.example.com",
		complete: func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			return a.live(cmd.Context(), "list_proxies", "proxy_hostname", begun), cobra.ShellCompDirectiveNoFileComp
		},
		args: cobra.ArbitraryArgs,
		run: func(ctx context.Context, args []string) error {
			in.Hostnames = args
			return a.call(ctx, "auto_register_resources", in, render.View{})
		},
	})
	c.Flags().BoolVar(&in.DryRun, "preview", false, "tell what would be done, and do nothing")
	return c
}
