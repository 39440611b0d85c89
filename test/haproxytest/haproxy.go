// Package haproxytest runs a real HAProxy for tests.
package haproxytest

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/test/freeport"
)

// patience bounds every wait for HAProxy.
const patience = 20 * time.Second

// Server is an HAProxy that runs in the foreground, from a configuration of the test's.
type Server struct {
	socket string
	log    string
	cmd    *exec.Cmd
	done   chan struct{}
}

// Start runs HAProxy until the test ends, and returns when it listens. config is
// what stands behind the global section: defaults, frontends, backends.
func Start(t testing.TB, config string) *Server {
	t.Helper()
	path := program(t)
	dir, err := os.MkdirTemp("", "haproxy-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{socket: filepath.Join(dir, "admin.sock"), log: filepath.Join(dir, "log"), done: make(chan struct{})}
	file := filepath.Join(dir, "haproxy.cfg")
	text := "global\n  maxconn 2000\n  stats socket " + s.socket + " mode 600 level admin\n  stats timeout 10s\n" + config + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, path, file)
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) run(t testing.TB, path, file string) {
	t.Helper()
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(path, "-db", "-f", file) //nolint:gosec // arguments are ours
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(s.done); _ = s.cmd.Wait() }()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		// All listeners are bound before this one answers.
		if answer, err := s.command("show info"); err == nil && strings.Contains(answer, "Pid:") {
			return
		}
		select {
		case <-s.done:
			t.Fatalf("HAProxy ended:\n%s", s.Log())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("HAProxy does not answer:\n%s", s.Log())
		}
	}
}

// Stop ends HAProxy and all its connections. Stopping twice is fine.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	<-s.done
}

// Log is what HAProxy has printed.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Command asks HAProxy's socket, "disable server nodes/a" for one, and answers
// what it says.
func (s *Server) Command(t testing.TB, line string) string {
	t.Helper()
	answer, err := s.command(line)
	if err != nil {
		t.Fatalf("HAProxy, asked to %s: %v", line, err)
	}
	return answer
}

func (s *Server) command(line string) (string, error) {
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// Address is a free address on loopback for a frontend.
func Address(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(freeport.Of(t)))
}

// program is HAProxy's path. Without it the test skips with one line, or fails
// where nothing may be skipped.
func program(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} { // no user's PATH has sbin
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "haproxy is not here (Debian package haproxy)"
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
		t.Fatal(missing + " and nothing may be skipped")
	}
	t.Skip(missing)
	return ""
}
