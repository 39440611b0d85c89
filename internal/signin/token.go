package signin

import (
	"context"
	"errors"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// The provider's token of each person, sealed, to read address and groups again
// when a program refreshes its own tokens long after the sign-in.
const (
	prefixToken   = "signin:token:"     // by hash of subject and app
	tokenLifetime = 90 * 24 * time.Hour // as long as a refresh token lives unused
	recheckAfter  = time.Hour

	recheckPatience = 5 * time.Second // a program waits for its refresh meanwhile
)

func sealedToken(provider string) string { return provider + " token" }

func (p *Pages) sealToken(provider string, token []byte) []byte {
	return p.opt.Sealer.Seal(sealedToken(provider), token)
}

func tokenName(subject, via string) string { return digest(subject + "\x00" + strings.ToLower(via)) }

// keepToken remembers the token of a sign-in. Without it the sign-in counts all
// the same; groups are then good for a day.
func (p *Pages) keepToken(ctx context.Context, person oauth.Person, sealed []byte) {
	if _, err := p.tokens.Put(ctx, tokenName(person.Subject, person.Via), sealed, tokenLifetime); err != nil {
		p.log.WarnContext(ctx, "the provider's token could not be kept", "error", err)
	}
}

// Recheck reads a person's name, address and groups again at their provider when
// what we know is older than an hour. Where that can't be done now (no token, the
// provider is away), what is known stays: its age tells for how long groups may
// count. Denied: the person's name or token belongs to somebody else now.
func (p *Pages) Recheck(ctx context.Context, person oauth.Person, _ *site.Host) (oauth.Person, error) {
	if person.Provider != local && p.now().Sub(person.Checked) >= recheckAfter {
		fresh, err := p.askAgain(ctx, person)
		if err != nil {
			return person, err
		}
		person = fresh
	}
	return person, p.stillTheirs(ctx, person)
}

// asOf is person as they have to be known where a host has rules about groups.
func (c *call) asOf(person oauth.Person, host *site.Host) (oauth.Person, error) {
	if host == nil || len(groupsOf(host)) == 0 {
		return person, nil
	}
	return c.Recheck(c.ctx(), person, host)
}

// askAgain is person as the provider describes them now, or as they were where
// it can't be asked.
func (p *Pages) askAgain(ctx context.Context, person oauth.Person) (oauth.Person, error) {
	shared, err, _ := p.asking.Do(tokenName(person.Subject, person.Via), func() (any, error) { // a provider's refresh token counts once
		return p.readAgain(context.WithoutCancel(ctx), person)
	})
	fresh, _ := shared.(oauth.Person)
	switch {
	case fault.Is(err, fault.Unavailable) || ctx.Err() != nil:
		return person, errors.Join(err, ctx.Err())
	case err != nil:
		p.log.InfoContext(ctx, "a person could not be read again at their provider", "user", person.User, "provider", person.Provider, "error", err)
		return person, nil
	case fresh.Subject != person.Subject:
		return person, fault.New(fault.Denied, "the provider's token belongs to another account now: sign in again")
	}
	person.User, person.Email, person.Name = fresh.User, fresh.Email, fresh.Name
	if !fresh.Checked.IsZero() || len(person.Groups) == 0 { // else nothing was said of groups: those from before grow old
		person.Groups, person.Checked = fresh.Groups, p.now()
	}
	return person, nil
}

func (p *Pages) readAgain(ctx context.Context, person oauth.Person) (oauth.Person, error) {
	w, err := p.wayOf(person)
	if err != nil {
		return person, err
	}
	if err := p.quiet.of(w.name+" "+w.via, p.now()); err != nil {
		return person, err
	}
	name := tokenName(person.Subject, person.Via)
	row, err := p.tokens.Get(ctx, name)
	if err != nil {
		return person, err
	}
	token, err := p.opt.Sealer.Open(sealedToken(w.name), row.Value)
	if err != nil {
		return person, err
	}
	ctx, cancel := context.WithTimeout(ctx, recheckPatience)
	defer cancel()
	fresh, next, err := w.Again(ctx, token, w.groups)
	if next != nil {
		p.keepToken(context.WithoutCancel(ctx), person, p.sealToken(w.name, next))
	}
	p.quiet.note(w.name+" "+w.via, err, p.now())
	if errors.Is(err, errTokenRefused) { // it will never be good again: nobody is asked with it any more
		if _, gone := p.opt.KV.Commit(ctx, store.Write{Key: p.tokens.Key(name), Delete: true, If: row.Version}); gone != nil && !fault.Is(gone, fault.Conflict) {
			p.log.WarnContext(ctx, "a provider's token could not be removed", "error", gone)
		}
	}
	return fresh, err
}

// wayOf is the way that a person came in by.
func (p *Pages) wayOf(person oauth.Person) (way, error) {
	var w way
	ok := false
	switch person.Provider {
	case oidc:
		w, ok = p.oidcWay()
	case github:
		if host := p.opt.World().Find(person.Via); person.Via == "" || (host != nil && host.Proxy.GitHubClientID != "") {
			w, ok = p.githubFor(host)
		}
	}
	if !ok {
		return way{}, fault.New(fault.NotFound, "the way in by %s through %q is not set up any more", person.Provider, person.Via)
	}
	return w, nil
}
