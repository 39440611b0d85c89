package oauth

import (
	"strings"

	"gatehouse/internal/site"
)

// place is where an authorization-server endpoint was asked: which host, under
// which origin, and which issuer acts there.
type place struct {
	name   string // the concrete hostname
	origin string
	issuer string
	host   *site.Host
	signIn string // where the pages for people stand, without a trailing slash
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
	p.issuer = p.origin
	if s.opt.FixedIssuer != "" {
		p.issuer = s.opt.FixedIssuer
	}
	return p
}

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
