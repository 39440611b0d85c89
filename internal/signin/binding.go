package signin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// Binding ties a name that some list holds, a GitHub login or the address of
// somebody at the OpenID provider, to the account that first signed in under it.
// Names and addresses change hands; lists mean people.
type Binding struct {
	Login   string    `json:"login"`   // as the provider spelled it then: "octocat", "oidc:alice@example.com"
	Subject string    `json:"subject"` // "github:583231", "oidc:id.example.com#7c9e"
	At      time.Time `json:"at"`
}

// Bindings are all bound names in their order.
func (p *Pages) Bindings(ctx context.Context) ([]Binding, error) {
	rows, err := p.bound.All(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Binding, len(rows))
	for i, row := range rows {
		all[i] = row.Value
	}
	return all, nil
}

// Release lets the next account that signs in under login have it; NotFound
// when the login is not bound. The caller writes the audit entry: it knows who asked.
func (p *Pages) Release(ctx context.Context, login string) error {
	return p.bound.Delete(ctx, strings.ToLower(login))
}

// bind checks that a person may carry their name, and binds it when a list
// holds it and nobody has it yet. A name that is the subject itself can't change
// hands.
func (c *call) bind(ctx context.Context, person oauth.Person) error {
	if person.User == person.Subject {
		return nil
	}
	name := strings.ToLower(person.User)
	row, err := c.bound.Get(ctx, name)
	if fault.Is(err, fault.NotFound) {
		if !c.listed(person.User) {
			return nil
		}
		err = c.bindFirst(ctx, name, person)
		if !fault.Is(err, fault.Exists) {
			return err
		}
		row, err = c.bound.Get(ctx, name) // somebody was faster
	}
	if err != nil {
		return err
	}
	if row.Value.Subject == person.Subject {
		return nil
	}
	return changedHands(person)
}

// changedHandsReason stands in the log.
const changedHandsReason = "login_changed_hands"

func changedHands(person oauth.Person) error {
	text := "Another GitHub account signed in here as " + person.User + " before, and GitHub names can change hands. If it is you, ask an administrator to release the name."
	if person.Provider == oidc {
		text = "Another account signed in here as " + person.User + " before, and addresses can change hands. If it is you, ask an administrator to release the name."
	}
	return &trouble{status: http.StatusForbidden, reason: changedHandsReason, title: "This name belongs to somebody else here", text: text, again: true}
}

// stillTheirs reports Denied when the name of a person who signed in long ago
// belongs to another account meanwhile.
func (p *Pages) stillTheirs(ctx context.Context, person oauth.Person) error {
	if person.Provider == local {
		return nil
	}
	row, err := p.bound.Get(ctx, strings.ToLower(person.User))
	switch {
	case fault.Is(err, fault.NotFound), err == nil && row.Value.Subject == person.Subject:
		return nil
	case err != nil:
		return err
	}
	return fault.Wrap(fault.Denied, changedHands(person), "the name %s belongs to another account now: sign in again", person.User)
}

func (c *call) bindFirst(ctx context.Context, name string, person oauth.Person) error {
	if err := c.endOthers(ctx, person); err != nil {
		return err
	}
	b := Binding{Login: person.User, Subject: person.Subject, At: time.Now()}
	if _, err := c.bound.Create(ctx, name, b, 0); err != nil {
		return err
	}
	c.note(ctx, journal.Entry{Kind: journal.Audit, Action: "bind_" + person.Provider + "_login", Door: "browser", User: person.User, Object: person.User,
		After: person.Subject, Message: "the name " + person.User + " now means the account " + person.Subject})
	return nil
}

// endOthers ends what other accounts began under a name before it was bound: they
// may have given it up, and lists mean its new owner.
func (c *call) endOthers(ctx context.Context, person oauth.Person) error {
	other := func(p oauth.Person) bool {
		return strings.EqualFold(p.User, person.User) && p.Subject != person.Subject
	}
	sessions, err := c.oauth.Sessions(ctx, "")
	if err != nil {
		return err
	}
	grants, err := c.oauth.Grants(ctx, "")
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if other(s.Person) {
			err = errors.Join(err, c.oauth.EndSession(ctx, s.ID))
		}
	}
	for _, g := range grants {
		if other(g.Person) {
			err = errors.Join(err, c.oauth.EndGrant(ctx, g.ID))
		}
	}
	return err
}

// listed reports whether some list names login: the default ones, or those of
// any host or route.
func (c *call) listed(login string) bool {
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(n string) bool { return strings.EqualFold(n, login) })
	}
	if in(c.opt.Lists) {
		return true
	}
	return slices.ContainsFunc(c.opt.World().Hosts(), func(h *site.Host) bool {
		p := &h.Proxy
		return in(p.AuthRequiredUsers) || in(p.OAuthAdminUsers) || in(p.OAuthUserUsers) || in(p.OAuthMCPUsers) ||
			slices.ContainsFunc(h.Routes(), func(r site.Route) bool { return r.Auth != nil && in(r.Auth.AllowedUsers) })
	})
}
