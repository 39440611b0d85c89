package oauth

import (
	"context"
	"crypto/rsa"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// Sealer keeps secrets unreadable at rest. What was sealed for one place opens
// for that place only.
type Sealer interface {
	Seal(place string, plain []byte) []byte
	Open(place string, sealed []byte) ([]byte, error)
}

// Lists name who gets which of Gatehouse's own scopes.
type Lists struct {
	Admin []string // OAUTH_ADMIN_USERS
	User  []string // OAUTH_USER_USERS; "*" is anyone signed in
	MCP   []string // OAUTH_MCP_USERS; "*" is anyone signed in
}

// Options is what a Server needs. KV, Sealer and World are required.
type Options struct {
	KV       store.KV
	Sealer   Sealer
	World    func() *site.World // the present world; must answer before Load
	Recorder journal.Recorder   // nil: OAuth events are not recorded
	Logger   *slog.Logger       // nil: discards

	Lists     Lists // the default lists
	Localhost Lists // those of the localhost proxy

	AccessTokenLifetime  time.Duration // 0: 30 minutes
	RefreshTokenLifetime time.Duration // of a whole family; 0: a year
	SessionTimeout       time.Duration // of pending requests and device codes; 0: 10 minutes
	ClientLifetime       time.Duration // of registered clients without use; 0: 90 days

	Documents      Documents // fetches what clients name; nil: there are no clients known by URL, nor keys by jwks_uri
	ClientDomains  []string  // OAUTH_ALLOWED_CLIENT_DOMAINS: hosts of clients known by URL; empty: any
	ClientLoopback bool      // CIMD_ALLOW_LOOPBACK: such clients on loopback and over http too

	FixedIssuer string          // OAUTH_ISSUER: one issuer for all hosts; empty: each host its own
	RateLimits  bool            // bound attempts per address and in all
	ImportKey   *rsa.PrivateKey // OAUTH_JWT_PRIVATE_KEY_B64, taken once; nil: a key is generated

	// Recheck reads again who a person is, before their tokens are refreshed:
	// groups and e-mail may have changed at their provider. nil: what the
	// sign-in told stays.
	Recheck func(ctx context.Context, p Person, host *site.Host) (Person, error)

	// Upkeep reports whether it is this node that drops old signing keys, for all
	// that share the store; nil: it always is.
	Upkeep func() bool

	// Clock is the node's clock, for what is judged without the store; nil: time.Now.
	Clock func() time.Time

	// ClockOff is an error when that clock is so far off the store's that nothing
	// must be signed by it; nil: it never is.
	ClockOff func() error
}

// Server is the authorization server and the gate. Make it with New, call Load
// before serving, and Run while serving.
type Server struct {
	opt Options
	kv  store.KV
	log *slog.Logger
	now func() time.Time

	clients  store.Table[Client]
	pendings store.Table[Pending]
	codes    store.Table[code]
	devices  store.Table[device]
	entered  store.Table[string] // device hash by hash of the user code
	grants   store.Table[Grant]
	sessions store.Table[Session]
	consents store.Table[Consent]
	revokes  store.Table[revocation]
	accounts store.Table[User]

	kept     store.Table[keptClient]
	spent    store.Table[time.Time] // client assertions, until they expire
	byURL    *presence              // clients known by URL whose documents are fresh
	keySets  *keySets
	programs programs

	keys     atomic.Pointer[keyring]
	users    roll         // local accounts, in memory
	revoked  blacklist    // what no longer counts, in memory
	change   atomic.Int64 // grows whenever what verified may have stopped counting
	verified *cache       // tokens and cookies that were verified
	limits   limits
	forged   forgeries // ids of real tokens under which forged ones came
	unsigned forgeries // addresses and clients with wrongly signed assertions
	flight   flights
	families turns      // refreshes of one grant, one after the other
	own      ownGrants  // of clients that act for themselves
	touches  chan touch // sessions that were seen, for Run to write down
	exposed  chan string

	started time.Time // by the store's clock
	handler http.Handler
	saving  sync.Mutex // one change of the keyring at a time on this node
}

// New makes a server. It starts nothing and reads nothing.
func New(opt Options) (*Server, error) {
	if opt.KV == nil || opt.Sealer == nil || opt.World == nil {
		return nil, errors.New("oauth: KV, Sealer and World are required")
	}
	opt.fill()
	s := &Server{opt: opt, kv: opt.KV, log: opt.Logger, now: opt.Clock,
		clients:  store.NewTable[Client](opt.KV, prefixClient, "client"),
		pendings: store.NewTable[Pending](opt.KV, prefixState, "authorization request"),
		codes:    store.NewTable[code](opt.KV, prefixCode, "code"),
		devices:  store.NewTable[device](opt.KV, prefixDevice, "device code"),
		entered:  store.NewTable[string](opt.KV, prefixUserCode, "user code"),
		grants:   store.NewTable[Grant](opt.KV, prefixGrant, "grant"),
		sessions: store.NewTable[Session](opt.KV, prefixSession, "session"),
		consents: store.NewTable[Consent](opt.KV, prefixConsent, "consent"),
		revokes:  store.NewTable[revocation](opt.KV, prefixRevoked, "revocation"),
		accounts: store.NewTable[User](opt.KV, prefixUser, "user"),
		kept:     store.NewTable[keptClient](opt.KV, prefixKept, "client metadata"),
		spent:    store.NewTable[time.Time](opt.KV, prefixSpent, "client assertion"),
		byURL:    newPresence(),
		keySets:  newKeySets(),
		programs: knownPrograms(),
		verified: newCache(),
		limits:   newLimits(opt.RateLimits, opt.Clock),
		flight:   newFlights(opt.Clock),
		touches:  make(chan touch, 1024),
		exposed:  make(chan string, 64),
	}
	s.handler = s.mount()
	return s, nil
}

func (o *Options) fill() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	for _, d := range []struct {
		at    *time.Duration
		usual time.Duration
	}{
		{&o.AccessTokenLifetime, 30 * time.Minute},
		{&o.RefreshTokenLifetime, 365 * 24 * time.Hour},
		{&o.SessionTimeout, 10 * time.Minute},
		{&o.ClientLifetime, 90 * 24 * time.Hour},
	} {
		if *d.at <= 0 {
			*d.at = d.usual
		}
	}
}

// Load makes or reads the signing keys, and reads revocations and local
// accounts into memory. Nothing may be served before it returned nil.
func (s *Server) Load(ctx context.Context) (err error) {
	if err := s.checkIssuer(); err != nil {
		return err
	}
	if s.started, err = s.kv.Now(ctx); err != nil {
		return err
	}
	if err := s.loadKeys(ctx); err != nil {
		return err
	}
	if err := s.loadRevocations(ctx); err != nil {
		return err
	}
	if err := s.loadUsers(ctx); err != nil {
		return err
	}
	return s.loadFlight(ctx)
}

// ServeHTTP answers the protocol endpoints: the target internal:oauth. The
// request's context must carry its site.Visit.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }
