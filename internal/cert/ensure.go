package cert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"gatehouse/internal/fault"
)

// ensure makes an object for each host that has none and that an authority could
// certify.
func (m *Manager) ensure(ctx context.Context) {
	for _, h := range m.uncovered() {
		o := m.Defaults()
		o.Name, o.Domains, o.CreatedBy = NameFor(h.Name), []string{h.Name}, "gatehouse"
		err := m.add(ctx, o)
		if fault.Is(err, fault.Exists) { // a.b-c and a-b.c have the same name with dashes
			sum := sha256.Sum256([]byte(h.Name))
			o.Name += "-" + hex.EncodeToString(sum[:4])
			err = m.add(ctx, o)
		}
		if err != nil && !fault.Is(err, fault.Exists) && ctx.Err() == nil {
			m.log.WarnContext(ctx, "no certificate can be asked for", "host", h.Name, "error", err)
		}
	}
}

// uncovered are the hosts that need an object of their own.
func (m *Manager) uncovered() []Wanted {
	hosts := *m.hosts.Load()
	m.mu.Lock()
	defer m.mu.Unlock()
	domains := make(map[string]bool, len(m.objects))
	for _, o := range m.objects {
		for _, d := range o.Domains {
			domains[d] = true
		}
	}
	var open []Wanted
	for _, h := range hosts {
		_, parent, _ := strings.Cut(h.Name, ".")
		if h.Object == "" && !domains[h.Name] && !domains["*."+parent] && m.certifiable(h.Name) == "" {
			open = append(open, h)
		}
	}
	return open
}

// certifiable says why an authority can't be asked for a host by itself; empty:
// it can.
func (m *Manager) certifiable(name string) string {
	switch {
	case Local(name):
		return "no public authority certifies local names"
	case strings.HasPrefix(name, "*.") && !m.opt.ACME.CanDNS():
		return "wildcards need DNS_PROVIDER"
	}
	return checkDomain(name)
}

// Defaults is an object with the settings that were configured.
func (m *Manager) Defaults() Object {
	return Object{Source: SourceACME, Email: m.opt.Email, Directory: m.opt.Directory, KeyType: m.opt.KeyType, Status: Pending}
}
