package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/api/client"
	"gatehouse/internal/fault"
	"gatehouse/internal/principal"
)

// loginArgs are the flags of `oauth login`.
type loginArgs struct {
	resource, scope string
	print           bool
}

// ownScopes are what a sign-in at the API asks for when nobody says. Everyone
// gets of it what the lists give them.
const ownScopes = "admin user mcp"

func (a *app) oauthLogin() *cobra.Command {
	var in loginArgs
	c := a.command(verb{
		use: "login [flags]", short: "Sign in, in a browser here or anywhere",
		long: "Shows a page's address and a code; whoever opens the page, signs in and enters the code signs this command line in.\n" +
			"The tokens are kept in credentials.json and renewed by themselves. With --resource, the token is for another host: it is\n" +
			"printed, and not kept.",
		example: "  gatehouse oauth login\n  gatehouse oauth login --scope user\n  curl -H \"Authorization: Bearer $(gatehouse oauth login --resource https://app.example.com/)\" https://app.example.com/",
		run:     func(ctx context.Context, _ []string) error { return a.login(ctx, in) },
	})
	c.Flags().StringVar(&in.resource, "resource", "", "URL of a protected host that the token is to be for")
	c.Flags().StringVar(&in.scope, "scope", "", "scopes to ask for (default \""+ownScopes+"\"; with --resource, what it asks for)")
	c.Flags().BoolVar(&in.print, "print-token", false, "print the access token; who is signed in already, with these scopes, is not asked again")
	return c
}

func (a *app) login(ctx context.Context, in loginArgs) error {
	if a.flags.local || a.flags.token != "" {
		return usage("signing in gets a token: leave --local and --token out")
	}
	conn, err := a.connect()
	if err != nil {
		return err
	}
	if a.flags.dryRun {
		return a.show(ctx, conn, client.Get("/.well-known/oauth-authorization-server", nil))
	}
	flow := client.SignIn{Transport: conn.transport, Scopes: strings.Fields(in.scope), Show: a.prompt}
	if in.resource != "" {
		return a.loginElsewhere(ctx, flow, in.resource)
	}
	if in.print {
		if token, err := a.present(ctx, conn, flow.Scopes); err != nil || token != "" {
			return err
		}
	}
	if len(flow.Scopes) == 0 {
		flow.Scopes = strings.Fields(ownScopes)
	}
	if flow.Server, err = client.Discover(ctx, conn.transport, conn.url); err != nil {
		return err
	}
	flow.Resource = client.OwnResource(ctx, conn.transport, conn.url) // a central issuer serves several
	pair, err := flow.Run(ctx)
	if err != nil {
		return err
	}
	return a.keep(ctx, conn, pair, in.print)
}

// present prints the token of a sign-in that is good already and covers scopes;
// "" when there is none, and somebody must sign in.
func (a *app) present(ctx context.Context, conn *connection, scopes []string) (string, error) {
	pair, err := conn.keeper.Pair()
	if err != nil || pair.Access == "" {
		return "", err
	}
	for _, scope := range scopes {
		if !principal.Implied(strings.Fields(pair.Scope), scope) {
			return "", nil
		}
	}
	token, err := conn.keeper.Token(ctx)
	if fault.Is(err, fault.Unauthenticated) {
		return "", nil
	}
	if err == nil {
		_, err = fmt.Fprintln(a.out, token)
	}
	return token, err
}

// loginElsewhere prints a token for another host's resource.
func (a *app) loginElsewhere(ctx context.Context, flow client.SignIn, resource string) error {
	var err error
	if flow.Server, flow.Resource, err = client.DiscoverResource(ctx, flow.Transport, resource); err != nil {
		return err
	}
	pair, err := flow.Run(ctx)
	if err == nil {
		_, err = fmt.Fprintln(a.out, pair.Access)
	}
	return err
}

// keep stores a pair under profile and API, and says who is signed in.
func (a *app) keep(ctx context.Context, conn *connection, pair client.Pair, print bool) error {
	slot := client.Slot{Profile: a.flags.profile, URL: conn.url}
	if err := conn.keeper.File.Change(ctx, func(b *client.Book) error { slot.Put(b, pair); return nil }); err != nil {
		return err
	}
	if conn.keeper.Slot != slot {
		_, _ = fmt.Fprintln(a.err, "warning: OAUTH_ACCESS_TOKEN is set and wins over this sign-in: unset it to use the new one")
	}
	if print {
		_, err := fmt.Fprintln(a.out, pair.Access)
		return err
	}
	return a.whoami(ctx, conn, pair)
}

// whoami says whom a fresh pair speaks for. Not everybody may ask the API.
func (a *app) whoami(ctx context.Context, conn *connection, pair client.Pair) error {
	api, err := client.New(client.Options{URL: conn.url, Transport: conn.transport, Auth: client.Bearer{Source: client.Fixed(pair.Access)}, Timeout: a.flags.timeout})
	if err != nil {
		return err
	}
	req, err := conn.ops.Request("get_token_info", nil)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	err = api.Do(ctx, req, &answer)
	if fault.Is(err, fault.Denied) {
		_, err := fmt.Fprintf(a.err, "signed in at %s with the scope %s\n", conn.url, render.Clean(pair.Scope))
		return err
	}
	if err != nil {
		return err
	}
	return a.print(answer, render.View{Say: func(o render.Object) string {
		return "signed in at " + conn.url + " as " + o.Text("user") + " (" + o.Text("scopes") + ")"
	}})
}

// prompt shows what a person needs, and opens a browser where there is one.
func (a *app) prompt(p client.Prompt) {
	_, _ = fmt.Fprintf(a.err, "Open  %s\nand enter the code  %s\n", render.Clean(p.URL), render.Clean(p.Code))
	if !p.Expires.IsZero() {
		_, _ = fmt.Fprintf(a.err, "It is valid for %.0f minutes. Waiting …\n", time.Until(p.Expires).Minutes())
	}
	if a.hasBrowser() {
		openBrowser(first(p.Full, p.URL))
	}
}
