package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// brought is the argument of an upload: a certificate of one's own for names.
func brought(t *testing.T, name string, hosts ...string) (body, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: hosts}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	raw, err := json.Marshal(map[string]string{"cert_name": name, "private_key": key,
		"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), key
}

// TestAPrivateKeyIsInNoAnswerButAFreshExport: not in that of its upload, no list,
// no view, no event and no audit entry; and the export asks for a fresh sign-in.
func TestAPrivateKeyIsInNoAnswerButAFreshExport(t *testing.T) {
	s := start(t)
	body, key := brought(t, "shop", "shop.example.com")
	secret := strings.Split(key, "\n")[1]
	lines, _ := s.stream("user", "/events")
	answers := []answer{
		s.must(200, s.ask("admin", "POST", "/certificates/upload", body)),
		s.must(200, s.ask("admin", "GET", "/certificates/", "")),
		s.must(200, s.ask("admin", "GET", "/certificates/shop", "")),
		s.must(200, s.ask("admin", "GET", "/certificates/shop/status", "")),
		s.must(200, s.ask("user", "GET", "/certificates/shop", "")),
		s.must(403, s.ask("user", "POST", "/certificates/shop/export", "")),
		s.must(403, s.ask("admin", "POST", "/certificates/shop/export", "")), // nobody knows when
		s.must(403, s.ask("stale", "POST", "/certificates/shop/export", "")),
		s.must(200, s.ask("admin", "GET", "/config/export", "")),
	}
	for _, a := range answers {
		if strings.Contains(a.body, secret) || strings.Contains(a.body, "PRIVATE KEY") {
			t.Errorf("the key is in %s", a.body)
		}
	}
	if !strings.Contains(answers[7].body, "sign-in of the last 10 minutes") {
		t.Errorf("%s", answers[7].body)
	}
	if got := answers[4]; strings.Contains(got.body, "BEGIN CERTIFICATE") || strings.Contains(got.body, "fingerprint") {
		t.Errorf("a reader sees %s", got.body)
	}
	if got := next(t, lines); got != `event: certificate_ready data: {"event":"certificate_ready","name":"shop"}` {
		t.Errorf("%s", got)
	}
	exported := s.must(200, s.ask("fresh", "POST", "/certificates/shop/export", ""))
	if exported.fields["private_key"] != key {
		t.Errorf("%s", exported.body)
	}
	if e := s.journal.last(); e.Kind != "audit" || e.Action != "export_certificate" || e.User != "local:root" {
		t.Errorf("no audit entry: %+v", e)
	}
	raw, err := json.Marshal(s.journal.last())
	if err != nil || strings.Contains(string(raw), secret) {
		t.Errorf("%v: the key is in the audit entry", err)
	}
}

// TestACertificateInUseIsNotDeletedByMistake.
func TestACertificateInUseIsNotDeletedByMistake(t *testing.T) {
	s := start(t)
	body, _ := brought(t, "shop", "shop.example.com", "other.example.com")
	s.must(200, s.ask("admin", "POST", "/certificates/upload", body))
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"shop.example.com","target_url":"http://127.0.0.1:3000","cert_name":"shop"}`))
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"other.example.com","target_url":"http://127.0.0.1:3000"}`))
	for _, cert := range []string{"nothing", "UPPER", "domain:shop.example.com"} {
		got := s.must(422, s.ask("admin", "PUT", "/proxies/shop.example.com", `{"cert_name":"`+cert+`"}`))
		if !strings.Contains(got.body, "cert_name") {
			t.Errorf("%s: %s", cert, got.body)
		}
	}
	got := s.must(422, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"else.example.com","target_url":"http://127.0.0.1:3000","cert_name":"shop"}`))
	if !strings.Contains(got.body, "names a certificate for shop.example.com, other.example.com, not for else.example.com") &&
		!strings.Contains(got.body, "names a certificate for other.example.com, shop.example.com, not for else.example.com") {
		t.Errorf("%s", got.body)
	}
	if got := s.must(422, s.ask("admin", "DELETE", "/certificates/shop", "")); !strings.Contains(got.body, "is in use by") {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, s.ask("user", "GET", "/health", "")); got.fields["certificates"] != float64(1) || got.fields["scheduler"] != "not running" {
		t.Errorf("health: %s", got.body)
	}
	narrow, _ := brought(t, "shop", "other.example.com")
	if got := s.must(422, s.ask("admin", "POST", "/certificates/upload", narrow)); !strings.Contains(got.body, "is not for shop.example.com, which names") {
		t.Errorf("%s", got.body)
	}
	// A host that goes takes its certificate along only where nobody else has it.
	s.must(200, s.ask("admin", "DELETE", "/proxies/shop.example.com?delete_certificate=true", ""))
	s.must(200, s.ask("admin", "GET", "/certificates/shop", ""))
	s.must(200, s.ask("admin", "DELETE", "/proxies/other.example.com?delete_certificate=true", ""))
	s.must(404, s.ask("admin", "GET", "/certificates/shop", ""))

	s.must(201, s.ask("admin", "POST", "/certificates/", `{"cert_name":"mine","domains":["a.example.com"]}`))
	s.must(409, s.ask("admin", "POST", "/certificates/", `{"cert_name":"mine","domains":["b.example.com"]}`))
	s.must(409, s.ask("admin", "POST", "/certificates/upload", strings.Replace(body, `"shop"`, `"mine"`, 1)))
	for _, bad := range []string{`{"cert_name":"x"}`, `{"cert_name":"x","domains":["*.example.com"]}`, `{"cert_name":"x","domain":"a.net","key_type":"dsa"}`, `{"cert_name":"../x","domain":"a.net"}`} {
		s.must(422, s.ask("admin", "POST", "/certificates/multi-domain", bad))
	}
	s.must(404, s.ask("admin", "GET", "/certificates/domain:a.example.com", ""))
	s.must(404, s.ask("admin", "POST", "/certificates/none/renew", `{"force":true}`))
	s.must(422, s.ask("admin", "POST", "/certificates/mine/convert-to-production", ""))
	s.must(200, s.ask("admin", "DELETE", "/certificates/mine?force=true", ""))
}
