package cert

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/cert/acme"
	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Store is what a Manager needs of the store.
type Store interface {
	store.KV
	store.Locker
}

// Note tells of something that happened to a certificate, for the request log.
type Note struct {
	Certificate string
	Action      string // "issued", "renewed", "failed", "uploaded", "deleted"
	Message     string
	Failed      bool
}

// ManagerOptions is what a Manager needs. All but what says otherwise is required.
type ManagerOptions struct {
	Store  Store
	Sealer *store.Sealer
	ACME   *acme.Client
	Keeper *Keeper

	Directory string // of certificates that name no other
	Staging   string // the directory of trials
	Email     string // contact where a certificate names none; may be empty
	KeyType   string // of certificates that name none

	CheckEvery time.Duration // how often everything is looked through, beside what is due
	Threshold  time.Duration // how long before its end a certificate is renewed at the latest
	Workers    int           // orders at once

	Preflight *Preflight // nil: authorities are asked without looking first
	Quota     *Quota     // nil: what authorities allow is not counted
	Note      func(Note) // nil: nobody is told
	Log       *slog.Logger
}

// Manager keeps certificate objects: it obtains, renews and remembers them, on
// whichever node is first, and hands what is there to the Keeper.
type Manager struct {
	opt   ManagerOptions
	shelf *shelf
	log   *slog.Logger
	roots *x509.CertPool // the system's authorities; nil: they can't be read

	hosts atomic.Pointer[[]Wanted]
	nudge chan struct{} // something is due, or may be
	runs  atomic.Bool

	reading sync.Mutex // one reading of the store into memory at a time, so that the last is the newest

	mu      sync.Mutex // guards what follows
	objects map[string]*Object
	served  map[string]*Served
	busy    map[string]time.Time // being worked on here; or by another node, until then
	unsure  bool                 // whether all hosts have what they need: it was not looked at since something changed
	unseen  []Wanted             // hosts that came since then
}

// NewManager makes a manager. It starts nothing and reads nothing.
func NewManager(o ManagerOptions) *Manager {
	if o.Note == nil {
		o.Note = func(Note) {}
	}
	m := &Manager{opt: o, shelf: newShelf(o.Store, o.Sealer), log: o.Log, nudge: make(chan struct{}, 1),
		objects: map[string]*Object{}, served: map[string]*Served{}, busy: map[string]time.Time{}}
	m.roots, _ = x509.SystemCertPool() // without them nothing counts as public
	m.hosts.Store(&[]Wanted{})
	return m
}

// Load reads all certificates and hands them to the Keeper. It comes before the
// first handshake. One that can't be read is told of and left out.
func (m *Manager) Load(ctx context.Context) error {
	m.reading.Lock()
	defer m.reading.Unlock()
	objects, bad, err := m.shelf.all(ctx)
	if err != nil {
		return err
	}
	for _, err := range bad {
		m.log.ErrorContext(ctx, "a stored certificate is left out", "error", err)
	}
	known, served := make(map[string]*Object, len(objects)), make(map[string]*Served, len(objects))
	for i := range objects {
		o := &objects[i]
		if s := m.serve(ctx, o); s != nil {
			served[o.Name] = s
		}
		known[o.Name] = o.light()
	}
	m.mu.Lock()
	m.objects, m.served, m.unsure = known, served, true
	ix := indexed(maps.Clone(served), time.Now())
	m.mu.Unlock()
	m.opt.Keeper.setIssued(ix)
	return nil
}

// serve is the certificate of an object for handshakes; nil when it has none
// that can be used.
func (m *Manager) serve(ctx context.Context, o *Object) *Served {
	if !o.has() {
		return nil
	}
	m.mu.Lock()
	old := m.served[o.Name]
	m.mu.Unlock()
	if old != nil && old.Fingerprint() == o.Fingerprint && old.Staging == o.Trial {
		return old
	}
	b, err := m.shelf.open(o)
	if err != nil {
		m.log.ErrorContext(ctx, "a certificate can't be used", "certificate", o.Name, "error", err)
		return nil
	}
	kind := KindIssued
	if o.Source == SourceUpload {
		kind = KindUploaded
	}
	s := b.served(kind, o.Trial)
	s.Object, s.Public = o.Name, !o.Trial && m.roots != nil && b.public(m.roots, time.Now())
	return s
}

// light is a copy without what takes room and needs care.
func (o *Object) light() *Object {
	c := *o
	c.Key, c.Steps = nil, nil
	if c.Chain != "" {
		c.Chain = "kept" // has() stays true
	}
	return &c
}

// apply takes one object from the store into memory.
func (m *Manager) apply(ctx context.Context, name string) error {
	m.reading.Lock()
	defer m.reading.Unlock()
	o, err := m.shelf.get(ctx, name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	var s *Served
	if err == nil {
		s = m.serve(ctx, &o)
	}
	m.mu.Lock()
	old, before := m.served[name], m.objects[name]
	delete(m.served, name)
	delete(m.objects, name)
	if before == nil || err != nil || before.promising() != o.promising() || !slices.Equal(before.Domains, o.Domains) {
		m.unsure = true
	}
	if err == nil {
		m.objects[name] = o.light()
	} else if !m.busy[name].Equal(never) {
		delete(m.busy, name)
	}
	if s != nil {
		m.served[name] = s
	}
	var ix *issued
	if s != old {
		ix = indexed(maps.Clone(m.served), time.Now())
	}
	m.mu.Unlock()
	if ix != nil {
		m.opt.Keeper.setIssued(ix)
	}
	return nil
}

// Want says which hosts are served over HTTPS here. Those that no certificate is
// kept for, and that an authority could certify, get one of their own.
func (m *Manager) Want(hosts []Wanted) {
	hosts = inOrder(hosts)
	come, gone := since(*m.hosts.Swap(&hosts), hosts)
	if len(come)+len(gone) == 0 {
		return
	}
	m.mu.Lock()
	m.unseen = append(m.unseen, come...)
	m.mu.Unlock()
	m.wake()
}

// State is how many certificates are kept and, in words, how their renewal goes:
// "ok", or what is wrong.
func (m *Manager) State() (kept int, renewal string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	failing := 0
	for _, o := range m.objects {
		if o.Failures > 0 {
			failing++
		}
	}
	switch {
	case !m.runs.Load():
		return len(m.objects), "not running"
	case failing > 0:
		return len(m.objects), fmt.Sprintf("%d of the last orders failed", failing)
	}
	return len(m.objects), "ok"
}

// doubt has all hosts looked through again.
func (m *Manager) doubt() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unsure = true
}

func (m *Manager) wake() {
	select {
	case m.nudge <- struct{}{}:
	default: // it will look in any case
	}
}

func (m *Manager) note(name, action, message string, failed bool) {
	m.opt.Note(Note{name, action, message, failed})
}
