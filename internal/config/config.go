// Package config is the only reader of the environment. One list (see
// variables.go) declares every variable with its default, rule and meaning;
// parsing, refusals, `gatehouse config check`, .env.example and
// docs/configuration.md all come from it.
//
// A value is looked for as a command-line flag, then as GATEHOUSE_NAME, then as
// NAME; each of the two in the process environment first and in .env after it.
// Secrets may stand in a file that NAME_FILE names. An empty value counts as
// not set. Whatever is wrong is reported at once, as one fault.Invalid with a
// field for each variable.
//
// Settings that people change while Gatehouse runs are not here: they live in
// the store and belong to package control.
package config

import (
	"crypto/rsa"
	"log/slog"
	"net/netip"
	"time"
)

// Config is the validated configuration. It does not change after Load.
type Config struct {
	DataDir   string // absolute path of the embedded store
	SecretKey Secret // 32 bytes that seal secrets at rest; empty: generated beside the embedded store

	Redis   Redis
	Listen  Listen
	Log     Log
	ACME    ACME
	DNS     DNS
	Cert    Cert
	Proxy   Proxy
	GitHub  GitHub
	OIDC    OIDC
	OAuth   OAuth
	Limits  Limits
	Alert   Alert
	Docker  Docker
	Observe Observe
	Client  Client

	values []Value // in the order of the list
}

// Listen is where Gatehouse is reached, and whom it believes.
type Listen struct {
	Host            string // IP address; empty: all interfaces, IPv4 and IPv6
	HTTPPort        int    // 0: any free port
	HTTPSPort       int    // 0: any free port
	PublicHTTPSPort int    // the port that clients see; 0: the HTTPS port
	API             string // host:port of the direct door to the API; empty: closed
	Node            string // host:port of the door for other nodes, NodeAuto, or empty: closed
	LocalhostPeers  []netip.Prefix
	TrustedProxies  []netip.Prefix
	BaseDomain      string // lower case, without a trailing dot
	InstancePorts   bool   // whether each proxy also listens on two ports of its own
	InstanceHost    string // IP address that those ports are bound to
}

// NodeAuto in Listen.Node is any free port at the address by which Redis is reached.
const NodeAuto = "auto"

// Log is the process log and what the request log keeps.
type Log struct {
	Level            slog.Level // TRACE is -8, CRITICAL 12, the others as in slog
	Format           string     // "text", "json" or "auto": text on a terminal
	Retention        time.Duration
	MaxEntries       int
	ResolveHostnames bool
	RequestHeaders   bool
	ResponseHeaders  bool
	RequestBody      bool
	ResponseBody     bool
	BodyMaxSize      int // bytes
	MaskSensitive    bool
}

// ACME is how certificates are obtained from a public authority.
type ACME struct {
	DirectoryURL string
	StagingURL   string
	Email        string
	CAFile       string // PEM file; trusts a private ACME server
	EABKeyID     string
	EABHMAC      Secret // the key's bytes
}

// DNS is how DNS-01 challenges are answered, and which resolver is asked.
type DNS struct {
	Provider      string // "", "rfc2136" or "exec"
	Server        string // host:port
	Zone          string // without a trailing dot
	TSIGName      string
	TSIGSecret    Secret // the key's bytes
	TSIGAlgorithm string
	Exec          string // absolute path of a program
	Resolver      string // host:port; empty: the system's
}

// Cert is about certificates whoever signs them.
type Cert struct {
	RenewalCheckInterval time.Duration
	RenewalThreshold     time.Duration
	Workers              int
	KeyType              string // "ecdsa-p256", "ecdsa-p384", "rsa-2048" or "rsa-4096"
	SelfSignedLifetime   time.Duration
}

// Proxy is how targets are reached when a proxy does not say it itself.
type Proxy struct {
	ConnectTimeout time.Duration
	RequestTimeout time.Duration // to the response's headers, never the length of a stream
}

// GitHub is the global GitHub OAuth App; an empty ClientID means there is none.
type GitHub struct {
	ClientID     string
	ClientSecret Secret
	URL          string // without a trailing slash
	APIURL       string // without a trailing slash
}

// OIDC is one generic OpenID Connect provider; an empty Issuer means there is none.
type OIDC struct {
	Issuer       string // exactly as given
	ClientID     string
	ClientSecret Secret
	Name         string // what people see on the button
}

// OAuth is the authorization server.
type OAuth struct {
	AccessTokenLifetime  time.Duration
	RefreshTokenLifetime time.Duration
	SessionTimeout       time.Duration // pending sign-ins
	ClientLifetime       time.Duration // unused registered clients
	Issuer               string        // a fixed issuer for all hosts; empty: each host is its own

	AdminUsers, UserUsers, MCPUsers                            []string
	LocalhostAdminUsers, LocalhostUserUsers, LocalhostMCPUsers []string // already fallen back to the three above

	AllowedClientDomains []string // empty: any
	CIMDAllowLoopback    bool

	key *rsa.PrivateKey
}

// SigningKey is the key of OAUTH_JWT_PRIVATE_KEY_B64, to be imported once; nil
// when the variable is not set.
func (o OAuth) SigningKey() *rsa.PrivateKey { return o.key }

// Limits bound what one address and all together may use.
type Limits struct {
	RateLimits          bool // sign-in, registration, device and failed attempts
	MaxConnections      int
	MaxConnectionsPerIP int
	MaxRequestsPerIP    int // a second; 0: not limited
}

// Alert is where alerts go; an empty WebhookURL means nowhere.
type Alert struct {
	WebhookURL    Secret // paths of webhooks are often credentials
	WebhookSecret Secret
}

// Docker is the Docker Engine and what may be done with it.
type Docker struct {
	Host            string
	APIVersion      string   // empty: negotiated
	AllowedImages   []string // globs; empty: any
	AllowBindMounts bool
	BuildRoot       string // absolute path; empty: builds from server paths are refused
}

// Observe is where metrics and traces go.
type Observe struct {
	MetricsListen string // host:port; empty: off
	OTLPEndpoint  string // URL; empty: off
}

// Client is what the command line needs to reach a running Gatehouse.
type Client struct {
	DataDir         string // where listen.json and the local key are; empty when no home folder is known
	URL             string // without a trailing slash; empty: from listen.json, else http://localhost
	AccessToken     Secret
	RefreshToken    Secret
	CredentialsFile string // $XDG_CONFIG_HOME/gatehouse/credentials.json; empty when no home folder is known
	NoColor         bool   // NO_COLOR is set and not empty (no-color.org)
}
