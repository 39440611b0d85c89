package cert

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"gatehouse/internal/cert/acme"
	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

const (
	lockPrefix  = "certificate:"
	lockTTL     = 30 * time.Second
	lockWait    = 2 * time.Second  // longer and another node is at it
	otherNode   = 30 * time.Second // until we look again what became of it
	trouble     = 5 * time.Second  // until we try again when the store is away
	maxAttempts = 20               // of a compare-and-swap
)

// work does for one object what is due: asks the authority when it wants it
// renewed, places an order. Of all nodes one works on an object at a time. It
// answers until when this node should leave the object alone; zero: no matter.
func (m *Manager) work(ctx context.Context, name string) time.Time {
	lease, err := m.lock(ctx, name)
	if err != nil {
		return time.Now().Add(otherNode)
	}
	defer lease.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-lease.Lost():
			cancel(errLostLock)
		case <-ctx.Done():
		}
	}()
	o, err := m.shelf.get(ctx, name)
	if err == nil {
		err = m.attend(ctx, o)
	}
	if err != nil && !fault.Is(err, fault.NotFound) && ctx.Err() == nil {
		m.log.WarnContext(ctx, "a certificate could not be worked on; trying again", "certificate", name, "error", err)
		return time.Now().Add(trouble)
	}
	if err := m.apply(ctx, name); err != nil && ctx.Err() == nil {
		return time.Now().Add(trouble)
	}
	return time.Time{}
}

var errLostLock = errors.New("the lock was lost: another node may be at work")

func (m *Manager) lock(ctx context.Context, name string) (store.Lease, error) {
	wait, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	type answer struct {
		lease store.Lease
		err   error
	}
	got := make(chan answer, 1)
	life, end := context.WithCancel(ctx)
	go func() {
		lease, err := m.opt.Store.Lock(life, lockPrefix+name, lockTTL)
		got <- answer{lease, err}
	}()
	select {
	case a := <-got:
		if a.err != nil {
			end()
			return nil, a.err
		}
		return ending{a.lease, end}, nil
	case <-wait.Done():
		end()
		if a := <-got; a.err == nil { // it came at the last moment
			a.lease.Unlock()
		}
		return nil, wait.Err()
	}
}

// ending is a lease whose context ends with it.
type ending struct {
	store.Lease
	end context.CancelFunc
}

// Unlock gives the lock back.
func (e ending) Unlock() {
	e.Lease.Unlock()
	e.end()
}

// attend does what is due for o.
func (m *Manager) attend(ctx context.Context, o Object) error {
	now := time.Now()
	if o.has() && !o.Forced && !now.Before(o.ask()) {
		var err error
		if o, err = m.askWindow(ctx, o, now); err != nil {
			return err
		}
	}
	if now.Before(o.due(m.opt.Threshold)) {
		return nil
	}
	return m.order(ctx, o)
}

// askWindow asks the authority when it wants a certificate renewed, and notes
// what it says. Not being able to ask changes nothing but when to ask again.
func (m *Manager) askWindow(ctx context.Context, o Object, now time.Time) (Object, error) {
	window := Window{AskAgain: now.Add(noRenewal)}
	_, leaf, err := readChain(o.Chain)
	if err == nil {
		var w acme.Window
		var offered bool
		if w, offered, err = m.opt.ACME.Renewal(ctx, o.IssuedBy, leaf, now); offered {
			window = Window{Start: w.Start, End: w.End, Explanation: w.Explanation, AskAgain: w.AskAgain}
		}
	}
	if err != nil {
		m.log.InfoContext(ctx, "an authority did not say when to renew", "certificate", o.Name, "error", err)
		if o.Window != nil {
			window = *o.Window
		}
		window.AskAgain = now.Add(time.Hour)
	}
	if latest := now.Add(m.opt.CheckEvery); window.AskAgain.After(latest) {
		window.AskAgain = latest
	}
	return m.change(ctx, o.Name, func(o *Object) {
		o.Window = &window
		o.NextRenewal = o.renewal(m.opt.Threshold)
	})
}

// change changes an object in the store by a function, as often as others are
// faster.
func (m *Manager) change(ctx context.Context, name string, with func(*Object)) (Object, error) {
	return m.changeBy(ctx, name, func(o *Object) error { with(o); return nil }, m.shelf.put)
}

func (m *Manager) changeBy(ctx context.Context, name string, with func(*Object) error, write func(context.Context, *Object) error) (Object, error) {
	for range maxAttempts {
		o, err := m.shelf.get(ctx, name)
		if err != nil {
			return o, err
		}
		if err := with(&o); err != nil {
			return o, err
		}
		o.UpdatedAt = time.Now().UTC()
		err = write(ctx, &o)
		if !fault.Is(err, fault.Conflict) {
			return o, err
		}
	}
	return Object{}, fault.New(fault.Unavailable, "too many changes at once: try again in a moment")
}

// public reports whether roots, the system's authorities, vouch for b.
func (b *bundle) public(roots *x509.CertPool, now time.Time) bool {
	between := x509.NewCertPool()
	for _, c := range b.above {
		between.AddCert(c)
	}
	_, err := b.leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err == nil
}
