package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// Steps 5 and 6 of the access decision: who a request proves to come from.

// ownToken is the bearer token, and whether it names a key or an issuer of ours.
func (j *judge) ownToken() (string, bool) {
	token, _ := bearer(j.r)
	return token, token != "" && j.s.looksOurs(token)
}

// identify is steps 5 and 6: who the request proves to come from. done is true
// when it may not go on.
func (j *judge) identify() (verdict site.Verdict, done bool) {
	if j.as != nil {
		j.who = j.s.stand(j.v, *j.as, &j.set)
		j.note(5, "as if "+j.as.User+" had signed in")
		return verdict, false
	}
	if j.set.mcp {
		if verdict, done := j.mcpOrigin(); done {
			return verdict, true
		}
	}
	token, headers := bearer(j.r)
	if headers > 1 {
		return j.refuseToken(&badToken{reason: reasonSeveral, description: descriptionSeveral}), true
	}
	if headers == 1 {
		verdict, done = j.byToken(token)
		if done || j.who != nil {
			return verdict, done
		}
	}
	return j.byCookie()
}

// byToken is step 6. In passthrough mode a token that is not ours is no
// credential and goes on to the target.
func (j *judge) byToken(token string) (verdict site.Verdict, done bool) {
	e, bad := j.s.verify(token, j.v.Client, j.now)
	if bad == nil {
		bad = j.tokenFits(e)
	}
	if bad != nil {
		if j.set.on && j.set.passes() && !bad.ours && !j.token {
			j.note(5, "the bearer token is not one of ours: "+bad.reason)
			return verdict, false
		}
		j.owned = bad.ours
		return j.refuseToken(bad), true
	}
	j.owned, j.entry = true, e
	if b := j.binding(); b != nil {
		return b.verdict, true
	}
	j.who = j.tokenPrincipal(e)
	j.note(6, "token of "+j.who.User+" by client "+j.who.ClientID)
	return verdict, false
}

// tokenFits reports why a verified token does not count on this host.
func (j *judge) tokenFits(e *entry) *badToken {
	if b := e.bound.Load(); b != nil && j.holds(b) {
		return nil
	}
	c := e.token.claims
	if !j.s.speaks(j.v, c.Issuer, c.Audience) {
		if !j.s.hears(j.v, c.Issuer) {
			return badIssuer
		}
		return badAudience
	}
	if j.s.revokedToken(e.token) {
		return badRevoked
	}
	return nil
}

// speaks reports whether a token of this issuer and audience is for v's host.
// The direct listener takes those of every resource of the API.
func (s *Server) speaks(v *site.Visit, issuer string, audience []string) bool {
	if !v.Direct {
		return issuer == s.issuerFor(v.Host, v.Origin) && slices.Contains(audience, v.Resource())
	}
	for _, aud := range audience {
		host, origin, ok := s.opt.World().Resource(aud)
		if ok && host.Role != site.Ordinary && issuer == s.issuerFor(host, origin) {
			return true
		}
	}
	return false
}

// hears reports whether tokens of this issuer may be for v's host at all.
func (s *Server) hears(v *site.Visit, issuer string) bool {
	if v.Direct {
		return s.ownIssuer(issuer)
	}
	return issuer == s.issuerFor(v.Host, v.Origin)
}

// tokenPrincipal is who a token speaks for, its scopes cut to what the lists
// give now.
func (j *judge) tokenPrincipal(e *entry) *principal.Principal {
	p, host := e.token.principal(nil), j.v.Host
	p.Resource = j.v.Resource()
	if j.v.Direct { // the lists of the host that the token is for
		p.Resource = e.token.claims.Audience[0]
		if named, _, ok := j.s.opt.World().Resource(p.Resource); ok {
			host = named
		}
	}
	p.Scopes = j.s.granted(host, j.set.own, identityOf(p), strings.Fields(e.token.claims.Scope))
	return p
}

// byCookie is step 5 for browsers: the session's cookie counts where it was
// read on purpose and not sent along by a page of somebody else.
func (j *judge) byCookie() (verdict site.Verdict, done bool) {
	if j.v.Direct || j.set.mcp {
		return verdict, false
	}
	e := j.s.sessionEntry(j.v, j.r)
	if e == nil {
		return verdict, false
	}
	if !j.sameOrigin() {
		return j.finish(5, site.Verdict{Outcome: site.Forbid, Reason: reasonOrigin, Error: errorCrossOrigin, Description: descriptionOrigin}), true
	}
	j.entry, j.renew = e, j.s.renewal(j.v, e.session, j.now)
	if b := j.binding(); b != nil {
		verdict = b.verdict
		verdict.SetCookie = j.renew
		return verdict, true
	}
	j.who = j.s.stand(j.v, e.session.Person, &j.set)
	j.who.SessionID, j.who.ParentID, j.who.IssuedAt = e.session.ID, e.session.Parent, e.session.CreatedAt
	j.who.Expires = e.session.CreatedAt.Add(sessionLife)
	j.note(5, "session of "+j.who.User)
	return verdict, false
}

// stand is a person on v's host with all scopes that the lists give them.
func (s *Server) stand(v *site.Visit, person Person, set *settings) *principal.Principal {
	who := person.identity(s.now())
	asked := v.Host.Proxy.ResourceScopes
	if set.own {
		asked = ownScopes
	}
	scopes := s.granted(v.Host, set.own, who, asked)
	return &principal.Principal{Subject: person.Subject, User: person.User, Email: person.Email, Name: person.Name, Groups: who.groups,
		Scopes: scopes, AuthType: principal.Session, Resource: v.Resource(), AuthTime: person.AuthTime}
}

// sameOrigin reports whether the cookie may count for this request.
func (j *judge) sameOrigin() bool {
	switch j.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		if !upgrades(j.r) {
			return true
		}
	}
	origins := j.r.Header["Origin"]
	return len(origins) == 1 && (origins[0] == j.v.Origin || slices.Contains(j.v.Host.Proxy.AuthAllowedOrigins, origins[0]))
}

func upgrades(r *http.Request) bool {
	return len(r.Header["Upgrade"]) > 0 || r.Method == http.MethodConnect || len(r.Header[":protocol"]) > 0 || len(r.Header["Sec-Websocket-Key"]) > 0
}

// mcpOrigin refuses other websites' scripts at an MCP endpoint, and lets CORS
// preflights through to who answers them.
func (j *judge) mcpOrigin() (verdict site.Verdict, done bool) {
	origins := j.r.Header["Origin"]
	if len(origins) == 0 {
		return verdict, false
	}
	if len(origins) > 1 || !mayCallMCP(j.v, origins[0]) {
		return j.finish(5, site.Verdict{Outcome: site.Forbid, Reason: reasonMCPOrigin, Error: errorCrossOrigin, Description: descriptionOrigin}), true
	}
	if j.r.Method == http.MethodOptions && j.r.Header.Get("Access-Control-Request-Method") != "" {
		return j.finish(5, site.Verdict{Reason: reasonPreflight}), true
	}
	return verdict, false
}

// mayCallMCP reports whether a script of origin may call the MCP endpoint of v's
// host: its own origin, loopback, or one that the proxy allows.
func mayCallMCP(v *site.Visit, origin string) bool {
	if origin == v.Origin || slices.Contains(v.Host.Proxy.MCPAllowedOrigins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" || u.User != nil {
		return false
	}
	name := u.Hostname()
	return name == "localhost" || name == "127.0.0.1" || name == "::1"
}

func (j *judge) refuseToken(bad *badToken) site.Verdict {
	if bad == badBounded { // the token may be good: a client must not throw it away
		return j.finish(6, site.Verdict{Outcome: site.Wait, Reason: bad.reason, Error: "too_many_attempts", Description: bad.description})
	}
	return j.finish(6, site.Verdict{Outcome: site.Challenge, Reason: bad.reason, Error: errorToken, Description: bad.description,
		Header: j.challenge(errorToken, bad.description, nil)})
}
