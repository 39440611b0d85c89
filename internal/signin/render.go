package signin

import (
	"embed"
	"html/template"
	"net/http"
	"strings"

	"gatehouse/internal/page"
)

//go:embed pages
var files embed.FS

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
	return page.Load(files, "pages/parts.html", "pages/"+name)
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

// redirect answers 303: a browser follows it with GET, whatever it sent. The
// location is sent as it is; it was checked where it came from.
func redirect(w http.ResponseWriter, location string) {
	page.Secure(w.Header())
	w.Header().Set("Location", strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, location))
	w.WriteHeader(http.StatusSeeOther)
}
