package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

// clientCreate makes a client that may act for itself. Programs that act for
// people register by themselves, or by `oauth register`.
func (a *app) clientCreate() *cobra.Command {
	var in control.CreateClient
	c := a.command(verb{
		use: "create NAME (--host HOST | --issuer URL) [flags]", short: "Make a confidential client, which may act for itself",
		long: "The client gets tokens with grant_type client_credentials: with the scopes named here, and only at hosts whose lists name it\n" +
			"as client:ID. The answer holds its secret, which is shown this once. It needs a sign-in of the last ten minutes, or --local.",
		example: "  gatehouse oauth client create Reports --host app.example.com --scopes user\n" +
			"  gatehouse oauth client create Sync --issuer https://app.example.com --scopes user,mcp --auth-method client_secret_post",
		args: cobra.ExactArgs(1),
		run: func(ctx context.Context, args []string) error {
			in.Name = args[0]
			return a.call(ctx, "create_client", in, render.View{})
		},
	})
	f := c.Flags()
	f.StringVar(&in.Hostname, "host", "", "a protected host, whose issuer the client is for")
	f.StringVar(&in.Issuer, "issuer", "", "instead, the issuer itself")
	f.StringSliceVar(&in.Scopes, "scopes", nil, "what it may have for itself, with commas")
	f.StringSliceVar(&in.GrantTypes, "grant-types", nil, "with commas (default client_credentials)")
	f.StringArrayVar(&in.RedirectURIs, "redirect-uri", nil, "where codes are sent, with authorization_code; repeatable")
	f.StringVar(&in.AuthMethod, "auth-method", "", "client_secret_basic (default) or client_secret_post")
	c.MarkFlagsOneRequired("host", "issuer")
	c.MarkFlagsMutuallyExclusive("host", "issuer")
	a.flagNames(c, "host", "list_protected_proxies", "proxy_hostname")
	return c
}
