package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

// oauthUser is about local accounts: people who sign in by a password here.
func (a *app) oauthUser() *cobra.Command {
	view := render.View{List: "items", Empty: "No local account yet.", Columns: []render.Column{
		{Title: "NAME", Field: "name"}, {Title: "LISTED AS", Field: "user"}, {Title: "SCOPES", Field: "scopes"}, {Title: "E-MAIL", Field: "email"},
		{Title: "MADE", Field: "created_at", As: render.When}, {Title: "PASSWORD", Field: "password_since", As: render.When},
	}}
	return a.group("user", "Local accounts",
		a.listing("List the local accounts", "oauth user list", "list_users", view), a.userAdd(), a.userPasswd(), a.userUpdate(),
		a.ending("revoke USER", "End all grants, tokens and sessions of a person, of any provider", "oauth user revoke octocat", "end all grants, tokens and sessions of this person?", "user", nil),
		a.remove(removal{use: "delete NAME", short: "Remove an account and end its sessions and grants", example: "oauth user delete alice",
			question: "remove this account and end all its sessions and grants?", said: "is removed", operation: "delete_user",
			argument: func(name string) any { return control.UserName{Name: name} }, complete: a.accounts()}))
}

func (a *app) accounts() cobra.CompletionFunc { return a.names("list_users", "name") }

func (a *app) userAdd() *cobra.Command {
	var in control.CreateUser
	c := a.command(verb{
		use: "add NAME [flags]", short: "Make a local account",
		long:    "Asks for the password on a terminal; in a pipe, the password is the first line of stdin.",
		example: "  gatehouse oauth user add alice --scopes user,mcp\n  pass show alice | gatehouse oauth user add alice",
		args:    cobra.ExactArgs(1),
		run: func(ctx context.Context, args []string) (err error) {
			in.Name = args[0]
			if in.Password, err = a.secret(ctx, "password"); err != nil {
				return err
			}
			return a.call(ctx, "create_user", in, render.View{})
		},
	})
	c.Flags().StringSliceVar(&in.Scopes, "scopes", nil, "what the account may do with Gatehouse itself, with commas: admin, user, mcp")
	c.Flags().StringVar(&in.Email, "email", "", "e-mail address")
	return c
}

func (a *app) userPasswd() *cobra.Command {
	return a.command(verb{
		use: "passwd NAME", short: "Change an account's password; ends its sessions and grants",
		long:    "Asks for the password on a terminal; in a pipe, the password is the first line of stdin.",
		example: "  gatehouse oauth user passwd alice",
		args:    cobra.ExactArgs(1), complete: a.accounts(),
		run: func(ctx context.Context, args []string) error {
			password, err := a.secret(ctx, "new password")
			if err != nil {
				return err
			}
			return a.call(ctx, "update_user", control.UpdateUser{Name: args[0], Password: password}, done(args[0]+" has a new password; earlier sessions and grants are ended"))
		},
	})
}

func (a *app) userUpdate() *cobra.Command {
	var scopes []string
	var email string
	var c *cobra.Command
	c = a.command(verb{
		use: "update NAME [flags]", short: "Change an account's scopes or e-mail address", example: "  gatehouse oauth user update alice --scopes user",
		args: cobra.ExactArgs(1), complete: a.accounts(),
		run: func(ctx context.Context, args []string) error {
			in := control.UpdateUser{Name: args[0]}
			if c.Flags().Changed("scopes") {
				in.Scopes = &scopes
			}
			if c.Flags().Changed("email") {
				in.Email = &email
			}
			if in.Scopes == nil && in.Email == nil {
				return usage("say what to change: --scopes or --email")
			}
			return a.call(ctx, "update_user", in, render.View{})
		},
	})
	c.Flags().StringSliceVar(&scopes, "scopes", nil, "what the account may do with Gatehouse itself, with commas: admin, user, mcp")
	c.Flags().StringVar(&email, "email", "", "e-mail address")
	return c
}

// oauthGitHub is about GitHub logins, and names at the OpenID provider, that lists hold.
func (a *app) oauthGitHub() *cobra.Command {
	view := render.View{List: "items", Empty: "Nobody whom a list names has signed in by GitHub or the OpenID provider yet.", Columns: []render.Column{
		{Title: "LOGIN", Field: "login"}, {Title: "ACCOUNT", Field: "subject"}, {Title: "SINCE", Field: "at", As: render.When},
	}}
	return a.group("github-login", "Listed GitHub logins and names at the OpenID provider, each bound to the account that signed in under it first",
		a.listing("List the bound logins", "oauth github-login list", "list_github_logins", view),
		a.remove(removal{use: "release LOGIN", short: "Let another account have a listed login", example: "oauth github-login release octocat",
			question: "let the next account that signs in under this login have it, and what the lists give to it?", said: "is released",
			operation: "release_github_login", argument: func(login string) any { return control.LoginName{Login: login} },
			complete: a.names("list_github_logins", "login")}))
}
