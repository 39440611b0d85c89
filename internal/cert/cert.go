// Package cert owns certificates: those that authorities issue or people upload,
// kept under names in the store and renewed in time (Manager), the local CA (RFC
// 5280, with critical name constraints) and what it signs, and the self-signed
// ones that a public name has until its own is issued (Keeper).
//
// Which certificate a host gets is decided in one place, Keeper.choose: what was
// issued for it, else the first source that speaks for its name. A handshake
// reads an immutable snapshot and never waits for storage or a lock;
// certificates are there before the first handshake.
//
// How an authority is asked is package cert/acme's. What the local CA may sign
// for, and why other private names get a self-signed certificate instead, is
// said in names.go. Terminating TLS is package edge's.
package cert

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/store"
)

// checkEvery is how often Run looks for certificates that are due. It is far
// less than a third of any lifetime here, so that a check missed to a sleeping
// machine or a changed clock does no harm.
const checkEvery = time.Hour

// Source makes certificates for the names that it speaks for.
type Source interface {
	// Speaks reports whether name (lower case, perhaps "*.parent") is for this
	// source to serve.
	Speaks(name string) bool

	// Make is a certificate for name, valid from now on.
	Make(name string, now time.Time) (*Served, error)
}

// Challenges answers TLS-ALPN-01 validations; package cert/acme has them.
type Challenges interface {
	// Handshake is the certificate that a validation of name must see; nil when
	// none is expected.
	Handshake(ctx context.Context, name string) *tls.Certificate
}

// Options are the settings of a Keeper.
type Options struct {
	SelfSigned time.Duration // lifetime of self-signed certificates; at least a day
	Challenges Challenges    // nil: validations find nothing
	Log        *slog.Logger
}

// Wanted is a host that is served over HTTPS: its name in lower case without a
// trailing dot, or "*.parent", and the certificate that it names itself.
type Wanted struct {
	Name   string
	Object string // empty: chosen by name
}

// Keeper holds the certificates of the names that are wanted.
type Keeper struct {
	cas        *vault
	selfSigned selfSigned
	challenges Challenges
	log        *slog.Logger
	ca         atomic.Pointer[authority]
	issued     atomic.Pointer[issued]
	snapshot   atomic.Pointer[map[string]*Served] // never changed, only replaced

	mu    sync.Mutex // one change of the snapshot at a time; guards hosts
	hosts []Wanted   // of the last Want
}

// New makes a Keeper whose local CA lies in kv, its key sealed by sealer.
func New(kv store.KV, sealer *store.Sealer, o Options) *Keeper {
	k := &Keeper{cas: newVault(kv, sealer), selfSigned: selfSigned{o.SelfSigned}, challenges: o.Challenges, log: o.Log}
	k.issued.Store(indexed(nil, time.Time{}))
	k.snapshot.Store(&map[string]*Served{})
	return k
}

// Load reads the local CA, and makes it when there is none or it is about to
// end. It comes before everything else.
func (k *Keeper) Load(ctx context.Context) error {
	ca, made, err := k.cas.load(ctx, time.Now())
	if err != nil {
		return err
	}
	if made {
		k.log.InfoContext(ctx, "made a local certificate authority", "subject", ca.cert.Subject.CommonName, "sha256", ca.fingerprint())
	}
	k.ca.Store(ca)
	return nil
}

// CAPEM is the local CA's certificate in PEM; nil before Load.
func (k *Keeper) CAPEM() []byte {
	if ca := k.ca.Load(); ca != nil {
		return ca.pem
	}
	return nil
}

// sources are asked in order; the last speaks for every name.
func (k *Keeper) sources() []Source {
	if ca := k.ca.Load(); ca != nil {
		return []Source{ca, k.selfSigned}
	}
	return []Source{k.selfSigned}
}

// obtain is a certificate for name from the first source that speaks for it.
func (k *Keeper) obtain(name string, now time.Time) (*Served, error) {
	for _, s := range k.sources() {
		if s.Speaks(name) {
			return s.Make(name, now)
		}
	}
	return nil, fmt.Errorf("no source of certificates speaks for %q", name)
}

// Run renews certificates and follows the local CA in the store, which another
// node may replace, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	changes := k.cas.watch(ctx)
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case _, ok := <-changes:
			if !ok {
				return nil // ctx has ended
			}
		case <-tick.C:
		}
		k.refresh(ctx)
	}
}

// refresh takes over a changed CA and renews what is due. When the store is
// away everything stays as it is.
func (k *Keeper) refresh(ctx context.Context) {
	if err := k.Load(ctx); err != nil && ctx.Err() == nil {
		k.log.WarnContext(ctx, "the local certificate authority can't be read: the present one stays in use", "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.renew(time.Now())
}
