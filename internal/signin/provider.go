package signin

import (
	"context"
	"net/netip"
	"net/url"

	"gatehouse/internal/oauth"
)

// Names of the providers, the values of oauth.Person.Provider.
const (
	local  = "local"
	github = "github"
	oidc   = "oidc"
)

// attempt is one try of one person to prove who they are.
type attempt struct {
	State    string     // 256 bits; what comes back must name it
	Verifier string     // PKCE (RFC 7636); 256 bits
	Nonce    string     // what an id_token must repeat; 256 bits
	Callback string     // where the provider sends the browser back to
	Groups   []string   // the groups that a policy names; none: they are not asked for
	Fresh    bool       // the person wants another account than the one they are signed in with there
	From     netip.Addr // the client's address
}

// provider is one way to prove who somebody is. Finish judges what came back:
// the callback's query, or the form of our own page. An error is a trouble,
// which says to the person what to do; or a fault.
type provider interface {
	Finish(ctx context.Context, a attempt, answer url.Values) (oauth.Person, error)
}

// remote is a provider that the browser goes to.
type remote interface {
	provider

	// Begin is where the browser goes to prove it.
	Begin(ctx context.Context, a attempt) (location string, err error)

	// Again reads who somebody is now, with the token that their sign-in left,
	// and answers the token to keep for the next time. An error that wraps
	// errTokenRefused means that the token will never be good again.
	Again(ctx context.Context, token []byte, groups []string) (fresh oauth.Person, next []byte, err error)
}

// trouble is a failure as a person meets it: a page that says what happened and
// what to do. It is an error, so that it travels like one.
type trouble struct {
	status int
	reason string // for the log: "access_denied", "state_unknown"
	title  string // what happened, a few words
	text   string // what to do
	again  bool   // trying again may help: the page has a link for it
	back   string // where that link leads; empty: the sign-in page
	cause  error  // private; for the log
}

func (t *trouble) Error() string {
	if t.cause == nil {
		return t.reason
	}
	return t.reason + ": " + t.cause.Error()
}

func (t *trouble) Unwrap() error { return t.cause }
