// Package acme obtains certificates from an authority that speaks ACME (RFC
// 8555), answers its challenges (HTTP-01, TLS-ALPN-01 of RFC 8737, DNS-01), and
// asks it when to renew (RFC 9773).
//
// It knows orders, not certificates that are kept: which names belong together,
// when they are due and what a failure means for the next try is package cert's.
// The protocol's requests are acmez's; what an order does step by step is here,
// because people follow it live and because the authorizations of a hundred
// names are worked on side by side.
package acme

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	wire "github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// The challenges that an order can ask for.
const (
	HTTP01    = wire.ChallengeTypeHTTP01
	TLSALPN01 = wire.ChallengeTypeTLSALPN01
	DNS01     = wire.ChallengeTypeDNS01
)

// Sealer keeps secrets unreadable at rest.
type Sealer interface {
	Seal(purpose string, plain []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Options is what a Client needs. KV, Sealer and Answers are required.
type Options struct {
	KV      store.KV
	Sealer  Sealer
	Answers *Answers
	DNS     DNS            // nil: there is no DNS-01
	Roots   *x509.CertPool // that the authorities' own HTTPS is trusted by; nil: the system's
	EAB     Binding        // external account binding, for accounts at Main
	Main    string         // the directory that EAB belongs to
	Agent   string         // "gatehouse/1.2.3"
	Log     *slog.Logger   // nil: discards
}

// Binding is an external account binding (RFC 8555, section 7.3.4); empty: none.
type Binding struct {
	KeyID string
	HMAC  []byte
}

// Client speaks to ACME authorities. It is safe for concurrent use.
type Client struct {
	opt      Options
	accounts store.Table[accountRecord]
	http     *http.Client

	mu    sync.Mutex // guards wires
	wires map[string]*wire.Client
}

// New makes a client. It starts nothing and asks nobody.
func New(opt Options) *Client {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4,
		TLSClientConfig: &tls.Config{RootCAs: opt.Roots, MinVersion: tls.VersionTLS12},
	}
	return &Client{
		opt: opt, accounts: store.NewTable[accountRecord](opt.KV, prefixAccount, "ACME account"),
		http: &http.Client{Transport: bounded{transport}, Timeout: 2 * time.Minute}, wires: map[string]*wire.Client{},
	}
}

// CanDNS reports whether DNS-01 challenges can be answered here.
func (c *Client) CanDNS() bool { return c.opt.DNS != nil }

// Order is what a certificate is asked for with.
type Order struct {
	Directory string   // the authority's
	Email     string   // contact of the account; may be empty
	Domains   []string // lower case ASCII, perhaps "*.parent"
	Challenge string   // for all domains; empty: DNS-01 for wildcards, HTTP-01 for others
	Key       crypto.Signer
	Replaces  *x509.Certificate // the certificate that this one renews; nil: none
}

// Step is one thing that was done for an order, as people follow it.
type Step struct {
	Name   string // "account", "order", "authorization", "finalize", "download"
	Domain string // of an authorization
	Detail string // what happened, in words
}

// orderPatience bounds one order, from the first request to the certificate.
const orderPatience = 10 * time.Minute

// Obtain gets a certificate: the chain in DER, leaf first. tell hears of each
// step and is never called at the same time twice. The error is a *Refusal where
// the authority itself said no.
func (c *Client) Obtain(ctx context.Context, o Order, tell func(Step)) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, orderPatience)
	defer cancel()
	at, err := c.at(ctx, o.Directory)
	if err != nil {
		return nil, refusalOf(err)
	}
	var told sync.Mutex
	w := &work{Client: c, wire: at, order: o, tell: func(s Step) {
		told.Lock()
		defer told.Unlock()
		tell(s)
	}}
	chain, err := w.run(ctx)
	if err == nil {
		return chain, nil
	}
	if _, ok := errors.AsType[*Refusal](err); !ok {
		c.drop(o.Directory)
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return nil, fault.Wrap(fault.Unavailable, err, "the certificate authority did not finish the order within %v", orderPatience)
	}
	return nil, refusalOf(err)
}
