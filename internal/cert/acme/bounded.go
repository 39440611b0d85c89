package acme

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxAnswer is the most that is read of one answer of an authority. Chains and
// orders of a hundred names are far below it.
const maxAnswer = 1 << 20

// bounded cuts answers to a size, and says in the request's note how long an
// authority wants us to wait: acmez's errors do not tell.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxAnswer), res.Body}
	if n := noteFrom(r.Context()); n != nil && res.StatusCode >= 400 {
		n.set(retryAfter(res.Header.Get("Retry-After"), time.Now()))
	}
	return res, nil
}

// retryAfter reads the header of that name; 0: it says nothing.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 && seconds < 1<<30 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
