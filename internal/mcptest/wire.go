package mcptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// wire sends single requests and reads what comes back, within bounds.
type wire struct {
	url    *url.URL
	client *http.Client
	wait   time.Duration // for one answer
	limit  int64         // bytes of one answer
	token  string
	other  string
	late   atomic.Int32  // answers in a row that did not come in time
	watch  func(*answer) // sees every answer of the endpoint; nil: nobody does
}

func newWire(u *url.URL, t http.RoundTripper, wait time.Duration, token, other string) *wire {
	return &wire{url: u, wait: wait, limit: maxAnswer, token: token, other: other, client: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // no credential travels on
	}}
}

// Whom a request claims to come from.
type who uint8

const (
	owner    who = iota // the token that was given
	nobody              // no credential
	stranger            // the other token
)

// header is one line of a request's head. Its name is sent as written where HTTP/1.1
// is spoken; an empty value takes a header away that would be sent.
type header struct{ name, value string }

// ask is one request.
type ask struct {
	method  string // empty: POST
	at      string // another address than the endpoint's
	query   string
	host    string // another Host than the URL's
	headers []header
	body    []byte
	from    who
	fresh   bool               // on a connection of its own
	enough  func(message) bool // the message that was waited for; nil: read to the end
	wait    time.Duration      // 0: the run's
	linger  time.Duration      // how long a stream is listened to; 0: until it ends
}

// answer is what came back.
type answer struct {
	asked    *ask
	status   int
	header   http.Header
	media    string
	body     []byte // of what is no stream
	events   []event
	messages []message
	ended    bool  // the body was read to its end
	err      error // why it is not whole, or not there
	took     time.Duration
	first    time.Duration // until the head was there
}

// send sends a and reads the answer, which is never nil.
func (w *wire) send(ctx context.Context, a ask) *answer {
	wait := w.wait
	if a.wait > 0 {
		wait = a.wait
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	out := &answer{asked: &a}
	defer func() { out.took = time.Since(began) }()
	req, err := w.request(limited, &a)
	if err != nil {
		out.err = err
		return out
	}
	res, err := w.client.Do(req)
	if err != nil {
		out.err = plain(err)
		w.count(limited, a)
		return out
	}
	defer res.Body.Close()
	out.first = time.Since(began)
	out.status, out.header = res.StatusCode, res.Header
	out.media, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type"))
	if a.linger > 0 && out.media == "text/event-stream" {
		stop := time.AfterFunc(a.linger, cancel)
		defer stop.Stop()
	}
	out.read(res.Body, w.limit)
	if out.err != nil && limited.Err() != nil {
		w.count(limited, a)
	} else {
		w.late.Store(0)
	}
	if w.watch != nil && a.at == "" {
		w.watch(out)
	}
	return out
}

// count counts answers that did not come in time, where one was due.
func (w *wire) count(ctx context.Context, a ask) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && a.wait == 0 && a.linger == 0 {
		w.late.Add(1)
	}
}

func (w *wire) request(ctx context.Context, a *ask) (*http.Request, error) {
	method, target := a.method, *w.url
	if method == "" {
		method = http.MethodPost
	}
	if a.at != "" {
		u, err := url.Parse(a.at)
		if err != nil {
			return nil, err
		}
		target = *u
	}
	if a.query != "" {
		target.RawQuery = strings.TrimPrefix(target.RawQuery+"&"+a.query, "&")
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(a.body))
	if err != nil {
		return nil, err
	}
	if a.body == nil {
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	}
	if a.host != "" {
		req.Host = a.host
	}
	req.Close = a.fresh
	req.Header.Set("User-Agent", "gatehouse-mcp-test")
	if a.at == "" { // a credential is for the endpoint alone
		switch {
		case a.from == owner && w.token != "":
			req.Header.Set("Authorization", "Bearer "+w.token)
		case a.from == stranger:
			req.Header.Set("Authorization", "Bearer "+w.other)
		}
	}
	for _, h := range a.headers {
		for name := range req.Header {
			if strings.EqualFold(name, h.name) {
				delete(req.Header, name)
			}
		}
		if h.value != "" {
			req.Header[h.name] = []string{h.value}
		}
	}
	return req, nil
}

// read reads a body: a stream until the message that was waited for, anything
// else whole.
func (a *answer) read(body io.Reader, limit int64) {
	limited := &io.LimitedReader{R: body, N: limit + 1}
	if a.media == "text/event-stream" {
		a.readEvents(limited)
	} else {
		a.body, a.err = io.ReadAll(limited)
		a.ended = a.err == nil
		if a.media == "application/json" {
			a.messages = a.rpc(readMessages(a.body))
		}
	}
	if limited.N <= 0 {
		a.err, a.ended = fmt.Errorf("more than %d bytes", limit), false
	}
	if a.err != nil {
		a.err = plain(a.err)
	}
}

// rpc are those of messages that are meant as JSON-RPC: with an error status a body
// may be something else, such as an error of OAuth.
func (a *answer) rpc(all []message) []message {
	if a.good() {
		return all
	}
	return slices.DeleteFunc(all, func(m message) bool { return m.fields["jsonrpc"] == nil })
}

func (a *answer) readEvents(body io.Reader) {
	a.err = readEvents(body, func(e event) bool {
		a.events = append(a.events, e)
		if len(a.events) > maxEvents {
			return false
		}
		got := readMessages([]byte(e.data))
		a.messages = append(a.messages, got...)
		for _, m := range got {
			if a.asked.enough != nil && a.asked.enough(m) {
				return false
			}
		}
		return true
	})
	switch {
	case errors.Is(a.err, errEnough):
		a.err = nil
		if len(a.events) > maxEvents {
			a.err = fmt.Errorf("more than %d events", maxEvents)
		}
	case a.err == nil:
		a.ended = true
	}
}

// plain is err without the address that the person knows, and without anything
// that a server put into it.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errLate
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	text := strings.Trim(quote(err.Error()), `"`)
	return errors.New(text)
}

var errLate = errors.New("no answer in time")

// said is the answer in a few words.
func (a *answer) said() string {
	switch {
	case a.status == 0:
		return "no answer: " + a.err.Error()
	case a.err != nil:
		return fmt.Sprintf("status %d, then %v", a.status, a.err)
	case len(a.messages) == 1 && a.messages[0].failure != nil:
		f := a.messages[0].failure
		return fmt.Sprintf("status %d, error %s %s", a.status, f.codeText(), quote(f.Message))
	case len(a.messages) > 0:
		return fmt.Sprintf("status %d with %d message(s)", a.status, len(a.messages))
	case len(a.body) > 0:
		return fmt.Sprintf("status %d, %s", a.status, quote(string(a.body[:min(len(a.body), 2*maxQuoted)])))
	}
	return fmt.Sprintf("status %d", a.status)
}

// good reports a status of success.
func (a *answer) good() bool { return a.status >= 200 && a.status < 300 }

// refused reports that the request was turned down as the client's fault, by HTTP.
func (a *answer) refused() bool { return a.status >= 400 && a.status < 500 }

// loopback reports whether a name or address can only mean this machine.
func loopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// hostOf is the host of an authority without its port.
func hostOf(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}
