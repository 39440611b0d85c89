package cert

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"gatehouse/internal/cert/acme"
)

// obtain asks the authority of o for a certificate: what is known to fail is not
// asked, and what it allows is not overdrawn.
func (m *Manager) obtain(ctx context.Context, o Object, tell func(Step)) (chain [][]byte, key crypto.Signer, err error) {
	renews := o.has() && o.IssuedBy == o.Directory
	if m.opt.Quota != nil {
		if err := m.opt.Quota.Check(ctx, o.Directory, o.Domains, renews); err != nil {
			return nil, nil, err
		}
	}
	if m.opt.Preflight != nil && !o.Unchecked {
		tell(Step{Name: "preflight", Detail: fmt.Sprintf("looking where the names lead (%d)", len(o.Domains))})
		if err := m.opt.Preflight.Check(ctx, o.Directory, o.Challenge, o.Domains); err != nil {
			return nil, nil, err
		}
		tell(Step{Name: "preflight", Detail: "nothing speaks against it"})
	}
	if key, err = generateKey(o.KeyType); err != nil {
		return nil, nil, err
	}
	order := acme.Order{Directory: o.Directory, Email: o.Email, Domains: o.Domains, Challenge: o.Challenge, Key: key}
	if renews {
		_, order.Replaces, _ = readChain(o.Chain) // can't be read: then it replaces nothing
	}
	chain, err = m.opt.ACME.Obtain(ctx, order, func(s acme.Step) { tell(Step{Name: s.Name, Domain: s.Domain, Detail: s.Detail}) })
	if m.opt.Quota != nil && ctx.Err() == nil {
		m.opt.Quota.Count(context.WithoutCancel(ctx), o.Directory, o.Domains, err, time.Now())
	}
	return chain, key, err
}
