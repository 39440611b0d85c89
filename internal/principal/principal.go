// Package principal says who is asking: the person or client behind a request,
// what they may do, and how they proved it. It holds no policy: who is let in
// where is decided by the gate in package oauth.
package principal

import (
	"context"
	"slices"
	"time"
)

// The scopes over Gatehouse itself. A proxy may define more for its own resource.
const (
	ScopeAdmin = "admin" // change
	ScopeUser  = "user"  // read
	ScopeMCP   = "mcp"   // use MCP endpoints
)

// How a principal proved itself: the values of Principal.AuthType.
const (
	Bearer  = "bearer"  // an access token
	Session = "session" // a browser session's cookie
	Local   = "local"   // the machine's administrator, by the key in DATA_DIR
)

// Principal is one authenticated caller. It is immutable once it is in a context.
type Principal struct {
	Subject  string   // stable identity: "github:583231", "local:alice", "client:ID"
	User     string   // the name that lists hold: "octocat", "local:alice", "client:ID"
	Email    string   // verified address, or empty
	Name     string   // display name, or empty
	Groups   []string // "org", "org/team" or the OIDC groups claim; only those a policy names
	Scopes   []string // after they were cut to what the lists give now
	ClientID string   // OAuth client; empty for browser sessions and Local

	AuthType  string    // Bearer, Session or Local
	Resource  string    // what the token or session is for (RFC 8707), without a trailing slash
	Issuer    string    // the token's issuer; empty for sessions
	TokenID   string    // jti
	GrantID   string    // what a revocation of the grant ends
	SessionID string    // what a revocation of the session ends
	ParentID  string    // the session on the sign-in host that SessionID hangs on; ends with it
	IssuedAt  time.Time // of the token or session
	Expires   time.Time // of the token or session
	AuthTime  time.Time // when the person last signed in

	KeyID      string   // that signed the token
	FromTokens []string // jti of the tokens that this one was exchanged for; it ends with each of them
}

// Has reports whether p holds scope; admin implies user and mcp.
func (p *Principal) Has(scope string) bool {
	if p == nil {
		return false
	}
	return Implied(p.Scopes, scope)
}

// Implied reports whether scopes hold scope, admin implying user and mcp.
func Implied(scopes []string, scope string) bool {
	if slices.Contains(scopes, scope) {
		return true
	}
	return (scope == ScopeUser || scope == ScopeMCP) && slices.Contains(scopes, ScopeAdmin)
}

type key struct{}

// With returns ctx carrying p.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, key{}, p)
}

// From is the principal in ctx; nil for an anonymous caller.
func From(ctx context.Context) *Principal {
	p, _ := ctx.Value(key{}).(*Principal)
	return p
}
