package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	wire "github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/fault"
)

// Window is when an authority wants a certificate renewed (RFC 9773).
type Window struct {
	Start, End  time.Time
	Explanation string    // a page that says why, where there is one
	AskAgain    time.Time // when to ask again
}

// How often renewal information is asked for, whatever the authority says.
const (
	askSoonest = time.Minute
	askLatest  = 24 * time.Hour
	askUsual   = 6 * time.Hour
	askBounded = 30 * time.Second // one question
)

// Renewal asks the authority when to renew a certificate that it issued. ok is
// false where it does not offer to say.
func (c *Client) Renewal(ctx context.Context, directory string, leaf *x509.Certificate, now time.Time) (w Window, ok bool, err error) {
	if len(leaf.AuthorityKeyId) == 0 {
		return w, false, nil // nothing to name it by
	}
	ctx, cancel := context.WithTimeout(ctx, askBounded)
	defer cancel()
	at, err := c.at(ctx, directory)
	if err != nil {
		return w, false, err
	}
	info, err := at.GetRenewalInfo(ctx, leaf)
	if errors.Is(err, wire.ErrUnsupported) {
		return w, false, nil
	}
	if err != nil {
		return w, false, fault.Wrap(fault.Unavailable, err, "the certificate authority did not say when to renew")
	}
	w = Window{Start: info.SuggestedWindow.Start, End: info.SuggestedWindow.End, Explanation: info.ExplanationURL, AskAgain: now.Add(askUsual)}
	if info.RetryAfter != nil {
		w.AskAgain = *info.RetryAfter
	}
	if soonest := now.Add(askSoonest); w.AskAgain.Before(soonest) {
		w.AskAgain = soonest
	}
	if latest := now.Add(askLatest); w.AskAgain.After(latest) {
		w.AskAgain = latest
	}
	return w, true, nil
}

// Identities are the names by which an authority stands in CAA records (RFC
// 8659), as its directory tells them; none when it can't be asked.
func (c *Client) Identities(ctx context.Context, directory string) []string {
	at, err := c.at(ctx, directory)
	if err != nil {
		return nil
	}
	d, err := at.GetDirectory(ctx)
	if err != nil || d.Meta == nil {
		return nil
	}
	ids := make([]string, len(d.Meta.CAAIdentities))
	for i, id := range d.Meta.CAAIdentities {
		ids[i] = strings.ToLower(id)
	}
	return ids
}
