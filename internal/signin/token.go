package signin

import (
	"context"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// The provider's token of each person, sealed, to read address and groups again
// when a program refreshes its own tokens long after the sign-in.
const (
	prefixToken   = "signin:token:" // by hash of subject and app
	sealedToken   = "github token"
	tokenLifetime = 90 * 24 * time.Hour // as long as a refresh token lives unused
	recheckAfter  = time.Hour

	recheckPatience = 5 * time.Second // a program waits for its refresh meanwhile
)

func (p *Pages) sealToken(token string) []byte {
	return p.opt.Sealer.Seal(sealedToken, []byte(token))
}

func tokenName(subject, via string) string { return digest(subject + "\x00" + strings.ToLower(via)) }

// keepToken remembers the token of a sign-in. Without it the sign-in counts all
// the same; groups are then good for a day.
func (c *call) keepToken(ctx context.Context, person oauth.Person, via string) {
	if _, err := c.tokens.Put(ctx, tokenName(person.Subject, via), person.Token, tokenLifetime); err != nil {
		c.log.WarnContext(ctx, "the provider's token could not be kept", "error", err)
	}
}

// Recheck reads a person's address and groups again at their provider when what
// we know is older than an hour. Where that can't be done now (no token, the
// provider is away), what is known stays: its age tells for how long groups may
// count. Denied: the token belongs to somebody else now.
func (p *Pages) Recheck(ctx context.Context, person oauth.Person, _ *site.Host) (oauth.Person, error) {
	if person.Provider != github || time.Since(person.Checked) < recheckAfter {
		return person, nil
	}
	fresh, err := p.readAgain(ctx, person)
	switch {
	case fault.Is(err, fault.Unavailable) || ctx.Err() != nil:
		return person, err
	case err != nil:
		p.log.InfoContext(ctx, "a person's groups could not be read again", "user", person.User, "error", err)
		return person, nil
	case fresh.Subject != person.Subject:
		return person, fault.New(fault.Denied, "the provider's token belongs to another account now: sign in again")
	}
	person.Email, person.Groups, person.Checked = fresh.Email, fresh.Groups, fresh.Checked
	return person, nil
}

func (p *Pages) readAgain(ctx context.Context, person oauth.Person) (oauth.Person, error) {
	app, groups, err := p.appOf(person.Via)
	if err != nil {
		return person, err
	}
	row, err := p.tokens.Get(ctx, tokenName(person.Subject, person.Via))
	if err != nil {
		return person, err
	}
	token, err := p.opt.Sealer.Open(sealedToken, row.Value)
	if err != nil {
		return person, err
	}
	ctx, cancel := context.WithTimeout(ctx, recheckPatience)
	defer cancel()
	return githubAPI{app: app, client: p.opt.HTTP, token: string(token)}.person(ctx, groups)
}

// appOf is the app that a person signed in through, and the groups to ask for.
func (p *Pages) appOf(via string) (GitHubApp, []string, error) {
	world := p.opt.World()
	if via == "" {
		return p.opt.GitHub, groupsOf(world.Hosts()...), nil
	}
	host := world.Find(via)
	if host == nil || host.Proxy.GitHubClientID == "" {
		return GitHubApp{}, nil, fault.New(fault.NotFound, "the proxy %q has no GitHub app any more", via)
	}
	return p.opt.GitHub, groupsOf(host), nil
}
