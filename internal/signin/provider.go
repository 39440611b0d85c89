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
)

// attempt is one try of one person to prove who they are.
type attempt struct {
	State    string     // 256 bits; what comes back must name it
	Verifier string     // PKCE (RFC 7636); 256 bits
	Callback string     // where the provider sends the browser back to
	Groups   []string   // the organizations and teams that a policy names; none: they are not asked for
	From     netip.Addr // the client's address
}

// provider is one way to prove who somebody is.
type provider interface {
	// Begin is where the browser goes to prove it; empty when the form on our
	// own page carries the proof.
	Begin(a attempt) string

	// Finish judges what came back: the callback's query, or the form. An error
	// is a trouble, which says to the person what to do; or a fault.
	Finish(ctx context.Context, a attempt, answer url.Values) (oauth.Person, error)
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
