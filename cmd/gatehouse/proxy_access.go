package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/site"
)

// proxyAuth is about who may in on a host.
func (a *app) proxyAuth() *cobra.Command {
	return a.group("auth", "Who may in on a host", a.authSet("enable"), a.authSet("config"), a.authDisable(), a.authShow())
}

// bindAccess are the settings of who may in.
func bindAccess(f *fields) {
	f.word("mode", "auth_mode", "what those without a credential get", modes()...)
	f.list("allow", "auth_required_users", "person who may in: GitHub login, oidc:ADDRESS, local:NAME, or * for anyone signed in")
	f.list("allow-email", "auth_required_emails", "verified e-mail addresses that may in, like *@example.com")
	f.list("allow-group", "auth_required_groups", "GitHub org or org/team, or oidc:GROUP, whose members may in")
	f.list("exclude", "auth_excluded_paths", "path that needs no sign-in, with everything below it")
	f.text("auth-proxy", "auth_proxy", "host whose authorization server is used instead of the own")
}

// authSet is `enable`, which switches sign-in on, and `config`, which only
// changes what is named.
func (a *app) authSet(word string) *cobra.Command {
	var f *fields
	var ifMatch string
	v := verb{
		use: word + " HOST [flags]", args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			if word == "enable" {
				patch, err := f.patch()
				if err != nil {
					return err
				}
				return a.call(ctx, "set_proxy_auth", control.SetAuth{Hostname: args[0], IfMatch: ifMatch, Fields: patch}, render.View{})
			}
			patch, err := f.required()
			if err != nil {
				return err
			}
			return a.call(ctx, "update_proxy", control.UpdateProxy{Hostname: args[0], IfMatch: ifMatch, Fields: patch}, servedView())
		},
	}
	if word == "enable" {
		v.short, v.example = "Ask for a sign-in or a token on a host", "  gatehouse proxy auth enable app.example.com --mode redirect --allow octocat"
	} else {
		v.short, v.example = "Change who may in, without switching sign-in on or off", "  gatehouse proxy auth config app.example.com --exclude /health"
	}
	c := a.command(v)
	f = fieldsOf[site.Proxy](c.Flags())
	bindAccess(f)
	f.others()
	bindIfMatch(c.Flags(), &ifMatch)
	a.completeProxy(c)
	return c
}

// authDisable keeps the other access settings for the day sign-in is wanted
// again, unless all are to be forgotten.
func (a *app) authDisable() *cobra.Command {
	var force, forget bool
	c := a.command(verb{
		use: "disable HOST [flags]", short: "Let everyone in on a host", example: "  gatehouse proxy auth disable app.example.com --force\n  gatehouse proxy auth disable app.example.com --forget --force",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			if err := a.confirm(ctx, force, "Open "+args[0]+" to everyone?"); err != nil {
				return err
			}
			if forget {
				return a.call(ctx, "clear_proxy_auth", control.DeleteProxy{Hostname: args[0]}, done(args[0]+" is open to everyone; its access settings are forgotten"))
			}
			patch := site.Patch{}
			if err := patch.Set("auth_enabled", false); err != nil {
				return err
			}
			return a.call(ctx, "set_proxy_auth", control.SetAuth{Hostname: args[0], Fields: patch}, done(args[0]+" is open to everyone"))
		},
	})
	bindForce(c.Flags(), &force)
	c.Flags().BoolVar(&forget, "forget", false, "put all access settings back to their defaults too")
	return c
}

func (a *app) authShow() *cobra.Command {
	return a.command(verb{
		use: "show HOST", short: "Show who may in on a host", example: "  gatehouse proxy auth show app.example.com",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "get_proxy_auth", control.ProxyName{Hostname: args[0]}, render.View{})
		},
	})
}
