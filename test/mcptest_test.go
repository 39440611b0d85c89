package test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// compliance is what of a report of `mcp test --json` is looked at here.
type compliance struct {
	Protocol string `json:"protocol"`
	Results  []struct {
		Check, Status, Detail string
	} `json:"results"`
	Totals struct{ Checks, Passed, Failed, Warned, Skipped int } `json:"totals"`
}

// keep writes a secret into a file of its own.
func keep(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(strings.TrimSpace(text)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestOurOwnServersPassTheComplianceTest has the real program test the real program,
// as a person would, in every protocol version.
func TestOurOwnServersPassTheComplianceTest(t *testing.T) {
	t.Parallel()
	o := newOffice(t, []string{"RATE_LIMITS=off"}, "first") // a test presents many bad tokens
	for name, at := range map[string]string{"gatehouse": o.url("auth.localhost", "/mcp"), "demo": o.mcp("first")} {
		t.Run(name, func(t *testing.T) {
			o.as(t, func() {
				mine := o.alice.login("--resource", at, "--print-token")
				flags := []string{"--token-file", keep(t, mine), "--json", "--pause", "100ms"}
				if name == "gatehouse" {
					flags = append(flags, "--other-token-file", keep(t, o.bob.login("--resource", at, "--print-token")))
				}
				versions := []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}
				if !whole() {
					versions = versions[3:] // one with sessions and the one without
				}
				for _, version := range versions {
					o.complies(t, at, version, strings.TrimSpace(mine), flags)
				}
			})
		})
	}
}

func (o *office) complies(t *testing.T, at, version, token string, flags []string) {
	t.Helper()
	out, errs, code := o.cli(append([]string{"mcp", "test", at, "--protocol", version}, flags...)...)
	if code != 0 || errs != "" || strings.Contains(out, token) {
		t.Errorf("%s: exit %d %s", version, code, errs)
	}
	var report compliance
	decode(t, out, &report)
	for _, r := range report.Results {
		if r.Status == "fail" || r.Status == "warn" {
			t.Errorf("%s: %s %s: %s", version, r.Status, r.Check, r.Detail)
		}
	}
	if report.Protocol != version || report.Totals.Passed < 75 {
		t.Errorf("%s: spoken %s, %+v", version, report.Protocol, report.Totals)
	}
	t.Logf("%s: %+v", version, report.Totals)
}

// TestToolsAreListedAndCalledFromTheCommandLine goes by the token of the environment,
// which counts at the endpoint that it is for, and nowhere else.
func TestToolsAreListedAndCalledFromTheCommandLine(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, "first")
	token := keep(t, o.alice.login("--resource", o.mcp("first"), "--print-token"))
	if out := o.must("mcp", "tools", o.mcp("first"), "--token-file", token, "--format", "table"); !strings.Contains(out, "whoami") || !strings.Contains(out, "Adds two numbers.") {
		t.Errorf("listed:\n%s", out)
	}
	var sum struct{ Sum float64 }
	decode(t, o.must("mcp", "call", o.mcp("first"), "add", "a=2", "b=3", "--token-file", token), &sum)
	if sum.Sum != 5 {
		t.Errorf("the sum is %v", sum)
	}
	if out, errs, code := o.cli("mcp", "call", o.mcp("first"), "add", `{"a": "x"}`, "--token-file", token); code != 1 || !strings.Contains(errs, "failed") {
		t.Errorf("a call that fails: exit %d\n%s%s", code, out, errs)
	}
	secret, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	if _, errs, _ := o.cli("mcp", "test", o.mcp("first"), "auth", "--token-file", token, "--debug"); !strings.Contains(errs, "> POST ") || strings.Contains(errs, strings.TrimSpace(string(secret))) {
		t.Errorf("--debug shows the token, or nothing:\n%s", errs)
	}
	signing := o.background("mcp", "call", o.mcp("first"), "whoami", "--sign-in")
	o.await(20*time.Second, "device code", func() bool { return codeLine.MatchString(signing.stderr.String()) || signing.ended() })
	o.alice.approve(codeLine.FindString(signing.stderr.String()))
	if signing.wait(); !strings.Contains(signing.stdout.String(), "local:alice") {
		t.Errorf("signed in for the endpoint: %s%s", signing.stdout.String(), signing.stderr.String())
	}
	if _, errs, code := o.cli("mcp", "tools", o.mcp("first")); code != 3 || !strings.Contains(errs, "oauth login --resource") {
		t.Errorf("without a token: exit %d %s", code, errs)
	}
}

// TestSessionsStayApartUnderLoad stresses an MCP server with sessions behind a host
// with sign-in: many sessions of one person, all through Gatehouse.
func TestSessionsStayApartUnderLoad(t *testing.T) {
	o := newOffice(t, []string{"RATE_LIMITS=off"}, "first")
	tools := mcp.NewServer(&mcp.Implementation{Name: "everything", Version: "1"}, nil)
	type text struct {
		Text string `json:"text"`
	}
	mcp.AddTool(tools, &mcp.Tool{Name: "echo", Description: "Says a text back.", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}},
		func(_ context.Context, _ *mcp.CallToolRequest, in text) (*mcp.CallToolResult, text, error) {
			return nil, in, nil
		})
	backend := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true}))
	t.Cleanup(func() { backend.CloseClientConnections(); backend.Close() })
	o.local("proxy", "create", "load.localhost", backend.URL, "--auth", "--mcp", "--allow", "local:alice")
	sessions, duration := "60", "2s"
	if whole() {
		sessions, duration = "500", "15s"
	}
	at := o.mcp("load")
	token := keep(t, o.alice.login("--resource", at, "--print-token"))
	out, errs, code := o.cli("mcp", "stress", at, sessions, "--duration", duration, "--token-file", token, "--json")
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	var r struct {
		Sessions  struct{ Opened, Active int }
		Calls     int
		Errors    int
		Rate      float64 `json:"calls_per_second"`
		Latency   map[string]float64
		Isolation struct {
			OK      bool
			Checked int `json:"answers_checked"`
		}
		Recovery struct {
			Tried   bool
			Gone    int `json:"answered_404"`
			Renewed int `json:"begun_anew"`
		}
	}
	decode(t, out, &r)
	if strconv.Itoa(r.Sessions.Opened) != sessions || r.Sessions.Active != r.Sessions.Opened || r.Errors > 0 || !r.Isolation.OK || r.Isolation.Checked < r.Sessions.Opened ||
		!r.Recovery.Tried || r.Recovery.Gone != 20 || r.Recovery.Renewed != 20 {
		t.Errorf("%+v", r)
	}
	t.Logf("%s sessions: %+v", sessions, r)
}
