package signin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"

	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// Options is what Pages need. OAuth, KV, Sealer and World are required.
type Options struct {
	OAuth    *oauth.Server
	KV       store.KV
	Sealer   oauth.Sealer
	World    func() *site.World // the present world
	Recorder journal.Recorder   // nil: events are not recorded
	Logger   *slog.Logger       // nil: discards

	GitHub GitHubApp // the environment's app; no ClientID: nobody signs in through it
	OIDC   OIDCApp   // the OpenID Connect provider; no Issuer: there is none
	Lists  []string  // every name in the default lists: the first account under a name keeps it

	// ProxySecret is the client secret of a proxy's own GitHub app. nil: the
	// proxy's field holds it readably.
	ProxySecret func(p *site.Proxy) (string, error)

	Hasher     *Hasher      // nil: one with the recommended cost
	HTTP       *http.Client // towards providers; nil: one that follows no redirect and gives up after a while
	RateLimits bool         // bound attempts per address and in all

	Clock func() time.Time // says how old what we know of people is; nil: time.Now
}

// Pages is everything people see on the sign-in host, and the hand-over of
// sessions to other hosts: the target internal:pages. Make it with New.
type Pages struct {
	opt     Options
	oauth   *oauth.Server
	log     *slog.Logger
	tickets store.Table[ticket]
	states  store.Table[trip]
	onces   store.Table[once]
	links   store.Table[setupLink]
	bound   store.Table[Binding]
	tokens  store.Table[[]byte] // sealed
	hasher  *Hasher
	brake   *brake
	limits  *limiter
	flight  *flight
	oidc    *oidcProvider      // nil: there is none
	asking  singleflight.Group // people who are read again at their provider, by the name of their token
	quiet   quiet
	now     func() time.Time
	routes  map[string]route
}

// New makes the pages. It starts nothing and reads nothing.
func New(opt Options) (*Pages, error) {
	if opt.OAuth == nil || opt.KV == nil || opt.Sealer == nil || opt.World == nil {
		return nil, errors.New("signin: OAuth, KV, Sealer and World are required")
	}
	opt.fill()
	p := &Pages{
		opt: opt, oauth: opt.OAuth, log: opt.Logger, hasher: opt.Hasher,
		tickets: store.NewSealedTable[ticket](opt.KV, opt.Sealer, prefixTicket, "ticket"),
		states:  store.NewSealedTable[trip](opt.KV, opt.Sealer, prefixState, "sign-in"),
		onces:   store.NewTable[once](opt.KV, prefixOnce, "sign-in"),
		links:   store.NewTable[setupLink](opt.KV, prefixSetup, "setup link"),
		bound:   store.NewTable[Binding](opt.KV, prefixBinding, "bound name"),
		tokens:  store.NewTable[[]byte](opt.KV, prefixToken, "provider's token"),
		brake:   newBrake(),
		flight:  newFlight(),
		oidc:    newOIDC(opt.OIDC, opt.HTTP),
		now:     opt.Clock,
	}
	if opt.RateLimits {
		p.limits = newLimiter(perAddress, perAll)
	}
	p.routes = p.mount()
	return p, nil
}

func (o *Options) fill() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Hasher == nil {
		o.Hasher = NewHasher()
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{
			Timeout:       githubPatience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if o.ProxySecret == nil {
		o.ProxySecret = func(p *site.Proxy) (string, error) { return p.GitHubClientSecret, nil }
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	o.GitHub = o.GitHub.filled()
}

// Key prefixes of the records in the store. Secrets are in them as SHA-256 only;
// what has to be read again (a verifier, the address that a person goes back to)
// is in sealed records.
const (
	prefixTicket  = "oauth:ticket:" // on the way to another host, by hash
	prefixState   = "signin:state:" // on the way to a provider, by hash
	prefixOnce    = "signin:once:"  // signed in for one request alone, by hash
	prefixSetup   = "setup:"        // "link": the first administrator's
	prefixBinding = "github:login:" // by name in lower case: GitHub logins, and those of the OpenID provider with oidc: before them
)

// Lifetimes of what is on its way.
const (
	ticketLifetime = time.Minute
	tripLifetime   = 10 * time.Minute
	setupLifetime  = 30 * time.Minute
)

// Hasher makes the hashes of local accounts' passwords.
func (p *Pages) Hasher() *Hasher { return p.hasher }

// note writes what happened to the request log.
func (p *Pages) note(ctx context.Context, e journal.Entry) {
	if p.opt.Recorder == nil {
		return
	}
	if v := site.VisitFrom(ctx); v != nil {
		e.RequestID, e.Proxy = v.RequestID, v.Name
		if v.Client.IsValid() {
			e.ClientIP = v.Client.Unmap().String()
		}
	}
	e.Time = time.Now()
	p.opt.Recorder.Write(&e)
}
