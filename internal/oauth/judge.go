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
	token bool    // only the token is asked about: what lets everybody in does not count

	change int64 // Server.change as it was before anything was asked
	set    settings
	entry  *entry               // the credential, once it was verified
	who    *principal.Principal // what it proved
	owned  bool                 // Authorization carries a token of ours
	renew  string               // Set-Cookie that renews the session
}

func (j *judge) decide() site.Verdict {
	if isPublic(j.v.Host, j.v.Route, j.v.Path) { // step 1
		return j.public()
	}
	j.note(1, "not a public endpoint")
	j.set = settingsFor(j.v, j.v.Host, j.v.Route) // step 2
	j.noteSettings()
	if !j.set.on && !j.set.own && !j.token { // step 3
		_, j.owned = j.ownToken()
		return j.finish(3, site.Verdict{Reason: reasonOpen})
	}
	if j.set.on && j.set.excluded != "" && !j.token { // step 4
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

// public is step 1. Health tells more to those who may read: there a token that
// counts says who is asking.
func (j *judge) public() site.Verdict {
	verdict := site.Verdict{Reason: reasonPublic}
	if j.v.Route.ID == site.RouteHealth {
		j.set = settingsFor(j.v, j.v.Host, j.v.Route)
		verdict.Principal = j.bystander()
	}
	return j.finish(1, verdict)
}

// excluded is step 4: the request goes on, whatever it carries; a token that
// counts here still says who is asking.
func (j *judge) excluded() site.Verdict {
	return j.finish(4, site.Verdict{Reason: reasonExcluded, Principal: j.bystander()})
}

// bystander is who sent a token that counts here, on a path where nobody has to;
// nil for everybody else.
func (j *judge) bystander() *principal.Principal {
	token, _ := bearer(j.r)
	if token == "" {
		return nil
	}
	e, bad := j.s.verify(token, j.v.Client, j.now)
	if bad != nil {
		j.owned = j.s.looksOurs(token)
		return nil
	}
	j.owned = true
	if j.tokenFits(e) != nil {
		return nil
	}
	return j.tokenPrincipal(e)
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
	word := [...]string{site.Allow: "allowed", site.Challenge: "401", site.Forbid: "403", site.SignIn: "303 to sign in", site.Wait: "429"}[v.Outcome]
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
