package edge

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"gatehouse/internal/mcpgate"
)

// bodyPatience is how long a message that has to be judged may take to arrive.
const bodyPatience = 30 * time.Second

// screened has the MCP gate look at the request, where that is its business. It
// reports false when it has answered already.
func (x *exchange) screened() bool {
	if x.edge.MCP == nil {
		if x.inst.tools != nil {
			x.problem(http.StatusServiceUnavailable, "no_mcp_gate", "The rules of this host can't be applied here.")
		}
		return x.inst.tools == nil
	}
	q := mcpgate.Request{Visit: &x.visit, HTTP: x.r, Rules: x.inst.tools}
	if x.body != nil {
		q.Body = x.body
	}
	if q.Rules != nil && len(x.r.Header["Upgrade"]) > 0 {
		x.problem(http.StatusForbidden, "mcp_upgrade", "This host has rules for MCP tools, which no other protocol may go round.")
		return false
	}
	q.Patience = func() (end func()) {
		c := http.NewResponseController(x.w.ResponseWriter)
		_ = c.SetReadDeadline(time.Now().Add(bodyPatience)) // a closed connection waits for nothing
		return func() { _ = c.SetReadDeadline(time.Time{}) }
	}
	pass, refused, err := x.edge.MCP.Open(q)
	x.pass = pass
	switch {
	case timedOut(err):
		x.closeAfter()
		x.problem(http.StatusRequestTimeout, "slow_body", "The message took too long to arrive.")
		return false
	case err != nil:
		x.failed(err)
		return false
	case refused != nil:
		x.refuseMessage(refused)
		return false
	}
	if pass != nil {
		x.w.pass = pass
		if x.body != nil {
			x.body.watch = pass.Watch
		}
	}
	return true
}

// refuseMessage answers a message the way its sender reads it.
func (x *exchange) refuseMessage(r *mcpgate.Refusal) {
	x.fail(r.Kind, r.Text)
	h := x.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Type"] = []string{"application/json"}
	if r.Challenge != "" {
		h["Www-Authenticate"] = []string{r.Challenge}
	}
	if r.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(r.RetryAfter.Seconds())))}
	}
	if _, judged := x.judgedBody(); !judged && x.body != nil {
		x.closeAfter() // the rest of the body is nobody's
	}
	x.write(r.Status, string(r.Body))
}

// judgedBody is the body that the MCP gate has read: nothing else may go on.
func (x *exchange) judgedBody() ([]byte, bool) {
	if x.pass == nil {
		return nil, false
	}
	return x.pass.Body()
}

// attachJudged gives the target the very bytes that were judged.
func attachJudged(out *http.Request, body []byte) {
	out.ContentLength, out.TransferEncoding = int64(len(body)), nil
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

// begins tells the MCP gate of the answer's head. It reports false when the head
// is not to be written now: the body is held back, or was refused.
func (w *response) begins(status int) bool {
	pass := w.pass
	hold, err := pass.Begin(status, w.x.place(), w.Header())
	switch {
	case err != nil:
		w.pass = nil
		w.unclear(err)
		return false
	case hold:
		w.holding = status
		return false
	}
	return true
}

// unclear answers in place of a backend whose answer can't be judged.
func (w *response) unclear(err error) {
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding", "Etag", "Last-Modified", "Trailer"} {
		delete(h, name)
	}
	w.x.fail("mcp_unclear", err.Error())
	w.x.problem(http.StatusBadGateway, "mcp_unclear", "The answer of the target can't be held against this host's rules.")
	w.replaced = true
}

// settle writes the answer that was held back.
func (w *response) settle() {
	if w.spoilt {
		panic(http.ErrAbortHandler)
	}
	pass, status := w.pass, w.holding
	w.pass, w.holding = nil, 0
	if status == 0 {
		return
	}
	body, err := pass.Finish()
	if err != nil {
		w.unclear(err)
		return
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

// place names the target that answers, where sessions stay with theirs; 0: they
// need not.
func (x *exchange) place() uint32 {
	if x.visit.Route != nil || !x.inst.own.sessions {
		return 0
	}
	return x.to.place
}
