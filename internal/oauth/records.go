package oauth

import (
	"time"

	"gatehouse/internal/principal"
)

// Key prefixes of the records in the store. Whatever comes from outside is in
// them only as a SHA-256, or as an id that we made.
const (
	prefixClient  = "oauth:client:"
	prefixState   = "oauth:state:" // parked authorization requests, by hash of their handle
	prefixCode    = "oauth:code:"
	prefixDevice  = "oauth:device:"
	prefixGrant   = "oauth:grant:"
	prefixRefresh = "oauth:refresh:"
	prefixSession = "oauth:session:"
	prefixConsent = "oauth:consent:"
	prefixRevoked = "oauth:revoked:"
	prefixUser    = "user:"
	keyKeys       = "oauth:keys"
)

// Person is who signed in, as a provider told it. It is what sessions, codes
// and grants carry; tokens carry its public part.
type Person struct {
	Subject  string    `json:"subject"`          // "github:583231", "local:alice"
	User     string    `json:"user"`             // the name that lists hold: "octocat", "local:alice"
	Email    string    `json:"email,omitempty"`  // verified only
	Name     string    `json:"name,omitempty"`   // display name
	Groups   []string  `json:"groups,omitempty"` // org, org/team
	AuthTime time.Time `json:"auth_time"`        // when they proved it
	Provider string    `json:"provider"`         // "github", "local", "oidc"
	Via      string    `json:"via,omitempty"`    // the proxy whose own GitHub App was used: counts for that proxy alone
	Token    []byte    `json:"token,omitempty"`  // the provider's token, sealed; to read groups again
	Checked  time.Time `json:"checked,omitzero"` // when groups and e-mail were last read
}

// Client is an OAuth client as it was registered (RFC 7591).
type Client struct {
	ID              string    `json:"client_id"`
	Issuer          string    `json:"issuer"` // registrations are bound to the issuer that took them
	Name            string    `json:"client_name,omitempty"`
	RedirectURIs    []string  `json:"redirect_uris,omitempty"`
	GrantTypes      []string  `json:"grant_types,omitempty"`
	ResponseTypes   []string  `json:"response_types,omitempty"`
	AuthMethod      string    `json:"token_endpoint_auth_method"`
	ApplicationType string    `json:"application_type,omitempty"`
	URI             string    `json:"client_uri,omitempty"`
	Scope           string    `json:"scope,omitempty"`
	SecretHash      string    `json:"secret_hash,omitempty"`       // SHA-256, hex
	RegistrationKey string    `json:"registration_hash,omitempty"` // SHA-256 of the registration access token, hex
	Known           string    `json:"known"`                       // how we know it: "registered", "builtin", "url"
	Admin           bool      `json:"admin,omitempty"`             // made by an administrator; Scope is then what client_credentials may have
	CreatedAt       time.Time `json:"created_at"`
	LastUsed        time.Time `json:"last_used,omitzero"`
	CreatedFrom     string    `json:"created_from,omitempty"` // address, for bounds
}

// Grant is one person's (or client's) lasting permission to a client: the family
// that all its refresh tokens belong to.
type Grant struct {
	ID        string    `json:"id"`
	Issuer    string    `json:"issuer"`
	ClientID  string    `json:"client_id"`
	Client    string    `json:"client_name,omitempty"`
	Person    Person    `json:"person"`
	Resource  string    `json:"resource"`
	Scopes    []string  `json:"scopes"`
	CreatedAt time.Time `json:"created_at"`
	LastUsed  time.Time `json:"last_used"`
}

// Session is a browser's session on one host. The cookie carries the same,
// sealed; this record is for the list and for ending it.
type Session struct {
	ID        string    `json:"id"`               // random; never the cookie's value
	Host      string    `json:"host"`             // the one host it counts on
	Origin    string    `json:"origin"`           // with its scheme and port
	Parent    string    `json:"parent,omitempty"` // the session on the sign-in host; empty there
	Person    Person    `json:"person"`
	CreatedAt time.Time `json:"created_at"`
	LastSeen  time.Time `json:"last_seen"`
	Address   string    `json:"address,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

// User is a local account.
type User struct {
	Name      string    `json:"name"`   // without the "local:" that lists hold
	Hash      string    `json:"hash"`   // argon2id, PHC string
	Scopes    []string  `json:"scopes"` // what it may do with Gatehouse itself
	Email     string    `json:"email,omitempty"`
	Since     time.Time `json:"since"` // tokens and sessions from before do not count: set at creation and password change
	CreatedAt time.Time `json:"created_at"`
}

// Pending is an authorization request that was checked and waits, under a
// one-time handle, for its person on the sign-in host. It is the only way from
// /authorize to a code.
type Pending struct {
	Issuer      string    `json:"issuer"` // of the host that was asked
	Host        string    `json:"host"`
	ClientID    string    `json:"client_id"`
	ClientName  string    `json:"client_name"`
	Known       string    `json:"known"`
	RedirectURI string    `json:"redirect_uri"`
	State       *string   `json:"state,omitempty"` // returned as it came; nil: none came
	Challenge   string    `json:"code_challenge"`  // S256
	Resource    string    `json:"resource"`
	Scopes      []string  `json:"scopes"` // asked for and known; before the lists cut them
	CreatedAt   time.Time `json:"created_at"`
	Device      string    `json:"device,omitempty"` // hash of the device code that this approves instead; no redirect then
}

// Default scopes of Gatehouse's own resource, for readers of this package.
var ownScopes = []string{principal.ScopeAdmin, principal.ScopeUser, principal.ScopeMCP}
