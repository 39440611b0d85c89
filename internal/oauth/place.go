package oauth

import (
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// place is where an authorization-server endpoint was asked: which host, under
// which origin, and which issuer acts there.
type place struct {
	name   string // the concrete hostname
	origin string
	issuer string
	host   *site.Host // the issuer's: what it offers is what its proxy narrows
	asked  *site.Host // the host that was asked; another than host with a central issuer
	signIn string     // where the pages for people stand, without a trailing slash
}

// placeOf is where v stands. The direct listener speaks for the sign-in host.
func (s *Server) placeOf(v *site.Visit) place {
	p := place{name: v.Name, origin: v.Origin, host: v.Host, signIn: v.SignIn}
	world := s.opt.World()
	if v.Direct {
		p.name, p.origin = world.Origins.SignInName(), v.SignIn
		if host := world.Find(p.name); host != nil {
			p.host = host
		}
	}
	if world.Origins.OwnPages(p.name) {
		p.signIn = p.origin + strings.TrimSuffix(site.PagesPrefix, "/")
	}
	p.issuer, p.asked = p.origin, p.host
	if fixed := s.opt.FixedIssuer; fixed != "" {
		p.issuer = fixed
		if host := s.hostOf(fixed); host != nil {
			p.host = host
		}
	}
	return p
}

// issuerPlace is the place whose metadata stand at p: its own, or that of the issuer
// that the proxy names. ok is false where the named host is not served.
func (s *Server) issuerPlace(p place) (at place, ok bool) {
	other := p.asked.Proxy.AuthProxy
	if other == "" || s.opt.FixedIssuer != "" {
		return p, true
	}
	issuer := s.issuerFor(p.asked, p.origin)
	host := s.hostOf(issuer)
	if host == nil || !host.Proxy.Enabled || !hasEndpoints(host) {
		return p, false
	}
	return place{name: other, origin: issuer, issuer: issuer, host: host, asked: host}, true
}

// hostOf is the host whose origin an issuer is; nil when it is that of none.
func (s *Server) hostOf(issuer string) *site.Host {
	world := s.opt.World()
	scheme, rest, ok := strings.Cut(issuer, "://")
	if !ok || world == nil {
		return nil
	}
	name := rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		name = rest[:i]
	}
	secure := scheme == "https"
	if (!secure && !site.UnderLocalhost(name)) || world.Origins.Of(name, secure) != issuer {
		return nil
	}
	return world.Find(name)
}

// checkIssuer refuses a central issuer that nobody here answers for: every token
// would name it and no client could get one.
func (s *Server) checkIssuer() error {
	fixed := s.opt.FixedIssuer
	if fixed == "" {
		return nil
	}
	home := s.opt.World().Origins.SignIn(true)
	host := s.hostOf(fixed)
	switch {
	case host == nil:
		return fault.BadField("OAUTH_ISSUER", "%s is not the origin of a host that is served here: take that of the sign-in host, %s, or create the host first", fixed, home)
	case !host.Proxy.Enabled || !hasEndpoints(host):
		return fault.BadField("OAUTH_ISSUER", "%s is a host without an authorization server (no sign-in, no resource endpoint, or switched off): take the sign-in host, %s", fixed, home)
	}
	return nil
}

// IssuerOf is the issuer whose tokens count for host, reached under origin.
func (s *Server) IssuerOf(host *site.Host, origin string) string { return s.issuerFor(host, origin) }

// issuerFor is the one issuer whose tokens count for host, reached under origin.
func (s *Server) issuerFor(host *site.Host, origin string) string {
	if s.opt.FixedIssuer != "" {
		return s.opt.FixedIssuer
	}
	other := host.Proxy.AuthProxy
	if other == "" {
		return origin
	}
	plain := strings.HasPrefix(origin, "http:") && site.UnderLocalhost(other)
	return s.opt.World().Origins.Of(other, !plain)
}

// audience is one resource with the host that it stands for.
type audience struct {
	resource string // what aud holds
	origin   string
	host     *site.Host
}

// audienceOf finds the resource that uri names, if this issuer grants it.
func (s *Server) audienceOf(issuer, uri string) (audience, bool) {
	host, origin, ok := s.opt.World().Resource(uri)
	if !ok || !hasEndpoints(host) || s.issuerFor(host, origin) != issuer {
		return audience{}, false
	}
	return audience{site.ResourceOf(origin, host.Proxy.ResourceEndpoint), origin, host}, true
}

// ownAudience is the resource of the issuer's own host, where none was asked
// for. A central issuer has none.
func (s *Server) ownAudience(p place) (audience, bool) {
	if s.opt.FixedIssuer != "" || !hasEndpoints(p.host) || s.issuerFor(p.host, p.origin) != p.issuer {
		return audience{}, false
	}
	return audience{site.ResourceOf(p.origin, p.host.Proxy.ResourceEndpoint), p.origin, p.host}, true
}

// hasEndpoints reports whether the protocol endpoints stand on host.
func hasEndpoints(host *site.Host) bool { return host.Protected() || host.Role != site.Ordinary }

// resourceScopes are the scopes that a client is told about: what the resource
// knows, without admin, which is asked for by name.
func resourceScopes(host *site.Host) []string { return withoutAdmin(host.Proxy.ResourceScopes) }
