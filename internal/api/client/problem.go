package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatehouse/internal/fault"
)

// maxProblem bounds an error's document.
const maxProblem = 1 << 20

// kinds turns a status back into what the server meant.
var kinds = map[int]fault.Kind{
	http.StatusUnprocessableEntity:   fault.Invalid,
	http.StatusNotFound:              fault.NotFound,
	http.StatusConflict:              fault.Exists,
	http.StatusPreconditionFailed:    fault.Conflict,
	http.StatusForbidden:             fault.Denied,
	http.StatusUnauthorized:          fault.Unauthenticated,
	http.StatusServiceUnavailable:    fault.Unavailable,
	http.StatusBadGateway:            fault.Unavailable,
	http.StatusGatewayTimeout:        fault.Unavailable,
	http.StatusRequestEntityTooLarge: fault.TooLarge,
	http.StatusTooManyRequests:       fault.TooMany,
	http.StatusBadRequest:            fault.Malformed,
}

// refusal is both forms an error takes: a problem document, and the object that
// the gate and the OAuth endpoints answer with.
type refusal struct {
	fault.Problem
	OAuth       string `json:"error"`
	Description string `json:"error_description"`
}

// problem makes an error of an answer that is none of success.
func (c *Client) problem(res *http.Response) error {
	if to := res.Header.Get("Location"); res.StatusCode >= 300 && res.StatusCode < 400 && to != "" {
		return fault.New(fault.Unavailable, "%s sends to %s instead of answering: name the API itself with --url", c.base, to)
	}
	if !isJSON(res.Header) {
		return c.stranger(res.StatusCode)
	}
	var r refusal
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err == nil {
		err = json.Unmarshal(body, &r)
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s answered %d and could not say why", c.base, res.StatusCode)
	}
	e := &fault.Error{Kind: kinds[res.StatusCode], Public: r.sentence(res.StatusCode), Fields: r.Errors, RetryAfter: retryAfter(res.Header)}
	if scope := missingScope(res.Header); scope != "" {
		e.Public = "this needs the scope " + scope + ": sign in with `gatehouse oauth login --scope \"" + scope + "\"`"
	}
	return e
}

// sentence is what the server said, without the rules that Fields repeats.
func (r refusal) sentence(status int) string {
	said := r.Detail
	if said == "" {
		said = strings.TrimSpace(r.OAuth + ": " + r.Description)
		said = strings.Trim(said, ": ")
	}
	rules := (&fault.Error{Fields: r.Errors}).Message()
	if len(r.Errors) > 0 && strings.HasSuffix(said, rules) {
		return strings.TrimSuffix(strings.TrimSuffix(said, rules), ": ")
	}
	if said == "" {
		said = "the server answered " + strconv.Itoa(status)
	}
	return said
}

// missingScope is the scope that a challenge asks for (RFC 6750, section 3.1).
func missingScope(h http.Header) string {
	challenge := h.Get("WWW-Authenticate")
	if !strings.Contains(challenge, `error="insufficient_scope"`) {
		return ""
	}
	_, rest, _ := strings.Cut(challenge, `scope="`)
	scope, _, found := strings.Cut(rest, `"`)
	if !found {
		return ""
	}
	return scope
}

func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// stranger is an answer that no Gatehouse gives.
func (c *Client) stranger(status int) error {
	return fault.New(fault.Unavailable, "what answers at %s (status %d) is not a Gatehouse API: check --url or API_URL", c.base, status)
}

func isJSON(h http.Header) bool {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// unreachable says why no answer came, and what to do.
func unreachable(ctx context.Context, base *url.URL, err error) error {
	untrusted, distrust := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Unavailable, err, "%s did not answer in time: try again, or give it longer with --timeout", base)
	case distrust:
		return fault.Wrap(fault.Unavailable, err, "the certificate of %s is not trusted (%v): trust its authority (`gatehouse ca export` prints the local one)", base, untrusted.Err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return fault.Wrap(fault.Unavailable, err, "no Gatehouse listens at %s: start one with `gatehouse serve`, or name it with --url", base)
	}
	return fault.Wrap(fault.Unavailable, err, "%s can't be reached: %v", base, cause(err))
}

// cause is err without the address that the sentence has already.
func cause(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
