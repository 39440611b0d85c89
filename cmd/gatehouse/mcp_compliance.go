package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/api/client"
	"gatehouse/internal/fault"
	"gatehouse/internal/mcptest"
)

// mcpTestArgs are the flags of `mcp test`.
type mcpTestArgs struct {
	access     mcpAccess
	category   string
	protocol   string
	otherFile  string
	tools      []string
	pause      time.Duration
	queryToken bool
	verbose    bool
	json       bool
	junit      string
}

func (a *app) mcpTest() *cobra.Command {
	var in mcpTestArgs
	c := a.command(verb{
		use: "test [URL] [CATEGORY] [flags]", short: "Test whether an MCP server keeps to the specification",
		long: "Sends an MCP endpoint what clients send, and what they should not, and reports each requirement with what was seen and where it is\n" +
			"written. What breaks a MUST has failed, what breaks a SHOULD is a warning. Tools are called with arguments only if they say that they\n" +
			"read (readOnlyHint), or are named by --tool. Categories: " + strings.Join(mcptest.Categories(), ", ") + ".\n\n" +
			"Exit code 0: no MUST is broken. 1: one is. 3: the endpoint lets nobody in without a token." + mcpAccessHelp,
		example: "  gatehouse mcp test\n  gatehouse mcp test https://mcp.example.com/mcp auth\n  gatehouse mcp test https://mcp.example.com/mcp --protocol 2025-06-18 --verbose\n" +
			"  gatehouse mcp test https://mcp.example.com/mcp --junit report.xml",
		args: cobra.MaximumNArgs(2),
		complete: func(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return mcptest.Categories(), cobra.ShellCompDirectiveNoFileComp
		},
		run: func(ctx context.Context, args []string) error { return a.runMCPTest(ctx, in, args) },
	})
	f := c.Flags()
	in.access.bind(f)
	f.StringVar(&in.protocol, "protocol", "", "protocol `VERSION` to speak: "+strings.Join(mcptest.Versions(), ", ")+" (default: the newest that both speak)")
	f.StringArrayVar(&in.tools, "tool", nil, "a tool that may be called, whatever it says of itself; then no other is (repeatable)")
	f.StringVar(&in.otherFile, "other-token-file", "", "`FILE` with another person's token, to see that it does not get into a session")
	f.BoolVar(&in.queryToken, "query-token", false, "try the token in the URL too; by itself only on this machine, because servers write URLs down")
	f.DurationVar(&in.pause, "pause", time.Second, "how long a session is left alone, to see whether it lives on")
	f.BoolVarP(&in.verbose, "verbose", "v", false, "show what was seen of what passed too, and addresses of the specification")
	f.BoolVar(&in.json, "json", false, "print the report as JSON, like --format json")
	f.StringVar(&in.junit, "junit", "", "write the report as JUnit XML to `FILE`; - is stdout, instead of the report")
	return c
}

// place takes URL and category from the arguments; either may be left out.
func (in *mcpTestArgs) place(args []string) (at string) {
	for _, arg := range args {
		if strings.Contains(arg, "://") {
			at = arg
		} else {
			in.category = arg
		}
	}
	return at
}

func (a *app) runMCPTest(ctx context.Context, in mcpTestArgs, args []string) error {
	at := in.place(args)
	if in.category != "" && !slices.Contains(mcptest.Categories(), in.category) || len(args) == 2 && (at == "" || in.category == "") {
		return usage("write URL (with http:// or https://) and category, either or none; the categories are %s", strings.Join(mcptest.Categories(), ", "))
	}
	if in.junit != "" && in.junit != "-" {
		if _, err := os.Stat(in.junit); a.inside == nil && err == nil {
			return usage("--junit %s: the file exists", in.junit)
		}
	}
	target, err := a.mcpTarget(ctx, at, in.access)
	if err != nil {
		return err
	}
	o := mcptest.Options{URL: target.url, Transport: target.transport, Category: in.category, Protocol: in.protocol, Token: target.token, Tools: in.tools,
		Timeout: min(a.flags.timeout, 10*time.Second), Pause: in.pause, QueryToken: in.queryToken || onLoopback(target.url)}
	if in.otherFile != "" {
		if o.Other, err = a.readToken("other-token-file", in.otherFile); err != nil {
			return err
		}
	}
	if a.flags.dryRun {
		return a.planMCPTest(o)
	}
	return a.reportMCPTest(ctx, in, o)
}

// reportMCPTest runs the test and prints what it found, as it finds it on paper.
func (a *app) reportMCPTest(ctx context.Context, in mcpTestArgs, o mcptest.Options) error {
	p, err := a.printer()
	if err != nil {
		return err
	}
	text := !in.json && (p.Format == render.Auto || p.Format == render.Table) && in.junit != "-"
	paper := &paper{out: a.out, verbose: in.verbose}
	if text {
		o.Each = paper.result
	}
	report, err := mcptest.Test(ctx, o)
	if report == nil {
		return invalidAsUsage(err)
	}
	interrupted := err
	switch {
	case text:
		err = paper.totals(report)
	case in.junit == "-":
		err = report.WriteJUnit(a.out)
	default:
		if in.json {
			p.Format = render.JSON
		}
		var raw []byte
		if raw, err = json.Marshal(report); err == nil {
			err = p.Print(raw, render.View{List: "results", Columns: []render.Column{{Title: "STATUS", Field: "status"}, {Title: "LEVEL", Field: "level"}, {Title: "CHECK", Field: "check"}, {Title: "SEEN", Field: "detail"}}})
		}
	}
	if in.junit != "" && in.junit != "-" {
		var b bytes.Buffer
		err = errors.Join(err, report.WriteJUnit(&b), a.writeFile(in.junit, b.String()))
	}
	if err != nil || interrupted != nil {
		return errors.Join(interrupted, err)
	}
	return verdict(report, in.category)
}

// verdict is the report as an exit code.
func verdict(report *mcptest.Report, category string) error {
	switch {
	case !report.OK():
		return fault.New(fault.Unavailable, "%d of %d requirements are not met", report.Totals.Failed, report.Totals.Checks-report.Totals.Skipped)
	case report.SignIn && category != mcptest.Auth && category != mcptest.Security:
		return fault.New(fault.Denied, "the endpoint lets nobody in without a token, so most could not be tried: run `gatehouse oauth login --resource %s` and give the token by --token-file", report.URL)
	}
	return nil
}

// invalidAsUsage makes a rule that options break a misuse of the command line.
func invalidAsUsage(err error) error {
	if fault.Is(err, fault.Invalid) {
		return usageError{err}
	}
	return err
}

func onLoopback(raw string) bool {
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(raw, "https://"), "http://"), "/")
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return client.Loopback(strings.Trim(host, "[]"))
}
