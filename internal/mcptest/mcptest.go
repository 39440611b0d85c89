// Package mcptest tests MCP servers from outside, as a client sees them: does an
// endpoint keep what the specification demands, and does it stay itself under load.
// It knows every protocol version that is spoken over Streamable HTTP.
//
// Requests are written by hand, because a client library hides deviations. What
// comes back is a stranger's: every wait, read and list is bounded, redirects are
// not followed, and text of the server stands in a report only quoted and cut. A
// tool is called with arguments only if it says that it reads, or the person who
// tests names it. The token goes to the endpoint that is tested and nowhere else.
//
// checks_*.go hold what is checked, by category; spec.go where that is written;
// wire.go, sse.go and peer.go speak; stress.go and load.go are the stress test.
package mcptest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// Bounds of a run.
const (
	maxAnswer  = 8 << 20          // bytes of one answer that are read
	maxEvents  = 10000            // events of one stream
	patience   = 10 * time.Second // for one answer, unless Options say otherwise
	wholeRun   = 5 * time.Minute
	giveUp     = 3 // answers in a row that did not come in time
	quietTime  = time.Second
	streamWait = 2 * time.Second        // for what should come soon
	listening  = 300 * time.Millisecond // to a stream that has nothing to say
)

// Options say what is tested, and how.
type Options struct {
	URL       string            // the endpoint
	Transport http.RoundTripper // must not follow anything by itself; required
	Category  string            // one of Categories; empty: all
	Protocol  string            // one of Versions; empty: the newest that both speak
	Token     string            // access token; empty: ask as nobody
	Other     string            // another person's token, which no session of Token's may accept; empty: not tried
	Tools     []string          // tools that may be called whatever they say of themselves
	Timeout   time.Duration     // for one answer; 0: ten seconds
	Pause     time.Duration     // how long a session is left alone to see whether it lives; 0: a second
	// QueryToken lets the token stand in a URL once, to see that it is refused there.
	// Servers write URLs down: it is for endpoints whose log is one's own.
	QueryToken bool
	// Reach reports whether a document of an authorization server may be asked for at
	// this address; nil: https anywhere, http on loopback when the endpoint is there.
	Reach func(*url.URL) bool
	// Each gets every result as it comes; nil: nobody does.
	Each func(Result)

	listen time.Duration // to a stream that has nothing to say; 0: as long as is good
}

// Categories are the names of what can be tested alone; "all" is everything.
func Categories() []string {
	return []string{SessionBasic, SessionAdvanced, ToolsBasic, ToolsAdvanced, Protocol, Transport, Security, Auth, All}
}

// The categories.
const (
	SessionBasic    = "session_basic"
	SessionAdvanced = "session_advanced"
	ToolsBasic      = "tools_basic"
	ToolsAdvanced   = "tools_advanced"
	Protocol        = "protocol"
	Transport       = "transport"
	Security        = "security"
	Auth            = "auth"
	All             = "all"
	None            = "none" // only begins: to see whether anybody is let in
)

// Versions are the protocol versions that can be tested, oldest first.
func Versions() []string {
	return []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}
}

// Test runs the checks of a category against an endpoint. Its error says why no
// test was possible: the options break a rule (fault.Invalid), or the server speaks
// no such protocol (fault.Unavailable). What the server does wrong is in the report.
// When ctx ends the report so far comes with ctx's error.
func Test(ctx context.Context, o Options) (*Report, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	whole, cancel := context.WithTimeout(ctx, wholeRun)
	defer cancel()
	if err := r.open(whole); err != nil {
		return nil, err
	}
	defer r.close(ctx)
	for _, c := range allChecks() {
		if ctx.Err() != nil {
			break
		}
		if r.wants(c) {
			r.make(whole, c)
		}
	}
	r.report.finish(r.started)
	return r.report, ctx.Err()
}

func newRun(o Options) (*run, error) {
	u, err := endpoint(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Category == "" {
		o.Category = All
	}
	if o.Category != None && !slices.Contains(Categories(), o.Category) {
		return nil, fault.BadField("category", "must be one of %s", strings.Join(Categories(), ", "))
	}
	if o.Protocol != "" && !slices.Contains(Versions(), o.Protocol) {
		return nil, fault.BadField("protocol", "must be one of %s", strings.Join(Versions(), ", "))
	}
	if err := safeToSend(u, o.Token); err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = patience
	}
	if o.Pause <= 0 {
		o.Pause = quietTime
	}
	if o.listen <= 0 {
		o.listen = listening
	}
	r := &run{opt: o, url: u, wire: newWire(u, o.Transport, o.Timeout, o.Token, o.Other), started: time.Now()}
	r.wire.watch = r.observe
	r.report = &Report{URL: u.String(), Category: o.Category, Started: r.started.UTC(), Results: []Result{}}
	return r, nil
}

// endpoint is raw as a URL that can be tested.
func endpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return nil, fault.BadField("url", "must be the URL of an MCP endpoint, like https://mcp.example.com/mcp")
	case u.User != nil:
		return nil, fault.BadField("url", "must not hold a user name or password")
	case u.Fragment != "":
		return nil, fault.BadField("url", "must not have a fragment")
	}
	return u, nil
}

// safeToSend keeps tokens off wires where others listen.
func safeToSend(u *url.URL, token string) error {
	if token != "" && u.Scheme != "https" && !loopback(u.Hostname()) {
		return fault.BadField("url", "a token is never sent over plain http beyond this machine: use https://%s", u.Host)
	}
	return nil
}
