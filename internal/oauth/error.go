package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatehouse/internal/fault"
)

// Error is an OAuth error (RFC 6749, section 5.2, and its extensions), as
// clients get it: in a JSON body, a redirect or a challenge.
type Error struct {
	Code        string // registered error code: "invalid_grant"
	Description string // one sentence in ASCII that says what to do; never a secret
	Status      int    // HTTP status of a JSON answer
	Reason      string // exact, for the log; empty: Code
	Challenge   string // WWW-Authenticate, where the answer needs one
	RetryAfter  time.Duration
	Cause       error // private; for the log
}

// Error is the code with the description and the cause: for logs.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the private cause.
func (e *Error) Unwrap() error { return e.Cause }

func newError(code, description string) *Error {
	return &Error{Code: code, Description: description, Status: http.StatusBadRequest}
}

// because sets the exact reason for the log.
func (e *Error) because(reason string) *Error {
	e.Reason = reason
	return e
}

func (e *Error) reason() string {
	if e.Reason != "" {
		return e.Reason
	}
	return e.Code
}

func invalidRequest(description string) *Error { return newError("invalid_request", description) }

func invalidGrant(reason, description string) *Error {
	return newError("invalid_grant", description).because(reason)
}

func errTarget(description string) *Error { return newError("invalid_target", description) }

func denied(description, reason string) *Error {
	return newError("access_denied", description).because(reason)
}

func tooMany(wait time.Duration) *Error {
	return &Error{Code: "temporarily_unavailable", Description: "Too many requests: come back later", Status: http.StatusTooManyRequests,
		Reason: "rate_limited", RetryAfter: wait}
}

// asError is what a client may know of a failure: an Error as it is, trouble
// with the store as 503, everything else as 500.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Kind == fault.Unavailable {
		return &Error{Code: "temporarily_unavailable", Description: "The server can not reach its store: come back in a moment",
			Status: http.StatusServiceUnavailable, RetryAfter: max(e.RetryAfter, time.Second), Cause: err}
	}
	return &Error{Code: "server_error", Description: "Something went wrong here", Status: http.StatusInternalServerError, Cause: err}
}

// reasonOf is the exact reason of a refusal; empty for none.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.reason()
	}
	return ""
}

func (e *Error) values() url.Values {
	v := url.Values{"error": {e.Code}}
	if e.Description != "" {
		v.Set("error_description", e.Description)
	}
	return v
}

// write sends e as the whole answer: RFC 6749 JSON, never cached.
func (e *Error) write(w http.ResponseWriter) {
	h := w.Header()
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	writeJSON(w, e.Status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

// writeJSON sends v. Unless the caller has said otherwise it may not be stored.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
		h.Set("Pragma", "no-cache")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}
