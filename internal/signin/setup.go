package signin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/page"
	"gatehouse/internal/principal"
	"gatehouse/internal/store"
)

// setupLink is the one link that creates the first administrator. There is one
// at a time: a restart makes a new one in its place.
type setupLink struct {
	Hash string    `json:"hash"` // SHA-256
	At   time.Time `json:"at"`
}

const setupName = "link" // under prefixSetup

// EnsureSetupLink makes the setup link when nobody could sign in otherwise: no
// GitHub app and no OpenID provider in the environment, no local account. The answer is its path with
// query on the sign-in host, to be shown to whoever started the program and to
// nobody else; empty when none is needed. It works once, for thirty minutes; a
// link from before stops working.
func (p *Pages) EnsureSetupLink(ctx context.Context) (path string, err error) {
	needed, err := p.setupNeeded(ctx)
	if err != nil {
		return "", err
	}
	if !needed {
		if err := p.links.Delete(ctx, setupName); err != nil && !fault.Is(err, fault.NotFound) {
			return "", err
		}
		return "", nil
	}
	value := secret()
	if _, err := p.links.Put(ctx, setupName, setupLink{digest(value), time.Now()}, setupLifetime); err != nil {
		return "", err
	}
	return "/setup?" + url.Values{"setup": {value}}.Encode(), nil
}

func (p *Pages) setupNeeded(ctx context.Context) (bool, error) {
	if p.opt.GitHub.Configured() || p.oidc != nil {
		return false, nil
	}
	users, err := p.oauth.Users(ctx)
	return len(users) == 0, err
}

type setupPage struct {
	Link    string
	Name    string
	Problem string
	Least   int
}

// setup is GET /setup: the form. It spends nothing: mail scanners and link
// previews open addresses too.
func (p *Pages) setup(c *call) error {
	value := c.asked("setup")
	if _, err := c.setupLink(value); err != nil {
		return err
	}
	return c.showSetup(http.StatusOK, setupPage{Link: value})
}

func (c *call) showSetup(status int, body setupPage) error {
	body.Least = MinPassword
	return c.show(status, pageSetup, view{Title: "Set up", Data: body})
}

// setupLink checks the link and answers the version that was read, so that of
// two at once only one is spent.
func (c *call) setupLink(value string) (version int64, err error) {
	used := &trouble{status: http.StatusGone, reason: "setup_used", title: "This setup link no longer works",
		text: "It works once and for thirty minutes. If there is no administrator yet, start Gatehouse again: it prints a new link. If there is one, sign in.", again: true}
	row, err := c.links.Get(c.ctx(), setupName)
	if fault.Is(err, fault.NotFound) {
		return 0, used
	}
	if err != nil {
		return 0, err
	}
	if value == "" || !same(row.Value.Hash, digest(value)) {
		return 0, used
	}
	return row.Version, nil
}

// createFirst is POST /setup: it spends the link and creates the administrator.
func (p *Pages) createFirst(c *call) error {
	value, name, password := c.value("setup"), oauth.UserName(c.value("name")), c.value("password")
	version, err := c.setupLink(value)
	if err != nil {
		return err
	}
	again := func(problem string) error {
		return c.showSetup(http.StatusUnprocessableEntity, setupPage{Link: value, Name: clip(name), Problem: problem})
	}
	if password != c.value("again") {
		return again("The two passwords differ. Type them again.")
	}
	hash, err := c.hasher.Hash(c.ctx(), name, password)
	u := oauth.User{Name: name, Hash: hash, Scopes: []string{principal.ScopeAdmin, principal.ScopeUser, principal.ScopeMCP}}
	if err == nil {
		err = oauth.CheckUser(&u)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.Invalid {
		return again(page.Sentence(f.Message()))
	}
	if err != nil {
		return err
	}
	return c.spendSetup(version, u)
}

func (c *call) spendSetup(version int64, u oauth.User) error {
	needed, err := c.setupNeeded(c.ctx())
	if err != nil {
		return err
	}
	_, err = c.opt.KV.Commit(c.ctx(), store.Write{Key: c.links.Key(setupName), Delete: true, If: version})
	if fault.Is(err, fault.Conflict) || (err == nil && !needed) {
		_, err = c.setupLink("")
	}
	if err != nil {
		return err
	}
	if err := c.oauth.CreateUser(c.ctx(), u); err != nil {
		return err
	}
	c.note(c.ctx(), journal.Entry{Kind: journal.Audit, Action: "create_user", Door: "browser", User: oauth.LocalUser + u.Name, Object: oauth.LocalUser + u.Name,
		Message: "the first administrator was created by the setup link"})
	redirect(c.w, c.at+"/signin?created=1")
	return nil
}
