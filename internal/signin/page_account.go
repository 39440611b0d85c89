package signin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
)

// accountPage is the body of a person's own page: what acts in their name, and
// where they are signed in.
type accountPage struct {
	Name, User, Email string
	Notice            string
	Apps              []app
	Sessions          []sessionRow
}

type app struct {
	ID, Client, Resource, Created, Used, Branches string
	Scopes                                        []string
}

type sessionRow struct {
	ID, Host, Origin, Address, Created, Seen string
	Here                                     bool
}

// account is GET /account.
func (p *Pages) account(c *call) error {
	s := c.session()
	if s == nil {
		redirect(c.w, c.at+"/signin?"+url.Values{fieldNext: {c.at + "/account"}}.Encode())
		return nil
	}
	grants, sessions, err := c.belongings(s)
	if err != nil {
		return err
	}
	body := accountPage{Name: s.Person.Name, User: s.Person.User, Email: s.Person.Email, Notice: notices[c.asked("done")]}
	if body.Name == "" {
		body.Name = s.Person.User
	}
	body.Apps, body.Sessions = apps(grants), sessionRows(sessions, s)
	return c.show(http.StatusOK, pageAccount, view{Title: "Your account", Wide: true, Data: body})
}

// belongings are the grants and sessions of a person that this page may show and
// end. Where the pages stand on a host itself, its backend's scripts can read
// them: they tell of that host alone.
func (c *call) belongings(s *oauth.Session) (grants []oauth.Grant, sessions []oauth.Session, err error) {
	if grants, err = c.oauth.Grants(c.ctx(), s.Person.Subject); err != nil {
		return nil, nil, err
	}
	if sessions, err = c.oauth.Sessions(c.ctx(), s.Person.Subject); err != nil || c.at == "" {
		return grants, sessions, err
	}
	grants = slices.DeleteFunc(grants, func(g oauth.Grant) bool { return !strings.HasPrefix(g.Resource+"/", c.v.Origin+"/") })
	sessions = slices.DeleteFunc(sessions, func(e oauth.Session) bool { return e.Host != c.v.Name })
	return grants, sessions, nil
}

var notices = map[string]string{
	"grant":   "The app is disconnected. Its tokens no longer work.",
	"session": "That browser is signed out.",
	"gone":    "There was nothing of yours to end any more. Nothing was changed.",
}

func apps(grants []oauth.Grant) []app {
	slices.SortFunc(grants, func(a, b oauth.Grant) int { return b.LastUsed.Compare(a.LastUsed) })
	rows := make([]app, len(grants))
	for i, g := range grants {
		rows[i] = app{ID: g.ID, Client: g.Client, Resource: g.Resource, Scopes: g.Scopes, Created: ago(g.CreatedAt), Used: ago(g.LastUsed)}
		if rows[i].Client == "" {
			rows[i].Client = g.ClientID
		}
		if n := len(g.Branches); n > 1 {
			rows[i].Branches = fmt.Sprintf("%d parallel sign-ins, the newest first: %s", n, uses(g.Branches))
		}
	}
	return rows
}

// uses are when each branch of a grant was last used, the newest first.
func uses(branches []oauth.Branch) string {
	sorted := slices.Clone(branches)
	slices.SortFunc(sorted, func(a, b oauth.Branch) int { return b.At.Compare(a.At) })
	words := make([]string, len(sorted))
	for i, b := range sorted {
		words[i] = ago(b.At)
	}
	return strings.Join(words, ", ")
}

func sessionRows(sessions []oauth.Session, here *oauth.Session) []sessionRow {
	slices.SortFunc(sessions, func(a, b oauth.Session) int {
		if (a.ID == here.ID) != (b.ID == here.ID) {
			if a.ID == here.ID {
				return -1
			}
			return 1
		}
		return b.LastSeen.Compare(a.LastSeen)
	})
	rows := make([]sessionRow, len(sessions))
	for i, e := range sessions {
		rows[i] = sessionRow{ID: e.ID, Host: e.Host, Origin: e.Origin, Address: e.Address, Created: ago(e.CreatedAt), Seen: ago(e.LastSeen), Here: e.ID == here.ID || e.Parent == here.ID}
	}
	return rows
}

// ago is a time as people say it.
func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour")
	case d < 60*24*time.Hour:
		return plural(int(d/(24*time.Hour)), "day")
	}
	return t.UTC().Format("2 January 2006")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " ago"
	}
	return fmt.Sprintf("%d %ss ago", n, noun)
}

// revoke is POST /account: it disconnects an app or signs a browser out, of the
// person's own only.
func (p *Pages) revoke(c *call) error {
	s := c.session()
	if s == nil {
		redirect(c.w, c.at+"/signin?"+url.Values{fieldNext: {c.at + "/account"}}.Encode())
		return nil
	}
	var what string
	var err error
	switch {
	case c.value("grant") != "":
		what, err = "grant", c.revokeGrant(s, c.value("grant"))
	case c.value("session") != "":
		what, err = "session", c.revokeSession(s, c.value("session"))
	default:
		return fault.BadField("grant", "or session must name what to end")
	}
	if fault.Is(err, fault.NotFound) { // ended in another tab, or never this person's: nobody is told which
		what, err = "gone", nil
	}
	if err != nil {
		return err
	}
	redirect(c.w, c.at+"/account?"+url.Values{"done": {what}}.Encode())
	return nil
}

func (c *call) revokeGrant(s *oauth.Session, id string) error {
	grants, _, err := c.belongings(s)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(grants, func(g oauth.Grant) bool { return g.ID == id }) {
		return errNotYours
	}
	c.audit("revoke_grant", id, s)
	return c.oauth.Revoke(c.ctx(), oauth.RevokeGrant, id)
}

func (c *call) revokeSession(s *oauth.Session, id string) error {
	_, sessions, err := c.belongings(s)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(sessions, func(e oauth.Session) bool { return e.ID == id }) {
		return errNotYours
	}
	c.audit("end_session", id, s)
	return c.oauth.EndSession(c.ctx(), id)
}

var errNotYours = fault.Wrap(fault.NotFound, errors.New("not among this person's own"), "there is no such thing of yours")

func (c *call) audit(action, object string, s *oauth.Session) {
	c.note(c.ctx(), journal.Entry{Kind: journal.Audit, Action: action, Door: "browser", User: s.Person.User, Session: s.ID, Object: object})
}
