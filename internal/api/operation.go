package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
)

const (
	maxBody      = 1 << 20          // bytes of a request's body
	bodyPatience = 30 * time.Second // for it to arrive
)

// tagged is an answer that carries the version of an object.
type tagged interface{ Tag() int64 }

// operation serves one operation.
func (a *API) operation(o *control.Operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := a.run(w, r, o)
		if err != nil {
			a.fail(w, r, err, o.Scope)
			return
		}
		a.answer(w, r, o.Status, out)
	})
}

// run asks who may before it reads what they sent.
func (a *API) run(w http.ResponseWriter, r *http.Request, o *control.Operation) (any, error) {
	ctx := r.Context()
	if err := o.Authorize(ctx); err != nil {
		return nil, err
	}
	raw, err := arguments(w, r, o)
	if err != nil {
		return nil, err
	}
	in, err := o.Decode(raw)
	if err != nil {
		return nil, err
	}
	return o.Run(ctx, in)
}

func arguments(w http.ResponseWriter, r *http.Request, o *control.Operation) (json.RawMessage, error) {
	body, err := readBody(w, r, o.HasBody())
	if err != nil {
		return nil, err
	}
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	path := map[string]string{}
	for _, name := range o.PathParams() {
		path[name] = r.PathValue(name)
	}
	if tag := r.Header.Get("If-Match"); tag != "" && o.Takes("if_match") {
		path["if_match"] = tag
	}
	return o.Arguments(path, query, body)
}

// readBody reads a JSON body whole. Anything but JSON is refused by its type, so
// that no form on a foreign page can be a request of this API.
func readBody(w http.ResponseWriter, r *http.Request, wanted bool) ([]byte, error) {
	body, err := readAll(w, r)
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(body)) == 0:
		return nil, nil
	case !wanted:
		return nil, fault.New(fault.Malformed, "%s takes no body here", r.Method)
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
		return nil, errMedia
	}
	return body, nil
}

// readAll reads a body whole: so many bytes, in so much time.
func readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(bodyPatience)) // not every connection has one
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = deadline.SetReadDeadline(time.Time{})
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return nil, fault.New(fault.TooLarge, "the body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the body could not be read")
	}
	return body, nil
}

// errMedia becomes 415.
var errMedia = errors.New("the body must be JSON, with Content-Type: application/json")

func (a *API) answer(w http.ResponseWriter, r *http.Request, status int, out any) {
	body, err := json.Marshal(out)
	if err != nil {
		a.fail(w, r, fault.Wrap(fault.Internal, err, "the answer could not be written"), control.Public)
		return
	}
	h := w.Header()
	if t, ok := out.(tagged); ok && t.Tag() > 0 {
		h.Set("ETag", strconv.Quote(strconv.FormatInt(t.Tag(), 10)))
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone: nobody is left to tell
}
