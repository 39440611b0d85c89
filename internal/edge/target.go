package edge

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/site"
)

// target is where requests can go: a handler in this process, or a server with
// the connections to it.
type target struct {
	value string       // as configured
	local http.Handler // in the process
	open  bool         // local, but a backend like any other: the demo, programs

	scheme  string // http or https
	host    string // host and port, as dialed; for service: and unix: the value itself
	base    string // path that is put before every request's
	baseRaw string // the same, percent-encoded
	named   bool   // service: or unix:, found by Lookup at each dial
	missing string // why it can't be reached at all: answered with 503

	busy   atomic.Int64 // requests under way
	place  uint32       // names it among its host's targets
	health *health      // nil: nobody watches it

	http    *http.Transport // HTTP/1 and 2, as the target likes
	upgrade *http.Transport // HTTP/1 only, for upgrades
}

// newTarget prepares a target. One that can't be used is kept as missing:
// requests to it get 503, and the rest of the host works.
func (e *Edge) newTarget(in *instance, value string) *target {
	t := &target{value: value, place: e.placeOf(in.host.Proxy.Hostname, value)}
	if t.local = e.local(in.host, value); t.local != nil {
		t.open = value == site.InternalDemo
		return t
	}
	scheme, rest, _ := strings.Cut(value, ":")
	if scheme == site.TargetStdio && e.Stdio != nil {
		t.local, t.open = e.Stdio(rest), true
		return t
	}
	switch scheme {
	case "http", "https", "h2c":
		t.parse(value)
	case "service", "unix":
		t.scheme, t.host, t.named = "http", rest, true
		if e.Lookup == nil {
			t.missing = fmt.Sprintf("there is no %s here", value)
		}
	default:
		t.missing = fmt.Sprintf("there is no %s here", value)
	}
	if t.missing == "" {
		e.connect(t, in, scheme)
	}
	return t
}

// local is the handler in this process for a target.
func (e *Edge) local(host *site.Host, value string) http.Handler {
	if host.Role == site.LocalhostRole && strings.TrimSuffix(value, "/") == site.APIDirectTarget {
		value = site.InternalAPI
	}
	return e.Locals[value]
}

func (t *target) parse(value string) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" {
		t.missing = "the target's address can't be read"
		return
	}
	t.scheme, t.host = u.Scheme, u.Host
	if u.Scheme == "h2c" {
		t.scheme = "http"
	}
	t.base = strings.TrimSuffix(u.Path, "/")
	t.baseRaw = strings.TrimSuffix(u.EscapedPath(), "/")
}

// connect makes the transports.
func (e *Edge) connect(t *target, in *instance, scheme string) {
	p := &in.host.Proxy
	config, err := targetTLS(p)
	if err != nil {
		t.missing = "the target's CA certificates can't be read"
		return
	}
	d := in.dialer
	if t.named {
		d = d.named(t.value, e.Lookup)
	}
	version := proxyVersion(p.SendProxyProtocol)
	t.upgrade = newTransport(d, config, seconds(p.RequestTimeout, e.ResponseTimeout))
	t.upgrade.Protocols.SetHTTP1(true)
	t.upgrade.DisableKeepAlives = true
	t.http = newTransport(d, config, seconds(p.RequestTimeout, e.ResponseTimeout))
	switch {
	case scheme == "h2c":
		t.http.Protocols.SetUnencryptedHTTP2(true)
	case version != 0: // the header is about one client: no other may come on that connection
		t.http = t.upgrade
	default:
		t.http.Protocols.SetHTTP1(true)
		t.http.Protocols.SetHTTP2(true)
	}
}

func newTransport(d *dialer, config *tls.Config, responseTimeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            d.DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    d.timeout,
		ResponseHeaderTimeout:  responseTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        60 * time.Second,
		MaxIdleConnsPerHost:    256,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // what the client asks for is passed on as it is
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
		Protocols:              new(http.Protocols),
	}
}

// targetTLS is how a target's certificate is checked.
func targetTLS(p *site.Proxy) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: p.TargetInsecure} //nolint:gosec // the proxy's own setting
	if p.TargetCA == "" {
		return c, nil
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM([]byte(p.TargetCA)) {
		return nil, fmt.Errorf("target_ca of %s holds no certificate", p.Hostname)
	}
	return c, nil
}

// load counts the requests under way. Where the target is watched it outlives
// changes of its host's settings, as streams do.
func (t *target) load() *atomic.Int64 {
	if t.health != nil {
		return &t.health.busy
	}
	return &t.busy
}

func (t *target) retire() {
	if t.http != nil {
		t.http.CloseIdleConnections()
	}
}

// transport picks the connections for a request.
func (t *target) transport(upgrade bool) http.RoundTripper {
	if upgrade {
		return t.upgrade
	}
	return t.http
}
