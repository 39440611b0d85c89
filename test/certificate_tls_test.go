package test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openssl is what `openssl s_client` says of a handshake.
func openssl(t *testing.T, s *server, host string, flags ...string) string {
	t.Helper()
	args := append([]string{"s_client", "-connect", "127.0.0.1:" + port(s.HTTPS), "-servername", host}, flags...)
	cmd := exec.CommandContext(t.Context(), need(t, "openssl", "Debian package openssl"), args...)
	cmd.Stdin = strings.NewReader("")
	out, _ := cmd.CombinedOutput() // it fails where the handshake does: what it says counts
	return string(out)
}

// TestNoOldTLS: nothing under TLS 1.2, and of 1.2 nothing with CBC or without
// forward secrecy, to clients that would take it.
func TestNoOldTLS(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve")
	s.local("proxy", "create", "tls.localhost", mirror(t).URL)
	const old = "ALL:@SECLEVEL=0"
	for _, c := range []struct {
		flags []string
		want  string // empty: no handshake
	}{
		{[]string{"-tls1", "-cipher", old}, ""},
		{[]string{"-tls1_1", "-cipher", old}, ""},
		{[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"}, ""},
		{[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0"}, ""},
		{[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"}, ""},
		{[]string{"-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"}, ""},
		{[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"}, "TLSv1.2"},
		{[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305", "-alpn", "h2"}, "ALPN protocol: h2"},
		{[]string{"-tls1_3", "-alpn", "h2"}, "ALPN protocol: h2"},
		{[]string{"-tls1_3", "-groups", "X25519"}, "TLSv1.3"},
	} {
		said := openssl(t, s, "tls.localhost", c.flags...)
		if c.want == "" && (!strings.Contains(said, "alert") || !strings.Contains(said, "Cipher is (NONE)")) || c.want != "" && !strings.Contains(said, c.want) {
			t.Errorf("%v:\n%s", c.flags, said)
		}
	}
	// Sessions are resumed, and only under the name that they were made for.
	ticket := filepath.Join(t.TempDir(), "session")
	s.local("proxy", "create", "other.localhost", mirror(t).URL)
	openssl(t, s, "tls.localhost", "-tls1_2", "-sess_out", ticket)
	if said := openssl(t, s, "tls.localhost", "-tls1_2", "-sess_in", ticket); !strings.Contains(said, "Reused, TLSv1.2") {
		t.Errorf("the session is not resumed:\n%s", said)
	}
	if said := openssl(t, s, "other.localhost", "-tls1_2", "-sess_in", ticket); strings.Contains(said, "Reused, TLSv1.2") {
		t.Errorf("a session of another name is resumed:\n%s", said)
	}
	// And after a restart: the keys are in the store.
	s.stop()
	s.run()
	if said := openssl(t, s, "tls.localhost", "-tls1_2", "-sess_in", ticket); !strings.Contains(said, "Reused, TLSv1.2") {
		t.Errorf("the session is not resumed after a restart:\n%s", said)
	}
}

// TestTestssl finds nothing above low but what a private authority causes. It
// takes minutes.
func TestTestssl(t *testing.T) {
	if !whole() {
		t.Skip("only with GATEHOUSE_TEST_ALL: it takes minutes")
	}
	program := need(t, "testssl", "Debian package testssl.sh")
	s := start(t, nil, "serve")
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // what pages say of themselves is theirs
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
	}))
	t.Cleanup(backend.Close)
	s.local("proxy", "create", "tls.localhost", backend.URL)
	report := filepath.Join(t.TempDir(), "report.json")
	begin := time.Now()
	cmd := exec.CommandContext(t.Context(), program, "--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1", "--jsonfile", report,
		"--add-ca", filepath.Join(s.dir, "data", "ca.pem"), "tls.localhost:"+port(s.HTTPS))
	out, _ := cmd.CombinedOutput() // its exit code counts findings
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var findings []struct{ ID, Severity, Finding string }
	decode(t, string(raw), &findings)
	if len(findings) < 50 {
		t.Fatalf("only %d findings\n%s", len(findings), out)
	}
	private := map[string]bool{ // what only an authority of the world can have
		"cert_chain_of_trust": true, "cert_trust": true, "cert_crlDistributionPoints": true, "cert_ocspURL": true, "cert_revocation": true, "cert_expirationStatus": true,
		"cert_notAfter": true, "DNS_CAArecord": true, "certificate_transparency": true, "cert_extlifeSpan": true,
	}
	for _, f := range findings {
		switch f.Severity {
		case "MEDIUM", "HIGH", "CRITICAL", "FATAL": // WARN: the tool could not look
			if !private[strings.Fields(f.ID)[0]] {
				text, _ := json.Marshal(f)
				t.Errorf("%s", text)
			}
		}
	}
	t.Logf("%d findings in %v", len(findings), time.Since(begin).Round(time.Second))
}
