package edge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// roundTrip sends the request to its target, and once more to another when
// nothing of it has reached the first, or nothing can have come of it.
func (x *exchange) roundTrip(out *http.Request, upgrade bool) (*http.Response, error) {
	resp, err := x.to.transport(upgrade).RoundTrip(out)
	if err == nil {
		x.to.health.worked()
		return resp, nil
	}
	dialed := failedDial(err)
	if dialed && context.Cause(x.ctx) == nil {
		x.to.health.broke(time.Now())
	}
	again := x.elsewhere(out, dialed || (idempotent(out.Method) && x.body == nil && !timedOut(err)))
	if again == nil {
		return nil, err
	}
	resp, err = x.to.transport(upgrade).RoundTrip(again)
	switch {
	case err == nil:
		x.to.health.worked()
	case failedDial(err) && context.Cause(x.ctx) == nil:
		x.to.health.broke(time.Now())
	}
	return resp, err
}

// failedDial reports whether no connection came to be.
func failedDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, errRefusedAddress)
}

// idempotent reports whether a method does the same when it is done twice (RFC
// 9110, 9.2.2).
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// elsewhere is the request for another target; nil: there is none, or it can't be
// sent twice.
func (x *exchange) elsewhere(out *http.Request, harmless bool) *http.Request {
	body, judged := x.judgedBody()
	if !harmless || x.visit.Route != nil || context.Cause(x.ctx) != nil || (x.body != nil && !judged && x.body.count.Load() > 0) {
		return nil
	}
	c := x.choice()
	c.now, c.place, c.not = time.Now().UnixNano(), 0, x.to
	other := x.inst.own.pick(c)
	if other == x.to || other.local != nil || other.missing != "" {
		return nil
	}
	x.moved = other
	other.load().Add(1)
	x.to = other
	again := out.Clone(out.Context())
	var ok bool
	if again.URL, ok = x.targetURL(); !ok {
		return nil
	}
	if !x.inst.host.Proxy.PreserveHostHeader {
		again.Host = other.host
	}
	switch {
	case judged:
		attachJudged(again, body)
	case x.body != nil:
		again.Body = onward{x.body}
	}
	return again
}

// leave counts the request off where it was.
func (x *exchange) leave(first *target) {
	first.load().Add(-1)
	if x.moved != nil {
		x.moved.load().Add(-1)
	}
}
