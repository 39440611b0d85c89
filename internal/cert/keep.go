package cert

import (
	"crypto/tls"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// acmeProtocol is the protocol of TLS-ALPN-01 validations (RFC 8737).
const acmeProtocol = "acme-tls/1"

// Want says which hosts are served, in place of those said before. When it
// returns, each that can have a certificate has one. It costs some 100 µs for
// each new name, and little for those that stay.
func (k *Keeper) Want(hosts []Wanted) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.hosts
	k.hosts = inOrder(hosts)
	come, gone := since(before, k.hosts)
	if len(come)+len(gone) == 0 {
		return
	}
	now, old := time.Now(), *k.snapshot.Load()
	fresh := maps.Clone(old)
	for _, h := range gone {
		delete(fresh, h.Name)
	}
	for _, h := range come {
		if s := k.choose(old[h.Name], h, now); s != nil {
			fresh[h.Name] = s
		}
	}
	k.snapshot.Store(&fresh)
}

// inOrder is a copy in name order.
func inOrder(hosts []Wanted) []Wanted {
	hosts = slices.Clone(hosts)
	slices.SortFunc(hosts, func(a, b Wanted) int { return strings.Compare(a.Name, b.Name) }) // they come sorted
	return hosts
}

// since are what the one list has and before has not, and the other way round;
// both are in name order.
func since(before, now []Wanted) (come, gone []Wanted) {
	for len(before) > 0 && len(now) > 0 {
		if before[0] == now[0] {
			before, now = before[1:], now[1:]
			continue
		}
		order := strings.Compare(before[0].Name, now[0].Name)
		if order <= 0 {
			gone, before = append(gone, before[0]), before[1:]
		}
		if order >= 0 {
			come, now = append(come, now[0]), now[1:]
		}
	}
	return append(come, now...), append(gone, before...)
}

// setIssued takes in what has been issued by now.
func (k *Keeper) setIssued(ix *issued) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.issued.Store(ix)
	k.renew(time.Now())
}

// renew makes the snapshot anew, with what is good in the old one. k.mu is held.
func (k *Keeper) renew(now time.Time) {
	old := *k.snapshot.Load()
	fresh := make(map[string]*Served, len(k.hosts))
	for _, h := range k.hosts {
		if s := k.choose(old[h.Name], h, now); s != nil {
			fresh[h.Name] = s
		}
	}
	k.snapshot.Store(&fresh)
}

// choose is the certificate of one host, which had old so far:
//
//  1. the object that the host names;
//  2. an issued certificate whose names hold the host's, the longest-lived;
//  3. one of the local CA, for names that it may sign for;
//  4. a self-signed one.
func (k *Keeper) choose(old *Served, h Wanted, now time.Time) *Served {
	if s := k.issued.Load().pick(h, now); s != nil {
		return s
	}
	if old != nil && old.Object != "" { // it was deleted, or has ended
		old = nil
	}
	return k.keep(old, h.Name, now)
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
	if slices.Contains(hello.SupportedProtos, acmeProtocol) {
		return k.validation(hello, name)
	}
	if s := k.Find(name); s != nil {
		return s.tls, nil
	}
	return nil, fault.New(fault.NotFound, "no certificate for %q is kept here", name)
}

// validation is the certificate for a handshake by which an authority validates
// a name.
func (k *Keeper) validation(hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error) {
	if k.challenges != nil {
		if c := k.challenges.Handshake(hello.Context(), name); c != nil {
			return c, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no validation of %q is expected here", name)
}

// Vouched reports whether authorities that clients know vouch for a certificate
// that Get gave.
func (k *Keeper) Vouched(c *tls.Certificate) bool {
	s := k.issued.Load().of[c]
	return s != nil && s.Public
}
