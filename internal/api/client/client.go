// Package client asks a Gatehouse over its HTTP API, in the server's own words:
// JSON in, JSON out, problem documents back into fault errors. It also holds
// what stands before the first request: signing in by the device flow (RFC
// 8628), keeping the token pair, renewing it (RFC 6749, section 6).
//
// It repeats nothing: a request is sent once. What is printed, and which
// operation a command means, is the command line's matter.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// maxAnswer bounds an answer that is read into memory.
const maxAnswer = 64 << 20

// Authorizer puts the caller's proof on a request; body is what will be sent.
type Authorizer interface {
	Authorize(ctx context.Context, r *http.Request, body []byte) error
}

// Client asks one Gatehouse. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	http    *http.Client
	auth    Authorizer
	timeout time.Duration
	agent   string
}

// Options are what a Client is made of; only URL is required.
type Options struct {
	URL       string            // the API's root
	Transport http.RoundTripper // default: NewTransport(nil)
	Auth      Authorizer        // nil: anonymous
	Timeout   time.Duration     // of one request, of a stream to its head; 0: none
	UserAgent string
}

// New makes a Client. Its error is fault.Invalid when the URL is none of an API.
func New(o Options) (*Client, error) {
	base, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Transport == nil {
		o.Transport = NewTransport(nil)
	}
	return &Client{base: base, http: newHTTP(o.Transport), auth: o.Auth, timeout: o.Timeout, agent: o.UserAgent}, nil
}

// newHTTP follows no redirect: an answer from elsewhere is not this API's.
func newHTTP(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Request is one call of an operation.
type Request struct {
	Method  string
	Path    string // escaped, from the API's root: "/proxies/app.example.com"
	Query   url.Values
	Body    any    // sent as JSON; nil: no body
	IfMatch string // the version that a change expects; empty: any
}

// Do sends r and decodes the answer into out: nil drops it, a *json.RawMessage
// gets it as it came.
func (c *Client) Do(ctx context.Context, r Request, out any) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	res, err := c.send(ctx, r, "application/json")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return c.decode(res, out)
}

// send gives the answer to r if it is a good one.
func (c *Client) send(ctx context.Context, r Request, accept string) (*http.Response, error) {
	req, body, err := c.Build(ctx, r)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if c.auth != nil {
		if err := c.auth.Authorize(ctx, req, body); err != nil {
			return nil, err
		}
	}
	if err := refuseClear(req); err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(ctx, c.base, err)
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, c.problem(res)
}

// Build is the request for r as it would be sent, without proof of who asks, and its body.
func (c *Client) Build(ctx context.Context, r Request) (*http.Request, []byte, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return nil, nil, fault.Wrap(fault.Invalid, err, "the request can't be written as JSON")
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, c.URL(r), bytes.NewReader(body))
	if err != nil {
		return nil, nil, fault.Wrap(fault.Invalid, err, "%s %s is no request", r.Method, r.Path)
	}
	if body == nil {
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.IfMatch != "" {
		req.Header.Set("If-Match", strconv.Quote(strings.Trim(r.IfMatch, `"`)))
	}
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	return req, body, nil
}

// URL is where r goes.
func (c *Client) URL(r Request) string {
	u := c.Base() + "/" + strings.TrimPrefix(r.Path, "/")
	if len(r.Query) > 0 {
		u += "?" + r.Query.Encode()
	}
	return u
}

// Base is the API's root without a trailing slash.
func (c *Client) Base() string { return strings.TrimSuffix(c.base.String(), "/") }

func (c *Client) decode(res *http.Response, out any) error {
	if out == nil || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if !isJSON(res.Header) {
		return c.stranger(res.StatusCode)
	}
	body, err := readAll(res.Body)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the answer of %s broke off", c.base)
	}
	if raw, ok := out.(*json.RawMessage); ok && json.Valid(body) {
		*raw = body
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fault.Wrap(fault.Internal, err, "%s answered what this version does not understand", c.base)
	}
	return nil
}

func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		return nil, fmt.Errorf("more than %d bytes", maxAnswer)
	}
	return body, err
}

// Segment escapes s as one segment of a path, whatever it holds: "." and ".."
// too, which servers would otherwise take for folders.
func Segment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}
