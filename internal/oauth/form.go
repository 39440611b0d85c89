package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// form are the parameters of a request, as RFC 6749 wants them read: each at
// most once but resource and audience, an empty one as if it were not there.
type form url.Values

func (f form) get(name string) string {
	if v := f[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// has reports whether a parameter came, be it empty: state is returned as sent.
func (f form) has(name string) bool { return len(f[name]) > 0 }

// readForm reads a form from the body. Nothing in the query counts.
func (r *request) readForm() (form, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("The body must be application/x-www-form-urlencoded")
	}
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	f, err := parseForm(string(body))
	if err == nil {
		r.PostForm = url.Values(f)
	}
	return f, err
}

// bodyPatience is how long the body of a request may take.
const bodyPatience = 10 * time.Second

func (r *request) readBody() ([]byte, error) {
	patience := http.NewResponseController(r.w)
	_ = patience.SetReadDeadline(time.Now().Add(bodyPatience)) // a writer without a connection has all that comes
	body, err := io.ReadAll(r.Body)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		refusal := invalidRequest("The body did not come within " + bodyPatience.String())
		refusal.Status = http.StatusRequestTimeout
		return nil, refusal
	}
	_ = patience.SetReadDeadline(time.Time{})
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		refusal := invalidRequest("The body is larger than this endpoint reads")
		refusal.Status = http.StatusRequestEntityTooLarge
		return nil, refusal
	}
	if err != nil {
		return nil, invalidRequest("The body could not be read")
	}
	return body, nil
}

// parseForm reads parameters strictly: a malformed escape or a parameter given
// twice is an error.
func parseForm(encoded string) (form, error) {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, invalidRequest("The parameters are not well encoded")
	}
	for name, all := range values {
		if len(all) > 1 && name != "resource" && name != "audience" { // RFC 8707 and 8693 allow several of these
			return form(values), invalidRequest("The parameter " + safeName(name) + " was given more than once").because("duplicate_parameter")
		}
	}
	return form(values), nil
}

// safeName is a parameter's name as it can stand in a message.
func safeName(name string) string {
	if len(name) > 40 {
		name = name[:40]
	}
	return strings.Map(func(r rune) rune {
		if r == '_' || (r < 0x80 && (isURLSafe(byte(r)))) {
			return r
		}
		return '?'
	}, name)
}

// resource is the one resource asked for; empty: none. The same value several
// times is one.
func (f form) resource() (string, error) {
	resource := ""
	for _, r := range f["resource"] {
		switch {
		case r == "" || r == resource:
		case resource == "":
			resource = r
		case strings.TrimSuffix(resource, "/") == strings.TrimSuffix(r, "/"): // an origin with and without its slash
		default:
			return "", errTarget("A token is for one resource: ask for them one by one")
		}
	}
	return resource, nil
}

// scopes are the scopes asked for, each once; nil: none.
func (f form) scopes() []string {
	var scopes []string
	seen := map[string]bool{} // a stranger may name thousands
	for s := range strings.FieldsSeq(f.get("scope")) {
		if !seen[s] {
			seen[s] = true
			scopes = append(scopes, s)
		}
	}
	return scopes
}
