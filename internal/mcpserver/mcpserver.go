// Package mcpserver is the MCP door to what package control offers: every
// operation as a tool, some objects as resources, two prompts, by Streamable
// HTTP in all protocol versions. It holds no rules of the product: who may do
// what is Operation.Call's to say, for this door as for the others.
//
// Who is asking is what the gate put into the request's context. The SDK keeps
// the context of the request that opened a session for all that come later, so
// the caller travels with each message (see caller.go) and never with a session.
package mcpserver

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/mcpanswer"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

const (
	maxBody      = 4 << 20          // bytes of a message
	bodyPatience = 30 * time.Second // for it to arrive
	idleTime     = time.Hour        // after which a session nobody uses ends
	maxSessions  = 1000             // sessions and subscriptions in all
	maxOfOne     = 64               // of one subject
	checkEvery   = time.Second      // how often rights and idle times are looked at
)

// Options are what a Server is made of.
type Options struct {
	Control *control.Control

	// Scopes are what a visit's principal may use at its host now; the tools of
	// open streams follow it.
	Scopes func(*site.Visit) []string

	// Grantable reports whether a visit's principal would be given a scope, had its
	// client asked for it.
	Grantable func(v *site.Visit, scope string) bool

	// Command runs a Gatehouse command line with the rights of the caller in ctx;
	// nil: there is no tool for that.
	Command func(ctx context.Context, args []string) CommandResult

	Handover Handover     // to the nodes that have a session; nil: there is one node
	Release  string       // version of Gatehouse
	Logger   *slog.Logger // nil: discards
}

// Handover names sessions so that each leads to its node, and hands requests on;
// package handover has it.
type Handover interface {
	// NewID is an id for a session of this node.
	NewID() string
	// Pass hands a request to the node that a session's id names; false: it can't,
	// and nothing was answered.
	Pass(w http.ResponseWriter, r *http.Request, id string) bool
}

// alone is the Handover of a node without others.
type alone struct{}

func (alone) NewID() string { return newID() }

func (alone) Pass(http.ResponseWriter, *http.Request, string) bool { return false }

// Server serves MCP. Make it with New and run Run beside it.
type Server struct {
	opt       Options
	log       *slog.Logger
	tools     []*tool
	byName    map[string]*tool
	resources []*resource
	shared    *mcp.Server  // of stateless requests
	stateful  http.Handler // up to 2025-11-25
	stateless http.Handler // 2026-07-28
	sessions  *sessions
}

// New makes a Server. It starts nothing.
func New(o Options) *Server {
	s := &Server{opt: o, log: o.Logger, sessions: newSessions()}
	if s.opt.Handover == nil {
		s.opt.Handover = alone{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.tools, s.byName = s.allTools()
	s.resources = s.allResources()
	s.shared = s.newServer("")
	// The edge has checked Host and Origin: the SDK's own check would refuse
	// public names that arrive at a loopback listener.
	s.stateful = verified(mcp.NewStreamableHTTPHandler(serverOf, &mcp.StreamableHTTPOptions{
		EventStore: newEvents(), DisableLocalhostProtection: true, MaxRequestBodyBytes: maxBody,
	}))
	s.stateless = verified(mcp.NewStreamableHTTPHandler(serverOf, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, DisableLocalhostProtection: true, MaxRequestBodyBytes: maxBody,
		PropagateRequestCancellation: true,
	}))
	return s
}

// newServer is what the SDK needs for one session, for one subscription, or for
// all stateless requests. All of them know all tools: what a caller sees and may
// call is decided at each message.
func (s *Server) newServer(sessionID string) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "gatehouse", Title: "Gatehouse", Version: s.opt.Release}, &mcp.ServerOptions{
		Instructions: instructions,
		PageSize:     1000, // one page holds all that there is
		GetSessionID: func() string { return sessionID },
		Capabilities: &mcp.ServerCapabilities{
			Tools: &mcp.ToolCapabilities{ListChanged: true}, Resources: &mcp.ResourceCapabilities{ListChanged: true}, Prompts: &mcp.PromptCapabilities{},
			Logging: &mcp.LoggingCapabilities{}, //nolint:staticcheck // deprecated, and part of the older versions: clients that set a level are told what failed
		},
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) { c.CacheScope = "private" },
	})
	for _, t := range s.tools {
		server.AddTool(t.plain, t.handle)
	}
	s.addResources(server)
	addPrompts(server)
	server.AddReceivingMiddleware(s.survive, identify, s.filter) // the first is outermost
	return server
}

const instructions = "Gatehouse puts HTTPS and sign-in in front of web servers and MCP servers. A proxy is a hostname that it serves; " +
	"its settings say where requests go and who is let in. Look before you change: list_proxies, get_proxy, get_logs, explain_proxy. " +
	"The tools listed are those that your scopes allow: user reads, admin changes. Where the person may change things and their client did not ask for that yet, " +
	"calling create_proxy, update_proxy or run_command all the same has the client ask for admin; the list then grows."

type serverKey struct{}

func serverOf(r *http.Request) *mcp.Server {
	server, _ := r.Context().Value(serverKey{}).(*mcp.Server)
	return server
}

// verified hands the caller to the SDK, which passes on with each message what
// its own bearer check has found.
func verified(h http.Handler) http.Handler {
	check := func(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
		c := callerFrom(ctx)
		if c == nil {
			return nil, auth.ErrInvalidToken
		}
		return &auth.TokenInfo{UserID: c.owner(), Extra: map[string]any{callerField: c}}, nil
	}
	return auth.RequireBearerToken(check, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(mcpanswer.Handler(h))
}

// ServeHTTP serves one request, which the gate has let in.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	p, v := principal.From(r.Context()), site.VisitFrom(r.Context())
	if p == nil || v == nil {
		fault.ProblemOf(fault.New(fault.Unauthenticated, "sign in first: there is nothing to do here without a name")).WriteTo(w)
		return
	}
	at := *v // a call may go on after its request has ended
	c := &caller{principal: p, visit: &at}
	r = r.Clone(withCaller(r.Context(), c))
	r.Header.Set("Authorization", "Bearer checked") // by the gate; the token itself ends here
	var m message
	if r.Method == http.MethodPost {
		var err error
		if m, err = read(w, r); err != nil {
			refuse(w, nil, err)
			return
		}
	}
	if s.stepUp(r.Context(), w, c, m) {
		return
	}
	if m.stateless {
		s.serveStateless(w, r, c, m)
		return
	}
	s.serveStateful(w, r, c, m)
}

// stepUp answers a call whose person may do what their client did not ask for yet:
// 403 with all scopes that are needed, upon which clients ask the person (RFC 6750;
// MCP, Scope Challenge Handling). Whoever would not be given the scope gets the
// tool's own refusal instead, and is not asked again and again.
func (s *Server) stepUp(ctx context.Context, w http.ResponseWriter, c *caller, m message) bool {
	t := s.byName[m.tool]
	if m.method != "tools/call" || t == nil || s.levelOf(ctx).has(t.scope) || c.principal.Has(string(t.scope)) || !s.opt.Grantable(c.visit, string(t.scope)) {
		return false
	}
	if t.operation != nil {
		_ = t.operation.Authorize(ctx) // writes the refusal down
	}
	scopes := strings.Join(append(slices.Clone(c.principal.Scopes), string(t.scope)), " ")
	w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", error_description="this needs the scope `+string(t.scope)+
		`", resource_metadata="`+c.visit.Origin+"/.well-known/oauth-protected-resource"+strings.TrimSuffix(c.visit.Host.Proxy.ResourceEndpoint, "/")+`", scope="`+scopes+`"`)
	refuse(w, m.id, fault.New(fault.Denied, "this needs the scope %s: sign in again and allow it", t.scope))
	return true
}

// serveStateless serves a request of 2026-07-28. A subscription gets a server of
// its own, so that what is sent to it is sent to nobody else.
func (s *Server) serveStateless(w http.ResponseWriter, r *http.Request, c *caller, m message) {
	server := s.shared
	if m.method == "subscriptions/listen" {
		server = s.newServer("")
		e := &session{id: newID(), owner: c.owner(), subject: c.principal.Subject, server: server, level: s.levelOf(r.Context()), caller: c, subscription: true}
		if err := s.sessions.add(e, time.Now()); err != nil {
			refuse(w, m.id, err)
			return
		}
		defer s.sessions.remove(e)
	}
	s.stateless.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), serverKey{}, server)))
}

// serveStateful serves a request of the versions that have sessions.
func (s *Server) serveStateful(w http.ResponseWriter, r *http.Request, c *caller, m message) {
	ids := r.Header.Values("Mcp-Session-Id")
	var e *session
	switch {
	case len(ids) == 0 && m.method == "initialize":
		if e = s.begin(w, r, c, m); e == nil {
			return
		}
		defer s.begun(e)
	case len(ids) != 1 && r.Method != http.MethodOptions:
		refuse(w, m.id, fault.New(fault.Malformed, "the header Mcp-Session-Id is missing: begin with initialize, which answers it"))
		return
	case len(ids) == 1:
		if e = s.sessions.use(ids[0], c.owner()); e == nil {
			if s.opt.Handover.Pass(w, r, ids[0]) {
				return
			}
			refuse(w, m.id, fault.New(fault.NotFound, "there is no such session: begin anew with initialize"))
			return
		}
		defer func() { s.sessions.release(e, time.Now()) }()
		s.follow(e, c, r)
	}
	ctx := r.Context()
	if e != nil {
		ctx = context.WithValue(ctx, serverKey{}, e.server)
	}
	s.stateful.ServeHTTP(w, r.WithContext(ctx))
}

// begin makes room for a session before the client can know of it. While the store
// is away none begins: the tools would not work.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, c *caller, m message) *session {
	if err := s.opt.Control.Ready(r.Context()); err != nil {
		refuse(w, m.id, err)
		return nil
	}
	id := s.opt.Handover.NewID()
	e := &session{id: id, owner: c.owner(), subject: c.principal.Subject, server: s.newServer(id), level: s.levelOf(r.Context())}
	if err := s.sessions.add(e, time.Now()); err != nil {
		refuse(w, m.id, err)
		return nil
	}
	return e
}

// begun forgets a session that came to nothing, and else waits for its end.
func (s *Server) begun(e *session) {
	s.sessions.release(e, time.Now())
	for open := range e.server.Sessions() {
		s.sessions.ends.Go(func() {
			_ = open.Wait() // how it ended is the client's matter
			s.sessions.remove(e)
		})
		return
	}
	s.sessions.remove(e)
}

// Run looks after sessions until ctx ends; then it ends them all.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, e := range s.sessions.close() {
				e.end(&s.sessions.ends)
			}
			s.sessions.ends.Wait()
			return ctx.Err()
		case <-tick.C:
			s.recheck(ctx)
			for _, e := range s.sessions.idle(time.Now().Add(-idleTime)) {
				e.end(&s.sessions.ends)
			}
		}
	}
}
