package oauth

import (
	"path"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// anyone in a list is everybody who is signed in.
const anyone = "*"

// groupsAge is how old what we know of a person's groups may be to count.
const groupsAge = 24 * time.Hour

// identity is the part of a person that lists speak of.
type identity struct {
	subject, user, email string
	groups               []string
	person               bool // false for a client that acts for itself
}

// identity is how the lists see p. Groups that were last read too long ago are
// left out.
func (p Person) identity(now time.Time) identity {
	who := identity{subject: p.Subject, user: p.User, email: p.Email, person: isPerson(p.Subject)}
	read := p.Checked
	if read.IsZero() {
		read = p.AuthTime
	}
	if now.Sub(read) < groupsAge {
		who.groups = p.Groups
	}
	return who
}

func identityOf(p *principal.Principal) identity {
	return identity{subject: p.Subject, user: p.User, email: p.Email, groups: p.Groups, person: isPerson(p.Subject)}
}

// clientSubject begins the subject of a token that has no person behind it.
const clientSubject = "client:"

func isPerson(subject string) bool { return !strings.HasPrefix(subject, clientSubject) }

// in reports whether a list names who, by name or by subject, whatever the
// case. "*" stands for people only, never for a client that acts for itself.
func (who identity) in(list []string) bool {
	for _, entry := range list {
		switch {
		case entry == anyone:
			if who.person {
				return true
			}
		case strings.EqualFold(entry, who.user), strings.EqualFold(entry, who.subject):
			return true
		}
	}
	return false
}

// Permitted reports whether person may sign in to host at all: its policy admits
// them, or that of a route which replaces it. Why not is said as the log says it.
// Which paths are open to them is decided at each request.
func (s *Server) Permitted(host *site.Host, person Person) (ok bool, reason string) {
	if person.Via != "" && !strings.EqualFold(person.Via, host.Proxy.Hostname) {
		return false, reasonOtherApp
	}
	return s.admits(host, person.identity(s.now()))
}

func (s *Server) admits(host *site.Host, who identity) (ok bool, reason string) {
	set := settingsOf(host, nil)
	if ok, reason = s.permitted(host, &set, who); ok {
		return true, ""
	}
	for _, route := range host.Routes() {
		if !route.Loosens() {
			continue
		}
		if set := settingsOf(host, &route); set.on {
			if ok, _ := s.permitted(host, &set, who); ok {
				return true, ""
			}
		}
	}
	return false, reason
}

// permitted is step 8 of the access decision.
func (s *Server) permitted(host *site.Host, set *settings, who identity) (ok bool, reason string) {
	if ok, reason := s.named(host, set.people, who); !ok {
		return false, reason
	}
	for i := range set.also {
		if ok, _ := s.named(host, set.also[i], who); !ok {
			return false, reasonRoutePeople
		}
	}
	return true, ""
}

// named reports whether one set of people holds who.
func (s *Server) named(host *site.Host, p people, who identity) (bool, string) {
	if p.users == nil {
		if s.listed(host, who) {
			return true, ""
		}
	} else if who.in(p.users) {
		return true, ""
	}
	if who.email != "" && slices.ContainsFunc(p.emails, func(glob string) bool { return emailMatches(glob, who.email) }) {
		return true, ""
	}
	for _, group := range p.groups {
		if slices.ContainsFunc(who.groups, func(g string) bool { return strings.EqualFold(g, group) }) {
			return true, ""
		}
	}
	if p.users != nil && len(p.users)+len(p.emails)+len(p.groups) == 0 {
		return false, reasonNobody
	}
	return false, reasonNotListed
}

// listed reports whether the default lists of host hold who, in which local
// accounts stand by the scopes that they carry.
func (s *Server) listed(host *site.Host, who identity) bool {
	l := s.defaults(host)
	return who.in(l.Admin) || who.in(l.User) || who.in(l.MCP) || len(s.users.scopes(who.user)) > 0
}

func (s *Server) defaults(host *site.Host) *Lists {
	if host.Role == site.LocalhostRole {
		return &s.opt.Localhost
	}
	return &s.opt.Lists
}

// emailMatches compares an address with a glob such as "*@example.com",
// whatever the case. A star never crosses the @.
func emailMatches(glob, address string) bool {
	globLocal, globDomain, ok1 := cutLast(strings.ToLower(glob), '@')
	local, domain, ok2 := cutLast(strings.ToLower(address), '@')
	if !ok2 {
		return false
	}
	if !ok1 {
		return glob == anyone
	}
	return matches(globLocal, local) && matches(globDomain, domain)
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func matches(glob, s string) bool {
	if strings.ContainsRune(s, '/') { // a slash is special to path.Match and to no address that lists name
		return false
	}
	ok, err := path.Match(glob, s)
	return ok && err == nil
}

// GrantedScopes are those of the asked scopes that host's lists give person
// now, in the order asked. admin gives user and mcp when they are asked for.
func (s *Server) GrantedScopes(host *site.Host, person Person, asked []string) []string {
	if person.Via != "" && !strings.EqualFold(person.Via, host.Proxy.Hostname) {
		return nil
	}
	return s.granted(host, false, person.identity(s.now()), asked)
}

// granted cuts asked to what the lists give who. With own the rights are over
// Gatehouse itself (its API, its MCP server), where a proxy's own lists have no say.
func (s *Server) granted(host *site.Host, own bool, who identity, asked []string) []string {
	given := s.scopeLists(host, own || host.Role != site.Ordinary)
	var scopes []string
	var admitted, asked4admission bool
	for _, scope := range asked {
		if slices.Contains(scopes, scope) {
			continue
		}
		switch scope {
		case principal.ScopeAdmin, principal.ScopeUser, principal.ScopeMCP:
			if given.gives(scope, who, s.users.scopes(who.user)) {
				scopes = append(scopes, scope)
			}
		default: // a scope of the proxy's own resource: for whom its policy admits
			if !slices.Contains(host.Proxy.ResourceScopes, scope) {
				continue
			}
			if !asked4admission {
				admitted, _ = s.admits(host, who)
				asked4admission = true
			}
			if admitted {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes
}

// scopeLists are the three lists that apply, each with whether local accounts
// stand in it by their scopes.
type scopeLists struct {
	admin, user, mcp                []string
	localAdmin, localUser, localMCP bool
}

func (s *Server) scopeLists(host *site.Host, own bool) scopeLists {
	d := s.defaults(host)
	l := scopeLists{d.Admin, d.User, d.MCP, true, true, true}
	if own {
		return l
	}
	p := &host.Proxy
	if p.OAuthAdminUsers != nil {
		l.admin, l.localAdmin = p.OAuthAdminUsers, false
	}
	if p.OAuthUserUsers != nil {
		l.user, l.localUser = p.OAuthUserUsers, false
	}
	if p.OAuthMCPUsers != nil {
		l.mcp, l.localMCP = p.OAuthMCPUsers, false
	}
	return l
}

// gives reports whether the lists give who a scope; carried are the scopes of a
// local account. Whoever has admin has the others.
func (l *scopeLists) gives(scope string, who identity, carried []string) bool {
	if l.list(l.admin, l.localAdmin, principal.ScopeAdmin, who, carried) {
		return true
	}
	switch scope {
	case principal.ScopeUser:
		return l.list(l.user, l.localUser, scope, who, carried)
	case principal.ScopeMCP:
		return l.list(l.mcp, l.localMCP, scope, who, carried)
	}
	return false
}

func (l *scopeLists) list(names []string, local bool, scope string, who identity, carried []string) bool {
	if scope == principal.ScopeAdmin {
		names = withoutAnyone(names)
	}
	return who.in(names) || (local && slices.Contains(carried, scope))
}

// withoutAnyone is a list of names alone: nobody is an administrator by "*".
func withoutAnyone(names []string) []string {
	if !slices.Contains(names, anyone) {
		return names
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == anyone })
}
