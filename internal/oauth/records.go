package oauth

import (
	"time"

	"gatehouse/internal/principal"
)

// Key prefixes of the records in the store. Whatever comes from outside is in
// them only as a SHA-256, or as an id that we made.
const (
	prefixClient   = "oauth:client:"
	prefixState    = "oauth:state:" // parked authorization requests, by hash of their handle
	prefixCode     = "oauth:code:"
	prefixDevice   = "oauth:device:"
	prefixGrant    = "oauth:grant:"
	prefixUserCode = "oauth:usercode:" // the device code's hash, by the user code's
	prefixSession  = "oauth:session:"
	prefixConsent  = "oauth:consent:"
	prefixRevoked  = "oauth:revoked:"
	prefixKept     = "oauth:cimd:" // last good copies of client metadata documents, by hash of their address
	prefixSpent    = "oauth:jti:"  // client assertions that were used, by hash of client and jti
	prefixUser     = "user:"
	keyKeys        = "oauth:keys"
)

// Person is who signed in, as a provider told it. It is what sessions, codes
// and grants carry; tokens carry its public part.
type Person struct {
	Subject  string    `json:"subject"`          // "github:583231", "local:alice", "oidc:id.example.com#7c9e"
	User     string    `json:"user"`             // the name that lists hold: "octocat", "local:alice", "oidc:alice@example.com"
	Email    string    `json:"email,omitempty"`  // verified only
	Name     string    `json:"name,omitempty"`   // display name
	Groups   []string  `json:"groups,omitempty"` // org, org/team, of the groups claim: as policies name them
	AuthTime time.Time `json:"auth_time"`        // when they proved it
	Provider string    `json:"provider"`         // "github", "local", "oidc"
	Via      string    `json:"via,omitempty"`    // the proxy whose own GitHub App was used: counts for that proxy alone
	Token    []byte    `json:"-"`                // what the provider gave to read groups again; package signin seals and keeps it
	Checked  time.Time `json:"checked,omitzero"` // when groups and e-mail were last read
}

// Client is an OAuth client as it was registered (RFC 7591), or as its metadata
// document describes it.
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
	AuthMethods     []string  `json:"auth_methods,omitempty"`      // others that its document names
	JWKS            []byte    `json:"jwks,omitempty"`              // with private_key_jwt: the key set itself …
	JWKSURI         string    `json:"jwks_uri,omitempty"`          // … or where it stands
	SigningAlg      string    `json:"auth_signing_alg,omitempty"`  // the only one of its assertions; empty: any of ours
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

	// The refresh tokens of the family (family.go). They live in this one record,
	// so that a rotation is one compare-and-swap.
	Branches []Branch `json:"branches,omitempty"` // unused: what a client may present next
	Rotated  []Branch `json:"rotated,omitempty"`  // used within the tolerance for lost answers
	Resting  []string `json:"resting,omitempty"`  // unused and most likely lost; the beginnings of their hashes
}

// Branch is one refresh token of a family.
type Branch struct {
	Hash    string    `json:"hash"`              // SHA-256 of the token
	At      time.Time `json:"at"`                // issued; in Rotated: first used
	From    string    `json:"from,omitempty"`    // in Branches: the token that it was given for, by the beginning of its hash
	Passed  int       `json:"passed,omitempty"`  // in Branches: tokens given for the same one that were used since
	Given   int       `json:"given,omitempty"`   // in Rotated: tokens that were given for it
	Latest  time.Time `json:"latest,omitzero"`   // in Rotated: when the latest of those was given
	Arrived bool      `json:"arrived,omitempty"` // in Rotated: one of those was used
}

// code is an authorization code, or what is left of it once it was used.
type code struct {
	Issuer      string    `json:"issuer"`
	ClientID    string    `json:"client_id"`
	ClientName  string    `json:"client_name,omitempty"`
	RedirectURI string    `json:"redirect_uri"`
	Challenge   string    `json:"code_challenge"`
	Resource    string    `json:"resource"`
	Scopes      []string  `json:"scopes"`
	Person      Person    `json:"person"`
	CreatedAt   time.Time `json:"created_at"`
	Expires     time.Time `json:"expires_at"`
	GrantID     string    `json:"grant_id"`           // of the grant that its use makes
	Used        bool      `json:"used,omitempty"`     // it was presented rightly once
	Replayed    bool      `json:"replayed,omitempty"` // it was presented again: what it gave does not count
}

// device is a device code (RFC 8628), under the hash of the code that the
// device polls with.
type device struct {
	Pending  Pending       `json:"pending"`
	UserCode string        `json:"user_code_hash"`
	Status   string        `json:"status"` // one of the constants below
	Person   Person        `json:"person,omitzero"`
	Scopes   []string      `json:"scopes,omitempty"` // that were approved
	Approved time.Time     `json:"approved_at,omitzero"`
	Expires  time.Time     `json:"expires_at"`
	Interval time.Duration `json:"interval"`
	Polled   time.Time     `json:"polled_at,omitzero"`
}

const (
	deviceWaiting  = "waiting"
	deviceApproved = "approved"
	deviceDenied   = "denied"
)

// Consent is what one person approved for one client, so that they are not
// asked again for the same.
type Consent struct {
	Subject    string     `json:"subject"`
	User       string     `json:"user"`
	ClientID   string     `json:"client_id"`
	ClientName string     `json:"client_name"`
	Approvals  []Approval `json:"approvals"`
}

// Approval is one combination that was approved.
type Approval struct {
	Issuer       string    `json:"issuer"`
	Resource     string    `json:"resource"`
	RedirectURI  string    `json:"redirect_uri"`
	Scopes       []string  `json:"scopes"`
	Registration string    `json:"registration"` // fingerprint of the client's registration as it was
	At           time.Time `json:"at"`
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
	Program     string    `json:"program,omitempty"`      // what we know to be at that URL or callback; never trusted
	Registered  string    `json:"registration,omitempty"` // of a client known by its URL: fingerprint of what its person is shown
	RedirectURI string    `json:"redirect_uri"`
	State       *string   `json:"-"`                      // returned as it came; nil: none came
	SealedState []byte    `json:"sealed_state,omitempty"` // the same at rest
	Challenge   string    `json:"code_challenge"`         // S256
	Resource    string    `json:"resource"`
	Scopes      []string  `json:"scopes"` // asked for and known; before the lists cut them
	CreatedAt   time.Time `json:"created_at"`
	Device      string    `json:"device,omitempty"`     // hash of the device code that this approves instead; no redirect then
	Address     string    `json:"address,omitempty"`    // where the request came from
	UserAgent   string    `json:"user_agent,omitempty"` // what the requesting program called itself
}

// Default scopes of Gatehouse's own resource, for readers of this package.
var ownScopes = []string{principal.ScopeAdmin, principal.ScopeUser, principal.ScopeMCP}
