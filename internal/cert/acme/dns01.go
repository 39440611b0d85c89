package acme

import (
	"context"
	"log/slog"
	"time"

	wire "github.com/mholt/acmez/v3/acme"
)

// DNS sets and removes TXT records, for DNS-01. Several values may stand under
// one name at the same time (a name and its wildcard have the same record).
type DNS interface {
	// Set adds the value to the TXT records at name, an FQDN with its trailing
	// dot, and returns when the zone's own servers tell it.
	Set(ctx context.Context, name, value string) error
	// Remove takes that value away; absent is fine.
	Remove(ctx context.Context, name, value string) error
}

// dnsPatience bounds one change of a zone, its spreading included.
const dnsPatience = 3 * time.Minute

// dns01 answers DNS-01 challenges (RFC 8555, section 8.4).
type dns01 struct {
	dns DNS
	log *slog.Logger
}

func (d dns01) present(ctx context.Context, c wire.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, dnsPatience)
	defer cancel()
	return d.dns.Set(ctx, c.DNS01TXTRecordName()+".", c.DNS01KeyAuthorization())
}

func (d dns01) cleanUp(ctx context.Context, c wire.Challenge) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.dns.Remove(ctx, c.DNS01TXTRecordName()+".", c.DNS01KeyAuthorization()); err != nil {
		d.log.WarnContext(ctx, "a TXT record could not be removed", "name", c.DNS01TXTRecordName(), "error", err)
	}
}
