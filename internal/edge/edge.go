// Package edge is the data path: it accepts connections, learns the name that a
// client asks for, ends TLS, routes each request to its host's target, asks the
// gate, forwards and streams back, and leaves one journal entry, whatever
// happened. The walk is listen, dispatch, then ServeHTTP below: begin, route,
// admit, forward.
//
// HTTP is RFC 9110, 9112 and 9113; strict.go refuses what net/http would let
// through of RFC 9112. Who may do what is the gate's matter (package oauth),
// which names exist and how paths match is package site's, where certificates
// come from package cert's. No step of a request touches storage.
package edge

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"hash/maphash"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/mcpgate"
	"gatehouse/internal/site"
)

// Options are what an Edge works with. Gate, Certificates and Recorder are
// required; a zero duration or number stands for the default that is named.
type Options struct {
	Gate         Gate
	Certificates Certificates
	Recorder     journal.Recorder
	Logger       *slog.Logger // default: slog.Default()

	// Locals are the targets that are served in the process, by target:
	// "internal:api", "internal:oauth". "internal:acme" also answers ACME
	// challenges on names that nobody knows.
	Locals map[string]http.Handler

	// Lookup finds where service:NAME and unix:NAME are to be dialed. It is asked
	// at each dial. Without it, or when ok is false, such targets answer 503.
	Lookup func(target string) (network, address string, ok bool)

	// Stdio serves stdio:NAME. nil: such targets answer 503.
	Stdio func(name string) http.Handler

	// MCP watches and judges MCP messages. nil: nobody does, and rules for tools
	// refuse everything.
	MCP *mcpgate.Gate

	// Secret keeps the names that targets have in cookies from being guessed. All
	// nodes have the same.
	Secret []byte

	// TokenInClear is told of requests that showed a bearer token over plain HTTP
	// to a host that never works over it, so that the token gets revoked. The
	// request is over for the edge; the call must not wait.
	TokenInClear func(v *site.Visit, token string)

	// Vouched reports whether authorities that clients know vouch for a
	// certificate that Certificates gave: such hosts are HTTPS for good (RFC 6797).
	// nil: none are.
	Vouched func(c *tls.Certificate) bool

	TrustedProxies []netip.Prefix   // whose PROXY header and forwarding headers are believed
	LocalhostPeers []netip.Prefix   // who may reach names under localhost; nil: loopback
	OwnListeners   []netip.AddrPort // further addresses of ours that no target may lead to
	InstanceListen string           // IP address that the ports of instances are bound to; 127.0.0.1

	ConnectTimeout  time.Duration // to a target; 30 s
	ResponseTimeout time.Duration // until a target's response headers; 120 s
	HeadTimeout     time.Duration // for a ClientHello or a request's head; 5 s
	IdleTimeout     time.Duration // of a connection between requests; 120 s
	ShutdownTimeout time.Duration // for requests under way when Run is told to end; 30 s

	MaxConnections      int // 100000
	MaxConnectionsPerIP int // 1000; IPv6 by /64; trusted peers and loopback not counted
	MaxRequestsPerIP    int // a second; 0: no limit
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.LocalhostPeers == nil {
		o.LocalhostPeers = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	o.InstanceListen = cmp.Or(o.InstanceListen, "127.0.0.1")
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 30*time.Second)
	o.ResponseTimeout = cmp.Or(o.ResponseTimeout, 120*time.Second)
	o.HeadTimeout = cmp.Or(o.HeadTimeout, 5*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 120*time.Second)
	o.ShutdownTimeout = cmp.Or(o.ShutdownTimeout, 30*time.Second)
	o.MaxConnections = cmp.Or(o.MaxConnections, 100_000)
	o.MaxConnectionsPerIP = cmp.Or(o.MaxConnectionsPerIP, 1000)
}

// Edge is the data path of one node.
type Edge struct {
	Options

	snapshot atomic.Pointer[snapshot]
	worldMu  sync.Mutex // serializes SetWorld

	listeners     []*listener
	instancePorts instancePorts
	tls           *tls.Config // for every host
	acme          *tls.Config // for TLS-ALPN-01 validations, which speak nothing else
	server        *http.Server
	handoff       *handoff
	conns         connLimit
	rates         rateLimit
	streams       streams
	tunnels       sync.WaitGroup // connections that left HTTP: upgrades and passthrough
	raw           rawConns
	nodeMark      string // tells our own requests when they come back
	recheck       chan struct{}
	healths       sync.Map // hostname, NUL, target -> *health
	closing       atomic.Bool
}

// New makes an Edge that serves no host until SetWorld, and listens nowhere
// until Listen.
func New(o Options) *Edge {
	o.setDefaults()
	e := &Edge{Options: o, handoff: newHandoff(), nodeMark: newMark(), recheck: make(chan struct{}, 1)}
	e.instancePorts.places, e.instancePorts.retry = make(map[int]*instancePlace), make(chan struct{}, 1)
	e.snapshot.Store(&snapshot{world: &site.World{}, instances: map[*site.Host]*instance{}})
	e.conns.seed, e.conns.limit, e.conns.perIP = maphash.MakeSeed(), int64(o.MaxConnections), o.MaxConnectionsPerIP
	e.rates.seed, e.rates.perSecond = maphash.MakeSeed(), o.MaxRequestsPerIP
	e.tls, e.acme = e.tlsConfig("h2", "http/1.1"), e.tlsConfig(acmeProtocol)
	e.server = e.httpServer()
	return e
}

// SetTicketKeys says what TLS session tickets are sealed with from now on: the
// first key seals, all open.
func (e *Edge) SetTicketKeys(keys [][32]byte) {
	if len(keys) > 0 {
		e.tls.SetSessionTicketKeys(keys)
	}
}

func (e *Edge) httpServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:                      e,
		ConnContext:                  withInfo,
		Protocols:                    protocols,
		IdleTimeout:                  e.IdleTimeout,
		MaxHeaderBytes:               maxHead,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(e.Logger.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     60 * time.Second,
		},
	}
}

// ServeHTTP is one request, from its begin to its journal entry.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := e.begin(w, r)
	defer x.end()
	if x.route() && x.admit() {
		x.forward()
	}
}

// SetWorld serves w from now on. Hosts that are the same *site.Host as before
// keep their instance and its connections; requests to a host that is gone or
// disabled are cut, and all others are asked of the gate again.
func (e *Edge) SetWorld(w *site.World) {
	e.worldMu.Lock()
	defer e.worldMu.Unlock()
	old := e.snapshot.Load()
	next, retired := e.compile(w, old)
	e.snapshot.Store(next)
	for _, in := range retired {
		in.retire()
		e.forgetHealth(in, next)
	}
	select {
	case e.recheck <- struct{}{}:
	default: // a check is due already
	}
}

// Run serves the listeners until ctx ends, then finishes what is under way.
func (e *Edge) Run(ctx context.Context) error {
	var accepts, watch sync.WaitGroup
	for _, l := range e.listeners {
		accepts.Go(func() { e.accept(l) })
	}
	served := make(chan error, 1)
	go func() { served <- e.server.Serve(e.handoff) }()
	watchCtx, stopWatch := context.WithCancel(context.Background())
	watch.Go(func() { e.watchStreams(watchCtx) })
	watch.Go(func() { e.watchInstancePorts(watchCtx) })
	watch.Go(func() { e.watchHealth(watchCtx) })

	<-ctx.Done()
	e.closing.Store(true)
	e.closeListeners()
	e.closeInstancePorts()
	accepts.Wait()
	err := e.drain()
	if why := <-served; !errors.Is(why, http.ErrServerClosed) {
		err = errors.Join(err, why)
	}
	stopWatch()
	watch.Wait()
	return err
}

// drain ends streams, waits for requests, and closes what takes too long.
func (e *Edge) drain() error {
	e.streams.each(func(x *exchange) { x.wind(errShutdown) })
	ctx, cancel := context.WithTimeout(context.Background(), e.ShutdownTimeout)
	defer cancel()
	err := e.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		e.Logger.Warn("requests were cut at shutdown", "after", e.ShutdownTimeout)
		err = e.server.Close()
	}
	e.raw.closeWhenDone(ctx, &e.tunnels)
	for _, in := range e.snapshot.Load().instances {
		in.retire()
	}
	return err
}

func (e *Edge) closeListeners() {
	for _, l := range e.listeners {
		_ = l.Close() // closing is all that was wanted
	}
}

// lookup is the present snapshot's host for a name and its instance.
func (e *Edge) lookup(name string) (*snapshot, *instance) {
	s := e.snapshot.Load()
	return s, s.find(name)
}
