package mcptest

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// check is one requirement and how to see whether it is kept.
type check struct {
	id       string
	category string
	text     string
	level    Level
	ref      section
	since    string // first protocol version that it holds for; empty: all
	before   string // first version that it holds for no more; empty: none
	closed   bool   // can be made without having been let in
	run      func(ctx context.Context, r *run) outcome
}

// outcome is what a check saw.
type outcome struct {
	status Status // broken stands for Failed or Warned, by the check's level
	detail string
}

const broken Status = "broken"

func pass(format string, args ...any) outcome { return outcome{Passed, fmt.Sprintf(format, args...)} }
func skip(format string, args ...any) outcome { return outcome{Skipped, fmt.Sprintf(format, args...)} }
func warn(format string, args ...any) outcome { return outcome{Warned, fmt.Sprintf(format, args...)} }
func breaks(format string, args ...any) outcome {
	return outcome{broken, fmt.Sprintf(format, args...)}
}

// run is one test of one endpoint.
type run struct {
	opt     Options
	url     *url.URL
	wire    *wire
	report  *Report
	started time.Time

	version string // that is spoken; of an endpoint that let nobody in, the one asked for
	peer    *peer  // the session that most checks use; nil: nobody was let in
	shut    string // why there is no peer
	first   *answer
	opened  []*peer // sessions to end
	server  greeting
	tools   *toolList
	seen    passive
	auth    *authState
}

func allChecks() []check {
	return slices.Concat(protocolChecks(), sessionChecks(), sessionAdvancedChecks(), toolChecks(), toolAdvancedChecks(), transportChecks(), securityChecks(), authChecks(), passiveChecks())
}

func (r *run) wants(c check) bool {
	return (r.opt.Category == All || r.opt.Category == c.category) && r.version >= c.since && (c.before == "" || r.version < c.before)
}

// make makes one check and reports it.
func (r *run) make(ctx context.Context, c check) {
	began := time.Now()
	var out outcome
	switch {
	case ctx.Err() != nil:
		out = skip("the test took too long as a whole")
	case r.wire.late.Load() >= giveUp:
		out = skip("the server had stopped answering")
	case r.peer == nil && !c.closed:
		out = skip("%s", r.shut)
	default:
		out = c.run(ctx, r)
	}
	if out.status == broken {
		out.status = Warned
		if c.level == Must {
			out.status = Failed
		}
	}
	res := Result{
		Check: c.id, Category: c.category, Requirement: c.text, Level: c.level, Status: out.status, Reference: c.ref.in(r.version),
		Detail: scrub(out.detail, r.opt.Token, r.opt.Other), Duration: millis(time.Since(began)),
	}
	r.report.add(res)
	if r.opt.Each != nil {
		r.opt.Each(res)
	}
}

// modern reports whether the version spoken is one without sessions.
func (r *run) modern() bool { return r.version >= sessionless }

// sessionless is the first version without sessions. Versions are dates: later ones
// compare greater.
const sessionless = "2026-07-28"
