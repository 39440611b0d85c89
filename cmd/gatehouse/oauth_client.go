package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

// clientCreate makes a client that may act for itself. Programs that act for
// people register by themselves, or by `oauth register`.
func (a *app) clientCreate() *cobra.Command {
	var in control.CreateClient
	var keys string
	c := a.command(verb{
		use: "create NAME (--host HOST | --issuer URL) [flags]", short: "Make a confidential client, which may act for itself",
		long: "The client gets tokens with grant_type client_credentials: with the scopes named here, and only at hosts whose lists name it\n" +
			"as client:ID. The answer holds its secret, which is shown this once; with private_key_jwt there is none. It needs a sign-in of the last ten minutes, or --local.",
		example: "  gatehouse oauth client create Reports --host app.example.com --scopes user\n" +
			"  gatehouse oauth client create Sync --issuer https://app.example.com --scopes user,mcp --auth-method client_secret_post",
		args: cobra.ExactArgs(1),
		run: func(ctx context.Context, args []string) error {
			if in.Hostname == "" && in.Issuer == "" {
				return usage("say where the client counts: --host HOST or --issuer URL")
			}
			in.Name = args[0]
			if keys != "" {
				text, err := a.readFile(keys)
				if err != nil {
					return usageError{err}
				}
				if err := json.Unmarshal(text, &in.JWKS); err != nil {
					return usage("--jwks %s: holds no JSON object of keys", keys)
				}
			}
			return a.call(ctx, "create_client", in, render.View{})
		},
	})
	f := c.Flags()
	f.StringVar(&in.Hostname, "host", "", "a protected host, whose issuer the client is for")
	f.StringVar(&in.Issuer, "issuer", "", "instead, the issuer itself")
	f.StringSliceVar(&in.Scopes, "scopes", nil, "what it may have for itself, with commas")
	f.StringSliceVar(&in.GrantTypes, "grant-types", nil, "with commas (default client_credentials)")
	f.StringArrayVar(&in.RedirectURIs, "redirect-uri", nil, "where codes are sent, with authorization_code; repeatable")
	f.StringVar(&in.AuthMethod, "auth-method", "", "client_secret_basic (default), client_secret_post or private_key_jwt")
	f.StringVar(&in.JWKSURI, "jwks-uri", "", "where the public keys of a client with private_key_jwt stand")
	f.StringVar(&keys, "jwks", "", "instead, a `FILE` with them as JSON")
	c.MarkFlagsMutuallyExclusive("host", "issuer")
	a.flagNames(c, "host", "list_protected_proxies", "proxy_hostname")
	return c
}
