package oauth

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/principal"
)

// LocalUser begins the name under which lists hold a local account.
const LocalUser = "local:"

// roll is what the gate needs to know of local accounts, in memory, by name.
type roll struct {
	accounts atomic.Pointer[map[string]standing]
}

type standing struct {
	scopes []string
	since  time.Time
}

// of is the standing of the account that user ("local:alice") names.
func (r *roll) of(user string) (st standing, local, ok bool) {
	name, local := strings.CutPrefix(user, LocalUser)
	if !local {
		return standing{}, false, false
	}
	all := r.accounts.Load()
	if all == nil {
		return standing{}, true, false
	}
	st, ok = (*all)[strings.ToLower(name)]
	return st, true, ok
}

// scopes are what a local account carries; nil for everybody else.
func (r *roll) scopes(user string) []string {
	st, _, _ := r.of(user)
	return st.scopes
}

// counts reports whether what user proved at the time given still counts: a
// local account must exist and not have changed its password since.
func (r *roll) counts(user string, made time.Time) bool {
	st, local, ok := r.of(user)
	return !local || (ok && !made.Before(st.since))
}

// set puts or, with nil, removes one account.
func (r *roll) set(name string, st *standing) {
	next := map[string]standing{}
	if all := r.accounts.Load(); all != nil {
		maps.Copy(next, *all)
	}
	if st == nil {
		delete(next, name)
	} else {
		next[name] = *st
	}
	r.accounts.Store(&next)
}

func standingOf(u *User) standing { return standing{slices.Clone(u.Scopes), u.Since} }

// loadUsers reads all local accounts into memory.
func (s *Server) loadUsers(ctx context.Context) error {
	rows, err := s.accounts.All(ctx)
	if err != nil {
		return err
	}
	all := make(map[string]standing, len(rows))
	for _, row := range rows {
		all[row.Name] = standingOf(&row.Value)
	}
	s.saving.Lock()
	s.users.accounts.Store(&all)
	s.saving.Unlock()
	s.change.Add(1)
	return nil
}

func (s *Server) readUser(ctx context.Context, name string) error {
	row, err := s.accounts.Get(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound):
		s.noteUser(name, nil)
		return nil
	case err != nil:
		return err
	}
	s.noteUser(name, &row.Value)
	return nil
}

func (s *Server) noteUser(name string, u *User) {
	s.saving.Lock()
	defer s.saving.Unlock()
	if u == nil {
		s.users.set(name, nil)
	} else {
		st := standingOf(u)
		s.users.set(name, &st)
	}
	s.change.Add(1)
}

// knowUser makes sure that an account which another node has just made is known
// here too, before something is issued to it.
func (s *Server) knowUser(ctx context.Context, user string) error {
	if _, local, ok := s.users.of(user); !local || ok {
		return nil
	}
	return s.readUser(ctx, UserName(strings.TrimPrefix(user, LocalUser)))
}

var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// UserName is the form in which an account's name is stored: names differ in
// more than case.
func UserName(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// CheckUser reports which rules an account breaks.
func CheckUser(u *User) error {
	var rules fault.Rules
	if !userName.MatchString(u.Name) {
		rules.Add("name", "must be 1 to 63 of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit")
	}
	if u.Hash == "" {
		rules.Add("password", "must be given")
	}
	for _, scope := range u.Scopes {
		if !slices.Contains(ownScopes, scope) {
			rules.Add("scopes", "%q is none of %s", scope, strings.Join(ownScopes, ", "))
		}
	}
	return rules.Err()
}

// Users are all local accounts in name order.
func (s *Server) Users(ctx context.Context) ([]User, error) {
	return values(s.accounts.All(ctx))
}

// User is one local account; NotFound when there is none.
func (s *Server) User(ctx context.Context, name string) (User, error) {
	row, err := s.accounts.Get(ctx, UserName(name))
	return row.Value, err
}

// CreateUser adds a local account; u.Hash is its password's. Since and
// CreatedAt are set here.
func (s *Server) CreateUser(ctx context.Context, u User) error {
	u.Name = UserName(u.Name)
	if err := CheckUser(&u); err != nil {
		return err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	u.Since, u.CreatedAt = now.Truncate(time.Millisecond), now
	if _, err := s.accounts.Create(ctx, u.Name, u, 0); err != nil {
		return err
	}
	s.noteUser(u.Name, &u)
	return nil
}

// UpdateUser changes a local account by the function given. When the password's
// hash changes, all sessions, grants and tokens of the account end.
func (s *Server) UpdateUser(ctx context.Context, name string, change func(*User) error) (User, error) {
	name = UserName(name)
	for range retries {
		row, err := s.accounts.Get(ctx, name)
		if err != nil {
			return User{}, err
		}
		u := row.Value
		if err := change(&u); err != nil {
			return User{}, err
		}
		u.Name = name
		if err := CheckUser(&u); err != nil {
			return User{}, err
		}
		passwordChanged := u.Hash != row.Value.Hash
		if passwordChanged {
			now, err := s.kv.Now(ctx)
			if err != nil {
				return User{}, err
			}
			u.Since = now.Truncate(time.Millisecond)
		}
		_, err = s.accounts.Update(ctx, name, u, row.Version, 0)
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return User{}, err
		}
		s.noteUser(name, &u)
		if passwordChanged {
			err = s.Revoke(ctx, RevokeUser, LocalUser+name)
		}
		return u, err
	}
	return User{}, errBusy
}

// RehashPassword stores the same password under new parameters; nothing ends.
func (s *Server) RehashPassword(ctx context.Context, name, old, hash string) error {
	name = UserName(name)
	row, err := s.accounts.Get(ctx, name)
	if err != nil || row.Value.Hash != old {
		return err
	}
	row.Value.Hash = hash
	_, err = s.accounts.Update(ctx, name, row.Value, row.Version, 0)
	return err
}

// DeleteUser removes a local account and ends all its sessions, grants and tokens.
func (s *Server) DeleteUser(ctx context.Context, name string) error {
	name = UserName(name)
	if err := s.accounts.Delete(ctx, name); err != nil {
		return err
	}
	s.noteUser(name, nil)
	return s.Revoke(ctx, RevokeUser, LocalUser+name)
}

// LocalPerson is the person behind a local account that has just proved itself.
// Its e-mail address is what an administrator set, who vouches for it.
func LocalPerson(u User, now time.Time) Person {
	return Person{Subject: LocalUser + u.Name, User: LocalUser + u.Name, Email: u.Email, Name: u.Name, Provider: principal.Local, AuthTime: now, Checked: now}
}
