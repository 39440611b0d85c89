package mcpgate

import (
	"slices"
	"strings"
	"time"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// Rules are a proxy's rules for tools, compiled. They are immutable.
type Rules struct {
	host   string
	list   []rule
	closed bool // what no rule speaks for is denied
}

type rule struct {
	site.MCPRule
	calls int // of Rate; 0: no bound
	per   time.Duration
}

// Compile is a proxy's rules; nil where it has none.
func Compile(p *site.Proxy) *Rules {
	if len(p.MCPTools) == 0 {
		return nil
	}
	r := &Rules{host: p.Hostname}
	for _, m := range p.MCPTools {
		c := rule{MCPRule: m}
		if m.Rate != "" {
			c.calls, c.per, _ = site.ParseRate(m.Rate) // Validate has let it in
		}
		r.list = append(r.list, c)
		r.closed = r.closed || m.Action == site.MCPAllow
	}
	return r
}

// ruling is what the rules say of one tool and one caller.
type ruling struct {
	allowed bool
	needs   string // the scope without which it is not
	why     string // for the log
	rule    *rule  // that decided; nil: none spoke
}

// of decides: the first rule that speaks for this caller and tool.
func (r *Rules) of(who *principal.Principal, tool string) ruling {
	for i := range r.list {
		c := &r.list[i]
		if !c.speaks(who, tool) {
			continue
		}
		switch {
		case c.Action != site.MCPAllow:
			return ruling{why: "denied_by_rule", rule: c}
		case c.RequiresScope != "" && !who.Has(c.RequiresScope):
			return ruling{needs: c.RequiresScope, why: "scope_missing", rule: c}
		}
		return ruling{allowed: true, rule: c}
	}
	if r.closed {
		return ruling{why: "no_rule_allows"}
	}
	return ruling{allowed: true}
}

func (c *rule) speaks(who *principal.Principal, tool string) bool {
	if !slices.ContainsFunc(c.Tools, func(glob string) bool { return site.Glob(glob, tool) }) {
		return false
	}
	if len(c.Users)+len(c.Scopes)+len(c.Clients) == 0 {
		return true
	}
	if who == nil {
		return false
	}
	return fits(c.Users, func(name string) bool {
		return strings.EqualFold(name, who.User) || strings.EqualFold(name, who.Subject)
	}) &&
		fits(c.Scopes, who.Has) &&
		fits(c.Clients, func(glob string) bool { return site.Glob(glob, who.ClientID) })
}

// fits reports whether a list has nothing to say or one of its members fits.
func fits(list []string, one func(string) bool) bool {
	return len(list) == 0 || slices.ContainsFunc(list, one)
}

// visible reports whether a caller sees a tool in a list: one that it may call,
// or could once its client asks for more.
func (g *Gate) visible(r *Rules, v *site.Visit, tool string) bool {
	d := r.of(v.Verdict.Principal, tool)
	return d.allowed || (d.needs != "" && g.opt.Grantable(v, d.needs))
}
