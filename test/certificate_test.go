package test

import (
	"crypto/tls"
	"testing"
	"time"
)

// shown is the certificate that a host shows now.
func (s *server) shown(host string) *tls.ConnectionState {
	s.t.Helper()
	c, err := tls.Dial("tcp", "127.0.0.1:"+port(s.HTTPS), &tls.Config{ServerName: host, InsecureSkipVerify: true}) // what it is is the question
	if err != nil {
		s.t.Fatalf("no handshake with %s: %v", host, err)
	}
	defer c.Close()
	state := c.ConnectionState()
	return &state
}

// TestAHostGetsItsCertificate: HTTPS works at once, and soon by a certificate of
// the authority, without anybody doing anything but make the host.
func TestAHostGetsItsCertificate(t *testing.T) {
	plain, secure := freePort(t), freePort(t)
	ca := startPebble(t, pebbleOptions{HTTP: number(t, plain), TLS: number(t, secure)})
	s := start(t, append(ca.env(), "HTTP_PORT="+plain, "HTTPS_PORT="+secure), "serve")
	s.local("proxy", "create", "app.gatehouse-test.net", mirror(t).URL)
	first := s.shown("app.gatehouse-test.net")
	t.Logf("at first: %s", first.PeerCertificates[0].Issuer)
	client := s.client()
	client.Transport = ca.trusting()
	s.await(30*time.Second, "certificate of the authority", func() bool {
		res, err := client.Get(s.url("app.gatehouse-test.net", "/"))
		if err != nil {
			return false
		}
		res.Body.Close()
		return true
	})
}
