package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/internal/local"
	"gatehouse/internal/site"
)

// protectArgs is what `gatehouse protect` makes sure of before it serves.
type protectArgs struct {
	Host, Target     string
	Mode             string   // site.ModeRedirect, ModeForward or ModePassthrough
	Allow            []string // people; none: whoever the default lists name
	Exclude          []string // paths that need no sign-in
	ResourceEndpoint string   // "/", or "/mcp" for an MCP server
	MCP              bool     // the target is an MCP server

	Program *local.Definition // what the target stdio:NAME is to run; nil: the target is given
}

// modes are the words for --mode.
func modes() []string { return []string{site.ModeRedirect, site.ModeForward, site.ModePassthrough} }

// protect is serve with one protected host.
func (a *app) protect() *cobra.Command {
	var set settings
	var stdio bool
	var p program
	in := &protectArgs{Mode: site.ModeRedirect}
	c := a.server(verb{
		use: "protect HOST (TARGET | --stdio -- COMMAND ARGS…) [flags]", short: "Run Gatehouse with one host behind HTTPS and sign-in",
		long: "Runs Gatehouse like `serve`, and first makes sure that HOST is served with sign-in on and\nits requests go to TARGET: an http, https or h2c URL, or internal:demo.\n" +
			"With --stdio it runs a program that speaks MCP over its standard input and output, and offers it at HOST/mcp:\n" +
			"that is defined on this machine as stdio:NAME (see `gatehouse backend`).",
		example: "  gatehouse protect app.localhost internal:demo\n" +
			"  gatehouse protect app.localhost http://127.0.0.1:3000 --allow octocat --exclude /health\n" +
			"  gatehouse protect mcp.example.com http://127.0.0.1:8000 --mcp\n" +
			"  gatehouse protect files.localhost --stdio -- npx -y @modelcontextprotocol/server-filesystem /srv/files",
		args: func(cmd *cobra.Command, args []string) error {
			if stdio {
				return cobra.MinimumNArgs(2)(cmd, args)
			}
			return cobra.ExactArgs(2)(cmd, args)
		},
		run: func(ctx context.Context, args []string) error {
			in.Host, in.Target = args[0], args[1]
			if stdio {
				def, err := a.definition(nameOf(args[0]), args[1:], p)
				if err != nil {
					return err
				}
				in.Program, in.Target, in.MCP = &def, local.Stdio+":"+def.Name, true
			}
			if in.ResourceEndpoint == "" {
				in.ResourceEndpoint = endpointFor(in.MCP)
			}
			return a.runServer(ctx, set, in)
		},
	})
	in.bind(c.Flags())
	c.Flags().BoolVar(&stdio, "stdio", false, "run the program behind -- and offer it as an MCP server")
	p.bind(c.Flags())
	_ = c.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions(modes(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	set.bind(c.Flags())
	return c
}

func (p *protectArgs) bind(f *pflag.FlagSet) {
	f.Var(&modeFlag{&p.Mode}, "mode", "redirect: browsers sign in, everything else gets 401; forward: always 401; passthrough: requests without credential pass")
	f.StringArrayVar(&p.Allow, "allow", nil, "person who may in (GitHub login, oidc:ADDRESS, local:NAME, or * for anyone signed in) and gets the scope user of this host, with --mcp also mcp; repeatable")
	f.StringArrayVar(&p.Exclude, "exclude", nil, "path that needs no sign-in, with everything below it; repeatable")
	f.StringVar(&p.ResourceEndpoint, "resource-endpoint", "", "path of the resource that tokens are for (default /, with --mcp /mcp)")
	f.BoolVar(&p.MCP, "mcp", false, "the target is an MCP server")
}

// endpointFor is where a target's resource is when nobody says.
func endpointFor(mcp bool) string {
	if mcp {
		return "/mcp"
	}
	return "/"
}

// modeFlag is a flag for one of modes.
type modeFlag struct{ mode *string }

func (m *modeFlag) String() string {
	if m.mode == nil {
		return ""
	}
	return *m.mode
}

func (m *modeFlag) Type() string { return "mode" }

func (m *modeFlag) Set(text string) error {
	c := choice{words: modes()}
	if err := c.Set(text); err != nil {
		return err
	}
	*m.mode = text
	return nil
}
