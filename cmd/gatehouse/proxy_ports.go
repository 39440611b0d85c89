package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

func (a *app) proxyPorts() *cobra.Command {
	var in control.Paging
	c := a.command(verb{
		use: "ports [flags]", short: "List the ports that hosts and services have of their own",
		long: "Each host has two ports of its own, for a layer-4 balancer that sends a PROXY header.\n" +
			"`gatehouse proxy status HOST` tells whether this node listens on those of one host, and if not, why.",
		example: "  gatehouse proxy ports\n  gatehouse proxy ports --format json | jq -r '.items[] | \"\\(.port) \\(.owner)\"'",
		run: func(ctx context.Context, _ []string) error {
			return a.list(ctx, "list_ports", in, render.View{List: "items", Empty: "No ports are allocated.", Columns: []render.Column{
				{Title: "PORT", Field: "port"}, {Title: "OWNER", Field: "owner"}, {Title: "KIND", Field: "kind"}, {Title: "PURPOSE", Field: "purpose"},
				{Title: "ADDRESS", Field: "bind_address"}, {Title: "ALLOCATED", Field: "allocated_at", As: render.When},
			}})
		},
	})
	bindPaging(c.Flags(), &in)
	return c
}
