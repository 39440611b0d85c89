package signin

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// consentPage is the body of the consent and of the device's confirmation.
type consentPage struct {
	Handle       string
	Client       string
	ResourceHost string
	Purpose      *purpose
	Scopes       []scope // without admin
	Admin        string  // what admin means here; empty: it is not asked for
	Withheld     string  // scopes that were asked for and that this person has not
	Remember     string
}

// scope is a permission in plain words.
type scope struct{ Text, Name string }

// consent is GET /consent: what an application wants, and from whom.
func (p *Pages) consent(c *call) error {
	e, person, err := c.requested(c.asked(fieldRequest))
	if err != nil || person == nil {
		return err
	}
	host := c.hostOf(e)
	if host == nil {
		return resourceGone()
	}
	if ok, reason := c.oauth.Permitted(host, *person); !ok {
		return c.notPermitted(e, host, *person, reason)
	}
	granted := c.oauth.GrantedScopes(host, *person, e.pending.Scopes)
	if len(granted) == 0 {
		return c.notPermitted(e, host, *person, reasonNoScope)
	}
	if c.oauth.Remembered(c.ctx(), *person, *e.pending) {
		return c.approve(e, *person, granted)
	}
	body := consentOf(*e.pending, host, granted)
	body.Handle = e.handle
	if strings.HasPrefix(e.pending.RedirectURI, "https://") && body.Admin == "" {
		body.Remember = "You will not be asked again for the same. You can take it back on your account page at any time."
	} else {
		body.Remember = "You will be asked each time. You can take it back on your account page at any time."
	}
	return c.show(http.StatusOK, pageConsent, view{Title: "Allow " + body.Client, Who: person.User, Self: c.self(e), Data: body})
}

// requested is the request under handle and the person who may answer it. When
// nobody is signed in it sends the browser to do so and answers nil.
func (c *call) requested(handle string) (e errand, person *oauth.Person, err error) {
	if handle == "" {
		return e, nil, gone(fault.New(fault.NotFound, "no request"))
	}
	if e, err = c.errand(field{fieldRequest, handle}); err != nil {
		return e, nil, err
	}
	if e.pending.Device != "" {
		return e, nil, gone(fault.New(fault.NotFound, "a device's request"))
	}
	if person, err = c.onceFor(handle); person != nil || err != nil {
		return e, person, err
	}
	s := c.session()
	if s == nil {
		redirect(c.w, c.self(e))
		return e, nil, nil
	}
	now, err := c.asOf(s.Person, c.hostOf(e))
	return e, &now, err
}

// decide is POST /consent.
func (p *Pages) decide(c *call) error {
	e, person, err := c.requested(c.value(fieldRequest))
	if err != nil || person == nil {
		return err
	}
	switch c.value("answer") {
	case "allow":
		return c.approve(e, *person, e.pending.Scopes)
	case "limited":
		return c.approve(e, *person, withoutAdmin(e.pending.Scopes))
	case "deny":
		c.endOnce()
		code, why := c.refusal(e, *person)
		location, err := c.oauth.Refuse(c.ctx(), e.handle, code, why)
		if err != nil {
			return gone(err)
		}
		redirect(c.w, location)
		return nil
	}
	return fault.BadField("answer", "must be one of the buttons on the page")
}

// refusal is what the application is told when somebody goes back to it: that
// they did not want to, that the host is not for them, or that there was nothing
// they could have allowed.
func (c *call) refusal(e errand, person oauth.Person) (code, why string) {
	host := c.hostOf(e)
	if host == nil {
		return "access_denied", "The person did not allow it"
	}
	if ok, _ := c.oauth.Permitted(host, person); !ok {
		return "access_denied", "This person is not let in on " + host.Proxy.Hostname
	}
	if len(c.oauth.GrantedScopes(host, person, e.pending.Scopes)) == 0 {
		return "invalid_scope", "None of the scopes asked for can be granted to this person"
	}
	return "access_denied", "The person did not allow it"
}

func (c *call) approve(e errand, person oauth.Person, scopes []string) error {
	host := c.hostOf(e)
	if host == nil {
		return resourceGone()
	}
	if err := c.oauth.Remember(c.ctx(), person, *e.pending, c.oauth.GrantedScopes(host, person, scopes)); err != nil {
		c.log.WarnContext(c.ctx(), "a consent could not be remembered", "error", err)
	}
	location, err := c.oauth.Approve(c.ctx(), e.handle, person, scopes)
	if err != nil {
		return gone(err)
	}
	c.endOnce()
	redirect(c.w, location)
	return nil
}

// gone tells a person that their request was answered or has expired; other
// errors stay.
func gone(err error) error {
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	return &trouble{status: http.StatusBadRequest, reason: "request_unknown", title: "This request is no longer open",
		text: "It was answered already, or took more than ten minutes. Go back to the application and begin again.", cause: err}
}

func resourceGone() error {
	return &trouble{status: http.StatusNotFound, reason: "host_gone", title: "There is no such host any more", text: "What the application asks for was served here a moment ago and is not now."}
}

func withoutAdmin(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == principal.ScopeAdmin })
}

// consentOf is what a person is asked, in plain words.
func consentOf(p oauth.Pending, host *site.Host, granted []string) consentPage {
	body := consentPage{Client: clientName(&p), ResourceHost: hostPort(p.Resource), Purpose: purposeOf(&p)}
	own := host.Role != site.Ordinary
	for _, s := range granted {
		if s == principal.ScopeAdmin {
			body.Admin = adminMeans(own, body.ResourceHost)
			continue
		}
		body.Scopes = append(body.Scopes, scope{scopeMeans(s, own, body.ResourceHost), s})
	}
	missing := slices.DeleteFunc(slices.Clone(p.Scopes), func(s string) bool { return slices.Contains(granted, s) })
	body.Withheld = strings.Join(missing, ", ")
	return body
}

func adminMeans(own bool, host string) string {
	if own {
		return "It will be able to change everything here: which hosts are served and who may use them, certificates, services, accounts. Allow this only to a program that you would trust with the whole installation."
	}
	return "It will be able to do on " + host + " whatever an administrator of it can. Allow this only to a program that you would trust with all of it."
}

func scopeMeans(scope string, own bool, host string) string {
	switch {
	case scope == principal.ScopeUser && own:
		return "See hosts and their state, and your own log entries"
	case scope == principal.ScopeMCP && own:
		return "Use this installation's tools as you (MCP)"
	case scope == principal.ScopeUser:
		return "Use " + host + " as you"
	case scope == principal.ScopeMCP:
		return "Use the tools of " + host + " as you (MCP)"
	}
	return "Use the permission “" + scope + "” of " + host
}
