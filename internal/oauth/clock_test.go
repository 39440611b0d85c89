package oauth

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
)

func TestANodeWhoseClockIsWrongSignsNothing(t *testing.T) {
	var off atomic.Bool
	r := newRig(t, func(o *Options) {
		o.ClockOff = func() error {
			if off.Load() {
				return errors.New("an hour")
			}
			return nil
		}
	})
	client := r.registered(appOrigin)
	code := r.code(appOrigin, client, person("alice"), authorizeQuery(client))
	off.Store(true)
	a := r.post(appOrigin+"/token", codeForm(client, code))
	a.refused(t, http.StatusServiceUnavailable, "temporarily_unavailable", "clock")
	if a.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to come back")
	}
	off.Store(false)
	if a = r.post(appOrigin+"/token", codeForm(client, code)); a.StatusCode != http.StatusOK {
		t.Errorf("the code was used up by the refusal: %d %s", a.StatusCode, a.body)
	}
}
