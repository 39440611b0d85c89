package cert

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// When a certificate is due, and when a failure may be repeated. Times are the
// same on every node: nothing here is drawn at random.

const (
	backoffFirst = time.Minute
	backoffMost  = 24 * time.Hour
	backoffLeast = 5 * time.Second // where the present certificate ends within minutes
	noRenewal    = 24 * time.Hour  // how long an authority without renewal information is believed to have none
)

// never is later than anything that is waited for.
var never = time.Unix(1<<40, 0)

// due is when an order for o is to be placed.
func (o *Object) due(threshold time.Duration) time.Time {
	switch {
	case o.Source != SourceACME:
		return never
	case !o.has():
		return later(o.CreatedAt, o.NextTry)
	case o.Forced:
		return o.NextTry
	}
	spread := earlier(o.ObtainedAt.Add(backoff(o.Early)), o.byItself(threshold))
	return later(o.wanted(threshold), spread)
}

// wanted is when o is to be renewed as far as the authority, the threshold and
// the last failure say. An authority whose windows are always past would be asked
// without end: due lets more and more time pass between renewals that come early
// one after the other, but never more than the certificate has by itself.
func (o *Object) wanted(threshold time.Duration) time.Time {
	return later(o.renewal(threshold), o.NextTry)
}

// early reports whether a renewal now is for the authority's window alone.
func (o *Object) early(threshold time.Duration, now time.Time) bool {
	return o.has() && !o.Forced && now.Before(o.byItself(threshold))
}

// byItself is when a certificate is renewed that no window is known of: so long
// before its end as the threshold says, or a third of its lifetime where that is
// shorter.
func (o *Object) byItself(threshold time.Duration) time.Time {
	return o.ExpiresAt.Add(-min(threshold, o.ExpiresAt.Sub(o.IssuedAt)/3))
}

// renewal is when the certificate of o is to be renewed: at a moment of the
// authority's window where it offers one, else by itself.
func (o *Object) renewal(threshold time.Duration) time.Time {
	lifetime := o.ExpiresAt.Sub(o.IssuedAt)
	w := o.Window
	if w == nil || w.Start.IsZero() || !w.End.After(w.Start) {
		return o.byItself(threshold)
	}
	chosen := w.Start.Add(time.Duration(o.fraction() * float64(w.End.Sub(w.Start))))
	// A window that ends too late makes no sense: an order takes its time, and may fail.
	if last := o.ExpiresAt.Add(-max(lifetime/10, min(lifetime/3, time.Hour))); chosen.After(last) {
		return last
	}
	return chosen
}

// fraction spreads certificates over their windows, as RFC 9773 (section 4.2)
// wants, alike on every node.
func (o *Object) fraction() float64 {
	sum := sha256.Sum256([]byte(o.Name + "\x00" + o.Fingerprint))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// ask is when the authority is to be asked again for its renewal window.
func (o *Object) ask() time.Time {
	switch {
	case o.Source != SourceACME || !o.has():
		return never
	case o.Window == nil:
		return o.IssuedAt
	}
	return o.Window.AskAgain
}

// backoff is how long to wait after so many failures in a row.
func backoff(failures int) time.Duration {
	if failures < 1 {
		return 0
	}
	if failures > 12 {
		return backoffMost
	}
	return min(backoffFirst<<(failures-1), backoffMost)
}

// patience is how long to wait after the last failure: the back-off, but never so
// long that a certificate which is still valid ends in between.
func (o *Object) patience(now time.Time) time.Duration {
	wait := backoff(o.Failures)
	if left := o.ExpiresAt.Sub(now); o.has() && left > 0 {
		wait = min(wait, max(left/10, backoffLeast))
	}
	return wait
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
