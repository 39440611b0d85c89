package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ownCertificate writes a self-made certificate for names and its key.
func ownCertificate(t *testing.T, names ...string) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "brought"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(48 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	chain, key = filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{chain: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return chain, key
}

// refused wants a command to fail with words.
func (s *server) refused(words string, args ...string) {
	s.t.Helper()
	out, errs, code := s.cli(append([]string{"--local"}, args...)...)
	if code == 0 || !strings.Contains(errs, words) {
		s.t.Errorf("gatehouse %s: exit %d, want %q\n%s%s", strings.Join(args, " "), code, words, out, errs)
	}
}

// TestACertificateOfOnesOwn is uploaded, served, replaced, exported, and not
// deleted by mistake.
func TestACertificateOfOnesOwn(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"ACME_DIRECTORY_URL=https://127.0.0.1:1/dir"}, "serve")
	chain, key := ownCertificate(t, "shop.example.com", "*.shop.example.com")
	other, otherKey := ownCertificate(t, "other.example.com")
	s.refused("does not belong to the certificate", "cert", "upload", "shop", "--certificate", chain, "--key", otherKey)
	s.refused("holds a PRIVATE KEY block", "cert", "upload", "shop", "--certificate", key, "--key", key)
	s.local("cert", "upload", "shop", "--certificate", chain, "--key", key)
	s.local("cert", "upload", "other", "--certificate", other, "--key", otherKey)

	// A host that it covers is served with it at once, by its names; another only when it is named.
	s.local("proxy", "create", "shop.example.com", mirror(t).URL)
	s.local("proxy", "create", "a.shop.example.com", mirror(t).URL, "--cert", "shop")
	for _, host := range []string{"shop.example.com", "a.shop.example.com"} {
		if got := s.shown(host).Subject.CommonName; got != "brought" {
			t.Errorf("%s shows one of %s", host, got)
		}
	}
	s.refused("cert_name: names no certificate that is kept here", "proxy", "create", "b.shop.example.com", mirror(t).URL, "--cert", "nothing")
	s.refused("cert_name: names a certificate for other.example.com, not for shop.example.com", "proxy", "update", "shop.example.com", "--cert", "other")
	s.refused("was uploaded: upload its successor", "cert", "renew", "shop", "--force")

	next, nextKey := ownCertificate(t, "shop.example.com", "*.shop.example.com")
	before := s.shown("shop.example.com").SerialNumber
	s.local("cert", "upload", "shop", "--certificate", next, "--key", nextKey)
	if s.shown("shop.example.com").SerialNumber.Cmp(before) == 0 {
		t.Error("its successor is not served")
	}

	text, err := os.ReadFile(nextKey)
	if err != nil {
		t.Fatal(err)
	}
	if out := s.local("cert", "export", "shop"); strings.Contains(out, "PRIVATE") || !strings.Contains(out, "BEGIN CERTIFICATE") {
		t.Errorf("export: %s", out)
	}
	if out := s.local("cert", "export", "shop", "--private-key"); !strings.Contains(out, string(text)) {
		t.Errorf("export with the key: %s", out)
	}
	if audit := s.local("log", "search", "export_certificate", "--kind", "audit"); !strings.Contains(audit, "export_certificate") {
		t.Errorf("the audit log does not tell of the export: %s", audit)
	}
	file := filepath.Join(s.dir, "out.pem")
	s.local("cert", "export", "shop", "--private-key", "--output", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}

	s.local("cert", "delete", "shop", "--force")
	if got := s.shown("shop.example.com").Subject.CommonName; got == "brought" {
		t.Error("the deleted certificate is served on")
	}
	s.local("proxy", "delete", "a.shop.example.com", "--force")
}

// TestTrialsBecomeReal: a certificate of an authority for trials is obtained anew
// from the real one, serves until then, and goes with its host when that is said.
func TestTrialsBecomeReal(t *testing.T) {
	t.Parallel()
	plain, secure := freePort(t), freePort(t)
	o := pebbleOptions{HTTP: number(t, plain), TLS: number(t, secure)}
	trial, real := startPebble(t, o), startPebble(t, o)
	both := filepath.Join(t.TempDir(), "both.pem")
	var text []byte
	for _, p := range []*pebble{trial, real} {
		one, err := os.ReadFile(p.CA)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, one...)
	}
	if err := os.WriteFile(both, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, []string{"ACME_DIRECTORY_URL=" + real.Directory, "ACME_STAGING_URL=" + trial.Directory, "ACME_CA_FILE=" + both, "DNS_RESOLVER=" + real.DNS,
		"HTTP_PORT=" + plain, "HTTPS_PORT=" + secure}, "serve")
	const host, name = "trial.gatehouse-test.net", "proxy-trial-gatehouse-test-net"
	s.refused("is a local name", "proxy", "create", "x.localhost", mirror(t).URL, "--staging")
	s.local("proxy", "create", host, mirror(t).URL, "--staging", "--wait")
	if !s.trusts(trial, host) || s.trusts(real, host) || !s.kept(name).Staging {
		t.Fatalf("it shows one of %s", s.shown(host).Issuer)
	}
	s.local("cert", "convert-to-production", name, "--wait")
	if !s.trusts(real, host) || s.kept(name).Staging {
		t.Errorf("after the conversion it shows one of %s", s.shown(host).Issuer)
	}
	s.refused("from a production authority already", "cert", "convert-to-production", name)

	s.local("proxy", "delete", host, "--force", "--delete-certificate")
	s.refused("no certificate", "cert", "show", name)
	s.local("proxy", "create", "again.gatehouse-test.net", mirror(t).URL, "--wait")
	first := s.kept("proxy-again-gatehouse-test-net").Serial
	s.local("cert", "renew", "proxy-again-gatehouse-test-net", "--force", "--wait")
	if s.kept("proxy-again-gatehouse-test-net").Serial == first {
		t.Error("a forced renewal brought nothing new")
	}
	s.local("proxy", "delete", "again.gatehouse-test.net", "--force")
	if s.kept("proxy-again-gatehouse-test-net").Status != "active" {
		t.Error("the certificate of a deleted host went with it unasked")
	}
}
