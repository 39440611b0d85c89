package control

import (
	"context"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// RevokeToken is the argument of revoke_token.
type RevokeToken struct {
	ID   string `json:"id" required:"true" jsonschema:"what to end, by kind: a grant; the jti of an access token; a client_id; a person's name or subject; a session; a hostname"`
	Kind string `json:"kind,omitempty" jsonschema:"grant (the default), token, client, user, session or proxy; of the last four all that exists by now ends, and whoever may begins anew"`
}

// RevokeToken ends a grant with all its tokens, one access token, or all that a
// client, a person, a session or a host has: at once, on every node within two
// seconds, open streams included.
func (c *Control) RevokeToken(ctx context.Context, in RevokeToken) (Done, error) {
	switch in.Kind {
	case "", oauth.RevokeGrant:
		g, err := c.deps.OAuth.Grant(ctx, in.ID)
		if err != nil {
			return Done{}, err
		}
		noted(ctx, "grant:"+in.ID, grantView(g), nil)
		return Done{true}, c.deps.OAuth.EndGrant(ctx, in.ID)
	case oauth.RevokeToken:
		if len(in.ID) > 128 {
			return Done{}, fault.BadField("id", "is the jti of an access token")
		}
		return c.revoke(ctx, in.Kind, in.ID)
	case oauth.RevokeClient:
		if _, err := c.deps.OAuth.Client(ctx, in.ID); err != nil && in.ID != oauth.DeviceFlowClient && !c.granted(ctx, in.ID) {
			return Done{}, err
		}
		return c.revoke(ctx, in.Kind, in.ID)
	case oauth.RevokeUser:
		return c.revokeUser(ctx, in.ID)
	case oauth.RevokeSession:
		return c.EndSession(ctx, SessionName{ID: in.ID})
	case oauth.RevokeProxy:
		return c.revokeProxy(ctx, normal(in.ID))
	}
	return Done{}, fault.BadField("kind", "is grant, token, client, user, session or proxy")
}

func (c *Control) revoke(ctx context.Context, kind, id string) (Done, error) {
	noted(ctx, kind+":"+id, nil, nil)
	return Done{true}, c.deps.OAuth.Revoke(ctx, kind, id)
}

// granted reports whether a client that has no record here has a grant.
func (c *Control) granted(ctx context.Context, client string) bool {
	grants, err := c.deps.OAuth.Grants(ctx, "")
	for _, g := range grants {
		if g.ClientID == client {
			return true
		}
	}
	return err != nil // then the revocation tells what is wrong
}

// revokeUser ends what a person has. Lists and people say names, tokens subjects;
// one name can stand for several, when an account changed hands.
func (c *Control) revokeUser(ctx context.Context, name string) (Done, error) {
	subjects, err := c.subjectsOf(ctx, name)
	if err != nil {
		return Done{}, err
	}
	noted(ctx, "user:"+name, subjects, nil)
	for _, subject := range subjects {
		if err := c.deps.OAuth.Revoke(ctx, oauth.RevokeUser, subject); err != nil {
			return Done{}, err
		}
	}
	return Done{true}, nil
}

func (c *Control) subjectsOf(ctx context.Context, name string) ([]string, error) {
	grants, err := c.deps.OAuth.Grants(ctx, "")
	if err != nil {
		return nil, err
	}
	sessions, err := c.deps.OAuth.Sessions(ctx, "")
	if err != nil {
		return nil, err
	}
	people := make([]oauth.Person, 0, len(grants)+len(sessions))
	for i := range grants {
		people = append(people, grants[i].Person)
	}
	for i := range sessions {
		people = append(people, sessions[i].Person)
	}
	found, seen := []string{}, map[string]bool{}
	for _, p := range people {
		if (strings.EqualFold(p.User, name) || strings.EqualFold(p.Subject, name)) && !seen[p.Subject] {
			seen[p.Subject] = true
			found = append(found, p.Subject)
		}
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "nobody called %q has a grant or a session here", name)
	}
	return found, nil
}

func (c *Control) revokeProxy(ctx context.Context, name string) (Done, error) {
	if _, err := c.proxies.Get(ctx, name); err != nil {
		if host := c.world().Find(name); host == nil || !strings.HasPrefix(host.Proxy.Hostname, site.Wildcard) {
			return Done{}, err
		}
	}
	return c.revoke(ctx, oauth.RevokeProxy, name)
}
