package oauth

import (
	"net/http"
	"strings"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// Admit decides on r, which v describes, from memory only: see judge for the
// nine steps. It is called for every request.
func (s *Server) Admit(v *site.Visit, r *http.Request) site.Verdict {
	j := judge{s: s, v: v, r: r, now: s.now(), change: s.change.Load()}
	return j.decide()
}

// Explain decides on r like Admit and tells each step. With person given it
// decides as if that person had come with all the scopes that the lists give
// them; else by the credential that r carries.
func (s *Server) Explain(v *site.Visit, r *http.Request, person *Person) (site.Verdict, []Step) {
	var trace []Step
	j := judge{s: s, v: v, r: r, now: s.now(), change: s.change.Load(), trace: &trace, as: person}
	verdict := j.decide()
	return verdict, trace
}

// ExplainToken decides on r, which carries a token, and tells each step, as if v's
// host let nobody in without one: where everybody may in, or the path is excluded,
// the token is judged all the same.
func (s *Server) ExplainToken(v *site.Visit, r *http.Request) (site.Verdict, []Step) {
	var trace []Step
	j := judge{s: s, v: v, r: r, now: s.now(), change: s.change.Load(), trace: &trace, token: true}
	verdict := j.decide()
	return verdict, trace
}

// Step is one step of a decision, as explain shows it.
type Step struct {
	Number int    `json:"step"`
	Name   string `json:"name"`
	Detail string `json:"detail"`
	Final  bool   `json:"final"` // this step decided
}

// Still reports whether what Admit allowed earlier would be allowed now, the
// token's own expiry aside. Long streams ask it again and again: they end when
// their grant, session, person's right or the host's policy does.
func (s *Server) Still(v *site.Visit) bool {
	host := s.opt.World().Find(v.Name)
	if host == nil || !host.Proxy.Enabled {
		return false
	}
	route := v.Route
	if host != v.Host {
		var gone bool
		if route, gone = sameRoute(host, v.Route); gone {
			return false
		}
	}
	set := settingsFor(v, host, route)
	p := v.Verdict.Principal
	if p == nil {
		return stillOpen(host, route, v.Path, &set)
	}
	return s.stillPermitted(host, &set, p)
}

// Scopes are those of v's principal that the lists give it at v's host now; none
// where it is no longer let in.
func (s *Server) Scopes(v *site.Visit) []string {
	host, p := s.opt.World().Find(v.Name), v.Verdict.Principal
	if host == nil || p == nil || !s.Still(v) {
		return nil
	}
	if p.AuthType == principal.Local {
		return p.Scopes
	}
	set := settingsFor(v, host, v.Route)
	return s.granted(host, set.own, identityOf(p), p.Scopes)
}

// Grantable reports whether the lists would give v's principal a scope at v's host,
// had it asked for it.
func (s *Server) Grantable(v *site.Visit, scope string) bool {
	host, p := s.opt.World().Find(v.Name), v.Verdict.Principal
	if host == nil || p == nil || p.AuthType == principal.Local {
		return false
	}
	set := settingsFor(v, host, v.Route)
	return len(s.granted(host, set.own, identityOf(p), []string{scope})) > 0
}

// stillOpen reports whether a request without a principal may go on.
func stillOpen(host *site.Host, route *site.Route, path site.Path, set *settings) bool {
	return isPublic(host, route, path) || !set.on || set.excluded != "" || set.passes()
}

func (s *Server) stillPermitted(host *site.Host, set *settings, p *principal.Principal) bool {
	now := s.now()
	if p.AuthType == principal.Local {
		return true
	}
	if s.revokedPrincipal(p) || (p.AuthType == principal.Session && now.After(p.Expires)) {
		return false
	}
	if !set.on || set.excluded != "" {
		return true
	}
	who := identityOf(p)
	if set.missing(s.granted(host, set.own, who, p.Scopes)) {
		return false
	}
	if set.own {
		return true // operations and tools decide by scopes
	}
	ok, _ := s.permitted(host, set, who)
	return ok
}

// sameRoute finds in a host's present snapshot the route that an older one
// matched. gone: it is no longer there, so the request would go elsewhere now.
func sameRoute(host *site.Host, old *site.Route) (route *site.Route, gone bool) {
	if old == nil {
		return nil, false
	}
	for _, r := range host.Routes() {
		if r.ID == old.ID {
			return &r, !r.Enabled
		}
	}
	return nil, true
}

// bearer is the bearer token of a request, and how many Authorization headers
// stand beside it; 0 when there is no bearer token.
func bearer(r *http.Request) (token string, n int) {
	all := r.Header["Authorization"]
	if len(all) == 0 {
		return "", 0
	}
	scheme, rest, _ := strings.Cut(all[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", 0
	}
	return strings.Trim(rest, " \t"), len(all)
}
