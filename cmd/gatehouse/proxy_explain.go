package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

func (a *app) proxyExplain() *cobra.Command {
	var in control.ExplainProxy
	c := a.command(verb{
		use: "explain HOST [PATH] [flags]", short: "Show which route and which access decision a request would meet, step by step",
		long:    "Nothing is sent to the target: the request is only thought through.",
		example: "  gatehouse proxy explain app.example.com /admin --user octocat --browser",
		args:    cobra.RangeArgs(1, 2), complete: a.hosts(),
		run: func(ctx context.Context, args []string) error {
			in.Hostname = args[0]
			if len(args) == 2 {
				in.Path = args[1]
			}
			return a.stepwise(ctx, "explain_proxy", in)
		},
	})
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "for a wildcard host, the name that is asked for")
	f.StringVar(&in.Method, "method", "", "method of the request (default GET)")
	f.BoolVar(&in.Plain, "plain-http", false, "over plain HTTP, not HTTPS")
	f.BoolVar(&in.Browser, "browser", false, "by a browser that opens a page")
	f.StringVar(&in.User, "user", "", "who asks (default: nobody is signed in)")
	f.StringVar(&in.Email, "email", "", "a verified e-mail address of the user")
	f.StringSliceVar(&in.Groups, "groups", nil, "groups of the user, with commas")
	return c
}

// stepwise runs an operation that decides step by step, and shows people the
// outcome and its steps as two tables.
func (a *app) stepwise(ctx context.Context, operation string, argument any) error {
	conn, req, err := a.prepare(operation, argument)
	if err != nil {
		return err
	}
	if a.flags.dryRun {
		return a.show(ctx, conn, req)
	}
	p, err := a.printer()
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if err := conn.api.Do(ctx, req, &answer); err != nil {
		return err
	}
	if err := p.Print(answer, render.View{Skip: "steps"}); err != nil || p.Effective() != render.Table {
		return err
	}
	if _, err := a.out.Write([]byte("\n")); err != nil {
		return err
	}
	return p.Print(answer, render.View{List: "steps", Empty: "No step was needed.", Columns: []render.Column{
		{Title: "STEP", Field: "step"}, {Title: "NAME", Field: "name"}, {Title: "WHAT", Field: "detail"}, {Title: "DECIDED", Field: "final", As: render.YesNo},
	}})
}
