package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/site"
)

// section is a part of a host's settings with operations of its own.
type section struct {
	noun, about string
	get, clear  string // operations
	set         string
	argument    func(host, ifMatch string, patch site.Patch) any
	bind        func(*fields)
	example     string // flags of an example of set
}

// sectionShow, sectionSet and sectionClear are the verbs that all sections have.
func (a *app) sectionShow(s section) *cobra.Command {
	return a.command(verb{
		use: "show HOST", short: "Show " + s.about, example: "  gatehouse proxy " + s.noun + " show app.example.com",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, s.get, control.ProxyName{Hostname: args[0]}, render.View{})
		},
	})
}

func (a *app) sectionSet(s section) *cobra.Command {
	var f *fields
	var ifMatch string
	c := a.command(verb{
		use: "set HOST [flags]", short: "Change " + s.about, example: "  gatehouse proxy " + s.noun + " set app.example.com " + s.example,
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			patch, err := f.required()
			if err != nil {
				return err
			}
			return a.call(ctx, s.set, s.argument(args[0], ifMatch, patch), render.View{})
		},
	})
	f = fieldsOf[site.Proxy](c.Flags())
	s.bind(f)
	f.others()
	bindIfMatch(c.Flags(), &ifMatch)
	return c
}

func (a *app) sectionClear(s section) *cobra.Command {
	var force bool
	c := a.command(verb{
		use: "clear HOST [flags]", short: "Put " + s.about + " back to the defaults", example: "  gatehouse proxy " + s.noun + " clear app.example.com --force",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			if err := a.confirm(ctx, force, "Put "+s.about+" of "+args[0]+" back to the defaults?"); err != nil {
				return err
			}
			return a.call(ctx, s.clear, control.DeleteProxy{Hostname: args[0]}, done(args[0]+": "+s.about+" is back to the defaults"))
		},
	})
	bindForce(c.Flags(), &force)
	return c
}

func (a *app) proxyResource() *cobra.Command {
	s := section{
		noun: "resource", about: "the protected resource", get: "get_proxy_resource", set: "set_proxy_resource", clear: "clear_proxy_resource",
		argument: func(host, ifMatch string, patch site.Patch) any {
			return control.SetResource{Hostname: host, IfMatch: ifMatch, Fields: patch}
		},
		bind: func(f *fields) {
			f.text("endpoint", "resource_endpoint", "path of the resource that tokens are for: / or /mcp")
			f.commas("scopes", "resource_scopes", "scopes that the resource knows, with commas")
			f.text("documentation", "resource_documentation_suffix", "path of the resource's documentation")
		},
		example: "--endpoint /mcp --scopes mcp,user",
	}
	return a.group("resource", "What tokens for a host are for (RFC 9728)", a.sectionShow(s), a.sectionSet(s), a.sectionClear(s), a.resourceList())
}

// resourceList shows the hosts that are a resource: those with an endpoint, and
// those with sign-in, whose origin is one.
func (a *app) resourceList() *cobra.Command {
	v := hostView()
	v.Empty = "No host is a protected resource yet."
	v.Columns = []render.Column{{Title: "HOST", Field: "proxy_hostname"}, {Title: "ENDPOINT", Field: "resource_endpoint"}, {Title: "SCOPES", Field: "resource_scopes"},
		{Title: "SIGN-IN", Field: "auth_enabled", As: render.YesNo}, {Title: "ORIGIN", Field: "origin"}}
	v.Keep = func(o render.Object) bool {
		return o.Text("resource_endpoint") != "" || o.Text("auth_enabled") == "true"
	}
	return a.command(verb{
		use: "list", short: "List the hosts that are protected resources", example: "  gatehouse proxy resource list",
		run: func(ctx context.Context, _ []string) error { return a.list(ctx, "list_proxies", control.Paging{}, v) },
	})
}

func (a *app) proxyOAuthServer() *cobra.Command {
	s := section{
		noun: "oauth-server", about: "the authorization-server metadata", get: "get_proxy_oauth_server", set: "set_proxy_oauth_server", clear: "clear_proxy_oauth_server",
		argument: func(host, ifMatch string, patch site.Patch) any {
			return control.SetOAuthServer{Hostname: host, IfMatch: ifMatch, Fields: patch}
		},
		bind: func(f *fields) {
			f.commas("scopes", "oauth_server_scopes", "narrows scopes_supported, with commas")
			f.commas("grant-types", "oauth_server_grant_types", "narrows grant_types_supported, with commas")
			f.commas("token-auth-methods", "oauth_server_token_auth_methods", "narrows token_endpoint_auth_methods_supported, with commas")
		},
		example: "--grant-types authorization_code,refresh_token",
	}
	return a.group("oauth-server", "What a host's authorization server says of itself (RFC 8414)", a.sectionShow(s), a.sectionSet(s), a.sectionClear(s),
		a.configured("list_oauth_server_proxies", "List the hosts whose authorization-server metadata was changed", "gatehouse proxy oauth-server list"))
}

func (a *app) proxyGitHub() *cobra.Command {
	s := section{noun: "github", about: "the GitHub App", get: "get_proxy_github", clear: "clear_proxy_github"}
	return a.group("github", "A host's own GitHub App", a.sectionShow(s), a.githubSet(), a.sectionClear(s),
		a.configured("list_github_proxies", "List the hosts with a GitHub App of their own", "gatehouse proxy github list"))
}

func (a *app) githubSet() *cobra.Command {
	var id, ifMatch string
	c := a.command(verb{
		use: "set HOST --client-id ID", short: "Give a host its own GitHub App",
		long:    "Asks for the App's client secret on a terminal; in a pipe, the secret is the first line of stdin.",
		example: "  gatehouse proxy github set app.example.com --client-id Iv1.0123456789abcdef < secret.txt",
		args:    cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			secret, err := a.secret(ctx, "client secret")
			if err != nil {
				return err
			}
			patch := site.Patch{}
			if err := patch.Set("github_client_id", id); err != nil {
				return err
			}
			if err := patch.Set("github_client_secret", strings.TrimSpace(secret)); err != nil {
				return err
			}
			return a.call(ctx, "set_proxy_github", control.SetGitHub{Hostname: args[0], IfMatch: ifMatch, Fields: patch}, render.View{})
		},
	})
	c.Flags().StringVar(&id, "client-id", "", "the App's client id")
	_ = c.MarkFlagRequired("client-id") // the flag is there
	bindIfMatch(c.Flags(), &ifMatch)
	return c
}

// configured lists names alone.
func (a *app) configured(operation, short, example string) *cobra.Command {
	return a.command(verb{
		use: "list", short: short, example: "  " + example,
		run: func(ctx context.Context, _ []string) error {
			return a.call(ctx, operation, control.Nothing{}, render.View{List: "items", Empty: "None.", Columns: []render.Column{{Title: "HOST", Field: "item"}}})
		},
	})
}
