package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/api/client"
	"gatehouse/internal/fault"
)

// registration is what a client says of itself (RFC 7591, section 2).
type registration struct {
	Name            string   `json:"client_name,omitempty"`
	RedirectURIs    []string `json:"redirect_uris,omitempty"`
	GrantTypes      []string `json:"grant_types,omitempty"`
	AuthMethod      string   `json:"token_endpoint_auth_method,omitempty"`
	ApplicationType string   `json:"application_type,omitempty"`
	URI             string   `json:"client_uri,omitempty"`
	KeysURI         string   `json:"jwks_uri,omitempty"`
	Scope           string   `json:"scope,omitempty"`
}

func (a *app) oauthRegister() *cobra.Command {
	var in registration
	var issuer string
	c := a.command(verb{
		use: "register [flags]", short: "Register an OAuth client",
		long: "Registers a client at the authorization server of the API, or of --issuer: a registration counts at one issuer only.\n" +
			"The answer holds the client's id and, for confidential clients, its secret, which is shown this once.",
		example: "  gatehouse oauth register --name Reports --redirect-uri https://reports.example.com/callback --issuer https://app.example.com",
		run:     func(ctx context.Context, _ []string) error { return a.register(ctx, in, issuer) },
	})
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "name that people see when they approve")
	f.StringArrayVar(&in.RedirectURIs, "redirect-uri", nil, "where codes are sent; repeatable")
	f.StringSliceVar(&in.GrantTypes, "grant-types", nil, "authorization_code, refresh_token, urn:ietf:params:oauth:grant-type:device_code, …:token-exchange, with commas")
	f.StringVar(&in.AuthMethod, "auth-method", "", "none, client_secret_basic, client_secret_post or private_key_jwt")
	f.StringVar(&in.KeysURI, "jwks-uri", "", "where the public keys of a client with private_key_jwt stand")
	f.StringVar(&in.ApplicationType, "application-type", "", "web or native")
	f.StringVar(&in.URI, "client-uri", "", "the client's home page")
	f.StringVar(&in.Scope, "scope", "", "scopes that it will ask for")
	f.StringVar(&issuer, "issuer", "", "authorization server to register at (default: the API's)")
	return c
}

func (a *app) register(ctx context.Context, in registration, issuer string) error {
	if _, err := client.ParseURL(issuer); issuer != "" && err != nil {
		return fault.BadField("--issuer", "must be the URL of an authorization server, like https://app.example.com")
	}
	conn, err := a.connect()
	if err != nil {
		return err
	}
	req := client.Request{Method: http.MethodPost, Path: "/register", Body: in}
	if a.flags.dryRun {
		return a.show(ctx, conn, req)
	}
	server, err := client.Discover(ctx, conn.transport, first(issuer, conn.url))
	if err != nil {
		return err
	}
	if server.Registration == "" {
		return fault.New(fault.Denied, "%s takes no registrations", server.Issuer)
	}
	req.Path = strings.TrimPrefix(server.Registration, server.Issuer)
	public := &connection{url: server.Issuer, transport: conn.transport}
	if public, err = public.dial(a, nil); err != nil { // an open endpoint: no token is sent there
		return err
	}
	return a.send(ctx, public, req, render.View{})
}
