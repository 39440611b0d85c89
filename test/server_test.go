package test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// server is one running gatehouse with a DATA_DIR of its own.
type server struct {
	t    *testing.T
	dir  string
	args []string
	env  []string
	own  string // address of the ports of its hosts: no other server of a test has it
	cmd  *exec.Cmd
	done chan struct{}

	HTTP   string `json:"http"` // "http://localhost:PORT"
	HTTPS  string `json:"https"`
	Direct string `json:"direct"`
	Socket string `json:"socket"`
	PID    int    `json:"pid"`

	mu     sync.Mutex
	stderr strings.Builder
}

// start runs gatehouse with args on free ports and waits until it serves.
func start(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), args: args, env: env}
	s.run()
	t.Cleanup(s.stop)
	return s
}

var servers atomic.Uint32

// ownAddress is a loopback address that nothing else on this machine listens on,
// other processes with tests included.
func ownAddress() string {
	pid, n := os.Getpid(), servers.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 10+pid/251%240, pid%251, 1+n%250)
}

// environ is what a program of this server's gets: nothing of ours but PATH and HOME.
func (s *server) environ() []string {
	if s.own == "" {
		s.own = ownAddress()
	}
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_CONFIG_HOME=" + filepath.Join(s.dir, "config"),
		"DATA_DIR=" + filepath.Join(s.dir, "data"), "SERVER_HOST=127.0.0.1", "HTTP_PORT=" + port(s.HTTP), "HTTPS_PORT=" + port(s.HTTPS),
		"API_LISTEN=127.0.0.1:" + port(s.Direct), "PROXY_INSTANCE_LISTEN=" + s.own, "LOG_FORMAT=text", "NO_COLOR=1",
	}, s.env...)
}

// commandEnviron is environ for a command: the race detector otherwise waits a
// second at each end for reports of goroutines that a command does not have.
func (s *server) commandEnviron() []string {
	return append(s.environ(), "GORACE=atexit_sleep_ms=0")
}

// port is the port of an address that the program had in its last run, so that
// it is reached alike after a restart; any free one before the first.
func port(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" {
		return "0"
	}
	return u.Port()
}

func (s *server) run() {
	s.t.Helper()
	listen := filepath.Join(s.dir, "data", "listen.json")
	_ = os.Remove(listen) // the last run's, when there was one
	s.cmd = exec.Command(binary, s.args...)
	s.cmd.Env, s.cmd.Dir = s.environ(), s.dir
	out, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan struct{})
	read := make(chan struct{})
	go func() { defer close(read); s.keep(out) }()
	go func() { <-read; _ = s.cmd.Wait(); close(s.done) }()
	s.await(20*time.Second, "listen.json", func() bool {
		b, err := os.ReadFile(listen)
		return err == nil && json.Unmarshal(b, s) == nil && s.PID == s.cmd.Process.Pid
	})
	s.await(10*time.Second, "health", func() bool {
		res, err := s.client().Get(s.Direct + "/health")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

func (s *server) keep(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s.mu.Lock()
		s.stderr.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
	}
}

// said is all that the program wrote to stderr so far.
func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// await polls until ok, and fails the test with what the program said otherwise.
func (s *server) await(limit time.Duration, what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		select {
		case <-s.done:
			s.t.Fatalf("gatehouse ended while we waited for %s:\n%s", what, s.said())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no %s within %v:\n%s", what, limit, s.said())
		}
	}
}

// kill ends the program as a power cut would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// stop ends the program as an operator would, and wants a clean end.
func (s *server) stop() {
	select {
	case <-s.done:
		return
	default:
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(40 * time.Second):
		s.t.Errorf("gatehouse did not end on SIGTERM:\n%s", s.said())
		s.kill()
	}
	said := s.said()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("gatehouse ended with exit code %d on SIGTERM", code)
	}
	if strings.Contains(said, "DATA RACE") || strings.Contains(said, "panic:") {
		s.t.Errorf("gatehouse said:\n%s", said)
	}
	if s.t.Failed() {
		s.t.Logf("gatehouse said:\n%s", said)
	}
}

var setupLink = regexp.MustCompile(`https?://[^\s]*/setup\?[^\s]+`)

// setup is the link that the program printed for the first administrator.
func (s *server) setup() string {
	s.t.Helper()
	s.await(5*time.Second, "setup link", func() bool { return setupLink.MatchString(s.said()) })
	return setupLink.FindString(s.said())
}

// cli runs a command of the program and gives what it printed and its exit code.
func (s *server) cli(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	return s.cliIn("", args...)
}

func (s *server) cliIn(stdin string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir, cmd.Stdin = s.commandEnviron(), s.dir, strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		s.t.Fatalf("gatehouse %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), code
}

// command is one that runs on while the test does something.
type command struct {
	t              *testing.T
	stdout, stderr buffer
	done           chan struct{}
	code           int
}

// background starts a command of the program.
func (s *server) background(args ...string) *command {
	s.t.Helper()
	c := &command{t: s.t, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.commandEnviron(), s.dir, &c.stdout, &c.stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		_ = cmd.Wait() // its exit code is what counts
		c.code = cmd.ProcessState.ExitCode()
	}()
	return c
}

func (c *command) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// wait wants the command to end well.
func (c *command) wait() {
	c.t.Helper()
	<-c.done
	if c.code != 0 {
		c.t.Fatalf("exit %d\n%s%s", c.code, c.stdout.String(), c.stderr.String())
	}
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// must is cli for a command that has to work; it gives what was printed.
func (s *server) must(args ...string) string {
	s.t.Helper()
	out, errs, code := s.cli(args...)
	if code != 0 {
		s.t.Fatalf("gatehouse %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// local is must with the machine administrator's key.
func (s *server) local(args ...string) string {
	s.t.Helper()
	return s.must(append([]string{"--local"}, args...)...)
}

// roots trusts the local CA that `ca export` printed.
func (s *server) roots() *x509.CertPool {
	s.t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(s.must("ca", "export"))) {
		s.t.Fatal("ca export printed no certificate")
	}
	return pool
}

// client resolves names under localhost to loopback as browsers do, keeps no
// cookies and follows no redirects.
func (s *server) client() *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DialContext: loopback, DisableKeepAlives: true},
	}
}

// trusting is client with the local CA trusted.
func (s *server) trusting() *http.Client {
	c := s.client()
	c.Transport = &http.Transport{DialContext: loopback, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: s.roots()}}
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

func loopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// url is the HTTPS address of a path on a host.
func (s *server) url(host, path string) string {
	u, err := url.Parse(s.HTTPS)
	if err != nil {
		s.t.Fatal(err)
	}
	return "https://" + host + ":" + u.Port() + path
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	Body string
}

// get asks with header lines "Name: value".
func get(t *testing.T, c *http.Client, url string, headers ...string) answer {
	t.Helper()
	return ask(t, c, "GET", url, "", headers...)
}

func ask(t *testing.T, c *http.Client, method, url, body string, headers ...string) answer {
	t.Helper()
	got, err := send(t.Context(), c, method, url, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return got
}

// send is ask for those who are not the test's own goroutine.
func send(ctx context.Context, c *http.Client, method, url, body string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	res, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res, string(b)}, err
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
}
