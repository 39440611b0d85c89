package test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// office is one server whose protected MCP hosts real clients meet, each client a
// host of its own. Its people are alice, who is on the hosts' lists, and bob, who
// has an account and is on none.
type office struct {
	*server
	alice, bob *person
	ca         string // as `ca export` prints it
	web        *http.Client
}

// shortLife makes access tokens expire after three seconds: clients that look at
// the clock refresh before every call, the others when they are refused.
const shortLife = "OAUTH_ACCESS_TOKEN_LIFETIME=3"

func newOffice(t *testing.T, env []string, hosts ...string) *office {
	t.Helper()
	s := start(t, env, "protect", hosts[0]+".localhost", "internal:demo", "--mcp", "--allow", "local:alice")
	for _, name := range hosts[1:] {
		s.local("proxy", "create", name+".localhost", "internal:demo", "--auth", "--mcp", "--allow", "local:alice")
	}
	o := &office{server: s, alice: s.person(), bob: s.person(), ca: s.must("ca", "export"), web: s.trusting()}
	o.alice.becomeAdmin()
	if _, errs, code := s.cliIn(adminPassword+"\n", "--local", "oauth", "user", "add", "bob", "--scopes", "user,mcp"); code != 0 {
		t.Fatal(errs)
	}
	o.bob.signIn(o.bob.follow(s.url("auth.localhost", "/signin")), "bob", adminPassword)
	return o
}

// mcp is the address that a client is told.
func (o *office) mcp(host string) string { return o.url(host+".localhost", "/mcp") }

// refreshes counts the refreshes at a host in the server's own log.
func (o *office) refreshes(host string) int {
	return o.logged(host, func(e flowEntry) bool {
		return e.Action == "token" && e.Message == "refresh_token" && e.Result == "allowed"
	})
}

// flowEntry is an entry of `gatehouse log oauth`.
type flowEntry struct {
	Action  string `json:"action"`
	Message string `json:"message"`
	Proxy   string `json:"proxy"`
	Result  string `json:"auth_result"`
	Reason  string `json:"auth_reason"`
	Error   string `json:"error"`
}

func (o *office) logged(host string, is func(flowEntry) bool) int {
	o.t.Helper()
	var page struct {
		Logs []flowEntry `json:"logs"`
	}
	decode(o.t, o.local("log", "oauth", "--limit", "1000", "--format", "json"), &page)
	n := 0
	for _, e := range page.Logs {
		if e.Proxy == host+".localhost" && is(e) {
			n++
		}
	}
	return n
}

// npm is the folder with the clients that scripts/test installs from npm. Without
// them the test skips with one line, or fails where nothing may be skipped.
func npm(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("npm")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := os.ReadFile(filepath.Join(dir, "node_modules", ".installed"))
	switch {
	case err == nil && bytes.Equal(stamp, lock):
	case os.Getenv("GATEHOUSE_TEST_REQUIRE") != "":
		t.Fatal("the clients that test/npm locks are not here and nothing may be skipped (scripts/test installs them)")
	default:
		t.Skip("the clients that test/npm locks are not here (scripts/test installs them)")
	}
	return dir
}

// node is Node 22, which some clients need: npm brings it for Linux; elsewhere it
// is the machine's.
func node(t *testing.T) string {
	t.Helper()
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	path := filepath.Join(npm(t), "node_modules", "node-linux-"+arch, "bin", "node")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return need(t, "node", "Node 22 or later")
}

// desktop is where a client runs: a home of its own and a browser that does no
// more than note what it is asked to open.
type desktop struct {
	o      *office
	home   string
	opened string // a line for each address
	seen   int
}

func (o *office) desktop() *desktop {
	o.t.Helper()
	d := &desktop{o: o, home: o.t.TempDir()}
	d.opened = filepath.Join(d.home, "opened")
	d.write("ca.pem", o.ca, 0o600)
	d.write("browser", "#!/bin/sh\nprintf '%s\\n' \"$1\" >>'"+d.opened+"'\n", 0o700)
	return d
}

func (d *desktop) write(name, text string, mode os.FileMode) {
	d.o.t.Helper()
	if err := os.WriteFile(filepath.Join(d.home, name), []byte(text), mode); err != nil {
		d.o.t.Fatal(err)
	}
}

// node is a Node program on this desktop, as a command to start.
func (d *desktop) node(script string, args ...string) *exec.Cmd {
	dir := npm(d.o.t)
	cmd := exec.CommandContext(d.o.t.Context(), node(d.o.t), append([]string{filepath.Join(dir, script)}, args...)...)
	cmd.Dir = d.home
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.home, "NO_COLOR=1", "BROWSER=" + filepath.Join(d.home, "browser"),
		"NODE_EXTRA_CA_CERTS=" + filepath.Join(d.home, "ca.pem"), "NODE_OPTIONS=--import=file://" + filepath.Join(dir, "lookup.mjs"),
	}
	return cmd
}

// program is a started client.
type program struct {
	*command
	d     *desktop
	stdin io.Writer
	waits string // what it prints once it listens for the browser's return, where it opens the browser before
}

// run starts one of our scripts.
func (d *desktop) run(script string, args ...string) *program {
	d.o.t.Helper()
	return d.start(d.node(script, args...))
}

func (d *desktop) start(cmd *exec.Cmd) *program {
	d.o.t.Helper()
	p := &program{command: &command{t: d.o.t, done: make(chan struct{})}, d: d}
	in, err := cmd.StdinPipe()
	if err != nil {
		d.o.t.Fatal(err)
	}
	p.stdin, cmd.Stdout, cmd.Stderr = in, &p.stdout, &p.stderr
	if err := cmd.Start(); err != nil {
		d.o.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // its exit code is what counts
		p.code = cmd.ProcessState.ExitCode()
	}()
	return p
}

func (p *program) printed() string { return p.stdout.String() + p.stderr.String() }

// browser waits until the client has opened the browser once more, and gives the
// address.
func (p *program) browser() string {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Logf("the client said:\n%s", p.printed())
		}
	}()
	var lines []string
	p.d.o.await(30*time.Second, "address in the browser", func() bool {
		b, _ := os.ReadFile(p.d.opened) // not there before the first
		lines = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		return (len(b) > 0 && len(lines) > p.d.seen) || p.ended()
	})
	if len(lines) <= p.d.seen || lines[0] == "" {
		p.t.Fatalf("the client ended with %d before it opened the browser:\n%s", p.code, p.printed())
	}
	p.d.o.await(10*time.Second, "client that waits", func() bool { return strings.Contains(p.printed(), p.waits) || p.ended() })
	p.d.seen++
	return lines[p.d.seen-1]
}

// times is how often the client has opened the browser.
func (d *desktop) times() int {
	b, _ := os.ReadFile(d.opened)
	return bytes.Count(b, []byte("\n"))
}

// end waits for the client to end and gives its exit code.
func (p *program) end() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(45 * time.Second):
		p.t.Fatalf("the client does not end:\n%s", p.printed())
	}
	return p.code
}

// works wants the client to end well.
func (p *program) works() {
	p.t.Helper()
	if code := p.end(); code != 0 {
		p.t.Fatalf("the client ended with %d:\n%s", code, p.printed())
	}
}

// steps are the lines of JSON that the client printed.
func (p *program) steps() []map[string]any {
	p.t.Helper()
	var all []map[string]any
	for line := range strings.Lines(p.stdout.String()) {
		var step map[string]any
		if err := json.Unmarshal([]byte(line), &step); err != nil {
			p.t.Fatalf("not a step: %s\n%s", line, p.stderr.String())
		}
		all = append(all, step)
	}
	return all
}

// step is the one step of that name.
func (p *program) step(name string) map[string]any {
	p.t.Helper()
	for _, s := range p.steps() {
		if s["step"] == name {
			return s
		}
	}
	p.t.Fatalf("the client did not get to %q:\n%s", name, p.printed())
	return nil
}

// knows wants a step at which the tool knew alice.
func (p *program) knows(step string) {
	p.t.Helper()
	if got := p.step(step); got["user"] != "local:alice" {
		p.t.Errorf("%s: the tool was told %v", step, got)
	}
}

// lets answers with Allow, and follows the way back to the client.
func (p *person) lets(at string) {
	p.s.t.Helper()
	back := p.answers(at, "allow", http.StatusOK)
	if back.Query().Get("code") == "" || back.Query().Get("iss") == "" {
		p.s.t.Fatalf("the client is given %s", back)
	}
	p.returns(back)
}

// returns brings the browser back to the client.
func (p *person) returns(back *url.URL) {
	p.s.t.Helper()
	get(p.s.t, p.c, back.String(), "Accept: text/html")
}

// refuses brings the client access_denied instead of a code: by Cancel, or from
// the page that says that this person has no access.
func (p *person) refuses(at string, status int) *url.URL {
	p.s.t.Helper()
	back := p.answers(at, "deny", status)
	if q := back.Query(); q.Get("error") != "access_denied" || q.Get("iss") == "" || q.Has("code") {
		p.s.t.Errorf("the client is told %s, want access_denied", back)
	}
	return back
}

// denial is a way in which a client meets a person who is denied, and what the
// client is told beside access_denied.
type denial struct {
	how, says string
	deny      func(at string) *url.URL // the way back to the client
}

func (o *office) denials() []denial {
	return []denial{
		{"Cancel", "The person did not allow it", func(at string) *url.URL { return o.alice.refuses(at, http.StatusOK) }},
		{"not listed", "This person is not let in on ", func(at string) *url.URL { return o.bob.refuses(at, http.StatusForbidden) }},
	}
}

// denied starts a client for each way of being denied: it ends by itself, says
// why, and has opened the browser once.
func (o *office) denied(t *testing.T, start func(*desktop) *program) {
	t.Helper()
	for _, denial := range o.denials() {
		d := o.desktop()
		p := start(d)
		o.bob.returns(denial.deny(p.browser()))
		if code := p.end(); code == 0 || !strings.Contains(p.printed(), denial.says) || d.times() != 1 {
			t.Errorf("%s: exit %d after opening the browser %d times\n%s", denial.how, code, d.times(), p.printed())
		}
		if strings.Contains(p.printed(), "local:alice") {
			t.Errorf("%s: the client called all the same:\n%s", denial.how, p.printed())
		}
	}
}

// as lets the office's failures be those of a part of a test.
func (o *office) as(t *testing.T, run func()) {
	whole := o.t
	o.t = t
	defer func() { o.t = whole }()
	run()
}
