package signin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// start is a sign-in that began on a protected host. It travels through the
// browser, sealed, so that beginning one costs no storage.
type start struct {
	Name   string    `json:"name"`   // the concrete hostname
	Origin string    `json:"origin"` // with scheme and port
	Return string    `json:"return"` // path to come back to
	Cookie string    `json:"cookie"` // digest of the cookie that the host set in this browser
	Until  time.Time `json:"until"`
}

const (
	sealedStart = "signin start" // what a start is sealed for
	maxStart    = 12 << 10       // characters of a sealed start
)

// ticket brings a sign-in to the host that asked for it: once, within a minute,
// in the browser that began it there.
type ticket struct {
	Origin string       `json:"origin"`
	Return string       `json:"return"`
	Cookie string       `json:"cookie"` // digest
	Person oauth.Person `json:"person"`
	Parent string       `json:"parent,omitempty"` // the session on the sign-in host
}

// start is GET /.gatehouse/start on a protected host: it marks this browser and
// sends it to the sign-in page. With switch, somebody who is signed in there is
// offered another account.
func (p *Pages) start(c *call) error {
	path, ok := returnPath(c.asked("return"))
	if !ok || len(c.r.URL.Query()["return"]) > 1 {
		return badReturn()
	}
	query := url.Values{}
	if c.asked(fieldSwitch) != "" {
		query.Set(fieldSwitch, "1")
	}
	if c.home {
		query.Set(fieldNext, path)
		redirect(c.w, c.at+"/signin?"+query.Encode())
		return nil
	}
	cookie := ensureCookie(c.w, c.r, c.v, cookieStart, tripLifetime)
	s := start{Name: c.v.Name, Origin: c.v.Origin, Return: path, Cookie: digest(cookie), Until: time.Now().Add(tripLifetime)}
	sealed, err := p.sealStart(s)
	if err != nil {
		return err
	}
	query.Set(fieldStart, sealed)
	redirect(c.w, c.v.SignIn+"/signin?"+query.Encode())
	return nil
}

func (p *Pages) sealStart(s start) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(p.opt.Sealer.Seal(sealedStart, plain)), nil
}

// openStart reads a start back. Nobody else can have made one.
func (c *call) openStart(text string) (*start, error) {
	var s start
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(text) <= maxStart {
		var plain []byte
		if plain, err = c.opt.Sealer.Open(sealedStart, sealed); err == nil {
			err = json.Unmarshal(plain, &s)
		}
	}
	if err != nil || s.Origin == "" || c.at != "" { // where pages stand on a host itself they serve that host alone
		return nil, &trouble{status: http.StatusBadRequest, reason: "start_unknown", title: "This address is not complete",
			text: "Open the page that you want to see again; it brings you here.", cause: err}
	}
	if time.Now().After(s.Until) {
		return nil, &trouble{status: http.StatusBadRequest, reason: "start_expired", title: "You were away for a while",
			text: "This sign-in was begun more than ten minutes ago. Begin it again.", again: true, back: s.Origin + s.Return}
	}
	return &s, nil
}

// handOver sends a person who is signed in here to the host that asked, with a
// ticket; or says why that host does not let them in.
func (c *call) handOver(e errand, person oauth.Person, sessionID string) error {
	s := e.start
	host := c.opt.World().Find(s.Name)
	if host == nil || s.Origin != c.opt.World().Origins.Of(s.Name, strings.HasPrefix(s.Origin, "https:")) {
		return &trouble{status: http.StatusNotFound, reason: "host_gone", title: "There is no such host any more", text: s.Name + " was served here a moment ago and is not now."}
	}
	person, err := c.asOf(person, host)
	if err != nil {
		return err
	}
	if ok, reason := c.oauth.Permitted(host, person); !ok {
		return c.notPermitted(e, host, person, reason)
	}
	t := ticket{Origin: s.Origin, Return: s.Return, Cookie: s.Cookie, Person: person, Parent: sessionID}
	value := secret()
	if _, err := c.tickets.Create(c.ctx(), digest(value), t, ticketLifetime); err != nil {
		return err
	}
	redirect(c.w, s.Origin+"/.gatehouse/callback?"+url.Values{"ticket": {value}}.Encode())
	return nil
}

// reasonNoScope is why somebody who is let in gets nothing: the lists give them
// none of the scopes asked for.
const reasonNoScope = "scope_not_given"

// notPermitted tells people who are signed in that this host is not for them,
// and how to be somebody else.
func (c *call) notPermitted(e errand, host *site.Host, person oauth.Person, reason string) error {
	name := host.Proxy.Hostname
	switch {
	case e.start != nil:
		name = e.start.Name
	case e.pending == nil:
		name = c.v.Name
	}
	c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "signin", User: person.User, AuthResult: "denied", AuthReason: reason, Object: name,
		Message: "signed in, but not let in by the host's lists"})
	m := message{Text: "You are signed in as " + person.User + ", who is not let in on " + name + ".",
		More: "Use another account, or ask whoever runs this host to add yours.", Switch: true}
	if reason == reasonNoScope {
		m.Text = "You are signed in as " + person.User + ", to whom " + name + " gives none of the rights that were asked for."
		m.More = "Use another account, or ask whoever runs this host for the rights: " + strings.Join(e.pending.Scopes, ", ") + "."
	}
	if e.pending != nil && e.pending.Device == "" {
		m.Cancel = e.handle
	}
	return c.show(http.StatusForbidden, pageMessage, view{Title: "No access to " + name, Self: c.self(e), Data: m})
}

// arrive is GET /.gatehouse/callback on a protected host: it takes the ticket
// and opens the session.
func (p *Pages) arrive(c *call) error {
	t, err := c.takeTicket(c.asked("ticket"))
	if err != nil {
		return err
	}
	cookie := cookieOf(c.v, c.r, cookieStart)
	if !same(t.Origin, c.v.Origin) {
		return ticketGone()
	}
	if cookie == "" || !same(digest(cookie), t.Cookie) {
		if c.session() != nil { // another tab was faster; no session changes hands
			redirect(c.w, c.v.Origin+t.Return)
			return nil
		}
		c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "session", User: t.Person.User, AuthResult: "denied", AuthReason: "other_browser"})
		return &trouble{status: http.StatusForbidden, reason: "other_browser", title: "This sign-in began in another browser",
			text: "For your safety it counts only where it was begun. Begin it again here, and allow cookies for this host.", again: true, back: t.Return}
	}
	return c.openHostSession(t)
}

func (c *call) openHostSession(t *ticket) error {
	session, err := c.oauth.OpenSession(c.ctx(), c.v, t.Person, t.Parent)
	if err != nil {
		return err
	}
	if old := c.session(); old != nil {
		if err := c.oauth.EndSession(c.ctx(), old.ID); err != nil {
			c.log.WarnContext(c.ctx(), "the session before could not be ended", "error", err)
		}
	}
	dropCookie(c.w, c.v, cookieStart)
	http.SetCookie(c.w, session)
	c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "session", User: t.Person.User, AuthResult: "allowed", Message: "session opened"})
	redirect(c.w, c.v.Origin+t.Return)
	return nil
}

// takeTicket spends a ticket, good or bad: whoever comes second finds nothing.
func (c *call) takeTicket(value string) (*ticket, error) {
	if value == "" {
		return nil, ticketGone()
	}
	t, err := spend(c.ctx(), c.tickets, digest(value))
	if fault.Is(err, fault.NotFound) {
		return nil, c.guessed(ticketGone())
	}
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// spend takes a record that counts once. It looks before: a guess then costs a
// read, not a write.
func spend[T any](ctx context.Context, t store.Table[T], name string) (T, error) {
	if row, err := t.Get(ctx, name); err != nil {
		return row.Value, err
	}
	row, err := t.Take(ctx, name)
	return row.Value, err
}

func ticketGone() error {
	return &trouble{status: http.StatusBadRequest, reason: "ticket_unknown", title: "This sign-in was used already",
		text: "It works once and within a minute. Open the page that you want to see; if you are not signed in there, begin again.", again: true, back: "/"}
}
