package control

import (
	"context"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
)

// Hasher makes the hash of a new password; package signin has it. Its error
// names the rule that a password breaks.
type Hasher interface {
	Hash(ctx context.Context, name, password string) (string, error)
}

// UserView is a local account, without its password.
type UserView struct {
	Name      string    `json:"name"`
	User      string    `json:"user" jsonschema:"the name that lists hold"`
	Scopes    []string  `json:"scopes" jsonschema:"what it may do with Gatehouse itself"`
	Email     string    `json:"email,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Since     time.Time `json:"password_since" jsonschema:"tokens and sessions from before do not count"`
}

func userView(u oauth.User) UserView {
	return UserView{Name: u.Name, User: oauth.LocalUser + u.Name, Scopes: none(u.Scopes), Email: u.Email, CreatedAt: u.CreatedAt, Since: u.Since}
}

// UserName is the argument of what concerns one local account.
type UserName struct {
	Name string `json:"name" required:"true" jsonschema:"the account"`
}

// CreateUser is the argument of create_user.
type CreateUser struct {
	Name     string   `json:"name" required:"true" jsonschema:"the account: a-z, 0-9, dot, underscore and hyphen"`
	Password string   `json:"password" required:"true" jsonschema:"its password; write-only"`
	Scopes   []string `json:"scopes,omitempty" jsonschema:"what it may do with Gatehouse itself: admin, user, mcp"`
	Email    string   `json:"email,omitempty" jsonschema:"e-mail address, or empty"`
}

// UpdateUser is the argument of update_user.
type UpdateUser struct {
	Name     string    `json:"name" required:"true" jsonschema:"the account"`
	Password string    `json:"password,omitempty" jsonschema:"a new password; ends all sessions and grants of the account"`
	Scopes   *[]string `json:"scopes,omitempty" jsonschema:"what it may do with Gatehouse itself: admin, user, mcp"`
	Email    *string   `json:"email,omitempty" jsonschema:"e-mail address; empty: none"`
}

// ListUsers answers the local accounts.
func (c *Control) ListUsers(ctx context.Context, in Paging) (Page[UserView], error) {
	users, err := c.deps.OAuth.Users(ctx)
	if err != nil {
		return Page[UserView]{}, err
	}
	return viewsOf(in, users, all, userView, func(v UserView) string { return v.Name })
}

// CreateUser makes a local account.
func (c *Control) CreateUser(ctx context.Context, in CreateUser) (UserView, error) {
	u := oauth.User{Name: oauth.UserName(in.Name), Scopes: none(in.Scopes), Email: in.Email, Hash: "checked first"}
	if err := oauth.CheckUser(&u); err != nil {
		return UserView{}, err
	}
	if err := checkEmail(in.Email); err != nil {
		return UserView{}, err
	}
	var err error
	if u.Hash, err = c.deps.Hasher.Hash(ctx, u.Name, in.Password); err != nil {
		return UserView{}, err
	}
	if err := c.deps.OAuth.CreateUser(ctx, u); err != nil {
		return UserView{}, err
	}
	made, err := c.deps.OAuth.User(ctx, u.Name)
	noted(ctx, "user:"+u.Name, nil, userView(made))
	return userView(made), err
}

// UpdateUser changes a local account.
func (c *Control) UpdateUser(ctx context.Context, in UpdateUser) (UserView, error) {
	before, err := c.deps.OAuth.User(ctx, in.Name)
	if err != nil {
		return UserView{}, err
	}
	var hash string
	if in.Password != "" {
		if hash, err = c.deps.Hasher.Hash(ctx, before.Name, in.Password); err != nil {
			return UserView{}, err
		}
	}
	if in.Email != nil {
		if err := checkEmail(*in.Email); err != nil {
			return UserView{}, err
		}
	}
	after, err := c.deps.OAuth.UpdateUser(ctx, before.Name, func(u *oauth.User) error {
		if hash != "" {
			u.Hash = hash
		}
		if in.Scopes != nil {
			u.Scopes = none(*in.Scopes)
		}
		if in.Email != nil {
			u.Email = *in.Email
		}
		return nil
	})
	if err != nil {
		return UserView{}, err
	}
	noted(ctx, "user:"+before.Name, userView(before), userView(after))
	return userView(after), nil
}

// DeleteUser removes a local account and ends all its sessions and grants.
func (c *Control) DeleteUser(ctx context.Context, in UserName) (Done, error) {
	u, err := c.deps.OAuth.User(ctx, in.Name)
	if err != nil {
		return Done{}, err
	}
	noted(ctx, "user:"+u.Name, userView(u), nil)
	return Done{true}, c.deps.OAuth.DeleteUser(ctx, u.Name)
}

func checkEmail(email string) error {
	if email == "" {
		return nil
	}
	local, domain, ok := strings.Cut(email, "@")
	if !ok || local == "" || domain == "" || len(email) > 254 || strings.ContainsAny(email, " \t\r\n") {
		return fault.BadField("email", "is an e-mail address")
	}
	return nil
}
