package signin

import (
	"net/http"
	"net/url"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
)

// once is a sign-in through a proxy's own app. It counts for that proxy alone:
// it opens no session here, it only answers the one request it was made for.
type once struct {
	Person  oauth.Person `json:"person"`
	Request string       `json:"request"` // digest of the request's handle
}

// signedInOnce brings a person with such a sign-in to where their errand leads.
func (c *call) signedInOnce(e errand, person oauth.Person) error {
	c.note(c.ctx(), journal.Entry{Kind: journal.OAuth, Action: "signin", User: person.User, AuthResult: "allowed", AuthType: person.Provider, Object: person.Via,
		Message: "through the proxy's own app"})
	if c.at != "" && e.start == nil && e.pending == nil { // the pages stand on the proxy itself: its session is what counts for it alone
		return c.signedIn(e, person)
	}
	switch {
	case e.start != nil:
		return c.handOver(e, person, "")
	case e.pending != nil:
		value := secret()
		if _, err := c.onces.Create(c.ctx(), digest(value), once{person, digest(e.handle)}, tripLifetime); err != nil {
			return err
		}
		setCookie(c.w, c.v, cookieOnce, value, tripLifetime)
		redirect(c.w, c.at+"/consent?"+url.Values{fieldRequest: {e.handle}}.Encode())
		return nil
	}
	return &trouble{status: http.StatusBadRequest, reason: "no_errand", title: "This sign-in is for another host", text: "Open that host and sign in from there."}
}

// onceFor is the person who signed in for this request alone; nil when nobody did.
func (c *call) onceFor(handle string) (*oauth.Person, error) {
	cookie := cookieOf(c.v, c.r, cookieOnce)
	if cookie == "" || handle == "" {
		return nil, nil
	}
	row, err := c.onces.Get(c.ctx(), digest(cookie))
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !same(row.Value.Request, digest(handle)) {
		return nil, nil
	}
	return &row.Value.Person, nil
}

// endOnce forgets a sign-in for one request: it was answered, or somebody else
// wants to answer it.
func (c *call) endOnce() {
	cookie := cookieOf(c.v, c.r, cookieOnce)
	if cookie == "" {
		return
	}
	dropCookie(c.w, c.v, cookieOnce)
	if _, err := c.onces.Take(c.ctx(), digest(cookie)); err != nil && !fault.Is(err, fault.NotFound) {
		c.log.WarnContext(c.ctx(), "a sign-in for one request could not be removed", "error", err)
	}
}
