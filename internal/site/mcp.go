package site

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gatehouse/internal/fault"
)

// MCPRule allows or denies tools of an MCP backend. A rule speaks for a call
// when everything that it names fits: one of its tools and, where given, one of
// its users, scopes and clients. The first rule of a list that speaks decides;
// where none does, the tool is denied if the list has a rule that allows, else
// allowed.
type MCPRule struct {
	Tools         []string `json:"tools" jsonschema:"names of tools; * stands for any characters and ? for one"`
	Action        string   `json:"action" jsonschema:"allow or deny"`
	Users         []string `json:"users,omitempty" jsonschema:"people as in the lists; none: everybody"`
	Scopes        []string `json:"scopes,omitempty" jsonschema:"for callers who hold one of these scopes; none: everybody"`
	Clients       []string `json:"clients,omitempty" jsonschema:"client ids, with * and ?; none: every client"`
	RequiresScope string   `json:"requires_scope,omitempty" jsonschema:"scope without which the call is answered 403 and the client asks for more"`
	Rate          string   `json:"rate,omitempty" jsonschema:"calls of each tool by each user, such as 30/minute"`
}

// The actions of an MCPRule.
const (
	MCPAllow = "allow"
	MCPDeny  = "deny"
)

var errRate = errors.New("is a number from 1 to 100000, a slash, and second, minute, hour or day, such as 30/minute")

// ParseRate reads the rate of an MCPRule: so many calls in such a time.
func ParseRate(s string) (calls int, per time.Duration, err error) {
	number, unit, _ := strings.Cut(s, "/")
	calls, err = strconv.Atoi(number)
	per = map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[unit]
	if err != nil || strconv.Itoa(calls) != number || calls < 1 || calls > 100_000 || per == 0 {
		return 0, 0, errRate
	}
	return calls, per, nil
}

// Glob reports whether name fits pattern, in which * stands for any characters,
// none included, and ? for one.
func Glob(pattern, name string) bool {
	star, mark := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0: // let the last star take one more
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// ServesMCP reports whether some requests to p are those of an MCP endpoint, which
// Visit.MCP tells of one request.
func (p *Proxy) ServesMCP() bool {
	return p.MCPEnabled || p.TargetURL == InternalMCP || (p.ResourceEndpoint != "" && p.ResourceEndpoint != "/")
}

func (p *Proxy) checkMCP(broken *fault.Rules) {
	if len(p.MCPTools) > maxList {
		broken.Add("mcp_tools", "holds at most %d rules", maxList)
		return
	}
	for i := range p.MCPTools {
		p.MCPTools[i].check(broken, at("mcp_tools", i), p)
	}
}

func (r *MCPRule) check(broken *fault.Rules, path string, p *Proxy) {
	oneOf(broken, path+".action", r.Action, MCPAllow, MCPDeny)
	if len(r.Tools) == 0 {
		broken.Add(path+".tools", "names at least one tool; * is all of them")
	}
	list(broken, path+".tools", r.Tools, globRule)
	list(broken, path+".clients", r.Clients, globRule)
	list(broken, path+".users", r.Users, nameRule)
	list(broken, path+".scopes", r.Scopes, scopeRule)
	if (r.RequiresScope != "" || r.Rate != "") && r.Action != MCPAllow {
		field := cmp.Or(map[bool]string{true: "requires_scope"}[r.RequiresScope != ""], "rate")
		broken.Add(path+"."+field, "goes with the action allow")
	}
	if why := scopeRule(r.RequiresScope); r.RequiresScope != "" && why != "" {
		broken.Add(path+".requires_scope", "%s", why)
	} else if r.RequiresScope != "" && !slices.Contains(p.ResourceScopes, r.RequiresScope) {
		broken.Add(path+".requires_scope", "must be one of resource_scopes: nobody could be given it")
	}
	if r.Rate != "" {
		if _, _, err := ParseRate(r.Rate); err != nil {
			broken.Add(path+".rate", "%s", err)
		}
	}
}

func globRule(s string) string {
	if s == "" || strings.ContainsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }) {
		return "is a name without spaces, in which * stands for any characters and ? for one"
	}
	return ""
}
