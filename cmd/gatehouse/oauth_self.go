package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/api/client"
	"gatehouse/internal/fault"
)

// The verbs about the sign-in that is kept.

func (a *app) oauthLogout() *cobra.Command {
	return a.command(verb{
		use: "logout", short: "End the sign-in of this command line", example: "  gatehouse oauth logout",
		run: func(ctx context.Context, _ []string) error { return a.logout(ctx) },
	})
}

// logout forgets the pair whatever the server says, and tells when it could not
// be ended there.
func (a *app) logout(ctx context.Context) error {
	conn, pair, err := a.signedIn()
	if err != nil {
		return err
	}
	if a.flags.dryRun {
		return a.show(ctx, conn, client.Request{Method: http.MethodPost, Path: "/revoke"})
	}
	server, revoked := client.Discover(ctx, conn.transport, conn.url)
	if revoked == nil && pair.Issuer != "" && server.Issuer != pair.Issuer {
		revoked = fault.New(fault.Conflict, "%s is another installation now", conn.url)
	}
	if revoked == nil {
		revoked = server.Revoke(ctx, conn.transport, pair)
	}
	if err := conn.keeper.File.Change(ctx, func(b *client.Book) error { conn.keeper.Slot.Delete(b); return nil }); err != nil {
		return err
	}
	if revoked != nil {
		return fault.Wrap(fault.Unavailable, revoked, "the tokens are forgotten here, but could not be ended at %s: %s", conn.url, a.sentence(revoked))
	}
	return a.print(json.RawMessage(`{"done":true}`), done("signed out at "+conn.url))
}

// signedIn is the stored or given pair; Unauthenticated when there is none.
func (a *app) signedIn() (*connection, client.Pair, error) {
	if a.flags.local || a.flags.token != "" {
		return nil, client.Pair{}, usage("this is about the stored sign-in: leave --local and --token out")
	}
	conn, err := a.connect()
	if err != nil {
		return nil, client.Pair{}, err
	}
	pair, err := conn.keeper.Pair()
	if err == nil && pair.Access == "" {
		err = fault.New(fault.Unauthenticated, "nobody is signed in at %s: run `gatehouse oauth login`", conn.url)
	}
	return conn, pair, err
}

func (a *app) oauthStatus() *cobra.Command {
	return a.command(verb{
		use: "status", short: "Show who is signed in", example: "  gatehouse oauth status",
		run: func(ctx context.Context, _ []string) error {
			if !a.flags.local && a.flags.token == "" {
				if _, _, err := a.signedIn(); err != nil {
					return err
				}
			}
			return a.call(ctx, "get_token_info", nil, render.View{})
		},
	})
}

func (a *app) oauthRefresh() *cobra.Command {
	return a.command(verb{
		use: "refresh", short: "Renew the tokens now", example: "  gatehouse oauth refresh",
		run: func(ctx context.Context, _ []string) error {
			conn, pair, err := a.signedIn()
			if err != nil {
				return err
			}
			if a.flags.dryRun {
				return a.show(ctx, conn, client.Request{Method: http.MethodPost, Path: "/token"})
			}
			fresh, err := conn.keeper.Renew(ctx, pair)
			if err != nil {
				return err
			}
			answer, err := json.Marshal(map[string]any{"expires_at": fresh.Expires, "scope": fresh.Scope})
			if err != nil {
				return err
			}
			return a.print(answer, render.View{})
		},
	})
}
