package signin

import (
	"net/http"

	"golang.org/x/oauth2"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
)

// trip is a person on the way to a provider and back: stored under the hash of
// the state that travels with them, for ten minutes, taken once.
type trip struct {
	Provider string   `json:"provider"`
	Origin   string   `json:"origin"`  // of the pages it began on
	Browser  string   `json:"browser"` // digest of the cookie of the browser that pressed the button
	Verifier string   `json:"verifier"`
	Nonce    string   `json:"nonce"`
	Groups   []string `json:"groups,omitempty"`
	Via      string   `json:"via,omitempty"` // the proxy whose own app it is
	Client   string   `json:"client"`        // our client id there, in case it changes on the way
	Errand   field    `json:"errand"`
}

// leaveFor sends the browser to a provider. The state is made only now, after
// the person pressed the button on a page that says what it is for.
func (c *call) leaveFor(e errand, name string) error {
	way, ok := c.wayBy(e, name)
	if !ok {
		return fault.BadField("provider", "must be one of those on the page")
	}
	state, browser := secret(), ensureCookie(c.w, c.r, c.v, cookieSignin, tripLifetime)
	t := trip{Provider: way.name, Origin: c.v.Origin, Browser: digest(browser), Verifier: oauth2.GenerateVerifier(), Nonce: secret(),
		Groups: way.groups, Via: way.via, Client: way.client, Errand: e.field}
	a := c.attemptOf(t, state)
	a.Fresh = c.value(fieldSwitch) != ""
	location, err := way.Begin(c.ctx(), a)
	if err != nil {
		return c.notProved(e, name, err)
	}
	for _, old := range c.flight.add(c.v.Client, digest(state)) {
		if _, err := c.states.Take(c.ctx(), old); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	if _, err := c.states.Create(c.ctx(), digest(state), t, tripLifetime); err != nil {
		return err
	}
	redirect(c.w, location)
	return nil
}

func (c *call) attemptOf(t trip, state string) attempt {
	return attempt{State: state, Verifier: t.Verifier, Nonce: t.Nonce, Callback: c.v.Origin + "/callback", Groups: t.Groups, From: c.v.Client}
}

// returned is GET /callback: back from a provider.
func (p *Pages) returned(c *call) error {
	state := c.asked("state")
	t, err := c.takeTrip(state)
	if err != nil {
		return err
	}
	e, err := c.errand(t.Errand)
	if err != nil {
		return err
	}
	way, ok := c.wayBy(e, t.Provider)
	if !ok || way.via != t.Via || way.client != t.Client {
		return &trouble{status: http.StatusConflict, reason: "provider_changed", title: "The sign-in was set up anew in the meantime",
			text: "Begin it again.", again: true, back: c.self(e)}
	}
	person, err := c.finish(way, c.attemptOf(*t, state))
	if err != nil {
		return c.notProved(e, way.name, err)
	}
	if way.via != "" {
		return c.signedInOnce(e, person)
	}
	return c.signedIn(e, person)
}

// finish asks the provider who came back, and whether they may carry their name.
func (c *call) finish(w way, a attempt) (oauth.Person, error) {
	person, err := w.Finish(c.ctx(), a, c.r.URL.Query())
	if err != nil {
		return person, err
	}
	person.Via = w.via
	if err := c.bind(c.ctx(), person); err != nil {
		return person, err
	}
	c.keepToken(c.ctx(), person, c.sealToken(w.name, person.Token))
	person.Token = nil
	return person, nil
}

// notProved adds to what a provider refused where trying again begins.
func (c *call) notProved(e errand, provider string, err error) error {
	t := troubleOf(err)
	c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "signin", AuthResult: "denied", AuthReason: t.reason, AuthType: provider, Error: err.Error()})
	again := *t
	again.back = c.self(e)
	if t.reason == changedHandsReason { // otherwise the provider would answer with the same account
		again.back = c.switching(e)
	}
	return &again
}

// takeTrip finds what the state belongs to. It is spent whether or not this is
// the right browser.
func (c *call) takeTrip(state string) (*trip, error) {
	unknown := &trouble{status: http.StatusBadRequest, reason: "state_unknown", title: "This sign-in is no longer known",
		text: "It took more than ten minutes, or the page was loaded twice. Begin it again.", again: true}
	if state == "" {
		return nil, unknown
	}
	t, err := spend(c.ctx(), c.states, digest(state))
	if fault.Is(err, fault.NotFound) {
		return nil, c.guessed(unknown)
	}
	if err != nil {
		return nil, err
	}
	c.flight.remove(digest(state))
	browser := cookieOf(c.v, c.r, cookieSignin)
	if browser == "" || !same(digest(browser), t.Browser) || t.Origin != c.v.Origin {
		return nil, &trouble{status: http.StatusForbidden, reason: "other_browser", title: "This sign-in began in another browser",
			text: "For your safety it counts only where it was begun. Begin it again here.", again: true}
	}
	return &t, nil
}
