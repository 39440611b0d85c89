package test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestEachFailureOfAnAuthorityEndsInWordsAndLaterSuccess: what authorities do when
// they fail is told, does no harm, and is over when they are well again.
func TestEachFailureOfAnAuthorityEndsInWordsAndLaterSuccess(t *testing.T) {
	ca, s := certified(t, pebbleOptions{})
	f := inFront(t, ca)
	problem := func(status int, kind, detail string, header ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, "/order-plz") {
				return false
			}
			w.Header().Set("Content-Type", "application/problem+json")
			if len(header) > 0 {
				w.Header().Set("Retry-After", header[0])
			}
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":%q,"status":%d}`, kind, detail, status)
			return true
		}
	}
	garbage := func(on string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, on) {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"newNonce": 17, "status": `)
			return true
		}
	}
	for i, c := range []struct {
		name  string
		act   func(http.ResponseWriter, *http.Request) bool
		words []string
		wait  time.Duration // that the next try is away at least
	}{
		{"garbage", garbage("/dir"), []string{"its answer makes no sense"}, 30 * time.Second},
		{"rate-limited", problem(429, "rateLimited", "too many certificates already issued", "7200"), []string{"too many certificates already issued (rateLimited)", "asked again in 2h0m0s"}, 110 * time.Minute},
		{"down", problem(503, "serverInternal", "the service is down for maintenance"), []string{"down for maintenance (serverInternal)"}, 30 * time.Second},
		{"garbage-order", garbage("/order-plz"), []string{"its answer makes no sense"}, 30 * time.Second},
		{"garbage-chain", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, "/certZ/") {
				return false
			}
			w.Header().Set("Content-Type", "application/pem-certificate-chain")
			fmt.Fprint(w, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
			return true
		}, []string{"its answer makes no sense"}, 30 * time.Second},
		{"endless", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, "/order-plz") {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			return true
		}, []string{"its answer makes no sense"}, 30 * time.Second},
	} {
		host := fmt.Sprintf("f%d.gatehouse-test.net", i)
		f.do(c.act)
		s.local("cert", "create", c.name, host, "--directory", f.Directory)
		st := s.failed(c.name, c.words...)
		if st.NextTry.Before(time.Now().Add(c.wait)) {
			t.Errorf("%s: the next try is at %v", c.name, st.NextTry)
		}
		asked := f.asked.Load()
		f.do(nil)
		s.local("cert", "renew", c.name)
		s.active(c.name)
		if f.asked.Load() == asked {
			t.Errorf("%s: nobody was asked", c.name)
		}
	}
}

// TestASlowAuthorityHoldsNothingUp: orders at one that does not answer wait for
// it, hosts and other orders do not, and neither does the end of the program.
func TestASlowAuthorityHoldsNothingUp(t *testing.T) {
	ca, s := certified(t, pebbleOptions{})
	f := inFront(t, ca)
	f.do(func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return true
	})
	s.local("cert", "create", "slow", "slow.gatehouse-test.net", "--directory", f.Directory)
	s.local("cert", "create", "other", "other.gatehouse-test.net")
	s.active("other")
	if st := s.kept("slow"); st.Status != "issuing" {
		t.Errorf("it is %s", st.Status)
	}
	begin := time.Now()
	s.stop()
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("the end took %v", took)
	}
	f.do(nil)
	s.run()
	s.active("slow")
}

// TestAnOrderThatIsCutInTheMiddleIsTakenUpAgain: kill -9 while names are proved,
// and the next start ends with the certificate, without anybody's doing.
func TestAnOrderThatIsCutInTheMiddleIsTakenUpAgain(t *testing.T) {
	ca, s := certified(t, pebbleOptions{})
	f := inFront(t, ca)
	reached := make(chan struct{}, 100)
	f.do(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/finalize-order/") {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body) // only then a client that goes away is noticed
		reached <- struct{}{}
		<-r.Context().Done()
		return true
	})
	s.local("cert", "create", "cut", "a.cut.gatehouse-test.net,b.cut.gatehouse-test.net", "--directory", f.Directory)
	select {
	case <-reached:
	case <-time.After(30 * time.Second):
		t.Fatal("the order does not get so far")
	}
	s.kill()
	f.do(nil)
	s.run()
	s.active("cut")
}

// TestNoncesThatAreRefusedAreTakenAnew: authorities refuse some now and then.
func TestNoncesThatAreRefusedAreTakenAnew(t *testing.T) {
	_, s := certified(t, pebbleOptions{RejectMost: true})
	s.local("cert", "create", "nonces", strings.Join(manyNames(10, "nonce.gatehouse-test.net"), ","))
	s.active("nonces")
}

// TestAnAccountThatTheAuthorityForgotIsMadeAnew: the authority was set up again.
func TestAnAccountThatTheAuthorityForgotIsMadeAnew(t *testing.T) {
	ca, s := certified(t, pebbleOptions{})
	s.local("cert", "create", "before", "before.gatehouse-test.net")
	s.active("before")
	ca.reboot()
	s.local("cert", "create", "after", "after.gatehouse-test.net")
	st := s.active("after")
	if text := fmt.Sprint(st.Steps); !strings.Contains(text, "registering again") {
		t.Errorf("the steps do not tell: %s", text)
	}
	s.local("cert", "renew", "before", "--force") // and a renewal does not name what it replaces there
	s.active("before")
}

// TestRefusalsNameTheHostAndWhatHelps: what the authority itself says no to.
func TestRefusalsNameTheHostAndWhatHelps(t *testing.T) {
	ca, s := certified(t, pebbleOptions{Blocked: []string{"evil.net"}})
	s.local("cert", "create", "blocked", "www.evil.net", "--unchecked")
	s.failed("blocked", "refused www.evil.net", "rejectedIdentifier", "this authority does not certify that name")

	ca.dns("add-a", map[string]any{"host": "away.gatehouse-test.net", "addresses": []string{"127.0.0.9"}})
	s.local("cert", "create", "away", "away.gatehouse-test.net,fine.gatehouse-test.net", "--unchecked")
	s.failed("away", "refused away.gatehouse-test.net", "127.0.0.9", "ports 80 (HTTP-01) and 443 (TLS-ALPN-01) must reach Gatehouse")
	ca.dns("clear-a", map[string]any{"host": "away.gatehouse-test.net"})
	s.local("cert", "renew", "away")
	s.active("away")
}

// TestBeforeAnAuthorityIsAsked what it would refuse is told in words: nobody is
// asked in vain.
func TestBeforeAnAuthorityIsAsked(t *testing.T) {
	ca, s := certified(t, pebbleOptions{})
	f := inFront(t, ca)
	f.do(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/order-plz") || strings.HasPrefix(r.URL.Path, "/sign-me-up") {
			t.Errorf("the authority was asked: %s", r.URL.Path)
		}
		return false
	})
	ca.dns("set-servfail", map[string]string{"host": "nowhere.gatehouse-test.net"})
	ca.dns("add-a", map[string]any{"host": "closed.gatehouse-test.net", "addresses": []string{"127.0.0.9"}})
	ca.dns("add-caa", map[string]any{"host": "caa.gatehouse-test.net", "policies": []map[string]string{{"tag": "issue", "value": "other-ca.example"}}})
	for name, words := range map[string]string{
		"nowhere": "nowhere.gatehouse-test.net does not resolve (the DNS server failed): make an A or AAAA record",
		"closed":  "leads to 127.0.0.9, where port " + port(s.HTTP) + " can't be reached (connection refused): let it through to Gatehouse",
		"caa":     `the CAA record at caa.gatehouse-test.net lets only other-ca.example certify caa.gatehouse-test.net: add issue "pebble.letsencrypt.org"`,
	} {
		s.local("cert", "create", name, name+".gatehouse-test.net", "--directory", f.Directory)
		s.failed(name, words)
	}
	f.do(nil)
	ca.dns("clear-servfail", map[string]string{"host": "nowhere.gatehouse-test.net"})
	ca.dns("clear-caa", map[string]string{"host": "caa.gatehouse-test.net"})
	ca.dns("clear-a", map[string]string{"host": "closed.gatehouse-test.net"})
	for _, name := range []string{"nowhere", "closed", "caa"} {
		s.local("cert", "renew", name)
		s.active(name)
	}
}

// TestExternalAccountBinding: an authority that wants accounts bound to what its
// customers have there already.
func TestExternalAccountBinding(t *testing.T) {
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	_, s := certified(t, pebbleOptions{EABKey: key})
	s.local("cert", "create", "unbound", "unbound.gatehouse-test.net")
	s.failed("unbound", "externalAccountRequired", "set ACME_EAB_KID and ACME_EAB_HMAC")
	s.stop()
	s.env = append(s.env, "ACME_EAB_KID=kid-1", "ACME_EAB_HMAC="+key)
	s.run()
	s.local("cert", "renew", "unbound")
	s.active("unbound")
}
