package signin

import (
	"net/http"
	"net/url"
	"strings"

	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
)

// logoutPage is the body of the page that asks before it signs out: a link
// alone, which any site can make a browser follow, ends nothing.
type logoutPage struct {
	Of      string // the host; empty: everywhere
	User    string
	Meaning string
	Action  string
}

// askLogout is GET /logout.
func (p *Pages) askLogout(c *call) error {
	s := c.session()
	if s == nil {
		return c.signedOut()
	}
	return c.show(http.StatusOK, pageLogout, view{Title: "Sign out", Data: logoutPage{User: s.Person.User, Action: c.at + "/logout",
		Meaning: "This signs you out here and on every host that you opened from here in this browser. Connected apps stay connected."}})
}

// logout is POST /logout: it ends this session and those on other hosts that
// hang on it. With next it goes on to the sign-in page of an errand, for another
// account.
func (p *Pages) logout(c *call) error {
	next := ""
	if c.value(fieldNext) != "" {
		var err error
		if next, err = c.ownPage(c.value(fieldNext)); err != nil {
			return err
		}
	}
	c.endOnce()
	if s := c.session(); s != nil {
		if err := c.close(s); err != nil {
			return err
		}
	}
	switch path, query, _ := strings.Cut(next, "?"); {
	case next == "":
		next = c.at + "/logout"
	case path == c.at+"/signin": // else a provider would send the same person back
		next = withQuery(path, strings.TrimPrefix(query+"&"+fieldSwitch+"=1", "&"))
	}
	redirect(c.w, c.v.Origin+next)
	return nil
}

func (c *call) close(s *oauth.Session) error {
	if err := c.oauth.EndSession(c.ctx(), s.ID); err != nil {
		return err
	}
	c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "logout", User: s.Person.User, Session: s.ID, AuthResult: "allowed"})
	http.SetCookie(c.w, oauth.CloseCookie(c.v))
	dropCookie(c.w, c.v, cookieBrowser)
	return nil
}

func (c *call) signedOut() error {
	return c.show(http.StatusOK, pageMessage, view{Title: "You are signed out", Data: message{Text: "You can close this page.",
		Link: &link{c.at + "/signin", "Sign in again"}}})
}

// askHostLogout is GET /.gatehouse/logout on a protected host.
func (p *Pages) askHostLogout(c *call) error {
	s := c.session()
	if s == nil {
		return c.signedOutOf()
	}
	return c.show(http.StatusOK, pageLogout, view{Title: "Sign out", Data: logoutPage{Of: c.v.Name, User: s.Person.User, Action: "/.gatehouse/logout",
		Meaning: "This ends your session on " + c.v.Name + " in this browser."}})
}

// hostLogout is POST /.gatehouse/logout: it ends the session on this host. The
// one on the sign-in host stays; the page that follows says so.
func (p *Pages) hostLogout(c *call) error {
	if s := c.session(); s != nil {
		if err := c.close(s); err != nil {
			return err
		}
	}
	redirect(c.w, c.v.Origin+"/.gatehouse/logout")
	return nil
}

func (c *call) signedOutOf() error {
	return c.show(http.StatusOK, pageMessage, view{Title: "You are signed out of " + c.v.Name, Data: message{
		Text: "You may still be signed in at the sign-in host, which would let you in here again without asking.",
		Link: &link{withQuery(c.pagesOrigin()+c.at+"/logout", url.Values{}.Encode()), "Sign out everywhere"}}})
}
