package test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAHostGetsItsCertificate: HTTPS works at once with a certificate of ours, and
// then by one of the authority, without anybody doing anything but make the host.
// A stream that was opened before goes on through it.
func TestAHostGetsItsCertificate(t *testing.T) {
	ca, s := certified(t, pebbleOptions{})
	const host = "app.gatehouse-test.net"
	ca.dns("set-servfail", map[string]string{"host": host})
	s.local("proxy", "create", host, events(t).URL)
	st := s.failed("proxy-app-gatehouse-test-net", host+" does not resolve (the DNS server failed)")
	if len(st.Steps) == 0 || st.Steps[0].Step != "preflight" {
		t.Errorf("the steps begin with %v", st.Steps)
	}
	if s.trusts(ca, host) {
		t.Fatal("there is a certificate already")
	}
	if first := s.shown(host); first.Subject.String() != first.Issuer.String() {
		t.Errorf("at first it shows one of %s", first.Issuer)
	}
	for _, words := range []string{`"status":"failed"`, `"kind":"self_signed"`, `"cert_name":"proxy-app-gatehouse-test-net"`, "does not resolve"} {
		if status := s.local("proxy", "status", host); !strings.Contains(status, words) {
			t.Errorf("the host's status lacks %s: %s", words, status)
		}
	}
	next, _ := listen(t, believing(s), s.url(host, "/"))
	next()
	ready := s.background("--local", "system", "events")
	s.await(20*time.Second, "start of the events", func() bool {
		s.local("proxy", "update", host, "--set", "auth_realm=x")
		return strings.Contains(ready.stdout.String(), "proxy_updated")
	})

	ca.dns("clear-servfail", map[string]string{"host": host})
	s.local("cert", "renew", "proxy-app-gatehouse-test-net")
	st = s.active("proxy-app-gatehouse-test-net")
	var steps []string
	for _, step := range st.Steps {
		if !slices.Contains(steps, step.Step) {
			steps = append(steps, step.Step)
		}
	}
	if got := strings.Join(steps, " "); got != "preflight account order authorization finalize download" {
		t.Errorf("the steps were %s", got)
	}
	s.await(5*time.Second, "certificate of the authority", func() bool { return s.trusts(ca, host) })
	for range 3 { // and what the last handshake's connection carries goes on
		next()
	}
	s.await(5*time.Second, "event", func() bool { return strings.Contains(ready.stdout.String(), "certificate_ready") })
	if status := s.local("proxy", "status", host); !strings.Contains(status, `"status":"active"`) || !strings.Contains(status, `"kind":"acme"`) {
		t.Errorf("the host's status: %s", status)
	}
	trusting := s.client()
	trusting.Transport = ca.trusting()
	if sts := head(t, trusting, s.url(host, "/")).Get("Strict-Transport-Security"); sts != "" {
		t.Errorf("HSTS with a certificate that the world does not trust: %q", sts)
	}
	entries := s.local("log", "search", "certificate_issued", "--kind", "system")
	if !strings.Contains(entries, "proxy-app-gatehouse-test-net") {
		t.Errorf("the log does not tell of the certificate: %s", entries)
	}
}

// head is what an answer begins with.
func head(t *testing.T, c *http.Client, url string) http.Header {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.Header
}

// TestProxyCreateShowsTheSteps: each step of the order is seen as it happens.
func TestProxyCreateShowsTheSteps(t *testing.T) {
	ca, s := certified(t, pebbleOptions{})
	_, steps, code := s.cli("--local", "proxy", "create", "live.gatehouse-test.net", mirror(t).URL, "--wait")
	t.Log("\n" + steps)
	if code != 0 {
		t.Fatal(steps)
	}
	at := 0
	for _, words := range []string{"preflight", "registered at the authority", "placed for 1 name", "live.gatehouse-test.net the answer to http-01 is in place",
		"live.gatehouse-test.net valid", "finalize", "download", "live.gatehouse-test.net has its certificate"} {
		i := strings.Index(steps[at:], words)
		if i < 0 {
			t.Fatalf("no %q in its place:\n%s", words, steps)
		}
		at += i
	}
	if !s.trusts(ca, "live.gatehouse-test.net") {
		t.Error("the command ended before the certificate was served")
	}

	out, steps, code := s.cli("--local", "cert", "create", "by-hand", "one.gatehouse-test.net,two.gatehouse-test.net", "--wait")
	if code != 0 || !strings.Contains(steps, "placed for 2 names") || !strings.Contains(out, `"status":"active"`) {
		t.Errorf("exit %d\n%s%s", code, out, steps)
	}

	_, why, code := s.cli("--local", "proxy", "create", "blocked.gatehouse-test.net", mirror(t).URL, "--wait")
	if code != 1 || !strings.Contains(why, "has a self-signed certificate for now") || !strings.Contains(why, "rejectedIdentifier") {
		t.Errorf("exit %d: %s", code, why)
	}
	if _, errs, code := s.cli("--local", "proxy", "create", "x.localhost", mirror(t).URL, "--wait"); code != 0 || strings.Contains(errs, "order") {
		t.Errorf("a local host waits for an authority: exit %d %s", code, errs)
	}
}

// TestAHundredNamesInOneCertificate takes under a minute.
func TestAHundredNamesInOneCertificate(t *testing.T) {
	ca, s := certified(t, pebbleOptions{RejectMost: true})
	names := manyNames(100, "many.gatehouse-test.net")
	begin := time.Now()
	_, steps, code := s.cli("--local", "--timeout", "60s", "cert", "create", "many", strings.Join(names, ","), "--wait")
	took := time.Since(begin)
	t.Logf("a hundred names took %v", took.Round(10*time.Millisecond))
	if code != 0 || took > time.Minute {
		t.Fatalf("exit %d after %v\n%s", code, took, steps)
	}
	if n := strings.Count(steps, " valid\n"); n != 100 {
		t.Errorf("%d of 100 authorizations were told to be valid", n)
	}
	s.local("proxy", "create", names[99], mirror(t).URL)
	if shown := s.shown(names[99]); len(shown.DNSNames) != 100 || !s.trusts(ca, names[99]) {
		t.Errorf("it shows %v of %s", shown.DNSNames, shown.Issuer)
	}
	if listed := s.local("cert", "list"); strings.Contains(listed, "proxy-n99") {
		t.Error("the host got a certificate of its own although one covers it")
	}
	if _, errs, code := s.cli("--local", "cert", "create", "toomany", strings.Join(manyNames(101, "x.net"), ",")); code == 0 || !strings.Contains(errs, "at most 100") {
		t.Errorf("101 names: exit %d %s", code, errs)
	}
}
