package cert

import (
	"crypto/tls"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// Want says which names are served, in place of those said before: hostnames
// in lower case without a trailing dot, or "*.parent". When it returns, each
// that can have a certificate has one. It costs some 100 µs for each new name.
func (k *Keeper) Want(names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.names = slices.Clone(names)
	k.renew(time.Now())
}

// renew makes the snapshot anew, with what is good in the old one. k.mu is held.
func (k *Keeper) renew(now time.Time) {
	old := *k.snapshot.Load()
	fresh := make(map[string]*Served, len(k.names))
	for _, name := range k.names {
		if s := k.keep(old[name], name, now); s != nil {
			fresh[name] = s
		}
	}
	k.snapshot.Store(&fresh)
}

// keep is s while it is good, else a new certificate. When none can be made s
// stays, which is better than nothing.
func (k *Keeper) keep(s *Served, name string, now time.Time) *Served {
	if s != nil && now.Before(s.due) && now.After(s.tls.Leaf.NotBefore) && k.ours(s) {
		return s
	}
	made, err := k.obtain(name, now)
	if err != nil {
		k.log.Error("no certificate can be made", "host", name, "error", err)
		return s
	}
	return made
}

// ours reports whether s still comes from where it would be made now.
func (k *Keeper) ours(s *Served) bool {
	ca := k.ca.Load()
	if s.Kind == KindLocal {
		return ca != nil && slices.Equal(s.tls.Certificate[1], ca.cert.Raw)
	}
	return ca == nil || !ca.Speaks(s.tls.Leaf.DNSNames[0])
}

// Find is the certificate that name is served with: its own, else that of the
// wildcard above it; nil when it is not wanted.
func (k *Keeper) Find(name string) *Served {
	all := *k.snapshot.Load()
	if s := all[name]; s != nil {
		return s
	}
	label, parent, _ := strings.Cut(name, ".")
	s := all["*."+parent]
	if s == nil || s.below == nil || !isLabel(label) {
		return s
	}
	return s.below.find(name, s)
}

// Get is the certificate for a handshake, for use as tls.Config.GetCertificate.
// NotFound when the name is not wanted.
func (k *Keeper) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if s := k.Find(name); s != nil {
		return s.tls, nil
	}
	return nil, fault.New(fault.NotFound, "no certificate for %q is kept here", name)
}
