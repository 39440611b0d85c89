// Package fetch gets JSON documents from addresses that strangers name: client
// metadata and key sets. Whoever may name an address could otherwise make this
// machine ask its own network for them, so:
//
//   - only global unicast addresses are dialed, judged by the address that is
//     about to be dialed (guard.go): what DNS answered before does not matter;
//   - no proxy, no redirect, no cookie, no connection that is used twice;
//   - 5 seconds for everything, 64 KiB of body, status 200 and JSON alone;
//   - so many fetches a minute of one host and in all, so many at once (bounds.go);
//   - callers who want the same URL at the same time share one fetch.
//
// Errors are of package fault: Denied (the address may not be asked), Invalid (an
// answer came that is none), Unavailable (no answer), TooMany. Nothing is cached
// here: Document.Life says for how long a caller may.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"gatehouse/internal/fault"
)

const (
	// Timeout is for a whole fetch, the name's resolution included.
	Timeout = 5 * time.Second
	// MaxSize is the most that a document has, in bytes.
	MaxSize = 64 << 10

	maxHead = 32 << 10
)

// Options says how documents are fetched; the zero value is for production.
type Options struct {
	Resolver      string         // name server, host:port; empty: the system's
	AllowLoopback bool           // loopback addresses too, over http as well: for tests on one machine
	Unbounded     bool           // no bounds on how often: for tests and benchmarks
	Roots         *x509.CertPool // nil: the system's
	UserAgent     string         // empty: "Gatehouse"

	Clock func() time.Time // nil: time.Now
}

// Document is what was fetched.
type Document struct {
	Body []byte
	Life time.Duration // how long it may be kept, by its headers: MinLife to MaxLife
}

// Fetcher fetches documents. It may be used by many at once.
type Fetcher struct {
	opt    Options
	client *http.Client
	bounds *bounds
	limit  time.Duration // Timeout
	flight singleflight.Group
}

// New makes a Fetcher.
func New(opt Options) *Fetcher {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.UserAgent == "" {
		opt.UserAgent = "Gatehouse"
	}
	f := &Fetcher{opt: opt, limit: Timeout, bounds: newBounds(!opt.Unbounded, opt.Clock)}
	d := newDialer(opt)
	f.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: d.DialContext, DisableKeepAlives: true, DisableCompression: true, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: opt.Roots, MinVersion: tls.VersionTLS12}, MaxResponseHeaderBytes: maxHead,
		},
	}
	return f
}

// Get fetches the JSON document at address.
func (f *Fetcher) Get(ctx context.Context, address string) (Document, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Document{}, fault.Wrap(fault.Denied, err, "is not an address")
	}
	if err := f.admit(u); err != nil {
		return Document{}, err
	}
	// Whoever asks first fetches for all: that one's leaving must not end it for
	// the others. Timeout bounds the wait.
	found, err, _ := f.flight.Do(address, func() (any, error) {
		end, err := f.bounds.begin(u.Hostname())
		if err != nil {
			return Document{}, err
		}
		defer end()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.limit)
		defer cancel()
		return f.fetch(ctx, u)
	})
	return found.(Document), err
}

// admit checks what an address says by itself, before anything is resolved.
func (f *Fetcher) admit(u *url.URL) error {
	switch {
	case u.User != nil:
		return fault.New(fault.Denied, "must not have a user")
	case u.Scheme == "http" && f.opt.AllowLoopback && IsLoopback(u.Hostname()):
	case u.Scheme != "https":
		return fault.New(fault.Denied, "must be https")
	}
	if u.Hostname() == "" {
		return fault.New(fault.Denied, "must name a host")
	}
	return nil
}

func (f *Fetcher) fetch(ctx context.Context, u *url.URL) (Document, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return Document{}, fault.Wrap(fault.Denied, err, "is not an address")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", f.opt.UserAgent)
	res, err := f.client.Do(r)
	if err != nil {
		return Document{}, unreached(err)
	}
	defer res.Body.Close()
	if err := usable(res); err != nil {
		return Document{}, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxSize+1))
	switch {
	case err != nil:
		return Document{}, unreached(err)
	case len(body) > MaxSize:
		return Document{}, errTooLarge
	}
	return Document{Body: body, Life: life(res.Header, f.opt.Clock())}, nil
}

var errTooLarge = fault.New(fault.Invalid, "answered with more than %d KiB", MaxSize>>10)

// usable reports why an answer is no document, by its head.
func usable(res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return fault.New(fault.Invalid, "answered with status %d, not 200; redirects are not followed", res.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || (kind != "application/json" && !(strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))) {
		return fault.New(fault.Invalid, "answered with something that is not application/json")
	}
	if enc := res.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return fault.New(fault.Invalid, "answered in an encoding that was not asked for")
	}
	if res.ContentLength > MaxSize {
		return errTooLarge
	}
	return nil
}

// unreached tells what was refused from what failed. To whoever asked, all that
// failed is one: which names resolve inside a network, and what listens there, is
// nothing for strangers.
func unreached(err error) error {
	if errors.Is(err, errNotGlobal) {
		return fault.Wrap(fault.Denied, err, "could not be reached")
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		err = fmt.Errorf("resolve: %w", err)
	}
	return fault.Wrap(fault.Unavailable, err, "could not be reached")
}
