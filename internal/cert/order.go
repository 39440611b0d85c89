package cert

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/cert/acme"
	"gatehouse/internal/fault"
)

// order gets a certificate for o and puts it in place, or notes why not. The
// error is the store's alone.
func (m *Manager) order(ctx context.Context, o Object) error {
	before := o.Message
	o, err := m.change(ctx, o.Name, func(o *Object) {
		o.Status, o.Message, o.Steps = Issuing, "asking the authority", nil
		if o.has() {
			o.Status = Renewing
		}
	})
	if err != nil {
		return err
	}
	o.Message = before // for what comes after it to tell
	progress := m.newProgress(o.Name)
	chain, key, err := m.obtain(ctx, o, progress.tell)
	steps := progress.end()
	switch {
	case ctx.Err() != nil: // we are ending, or another node has the lock: the next try begins anew
		return context.Cause(ctx)
	case err != nil:
		return m.failed(ctx, o, steps, err)
	}
	return m.succeeded(ctx, o, steps, bundle{chain: chain, key: key})
}

// succeeded puts a new certificate in place, unless the object asks for another
// one by now.
func (m *Manager) succeeded(ctx context.Context, asked Object, steps []Step, b bundle) (err error) {
	if b.leaf, err = x509.ParseCertificate(b.chain[0]); err != nil {
		return m.failed(ctx, asked, steps, err)
	}
	action := "issued"
	if asked.has() {
		action = "renewed"
	}
	o, err := m.changeBy(ctx, asked.Name, func(o *Object) error {
		if !slices.Equal(o.Domains, asked.Domains) || o.Directory != asked.Directory || o.KeyType != asked.KeyType {
			return errChanged
		}
		if o.Early++; !asked.early(m.opt.Threshold, time.Now()) {
			o.Early = 0
		}
		o.Steps, o.Failures, o.NextTry, o.Forced, o.Window = steps, 0, time.Time{}, false, nil
		o.Status, o.Message = Active, ""
		o.hold(&b)
		o.IssuedBy, o.Trial, o.ObtainedAt = o.Directory, o.Staging, time.Now().UTC()
		o.NextRenewal = o.renewal(m.opt.Threshold)
		return m.shelf.seal(o, b.key)
	}, m.shelf.activate)
	if errors.Is(err, errChanged) {
		return nil // it is due at once, with what it asks for now
	}
	if err == nil {
		m.log.InfoContext(ctx, "a certificate is in place", "certificate", o.Name, "domains", o.Domains, "until", o.ExpiresAt)
		m.note(o.Name, action, "valid until "+o.ExpiresAt.Format(time.RFC3339), false)
	}
	return err
}

var errChanged = errors.New("the certificate was changed while it was obtained")

// hold puts b's certificate into an object; the key is sealed apart.
func (o *Object) hold(b *bundle) {
	leaf := b.leaf
	o.Chain, o.Fingerprint = encode(b.chain), fingerprint(leaf)
	o.Serial, o.Issuer = hex.EncodeToString(leaf.SerialNumber.Bytes()), leaf.Issuer.String()
	o.IssuedAt, o.ExpiresAt = leaf.NotBefore.UTC(), leaf.NotAfter.UTC()
}

// failed notes a failure and when to try again.
func (m *Manager) failed(ctx context.Context, asked Object, steps []Step, cause error) error {
	now := time.Now()
	o, err := m.change(ctx, asked.Name, func(o *Object) {
		o.Steps, o.Failures, o.Forced = steps, o.Failures+1, false
		o.NextTry = now.Add(max(o.patience(now), asksToWait(cause))).UTC()
		o.Message = said(cause)
		if before := asked.Message; fault.Is(cause, fault.TooMany) && before != "" {
			o.Message += "; before that: " + lastOf(before)
		}
		o.Status = Failed
		if o.has() && now.Before(o.ExpiresAt) {
			o.Status = Active
		}
	})
	if err != nil {
		return err
	}
	m.log.WarnContext(ctx, "no certificate was obtained", "certificate", o.Name, "domains", o.Domains, "failures", o.Failures, "next_try", o.NextTry, "error", cause)
	m.note(o.Name, "failed", o.Message, true)
	return nil
}

// lastOf is the end of messages that were told one after the other.
func lastOf(message string) string {
	parts := strings.Split(message, "; before that: ")
	return parts[len(parts)-1]
}

// said is a failure as people read it: without causes that are for the log.
func said(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Message()
	}
	if r, ok := errors.AsType[*acme.Refusal](err); ok {
		return r.Error()
	}
	return "something went wrong here; the log has it"
}

func asksToWait(err error) time.Duration {
	if r, ok := errors.AsType[*acme.Refusal](err); ok {
		return min(r.RetryAfter, 7*24*time.Hour)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.RetryAfter
	}
	return 0
}

// progress writes the steps of an order down while it goes on, a few times a
// second at most.
type progress struct {
	m    *Manager
	name string

	mu    sync.Mutex // guards steps
	steps []Step
	news  chan struct{}
	done  chan struct{}
	ended sync.WaitGroup
}

const progressEvery = 250 * time.Millisecond

func (m *Manager) newProgress(name string) *progress {
	p := &progress{m: m, name: name, news: make(chan struct{}, 1), done: make(chan struct{})}
	p.ended.Go(p.write)
	return p
}

func (p *progress) tell(s Step) {
	s.At = time.Now().UTC()
	p.mu.Lock()
	if p.steps = append(p.steps, s); len(p.steps) > maxSteps {
		p.steps = slices.Clone(p.steps[1:])
	}
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default: // the next write has it
	}
}

func (p *progress) taken() []Step {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.steps)
}

func (p *progress) write() {
	for {
		select {
		case <-p.done:
			return
		case <-p.news:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, err := p.m.changeBy(ctx, p.name, func(o *Object) error {
			if o.Status != Issuing && o.Status != Renewing {
				return errChanged // it is not this order's any more
			}
			o.Steps = p.taken()
			return nil
		}, p.m.shelf.put)
		cancel()
		if err != nil && !errors.Is(err, errChanged) && !fault.Is(err, fault.NotFound) {
			p.m.log.Debug("the steps of an order could not be written down", "certificate", p.name, "error", err)
		}
		select {
		case <-p.done:
			return
		case <-time.After(progressEvery):
		}
	}
}

// end stops writing and gives all steps.
func (p *progress) end() []Step {
	close(p.done)
	p.ended.Wait()
	return p.taken()
}
