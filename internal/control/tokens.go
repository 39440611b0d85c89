package control

import (
	"context"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/principal"
)

// TokenInfo is who the caller is to Gatehouse.
type TokenInfo struct {
	Subject  string     `json:"subject"`
	User     string     `json:"user"`
	Email    string     `json:"email,omitempty"`
	Name     string     `json:"name,omitempty"`
	Scopes   []string   `json:"scopes" jsonschema:"that count now"`
	ClientID string     `json:"client_id,omitempty"`
	AuthType string     `json:"auth_type" jsonschema:"bearer, session or local"`
	Resource string     `json:"resource,omitempty" jsonschema:"what the token or session is for"`
	Issuer   string     `json:"issuer,omitempty"`
	TokenID  string     `json:"token_id,omitempty"`
	GrantID  string     `json:"grant_id,omitempty"`
	Issued   *time.Time `json:"issued_at,omitempty"`
	Expires  *time.Time `json:"expires_at,omitempty"`
}

// TokenInfo answers who the caller is.
func (c *Control) TokenInfo(ctx context.Context, _ Nothing) (TokenInfo, error) {
	p := principal.From(ctx)
	return TokenInfo{Subject: p.Subject, User: p.User, Email: p.Email, Name: p.Name, Scopes: none(p.Scopes), ClientID: p.ClientID, AuthType: p.AuthType,
		Resource: p.Resource, Issuer: p.Issuer, TokenID: p.TokenID, GrantID: p.GrantID, Issued: moment(p.IssuedAt), Expires: moment(p.Expires)}, nil
}

// moment is t, nil when it is not set.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// GrantView is a person's or client's lasting permission: what its refresh
// tokens and access tokens hang on.
type GrantView struct {
	ID        string     `json:"id"`
	User      string     `json:"user"`
	Subject   string     `json:"subject"`
	ClientID  string     `json:"client_id"`
	Client    string     `json:"client_name,omitempty"`
	Issuer    string     `json:"issuer"`
	Resource  string     `json:"resource"`
	Scopes    []string   `json:"scopes"`
	CreatedAt time.Time  `json:"created_at"`
	LastUsed  *time.Time `json:"last_used,omitempty"`
	Branches  int        `json:"branches" jsonschema:"refresh tokens that could be used next"`

	BranchUses []time.Time `json:"branch_uses" jsonschema:"when each of them was given out, which is when the one before it was used"`
}

func grantView(g oauth.Grant) GrantView {
	uses := make([]time.Time, len(g.Branches))
	for i, b := range g.Branches {
		uses[i] = b.At.UTC()
	}
	return GrantView{BranchUses: uses, ID: g.ID, User: g.Person.User, Subject: g.Person.Subject, ClientID: g.ClientID, Client: g.Client, Issuer: g.Issuer, Resource: g.Resource,
		Scopes: none(g.Scopes), CreatedAt: g.CreatedAt, LastUsed: moment(g.LastUsed), Branches: len(g.Branches)}
}

// ListTokens answers the caller's own grants; for administrators all.
func (c *Control) ListTokens(ctx context.Context, in Paging) (Page[GrantView], error) {
	subject, err := c.ownSubject(ctx)
	if err != nil {
		return Page[GrantView]{}, err
	}
	return c.grants(ctx, in, subject, func(oauth.Grant) bool { return true })
}

// ownSubject is whose records the caller may list; empty: everybody's.
func (c *Control) ownSubject(ctx context.Context) (string, error) {
	if c.admin(ctx) {
		return "", nil
	}
	if subject := principal.From(ctx).Subject; subject != "" {
		return subject, nil
	}
	return "", fault.New(fault.Denied, "this token names nobody whose records could be shown")
}

func (c *Control) grants(ctx context.Context, in Paging, subject string, with func(oauth.Grant) bool) (Page[GrantView], error) {
	grants, err := c.deps.OAuth.Grants(ctx, subject)
	if err != nil {
		return Page[GrantView]{}, err
	}
	return viewsOf(in, grants, with, grantView, func(g GrantView) string { return g.ID })
}

// TokenName is the argument of what concerns one grant.
type TokenName struct {
	ID string `json:"id" required:"true" jsonschema:"the grant"`
}

// GetToken answers one grant.
func (c *Control) GetToken(ctx context.Context, in TokenName) (GrantView, error) {
	g, err := c.deps.OAuth.Grant(ctx, in.ID)
	if err != nil {
		return GrantView{}, err
	}
	return grantView(g), nil
}
