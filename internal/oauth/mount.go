package oauth

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"gatehouse/internal/site"
)

// Where the endpoints stand. They are the same on every host.
const (
	wellKnownServer   = "/.well-known/oauth-authorization-server"
	wellKnownOpenID   = "/.well-known/openid-configuration"
	wellKnownResource = "/.well-known/oauth-protected-resource"

	pathAuthorize  = "/authorize"
	pathToken      = "/token"
	pathRegister   = "/register"
	pathRevoke     = "/revoke"
	pathIntrospect = "/introspect"
	pathJWKS       = "/jwks"
	pathDeviceCode = "/device/code"
	pathVerify     = "/verify"
	pathAliasToken = "/device/token"
)

// request is one request to an endpoint, with what every endpoint needs.
type request struct {
	*http.Request
	visit *site.Visit
	place place
	w     http.ResponseWriter
}

func (r *request) from() netip.Addr { return r.visit.Client }

// endpoint is one protocol endpoint. serve answers; the error that it returns
// is written as OAuth JSON and goes to the journal.
type endpoint struct {
	methods []string
	cors    bool // any origin may call it from a script, without credentials
	limit   *bound
	action  string // the step of the flow, in the journal
	serve   func(*Server, context.Context, *request) error
}

// mount is the table of all endpoints.
func (s *Server) mount() http.Handler {
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	exact := map[string]endpoint{
		pathAuthorize:  {methods: []string{http.MethodGet, http.MethodPost}, limit: s.limits.authorize, action: "authorize", serve: (*Server).authorize},
		pathToken:      {methods: post, cors: true, action: "token", serve: (*Server).token},
		pathAliasToken: {methods: post, cors: true, action: "token", serve: (*Server).token},
		pathRegister:   {methods: post, cors: true, limit: s.limits.register, action: "register", serve: (*Server).register},
		pathRevoke:     {methods: post, cors: true, action: "revoke", serve: (*Server).revokeToken},
		pathIntrospect: {methods: post, action: "introspect", serve: (*Server).introspect},
		pathDeviceCode: {methods: post, limit: s.limits.device, action: "device_code", serve: (*Server).deviceCode},
		pathVerify:     {methods: []string{http.MethodGet, http.MethodHead, http.MethodPost}, action: "verify", serve: (*Server).forwardAuth},
		pathJWKS:       {methods: get, cors: true, serve: (*Server).jwks},
	}
	below := map[string]endpoint{
		wellKnownServer:    {methods: get, cors: true, action: "metadata", serve: (*Server).serverMetadata},
		wellKnownOpenID:    {methods: get, cors: true, action: "metadata", serve: (*Server).serverMetadata},
		wellKnownResource:  {methods: get, cors: true, action: "metadata", serve: (*Server).resourceMetadata},
		pathRegister + "/": {methods: []string{http.MethodGet, http.MethodDelete}, cors: true, action: "registration", serve: (*Server).registration},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := site.VisitFrom(r.Context())
		if v == nil {
			http.Error(w, "this handler needs a visit", http.StatusInternalServerError)
			return
		}
		e, ok := exact[v.Path.Clean]
		for prefix, under := range below {
			if !ok && v.Path.Under(prefix) {
				e, ok = under, true
			}
		}
		if !ok || !v.Path.Plain {
			errNoEndpoint().write(w)
			return
		}
		s.answer(r.Context(), e, &request{Request: r, visit: v, place: s.placeOf(v), w: w})
	})
}

// answer runs an endpoint: method, CORS, bounds, then its own work.
func (s *Server) answer(ctx context.Context, e endpoint, r *request) {
	if e.cors {
		r.w.Header().Set("Access-Control-Allow-Origin", "*")
		r.w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
		if r.Method == http.MethodOptions {
			preflight(r, e.methods)
			return
		}
	}
	if !slices.Contains(e.methods, r.Method) {
		r.w.Header().Set("Allow", strings.Join(e.methods, ", "))
		refusal := invalidRequest("This endpoint takes " + strings.Join(e.methods, " or "))
		refusal.Status = http.StatusMethodNotAllowed
		refusal.write(r.w)
		return
	}
	if e.limit != nil {
		if wait := e.limit.take(r.from()); wait > 0 {
			s.fail(ctx, e, r, tooMany(wait))
			return
		}
	}
	r.Body = http.MaxBytesReader(r.w, r.Body, maxBody)
	if err := e.serve(s, ctx, r); err != nil {
		s.fail(ctx, e, r, err)
	}
}

// maxBody is the most that any endpoint reads.
const maxBody = 64 << 10

// fail writes an error and notes it. Attempts that fail are bounded too; those
// that succeed never are.
func (s *Server) fail(ctx context.Context, e endpoint, r *request, err error) {
	known := asError(err)
	s.noteFlow(ctx, step{action: e.action, client: r.PostForm.Get("client_id"), failed: known})
	if known.Status >= 400 && known.Status < 500 && known.Status != http.StatusTooManyRequests && !expected(known) {
		if wait := s.limits.failed.take(r.from()); wait > 0 {
			known = tooMany(wait)
		}
	}
	known.write(r.w)
}

// expected reports whether an error is part of an ordinary flow: a device that
// waits for its person.
func expected(e *Error) bool { return e.Code == pendingDevice || e.Code == "slow_down" }

// pendingDevice is what a device is told whose person has not answered yet (RFC
// 8628, section 3.5).
const pendingDevice = "authorization_pending"

// preflight answers a CORS preflight: any origin, any header, no credentials.
func preflight(r *request, methods []string) {
	h := r.w.Header()
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" && printable(asked) {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Max-Age", "86400")
	r.w.WriteHeader(http.StatusNoContent)
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}
