// Package signin is everything that people see of Gatehouse outside the console:
// the pages on the sign-in host (sign in, consent, device, account, setup,
// logout), the few addresses under /.gatehouse on every protected host that
// hand a session over, and the ways in which somebody proves who they are.
//
// Each way is one file behind the provider interface: local.go (argon2id),
// github.go (the OAuth App web flow with PKCE) and oidc.go (OpenID Connect). How
// the pages look is package page's. The protocol side, grants, codes and the
// sessions themselves belong to package oauth; this package asks it for the
// pending request and tells it who approved.
//
// The pages carry no script. Every POST needs a token bound to the browser's
// cookie and comes from the page's own origin; every form answers 303.
package signin
