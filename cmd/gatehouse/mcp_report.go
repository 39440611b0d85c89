package main

import (
	"fmt"
	"io"
	"time"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/mcptest"
)

// paper is a compliance report for people, written as results come. What stands in
// it came from a stranger's server.
type paper struct {
	out     io.Writer
	verbose bool
	began   string // category of the last line
}

func (p *paper) result(r mcptest.Result) {
	if r.Category != p.began {
		p.began = r.Category
		_, _ = fmt.Fprintf(p.out, "\n%s\n", r.Category)
	}
	_, _ = fmt.Fprintf(p.out, "  %s  %-6s  %-28s  %s  [%s]  %.0f ms\n", r.Status, r.Level, r.Check, r.Requirement, r.Reference, r.Duration)
	if r.Detail != "" && (p.verbose || r.Status != mcptest.Passed) {
		_, _ = fmt.Fprintf(p.out, "        %s\n", render.Clean(r.Detail))
	}
	if p.verbose || r.Status == mcptest.Failed || r.Status == mcptest.Warned {
		_, _ = fmt.Fprintf(p.out, "        %s\n", r.Reference.URL)
	}
}

func (p *paper) totals(r *mcptest.Report) error {
	t := r.Totals
	who := ""
	if r.Protocol != "" {
		who = " " + render.Clean(r.Server) + " speaks " + r.Protocol + "."
	}
	_, err := fmt.Fprintf(p.out, "\n%s:%s\n%d checks in %s: %d passed, %d failed, %d warnings, %d skipped; %.1f %% of those tried passed\n",
		render.Clean(r.URL), who, t.Checks, (time.Duration(r.Duration) * time.Millisecond).Round(100*time.Millisecond), t.Passed, t.Failed, t.Warned, t.Skipped, t.Rate)
	return err
}

// planMCPTest prints which checks would be made.
func (a *app) planMCPTest(o mcptest.Options) error {
	plan, err := mcptest.Plan(o)
	if err != nil {
		return invalidAsUsage(err)
	}
	_, err = fmt.Fprintf(a.out, "POST %s\n%d checks\n", render.Clean(o.URL), len(plan))
	for _, r := range plan {
		if err == nil {
			_, err = fmt.Fprintf(a.out, "  %-6s  %-28s  %s  [%s]\n", r.Level, r.Check, r.Requirement, r.Reference)
		}
	}
	return err
}
