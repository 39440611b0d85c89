// Package page is how Gatehouse looks where people see it outside the console:
// one frame and one style sheet for the pages of package signin and for the
// refusals of packages oauth and edge, under one policy. No page carries a script.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed frame.html notice.html style.css
var files embed.FS

// style is the one style sheet, inside each page, and the only style that the
// pages' policy lets a browser apply.
var style = must(files.ReadFile("style.css"))

// Policy allows our style and the icon, nothing else: no script, no frame, no
// request anywhere. form-action is left out on purpose: browsers apply it to
// redirects too, and a consent ends at the client.
var Policy = "default-src 'none'; style-src 'sha256-" + sum(style) + "'; img-src data:; base-uri 'none'; frame-ancestors 'none'"

var notice = Load(files, "notice.html")

// Load makes the template of a page: the frame, around the "body" that the named
// files define. The frame shows Title, Host, Wide and RequestID of its data.
func Load(from fs.FS, names ...string) *template.Template {
	t := template.Must(template.New("style").Parse("<style>" + string(style) + "</style>"))
	t = template.Must(t.ParseFS(files, "frame.html"))
	return template.Must(t.ParseFS(from, names...))
}

// Notice is a page of a few words.
type Notice struct {
	Title     string // what happened
	Text      string // what to do
	User      string // who is signed in, where it matters
	Link      *Link
	Code      string // for whoever mends it: an error code
	Host      string // the host that the page stands on
	Wide      bool
	RequestID string // to find the request in the log
}

// Link is the one thing to do next.
type Link struct{ Address, Text string }

// Write sends n as the whole answer.
func (n Notice) Write(w http.ResponseWriter, r *http.Request, status int) error {
	return Write(w, r, status, notice, n)
}

// Write sends a page as the whole answer.
func Write(w http.ResponseWriter, r *http.Request, status int, t *template.Template, data any) error {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "frame", data); err != nil {
		return err
	}
	h := w.Header()
	Secure(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // the browser is gone: nobody is left to tell
	}
	return nil
}

// Secure sets the headers that every answer of a page has.
func Secure(h http.Header) {
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// Sentence makes a public message one: a capital letter, a full stop.
func Sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(s[size:], ".") + "."
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(h[:])
}
