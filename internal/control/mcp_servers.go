package control

import (
	"context"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

// MCPServer is a host with an MCP endpoint, and what was called there.
type MCPServer struct {
	Hostname    string `json:"proxy_hostname"`
	Endpoint    string `json:"endpoint" jsonschema:"the URL that clients are told"`
	AuthEnabled bool   `json:"auth_enabled" jsonschema:"false: everybody may call; Gatehouse's own always asks"`
	MCP         bool   `json:"mcp_enabled"`
	Rules       int    `json:"rules" jsonschema:"how many rules for tools it has"`
	BuiltIn     bool   `json:"built_in" jsonschema:"Gatehouse's own MCP server on one of its own hosts"`
	Tools       int    `json:"tools" jsonschema:"different tools that were asked for in the window"`
	Calls       int64  `json:"calls" jsonschema:"calls of tools in the window"`
	Errors      int64  `json:"errors" jsonschema:"those that failed or were refused"`
}

// MCPTool is a tool that somebody asked for.
type MCPTool struct {
	Tool   string `json:"tool" jsonschema:"its name as callers wrote it"`
	Calls  int64  `json:"calls"`
	Errors int64  `json:"errors" jsonschema:"those that failed or were refused"`
}

// MCPWindow, MCPServerName and MCPCalls are the arguments of the operations on MCP servers.
type (
	// MCPWindow is the argument of list_mcp_servers.
	MCPWindow struct {
		Hours float64 `json:"hours,omitempty" jsonschema:"how far back calls are counted; 24 when not given"`
		Paging
	}
	// MCPServerName is the argument of list_mcp_tools.
	MCPServerName struct {
		Hostname string  `json:"hostname" required:"true" jsonschema:"a host with an MCP endpoint, or a name below a wildcard"`
		Hours    float64 `json:"hours,omitempty" jsonschema:"how far back calls are counted; 24 when not given"`
		Paging
	}
	// MCPCalls is the argument of get_mcp_calls.
	MCPCalls struct {
		Hostname string  `json:"hostname" required:"true" jsonschema:"a host with an MCP endpoint, or a name below a wildcard"`
		Hours    float64 `json:"hours,omitempty" jsonschema:"the last so many hours"`
		Tool     string  `json:"tool,omitempty" jsonschema:"only this tool"`
		User     string  `json:"user,omitempty" jsonschema:"only this person"`
		Client   string  `json:"client,omitempty" jsonschema:"only this OAuth client"`
		Errors   bool    `json:"errors,omitempty" jsonschema:"only what failed or was refused"`
		Limit    int     `json:"limit,omitempty" jsonschema:"entries in the answer; 100, at most 1000"`
		Cursor   string  `json:"cursor,omitempty" jsonschema:"from the page before"`
	}
)

// ListMCPServers answers the hosts with an MCP endpoint in name order. Calls at
// names below a wildcard count for the wildcard.
func (c *Control) ListMCPServers(ctx context.Context, in MCPWindow) (Page[MCPServer], error) {
	counts, err := c.mcpCalls(ctx, journal.Query{Hours: in.Hours})
	if err != nil {
		return Page[MCPServer]{}, err
	}
	world, servers := c.world(), []MCPServer{}
	at := map[string]int{}
	for _, host := range world.Hosts() {
		p := &host.Proxy
		if !p.ServesMCP() {
			continue
		}
		at[p.Hostname] = len(servers)
		servers = append(servers, MCPServer{
			Hostname: p.Hostname, Endpoint: site.ResourceOf(c.deps.Origins.Of(p.Hostname, p.EnableHTTPS), p.ResourceEndpoint),
			AuthEnabled: p.AuthEnabled || host.Role != site.Ordinary, MCP: p.MCPEnabled, Rules: len(p.MCPTools), BuiltIn: host.Role != site.Ordinary,
		})
	}
	seen := map[string]map[string]bool{} // tools by host: names below a wildcard share theirs
	for _, n := range counts {
		host := world.Find(n.Proxy)
		if host == nil {
			continue
		}
		i, is := at[host.Proxy.Hostname]
		if !is {
			continue
		}
		s := &servers[i]
		if seen[s.Hostname] == nil {
			seen[s.Hostname] = map[string]bool{}
		}
		seen[s.Hostname][n.Tool] = true
		s.Tools, s.Calls, s.Errors = len(seen[s.Hostname]), s.Calls+n.Calls, s.Errors+n.Errors
	}
	return viewsOf(in.Paging, servers, all, func(s MCPServer) MCPServer { return s }, func(s MCPServer) string { return s.Hostname })
}

// ListMCPTools answers the tools of a host that were asked for, in name order.
func (c *Control) ListMCPTools(ctx context.Context, in MCPServerName) (Page[MCPTool], error) {
	host, err := c.mcpServer(in.Hostname)
	if err != nil {
		return Page[MCPTool]{}, err
	}
	counts, err := c.mcpCalls(ctx, journal.Query{Hours: in.Hours, Proxy: host})
	if err != nil {
		return Page[MCPTool]{}, err
	}
	tool := func(n journal.ToolCalls) MCPTool { return MCPTool{n.Tool, n.Calls, n.Errors} }
	return viewsOf(in.Paging, counts, all, tool, func(t MCPTool) string { return t.Tool })
}

// GetMCPCalls answers the newest calls of a host: who, which tool, how long, how
// it ended. Arguments are never kept.
func (c *Control) GetMCPCalls(ctx context.Context, in MCPCalls) (Logs, error) {
	host, err := c.mcpServer(in.Hostname)
	if err != nil {
		return Logs{}, err
	}
	q := journal.Query{
		Kind: journal.MCP, Proxy: host, Hours: in.Hours, Tool: in.Tool, User: in.User, Client: in.Client, Errors: in.Errors, Limit: in.Limit, Cursor: in.Cursor,
	}
	return c.GetLogs(ctx, q)
}

func (c *Control) mcpCalls(ctx context.Context, q journal.Query) ([]journal.ToolCalls, error) {
	q, err := c.visible(ctx, q)
	if err != nil {
		return nil, err
	}
	counts, err := c.deps.Journal.Calls(ctx, q)
	if err != nil {
		return nil, err
	}
	return counts.Tools, nil
}

// mcpServer is the name by which the log knows a host with an MCP endpoint.
func (c *Control) mcpServer(name string) (string, error) {
	normal, err := site.NormalizeHostname(name)
	if err != nil {
		return "", fault.BadField("hostname", "%s", err)
	}
	host := c.world().Find(normal)
	switch {
	case host == nil:
		return "", fault.New(fault.NotFound, "there is no host %s", normal)
	case !host.Proxy.ServesMCP():
		return "", fault.New(fault.NotFound, "%s has no MCP endpoint: mcp_enabled says that its target is an MCP server", normal)
	}
	return normal, nil
}
