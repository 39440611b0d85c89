package signin

import (
	"net/http"
	"strings"

	"golang.org/x/oauth2"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

// trip is a person on the way to a provider and back: stored under the hash of
// the state that travels with them, for ten minutes, taken once.
type trip struct {
	Provider string   `json:"provider"`
	Origin   string   `json:"origin"`  // of the pages it began on
	Browser  string   `json:"browser"` // digest of the cookie of the browser that pressed the button
	Verifier string   `json:"verifier"`
	Groups   []string `json:"groups,omitempty"`
	Via      string   `json:"via,omitempty"`    // the proxy whose own app it is
	Client   string   `json:"client,omitempty"` // the app's client id, in case it changes on the way
	Errand   field    `json:"errand"`
}

// leaveFor sends the browser to GitHub. The state is made only now, after the
// person pressed the button on a page that says what it is for.
func (c *call) leaveFor(e errand) error {
	way, ok := c.githubFor(e)
	if !ok {
		return fault.BadField("provider", "GitHub is not set up here")
	}
	state, browser := secret(), ensureCookie(c.w, c.r, c.v, cookieSignin, tripLifetime)
	t := trip{Provider: github, Origin: c.v.Origin, Browser: digest(browser), Verifier: oauth2.GenerateVerifier(),
		Groups: way.groups, Via: way.via, Client: way.app.ClientID, Errand: e.field}
	for _, old := range c.flight.add(c.v.Client, digest(state)) {
		if _, err := c.states.Take(c.ctx(), old); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	if _, err := c.states.Create(c.ctx(), digest(state), t, tripLifetime); err != nil {
		return err
	}
	redirect(c.w, c.github(way).Begin(c.attemptOf(t, state)))
	return nil
}

func (c *call) attemptOf(t trip, state string) attempt {
	return attempt{State: state, Verifier: t.Verifier, Callback: c.v.Origin + "/callback", Groups: t.Groups, From: c.v.Client}
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
	way, ok := c.githubFor(e)
	if !ok || way.via != t.Via || way.app.ClientID != t.Client {
		return &trouble{status: http.StatusConflict, reason: "provider_changed", title: "The sign-in was set up anew in the meantime",
			text: "Begin it again.", again: true, back: c.self(e)}
	}
	person, err := c.github(way).Finish(c.ctx(), c.attemptOf(*t, state), c.r.URL.Query())
	if err == nil {
		err = c.bind(c.ctx(), person)
	}
	if err != nil {
		return c.notProved(e, err)
	}
	c.keepToken(c.ctx(), person, way.via)
	if way.via != "" {
		person.Via = way.via
		return c.signedInOnce(e, person)
	}
	return c.signedIn(e, person)
}

// notProved adds to what a provider refused where trying again begins.
func (c *call) notProved(e errand, err error) error {
	t := troubleOf(err)
	c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "signin", AuthResult: "denied", AuthReason: t.reason, AuthType: github, Error: err.Error()})
	again := *t
	again.back = c.self(e)
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

// githubWay is a way in through GitHub: whose app, and what is asked for.
type githubWay struct {
	app    GitHubApp
	via    string   // the proxy whose own app it is; empty: the environment's
	groups []string // the organizations and teams that policies name
}

// githubFor is the way for an errand: the host's own app where it has one, else
// the environment's. It is looked up at each request, so that a change counts
// at once.
func (c *call) githubFor(e errand) (githubWay, bool) {
	host := c.hostOf(e)
	if host != nil && host.Proxy.GitHubClientID != "" {
		secret, err := c.opt.ProxySecret(&host.Proxy)
		if err == nil && secret != "" {
			app := c.opt.GitHub
			app.ClientID, app.ClientSecret = host.Proxy.GitHubClientID, secret
			return githubWay{app, host.Proxy.Hostname, groupsOf(host)}, true
		}
		c.log.ErrorContext(c.ctx(), "the GitHub app of a proxy can't be used", "proxy", host.Proxy.Hostname, "error", err)
		return githubWay{}, false
	}
	return githubWay{app: c.opt.GitHub, groups: groupsOf(c.opt.World().Hosts()...)}, c.opt.GitHub.Configured()
}

func (p *Pages) github(way githubWay) provider {
	return githubProvider{app: way.app, client: p.opt.HTTP, seal: p.sealToken}
}

// groupsOf are the organizations and teams that the policies of hosts name.
func groupsOf(hosts ...*site.Host) []string {
	seen := map[string]bool{}
	var groups []string
	add := func(names []string) {
		for _, name := range names {
			if key := strings.ToLower(name); name != "" && !seen[key] {
				seen[key] = true
				groups = append(groups, name)
			}
		}
	}
	for _, h := range hosts {
		add(h.Proxy.AuthRequiredGroups)
		for _, r := range h.Routes() {
			if r.Auth != nil {
				add(r.Auth.AllowedOrgs)
			}
		}
	}
	return groups
}
