package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"
)

// NewTransport reaches *.localhost on loopback, where it also trusts roots: the
// local CA's certificates as PEM (nil: none).
func NewTransport(roots []byte) http.RoundTripper {
	public := newTransport(nil)
	if len(roots) == 0 {
		return public
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(roots)
	return &split{local: newTransport(pool), public: public}
}

// split uses the local CA for this machine's names alone.
type split struct{ local, public http.RoundTripper }

func (s *split) RoundTrip(r *http.Request) (*http.Response, error) {
	if Loopback(r.URL.Hostname()) {
		return s.local.RoundTrip(r)
	}
	return s.public.RoundTrip(r)
}

func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext:           dial,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   512, // a stress test asks by many at once
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
	}
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	var failed error
	for _, a := range dialHosts(address) {
		conn, err := d.DialContext(ctx, network, a)
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// SocketTransport sends every request to a unix socket.
func SocketTransport(path string) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
}

// Named makes requests that have no User-Agent say agent: the pages where a
// person approves a sign-in show it.
func Named(t http.RoundTripper, agent string) http.RoundTripper { return named{t, agent} }

type named struct {
	next  http.RoundTripper
	agent string
}

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("User-Agent") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", n.agent)
	}
	return n.next.RoundTrip(r)
}
