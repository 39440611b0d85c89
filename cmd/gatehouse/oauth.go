package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

// oauth is the noun for sign-in: one's own, and everybody's for administrators.
func (a *app) oauth() *cobra.Command {
	return a.group("oauth", "Sign in, and who may what",
		a.oauthLogin(), a.oauthLogout(), a.oauthStatus(), a.oauthRefresh(), a.oauthRegister(),
		a.oauthClient(), a.oauthSession(), a.oauthToken(), a.oauthUser(), a.oauthGitHub(), a.oauthConsent(), a.oauthProxy(),
		a.oauthKeyGenerate(), a.oauthHealth(), a.oauthServer(), a.oauthMetrics(), a.oauthEvents())
}

// listing is a verb that lists one kind of record.
func (a *app) listing(short, example, operation string, v render.View) *cobra.Command {
	var in control.Paging
	c := a.command(verb{
		use: "list [flags]", short: short, example: "  gatehouse " + example,
		run: func(ctx context.Context, _ []string) error { return a.list(ctx, operation, in, v) },
	})
	bindPaging(c.Flags(), &in)
	return c
}

// removal is a verb that ends or removes one record, after it asked.
type removal struct {
	use, short, example string
	question, said      string // with the argument in front
	operation           string
	argument            func(id string) any
	complete            cobra.CompletionFunc
}

func (a *app) remove(r removal) *cobra.Command {
	var force bool
	c := a.command(verb{
		use: r.use + " [flags]", short: r.short, example: "  gatehouse " + r.example + " --force",
		args: cobra.ExactArgs(1), complete: r.complete,
		run: func(ctx context.Context, args []string) error {
			if err := a.confirm(ctx, force, args[0]+": "+r.question); err != nil {
				return err
			}
			return a.call(ctx, r.operation, r.argument(args[0]), done(args[0]+" "+r.said))
		},
	})
	bindForce(c.Flags(), &force)
	return c
}

// ending is a verb that ends all that something of one kind has by now.
func (a *app) ending(use, short, example, question, kind string, complete cobra.CompletionFunc) *cobra.Command {
	return a.remove(removal{use: use, short: short, example: example, question: question, said: "has nothing left of what it had", operation: "revoke_token",
		argument: func(id string) any { return control.RevokeToken{ID: id, Kind: kind} }, complete: complete})
}

func (a *app) oauthClient() *cobra.Command {
	complete := a.names("list_clients", "client_id")
	named := func(id string) any { return control.ClientName{ID: id} }
	show := a.command(verb{
		use: "show ID", short: "Show an OAuth client", example: "  gatehouse oauth client show CLIENT",
		args: cobra.ExactArgs(1), complete: complete,
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "get_client", named(args[0]), render.View{})
		},
	})
	tokens := a.command(verb{
		use: "tokens ID", short: "List what was granted to a client", example: "  gatehouse oauth client tokens CLIENT",
		args: cobra.ExactArgs(1), complete: complete,
		run: func(ctx context.Context, args []string) error {
			return a.list(ctx, "list_client_tokens", control.ClientTokens{ID: args[0]}, grantsView())
		},
	})
	view := render.View{List: "items", Empty: "No client has registered yet.", Columns: []render.Column{
		{Title: "CLIENT", Field: "client_id"}, {Title: "NAME", Field: "client_name"}, {Title: "KNOWN", Field: "known"}, {Title: "ISSUER", Field: "issuer"},
		{Title: "REGISTERED", Field: "created_at", As: render.When}, {Title: "USED", Field: "last_used", As: render.When},
	}}
	return a.group("client", "OAuth clients",
		a.listing("List the registered OAuth clients", "oauth client list", "list_clients", view), a.clientCreate(), show, tokens,
		a.ending("revoke ID", "End all that a client was granted; it may ask anew", "oauth client revoke CLIENT", "end all that this client was granted?", "client", complete),
		a.remove(removal{use: "delete ID", short: "Remove a client and end all that it was granted", example: "oauth client delete CLIENT",
			question: "remove this client and end all that it was granted?", said: "is removed", operation: "delete_client", argument: named, complete: complete}))
}

func (a *app) oauthSession() *cobra.Command {
	return a.group("session", "Browsers that are signed in",
		a.listing("List your browser sessions; administrators see all", "oauth session list", "list_sessions", sessionsView()),
		a.remove(removal{use: "revoke ID", short: "End a browser's session", example: "oauth session revoke SESSION",
			question: "sign this browser out?", said: "is ended", operation: "end_session",
			argument: func(id string) any { return control.SessionName{ID: id} }, complete: a.names("list_sessions", "id")}))
}

func sessionsView() render.View {
	return render.View{List: "items", Empty: "No browser is signed in.", Columns: []render.Column{
		{Title: "SESSION", Field: "id"}, {Title: "USER", Field: "user"}, {Title: "ON", Field: "origin"}, {Title: "FROM", Field: "address"},
		{Title: "BEGAN", Field: "created_at", As: render.When}, {Title: "SEEN", Field: "last_seen", As: render.When},
	}}
}

func grantsView() render.View {
	return render.View{List: "items", Empty: "Nothing is granted.", Columns: []render.Column{
		{Title: "GRANT", Field: "id"}, {Title: "USER", Field: "user"}, {Title: "CLIENT", Field: "client_name|client_id"}, {Title: "RESOURCE", Field: "resource"},
		{Title: "SCOPES", Field: "scopes"}, {Title: "GRANTED", Field: "created_at", As: render.When}, {Title: "USED", Field: "last_used", As: render.When}, {Title: "BRANCHES", Field: "branches"},
	}}
}

// oauthToken is about grants: what a person or a client may do for a while.
func (a *app) oauthToken() *cobra.Command {
	complete := a.names("list_tokens", "id")
	show := a.command(verb{
		use: "show ID", short: "Show a grant", example: "  gatehouse oauth token show GRANT",
		args: cobra.ExactArgs(1), complete: complete,
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "get_grant", control.TokenName{ID: args[0]}, render.View{})
		},
	})
	return a.group("token", "What was granted to whom",
		a.listing("List your grants; administrators see all", "oauth token list", "list_tokens", grantsView()), show, a.tokenRevoke(complete))
}

func (a *app) tokenRevoke(complete cobra.CompletionFunc) *cobra.Command {
	var force, single bool
	c := a.command(verb{
		use: "revoke ID [flags]", short: "End a grant with all its tokens",
		example: "  gatehouse oauth token revoke GRANT --force\n  gatehouse oauth token revoke JTI --access-token --force",
		args:    cobra.ExactArgs(1), complete: complete,
		run: func(ctx context.Context, args []string) error {
			if err := a.confirm(ctx, force, args[0]+": end it now?"); err != nil {
				return err
			}
			in := control.RevokeToken{ID: args[0]}
			if single {
				in.Kind = "token"
			}
			return a.call(ctx, "revoke_token", in, done(args[0]+" is revoked"))
		},
	})
	bindForce(c.Flags(), &force)
	c.Flags().BoolVar(&single, "access-token", false, "ID is the jti of one access token, not a grant")
	return c
}

func (a *app) oauthConsent() *cobra.Command {
	view := render.View{List: "items", Empty: "No approval is remembered.", Columns: []render.Column{
		{Title: "USER", Field: "user"}, {Title: "SUBJECT", Field: "subject"}, {Title: "CLIENT", Field: "client_id"}, {Title: "NAME", Field: "client_name"},
	}}
	var force bool
	revoke := a.command(verb{
		use: "revoke SUBJECT CLIENT [flags]", short: "Make a client ask a person again", example: "  gatehouse oauth consent revoke github:583231 CLIENT --force",
		args: cobra.ExactArgs(2),
		run: func(ctx context.Context, args []string) error {
			if err := a.confirm(ctx, force, "Make "+args[1]+" ask "+args[0]+" again?"); err != nil {
				return err
			}
			return a.call(ctx, "delete_consent", control.ForgetConsent{Subject: args[0], ClientID: args[1]}, done(args[1]+" will ask "+args[0]+" again"))
		},
	})
	bindForce(revoke.Flags(), &force)
	return a.group("consent", "Approvals that are remembered", a.listing("List your remembered approvals; administrators see all", "oauth consent list", "list_consents", view), revoke)
}

func (a *app) oauthProxy() *cobra.Command {
	view := render.View{List: "items", Empty: "No host is protected.", Columns: []render.Column{
		{Title: "HOST", Field: "proxy_hostname"}, {Title: "SIGN-IN", Field: "auth_enabled", As: render.YesNo}, {Title: "MODE", Field: "auth_mode"},
		{Title: "ISSUER", Field: "issuer"}, {Title: "RESOURCE", Field: "resource"},
	}}
	sessions := a.command(verb{
		use: "sessions HOST", short: "List the browser sessions on a host", example: "  gatehouse oauth proxy sessions app.example.com",
		args: cobra.ExactArgs(1), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			return a.list(ctx, "list_proxy_sessions", control.HostSessions{Host: args[0]}, sessionsView())
		},
	})
	return a.group("proxy", "Hosts that the authorization server speaks for",
		a.listing("List the hosts that the authorization server speaks for", "oauth proxy list", "list_protected_proxies", view), sessions,
		a.ending("revoke HOST", "End all grants, tokens and sessions for a host", "oauth proxy revoke app.example.com", "end all grants, tokens and sessions for this host?", "proxy", a.hosts()))
}
