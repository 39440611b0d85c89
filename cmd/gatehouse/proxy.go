package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/site"
)

// proxy is the noun for hosts.
func (a *app) proxy() *cobra.Command {
	return a.group("proxy", "Hosts that are served",
		a.proxyList(), a.proxyShow(), a.proxyCreate(), a.proxyUpdate(), a.proxyDelete(),
		a.proxySwitch("enable", "Serve a host again", true), a.proxySwitch("disable", "Answer 503 for a host, without asking its target", false),
		a.proxyStatus(), a.proxyPorts(), a.proxyExplain(), a.proxyAuth(), a.proxyResource(), a.proxyOAuthServer(), a.proxyGitHub(), a.proxyRoutes())
}

// hosts completes hostnames.
func (a *app) hosts() cobra.CompletionFunc { return a.names("list_proxies", "proxy_hostname") }

func hostView() render.View {
	return render.View{List: "items", Empty: "No hosts yet: `gatehouse proxy create HOST TARGET` makes one.", Columns: []render.Column{
		{Title: "HOST", Field: "proxy_hostname"}, {Title: "TARGET", Field: "target_url"}, {Title: "ENABLED", Field: "enabled", As: render.YesNo},
		{Title: "SIGN-IN", Field: "auth_enabled", As: render.YesNo}, {Title: "MODE", Field: "auth_mode"}, {Title: "ORIGIN", Field: "origin"},
		{Title: "CHANGED", Field: "updated_at", As: render.When},
	}}
}

func (a *app) proxyList() *cobra.Command {
	var in control.Paging
	c := a.command(verb{
		use: "list [flags]", short: "List the hosts", example: "  gatehouse proxy list\n  gatehouse proxy list --format json | jq -r '.items[].proxy_hostname'",
		run: func(ctx context.Context, _ []string) error { return a.list(ctx, "list_proxies", in, hostView()) },
	})
	bindPaging(c.Flags(), &in)
	return c
}

func (a *app) proxyShow() *cobra.Command {
	return a.command(verb{
		use: "show HOST", short: "Show a host with its settings", example: "  gatehouse proxy show app.localhost",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "get_proxy", control.ProxyName{Hostname: args[0]}, render.View{})
		},
	})
}

func (a *app) proxyStatus() *cobra.Command {
	return a.command(verb{
		use: "status HOST", short: "Show whether and how a host is served now", example: "  gatehouse proxy status app.localhost",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "get_proxy_status", control.ProxyName{Hostname: args[0]}, render.View{})
		},
	})
}

func (a *app) proxyCreate() *cobra.Command {
	var f *fields
	var staging, wait bool
	c := a.command(verb{
		use: "create HOST TARGET... [flags]", short: "Start serving a host",
		long: "Serves HOST over HTTPS and HTTP and sends its requests to TARGET: an http, https or h2c URL, or internal:demo.\n" +
			"Several targets take turns (--set lb_policy=least_conn or sticky chooses otherwise); one that is down is left out.\n" +
			"Without --auth or one of the --allow flags everyone may in. People named by --allow get the\nscope user of this host, and with --mcp the scope mcp.\n" +
			"HTTPS works at once. The steps to a certificate of an authority are shown on a terminal, or with --wait.",
		example: "  gatehouse proxy create app.example.com http://10.0.0.5:3000 --auth --mode redirect --allow octocat\n" +
			"  gatehouse proxy create mcp.example.com http://10.0.0.6:8000 --auth --mcp\n" +
			"  gatehouse proxy create app.example.com http://10.0.0.5:3000 http://10.0.0.6:3000 --set health_path=/healthz",
		args: cobra.MinimumNArgs(2), complete: cobra.NoFileCompletions,
		run: func(ctx context.Context, args []string) error {
			patch, err := createPatch(f, args[1:])
			if err != nil {
				return err
			}
			if staging {
				if f.given("cert") {
					return usage("--staging and --cert exclude each other: --cert names a certificate that is there")
				}
				if err := a.stageHost(ctx, args[0]); err != nil {
					return err
				}
			}
			if err := a.call(ctx, "create_proxy", control.CreateProxy{Hostname: args[0], Fields: patch}, servedView()); err != nil || a.flags.dryRun {
				return err
			}
			return a.followNew(ctx, args[0], wait)
		},
	})
	c.Flags().BoolVar(&staging, "staging", false, "ask the authority for trials, ACME_STAGING_URL, for its certificate")
	c.Flags().BoolVar(&wait, "wait", false, "show the steps to its certificate and end when it is there; on a terminal they are shown without it")
	f = fieldsOf[site.Proxy](c.Flags())
	f.yes("auth", "auth_enabled", "ask for a sign-in or a token")
	bindProxy(f)
	a.completeProxy(c)
	return c
}

// createPatch adds what the flags mean together. An allow-list on a host that
// lets everyone in is never meant: it switches sign-in on.
func createPatch(f *fields, targets []string) (site.Patch, error) {
	patch, err := f.patch()
	if err != nil {
		return nil, err
	}
	if (f.given("allow") || f.given("allow-email") || f.given("allow-group")) && !f.given("auth") {
		patch["auth_enabled"] = json.RawMessage("true")
	}
	mcp := string(patch["mcp_enabled"]) == "true"
	if mcp && patch["resource_endpoint"] == nil {
		patch["resource_endpoint"] = json.RawMessage(`"/mcp"`)
	}
	grantScopes(patch, mcp)
	if len(targets) == 1 {
		return patch, patch.Set("target_url", targets[0])
	}
	several := make([]site.WeightedTarget, len(targets))
	for i, target := range targets {
		several[i] = site.WeightedTarget{URL: target, Weight: 1}
	}
	return patch, patch.Set("targets", several)
}

// grantScopes gives the people whom a new host names the scopes that they need
// there: user, and mcp where it is an MCP server. Nobody has a scope by default,
// so being let in without one would be of no use to a program that asks for a
// token. The scopes are for this host's own resource alone.
func grantScopes(patch site.Patch, mcp bool) {
	people := patch["auth_required_users"]
	if people == nil {
		return
	}
	if patch["oauth_user_users"] == nil {
		patch["oauth_user_users"] = people
	}
	if mcp && patch["oauth_mcp_users"] == nil {
		patch["oauth_mcp_users"] = people
	}
}

// bindProxy are the settings that create and update share.
func bindProxy(f *fields) {
	bindAccess(f)
	f.text("resource-endpoint", "resource_endpoint", "path of the resource that tokens are for: / or /mcp")
	f.yes("mcp", "mcp_enabled", "the target is an MCP server")
	f.text("cert", "cert_name", "name of the certificate to serve")
	f.no("no-http", "enable_http", "do not serve plain HTTP")
	f.no("no-https", "enable_https", "do not serve HTTPS")
	f.yes("redirect-https", "redirect_https", "answer plain HTTP with a redirect to HTTPS")
	f.headers("header", "custom_headers", "header set on requests to the target, NAME=VALUE")
	f.headers("response-header", "custom_response_headers", "header set on answers, NAME=VALUE")
	f.others()
}

func (a *app) completeProxy(c *cobra.Command) {
	_ = c.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions(modes(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	a.flagNames(c, "auth-proxy", "list_proxies", "proxy_hostname")
}

func (a *app) proxyUpdate() *cobra.Command {
	var f *fields
	var ifMatch string
	c := a.command(verb{
		use: "update HOST [flags]", short: "Change settings of a host",
		long:    "Changes the settings that are named; all others stay. --default puts one back to its default.",
		example: "  gatehouse proxy update app.example.com --target http://10.0.0.7:3000\n  gatehouse proxy update app.example.com --set max_body_bytes=1048576 --default auth_realm",
		args:    cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			patch, err := f.required()
			if err != nil {
				return err
			}
			return a.call(ctx, "update_proxy", control.UpdateProxy{Hostname: args[0], IfMatch: ifMatch, Fields: patch}, servedView())
		},
	})
	f = fieldsOf[site.Proxy](c.Flags())
	f.text("target", "target_url", "where requests go")
	f.yes("auth", "auth_enabled", "ask for a sign-in or a token (--auth=false: do not)")
	bindProxy(f)
	bindIfMatch(c.Flags(), &ifMatch)
	a.completeProxy(c)
	return c
}

// servedView tells people where a host is reached; programs get all of it.
func servedView() render.View {
	return render.View{Say: func(o render.Object) string {
		target := o.Text("target_url")
		var several []site.WeightedTarget
		if target == "" && json.Unmarshal(o.Get("targets"), &several) == nil {
			target = fmt.Sprintf("%d targets", len(several))
		}
		said := o.Text("proxy_hostname") + ": " + o.Text("origin") + "/ -> " + target
		switch {
		case o.Text("enabled") == "false":
			return said + ", disabled"
		case o.Text("auth_enabled") == "true":
			return said + ", with sign-in"
		}
		return said + ", open to everyone"
	}}
}

func (a *app) proxySwitch(word, short string, enabled bool) *cobra.Command {
	return a.command(verb{
		use: word + " HOST", short: short, example: "  gatehouse proxy " + word + " app.example.com",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			patch := site.Patch{}
			if err := patch.Set("enabled", enabled); err != nil {
				return err
			}
			return a.call(ctx, "update_proxy", control.UpdateProxy{Hostname: args[0], Fields: patch}, servedView())
		},
	})
}

func (a *app) proxyDelete() *cobra.Command {
	var force, certificate bool
	var ifMatch string
	c := a.command(verb{
		use: "delete HOST [flags]", short: "Stop serving a host", example: "  gatehouse proxy delete app.example.com --force",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			if err := a.confirm(ctx, force, "Stop serving "+args[0]+" and forget its settings?"); err != nil {
				return err
			}
			return a.call(ctx, "delete_proxy", control.DeleteProxy{Hostname: args[0], IfMatch: ifMatch, Certificate: certificate}, done(args[0]+" is no longer served"))
		},
	})
	bindForce(c.Flags(), &force)
	bindIfMatch(c.Flags(), &ifMatch)
	c.Flags().BoolVar(&certificate, "delete-certificate", false, "remove its certificate too, if no other host is served with it")
	return c
}
