package control

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// allow is nil when the caller in ctx may run o. It is the one place where
// scopes over Gatehouse are asked for.
func (c *Control) allow(ctx context.Context, o *Operation) error {
	if o.Scope == Public {
		return nil
	}
	if err := c.Allow(ctx, o.Scope); err != nil {
		return err
	}
	if p := principal.From(ctx); o.Secret && p.AuthType != principal.Local && c.now().Sub(p.AuthTime) > freshness {
		return fault.New(fault.Denied, "this answers a secret and needs a sign-in of the last %d minutes: sign out and in again in the browser, then here; "+
			"or use --local on the machine itself", int(freshness/time.Minute))
	}
	return nil
}

// freshness is how long ago a person may have proved who they are to be answered
// a secret.
const freshness = 10 * time.Minute

// Allow is nil when the caller in ctx holds scope over Gatehouse itself; for
// what is no operation, such as streams. Unauthenticated: nobody is signed in.
// Denied: the token or session is for another resource, or lacks the scope.
func (c *Control) Allow(ctx context.Context, scope Scope) error {
	p := principal.From(ctx)
	switch {
	case p == nil:
		return fault.New(fault.Unauthenticated, "sign in first: this needs a token or a session with the scope %s", scope)
	case !c.ours(ctx, p):
		return fault.New(fault.Denied, "the token is for %s, not for the API of Gatehouse", p.Resource)
	case !p.Has(string(scope)):
		return &fault.Error{Kind: fault.Denied, Scope: string(scope), Public: fmt.Sprintf("this needs the scope %s", scope)}
	}
	return nil
}

// ours reports whether p's token or session is for the API's own resource, that
// of localhost or the sign-in host, or for the host of this very request where it
// goes to our MCP server: the gate has then cut its scopes to what the lists for
// Gatehouse give. A token of any other host says nothing about Gatehouse,
// whatever scopes it holds there.
func (c *Control) ours(ctx context.Context, p *principal.Principal) bool {
	if p.AuthType == principal.Local {
		return true
	}
	if host, _, ok := c.world().Resource(p.Resource); ok && host.Role != site.Ordinary {
		return true
	}
	v := site.VisitFrom(ctx)
	return v != nil && v.Host != nil && v.Target() == site.InternalMCP && p.Resource == v.Resource()
}

// admin reports whether the caller in ctx holds admin over Gatehouse: whoever
// does not sees names, status and what is their own.
func (c *Control) admin(ctx context.Context) bool { return c.Allow(ctx, Admin) == nil }

// mayRead reports whether the caller in ctx may see what `user` may.
func (c *Control) mayRead(ctx context.Context) bool { return c.Allow(ctx, User) == nil }
