package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/journal"
)

// maxShown bounds what --debug shows of a body.
const maxShown = 64 << 10

// watched is t, shown on stderr with --debug.
func (a *app) watched(t http.RoundTripper) http.RoundTripper {
	if !a.flags.debug {
		return t
	}
	return &watch{t, a.err}
}

// watch writes requests and answers as they pass.
type watch struct {
	next http.RoundTripper
	to   io.Writer
}

func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := peek(&r.Body, r.Header)
	if err != nil {
		return nil, err
	}
	w.write("> ", shown(r, body))
	res, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, _ = fmt.Fprintf(&b, "%s %s\n", res.Proto, res.Status)
	writeHeaders(&b, res.Header)
	if body, err = peek(&res.Body, res.Header); err != nil {
		return nil, err
	}
	if len(body) > 0 {
		_, _ = fmt.Fprintf(&b, "\n%s\n", render.CleanLines(masked(body)))
	}
	w.write("< ", b.String())
	return res, nil
}

func (w *watch) write(mark, text string) {
	for line := range strings.Lines(text) {
		_, _ = io.WriteString(w.to, mark+line)
	}
}

// peek reads the start of a body and puts it back. Streams are left alone:
// their first event may be hours away.
func peek(body *io.ReadCloser, h http.Header) ([]byte, error) {
	if *body == nil || strings.HasPrefix(h.Get("Content-Type"), "text/event-stream") {
		return nil, nil
	}
	head, err := io.ReadAll(io.LimitReader(*body, maxShown))
	if err != nil {
		return nil, err
	}
	*body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), *body), *body}
	return head, nil
}

func writeHeaders(b *bytes.Buffer, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			_, _ = fmt.Fprintf(b, "%s: %s\n", name, render.Clean(journal.MaskHeader(name, value)))
		}
	}
}

// masked is a body without its secrets.
func masked(body []byte) string {
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&v) == nil {
		if clean, err := json.Marshal(hide(v)); err == nil {
			body = clean
		}
	}
	return journal.MaskText(string(body))
}

// hide masks members whose names say that they are secret.
func hide(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if text, ok := value.(string); ok && text != "" && secretName(name) {
				v[name] = journal.Masked
				continue
			}
			v[name] = hide(value)
		}
	case []any:
		for i := range v {
			v[i] = hide(v[i])
		}
	}
	return v
}

func secretName(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"secret", "password", "passphrase", "private_key"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
