package acme

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	wire "github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/fault"
)

// Refusal is an authority's "no" (RFC 8555, section 6.7): a problem document.
type Refusal struct {
	Type       string        // "rateLimited", "dns", "unauthorized" …, without the namespace
	Domain     string        // that it is about; empty: the order as a whole
	Detail     string        // the authority's own words
	RetryAfter time.Duration // after which it may be asked again; 0: it did not say
	Cause      error
}

// Error says in words what was refused, why, and what may help.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString("the certificate authority refused")
	if r.Domain != "" {
		b.WriteString(" " + r.Domain)
	}
	if r.Detail != "" {
		b.WriteString(": " + strings.TrimSuffix(oneLine(r.Detail), "."))
	}
	if r.Type != "" {
		b.WriteString(" (" + oneLine(r.Type) + ")")
	}
	if help := helps[r.Type]; help != "" {
		b.WriteString(": " + help)
	}
	if r.RetryAfter > 0 {
		fmt.Fprintf(&b, "; it may be asked again in %v", r.RetryAfter.Round(time.Second))
	}
	return b.String()
}

// Unwrap gives the cause, for the log.
func (r *Refusal) Unwrap() error { return r.Cause }

// RateLimited reports whether the authority has been asked too often.
func (r *Refusal) RateLimited() bool { return r.Type == "rateLimited" }

// helps says what a person can do about a problem.
var helps = map[string]string{
	"dns":                     "make an A or AAAA record that leads to this machine",
	"connection":              "it could not connect: ports 80 (HTTP-01) and 443 (TLS-ALPN-01) must reach Gatehouse from the internet",
	"unauthorized":            "something else answered for this name, or the record is not there: see where it leads",
	"incorrectResponse":       "something else answered for this name: see where it leads",
	"tls":                     "something else ends TLS for this name: see where it leads",
	"caa":                     "the domain's CAA records do not name this authority",
	"rejectedIdentifier":      "this authority does not certify that name",
	"externalAccountRequired": "set ACME_EAB_KID and ACME_EAB_HMAC",
	"userActionRequired":      "open the address that it names",
}

// refusalOf finds the authority's problem in an error; others say that it could
// not be asked.
func refusalOf(err error) error {
	if _, ok := errors.AsType[*Refusal](err); ok {
		return err
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	p, ok := errors.AsType[wire.Problem](err)
	if !ok {
		return fault.Wrap(fault.Unavailable, err, "the certificate authority could not be asked, or its answer makes no sense")
	}
	r := &Refusal{Type: problemType(p.Type), Detail: p.Detail, Cause: err}
	if authz, ok := p.Resource.(wire.Authorization); ok {
		r.Domain = authz.IdentifierValue()
	}
	for _, sub := range p.Subproblems { // the first tells most of a compound one
		if sub.Detail != "" && (r.Type == "compound" || r.Domain == "") {
			r.Type, r.Domain, r.Detail = problemType(sub.Type), sub.Identifier.Value, sub.Detail
			break
		}
	}
	return r
}

func problemType(urn string) string { return strings.TrimPrefix(urn, wire.ProblemTypeNamespace) }

// oneLine is text from outside as it may stand in a message and a log.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, s)
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return s
}

// note is what the transport learns beside a request's answer.
type note struct{ wait atomic.Int64 }

func (n *note) set(d time.Duration) {
	if d > 0 {
		n.wait.Store(int64(d))
	}
}

func (n *note) get() time.Duration { return time.Duration(n.wait.Load()) }

type noteKey struct{}

func withNote(ctx context.Context) (context.Context, *note) {
	n := &note{}
	return context.WithValue(ctx, noteKey{}, n), n
}

func noteFrom(ctx context.Context) *note {
	n, _ := ctx.Value(noteKey{}).(*note)
	return n
}
