package cert

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// What people can ask a Manager to do. Who may is package control's to say.

// List is every certificate in name order.
func (m *Manager) List(ctx context.Context) ([]Object, error) {
	objects, _, err := m.shelf.all(ctx)
	return objects, err
}

// Object is the certificate called name; NotFound when there is none.
func (m *Manager) Object(ctx context.Context, name string) (Object, error) {
	return m.shelf.get(ctx, name)
}

// Create keeps a new certificate object and has it obtained. o's settings that
// are empty are the configured ones. An Exists error tells that the name is taken.
func (m *Manager) Create(ctx context.Context, o Object) (Object, error) {
	d := m.Defaults()
	o.Source, o.Status = SourceACME, Pending
	o.Email, o.KeyType = either(o.Email, d.Email), either(o.KeyType, d.KeyType)
	if o.Directory == "" {
		o.Directory = d.Directory
		if o.Staging {
			o.Directory = m.opt.Staging
		}
	}
	o.Staging = o.Staging || (o.Directory == m.opt.Staging && m.opt.Staging != m.opt.Directory)
	o.Normalize()
	if err := o.Validate(m.opt.ACME.CanDNS()); err != nil {
		return o, err
	}
	err := m.put(ctx, &o)
	return o, err
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// add is Create for what we make ourselves.
func (m *Manager) add(ctx context.Context, o Object) error {
	o.Normalize()
	if err := o.Validate(m.opt.ACME.CanDNS()); err != nil {
		return err
	}
	return m.put(ctx, &o)
}

// put stores a new object and wakes the loop.
func (m *Manager) put(ctx context.Context, o *Object) error {
	o.CreatedAt, o.Version = time.Now().UTC(), 0
	o.UpdatedAt = o.CreatedAt
	if err := m.shelf.put(ctx, o); err != nil {
		return err
	}
	if err := m.apply(ctx, o.Name); err != nil {
		return err
	}
	m.wake()
	return nil
}

// Upload keeps a certificate and key that people bring, under a new name or in
// place of one that was uploaded before. fits is asked whether it may stand under
// its name; nil: it may.
func (m *Manager) Upload(ctx context.Context, name, chainPEM, keyPEM, by string, fits func(Object) error) (Object, error) {
	o := Object{Name: strings.ToLower(strings.TrimSpace(name)), Source: SourceUpload, Status: Active, CreatedBy: by}
	var rules fault.Rules
	o.checkName(&rules)
	if err := rules.Err(); err != nil {
		return o, err
	}
	b, err := readBundle(chainPEM, keyPEM, time.Now())
	if err != nil {
		return o, err
	}
	old, err := m.shelf.get(ctx, o.Name)
	switch {
	case err == nil && old.Source != SourceUpload:
		return o, fault.New(fault.Exists, "the certificate %q is obtained from an authority: choose another name", o.Name)
	case err == nil:
		o.CreatedAt, o.CreatedBy, o.Version = old.CreatedAt, old.CreatedBy, old.Version
	case !fault.Is(err, fault.NotFound):
		return o, err
	}
	o.UpdatedAt = time.Now().UTC()
	if o.Version == 0 {
		o.CreatedAt = o.UpdatedAt
	}
	for _, d := range b.leaf.DNSNames {
		o.Domains = append(o.Domains, normalDomain(d))
	}
	slices.Sort(o.Domains)
	o.Domains = slices.Compact(o.Domains)
	if fits != nil {
		if err := fits(o); err != nil {
			return o, err
		}
	}
	o.KeyType = keyTypeOf(b.key.Public())
	o.hold(b)
	if err := m.shelf.seal(&o, b.key); err != nil {
		return o, err
	}
	if err := m.shelf.activate(ctx, &o); err != nil {
		return o, err
	}
	m.note(o.Name, "uploaded", "valid until "+o.ExpiresAt.Format(time.RFC3339), false)
	return o, m.apply(ctx, o.Name)
}

// Renew has a certificate renewed: now with force, else if its last try failed or
// it is due by now, which the authority is asked about anew.
func (m *Manager) Renew(ctx context.Context, name string, force, unchecked bool) (Object, error) {
	if o, err := m.shelf.get(ctx, name); err == nil && !force && o.Source == SourceACME && o.has() && o.Failures == 0 {
		if _, err := m.askWindow(ctx, o, time.Now()); err != nil {
			return o, err
		}
	}
	return m.again(ctx, name, func(o *Object) error {
		if at := o.wanted(m.opt.Threshold); !force && o.has() && o.Failures == 0 && time.Now().Before(at) {
			return fault.New(fault.Invalid, "the certificate %q is due for renewal on %s: force renews it now", o.Name, at.UTC().Format(time.RFC3339))
		}
		o.Forced = o.has()
		o.Unchecked = unchecked
		return nil
	})
}

// Convert asks the production authority for a certificate that is one for
// trials. The present one serves until then.
func (m *Manager) Convert(ctx context.Context, name string) (Object, error) {
	return m.again(ctx, name, func(o *Object) error {
		if !o.Staging {
			return fault.New(fault.Invalid, "the certificate %q is from a production authority already", o.Name)
		}
		if m.opt.Directory == o.Directory {
			return fault.New(fault.Invalid, "ACME_DIRECTORY_URL names the same authority as the certificate %q: set it to the production one", o.Name)
		}
		o.Staging, o.Directory, o.Forced, o.Failures = false, m.opt.Directory, o.has(), 0
		return nil
	})
}

func (m *Manager) again(ctx context.Context, name string, with func(*Object) error) (Object, error) {
	o, err := m.changeBy(ctx, name, func(o *Object) error {
		if o.Source != SourceACME {
			return fault.New(fault.Invalid, "the certificate %q was uploaded: upload its successor", o.Name)
		}
		if err := with(o); err != nil {
			return err
		}
		o.NextTry = time.Time{}
		if !o.has() {
			o.Status = Pending
		}
		return nil
	}, m.shelf.put)
	if err != nil {
		return o, err
	}
	if err := m.apply(ctx, name); err != nil {
		return o, err
	}
	m.wake()
	return o, nil
}

// Delete removes a certificate. Hosts that have it are given what is left for
// their names.
func (m *Manager) Delete(ctx context.Context, name string) error {
	o, err := m.shelf.get(ctx, name)
	if err != nil {
		return err
	}
	if err := m.shelf.remove(ctx, &o); err != nil {
		return err
	}
	m.note(name, "deleted", strings.Join(o.Domains, ", "), false)
	return m.apply(ctx, name)
}

// Export is a certificate and its private key in PKCS #8, DER. It is the only way
// for a key to leave.
func (m *Manager) Export(ctx context.Context, name string) (o Object, key []byte, err error) {
	if o, err = m.shelf.get(ctx, name); err != nil {
		return o, nil, err
	}
	if !o.has() {
		return o, nil, fault.New(fault.NotFound, "the certificate %q has not been issued yet: there is no key", name)
	}
	b, err := m.shelf.open(&o)
	if err != nil {
		return o, nil, err
	}
	key, err = x509.MarshalPKCS8PrivateKey(b.key)
	return o, key, err
}

// Settled reports whether nothing is under way for o: waiting brings nothing new
// soon.
func (o *Object) Settled() bool {
	switch o.Status {
	case Issuing, Renewing:
		return false
	case Pending:
		return false
	}
	return !o.Forced
}

// Await returns the object when it is newer than the version given or settled,
// or when ctx ends.
func (m *Manager) Await(ctx context.Context, name string, version int64) (Object, error) {
	if !objectName.MatchString(name) {
		return m.shelf.get(ctx, name)
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	for range m.opt.Store.Watch(watching, m.shelf.place(name)) {
		o, err := m.shelf.get(ctx, name)
		if err != nil && ctx.Err() != nil {
			break
		}
		if err != nil || o.Version != version || o.Settled() {
			return o, err
		}
	}
	last, end := context.WithTimeout(context.WithoutCancel(ctx), lockWait)
	defer end()
	return m.shelf.get(last, name)
}

// For is the object that a host is served by, or will be; empty: none is kept
// for it, and why says what keeps an authority from being asked.
func (m *Manager) For(h Wanted) (name, why string) {
	if h.Object != "" {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.objects[h.Object] == nil {
			return h.Object, "there is no certificate " + h.Object
		}
		return h.Object, ""
	}
	if name := m.covering(h.Name); name != "" {
		return name, ""
	}
	return "", m.certifiable(h.Name)
}

// covering is the object for a name: one that has a certificate before one that
// waits for it.
func (m *Manager) covering(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, o := range m.objects {
		if o.Covers(name) {
			names = append(names, fmt.Sprintf("%t %s", !o.has(), o.Name))
		}
	}
	if len(names) == 0 {
		return ""
	}
	_, first, _ := strings.Cut(slices.Min(names), " ")
	return first
}
