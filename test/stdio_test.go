package test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// stdioServer is test/stdioserver, where every account may run it.
func stdioServer(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-stdio-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "stdioserver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./stdioserver").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// TestAProgramBecomesAProtectedServer by one command, for clients of both eras.
func TestAProgramBecomesAProtectedServer(t *testing.T) {
	t.Parallel()
	program := stdioServer(t)
	s := start(t, []string{"SEARCH_KEY=key-of-the-search"}, "protect", "tools.localhost", "--allow", "local:alice", "--env", "SEARCH_KEY", "--stdio", "--", program)
	o := &office{server: s, alice: s.person(), bob: s.person(), ca: s.must("ca", "export"), web: s.trusting()}
	o.alice.becomeAdmin()
	if got := get(t, o.web, s.url("tools.localhost", "/mcp")); got.StatusCode != 401 {
		t.Errorf("a stranger gets %d", got.StatusCode)
	}
	var pids []int
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		c := o.alice.assistant(t, o.mcp("tools"), version)
		if got := c.InitializeResult().ProtocolVersion; got != version {
			t.Errorf("they speak %s", got)
		}
		if got := offered(t, c); !slices.Equal(got, []string{"count", "delete_all", "key", "pid"}) {
			t.Errorf("offered: %v", got)
		}
		does(t, c, "count", nil)
		if got := does(t, c, "count", nil); got != "2" {
			t.Errorf("the second call is the %s.", got)
		}
		if got := does(t, c, "key", nil); got != "key-of-the-search" {
			t.Errorf("the program's variable is %q", got)
		}
		pid, err := strconv.Atoi(does(t, c, "pid", nil))
		if err != nil || syscall.Kill(pid, 0) != nil {
			t.Fatalf("%d is no process: %v", pid, err)
		}
		pids = append(pids, pid)
	}
	if pids[0] == pids[1] {
		t.Error("two clients share a process")
	}
	s.local("proxy", "update", "tools.localhost", "--set", `mcp_tools=[{"tools":["delete_*"],"action":"deny"}]`)
	c := o.alice.assistant(t, o.mcp("tools"), "2025-11-25")
	if got := offered(t, c); slices.Contains(got, "delete_all") {
		t.Errorf("offered against the rules: %v", got)
	}
	if _, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "delete_all"}); err == nil {
		t.Error("called against the rules")
	}
	if log := s.local("log", "search", "kind:mcp tool:count", "--format", "json"); !strings.Contains(log, `"target":"stdio:tools-localhost"`) {
		t.Errorf("calls are not in the log: %s", log)
	}
	if got := s.local("backend", "list", "--format", "json"); !strings.Contains(got, `"stdio:tools-localhost"`) || strings.Contains(got, "key-of-the-search") {
		t.Errorf("backend list: %s", got)
	}
	s.kill()
	for _, pid := range pids {
		for deadline := time.Now().Add(10 * time.Second); !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d outlives Gatehouse", pid)
			}
		}
	}
}

// TestOnlyThisMachineSaysWhatRuns: proxies name programs and sockets; what those
// are comes from no API, import or other store.
func TestOnlyThisMachineSaysWhatRuns(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve")
	for _, target := range []string{"stdio:evil", "unix:evil", "stdio:../evil", "stdio:/bin/sh"} {
		if _, errs, code := s.cli("--local", "proxy", "create", "x.localhost", target); code != 2 || !strings.Contains(errs, "target_url") {
			t.Errorf("%s: %d %s", target, code, errs)
		}
	}
	got := s.signed(t, "POST", "/proxies/", `{"proxy_hostname":"x.localhost","target_url":"stdio:evil","command":"/bin/sh"}`)
	if got.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a command by API: %d %s", got.StatusCode, got.Body)
	}
	if entries, err := os.ReadDir(filepath.Join(s.dir, "local.d")); err == nil && len(entries) > 0 {
		t.Errorf("something was written: %v", entries)
	}
	if _, errs, code := s.cli("backend", "add", "evil", "--", "./no such/../thing"); code != 0 {
		t.Errorf("what this machine's administrator defines is taken: %d %s", code, errs)
	}
	s.local("proxy", "create", "x.localhost", "stdio:evil", "--mcp")
	if _, errs, code := s.cli("backend", "remove", "evil"); code != 0 {
		t.Fatalf("%d %s", code, errs)
	}
	if got := ask(t, s.trusting(), "POST", s.url("x.localhost", "/mcp"), `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Content-Type: application/json"); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a name that is gone answers %d %s", got.StatusCode, got.Body)
	}
}

// TestASocketBecomesATarget by a name that is defined on this machine.
func TestASocketBecomesATarget(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "by socket for "+r.Host) })}
	go func() { _ = backend.Serve(l) }()
	t.Cleanup(func() { _ = backend.Close() })
	s := start(t, nil, "serve")
	if _, errs, code := s.cli("backend", "add", "app", "--socket", socket); code != 0 {
		t.Fatalf("%d %s", code, errs)
	}
	s.local("proxy", "create", "app.localhost", "unix:app")
	if got := get(t, s.trusting(), s.url("app.localhost", "/")); got.Body != "by socket for app.localhost"+strings.TrimPrefix(s.HTTPS, "https://localhost") {
		t.Errorf("%d %s", got.StatusCode, got.Body)
	}
	if err := os.Rename(socket, socket+".gone"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := get(t, s.trusting(), s.url("app.localhost", "/")); got.StatusCode != 200 && got.StatusCode != 502 {
			t.Errorf("%d %s", got.StatusCode, got.Body)
		}
	}
}
