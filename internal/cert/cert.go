// Package cert finds the certificate for each handshake. It owns the local CA
// (RFC 5280, with critical name constraints), the certificates that it signs,
// and the self-signed ones that a public name has until its own is issued.
//
// Which certificate a name gets is decided in one place, sources: the first
// source that speaks for the name makes it. A handshake reads an immutable
// snapshot and never waits for storage or a lock; certificates are made when a
// name is wanted, before its first handshake, and renewed by Run.
//
// What the local CA may sign for, and why other private names get a self-signed
// certificate instead, is said in names.go. Terminating TLS is package edge's.
package cert

import (
	"context"
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

// Options are the settings of a Keeper.
type Options struct {
	SelfSigned time.Duration // lifetime of self-signed certificates; at least a day
	Log        *slog.Logger
}

// Keeper holds the certificates of the names that are wanted.
type Keeper struct {
	cas        *vault
	selfSigned selfSigned
	log        *slog.Logger
	ca         atomic.Pointer[authority]
	snapshot   atomic.Pointer[map[string]*Served] // never changed, only replaced

	mu    sync.Mutex // one change of the snapshot at a time; guards names
	names []string   // of the last Want
}

// New makes a Keeper whose local CA lies in kv, its key sealed by sealer.
func New(kv store.KV, sealer *store.Sealer, o Options) *Keeper {
	k := &Keeper{cas: newVault(kv, sealer), selfSigned: selfSigned{o.SelfSigned}, log: o.Log}
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

// sources are asked in order; the last speaks for every name. Certificates that
// were issued for names will come first here.
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
