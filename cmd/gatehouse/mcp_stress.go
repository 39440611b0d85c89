package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/fault"
	"gatehouse/internal/mcptest"
)

// mcpStressArgs are the flags of `mcp stress`.
type mcpStressArgs struct {
	access   mcpAccess
	protocol string
	tools    []string
	duration time.Duration
	json     bool
}

func (a *app) mcpStress() *cobra.Command {
	var in mcpStressArgs
	c := a.command(verb{
		use: "stress [URL] [SESSIONS] [flags]", short: "Measure an MCP server under load, and whether sessions stay apart",
		long: "Opens SESSIONS (50) sessions at once and has all of them call, for a while: a tool that reads and says a text back where there is one,\n" +
			"else ping or tools/list. Prints calls a second and percentiles, whether every answer got to whom it was for, and what follows when\n" +
			"sessions end. Ctrl-C ends it with the report so far.\n\n" +
			"Exit code 1: answers were mixed up, sessions that ended live on, none can be begun anew, or most calls failed." + mcpAccessHelp,
		example: "  gatehouse mcp stress\n  gatehouse mcp stress https://mcp.example.com/mcp 500 --duration 30s --json",
		args:    cobra.MaximumNArgs(2),
		run:     func(ctx context.Context, args []string) error { return a.runMCPStress(ctx, in, args) },
	})
	f := c.Flags()
	in.access.bind(f)
	f.DurationVar(&in.duration, "duration", 10*time.Second, "how long the sessions call")
	f.StringVar(&in.protocol, "protocol", "", "protocol `VERSION` to speak (default: the newest with sessions, 2025-11-25, where the server has it)")
	f.StringArrayVar(&in.tools, "tool", nil, "the tool to call, if it takes one text (repeatable: the first that does)")
	f.BoolVar(&in.json, "json", false, "print the report as JSON, like --format json")
	return c
}

func (a *app) runMCPStress(ctx context.Context, in mcpStressArgs, args []string) error {
	at, sessions := "", 50
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		switch {
		case strings.Contains(arg, "://"):
			at = arg
		case err == nil:
			sessions = n
		default:
			return usage("%q is neither a URL nor a number of sessions", arg)
		}
	}
	target, err := a.mcpTarget(ctx, at, in.access)
	if err != nil {
		return err
	}
	if a.flags.dryRun {
		_, err := fmt.Fprintf(a.out, "POST %s from %d sessions for %s\n", render.Clean(target.url), sessions, in.duration)
		return err
	}
	o := mcptest.StressOptions{Options: a.mcpOptions(target), Sessions: sessions, Duration: in.duration}
	o.Protocol, o.Tools = in.protocol, in.tools
	if _, watched := terminal(a.err); watched {
		o.Progress = func(sessions, calls int64) {
			_, _ = fmt.Fprintf(a.err, "\r%d sessions, %d calls ", sessions, calls)
		}
		defer fmt.Fprintln(a.err)
	}
	report, err := a.stress(ctx, o)
	if report == nil {
		return invalidAsUsage(err)
	}
	if err := errors.Join(err, a.printStress(report, in.json)); err != nil {
		return err
	}
	if !report.OK() {
		return fault.New(fault.Unavailable, "the server did not stay itself under load")
	}
	return nil
}

// stress stresses the newest version with sessions, unless one is named: there is
// more to mix up.
func (a *app) stress(ctx context.Context, o mcptest.StressOptions) (*mcptest.StressReport, error) {
	if o.Protocol != "" {
		return mcptest.Stress(ctx, o)
	}
	o.Protocol = "2025-11-25"
	report, err := mcptest.Stress(ctx, o)
	if report == nil && fault.Is(err, fault.Unavailable) {
		o.Protocol = ""
		return mcptest.Stress(ctx, o)
	}
	return report, err
}

func (a *app) printStress(r *mcptest.StressReport, asJSON bool) error {
	p, err := a.printer()
	if err != nil {
		return err
	}
	if !asJSON && (p.Format == render.Auto || p.Format == render.Table) {
		return stressPaper(a.out, r)
	}
	if asJSON {
		p.Format = render.JSON
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return p.Print(raw, render.View{})
}

// stressPaper writes a report for people.
func stressPaper(out io.Writer, r *mcptest.StressReport) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		b.WriteString(fmt.Sprintf("%-11s ", name) + render.Clean(fmt.Sprintf(format, args...)) + "\n")
	}
	line("endpoint", "%s, protocol %s", r.URL, r.Protocol)
	line("sessions", "%d of %d opened (%.0f ms at the median), %d of them active, %d calls at once", r.Sessions.Opened, r.Sessions.Asked, r.Sessions.Open.P50, r.Sessions.Active, r.Sessions.Most)
	line("calls", "%d of %s, %.0f a second, %d errors", r.Count, r.Calls, r.Rate, r.Errors)
	for kind, n := range r.Kinds {
		line("", "%d times %s", n, kind)
	}
	line("latency", "p50 %.1f ms, p90 %.1f ms, p95 %.1f ms, p99 %.1f ms, max %.1f ms", r.Latency.P50, r.Latency.P90, r.Latency.P95, r.Latency.P99, r.Latency.Most)
	if r.Isolation.OK {
		line("isolation", "holds: %d answers, each what its own session had asked for", r.Isolation.Checked)
	} else {
		line("isolation", "BROKEN: %d of %d answers", r.Isolation.Mixed, r.Isolation.Checked)
		for _, seen := range r.Isolation.Seen {
			line("", "%s", seen)
		}
	}
	switch {
	case !r.Recovery.OK:
		line("recovery", "BROKEN: %s", r.Recovery.Detail)
	case r.Recovery.Tried:
		line("recovery", "%d sessions ended, %d then answered 404, %d begun anew", r.Recovery.Ended, r.Recovery.Gone, r.Recovery.Renewed)
	default:
		line("recovery", "not tried: there are no sessions that can be ended")
	}
	if !r.Complete {
		line("", "interrupted: this is the report so far")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
