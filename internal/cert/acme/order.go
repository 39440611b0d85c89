package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	wire "github.com/mholt/acmez/v3/acme"
	"golang.org/x/sync/errgroup"

	"gatehouse/internal/fault"
)

// work is one order while it is worked on.
type work struct {
	*Client
	wire  *wire.Client
	order Order
	used  string // the account's address
	tell  func(Step)
}

// sideBySide is how many authorizations of one order are worked on at once.
const sideBySide = 10

// run is RFC 8555, section 7.4: account, order, authorizations, finalization,
// certificate.
func (w *work) run(ctx context.Context) ([][]byte, error) {
	ctx, wait := withNote(ctx)
	chain, err := w.attempt(ctx)
	if p, ok := errors.AsType[wire.Problem](err); ok && p.Type == wire.ProblemTypeAccountDoesNotExist {
		if err := w.forgetAccount(ctx); err != nil {
			return nil, err
		}
		w.tell(Step{Name: "account", Detail: "the authority does not know our account any more: registering again"})
		chain, err = w.attempt(ctx)
	}
	err = refusalOrNil(err)
	if r, ok := errors.AsType[*Refusal](err); ok && r.RetryAfter == 0 && (r.RateLimited() || r.Type == "serverInternal") {
		r.RetryAfter = wait.get()
	}
	return chain, err
}

func refusalOrNil(err error) error {
	if err == nil {
		return nil
	}
	return refusalOf(err)
}

func (w *work) attempt(ctx context.Context) ([][]byte, error) {
	a, err := w.account(ctx)
	if err != nil {
		return nil, err
	}
	w.used = a.Location
	o, err := w.newOrder(ctx, a)
	if err != nil {
		return nil, err
	}
	w.tell(Step{Name: "order", Detail: fmt.Sprintf("placed for %s", count(len(w.order.Domains), "name"))})
	if err := w.authorize(ctx, a, o); err != nil {
		return nil, err
	}
	csr, err := w.request()
	if err != nil {
		return nil, err
	}
	w.tell(Step{Name: "finalize", Detail: "all names are authorized: asking for the certificate"})
	if o, err = w.finalize(ctx, a, o, csr); err != nil {
		return nil, err
	}
	chain, err := w.download(ctx, a, o)
	if err == nil {
		w.tell(Step{Name: "download", Detail: "the certificate is here"})
	}
	return chain, err
}

func (w *work) newOrder(ctx context.Context, a wire.Account) (wire.Order, error) {
	o := wire.Order{}
	for _, d := range w.order.Domains {
		o.Identifiers = append(o.Identifiers, wire.Identifier{Type: "dns", Value: d})
	}
	if w.order.Replaces != nil {
		o.Replaces = w.replaces(ctx)
	}
	made, err := w.wire.NewOrder(ctx, a, o)
	if p, ok := errors.AsType[wire.Problem](err); ok && o.Replaces != "" &&
		(p.Type == wire.ProblemTypeAlreadyReplaced || p.Type == wire.ProblemTypeMalformed) {
		o.Replaces = "" // what it names was replaced already, or is another authority's
		made, err = w.wire.NewOrder(ctx, a, o)
	}
	return made, err
}

// replaces names the certificate that is renewed, where the authority offers
// renewal information (RFC 9773, section 5).
func (w *work) replaces(ctx context.Context) string {
	d, err := w.wire.GetDirectory(ctx)
	if err != nil || d.RenewalInfo == "" {
		return ""
	}
	id, err := wire.ARIUniqueIdentifier(w.order.Replaces)
	if err != nil {
		return ""
	}
	return id
}

// authorize proves all names of an order, several at once. The first failure
// ends the others.
func (w *work) authorize(ctx context.Context, a wire.Account, o wire.Order) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	for _, at := range o.Authorizations {
		group.Go(func() error { return w.prove(ctx, a, at) })
	}
	return group.Wait()
}

// prove works on one authorization until the authority is convinced.
func (w *work) prove(ctx context.Context, a wire.Account, at string) error {
	authz, err := w.wire.GetAuthorization(ctx, a, at)
	if err != nil {
		return err
	}
	domain := authz.IdentifierValue()
	if authz.Status == wire.StatusValid {
		w.tell(Step{Name: "authorization", Domain: domain, Detail: "still valid from before"})
		return nil
	}
	challenge, err := w.choose(authz)
	if err != nil {
		return err
	}
	solver, err := w.solver(challenge.Type)
	if err != nil {
		return err
	}
	if err := solver.present(ctx, challenge); err != nil {
		return err
	}
	defer solver.cleanUp(context.WithoutCancel(ctx), challenge)
	w.tell(Step{Name: "authorization", Domain: domain, Detail: "the answer to " + challenge.Type + " is in place: asking the authority to look"})
	if _, err := w.wire.InitiateChallenge(ctx, a, challenge); err != nil {
		return err
	}
	authz.Status = wire.StatusPending
	if _, err = w.wire.PollAuthorization(ctx, a, authz); err != nil {
		w.tell(Step{Name: "authorization", Domain: domain, Detail: "refused"})
		return err
	}
	w.tell(Step{Name: "authorization", Domain: domain, Detail: "valid"})
	return nil
}

// choose picks the challenge that the order wants for an authorization.
func (w *work) choose(authz wire.Authorization) (wire.Challenge, error) {
	want := w.order.Challenge
	if want == "" {
		want = HTTP01
		if authz.Wildcard {
			want = DNS01
		}
	}
	var offered []string
	for _, c := range authz.Challenges {
		if c.Type == want {
			return c, nil
		}
		offered = append(offered, c.Type)
	}
	return wire.Challenge{}, fault.New(fault.Invalid, "the authority offers no %s for %s, only %s", want, authz.IdentifierValue(), strings.Join(offered, ", "))
}

// request is the certificate signing request.
func (w *work) request() ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: w.order.Domains}, w.order.Key)
}

func (w *work) finalize(ctx context.Context, a wire.Account, o wire.Order, csr []byte) (wire.Order, error) {
	o, err := w.wire.FinalizeOrder(ctx, a, o, csr)
	if err == nil || ctx.Err() != nil {
		return o, err
	}
	if o.Error != nil {
		return o, *o.Error
	}
	return o, err
}

// download fetches the chain and looks whether it is what was asked for.
func (w *work) download(ctx context.Context, a wire.Account, o wire.Order) ([][]byte, error) {
	chains, err := w.wire.GetCertificateChain(ctx, a, o.Certificate)
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, errors.New("the authority sent no chain")
	}
	return w.read(chains[0].ChainPEM)
}

func (w *work) read(text []byte) ([][]byte, error) {
	var chain [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("the authority's chain holds a %q", block.Type)
		}
		chain = append(chain, block.Bytes)
	}
	if len(chain) == 0 {
		return nil, errors.New("the authority's chain holds no certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate can't be read: %w", err)
	}
	if time.Now().After(leaf.NotAfter) {
		return nil, fmt.Errorf("the authority's certificate has ended already, on %s: see this machine's clock", leaf.NotAfter.Format(time.RFC3339))
	}
	public, ok := w.order.Key.Public().(interface{ Equal(x crypto.PublicKey) bool })
	if !ok || !public.Equal(leaf.PublicKey) {
		return nil, errors.New("the authority's certificate is for another key")
	}
	for _, d := range w.order.Domains {
		if !covers(leaf, d) {
			return nil, fmt.Errorf("the authority's certificate lacks %s", d)
		}
	}
	return chain, nil
}

// covers reports whether a certificate names a domain, a wildcard as it stands.
func covers(leaf *x509.Certificate, domain string) bool {
	for _, name := range leaf.DNSNames {
		if strings.EqualFold(name, domain) {
			return true
		}
	}
	return false
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
