package site

import (
	"context"
	"net/netip"
	"strings"

	"gatehouse/internal/principal"
)

// Visit is one request to one host, as the edge understood it: made once at the
// begin of a request, complete before the gate decides, and handed to built-in
// handlers in the request's context. Nothing in it is taken from what a client
// merely claims.
type Visit struct {
	RequestID string
	Host      *Host      // the snapshot that serves this request
	Name      string     // the concrete hostname asked for; differs from Host.Proxy.Hostname for wildcards
	Route     *Route     // the route that matched; nil: the proxy's own target
	Path      Path       // the request's path, parsed once
	Origin    string     // origin of the host as this client reaches it: "https://app.example.com", "http://localhost:8080"
	SignIn    string     // origin of the sign-in host as this client reaches it
	Secure    bool       // came over TLS here, or a trusted peer says it did
	Client    netip.Addr // the client's address after PROXY and trusted forwarding headers
	Peer      netip.Addr // the address of the connection after a PROXY header
	Loopback  bool       // Peer is a loopback address that no PROXY header named
	Trusted   bool       // Peer is in TRUSTED_PROXIES
	Direct    bool       // through API_LISTEN, not through the data path
	Verdict   Verdict    // what the gate decided
}

// Resource is the resource (RFC 8707) that this visit's host stands for: its
// origin plus its resource endpoint.
func (v *Visit) Resource() string { return ResourceOf(v.Origin, v.Host.Proxy.ResourceEndpoint) }

// Target is where the request goes: the route's target, or the proxy's own.
func (v *Visit) Target() string {
	if v.Route != nil {
		return v.Route.Target
	}
	return v.Host.Proxy.TargetURL
}

// MCP reports whether the request is for an MCP endpoint: our own server, or the
// resource endpoint of a proxy, when that is a path of its own or the target is
// known to be an MCP server. Such an endpoint reads no cookies, needs the scope
// mcp, and is closed to foreign web pages.
func (v *Visit) MCP() bool {
	if target := v.Target(); target == InternalMCP || strings.HasPrefix(target, TargetStdio+":") {
		return true
	}
	p := &v.Host.Proxy
	switch {
	case v.Route != nil && v.Route.BuiltIn:
		return false
	case p.ResourceEndpoint == "", p.ResourceEndpoint == "/":
		return p.MCPEnabled
	}
	return v.Path.MayBeUnder(p.ResourceEndpoint)
}

// ResourceOf is a resource: an origin plus a resource endpoint, to which "/" and
// nothing add nothing.
func ResourceOf(origin, endpoint string) string {
	if endpoint == "/" {
		return origin
	}
	return origin + endpoint
}

// Outcome is what the gate lets happen to a request.
type Outcome uint8

// The outcomes.
const (
	Allow     Outcome = iota // on to the target, with the principal or without
	Challenge                // 401 with a Bearer challenge
	Forbid                   // 403; with Verdict.Scopes it carries a challenge for step-up
	SignIn                   // 303 to sign in, no-store
	Wait                     // 429: too many bad attempts came from this address
)

// RetryAfter is how long somebody whose Outcome is Wait should wait, in seconds.
const RetryAfter = 60

// Verdict is the gate's decision on one request. The edge acts on it, the log
// keeps its reason, and explain shows it.
type Verdict struct {
	Outcome     Outcome
	Step        int                  // the step of the access decision that applied, 1 to 9
	Reason      string               // exact, for the log: "public", "excluded", "token_expired", "user_not_listed"
	Principal   *principal.Principal // who is asking; nil: anonymous
	OwnToken    bool                 // the Authorization header carried a token of ours: never passed on
	ByCookie    bool                 // a session cookie decided: the answer gets Cache-Control private
	Error       string               // RFC 6750 error, or "access_denied", "cross_origin"; empty where no credential came
	Description string               // error_description
	Header      string               // WWW-Authenticate, complete; empty: none
	Location    string               // with SignIn: where to
	SetCookie   string               // a Set-Cookie value for the answer: the session's idle time is renewed; empty: none
}

// Allowed reports whether the request may go on.
func (v Verdict) Allowed() bool { return v.Outcome == Allow }

type visitKey struct{}

// WithVisit is ctx carrying v.
func WithVisit(ctx context.Context, v *Visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

// VisitFrom is the visit in ctx; nil outside a request.
func VisitFrom(ctx context.Context) *Visit {
	v, _ := ctx.Value(visitKey{}).(*Visit)
	return v
}
