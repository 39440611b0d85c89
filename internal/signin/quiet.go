package signin

import (
	"errors"
	"sync"
	"time"
)

const (
	quietAfter = time.Minute // how long a provider that did not answer is left alone
	maxQuiet   = 1024        // apps remembered
)

// quiet remembers which providers could not be asked lately, so that programs
// which refresh their tokens do not each wait for the same nothing. People who
// sign in are not held back by it.
type quiet struct {
	mu    sync.Mutex // guards until
	until map[string]time.Time
}

var errLeftAlone = errors.New("the provider did not answer a moment ago and is left alone for a while")

func (q *quiet) of(name string, now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Before(q.until[name]) {
		return errLeftAlone
	}
	return nil
}

// note writes down how asking a provider ended.
func (q *quiet) note(name string, err error, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.until, name)
	failed, ok := errors.AsType[*errQuiet](err)
	if !ok {
		return
	}
	if q.until == nil || len(q.until) >= maxQuiet {
		q.until = map[string]time.Time{}
	}
	q.until[name] = now.Add(max(quietAfter, failed.wait))
}
