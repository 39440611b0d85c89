package edge

import (
	"net/http"
	"time"
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
}

// WriteHeader notes the final status. Interim answers (1xx) pass.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
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

// Write counts.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.written += int64(n)
	return n, err
}

// Flush sends what was written.
func (w *response) Flush() {
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
