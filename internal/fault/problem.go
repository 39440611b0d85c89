package fault

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// Problem is an RFC 9457 problem document, the body of every error that the
// edge and the API write.
type Problem struct {
	Type      string  `json:"type"`                 // always "about:blank"; Code tells problems apart
	Title     string  `json:"title"`                // the status in words
	Status    int     `json:"status"`               // the HTTP status
	Detail    string  `json:"detail,omitempty"`     // the public sentence
	Code      string  `json:"code,omitempty"`       // short machine-readable name: "not_found", "https_required"
	RequestID string  `json:"request_id,omitempty"` // to find the request in the log
	Errors    []Field `json:"errors,omitempty"`     // with 422: each broken rule
}

// NewProblem is the problem document for a status that has no Error behind it.
func NewProblem(status int, code, detail string) Problem {
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// ProblemOf is the problem document for err. Only public text gets into it: an
// unclassified error becomes a bare 500.
func ProblemOf(err error) Problem {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return NewProblem(http.StatusInternalServerError, Internal.String(), "something went wrong here; the log has the cause under this request id")
	}
	p := NewProblem(e.Kind.Status(), e.Kind.String(), e.Message())
	p.Errors = e.Fields
	return p
}

// WriteTo writes p as the whole answer. Retry-After is the caller's to set before.
func (p Problem) WriteTo(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil { // strings and ints only: can't happen, but an answer must go out
		body = []byte(`{"type":"about:blank","status":500}`)
	}
	body = append(body, '\n') // so that a prompt does not stick to it
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}
