package test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// pebble is a real ACME authority on this machine, with a DNS server that
// answers what the test says: by default 127.0.0.1 for every name.
type pebble struct {
	t         *testing.T
	Directory string
	Manage    string // https://… of the authority's management
	CA        string // file that its own HTTPS is trusted by
	DNS       string // host:port
	dnsManage string // http://…
	client    *http.Client

	key, config string // files
	server      string // host:port of the DNS server that validations ask
	environ     []string
	end         func()
}

// pebbleOptions is what a test wants of the authority.
type pebbleOptions struct {
	HTTP, TLS  int    // the ports that validations go to
	Life       int    // seconds that certificates live; 0: 90 days
	RejectMost bool   // refuse some nonces, as real authorities do now and then
	EABKey     string // base64url; accounts need an external binding with the key id "kid-1"
	Blocked    []string
	Server     string // DNS server that validations ask; empty: the one that the test tells what to answer
}

const pebbleTools = "install it with scripts/test: it is pinned in tools/go.mod"

// startPebble runs an authority until the test ends.
func startPebble(t *testing.T, o pebbleOptions) *pebble {
	t.Helper()
	authority, dns := need(t, "pebble", pebbleTools), need(t, "pebble-challtestsrv", pebbleTools)
	dir := t.TempDir()
	listen, manage, dnsPort, dnsManage := freePort(t), freePort(t), freePort(t), freePort(t)
	p := &pebble{t: t, Directory: "https://127.0.0.1:" + listen + "/dir", Manage: "https://127.0.0.1:" + manage,
		CA: filepath.Join(dir, "ca.pem"), DNS: "127.0.0.1:" + dnsPort, dnsManage: "http://127.0.0.1:" + dnsManage}
	key := filepath.Join(dir, "key.pem")
	p.key, p.server = key, p.DNS
	if o.Server != "" {
		p.server = o.Server
	}
	p.client = selfSignedFor(t, p.CA, key)
	if o.Life == 0 {
		o.Life = 90 * 24 * 3600
	}
	config := map[string]any{
		"listenAddress": "127.0.0.1:" + listen, "managementListenAddress": "127.0.0.1:" + manage, "certificate": p.CA, "privateKey": key,
		"httpPort": o.HTTP, "tlsPort": o.TLS, "ocspResponderURL": "", "externalAccountBindingRequired": o.EABKey != "",
		"domainBlocklist": append([]string{"blocked.gatehouse-test.net"}, o.Blocked...), "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "the only one", "validityPeriod": o.Life}},
	}
	if o.EABKey != "" {
		config["externalAccountMACKeys"] = map[string]string{"kid-1": o.EABKey}
	}
	text, err := json.Marshal(map[string]any{"pebble": config})
	if err != nil {
		t.Fatal(err)
	}
	p.config = filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(p.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	reject := "PEBBLE_WFE_NONCEREJECT=0"
	if o.RejectMost {
		reject = "PEBBLE_WFE_NONCEREJECT=20"
	}
	runBeside(t, nil, dns, "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-dnsserver", p.DNS, "-management", "127.0.0.1:"+dnsManage,
		"-defaultIPv4", "127.0.0.1", "-defaultIPv6", "")
	p.environ = []string{"PEBBLE_VA_NOSLEEP=1", reject, "PEBBLE_AUTHZREUSE=0"}
	p.boot(authority)
	return p
}

// boot runs the authority itself, whose memory is empty then.
func (p *pebble) boot(program string) {
	p.t.Helper()
	p.end = runBeside(p.t, p.environ, program, "-config", p.config, "-dnsserver", p.server, "-strict")
	deadline := time.Now().Add(20 * time.Second)
	for {
		res, err := p.client.Get(p.Directory)
		if err == nil {
			res.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the authority does not answer: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// reboot ends the authority and runs it again: it knows nobody any more.
func (p *pebble) reboot() {
	p.t.Helper()
	p.end()
	p.boot(need(p.t, "pebble", pebbleTools))
}

// env is what Gatehouse needs to ask this authority.
func (p *pebble) env() []string {
	return []string{"ACME_DIRECTORY_URL=" + p.Directory, "ACME_STAGING_URL=" + p.Directory, "ACME_CA_FILE=" + p.CA, "DNS_RESOLVER=" + p.DNS}
}

// root is the certificate that all of this authority's lead to.
func (p *pebble) root() *x509.CertPool { return p.pool("/roots/0") }

func (p *pebble) pool(path string) *x509.CertPool {
	p.t.Helper()
	res, err := p.client.Get(p.Manage + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		p.t.Fatalf("no certificate: %v %s", err, text)
	}
	return pool
}

// dns tells the DNS server something: "add-a", "set-txt", "set-servfail" …
func (p *pebble) dns(verb string, what any) {
	p.t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := http.Post(p.dnsManage+"/"+verb, "application/json", bytes.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		p.t.Fatalf("%s: %d %s", verb, res.StatusCode, body)
	}
}

// selfSignedFor makes a certificate for 127.0.0.1 and a client that trusts it.
func selfSignedFor(t *testing.T, certFile, keyFile string) *http.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
}

func number(t *testing.T, port string) int {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// runBeside runs a program until the test ends, and shows what it said when the
// test failed.
func runBeside(t *testing.T, env []string, program string, args ...string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	var said buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	t.Cleanup(func() {
		end()
		if t.Failed() {
			text := said.String()
			if len(text) > 4000 {
				text = text[len(text)-4000:]
			}
			t.Logf("%s said:\n%s", filepath.Base(program), text)
		}
	})
	return end
}

// trusting trusts the certificates that this authority signs, and finds every
// name on this machine.
func (p *pebble) trusting() *http.Transport {
	return &http.Transport{DialContext: loopback, TLSClientConfig: &tls.Config{RootCAs: p.root()}, DisableKeepAlives: true}
}
