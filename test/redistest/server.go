// Package redistest runs real Redis servers and Sentinels for tests, and a proxy
// that spoils the connection to one.
package redistest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"gatehouse/test/freeport"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a server.
const patience = 20 * time.Second

// Options say how a server is to be.
type Options struct {
	Password  string
	TLS       bool
	ReplicaOf *Server
	Args      []string // more of redis-server's
}

// Server is a redis-server on a loopback port, with its data in a folder of its own.
type Server struct {
	Port     int
	Password string
	CA       *x509.CertPool // of a server with TLS
	CAFile   string

	dir  string
	args []string
	log  string

	mu   sync.Mutex // guards cmd
	cmd  *exec.Cmd
	done chan struct{}
}

// Start runs a server until the test ends. Every answered change is on its disk.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	program(t, "redis-server", "Debian package redis-server")
	s := &Server{Port: freeport.Of(t), Password: o.Password, dir: t.TempDir()}
	s.log = filepath.Join(s.dir, "log")
	s.args = append([]string{"--bind", "127.0.0.1", "--dir", s.dir, "--logfile", s.log, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
		"--repl-diskless-sync-delay", "0"}, o.Args...)
	if o.TLS {
		s.certify(t)
	} else {
		s.args = append(s.args, "--port", strconv.Itoa(s.Port))
	}
	if o.Password != "" {
		s.args = append(s.args, "--requirepass", o.Password, "--masterauth", o.Password)
	}
	if o.ReplicaOf != nil {
		s.args = append(s.args, "--replicaof", "127.0.0.1", strconv.Itoa(o.ReplicaOf.Port))
	}
	s.Run(t)
	t.Cleanup(s.Kill)
	return s
}

// Written is all that the server has written to its disk, by file: its log, and
// each command that changed something, as it came.
func (s *Server) Written(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files[d.Name()], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Addr is where the server listens.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// URL is the server for REDIS_URL, without its password.
func (s *Server) URL() string {
	if s.CA != nil {
		return "rediss://" + s.Addr()
	}
	return "redis://" + s.Addr()
}

// Run starts the server, which has ended or never ran, and waits until it answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	cmd := exec.Command("redis-server", s.args...) //nolint:gosec // arguments are ours
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	s.mu.Lock()
	s.cmd, s.done = cmd, done
	s.mu.Unlock()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if out, err := s.cli(t, "ping"); err == nil && strings.TrimSpace(out) == "PONG" {
			return
		}
		select {
		case <-done:
			text, _ := os.ReadFile(s.log)
			t.Fatalf("redis-server ended:\n%s", text)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
	}
}

// Kill ends the server at once.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Pause stops the server without closing its connections; Resume lets it go on.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Empty deletes the data of a server that has ended.
func (s *Server) Empty(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, "appendonlydir")); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) end(how syscall.Signal) {
	s.signal(how)
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	<-done
}

func (s *Server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.cmd.Process.Signal(sig) // it may have ended
}

// CLI runs redis-cli with arguments and answers what it prints.
func (s *Server) CLI(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.cli(t, args...)
	if err != nil {
		t.Fatalf("redis-cli %q: %v\n%s", args, err, out)
	}
	return strings.TrimSuffix(out, "\n")
}

func (s *Server) cli(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	to := []string{"-p", strconv.Itoa(s.Port)}
	if s.CA != nil {
		to = append(to, "--tls", "--cacert", s.CAFile)
	}
	cmd := exec.CommandContext(ctx, program(t, "redis-cli", "Debian package redis-tools"), append(to, args...)...) //nolint:gosec // arguments are ours
	if s.Password != "" {
		cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+s.Password)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// certify gives the server a certificate of an authority of its own.
func (s *Server) certify(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.CAFile = filepath.Join(s.dir, "ca.pem")
	keyFile := filepath.Join(s.dir, "key.pem")
	for path, block := range map[string]*pem.Block{s.CAFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.CA = x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.CA.AddCert(cert)
	s.args = append(s.args, "--port", "0", "--tls-port", strconv.Itoa(s.Port), "--tls-cert-file", s.CAFile, "--tls-key-file", keyFile,
		"--tls-ca-cert-file", s.CAFile, "--tls-auth-clients", "no")
}

// TLSConfig trusts the server's authority.
func (s *Server) TLSConfig() *tls.Config {
	return &tls.Config{RootCAs: s.CA, MinVersion: tls.VersionTLS12}
}

// Sentinel is a redis-sentinel that watches a master called "main".
type Sentinel struct{ *Server }

// StartSentinel runs a Sentinel that takes a silent master for dead within a second.
func StartSentinel(t testing.TB, master *Server) *Sentinel {
	t.Helper()
	program(t, "redis-sentinel", "Debian package redis-sentinel")
	s := &Server{Port: freeport.Of(t), dir: t.TempDir()}
	s.log = filepath.Join(s.dir, "log")
	conf := filepath.Join(s.dir, "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %s\nlogfile %s\nsentinel monitor main 127.0.0.1 %d 1\nsentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n",
		s.Port, s.dir, s.log, master.Port)
	if master.Password != "" {
		text += "sentinel auth-pass main " + master.Password + "\n"
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{conf, "--sentinel"}
	s.Run(t)
	t.Cleanup(s.Kill)
	for deadline := time.Now().Add(patience); !strings.Contains(s.CLI(t, "sentinel", "master", "main"), "num-slaves\n1"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the Sentinel has not found the replica")
		}
	}
	return &Sentinel{s}
}

// program is the path of one that a test can't do without. Without it the test
// skips with one line, or fails where nothing may be skipped.
func program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
		t.Fatalf("%s is not here and nothing may be skipped (%s)", name, debian)
	}
	t.Skipf("%s is not here (%s)", name, debian)
	return ""
}
