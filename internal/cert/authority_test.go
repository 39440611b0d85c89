package cert

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The attack that constraints are there for: whoever gets hold of the CA's key
// signs for names and uses that are not local. Trusting the CA must not make
// them valid, for Go or for OpenSSL.
func TestTheCACanSpeakForLocalNamesOnly(t *testing.T) {
	ca, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	uri, _ := url.Parse("https://example.com/")
	for what, c := range map[string]struct {
		change func(*x509.Certificate)
		valid  bool
	}{
		"local name": {func(c *x509.Certificate) { c.DNSNames = []string{"app.localhost"} }, true},
		"private addresses": {func(c *x509.Certificate) {
			c.IPAddresses = ips("127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "::1", "fd00::1")
		}, true},
		"public name":         {func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} }, false},
		"public among local":  {func(c *x509.Certificate) { c.DNSNames = []string{"app.localhost", "www.google.com"} }, false},
		"public wildcard":     {func(c *x509.Certificate) { c.DNSNames = []string{"*.com"} }, false},
		"looks local":         {func(c *x509.Certificate) { c.DNSNames = []string{"evillocalhost"} }, false},
		"single label":        {func(c *x509.Certificate) { c.DNSNames = []string{"intranet"} }, false},
		"public IPv4 address": {func(c *x509.Certificate) { c.IPAddresses = ips("8.8.8.8") }, false},
		"outside 172.16/12":   {func(c *x509.Certificate) { c.IPAddresses = ips("172.32.0.1") }, false},
		"public IPv6 address": {func(c *x509.Certificate) { c.IPAddresses = ips("2001:4860:4860::8888") }, false},
		"IPv4-mapped address": {func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("8.8.4.4").To16()} }, false},
		"e-mail address":      {func(c *x509.Certificate) { c.EmailAddresses = []string{"ann@example.com"} }, false},
		"URI":                 {func(c *x509.Certificate) { c.URIs = []*url.URL{uri} }, false},
		"client certificate": {func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{"app.localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, false},
	} {
		leaf, chain := sign(t, ca, c.change), []*authority{ca}
		if err := verify(leaf, chain); c.valid != (err == nil) {
			t.Errorf("%s: Go says %v", what, err)
		}
		if out, ok := opensslVerify(t, leaf, chain); c.valid != ok {
			t.Errorf("%s: openssl says %s", what, out)
		}
	}
}

func TestTheCACanNotMakeAnotherCA(t *testing.T) {
	ca, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, id, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	sub := constrained()
	sub.Subject.CommonName, sub.SubjectKeyId = "sub", id
	sub.NotBefore, sub.NotAfter = ca.cert.NotBefore, ca.cert.NotAfter
	der, err := x509.CreateCertificate(rand.Reader, sub, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	below, err := openAuthority(der, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := sign(t, below, func(c *x509.Certificate) { c.DNSNames = []string{"app.localhost"} })
	if verify(leaf, []*authority{ca, below}) == nil {
		t.Error("Go accepts a certificate of a CA below ours")
	}
	if out, ok := opensslVerify(t, leaf, []*authority{ca, below}); ok {
		t.Errorf("openssl accepts a certificate of a CA below ours: %s", out)
	}
}

func TestAForeignCAIsNeverTakenForOurs(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"no constraints":  {func(c *x509.Certificate) { c.PermittedDNSDomains, c.PermittedIPRanges = nil, nil }, "no critical name constraints"},
		"names only":      {func(c *x509.Certificate) { c.PermittedIPRanges = nil }, "no critical name constraints"},
		"not critical":    {func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = false }, "no critical name constraints"},
		"public names":    {func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"localhost", "com"} }, "not local"},
		"every name":      {func(c *x509.Certificate) { c.PermittedDNSDomains = []string{""} }, "not local"},
		"may sign CAs":    {func(c *x509.Certificate) { c.MaxPathLenZero = false }, "further CAs"},
		"is no authority": {func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }, "no CA"},
	} {
		key, id, err := newKey()
		if err != nil {
			t.Fatal(err)
		}
		ca := constrained()
		ca.SubjectKeyId, ca.NotAfter = id, time.Now().Add(time.Hour)
		c.change(ca)
		der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openAuthority(der, key); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTheCANamesItselfAndLivesTenYears(t *testing.T) {
	now := time.Now()
	ca, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("Gatehouse local CA %x", ca.cert.SubjectKeyId[:4]); ca.cert.Subject.CommonName != want {
		t.Errorf("%q, want %q", ca.cert.Subject.CommonName, want)
	}
	if d := ca.cert.NotAfter.Sub(now); d < caLifetime-time.Second || d > caLifetime {
		t.Errorf("it lives %v", d)
	}
	late := ca.cert.NotAfter.Add(-time.Hour)
	s, err := ca.Make("app.localhost", late)
	if err != nil || s.Leaf().NotAfter.After(ca.cert.NotAfter) {
		t.Errorf("a certificate outlives its CA: %v", err)
	}
}

// Strangers can ask for any name below *.localhost.
func TestNamesBelowAWideWildcardAreBounded(t *testing.T) {
	ca, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	wild, err := ca.Make("*.localhost", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	mine := wild.below.find("mine.localhost", wild)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 3 * generation {
				name := fmt.Sprintf("n%d.localhost", i)
				if s := wild.below.find(name, wild); s.Leaf().VerifyHostname(name) != nil || s == wild {
					t.Errorf("%s is not served", name)
				}
				if i%(generation/4) == 0 && wild.below.find("mine.localhost", wild) != mine {
					t.Error("a name in use was forgotten")
				}
			}
		})
	}
	wg.Wait()
	n := 0
	for _, g := range []*sync.Map{wild.below.young.Load(), wild.below.old.Load()} {
		g.Range(func(any, any) bool { n++; return true })
	}
	if n > 2*generation+4 {
		t.Errorf("%d certificates are kept", n)
	}
}

// sign is a certificate by ca after change to the usual template.
func sign(t *testing.T, ca *authority, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, id, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	c := template("app.localhost", time.Now(), leafLifetime)
	c.DNSNames, c.SubjectKeyId = nil, id
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func verify(leaf *x509.Certificate, chain []*authority) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[0].cert)
	for _, a := range chain[1:] {
		between.AddCert(a.cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// opensslVerify asks the openssl program, where there is one.
func opensslVerify(t *testing.T, leaf *x509.Certificate, chain []*authority) (string, bool) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
			t.Fatal("openssl is not here and nothing may be skipped")
		}
		t.Skip("openssl is not here")
	}
	dir := t.TempDir()
	write := func(name string, certs ...*x509.Certificate) string {
		var b []byte
		for _, c := range certs {
			b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{"verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", write("ca.pem", chain[0].cert)}
	for i, a := range chain[1:] {
		args = append(args, "-untrusted", write(fmt.Sprintf("%d.pem", i), a.cert))
	}
	out, err := exec.CommandContext(t.Context(), "openssl", append(args, write("leaf.pem", leaf))...).CombinedOutput()
	return string(out), err == nil
}

func ips(all ...string) []net.IP {
	var parsed []net.IP
	for _, s := range all {
		parsed = append(parsed, net.ParseIP(s))
	}
	return parsed
}
