package localauth

import (
	"crypto/hmac"
	"encoding/base64"
	"net/http"
	"strconv"
	"sync"
	"time"

	"gatehouse/internal/fault"
)

// Verifier checks signatures and takes each once. It is safe for concurrent use.
type Verifier struct {
	key Key
	now func() time.Time

	mu   sync.Mutex // guards seen
	seen map[string]time.Time
}

// NewVerifier makes a Verifier; now is the clock, nil: time.Now.
func NewVerifier(key Key, now func() time.Time) *Verifier {
	if now == nil {
		now = time.Now
	}
	return &Verifier{key: key, now: now, seen: map[string]time.Time{}}
}

// Verify is nil when r, with this body, was signed by the key within Window and
// the signature is presented for the first time. Else Unauthenticated, saying
// what is wrong but nothing about the key; TooMany when more signatures come
// than are remembered.
func (v *Verifier) Verify(r *http.Request, body []byte) error {
	p, err := parse(r)
	if err != nil {
		return err
	}
	signature, err := base64.RawURLEncoding.DecodeString(p.signature)
	if err != nil || !hmac.Equal(signature, v.key.mac(r, body, p)) {
		return fault.New(fault.Unauthenticated, "the local signature does not fit this request")
	}
	seconds, err := strconv.ParseInt(p.time, 10, 64)
	if err != nil {
		return errForm
	}
	now := v.now()
	if age := now.Sub(time.Unix(seconds, 0)); age > Window || age < -Window {
		return fault.New(fault.Unauthenticated, "the local signature is not of the last %d seconds: check the clock and repeat", int(Window.Seconds()))
	}
	return v.once(p.nonce, now)
}

// once remembers nonces for as long as their signatures are fresh.
func (v *Verifier) once(nonce string, now time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if until, again := v.seen[nonce]; again && now.Before(until) {
		return fault.New(fault.Unauthenticated, "the local signature was used before: sign each request anew")
	}
	if len(v.seen) >= maxNonces {
		for n, until := range v.seen {
			if !now.Before(until) {
				delete(v.seen, n)
			}
		}
	}
	if len(v.seen) >= maxNonces {
		return &fault.Error{Kind: fault.TooMany, Public: "too many requests with local signatures", RetryAfter: time.Second}
	}
	v.seen[nonce] = now.Add(2*Window + time.Second)
	return nil
}
