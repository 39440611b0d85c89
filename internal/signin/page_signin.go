package signin

import (
	"context"
	"errors"
	"net/http"

	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
)

// signinPage is the body of the sign-in page: what it is for, and the ways in.
type signinPage struct {
	Lead    string
	Purpose *purpose
	Problem string // what went wrong with the last try
	Local   bool   // there are local accounts
	Ways    []button
	Name    string // that was typed last time
	Errand  []field
}

// button is one of the page that leads to a provider.
type button struct{ Name, Label string }

// signin is GET /signin. Who is signed in already goes on at once.
func (p *Pages) signin(c *call) error {
	e, err := c.errandOf(c.r.URL.Query())
	if err != nil {
		return err
	}
	s := c.session()
	switch {
	case s != nil && c.asked(fieldSwitch) != "":
		return c.offerSwitch(e, s)
	case s != nil:
		return c.land(e, s.Person, s.ID)
	}
	return c.showSignin(http.StatusOK, e, "", "")
}

// offerSwitch is for people who are signed in and were refused somewhere behind
// a host: without it the sign-in host would send them back as who they are.
func (c *call) offerSwitch(e errand, s *oauth.Session) error {
	m := message{Text: "You are signed in as " + s.Person.User + ".", Switch: true}
	if at := c.purposeOf(e); at != nil {
		m.More = "If " + at.Resource + " does not let this account in, use another one, or ask whoever runs that host to add yours."
	}
	return c.show(http.StatusOK, pageMessage, view{Title: "Switch account", Self: c.self(e), Data: m})
}

func (c *call) showSignin(status int, e errand, problem, name string) error {
	users, err := c.oauth.Users(c.ctx())
	if err != nil {
		return err
	}
	body := signinPage{Lead: lead(e), Purpose: c.purposeOf(e), Problem: problem, Name: name, Local: len(users) > 0}
	if c.asked("created") != "" && problem == "" {
		body.Lead = "Your account is ready. Sign in with it."
	}
	if e.field.Name != "" {
		body.Errand = []field{e.field}
	}
	for _, w := range c.ways(e) {
		body.Ways = append(body.Ways, button{w.name, w.label})
	}
	if c.asked(fieldSwitch) != "" {
		body.Errand = append(body.Errand, field{fieldSwitch, "1"})
	}
	return c.show(status, pageSignin, view{Title: "Sign in", Data: body})
}

// lead says in one line what the sign-in is for.
func lead(e errand) string {
	switch {
	case e.start != nil:
		return "to go on to " + hostPort(e.start.Origin)
	case e.pending != nil && e.pending.Device != "":
		return "to connect a device"
	case e.pending != nil:
		return "to go on with " + clientName(e.pending)
	}
	return "with your account on this installation"
}

// prove is POST /signin: a local account's form, or the button towards a provider.
func (p *Pages) prove(c *call) error {
	e, err := c.errandOf(c.r.PostForm)
	if err != nil {
		return err
	}
	if c.value("provider") == local {
		return c.proveLocally(e)
	}
	return c.leaveFor(e, c.value("provider"))
}

// proveStale is for a sign-in page from before: in another tab the person has
// signed in meanwhile, and goes on as if they had only opened the page.
func (p *Pages) proveStale(c *call) error {
	e, err := c.errandOf(c.r.PostForm)
	if err != nil {
		return err
	}
	if c.session() == nil {
		t := troubleOf(formExpired())
		t.back = c.self(e)
		return t
	}
	redirect(c.w, c.self(e))
	return nil
}

func (c *call) proveLocally(e errand) error {
	person, err := localProvider{users: c.oauth, hasher: c.hasher, brake: c.brake}.Finish(c.ctx(), attempt{From: c.v.Client}, c.r.PostForm)
	if errors.Is(err, errWrongPassword) {
		name := oauth.UserName(c.value("name"))
		c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "signin", User: oauth.LocalUser + clip(name), AuthResult: "denied", AuthReason: "wrong_password", AuthType: local})
		return c.showSignin(http.StatusForbidden, e, "Name or password is not right.", clip(name))
	}
	if err != nil {
		return err
	}
	return c.signedIn(e, person)
}

// clip keeps what somebody typed short enough for a page and the log.
func clip(s string) string {
	const most = 64
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most])
	}
	return s
}

// signedIn opens a session for a person who has just proved themselves, and
// sends the browser to the sign-in page again, which now brings it to where the
// errand leads. A session from before ends, and forms from before stop working:
// nothing that somebody else put into this browser outlives a sign-in.
func (c *call) signedIn(e errand, person oauth.Person) error {
	cookie, err := c.oauth.OpenSession(c.ctx(), c.v, person, "")
	if err != nil {
		return err
	}
	c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "signin", User: person.User, AuthResult: "allowed", AuthType: person.Provider})
	c.endOld(c.ctx())
	http.SetCookie(c.w, cookie)
	setCookie(c.w, c.v, cookieBrowser, secret(), 0)
	redirect(c.w, c.self(e))
	return nil
}

func (c *call) endOld(ctx context.Context) {
	old := c.session()
	if old == nil {
		return
	}
	if err := c.oauth.EndSession(ctx, old.ID); err != nil {
		c.log.WarnContext(ctx, "the session before could not be ended", "error", err)
	}
}
