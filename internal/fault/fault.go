// Package fault is the vocabulary of failure that all of Gatehouse shares.
//
// An Error has a Kind, which a door (HTTP API, MCP, CLI) turns into a status
// or an exit code, a public sentence that says what to do and may be shown to
// whoever asked, and a private cause, which goes to the log alone. An error is
// made once, where its cause is known, wrapped upward with %w, and logged once,
// at the door.
//
// OAuth error codes (RFC 6749, section 5.2) are not here: package oauth has a
// small type of its own for them, with one writer.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind says what went wrong in terms a caller can act on.
type Kind uint8

// The kinds, each with the HTTP status that it becomes.
const (
	Internal        Kind = iota // 500: our defect, or a cause nobody classified
	Invalid                     // 422: the input breaks a rule; Fields name where
	NotFound                    // 404
	Exists                      // 409: create of what is there already
	Conflict                    // 412: the version the caller read is not the present one
	Denied                      // 403: known caller, not allowed
	Unauthenticated             // 401
	Unavailable                 // 503: a part we need is away; RetryAfter says when to come back
	TooLarge                    // 413
	TooMany                     // 429: RetryAfter says when to come back
	Malformed                   // 400: not even readable as what it should be
)

var statuses = [...]int{
	Internal:        http.StatusInternalServerError,
	Invalid:         http.StatusUnprocessableEntity,
	NotFound:        http.StatusNotFound,
	Exists:          http.StatusConflict,
	Conflict:        http.StatusPreconditionFailed,
	Denied:          http.StatusForbidden,
	Unauthenticated: http.StatusUnauthorized,
	Unavailable:     http.StatusServiceUnavailable,
	TooLarge:        http.StatusRequestEntityTooLarge,
	TooMany:         http.StatusTooManyRequests,
	Malformed:       http.StatusBadRequest,
}

// Status is the HTTP status for k.
func (k Kind) Status() int {
	if int(k) < len(statuses) {
		return statuses[k]
	}
	return http.StatusInternalServerError
}

var codes = [...]string{
	Internal: "internal", Invalid: "invalid", NotFound: "not_found", Exists: "exists", Conflict: "conflict",
	Denied: "denied", Unauthenticated: "unauthenticated", Unavailable: "unavailable", TooLarge: "too_large",
	TooMany: "too_many", Malformed: "malformed",
}

// String is the short machine-readable name of k: "invalid", "not_found".
func (k Kind) String() string {
	if int(k) < len(codes) {
		return codes[k]
	}
	return codes[Internal]
}

// Field is one rule that the input broke.
type Field struct {
	Path string `json:"location"` // where: "target_url", "targets[1].weight"
	Rule string `json:"message"`  // the rule, as a sentence without a final stop
}

// Error is a classified failure.
type Error struct {
	Kind       Kind
	Public     string        // one sentence for whoever asked; says what to do; never a secret
	Fields     []Field       // with Invalid: each broken rule
	RetryAfter time.Duration // with Unavailable and TooMany; 0: unknown
	Scope      string        // with Denied: the scope that would help; empty: none would
	Cause      error         // private; for the log
}

// Error joins the public sentence, the fields and the cause: for logs, not for callers.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message())
	if e.Cause != nil {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

// Message is the public sentence with the broken rules after it.
func (e *Error) Message() string {
	if len(e.Fields) == 0 {
		return e.Public
	}
	rules := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		rules[i] = f.Path + ": " + f.Rule
	}
	joined := strings.Join(rules, "; ")
	if e.Public == "" {
		return joined
	}
	return e.Public + ": " + joined
}

// Unwrap gives the private cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a kind with a public sentence.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Public: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of a kind with a private cause and a public sentence.
func Wrap(k Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: k, Public: fmt.Sprintf(format, args...), Cause: cause}
}

// BadField is Invalid with one broken rule.
func BadField(path, rule string, args ...any) *Error {
	return &Error{Kind: Invalid, Fields: []Field{{Path: path, Rule: fmt.Sprintf(rule, args...)}}}
}

// KindOf is the kind of the first Error in err's chain; Internal when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of kind k. A nil err is of no kind.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// Rules collects broken rules while an input is checked.
type Rules []Field

// Add notes that the field at path breaks rule.
func (r *Rules) Add(path, rule string, args ...any) {
	*r = append(*r, Field{Path: path, Rule: fmt.Sprintf(rule, args...)})
}

// Err is nil when nothing was broken, else an Invalid error with all of it.
func (r Rules) Err() error {
	if len(r) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Fields: r}
}
