package signin

import (
	"context"
	"errors"
	"net/url"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
)

// errWrongPassword stands for a name that does not exist, too: nobody learns
// which names do.
var errWrongPassword = errors.New("name or password is not right")

// localProvider signs people in by a password that is kept here.
type localProvider struct {
	users  userFinder
	hasher *Hasher
	brake  *brake
}

// userFinder finds local accounts; NotFound where there is none. RehashPassword
// stores the same password anew.
type userFinder interface {
	User(ctx context.Context, name string) (oauth.User, error)
	RehashPassword(ctx context.Context, name, old, hash string) error
}

// Finish compares name and password. It takes as long for a name that does not
// exist, and longer after wrong tries.
func (l localProvider) Finish(ctx context.Context, _ attempt, form url.Values) (oauth.Person, error) {
	name := oauth.UserName(only(form, "name"))
	if err := l.brake.wait(ctx, name); err != nil {
		return oauth.Person{}, err
	}
	user, err := l.users.User(ctx, name)
	if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) {
		return oauth.Person{}, err
	}
	right, err := l.hasher.Verify(ctx, user.Hash, only(form, "password"))
	if err != nil {
		return oauth.Person{}, err
	}
	l.brake.note(name, right)
	if !right {
		return oauth.Person{}, errWrongPassword
	}
	l.renew(ctx, user, only(form, "password"))
	return oauth.LocalPerson(user, time.Now()), nil
}

// renew hashes a password again that was hashed at another cost: only now is it
// at hand. What fails here is tried again at the next sign-in.
func (l localProvider) renew(ctx context.Context, user oauth.User, password string) {
	if !l.hasher.outdated(user.Hash) {
		return
	}
	if hash, err := l.hasher.again(ctx, password); err == nil {
		_ = l.users.RehashPassword(ctx, user.Name, user.Hash, hash)
	}
}
