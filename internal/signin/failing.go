package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// What providers do wrong, as people read it. Each takes the provider's name.

// errTokenRefused is the cause of a trouble with a token that the provider will
// not take any more: its owner took the permission back, or it ran out.
var errTokenRefused = errors.New("the provider refused the token")

// errQuiet is the cause of a trouble with a provider that can't be asked now.
type errQuiet struct {
	cause error
	wait  time.Duration // as the provider asked; 0: it said nothing
}

func (e *errQuiet) Error() string { return e.cause.Error() }
func (e *errQuiet) Unwrap() error { return e.cause }

func away(name string, cause error) error {
	if errors.Is(cause, context.Canceled) {
		return cause // the person left: nobody is there to read a page
	}
	return &trouble{status: http.StatusBadGateway, reason: "provider_unreachable", title: name + " does not answer",
		text: "It is down, slow, or can't be reached from here. Try again in a moment.", again: true, cause: &errQuiet{cause: cause}}
}

func limited(name string, wait time.Duration, cause error) error {
	return &trouble{status: http.StatusBadGateway, reason: "provider_rate_limited", title: name + " asks us to slow down",
		text: "Too many requests went there lately. Try again in a few minutes.", again: true, cause: &errQuiet{cause, wait}}
}

func malformed(name string, cause error) error {
	return &trouble{status: http.StatusBadGateway, reason: "provider_malformed", title: name + "'s answer makes no sense",
		text: "Something between here and " + name + " may be broken. Try again; if it stays so, tell whoever runs this installation.", again: true, cause: cause}
}

func tokenRefused(name string, cause error) error {
	return &trouble{status: http.StatusBadGateway, reason: "provider_token_refused", title: name + " does not accept its own sign-in",
		text: "The permission may have been taken back a moment ago. Try again.", again: true, cause: errors.Join(errTokenRefused, cause)}
}

func notAllowed(name string, cause error) error {
	return &trouble{status: http.StatusForbidden, reason: "provider_denied", title: "You did not allow it at " + name,
		text: "Nothing was shared. If that was a slip, try again and agree there.", again: true, cause: cause}
}

func codeUnknown(name string, cause error) error {
	return &trouble{status: http.StatusBadRequest, reason: "provider_code_expired", title: name + " no longer knows this sign-in",
		text: "Too much time went by, or the page was loaded twice. Try again.", again: true, cause: cause}
}

// notAccepted is for what whoever runs this installation has to mend.
func notAccepted(name, code, text string, cause error) error {
	return &trouble{status: http.StatusBadGateway, reason: "provider_" + code, title: name + " does not accept this installation",
		text: text, cause: cause}
}

func refusedBy(name string, cause error) error {
	return &trouble{status: http.StatusBadGateway, reason: "provider_error", title: name + " refused the sign-in",
		text: "Try again in a moment. If it stays so, tell whoever runs this installation.", again: true, cause: cause}
}

func mixedUp(name string, iss []string) error {
	return &trouble{status: http.StatusForbidden, reason: "provider_mixed_up", title: "Somebody else answered for " + name,
		text: "For your safety this sign-in was stopped. Begin it again.", again: true, cause: fmt.Errorf("iss is %.200q", iss)}
}
