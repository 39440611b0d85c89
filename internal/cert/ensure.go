package cert

import (
	"context"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// ensure makes an object for each host that has none and that an authority could
// certify; false: not for all, and it is worth trying again.
func (m *Manager) ensure(ctx context.Context) bool {
	made := true
	for _, h := range m.uncovered() {
		if err := m.ensureOne(ctx, h.Name); err != nil && ctx.Err() == nil {
			m.log.WarnContext(ctx, "no certificate can be asked for; trying again", "host", h.Name, "error", err)
			made = false
		}
	}
	if !made {
		m.doubt()
	}
	return made
}

// ensureOne makes the object of a host. One that is there already, for another
// node made it just now, is taken over.
func (m *Manager) ensureOne(ctx context.Context, hostname string) error {
	o := m.Defaults()
	o.Domains, o.CreatedBy = []string{hostname}, "gatehouse"
	for _, o.Name = range namesFor(hostname) {
		err := m.add(ctx, o)
		if !fault.Is(err, fault.Exists) {
			return err
		}
		there, err := m.shelf.get(ctx, o.Name)
		if fault.Is(err, fault.NotFound) || (err == nil && !there.Covers(hostname)) {
			continue // it is another host's: a.b-c and a-b.c have one name with dashes
		}
		if err != nil {
			return err
		}
		return m.apply(ctx, o.Name)
	}
	return fault.New(fault.Exists, "the certificates %v are taken: rename or delete them", namesFor(hostname))
}

// namesFor are the names that the object of a host may have: the usual one and,
// where that is taken, one that no other host has.
func namesFor(hostname string) [2]string {
	usual := NameFor(hostname)
	return [2]string{usual, usual[:min(len(usual), maxName-9)] + "-" + digest(hostname)[:8]}
}

// uncovered are the hosts that need an object of their own; none when nothing
// has changed since it was asked last.
func (m *Manager) uncovered() []Wanted {
	m.mu.Lock()
	defer m.mu.Unlock()
	hosts := m.unseen
	if m.unsure {
		hosts = *m.hosts.Load()
	}
	m.unsure, m.unseen = false, nil
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h Wanted) bool {
		return h.Object != "" || m.certifiable(h.Name) != "" || !m.wants(h)
	})
	if len(hosts) == 0 {
		return nil
	}
	domains := make(map[string]bool, len(m.objects))
	for _, o := range m.objects {
		if !o.promising() {
			continue
		}
		for _, d := range o.Domains {
			domains[d] = true
		}
	}
	var open []Wanted
	for _, h := range hosts {
		_, parent, _ := strings.Cut(h.Name, ".")
		covered := domains[h.Name] || (domains["*."+parent] && !strings.HasPrefix(h.Name, "*."))
		if !covered && !m.own(h.Name) {
			open = append(open, h)
		}
	}
	return open
}

// wants reports whether a host is still served.
func (m *Manager) wants(h Wanted) bool {
	hosts := *m.hosts.Load()
	i, there := slices.BinarySearchFunc(hosts, h.Name, func(h Wanted, name string) int { return strings.Compare(h.Name, name) })
	return there && hosts[i] == h
}

// promising reports whether an object has a certificate that is valid, or may
// soon: hosts in it need none of their own.
func (o *Object) promising() bool {
	if o.Source == SourceUpload {
		return time.Now().Before(o.ExpiresAt)
	}
	return o.Status != Failed
}

// own reports whether a host has an object of its own, failed or not. m.mu is held.
func (m *Manager) own(hostname string) bool {
	for _, name := range namesFor(hostname) {
		if o := m.objects[name]; o != nil && o.Covers(hostname) {
			return true
		}
	}
	return false
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
