package edge

import (
	"net/http"
	"strings"

	"gatehouse/internal/site"
)

const acmePath = "/.well-known/acme-challenge/"

// route finds the host and where on it the request goes. It reports false when
// it has answered already: nothing of a host is reached then.
func (x *exchange) route() bool {
	x.visit.Path = site.ParsePath(rawPath(x.r))
	return x.sound() && !x.challenged() && x.locate() && x.encrypted() && x.match()
}

// rawPath is the request's path as it was sent.
func rawPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

// sound answers requests that are wrong whatever they ask for.
func (x *exchange) sound() bool {
	r, c := x.r, x.info.strict
	if c != nil && strings.HasPrefix(r.Method, refusedMark) {
		x.problem(c.bad.status, "malformed", "This is not a valid HTTP/1 message: "+c.bad.rule+".")
		return false
	}
	switch {
	case c != nil && x.info.served.Add(1) > c.passed.Load():
		x.hangUp("unchecked", "the parser found a message that the check did not see")
	case r.Method == http.MethodConnect:
		x.w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		x.problem(http.StatusMethodNotAllowed, "method_not_allowed", "CONNECT is not served here.")
	case r.ProtoMajor == 2 && otherHost(r):
		x.problem(http.StatusBadRequest, "malformed", ":authority and Host name different hosts.")
	case r.URL.Path == "*" || !x.edge.rates.allow(addressKey(x.visit.Client), x.start):
		x.odd()
	default:
		return true
	}
	return false
}

func (x *exchange) odd() {
	if x.r.URL.Path == "*" {
		x.problem(http.StatusBadRequest, "malformed", "OPTIONS * is not about any host.")
		return
	}
	x.w.Header().Set("Retry-After", "1")
	x.problem(http.StatusTooManyRequests, "too_many", "Too many requests from this address; try again in a second.")
}

// otherHost reports whether an HTTP/2 request has a Host that is not its :authority.
func otherHost(r *http.Request) bool {
	hosts := r.Header["Host"]
	if len(hosts) == 0 {
		return false
	}
	delete(r.Header, "Host")
	return len(hosts) > 1 || !strings.EqualFold(hosts[0], r.Host)
}

// challenged answers ACME HTTP-01 on every name, known or not, before anything else.
func (x *exchange) challenged() bool {
	if !strings.HasPrefix(x.visit.Path.Clean, acmePath) || !x.visit.Path.Plain {
		return false
	}
	h := x.edge.Locals[site.InternalACME]
	if h == nil {
		return false
	}
	x.visit.Name, _ = hostName(x.r.Host)
	x.scrub()
	h.ServeHTTP(x.w, x.r.WithContext(site.WithVisit(x.ctx, &x.visit)))
	return true
}

// locate finds the instance that the request's own Host names.
func (x *exchange) locate() bool {
	v := &x.visit
	name, ok := hostName(x.r.Host)
	v.Name = name
	if ok {
		x.snap, x.inst = x.edge.lookup(name)
	}
	switch {
	case x.inst == nil || x.hidden():
		x.inst = nil
		x.problem(http.StatusNotFound, "unknown_host", "No host of this name is served here.")
	case x.info.secure && x.inst.host.Proxy.TLSMode == site.TLSPassthrough, !x.info.covers(name), !x.info.serves(x.inst):
		x.inst = nil
		x.problem(http.StatusMisdirectedRequest, "misdirected", "This connection was opened for another host; open one for this host.")
	case !x.inst.host.Proxy.Enabled:
		x.w.custom = true
		x.problem(http.StatusServiceUnavailable, "disabled", "This host is switched off.")
	default:
		x.settle()
		return true
	}
	return false
}

// hidden reports whether the host is as good as unknown to this client, or on
// this port.
func (x *exchange) hidden() bool {
	p := &x.inst.host.Proxy
	if x.visit.Secure && !p.EnableHTTPS || !x.visit.Secure && !p.EnableHTTP {
		return true
	}
	if !site.UnderLocalhost(x.visit.Name) {
		return false
	}
	// A trusted proxy on this machine does not lend its own address to those for
	// whom it speaks.
	return !x.info.localPeer || (x.visit.Client != x.visit.Peer && !contains(x.edge.LocalhostPeers, x.visit.Client))
}

// settle completes the visit for a known host.
func (x *exchange) settle() {
	v := &x.visit
	v.Host = x.inst.host
	x.w.custom = true
	scheme := overTLS
	if !v.Secure && v.Loopback && site.UnderLocalhost(v.Name) {
		scheme = inClear
	}
	v.Origin = x.inst.origins[scheme]
	if v.Name != v.Host.Proxy.Hostname {
		v.Origin = x.snap.world.Origins.Of(v.Name, scheme == overTLS)
	}
	if !site.UnderLocalhost(x.snap.world.Origins.BaseDomain) {
		scheme = overTLS
	}
	v.SignIn = x.snap.signIn[scheme]
}

// Places in the pairs of origins that snapshots and instances keep.
const (
	overTLS = 0
	inClear = 1
)

// encrypted applies what a host asks of plain HTTP.
func (x *exchange) encrypted() bool {
	v := &x.visit
	if v.Secure || (v.Loopback && site.UnderLocalhost(v.Name) && !x.inst.host.Proxy.RedirectHTTPS) {
		return true
	}
	local := v.Loopback && site.UnderLocalhost(v.Name)
	protected := !local && (v.Host.Protected() || v.Host.Role != site.Ordinary)
	p := &v.Host.Proxy
	switch {
	case protected && x.exposed():
		x.refuseClear()
	case protected && !(readOnly(x.r.Method) && p.EnableHTTPS):
		x.problem(http.StatusForbidden, "https_required", "This host works over HTTPS only.")
	case protected, p.RedirectHTTPS && p.EnableHTTPS:
		x.redirectSecure()
	default:
		return true
	}
	return false
}

func readOnly(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// exposed reports whether the request carries a credential that may be ours.
func (x *exchange) exposed() bool {
	return len(x.r.Header["Authorization"]) > 0 || hasOwnCookie(x.r.Header["Cookie"], x.inst.host.Proxy.AuthCookieName)
}

// refuseClear answers a credential in clear: it is lost, so it is reported.
func (x *exchange) refuseClear() {
	for _, value := range x.r.Header["Authorization"] {
		scheme, token, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "bearer") && x.edge.TokenInClear != nil {
			x.edge.TokenInClear(&x.visit, strings.TrimSpace(token))
		}
	}
	x.problem(http.StatusForbidden, "https_required", "This host works over HTTPS only. A credential that was sent in clear is no longer safe.")
}

func (x *exchange) redirectSecure() {
	to := x.snap.world.Origins.Of(x.visit.Name, true) + originForm(x.r)
	x.w.Header().Set("Location", to)
	x.w.Header().Set("Content-Length", "0")
	x.w.WriteHeader(http.StatusPermanentRedirect)
}

// originForm is the request target as path and query.
func originForm(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// match picks the route and its target.
func (x *exchange) match() bool {
	v := &x.visit
	route, gone := v.Host.Match(x.r.Method, v.Path)
	switch {
	case gone && !v.Path.Plain:
		x.problem(http.StatusNotFound, "not_found", "There is nothing at this address. It looks like one of Gatehouse's own in another spelling; those count as they are written alone.")
		return false
	case gone:
		x.problem(http.StatusNotFound, "not_found", "This endpoint is switched off on this host.")
		return false
	}
	v.Route = route
	x.to = x.inst.target(route, x.choice())
	if x.to.local != nil && !x.to.open {
		x.w.custom = false
	}
	return true
}

// believe takes what a trusted proxy says about its client.
func (x *exchange) believe() {
	v, h := &x.visit, x.r.Header
	v.Client = site.ClientOf(h, v.Peer, x.edge.TrustedProxies)
	v.Secure = v.Secure || site.SaidHTTPS(h)
}
