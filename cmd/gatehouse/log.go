package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/api/client"
)

// log is the noun for what happened.
func (a *app) log() *cobra.Command {
	return a.group("log", "What happened: requests, sign-ins, changes",
		a.logVerb(logVerb{word: "show", short: "Show the latest entries", operation: "get_logs"}),
		a.logSearch(), a.logFollow(),
		a.logVerb(logVerb{word: "errors", short: "Show what failed", operation: "get_error_logs"}),
		a.logVerb(logVerb{word: "ip", value: "ADDRESS", short: "Show entries of a client's address", operation: "get_logs_by_ip", field: "ip", sample: "192.0.2.7"}),
		a.logVerb(logVerb{word: "proxy", value: "HOST", short: "Show entries of a host", operation: "get_logs_by_proxy", field: "proxy", sample: "app.example.com"}),
		a.logVerb(logVerb{word: "hostname", value: "HOST", short: "Show entries of a host, like proxy", operation: "get_logs_by_host", field: "proxy", sample: "app.example.com"}),
		a.logVerb(logVerb{word: "user", value: "NAME", short: "Show entries of a person", operation: "get_logs_by_user", field: "user", sample: "octocat"}),
		a.logVerb(logVerb{word: "oauth-client", value: "ID", short: "Show entries of an OAuth client", operation: "get_logs_by_client", field: "client", sample: "device_flow_client"}),
		a.logVerb(logVerb{word: "session", value: "ID", short: "Show entries of a browser's session", operation: "get_logs_by_session", field: "session", sample: "SESSION"}),
		a.logVerb(logVerb{word: "method", value: "METHOD", short: "Show entries with a method", operation: "get_logs_by_method", field: "method", sample: "POST"}),
		a.logVerb(logVerb{word: "status", value: "STATUS", short: "Show entries with a status, like 404 or 4xx", operation: "get_logs_by_status", field: "status", sample: "4xx"}),
		a.logVerb(logVerb{word: "path", value: "PATH", short: "Show entries of a path, or with * of what begins so", operation: "get_logs_by_path", field: "path", sample: "'/api/*'"}),
		a.logSlow(), a.logStats(),
		a.logOAuth(),
		a.logVerb(logVerb{word: "oauth-user", value: "NAME", short: "Show entries of the authorization server about a person", operation: "get_oauth_logs_by_user", field: "user", sample: "octocat"}),
		a.logVerb(logVerb{word: "events", short: "Show what the server's own process had to tell", operation: "get_event_logs"}),
		a.logClear(), a.logTest(), a.logLevel())
}

// usualHours is how far back a search looks when nobody says.
const usualHours = 24

func logView() render.View {
	return render.View{List: "logs", Empty: "No entries.", Reverse: true, Columns: logColumns()}
}

func logColumns() []render.Column {
	return []render.Column{
		{Title: "TIME", Field: "time", As: render.Clock, Width: 14}, {Title: "KIND", Field: "kind", Width: 7}, {Title: "CLIENT", Field: "client_ip", Width: 15},
		{Title: "USER", Field: "user", Width: 14}, {Title: "HOST", Field: "proxy|component", Width: 24}, {Title: "WHAT", Field: "method|action|level", Width: 8},
		{Title: "STATUS", Field: "status", As: render.Status, Width: 6}, {Title: "TOOK", Field: "duration_ms", As: render.Millis, Width: 8},
		{Title: "PATH", Field: "path|object|message", Width: 40}, {Title: "WHY", Field: "error|auth_reason"},
	}
}

// logVerb is one search with at most one value of its own.
type logVerb struct {
	word, short, operation string
	value, field, sample   string // the value's name in help, the parameter that it is, an example
}

func (a *app) logVerb(v logVerb) *cobra.Command {
	var f filters
	args, use, example := cobra.NoArgs, v.word, v.word
	if v.value != "" {
		args, use, example = cobra.ExactArgs(1), v.word+" "+v.value, v.word+" "+v.sample
	}
	c := a.command(verb{
		use: use + " [flags]", short: v.short, example: "  gatehouse log " + example + "\n  gatehouse log " + example + " --hours 1 --status 5xx",
		args: args,
		run: func(ctx context.Context, args []string) error {
			q, err := f.complete()
			if err != nil {
				return err
			}
			if v.value != "" {
				*parameter(&q, v.field) = args[0]
			}
			return a.call(ctx, v.operation, q, logView())
		},
	})
	if v.word == "status" {
		c.Example = "  gatehouse log status 4xx\n  gatehouse log status 502 --hours 1"
	}
	f.bind(c.Flags(), v.field)
	a.completeLog(c, v)
	return c
}

func (a *app) completeLog(c *cobra.Command, v logVerb) {
	if v.field == "proxy" {
		c.ValidArgsFunction = a.hosts()
		return
	}
	a.flagNames(c, "proxy", "list_proxies", "proxy_hostname")
}

func (a *app) logSearch() *cobra.Command {
	var f filters
	c := a.command(verb{
		use: "search [QUERY] [flags]", short: "Search entries by words and field:value terms",
		example: "  gatehouse log search 'timeout' --proxy app.example.com\n  gatehouse log search --user octocat --status 403 --hours 48",
		args:    cobra.MaximumNArgs(1),
		run: func(ctx context.Context, args []string) error {
			q, err := f.complete()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				q.Q = args[0]
			}
			return a.call(ctx, "get_logs", q, logView())
		},
	})
	f.bind(c.Flags(), "")
	a.completeLog(c, logVerb{})
	return c
}

func (a *app) logSlow() *cobra.Command {
	var f filters
	threshold := seconds(time.Second)
	c := a.command(verb{
		use: "slow [flags]", short: "Show what took long", example: "  gatehouse log slow --threshold 500ms",
		run: func(ctx context.Context, _ []string) error {
			q, err := f.complete()
			if err != nil {
				return err
			}
			q.SlowMS = float64(time.Duration(threshold)) / float64(time.Millisecond)
			return a.call(ctx, "get_slow_logs", q, logView())
		},
	})
	f.bind(c.Flags(), "")
	c.Flags().Var(&threshold, "threshold", "what is long, as 500ms, 2s or in seconds")
	a.completeLog(c, logVerb{})
	return c
}

func (a *app) logStats() *cobra.Command {
	var f filters
	c := a.command(verb{
		use: "stats [flags]", short: "Count what matches: rates, percentiles, top lists", example: "  gatehouse log stats --hours 1\n  gatehouse log stats --proxy app.example.com",
		run: func(ctx context.Context, _ []string) error {
			q, err := f.complete()
			if err != nil {
				return err
			}
			return a.call(ctx, "get_log_stats", q, render.View{})
		},
	})
	f.bind(c.Flags(), "")
	a.completeLog(c, logVerb{})
	return c
}

func (a *app) logOAuth() *cobra.Command {
	var f filters
	c := a.command(verb{
		use: "oauth [ADDRESS] [flags]", short: "Show entries of the authorization server", example: "  gatehouse log oauth\n  gatehouse log oauth 192.0.2.7",
		args: cobra.MaximumNArgs(1),
		run: func(ctx context.Context, args []string) error {
			q, err := f.complete()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.call(ctx, "get_oauth_logs", q, logView())
			}
			q.IP = args[0]
			return a.call(ctx, "get_oauth_logs_by_ip", q, logView())
		},
	})
	f.bind(c.Flags(), "")
	a.completeLog(c, logVerb{})
	return c
}

// logFollow shows entries from now on; where it looks back there is nothing.
func (a *app) logFollow() *cobra.Command {
	var f filters
	c := a.command(verb{
		use: "follow [QUERY] [flags]", short: "Show entries as they come, until interrupted",
		long:    "Shows entries as they come, until interrupted. In a pipe, each is one JSON object on a line of its own.",
		example: "  gatehouse log follow --proxy app.example.com\n  gatehouse log follow --status 5xx | jq .path",
		args:    cobra.MaximumNArgs(1),
		run: func(ctx context.Context, args []string) error {
			q := f.query
			if len(args) == 1 {
				q.Q = args[0]
			}
			req, err := client.NewOperations().Request("get_logs", q)
			if err != nil {
				return err
			}
			return a.follow(ctx, client.Get("/logs/follow", req.Query), logColumns())
		},
	})
	bindFollow(c.Flags(), &f.query)
	a.completeLog(c, logVerb{})
	return c
}
