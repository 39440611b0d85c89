package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// everything is the Go SDK's own server with all that the official conformance
// suites ask for, in all versions: one process with sessions, one without, and a
// front that chooses between them as the protocol has it.
func everything(t *testing.T) *httptest.Server {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "everything")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	backend := func(stateless string) *httputil.ReverseProxy {
		at := "127.0.0.1:" + freePort(t)
		runBeside(t, nil, binary, "-http", at, "-stateless="+stateless)
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			res, err := http.Get("http://" + at + "/mcp")
			if err == nil {
				res.Body.Close()
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		return &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: at}); r.Out.Host = r.In.Host }}
	}
	with, without := backend("false"), backend("true")
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		if r.Header.Get("Mcp-Protocol-Version") >= "2026" || bytes.Contains(body, []byte("io.modelcontextprotocol/protocolVersion")) {
			without.ServeHTTP(w, r)
			return
		}
		with.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front
}

// suite is one way to run a conformance package.
type suite struct {
	name, script string
	args         []string
	least        int // checks that it makes
}

var suites = []suite{
	{"0.1.16", "node_modules/conformance-0.1.16/dist/index.js", nil, 40},
	{"0.2.0 2025-11-25", "node_modules/@modelcontextprotocol/conformance/dist/index.js", []string{"--requirements", "2025-11-25"}, 80},
	{"0.2.0 2026-07-28", "node_modules/@modelcontextprotocol/conformance/dist/index.js", []string{"--requirements", "2026-07-28"}, 190},
}

// TestConformanceIsTheSameThroughGatehouse runs the official server suites at a
// server with everything, directly and through hosts with sign-in: the same
// checks end the same, one by one.
func TestConformanceIsTheSameThroughGatehouse(t *testing.T) {
	t.Parallel()
	node(t)
	o := newOffice(t, []string{"RATE_LIMITS=off"}, "first")
	server := everything(t)
	columns := map[string]string{"direct": server.URL + "/mcp"}
	for name, rules := range map[string]string{"plain": "[]", "ruled": `[{"tools":["*"],"action":"allow"}]`} {
		o.local("proxy", "create", name+".localhost", server.URL, "--auth", "--mcp", "--allow", "local:alice", "--set", "mcp_tools="+rules,
			"--set", "preserve_host_header=false")
		columns[name] = o.bridge(t, name)
	}
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			o.as(t, func() {
				want := o.outcome(t, s, columns["direct"])
				if len(want) < s.least {
					t.Fatalf("the suite made %d checks", len(want))
				}
				for _, name := range []string{"plain", "ruled"} {
					got := o.outcome(t, s, columns[name])
					for _, check := range slices.Sorted(maps.Keys(want)) {
						if got[check] != want[check] {
							t.Errorf("%s: %s directly, %s through the host %s", check, want[check], got[check], name)
						}
						delete(got, check)
					}
					for check, result := range got {
						t.Errorf("%s: %s through the host %s alone", check, result, name)
					}
				}
				t.Logf("%d checks: %s", len(want), tally(want))
			})
		})
	}
}

// bridge adds a person's token to what the suite sends, which knows none.
func (o *office) bridge(t *testing.T, host string) string {
	t.Helper()
	token := strings.TrimSpace(o.alice.login("--resource", o.mcp(host), "--print-token"))
	to, err := url.Parse(o.url(host+".localhost", ""))
	if err != nil {
		t.Fatal(err)
	}
	bridge := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, to.Host
			if strings.HasPrefix(r.In.Host, "127.0.0.1") || strings.HasPrefix(r.In.Host, "localhost") {
				r.Out.Header.Set("Authorization", "Bearer "+token)
				return
			}
			r.Out.Host = r.In.Host // a scenario pretends to be another host
		},
		Transport: o.web.Transport, FlushInterval: -1,
	})
	t.Cleanup(bridge.Close)
	return bridge.URL + "/mcp"
}

// outcome is how each check of a run ended: by scenario, check and turn.
func (o *office) outcome(t *testing.T, s suite, at string) map[string]string {
	t.Helper()
	d := o.desktop()
	p := d.run(s.script, append([]string{"server", "--url", at, "--output-dir", d.home}, s.args...)...)
	select {
	case <-p.done:
	case <-time.After(5 * time.Minute):
		t.Fatalf("the suite does not end:\n%s", p.printed())
	}
	reports, err := filepath.Glob(filepath.Join(d.home, "*", "checks.json"))
	if err != nil {
		t.Fatal(err)
	}
	stamp := regexp.MustCompile(`-\d{4}-\d\d-\d\dT.*$`)
	all := map[string]string{}
	for _, path := range reports {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var checks []conformanceCheck
		if err := json.Unmarshal(text, &checks); err != nil {
			t.Fatal(err)
		}
		turn := map[string]int{}
		for _, c := range checks {
			turn[c.ID]++
			all[fmt.Sprintf("%s/%s/%d", stamp.ReplaceAllString(filepath.Base(filepath.Dir(path)), ""), c.ID, turn[c.ID])] = c.Status
		}
	}
	if len(all) == 0 {
		t.Logf("the suite says:\n%s", p.printed())
	}
	return all
}

// tally counts results.
func tally(results map[string]string) string {
	n := map[string]int{}
	for _, r := range results {
		n[r]++
	}
	var parts []string
	for _, r := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%d %s", n[r], r))
	}
	return strings.Join(parts, ", ")
}
