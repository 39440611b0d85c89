package test

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// renewAt tells the authority what to suggest for the present certificate of a
// name.
func (p *pebble) renewAt(chain string, start, end time.Time) {
	p.t.Helper()
	window, err := json.Marshal(map[string]any{"suggestedWindow": map[string]time.Time{"start": start.UTC(), "end": end.UTC()}})
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{"Certificate": chain, "ARIResponse": string(window)})
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := p.client.Post(p.Manage+"/set-renewal-info/", "application/json", strings.NewReader(string(text)))
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		p.t.Fatalf("set-renewal-info: %d", res.StatusCode)
	}
}

// TestTheAuthoritysWindowMovesARenewal: an authority that wants a certificate
// renewed, because it must revoke it, is asked now and then and obeyed; and
// `cert renew` asks it at once.
func TestTheAuthoritysWindowMovesARenewal(t *testing.T) {
	ca, s := certified(t, pebbleOptions{}, "RENEWAL_CHECK_INTERVAL=1")
	s.local("cert", "create", "early", "early.gatehouse-test.net", "--wait")
	var first certState
	s.await(20*time.Second, "renewal window", func() bool {
		first = s.kept("early")
		return first.Renewal.Before(first.Expires.Add(-20*24*time.Hour)) && first.Renewal.After(time.Now().Add(20*24*time.Hour))
	})
	if _, errs, code := s.cli("--local", "cert", "renew", "early"); code == 0 || !strings.Contains(errs, "is due for renewal on "+first.Renewal.UTC().Format(time.DateOnly)) {
		t.Errorf("a renewal before its time: exit %d %s", code, errs)
	}
	now := time.Now()
	ca.renewAt(first.Chain, now.Add(-2*time.Hour), now.Add(-time.Hour))
	s.await(30*time.Second, "certificate that replaces it", func() bool { return s.kept("early").Serial != first.Serial })
	second := s.kept("early")
	ca.renewAt(second.Chain, now.Add(-2*time.Hour), now.Add(-time.Hour)) // an early renewal after an early one is not hurried
	s.local("cert", "renew", "early")                                    // but by people
	s.await(30*time.Second, "certificate that replaces the second", func() bool { return s.kept("early").Serial != second.Serial })
}

// TestShortLivedCertificatesAreRenewedUnderLoad: certificates of two minutes are
// renewed in time, again and again, and no handshake fails through it.
func TestShortLivedCertificatesAreRenewedUnderLoad(t *testing.T) {
	life, renewals := 30, 1 // ten seconds for a renewal: machines of CI are slow
	if whole() {
		life, renewals = 120, 4
	}
	ca, s := certifiedAlone(t, pebbleOptions{Life: life})
	const host = "short.gatehouse-test.net"
	s.local("proxy", "create", host, mirror(t).URL)
	s.active("proxy-short-gatehouse-test-net")
	roots := ca.root()
	serials := map[string]bool{}
	var mu sync.Mutex
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: loopback, DisableKeepAlives: true,
				TLSClientConfig: &tls.Config{RootCAs: roots, VerifyConnection: func(c tls.ConnectionState) error {
					mu.Lock()
					defer mu.Unlock()
					serials[c.PeerCertificates[0].SerialNumber.String()] = true
					return nil
				}}}}
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				res, err := client.Get(s.url(host, "/"))
				asked.Add(1)
				if err != nil {
					if failed.Add(1) < 5 {
						t.Error(err)
					}
					continue
				}
				res.Body.Close()
			}
		})
	}
	s.await(time.Duration(life*(renewals+1))*time.Second+30*time.Second, "renewals", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(serials) > renewals
	})
	close(stop)
	load.Wait()
	t.Logf("%d handshakes over %d certificates of %d s, %d failed", asked.Load(), len(serials), life, failed.Load())
	if asked.Load() < 100 {
		t.Errorf("only %d handshakes were tried", asked.Load())
	}
}

// TestSlowHandshakesEndWithTheCertificateTheyBeganWith: a handshake that is under
// way when the certificate changes is not cut.
func TestSlowHandshakesEndWithTheCertificateTheyBeganWith(t *testing.T) {
	ca, s := certified(t, pebbleOptions{})
	const host = "slow.gatehouse-test.net"
	s.local("proxy", "create", host, mirror(t).URL, "--wait")
	raw, err := net.Dial("tcp", "127.0.0.1:"+port(s.HTTPS))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	swapped := make(chan struct{})
	c := tls.Client(raw, &tls.Config{ServerName: host, RootCAs: ca.root(), VerifyConnection: func(tls.ConnectionState) error {
		<-swapped // the server waits for our Finished
		return nil
	}})
	done := make(chan error, 1)
	go func() { done <- c.HandshakeContext(t.Context()) }()
	before := s.shown(host).SerialNumber
	s.local("cert", "renew", "proxy-slow-gatehouse-test-net", "--force")
	s.await(8*time.Second, "new certificate", func() bool { return s.shown(host).SerialNumber.Cmp(before) != 0 })
	close(swapped)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
