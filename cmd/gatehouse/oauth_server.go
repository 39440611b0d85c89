package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/journal"
)

// The verbs about the authorization server itself.

func (a *app) oauthKeyGenerate() *cobra.Command {
	var in control.GenerateKey
	var force bool
	c := a.command(verb{
		use: "key-generate [flags]", short: "Make a new signing key",
		long: "Makes a new key for access tokens. It is published at once and signs in an hour, when all who cache keys have it. The key\n" +
			"before it stays until the last token that it signed has expired. `gatehouse oauth server` shows all of them.",
		example: "  gatehouse oauth key-generate\n  gatehouse oauth key-generate --now --revoke --force",
		run: func(ctx context.Context, _ []string) error {
			if in.Revoke {
				if err := a.confirm(ctx, force, "Drop the old keys, so that all tokens end now?"); err != nil {
					return err
				}
			}
			return a.call(ctx, "generate_oauth_key", in, render.View{})
		},
	})
	c.Flags().BoolVar(&in.Now, "now", false, "sign with it at once")
	c.Flags().BoolVar(&in.Revoke, "revoke", false, "drop the old keys, and all tokens with them")
	bindForce(c.Flags(), &force)
	return c
}

func (a *app) oauthHealth() *cobra.Command {
	return a.command(verb{
		use: "health", short: "Show whether tokens can be made and checked", example: "  gatehouse oauth health",
		run: func(ctx context.Context, _ []string) error {
			return a.call(ctx, "get_oauth_health", control.Nothing{}, render.View{})
		},
	})
}

func (a *app) oauthServer() *cobra.Command {
	return a.command(verb{
		use: "server", short: "Show counts of the authorization server, and its keys", example: "  gatehouse oauth server",
		run: func(ctx context.Context, _ []string) error {
			return a.call(ctx, "get_oauth_status", control.Nothing{}, render.View{})
		},
	})
}

func (a *app) oauthMetrics() *cobra.Command {
	var in control.OAuthMetricsWindow
	c := a.command(verb{
		use: "metrics [flags]", short: "Count tokens, refusals and sign-ins over a window", example: "  gatehouse oauth metrics --hours 1",
		run: func(ctx context.Context, _ []string) error {
			return a.call(ctx, "get_oauth_metrics", in, render.View{})
		},
	})
	c.Flags().Float64Var(&in.Hours, "hours", usualHours, "how many hours back")
	c.Flags().StringVar(&in.Proxy, "proxy", "", "of this host alone")
	a.flagNames(c, "proxy", "list_proxies", "proxy_hostname")
	return c
}

// oauthEvents is the authorization server's log about one address, person or host.
func (a *app) oauthEvents() *cobra.Command {
	var q journal.Query
	c := a.command(verb{
		use: "events (--ip A | --user U | --proxy H)", short: "Show what the authorization server did for an address, a person or a host",
		example: "  gatehouse oauth events --user octocat\n  gatehouse oauth events --ip 192.0.2.7 --hours 1\n  gatehouse oauth events --proxy app.example.com",
		run: func(ctx context.Context, _ []string) error {
			operation := "get_oauth_events_by_ip"
			switch {
			case q.IP == "" && q.User == "" && q.Proxy == "":
				return usage("say whose: --ip ADDRESS, --user NAME or --proxy HOST")
			case q.User != "":
				operation = "get_oauth_events_by_user"
			case q.Proxy != "":
				operation = "get_oauth_events_by_proxy"
			}
			return a.call(ctx, operation, q, logView())
		},
	})
	s := c.Flags()
	s.StringVar(&q.IP, "ip", "", "about this client's address")
	s.StringVar(&q.User, "user", "", "about this person")
	s.StringVar(&q.Proxy, "proxy", "", "about this host")
	s.Float64Var(&q.Hours, "hours", usualHours, "how many hours back")
	s.IntVar(&q.Limit, "limit", 0, "entries at most (default 100)")
	c.MarkFlagsMutuallyExclusive("ip", "user", "proxy")
	a.flagNames(c, "proxy", "list_proxies", "proxy_hostname")
	return c
}
