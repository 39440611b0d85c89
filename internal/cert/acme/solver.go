package acme

import (
	"context"

	wire "github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/fault"
)

// solver answers one kind of challenge. After present the authority may look;
// cleanUp takes the answer away again.
type solver interface {
	present(ctx context.Context, c wire.Challenge) error
	cleanUp(ctx context.Context, c wire.Challenge)
}

func (c *Client) solver(kind string) (solver, error) {
	switch kind {
	case HTTP01, TLSALPN01:
		return c.opt.Answers, nil
	case DNS01:
		if c.opt.DNS == nil {
			return nil, fault.BadField("challenge", "dns-01 needs DNS_PROVIDER: set it to rfc2136 or exec")
		}
		return dns01{c.opt.DNS, c.opt.Log}, nil
	}
	return nil, fault.BadField("challenge", "must be http-01, tls-alpn-01 or dns-01")
}
