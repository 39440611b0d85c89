package signin

import (
	"slices"
	"strings"

	"gatehouse/internal/site"
)

// way is one way in that the sign-in page offers beside local accounts: a
// provider, and what is asked of it.
type way struct {
	remote
	name   string   // of the provider; what the button sends
	label  string   // of the provider, as people read it
	client string   // our client id there, in case it changes while somebody is on the way
	via    string   // the proxy whose own app it is; empty: the environment's
	groups []string // those that policies name
}

// ways are the ways in for an errand, in the order of the page. They are looked
// up at each request, so that a change counts at once.
func (c *call) ways(e errand) []way {
	var all []way
	if w, ok := c.githubFor(c.hostOf(e)); ok {
		all = append(all, w)
	}
	if w, ok := c.oidcWay(); ok {
		all = append(all, w)
	}
	return all
}

func (c *call) wayBy(e errand, name string) (way, bool) {
	all := c.ways(e)
	i := slices.IndexFunc(all, func(w way) bool { return w.name == name })
	if i < 0 {
		return way{}, false
	}
	return all[i], true
}

// githubFor is the way through GitHub for a host: its own app where it has one,
// else the environment's.
func (p *Pages) githubFor(host *site.Host) (way, bool) {
	if host != nil && host.Proxy.GitHubClientID != "" {
		secret, err := p.opt.ProxySecret(&host.Proxy)
		if err != nil || secret == "" {
			p.log.Error("the GitHub app of a proxy can't be used", "proxy", host.Proxy.Hostname, "error", err)
			return way{}, false
		}
		app := p.opt.GitHub
		app.ClientID, app.ClientSecret = host.Proxy.GitHubClientID, secret
		return p.githubWay(app, host.Proxy.Hostname, groupsOf(host)), true
	}
	return p.githubWay(p.opt.GitHub, "", groupsOf(p.opt.World().Hosts()...)), p.opt.GitHub.Configured()
}

func (p *Pages) githubWay(app GitHubApp, via string, groups []string) way {
	groups = slices.DeleteFunc(groups, isOIDCGroup)
	return way{remote: githubProvider{app: app, client: p.opt.HTTP}, name: github, label: githubLabel, client: app.ClientID, via: via, groups: groups}
}

// oidcWay is the way through the OpenID provider. Where GitHub is a way in too,
// a group without a prefix is GitHub's: anybody can found an organization there
// under the name of somebody else's group.
func (p *Pages) oidcWay() (way, bool) {
	if p.oidc == nil {
		return way{}, false
	}
	named := groupsOf(p.opt.World().Hosts()...)
	if p.githubAnywhere() {
		named = slices.DeleteFunc(named, func(g string) bool { return !isOIDCGroup(g) })
	}
	return way{remote: p.oidc, name: oidc, label: p.oidc.label(), client: p.oidc.app.Issuer + " " + p.oidc.app.ClientID, groups: named}, true
}

func (p *Pages) githubAnywhere() bool {
	return p.opt.GitHub.Configured() ||
		slices.ContainsFunc(p.opt.World().Hosts(), func(h *site.Host) bool { return h.Proxy.GitHubClientID != "" })
}

// groupsOf are the groups that the policies of hosts name.
func groupsOf(hosts ...*site.Host) []string {
	seen := map[string]bool{}
	var groups []string
	add := func(names []string) {
		for _, name := range names {
			if key := strings.ToLower(name); name != "" && !seen[key] {
				seen[key] = true
				groups = append(groups, name)
			}
		}
	}
	for _, h := range hosts {
		add(h.Proxy.AuthRequiredGroups)
		for _, r := range h.Routes() {
			if r.Auth != nil {
				add(r.Auth.AllowedOrgs)
			}
		}
	}
	return groups
}
