// Package oauth is the access gate and the authorization server.
//
// The gate decides for every request who may do what on a host, from memory only, by
// one function that the data path, forward-auth and explain share:
//
//   - gate.go, judge.go: the nine steps of the decision, in order; settings.go: what a host and a route
//     ask for; credential.go, challenge.go: who a request proves to come from, and what it is told
//     when it does not; rights.go: what the lists give
//   - token.go, claims.go, tokenid.go: access tokens (RFC 9068); cookie.go, session.go: sessions of
//     browsers; cache.go: what was verified already; blacklist.go, revoked.go: what counts no more;
//     digest.go: by which nodes are compared
//   - question.go, verify.go: /verify, for other proxies that ask
//
// The authorization server speaks OAuth 2.1 (draft 13 and later). mount.go is the table of its
// endpoints, form.go reads their requests, error.go writes their refusals; place.go: which issuer acts
// on which host, and for which resources (RFC 8707):
//
//   - metadata.go: the documents of server and resource, and /jwks (RFC 8414, 9728, 7517)
//   - authorize.go, redirect.go, pending.go, consent.go: from /authorize to a code (RFC 6749, 7636, 8252, 9207)
//   - tokens.go: /token, with a grant type a file: grant_code.go, grant_refresh.go, grant_device.go
//     (RFC 8628), grant_client.go, grant_exchange.go (RFC 8693); family.go: the refresh tokens of one
//     grant; turns.go: one refresh of it after the other; device.go: the codes that people type
//   - revocation.go: /revoke, /introspect (RFC 7009, 7662)
//   - client.go: who a client is; register.go (RFC 7591, 7592), client_admin.go, and by its URL cimd.go,
//     clienturl.go, document.go (Client ID Metadata Documents); programs.go: what is known of some
//   - clientauth.go, assertion.go, jwk.go, keyset.go: how a client proves itself (RFC 7523)
//
// Behind both: records.go (what is stored, and under which keys), secret.go, keys.go and keyring.go
// (signing keys), users.go (local accounts), list.go (for administrators), limits.go and flight.go
// (bounds on attempts and on records), flowlog.go (the journal), run.go (what goes on in the
// background). Whatever came from outside is in the store as a SHA-256.
//
// What people see (sign-in, consent, device and account pages) is package
// signin's; it comes here for Pending requests and hands back who approved.
// Who is asking is described by package principal, hosts by package site.
package oauth
