package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/cmd/gatehouse/internal/render"
)

// app is one run of the program.
type app struct {
	env      []string
	in       io.Reader
	out, err io.Writer
	flags    globals
	began    bool // a command's own code runs: what fails now is no misuse of the command line
	serving  bool // the command is the server

	inside http.RoundTripper // the command runs in the server: the API that it asks; nil: it is a program of its own
}

// globals are the flags of all commands that talk to a Gatehouse.
type globals struct {
	url, token, format, profile string
	timeout                     time.Duration
	debug, dryRun, local        bool
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "HTTPS and OAuth 2.1 in front of anything that speaks HTTP",
		Long: "Gatehouse puts HTTPS and OAuth 2.1 in front of anything that speaks HTTP, MCP servers first.\n" +
			"`gatehouse protect HOST TARGET` is the shortest way from nothing to a protected host.",
		Example:       "  gatehouse protect app.localhost internal:demo\n  gatehouse oauth login\n  gatehouse proxy list",
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs, RunE: a.incomplete,
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetIn(a.in)
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	a.flags.bind(root.PersistentFlags())
	_ = root.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(render.Formats(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	root.AddGroup(&cobra.Group{ID: "server", Title: "Server:"}, &cobra.Group{ID: "client", Title: "Asking a running Gatehouse:"})
	a.add(root, "server", a.serve(), a.protect(), a.config(), a.ca(), a.backend(), a.healthcheck(), a.version())
	a.add(root, "client", a.proxy(), a.route(), a.cert(), a.oauth(), a.resource(), a.mcp(), a.log(), a.store(), a.system())
	return root
}

func (a *app) add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		root.AddCommand(c)
	}
}

func (g *globals) bind(f *pflag.FlagSet) {
	f.StringVar(&g.url, "url", "", "the API to ask (default: API_URL, else the Gatehouse on this machine)")
	f.StringVar(&g.token, "token", "", "access token to present (better: OAUTH_ACCESS_TOKEN, which no process list shows)")
	f.StringVar(&g.format, "format", string(render.Auto), "auto (table on a terminal, JSON in a pipe), table, json, yaml or csv")
	f.StringVar(&g.profile, "profile", "default", "which stored sign-in to use")
	g.timeout = 30 * time.Second
	f.Var((*seconds)(&g.timeout), "timeout", "how long one request may take, as 30s or in seconds")
	f.BoolVar(&g.debug, "debug", false, "show requests and answers on stderr, secrets masked")
	f.BoolVar(&g.dryRun, "dry-run", false, "print the request that would be sent, and send nothing")
	f.BoolVar(&g.local, "local", false, "act as this machine's administrator, by the key in DATA_DIR")
}

// verb describes one command that does something.
type verb struct {
	use, short, long, example string
	args                      cobra.PositionalArgs
	complete                  cobra.CompletionFunc
	run                       func(ctx context.Context, args []string) error
}

// command makes the command for v.
func (a *app) command(v verb) *cobra.Command {
	if v.args == nil {
		v.args = cobra.NoArgs
	}
	c := &cobra.Command{Use: v.use, Short: v.short, Long: v.long, Example: v.example, Args: a.written(v), ValidArgsFunction: v.complete, DisableFlagsInUseLine: true}
	if v.complete == nil {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		a.began = true
		return v.run(cmd.Context(), args)
	}
	return c
}

// written is v.args in words: it shows the command line that is right.
func (a *app) written(v verb) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if v.args(cmd, args) == nil {
			return nil
		}
		a.began = true
		return usage("write `%s`: see `%s --help`", cmd.UseLine(), cmd.CommandPath())
	}
}

// group makes a command that only holds others.
func (a *app) group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: a.incomplete}
	g.AddCommand(verbs...)
	return g
}

// incomplete answers a command line that stops before a verb.
func (a *app) incomplete(cmd *cobra.Command, _ []string) error {
	cmd.SetOut(a.err)
	a.began = true
	return usageError{errors.Join(cmd.Help(), errors.New("say what to do: one of the commands above"))}
}

// server makes a command of the server of v: it has settings, and none of the
// flags that only mean something to a client.
func (a *app) server(v verb, takes ...string) *cobra.Command {
	run := v.run
	var c *cobra.Command
	v.run = func(ctx context.Context, args []string) error {
		var wrong error
		c.InheritedFlags().VisitAll(func(f *pflag.Flag) {
			if f.Changed && !contains(takes, f.Name) {
				wrong = usage("--%s means nothing to `%s`", f.Name, c.CommandPath())
			}
		})
		if wrong != nil {
			return wrong
		}
		return run(ctx, args)
	}
	c = a.command(v)
	c.SetUsageTemplate(withoutGlobals(c.UsageTemplate()))
	return c
}

// withoutGlobals cuts the part of a help text that lists the client's flags.
func withoutGlobals(template string) string {
	before, rest, _ := strings.Cut(template, "{{if .HasAvailableInheritedFlags}}")
	_, after, _ := strings.Cut(rest, "{{end}}")
	return before + after
}
