package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

// store is the noun for where the state is.
func (a *app) store() *cobra.Command {
	return a.group("store", "Where the state is: DATA_DIR or Redis",
		a.storeInfo(), a.storeKeys(), a.storeGet(), a.storeAccept(), a.storePush(), a.storeMigrate())
}

func (a *app) storeInfo() *cobra.Command {
	return a.command(verb{
		use: "info", short: "Show where the state is and how much of it there is", example: "  gatehouse store info",
		run: func(ctx context.Context, _ []string) error { return a.call(ctx, "get_store_info", nil, render.View{}) },
	})
}

func (a *app) storeKeys() *cobra.Command {
	var in control.ListStoreKeys
	c := a.command(verb{
		use: "keys [GLOB] [flags]", short: "List the keys of the store", example: "  gatehouse store keys\n  gatehouse store keys 'proxy:*'",
		args: cobra.MaximumNArgs(1),
		run: func(ctx context.Context, args []string) error {
			if len(args) == 1 {
				in.Glob = args[0]
			}
			return a.list(ctx, "list_store_keys", in, render.View{List: "items", Empty: "No such key.", Columns: []render.Column{
				{Title: "KEY", Field: "key"}, {Title: "VERSION", Field: "version"}, {Title: "BYTES", Field: "bytes"}, {Title: "EXPIRES", Field: "expires", As: render.When},
			}})
		},
	})
	bindPaging(c.Flags(), &in.Paging)
	return c
}

func (a *app) storeGet() *cobra.Command {
	return a.command(verb{
		use: "get KEY", short: "Show one key of the store, secrets masked", example: "  gatehouse store get proxy:localhost",
		args: cobra.ExactArgs(1),
		run: func(ctx context.Context, args []string) error {
			return a.call(ctx, "get_store_key", control.GetStoreKey{Key: args[0]}, render.View{})
		},
	})
}

func (a *app) storeAccept() *cobra.Command {
	var force bool
	c := a.command(verb{
		use: "accept [flags]", short: "Take what is in Redis now, when it came back empty or with other data",
		long: "While nodes run, a Redis that comes back empty or with other data is not obeyed: they serve what they have\n" +
			"and change nothing. `store accept` takes what is there now, on all nodes; what they have is gone then.\n" +
			"`store push` does the opposite.",
		example: "  gatehouse store accept --force",
		run: func(ctx context.Context, _ []string) error {
			if err := a.confirm(ctx, force, "Take what is in Redis now, and forget what the nodes have?"); err != nil {
				return err
			}
			return a.call(ctx, "accept_store", control.Nothing{}, done("what is in Redis now is in use"))
		},
	})
	bindForce(c.Flags(), &force)
	return c
}

func (a *app) storePush() *cobra.Command {
	return a.command(verb{
		use: "push", short: "Write what this node has into a Redis that came back empty",
		long: "While nodes run, a Redis that comes back empty is not obeyed: they serve what they have and change nothing.\n" +
			"`store push` writes back what the node that is asked has, and all nodes go on with it. Logs, and what would\n" +
			"have ended within the minute, are not written back.",
		example: "  gatehouse store push",
		run: func(ctx context.Context, _ []string) error {
			return a.call(ctx, "push_store", control.Nothing{}, render.View{Say: func(o render.Object) string {
				return fmt.Sprintf("%s keys were written back", o.Text("keys"))
			}})
		},
	})
}
