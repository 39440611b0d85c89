package signin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed pages
var files embed.FS

// style is the one style sheet, inside each page, and the only style that the
// pages' policy lets a browser apply.
var style = must(files.ReadFile("pages/style.css"))

// policy allows our style and the icon, nothing else: no script, no frame, no
// request anywhere. form-action is left out on purpose: browsers apply it to
// redirects too, and a consent ends at the client.
var policy = "default-src 'none'; style-src 'sha256-" + sum(style) + "'; img-src data:; base-uri 'none'; frame-ancestors 'none'"

// The pages. Each is the frame with its own body.
var (
	pageSignin  = load("signin.html")
	pageConsent = load("consent.html")
	pageDevice  = load("device.html")
	pageConfirm = load("confirm.html")
	pageSetup   = load("setup.html")
	pageAccount = load("account.html")
	pageLogout  = load("logout.html")
	pageMessage = load("message.html")
)

func load(name string) *template.Template {
	t := template.Must(template.New("style").Parse("<style>" + string(style) + "</style>"))
	return template.Must(t.ParseFS(files, "pages/frame.html", "pages/"+name))
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

// view is what the frame of a page shows; Data is the body's own.
type view struct {
	Title     string
	Host      string // the host that the page stands on
	Wide      bool
	At        string // what the pages' addresses begin with: "" or "/.gatehouse"
	Form      string // the token that every form carries
	Who       string // who is signed in; empty: not shown
	Self      string // where "use another account" returns to
	RequestID string // on error pages, to find the request in the log
	Data      any
}

// write sends a page as the whole answer.
func write(w http.ResponseWriter, r *http.Request, status int, t *template.Template, v view) error {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "frame", v); err != nil {
		return err
	}
	h := w.Header()
	secureHeaders(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // the browser is gone: nobody is left to tell
	}
	return nil
}

// secureHeaders go on every answer of this package.
func secureHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// redirect answers 303: a browser follows it with GET, whatever it sent. The
// location is sent as it is; it was checked where it came from.
func redirect(w http.ResponseWriter, location string) {
	secureHeaders(w.Header())
	w.Header().Set("Location", strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, location))
	w.WriteHeader(http.StatusSeeOther)
}
