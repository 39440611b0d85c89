package control

import (
	"context"
	"strings"

	"gatehouse/internal/signin"
)

// Logins are the GitHub logins, and the names at the OpenID provider, that lists
// hold, each bound to the account that signed in under it first; package signin
// has them.
type Logins interface {
	Bindings(ctx context.Context) ([]signin.Binding, error)
	Release(ctx context.Context, login string) error
}

// LoginName is the argument of what concerns one bound login.
type LoginName struct {
	Login string `json:"login" required:"true" jsonschema:"the login at GitHub, or the name at the OpenID provider: oidc:alice@example.com"`
}

// ListLogins answers the bound logins in name order.
func (c *Control) ListLogins(ctx context.Context, in Paging) (Page[signin.Binding], error) {
	all, err := c.deps.Logins.Bindings(ctx)
	if err != nil {
		return Page[signin.Binding]{}, err
	}
	return pageOf(in, all, func(b signin.Binding) string { return strings.ToLower(b.Login) })
}

// ReleaseLogin lets the next account that signs in under a login have it, and
// with it what the lists give to that name.
func (c *Control) ReleaseLogin(ctx context.Context, in LoginName) (Done, error) {
	if err := c.deps.Logins.Release(ctx, in.Login); err != nil {
		return Done{}, err
	}
	return Done{true}, nil
}
