package edge

import (
	"errors"
	"net/http"
	"time"

	"gatehouse/internal/mcpgate"
)

// response is the client's side of an exchange: it notes what was answered and
// sets the host's custom response headers on the way.
type response struct {
	http.ResponseWriter
	x       *exchange
	status  int       // 0 until the final header is written
	written int64     // bytes of body
	first   time.Time // when the final header was written
	custom  bool      // custom_response_headers apply

	pass     *mcpgate.Pass // judges or watches the body; nil: nobody does
	holding  int           // the status of an answer that is held back until it is whole
	spoilt   bool          // the answer has begun, and what the target sends is not passed on any more
	replaced bool          // an answer of ours, which is whole, stands in place of the target's
}

// WriteHeader notes the final status. Interim answers (1xx) pass.
func (w *response) WriteHeader(status int) {
	if w.holding != 0 || w.spoilt || w.replaced {
		return
	}
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		if w.pass != nil && !w.begins(status) {
			return
		}
		w.status, w.first = status, time.Now()
		if w.x.leaves && status != http.StatusSwitchingProtocols {
			w.Header()["Connection"] = []string{"close"} // what follows was not checked
		}
		if w.isEvents() {
			w.x.markEvents()
		}
		if w.x.info.vouched {
			w.keepSecure()
		}
		if w.custom && w.x.inst != nil {
			setCustom(w.Header(), w.x.inst.response, &w.x.visit)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// strictTransport tells browsers to use nothing but HTTPS with this host for half
// a year (RFC 6797); its subdomains are others' to speak for.
const strictTransport = "max-age=15552000"

// keepSecure says so, unless the target has said what it wants.
func (w *response) keepSecure() {
	if h := w.Header(); len(h["Strict-Transport-Security"]) == 0 {
		h["Strict-Transport-Security"] = []string{strictTransport}
	}
}

var errUnclear = errors.New("the target's answer is not passed on")

// Write counts, and shows the MCP gate what it looks at.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 && w.holding == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.spoilt, w.replaced:
		return 0, errUnclear
	case w.holding != 0:
		if err := w.pass.Hold(b); err != nil {
			w.holding = 0
			w.pass = nil
			w.unclear(err)
			return 0, errUnclear
		}
		return len(b), nil
	case w.pass == nil:
		n, err := w.ResponseWriter.Write(b)
		w.written += int64(n)
		return n, err
	}
	kept, err := w.pass.Write(b)
	if err != nil {
		w.spoilt = true
		w.x.fail("mcp_unclear", err.Error())
		return 0, errors.Join(errUnclear, err)
	}
	n, err := w.ResponseWriter.Write(kept)
	w.written += int64(n)
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush sends what was written.
func (w *response) Flush() {
	if w.holding != 0 {
		return // what is held back is sent when it is whole
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // Flush has no error to return
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) isEvents() bool {
	types := w.Header()["Content-Type"]
	if len(types) == 0 {
		return false
	}
	_, ok := cutFold(types[0], "text/event-stream")
	return ok
}
