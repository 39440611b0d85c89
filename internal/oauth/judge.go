package oauth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// Reasons of the gate, as the log says them. Those about tokens are with badToken.
const (
	reasonPublic       = "public"
	reasonOpen         = "auth_disabled"
	reasonExcluded     = "excluded"
	reasonPassed       = "no_credential_passed"
	reasonPreflight    = "preflight"
	reasonAllowed      = "allowed"
	reasonNone         = "no_credential"
	reasonSeveral      = "several_authorization_headers"
	reasonOrigin       = "cross_origin"
	reasonMCPOrigin    = "mcp_origin"
	reasonScope        = "scope_missing"
	reasonNotListed    = "user_not_listed"
	reasonRoutePeople  = "user_not_in_route_list"
	reasonNobody       = "nobody_listed"
	reasonOtherApp     = "signed_in_by_another_hosts_app"
	errorDenied        = "access_denied"
	errorCrossOrigin   = "cross_origin"
	errorScope         = "insufficient_scope"
	errorToken         = "invalid_token"
	descriptionDenied  = "This account is not allowed to use this host"
	descriptionOrigin  = "The request came from another origin than this host's"
	descriptionSeveral = "Send one Authorization header"
)

// judge decides on one request. Its nine steps stand in decide, in order; the
// first that applies ends the matter.
type judge struct {
	s     *Server
	v     *site.Visit
	r     *http.Request
	now   time.Time
	trace *[]Step // nil: nobody asked
	as    *Person // explain: the person to decide for; nil: whoever the request says

	change int64 // Server.change as it was before anything was asked
	set    settings
	entry  *entry               // the credential, once it was verified
	who    *principal.Principal // what it proved
	owned  bool                 // Authorization carries a token of ours
	renew  string               // Set-Cookie that renews the session
}

func (j *judge) decide() site.Verdict {
	if isPublic(j.v.Host, j.v.Route, j.v.Path) { // step 1
		return j.finish(1, site.Verdict{Reason: reasonPublic})
	}
	j.note(1, "not a public endpoint")
	j.set = settingsFor(j.v, j.v.Host, j.v.Route) // step 2
	j.noteSettings()
	if !j.set.on && !j.set.own { // step 3
		_, j.owned = j.ownToken()
		return j.finish(3, site.Verdict{Reason: reasonOpen})
	}
	if j.set.on && j.set.excluded != "" { // step 4
		return j.excluded()
	}
	j.note(4, "not an excluded path")
	if verdict, done := j.identify(); done { // steps 5 and 6
		return verdict
	}
	if j.who == nil { // steps 3 and 5 without a credential
		return j.anonymous()
	}
	if !j.set.on { // step 3 with one: the operation decides by it
		return j.finish(3, site.Verdict{Reason: reasonOpen, Principal: j.who})
	}
	return j.judged() // steps 7 to 9
}

// isPublic is step 1: ACME challenges, metadata, the OAuth endpoints and pages
// of this host, and the API's health. Built-in routes match exact paths only,
// and lead to handlers of ours alone.
func isPublic(host *site.Host, route *site.Route, path site.Path) bool {
	if route == nil || !route.BuiltIn {
		return false
	}
	switch route.Target {
	case site.InternalACME, site.InternalOAuth, site.InternalPages:
		return true
	}
	return route.ID == site.RouteHealth && host.Role != site.Ordinary && path.Plain
}

// excluded is step 4: the request goes on, whatever it carries; a token that
// counts here still says who is asking.
func (j *judge) excluded() site.Verdict {
	verdict := site.Verdict{Reason: reasonExcluded}
	token, _ := bearer(j.r)
	if token == "" {
		return j.finish(4, verdict)
	}
	e, bad := j.s.verify(token, j.v.Client, j.now)
	if bad == nil {
		j.owned = true
		if j.tokenFits(e) == nil {
			verdict.Principal = j.tokenPrincipal(e)
		}
	} else {
		j.owned = j.s.looksOurs(token)
	}
	return j.finish(4, verdict)
}

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
		if j.set.on && j.set.passes() && !bad.ours {
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
	if len(origins) > 1 || !MCPOrigin(j.v, origins[0]) {
		return j.finish(5, site.Verdict{Outcome: site.Forbid, Reason: reasonMCPOrigin, Error: errorCrossOrigin, Description: descriptionOrigin}), true
	}
	if j.r.Method == http.MethodOptions && j.r.Header.Get("Access-Control-Request-Method") != "" {
		return j.finish(5, site.Verdict{Reason: reasonPreflight}), true
	}
	return verdict, false
}

// MCPOrigin reports whether a script of origin may call the MCP endpoint of v's
// host: its own origin, loopback, or one that the proxy allows.
func MCPOrigin(v *site.Visit, origin string) bool {
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

// anonymous is a request without a credential of ours.
func (j *judge) anonymous() site.Verdict {
	switch {
	case !j.set.on:
		return j.finish(3, site.Verdict{Reason: reasonOpen})
	case j.set.passes():
		return j.finish(5, site.Verdict{Reason: reasonPassed})
	case j.set.mode == site.ModeRedirect && !j.set.mcp && !j.v.Direct && navigates(j.r):
		return j.finish(5, site.Verdict{Outcome: site.SignIn, Reason: reasonNone, Location: startLocation(j.r)})
	}
	return j.finish(5, site.Verdict{Outcome: site.Challenge, Reason: reasonNone, Header: j.challenge("", "", nil)})
}

// navigates reports whether a browser is opening a page, which can be sent away
// to sign in; scripts and programs can not.
func navigates(r *http.Request) bool {
	if (r.Method != http.MethodGet && r.Method != http.MethodHead) || upgrades(r) {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return false
	}
	return slices.ContainsFunc(r.Header["Accept"], func(accept string) bool { return strings.Contains(strings.ToLower(accept), "text/html") })
}

// startLocation is where a browser begins to sign in, with the way back.
func startLocation(r *http.Request) string {
	back := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		back += "?" + r.URL.RawQuery
	}
	return site.PagesPrefix + "start?return=" + url.QueryEscape(back)
}

func (j *judge) refuseToken(bad *badToken) site.Verdict {
	return j.finish(6, site.Verdict{Outcome: site.Challenge, Reason: bad.reason, Error: errorToken, Description: bad.description,
		Header: j.challenge(errorToken, bad.description, nil)})
}

// judged is steps 7 to 9, for a request whose credential counts. The verdict is
// remembered with the credential until something that it rests on changes.
func (j *judge) judged() site.Verdict {
	verdict := j.rights()
	if j.entry != nil && j.trace == nil {
		kept := verdict
		kept.SetCookie = ""
		j.entry.bound.Store(&binding{host: j.v.Host, route: j.v.Route, origin: j.v.Origin, mcp: j.set.mcp, change: j.change,
			until: j.now.Add(bindingLife), verdict: kept})
	}
	return verdict
}

// bindingLife is how long a decision is kept; what depends on the time of day
// (the age of group memberships) is that old at most.
const bindingLife = 10 * time.Second

// binding is the remembered decision for this credential, if it still holds.
func (j *judge) binding() *binding {
	if j.trace != nil || !j.set.on {
		return nil
	}
	if b := j.entry.bound.Load(); b != nil && j.holds(b) {
		return b
	}
	return nil
}

func (j *judge) holds(b *binding) bool {
	return b.host == j.v.Host && b.route == j.v.Route && b.origin == j.v.Origin && b.mcp == j.set.mcp && !j.v.Direct &&
		b.change == j.change && j.now.Before(b.until)
}

func (j *judge) rights() site.Verdict {
	if j.set.missing(j.who.Scopes) { // step 7
		need := j.set.needed(j.who.Scopes)
		text := "The token needs the scope " + strings.Join(need, " ")
		return j.finish(7, site.Verdict{Outcome: site.Forbid, Reason: reasonScope, Principal: j.who, Error: errorScope, Description: text,
			Header: j.challenge(errorScope, text, need)})
	}
	j.note(7, "scopes suffice: "+strings.Join(j.who.Scopes, " "))
	if ok, reason := j.admitted(); !ok { // step 8
		return j.finish(8, site.Verdict{Outcome: site.Forbid, Reason: reason, Principal: j.who, Error: errorDenied, Description: descriptionDenied})
	}
	j.note(8, j.who.User+" may in")
	return j.finish(9, site.Verdict{Reason: reasonAllowed, Principal: j.who}) // step 9
}

// admitted is step 8. On Gatehouse's own parts the scopes alone decide: nobody
// has one without standing in its list.
func (j *judge) admitted() (bool, string) {
	if via := j.via(); via != "" && !strings.EqualFold(via, j.v.Host.Proxy.Hostname) {
		return false, reasonOtherApp
	}
	if j.set.own && !j.v.Host.Proxy.AuthEnabled {
		return true, ""
	}
	return j.s.permitted(j.v.Host, &j.set, identityOf(j.who))
}

func (j *judge) via() string {
	switch {
	case j.as != nil:
		return j.as.Via
	case j.entry != nil && j.entry.session != nil:
		return j.entry.session.Person.Via
	}
	return ""
}

// finish completes a verdict of step n.
func (j *judge) finish(n int, verdict site.Verdict) site.Verdict {
	verdict.Step = n
	verdict.OwnToken = j.owned
	verdict.ByCookie = j.entry != nil && j.entry.session != nil
	verdict.SetCookie = j.renew
	if j.trace != nil {
		*j.trace = append(*j.trace, Step{Number: n, Name: stepNames[n], Detail: outcome(verdict), Final: true})
	}
	return verdict
}

var stepNames = [...]string{1: "public endpoint", 2: "route settings", 3: "authentication on", 4: "excluded path", 5: "credential",
	6: "token", 7: "scopes", 8: "people", 9: "allow"}

func outcome(v site.Verdict) string {
	word := [...]string{site.Allow: "allowed", site.Challenge: "401", site.Forbid: "403", site.SignIn: "303 to sign in"}[v.Outcome]
	return word + ": " + v.Reason
}

func (j *judge) note(n int, detail string) {
	if j.trace != nil {
		*j.trace = append(*j.trace, Step{Number: n, Name: stepNames[n], Detail: detail})
	}
}

func (j *judge) noteSettings() {
	if j.trace == nil {
		return
	}
	route := "no route: the proxy's own target"
	if j.v.Route != nil {
		route = "route " + j.v.Route.ID
	}
	j.note(2, fmt.Sprintf("%s, target %s, authentication %v, mode %s, MCP endpoint %v", route, j.set.target, j.set.on, j.set.mode, j.set.mcp))
}
