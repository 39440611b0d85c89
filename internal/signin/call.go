package signin

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/page"
	"gatehouse/internal/site"
)

const (
	maxForm      = 64 << 10         // bytes of a form
	formPatience = 10 * time.Second // for all of it to come
)

// call is one request for a page.
type call struct {
	*Pages
	w    http.ResponseWriter
	r    *http.Request
	v    *site.Visit
	home bool   // the pages for people stand on this host
	at   string // what their addresses begin with here: "" or "/.gatehouse"

	browser string // the browser's own secret, once it was asked for
}

func (c *call) ctx() context.Context { return c.r.Context() }

// pagesOrigin is the origin of the pages for people, as this browser reaches them.
func (c *call) pagesOrigin() string {
	if c.home {
		return c.v.Origin
	}
	return c.v.SignIn
}

// session is who is signed in on this host in this browser; nil for nobody.
func (c *call) session() *oauth.Session {
	s, ok := c.oauth.SessionOf(c.v, c.r)
	if !ok {
		return nil
	}
	return s
}

// sessionID is what forms are bound to beside the browser.
func (c *call) sessionID() string {
	if s := c.session(); s != nil {
		return s.ID
	}
	return ""
}

// form is the token for the forms of a page.
func (c *call) form() string {
	if c.browser == "" {
		c.browser = ensureCookie(c.w, c.r, c.v, cookieBrowser, 0)
	}
	return formToken(c.browser, c.sessionID())
}

// posted checks what every POST must bring, then does it.
func (c *call) posted(pg route) error {
	if pg.limited {
		if err := c.guessed(nil); err != nil {
			return err
		}
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxForm)
	patience := http.NewResponseController(c.w)
	_ = patience.SetReadDeadline(time.Now().Add(formPatience)) // a writer without a connection has all that comes
	err := c.r.ParseForm()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &trouble{status: http.StatusRequestTimeout, reason: "form_slow", title: "That took too long",
			text: "Your form did not come whole. Try again when your connection is better; nothing was changed.", again: true, cause: err}
	}
	_ = patience.SetReadDeadline(time.Time{})
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fault.Wrap(fault.TooLarge, err, "a form may have at most 64 KiB")
		}
		return fault.Wrap(fault.Malformed, err, "this form can't be read")
	}
	if !sameOrigin(c.v, c.r) {
		return &trouble{status: http.StatusForbidden, reason: "cross_origin", title: "This came from another site",
			text: "Another site tried to do this in your name, so nothing was done. If it was you: open the page here and do it there."}
	}
	browser := cookieOf(c.v, c.r, cookieBrowser)
	if browser == "" || !same(c.value("form"), formToken(browser, c.sessionID())) {
		if pg.stale != nil {
			return pg.stale(c)
		}
		return formExpired()
	}
	return pg.post(c)
}

func formExpired() error {
	return &trouble{status: http.StatusForbidden, reason: "form_expired", title: "This page is out of date",
		text: "You signed in or out since it was opened, or your browser does not keep our cookies. Go back, load the page again and repeat; nothing was changed.", again: true}
}

// guessed counts an attempt of this address: err, unless it is one too many.
// What turns out to be right is never counted where it can be known before.
func (c *call) guessed(err error) error {
	if wait, ok := c.limits.take(c.v.Client); !ok {
		return &fault.Error{Kind: fault.TooMany, RetryAfter: wait, Public: "there were too many attempts from your network: wait a minute, then try again"}
	}
	return err
}

// value is a field of the form; empty when it is missing or stands there twice.
func (c *call) value(name string) string { return only(c.r.PostForm, name) }

// asked is a parameter of the address; empty when it is missing or stands there twice.
func (c *call) asked(name string) string { return only(c.r.URL.Query(), name) }

func only(v url.Values, name string) string {
	if len(v[name]) != 1 || !utf8.ValidString(v[name][0]) {
		return ""
	}
	return v[name][0]
}

// show sends a page.
func (c *call) show(status int, t *template.Template, v view) error {
	v.At, v.Host = c.at, c.v.Name
	if v.Form == "" {
		v.Form = c.form()
	}
	return page.Write(c.w, c.r, status, t, v)
}

// message is a page of a few words.
type message struct {
	Text, More string
	Link       *link
	Cancel     string // handle of a request that a button refuses; empty: no button
	Switch     bool   // a button signs out and begins again
}

type link struct{ Href, Text string }

// fail shows what went wrong, and writes it down.
func (c *call) fail(err error) {
	t := troubleOf(err)
	if c.ctx().Err() != nil && t.status >= http.StatusInternalServerError {
		return // the person left
	}
	level := slog.LevelInfo
	if t.status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	c.log.Log(c.ctx(), level, "a page was refused", "reason", t.reason, "request_id", c.v.RequestID, "error", err)
	c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "page", AuthResult: "denied", AuthReason: t.reason, Path: c.v.Path.Clean, Status: t.status, Message: t.title})
	c.retryAfter(err)
	m := message{Text: t.text}
	if t.again {
		m.Link = c.way(t)
	}
	if err := c.show(t.status, pageMessage, view{Title: t.title, RequestID: c.v.RequestID, Data: m}); err != nil {
		c.log.ErrorContext(c.ctx(), "a page could not be made", "error", err)
		http.Error(c.w, "something went wrong here", http.StatusInternalServerError)
	}
}

// way is the link of an error page: to where the errand began.
func (c *call) way(t *trouble) *link {
	if t.back != "" {
		return &link{t.back, "Try again"}
	}
	if !c.home {
		return &link{"/", "Try again"}
	}
	if c.r.Method == http.MethodGet && t.status >= http.StatusInternalServerError && c.v.Path.Clean != "/callback" {
		return &link{c.r.URL.RequestURI(), "Try again"}
	}
	return &link{c.at + "/signin", "To the sign-in page"}
}

func (c *call) retryAfter(err error) {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || (f.Kind != fault.TooMany && f.Kind != fault.Unavailable) {
		return
	}
	wait := max(f.RetryAfter, time.Second)
	c.w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
}
