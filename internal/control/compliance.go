package control

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/mcptest"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// Bounds of compliance tests that this node makes.
const (
	maxTests  = 4 // at once, on different hosts
	testAgain = 10 * time.Second
)

// TestMCPServer is the argument of a compliance test of a host's MCP endpoint.
type TestMCPServer struct {
	Hostname string       `json:"hostname" jsonschema:"the host; one name, no wildcard"`
	Category string       `json:"category,omitempty" jsonschema:"one of session_basic, session_advanced, tools_basic, tools_advanced, protocol, transport, security, auth, all; absent: all"`
	Protocol string       `json:"protocol,omitempty" jsonschema:"protocol version to speak; absent: the newest that the server has"`
	Token    store.Secret `json:"token,omitempty" jsonschema:"an access token for the host's resource; it is not kept and not logged. Absent: the endpoint is asked as nobody"`
}

// ComplianceTest is a test that is about to run. Run or Drop must be called.
type ComplianceTest struct {
	options mcptest.Options
	release func()
}

// PrepareTest checks that a host can be tested, and takes a place among the tests
// that run. The test asks this node's own public listener and can reach nothing
// else, whatever the endpoint answers.
func (c *Control) PrepareTest(ctx context.Context, in TestMCPServer) (*ComplianceTest, error) {
	row, err := c.proxy(ctx, in.Hostname)
	if err != nil {
		return nil, err
	}
	p, name := &row.Value, in.Hostname
	switch {
	case c.deps.Self == nil:
		return nil, fault.New(fault.Unavailable, "this node has no public listener to test by")
	case strings.HasPrefix(p.Hostname, "*"):
		return nil, fault.BadField("hostname", "must be one name: a wildcard has no address of its own")
	case !p.Enabled || c.world().Host(p.Hostname) == nil:
		return nil, fault.New(fault.Unavailable, "%s is not served now", name)
	case !p.EnableHTTPS || p.TLSMode != site.TLSTerminate:
		return nil, fault.BadField("hostname", "must be a host that is served over HTTPS by this node itself")
	case len(in.Token.Reveal()) > 16<<10 || strings.ContainsFunc(in.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, fault.BadField("token", "is an access token: visible ASCII without spaces, at most 16 KiB")
	}
	origin := c.deps.Origins.Of(p.Hostname, true)
	o := mcptest.Options{
		URL: origin + endpointOf(p), Transport: c.deps.Self, Category: in.Category, Protocol: in.Protocol, Token: in.Token.Reveal(),
		QueryToken: true, // our own log masks it
		Reach:      c.ownOrigin,
	}
	if _, err := mcptest.Plan(o); err != nil {
		return nil, err
	}
	release, err := c.tests.take(p.Hostname)
	if err != nil {
		return nil, err
	}
	return &ComplianceTest{options: o, release: release}, nil
}

// endpointOf is the path of a host's MCP endpoint.
func endpointOf(p *site.Proxy) string {
	if p.ResourceEndpoint != "" {
		return p.ResourceEndpoint
	}
	return "/mcp"
}

// ownOrigin reports whether u is at a host that this node serves.
func (c *Control) ownOrigin(u *url.URL) bool {
	name := strings.ToLower(u.Hostname())
	return c.world().Find(name) != nil && u.Scheme+"://"+u.Host == c.deps.Origins.Of(name, true)
}

// Run makes the test and gives every result as it comes.
func (t *ComplianceTest) Run(ctx context.Context, each func(mcptest.Result)) (*mcptest.Report, error) {
	defer t.release()
	t.options.Each = each
	return mcptest.Test(ctx, t.options)
}

// Drop gives the place back of a test that will not run.
func (t *ComplianceTest) Drop() { t.release() }

// tests are the hosts that are being tested. The zero value is none.
type tests struct {
	mu      sync.Mutex
	running []string
}

func (t *tests) take(hostname string) (release func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case slices.Contains(t.running, hostname):
		return nil, &fault.Error{Kind: fault.TooMany, Public: hostname + " is being tested already", RetryAfter: testAgain}
	case len(t.running) >= maxTests:
		return nil, &fault.Error{Kind: fault.TooMany, Public: "too many hosts are being tested now", RetryAfter: testAgain}
	}
	t.running = append(t.running, hostname)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.running = slices.DeleteFunc(t.running, func(h string) bool { return h == hostname })
	}, nil
}
