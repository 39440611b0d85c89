package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// TokenSource has the token to present; empty: none, ask as anonymous.
type TokenSource interface {
	Token(ctx context.Context) (string, error)
}

// Bearer presents a source's tokens (RFC 6750).
type Bearer struct{ Source TokenSource }

// Authorize puts the token on r.
func (b Bearer) Authorize(ctx context.Context, r *http.Request, _ []byte) error {
	token, err := b.Source.Token(ctx)
	if err != nil || token == "" {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// Fixed is a token that is presented as it is.
type Fixed string

// Token is f.
func (f Fixed) Token(context.Context) (string, error) { return string(f), nil }

// Keeper keeps a pair in the credentials file and renews it before it expires.
// Parallel invocations renew once: whoever gets the file's lock first does, the
// others find what it wrote.
type Keeper struct {
	File      Credentials
	Slot      Slot
	Start     Pair   // what there is while Slot is empty: the environment's pair; may be empty
	URL       string // the API, whose metadata name the token endpoint
	Transport http.RoundTripper
	Now       func() time.Time // nil: time.Now
}

// Token is a token good for the next minute; empty when nobody signed in.
func (k *Keeper) Token(ctx context.Context) (string, error) {
	p, err := k.Pair()
	if err != nil || p.Access == "" {
		return "", err
	}
	if !p.Due(k.now()) {
		return p.Access, nil
	}
	fresh, err := k.Renew(ctx, p)
	switch {
	case err == nil:
		return fresh.Access, nil
	case !p.Expired(k.now()) && !fault.Is(err, fault.Unauthenticated):
		return p.Access, nil // still good, and the server may be back next time
	}
	return "", err
}

// Pair is the present pair, as it is kept.
func (k *Keeper) Pair() (Pair, error) {
	b, err := k.File.Read()
	if err != nil {
		return Pair{}, err
	}
	return k.in(b), nil
}

func (k *Keeper) in(b Book) Pair {
	if p, ok := k.Slot.Get(b); ok {
		return p
	}
	return k.Start
}

// Renew replaces seen by a new pair, unless another invocation already did.
func (k *Keeper) Renew(ctx context.Context, seen Pair) (Pair, error) {
	var fresh Pair
	err := k.File.Change(ctx, func(b *Book) error {
		if fresh = k.in(*b); fresh.Access != seen.Access && !fresh.Due(k.now()) {
			return nil
		}
		if fresh.Refresh == "" {
			return fault.New(fault.Unauthenticated, "this token can't be renewed: sign in again with `gatehouse oauth login`")
		}
		var err error
		if fresh, err = k.renew(ctx, fresh); err == nil {
			k.Slot.Put(b, fresh)
		}
		return err
	})
	return fresh, err
}

func (k *Keeper) renew(ctx context.Context, p Pair) (Pair, error) {
	m, err := Discover(ctx, k.Transport, k.URL)
	if err != nil {
		return Pair{}, err
	}
	if p.Issuer != "" && m.Issuer != p.Issuer {
		return Pair{}, fault.New(fault.Unauthenticated, "the sign-in was at %s, but %s is now %s: sign in again with `gatehouse oauth login`", p.Issuer, k.URL, m.Issuer)
	}
	if p.ClientID == "" {
		p.ClientID = DeviceClient
	}
	return m.Renew(ctx, k.Transport, p)
}

func (k *Keeper) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

// Given is the pair that somebody handed over as two strings. What else a Pair
// has is read from the access token where it is a JWT; nothing is verified,
// because it decides only when and where to renew, which the server checks.
func Given(access, refresh string) Pair {
	p := Pair{Access: access, Refresh: refresh}
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return p
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return p
	}
	var claims struct {
		Issuer string  `json:"iss"`
		Client string  `json:"client_id"`
		Scope  string  `json:"scope"`
		Exp    float64 `json:"exp"`
	}
	if json.Unmarshal(body, &claims) != nil {
		return p
	}
	p.Issuer, p.ClientID, p.Scope = claims.Issuer, claims.Client, claims.Scope
	if claims.Exp > 0 {
		p.Expires = time.Unix(int64(claims.Exp), 0).UTC()
	}
	return p
}

// postForm sends an OAuth request whose answer holds nothing to read.
func postForm(ctx context.Context, t http.RoundTripper, endpoint string, fields map[string]string) error {
	form := make(url.Values, len(fields))
	for name, value := range fields {
		form.Set(name, value)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	c, err := New(Options{URL: u.Scheme + "://" + u.Host, Transport: t})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.http.Do(req)
	if err != nil {
		return unreachable(ctx, c.base, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return c.problem(res)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxProblem))
	return err
}
