package main

import (
	"context"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

// mcpServers, mcpSeen and mcpCalls ask the API what goes on at the MCP endpoints
// of its hosts.

func (a *app) mcpServers() *cobra.Command {
	in := control.MCPWindow{}
	c := a.command(verb{
		use: "servers [flags]", short: "List the hosts with an MCP endpoint, and how often tools were called",
		example: "  gatehouse mcp servers\n  gatehouse mcp servers --hours 1",
		run: func(ctx context.Context, _ []string) error {
			return a.call(ctx, "list_mcp_servers", in, render.View{List: "items", Empty: "No host has an MCP endpoint.", Columns: []render.Column{
				{Title: "HOST", Field: "proxy_hostname"}, {Title: "ENDPOINT", Field: "endpoint"}, {Title: "SIGN-IN", Field: "auth_enabled", As: render.YesNo},
				{Title: "RULES", Field: "rules"}, {Title: "TOOLS", Field: "tools"}, {Title: "CALLS", Field: "calls"}, {Title: "ERRORS", Field: "errors"},
			}})
		},
	})
	c.Flags().Float64Var(&in.Hours, "hours", usualHours, "how many hours back calls are counted")
	bindPaging(c.Flags(), &in.Paging)
	return c
}

func (a *app) mcpSeen() *cobra.Command {
	in := control.MCPServerName{}
	c := a.command(verb{
		use: "seen HOST [flags]", short: "List the tools that were asked for at a host",
		example: "  gatehouse mcp seen mcp.example.com",
		args:    cobra.ExactArgs(1), complete: a.names("list_mcp_servers", "proxy_hostname"),
		run: func(ctx context.Context, args []string) error {
			in.Hostname = args[0]
			return a.call(ctx, "list_mcp_tools", in, render.View{List: "items", Empty: "No tool was called.", Columns: []render.Column{
				{Title: "TOOL", Field: "tool"}, {Title: "CALLS", Field: "calls"}, {Title: "ERRORS", Field: "errors"},
			}})
		},
	})
	c.Flags().Float64Var(&in.Hours, "hours", usualHours, "how many hours back calls are counted")
	bindPaging(c.Flags(), &in.Paging)
	return c
}

func (a *app) mcpCalls() *cobra.Command {
	in := control.MCPCalls{}
	c := a.command(verb{
		use: "calls HOST [flags]", short: "Show what was called at a host, by whom, and how it ended",
		example: "  gatehouse mcp calls mcp.example.com --errors\n  gatehouse mcp calls mcp.example.com --tool delete_all --user octocat",
		args:    cobra.ExactArgs(1), complete: a.names("list_mcp_servers", "proxy_hostname"),
		run: func(ctx context.Context, args []string) error {
			in.Hostname = args[0]
			return a.call(ctx, "get_mcp_calls", in, render.View{List: "logs", Empty: "No calls.", Reverse: true, Columns: []render.Column{
				{Title: "TIME", Field: "time", As: render.Clock, Width: 14}, {Title: "USER", Field: "user", Width: 14}, {Title: "CLIENT", Field: "client_id", Width: 24},
				{Title: "METHOD", Field: "rpc_method", Width: 16}, {Title: "TOOL", Field: "tool", Width: 24}, {Title: "ERROR", Field: "is_error", As: render.YesNo},
				{Title: "TOOK", Field: "duration_ms", As: render.Millis, Width: 8}, {Title: "WHY", Field: "auth_reason"},
			}})
		},
	})
	f := c.Flags()
	f.Float64Var(&in.Hours, "hours", usualHours, "how many hours back")
	f.StringVar(&in.Tool, "tool", "", "only this tool")
	f.StringVar(&in.User, "user", "", "only this person")
	f.StringVar(&in.Client, "client", "", "only this OAuth client")
	f.BoolVar(&in.Errors, "errors", false, "only what failed or was refused")
	f.IntVar(&in.Limit, "limit", 0, "entries at most (default 100)")
	f.StringVar(&in.Cursor, "cursor", "", "where the last page ended")
	return c
}
