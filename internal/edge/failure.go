package edge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
)

// Why an exchange was ended from our side.
var (
	errShutdown = errors.New("shutting down")
	errRevoked  = errors.New("access was revoked")
	errHostGone = errors.New("the host was removed or switched off")
)

// failed answers a request that got no answer from its target.
func (x *exchange) failed(err error) {
	if cause := x.body.failure(); cause != nil {
		x.badBody(cause)
		return
	}
	switch cause := context.Cause(x.ctx); {
	case cause == nil:
		x.targetFailed(err)
	case errors.Is(cause, errShutdown), errors.Is(cause, errHostGone):
		x.fail("ended", cause.Error())
		x.problem(http.StatusServiceUnavailable, "ended", "This host is going away; try again.")
	case errors.Is(cause, errRevoked):
		x.fail("revoked", cause.Error())
		x.problem(http.StatusForbidden, "revoked", "Access was revoked while the request was under way.")
	default:
		x.fail("client_gone", "the client went away before the target answered")
		panic(http.ErrAbortHandler)
	}
}

// badBody answers a request whose own body broke off.
func (x *exchange) badBody(cause error) {
	var bad *refusal
	switch {
	case errors.Is(cause, errBodyTooLarge):
		x.closeAfter()
		x.problem(http.StatusRequestEntityTooLarge, "too_large", "The request's body is larger than this host takes.")
	case errors.As(cause, &bad):
		x.fail("malformed", bad.rule)
		x.closeAfter()
		x.problem(bad.status, "malformed", "This is not a valid HTTP/1 message: "+bad.rule+".")
	default:
		x.fail("client_gone", cause.Error())
		panic(http.ErrAbortHandler)
	}
}

// closeAfter ends the connection behind this answer.
func (x *exchange) closeAfter() {
	if x.r.ProtoMajor == 1 {
		x.w.Header().Set("Connection", "close")
	}
}

// targetFailed answers for a target that can't be reached or does not answer.
func (x *exchange) targetFailed(err error) {
	var op *net.OpError
	switch {
	case errors.Is(err, errNoSuchTarget):
		x.fail("no_target", err.Error())
		x.problem(http.StatusServiceUnavailable, "no_target", "The target of this host is not there.")
	case errors.Is(err, errRefusedAddress):
		x.fail("refused_address", err.Error())
		x.problem(http.StatusBadGateway, "refused_address", "The target of this host leads to an address that is not allowed.")
	case timedOut(err):
		x.fail("timeout", err.Error())
		x.problem(http.StatusGatewayTimeout, "timeout", "The target did not answer in time.")
	case errors.As(err, &op) && op.Op == "dial":
		x.fail("connect", err.Error())
		x.problem(http.StatusBadGateway, "connect", "The target can't be reached.")
	default:
		x.fail("reset", err.Error())
		x.problem(http.StatusBadGateway, "bad_answer", "The target broke off or did not answer in HTTP.")
	}
}

func timedOut(err error) bool {
	var t net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &t) && t.Timeout())
}

// brokeOff ends an answer that did not come through whole: the client must see
// that, except where a stream is over because we say so.
func (x *exchange) brokeOff(err error, stream bool) {
	cause := context.Cause(x.ctx)
	switch {
	case errors.Is(err, errClientGone), cause != nil && errors.Is(cause, context.Canceled):
		x.fail("client_gone", "the client went away")
	case cause != nil:
		x.fail("ended", cause.Error())
		if stream && x.events {
			return
		}
	case x.body.failure() != nil:
		x.fail("client_gone", x.body.failure().Error())
	default:
		x.fail("reset", err.Error())
	}
	panic(http.ErrAbortHandler)
}

// hangUp closes the connection without an answer.
func (x *exchange) hangUp(kind, what string) {
	x.fail(kind, what)
	x.edge.Logger.Error("connection cut", "reason", what, "request_id", x.visit.RequestID)
	panic(http.ErrAbortHandler)
}
