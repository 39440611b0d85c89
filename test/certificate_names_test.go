package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWildcardByAProgram: DNS-01 answered by DNS_EXEC, which here speaks to the
// management of the test's DNS server. A name and its wildcard share a record.
func TestWildcardByAProgram(t *testing.T) {
	need(t, "curl", "curl")
	hook := filepath.Join(t.TempDir(), "hook")
	ca, s := certified(t, pebbleOptions{}, "DNS_PROVIDER=exec", "DNS_EXEC="+hook)
	// challtestsrv's clear-txt removes all values of a name: the clean-up leaves them.
	script := fmt.Sprintf(`#!/bin/sh
[ "$1" = present ] || exit 0
exec curl -sSf -d "{\"host\":\"$2\",\"value\":\"$3\"}" %s/set-txt
`, ca.dnsManage)
	if err := os.WriteFile(hook, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s.local("proxy", "create", "*.wild.gatehouse-test.net", mirror(t).URL, "--wait")
	if !s.trusts(ca, "any.wild.gatehouse-test.net") {
		t.Errorf("it shows %v", s.shown("any.wild.gatehouse-test.net").DNSNames)
	}
	s.local("cert", "create", "both", "both.gatehouse-test.net,*.both.gatehouse-test.net", "--challenge", "dns-01", "--wait")
	if got := s.kept("both"); got.Status != "active" || len(got.Domains) != 2 {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho token s3cr3t-of-the-zone is refused\nexit 7\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.local("cert", "create", "fails", "*.fails.gatehouse-test.net")
	if st := s.failed("fails", "DNS_EXEC present _acme-challenge.fails.gatehouse-test.net. failed (exit status 7)"); strings.Contains(st.Message, "s3cr3t") {
		t.Errorf("what the program said is told: %s", st.Message)
	}
}

// TestWildcardByDynamicUpdate: DNS-01 by RFC 2136 with TSIG, against Knot DNS,
// which the authority asks as well.
func TestWildcardByDynamicUpdate(t *testing.T) {
	knot := need(t, "knotd", "Debian package knot")
	const secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	dir, at := t.TempDir(), freePort(t)
	for name, text := range map[string]string{
		"example.zone": "$ORIGIN knot.gatehouse-test.net.\n@ 60 SOA ns x 1 3600 600 86400 60\n@ 60 NS ns\nns 60 A 127.0.0.1\n* 60 A 127.0.0.1\n",
		"knot.conf": fmt.Sprintf(`server:
    rundir: %[1]q
    listen: 127.0.0.1@%[2]s
key:
  - id: gatehouse
    algorithm: hmac-sha256
    secret: %[3]s
acl:
  - id: updates
    key: gatehouse
    action: update
database:
    storage: %[1]q
zone:
  - domain: knot.gatehouse-test.net
    storage: %[1]q
    file: example.zone
    acl: updates
`, dir, at, secret),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runBeside(t, nil, knot, "-c", filepath.Join(dir, "knot.conf"))
	ca, s := certified(t, pebbleOptions{Server: "127.0.0.1:" + at},
		"DNS_PROVIDER=rfc2136", "DNS_RFC2136_SERVER=127.0.0.1:"+at, "DNS_RFC2136_TSIG_NAME=gatehouse", "DNS_RFC2136_TSIG_SECRET="+secret)
	_, steps, code := s.cli("--local", "cert", "create", "knot", "knot.gatehouse-test.net,*.knot.gatehouse-test.net", "--challenge", "dns-01", "--wait")
	if code != 0 {
		t.Fatal(steps)
	}
	s.local("proxy", "create", "www.knot.gatehouse-test.net", mirror(t).URL)
	if !s.trusts(ca, "www.knot.gatehouse-test.net") {
		t.Errorf("it shows %v", s.shown("www.knot.gatehouse-test.net").DNSNames)
	}

	s.stop()
	s.env = append(s.env, "DNS_RFC2136_TSIG_SECRET="+strings.Replace(secret, "MDEy", "MDEz", 1))
	s.run()
	s.local("cert", "create", "refused", "*.other.knot.gatehouse-test.net")
	if st := s.failed("refused", "127.0.0.1:"+at); strings.Contains(st.Message, secret[5:]) {
		t.Errorf("the secret is told: %s", st.Message)
	}
}

// TestNamesAreProvedOnTheTLSPort: TLS-ALPN-01, for a name that no host has and for
// one that has.
func TestNamesAreProvedOnTheTLSPort(t *testing.T) {
	ca, s := certified(t, pebbleOptions{})
	s.local("proxy", "create", "served.gatehouse-test.net", mirror(t).URL, "--no-http", "--wait")
	s.local("cert", "create", "alpn", "unknown.gatehouse-test.net,served.gatehouse-test.net", "--challenge", "tls-alpn-01")
	st := s.active("alpn")
	if text := fmt.Sprint(st.Steps); strings.Count(text, "the answer to tls-alpn-01 is in place") != 2 || strings.Contains(text, "http-01 is") {
		t.Errorf("the steps: %s", text)
	}
	if !s.trusts(ca, "served.gatehouse-test.net") {
		t.Error("the host lost its certificate")
	}
}

// TestChallengesAreAnsweredOnEveryName and go to no backend, whoever asks.
func TestChallengesAreAnsweredOnEveryName(t *testing.T) {
	t.Parallel()
	backend := mirror(t)
	s := start(t, nil, "serve")
	s.local("proxy", "create", "app.localhost", backend.URL)
	s.local("proxy", "create", "wall.localhost", backend.URL, "--auth")
	plain, secure := s.client(), s.trusting()
	const path = "/.well-known/acme-challenge/some-token"
	for _, url := range []string{
		"http://app.localhost:" + port(s.HTTP) + path, "http://wall.localhost:" + port(s.HTTP) + path,
		"http://nobody.example.com:" + port(s.HTTP) + path, "http://127.0.0.1:" + port(s.HTTP) + path,
		s.url("app.localhost", path), s.url("wall.localhost", path),
	} {
		client := plain
		if strings.HasPrefix(url, "https") {
			client = secure
		}
		for _, method := range []string{"GET", "HEAD", "POST"} {
			a := ask(t, client, method, url, "")
			if a.StatusCode != 404 || strings.Contains(a.Body, "the backend saw") || (method == "GET" && a.Body != "no such challenge\n") {
				t.Errorf("%s %s: %d %s", method, url, a.StatusCode, a.Body)
			}
		}
		if a := get(t, client, url+"/../../../x"); strings.Contains(url, "wall") && a.StatusCode == 200 {
			t.Errorf("%s: the way round opens a protected host: %s", url, a.Body)
		}
	}
	begin := time.Now()
	for range 50 {
		get(t, plain, "http://nobody.example.com:"+port(s.HTTP)+path)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("fifty strangers' questions took %v", took)
	}
}
