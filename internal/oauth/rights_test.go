package oauth

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/site"
)

func TestPeopleByUsersEmailsAndGroups(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	for _, u := range []User{{Name: "admin", Hash: "x", Scopes: []string{"admin"}}, {Name: "guest", Hash: "x"}} {
		if err := r.CreateUser(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	grouped := person("zoe")
	grouped.Groups = []string{"acme", "acme/ops"}
	stale := grouped
	stale.AuthTime = time.Now().Add(-25 * time.Hour)
	reread := stale
	reread.Checked = time.Now().Add(-time.Hour)
	noMail := person("zoe")
	noMail.Email = ""
	numbered := Person{Subject: "github:583231", User: "renamed", AuthTime: time.Now()}
	otherApp := person("alice")
	otherApp.Via = "other.example.com"
	ownApp := person("alice")
	ownApp.Via = "app.example.com"
	local := func(name string) Person { return LocalPerson(User{Name: name}, time.Now()) }
	type policy struct{ users, emails, groups []string }
	for name, c := range map[string]struct {
		policy policy
		who    Person
		ok     bool
		reason string
	}{
		"null takes the admin list":               {policy{}, person("root"), true, ""},
		"null takes the mcp list with its star":   {policy{}, person("anybody"), true, ""},
		"a list":                                  {policy{users: []string{"alice"}}, person("alice"), true, ""},
		"a list in any case":                      {policy{users: []string{"ALICE"}}, person("alice"), true, ""},
		"not in the list":                         {policy{users: []string{"alice"}}, person("bob"), false, "user_not_listed"},
		"a longer name is another":                {policy{users: []string{"alice"}}, person("alice2"), false, "user_not_listed"},
		"a star in the list":                      {policy{users: []string{"*"}}, person("bob"), true, ""},
		"an empty list is nobody":                 {policy{users: []string{}}, person("root"), false, "nobody_listed"},
		"by number":                               {policy{users: []string{"github:583231"}}, numbered, true, ""},
		"a local account by its name":             {policy{users: []string{"local:admin"}}, local("admin"), true, ""},
		"a GitHub user with a local one's name":   {policy{users: []string{"local:admin"}}, person("admin"), false, "user_not_listed"},
		"a local account with a GitHub user's":    {policy{users: []string{"admin"}}, local("admin"), false, "user_not_listed"},
		"by e-mail":                               {policy{users: []string{}, emails: []string{"*@example.com"}}, person("zoe"), true, ""},
		"by e-mail in any case":                   {policy{users: []string{}, emails: []string{"*@EXAMPLE.com"}}, person("zoe"), true, ""},
		"an e-mail of a longer domain":            {policy{users: []string{}, emails: []string{"*@ample.com"}}, person("zoe"), false, "user_not_listed"},
		"a star does not cross the @":             {policy{users: []string{}, emails: []string{"zoe*"}}, person("zoe"), false, "user_not_listed"},
		"a domain of a trick":                     {policy{users: []string{}, emails: []string{"*@example.com"}}, Person{User: "x", Subject: "y", Email: "a@example.com@evil.example", AuthTime: time.Now()}, false, "user_not_listed"},
		"no verified e-mail":                      {policy{users: []string{}, emails: []string{"*"}}, noMail, false, "user_not_listed"},
		"by organisation":                         {policy{users: []string{}, groups: []string{"Acme"}}, grouped, true, ""},
		"by team":                                 {policy{users: []string{}, groups: []string{"acme/ops"}}, grouped, true, ""},
		"not in the team":                         {policy{users: []string{}, groups: []string{"acme/dev"}}, grouped, false, "user_not_listed"},
		"groups read too long ago":                {policy{users: []string{}, groups: []string{"acme"}}, stale, false, "user_not_listed"},
		"groups read again since":                 {policy{users: []string{}, groups: []string{"acme"}}, reread, true, ""},
		"users and groups: one suffices":          {policy{users: []string{"alice"}, groups: []string{"acme"}}, grouped, true, ""},
		"signed in by another host's app":         {policy{users: []string{"*"}}, otherApp, false, "signed_in_by_another_hosts_app"},
		"signed in by this host's app":            {policy{users: []string{"*"}}, ownApp, true, ""},
		"a local account without scopes, by star": {policy{}, local("guest"), true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.in(t)
			r.change("app.example.com", func(p *site.Proxy) {
				p.AuthRequiredUsers, p.AuthRequiredEmails, p.AuthRequiredGroups = c.policy.users, c.policy.emails, c.policy.groups
			})
			ok, reason := r.Permitted(r.world.Load().Find("app.example.com"), c.who)
			if ok != c.ok || reason != c.reason {
				t.Errorf("got %v %q", ok, reason)
			}
		})
	}
}

func TestDefaultListsHoldLocalAccountsByTheirScopes(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Lists = Lists{} })
	for _, u := range []User{{Name: "admin", Hash: "x", Scopes: []string{"admin"}}, {Name: "guest", Hash: "x"}} {
		if err := r.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	r.change("open.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = nil })
	host := r.world.Load().Find("open.example.com")
	for name, want := range map[string]bool{"admin": true, "guest": false, "nobody": false} {
		if ok, _ := r.Permitted(host, LocalPerson(User{Name: name}, time.Now())); ok != want {
			t.Errorf("%s: %v", name, ok)
		}
	}
	if ok, _ := r.Permitted(host, person("admin")); ok {
		t.Error("a GitHub user of the same name is let in")
	}
}

func TestGrantedScopes(t *testing.T) {
	r := newRig(t)
	for _, u := range []User{{Name: "admin", Hash: "x", Scopes: []string{"admin"}}, {Name: "reader", Hash: "x", Scopes: []string{"user"}}} {
		if err := r.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	r.change("app.example.com", func(p *site.Proxy) {
		p.OAuthAdminUsers = []string{"boss", "*"}
		p.ResourceScopes = []string{"admin", "user", "mcp", "reports"}
	})
	all := []string{"admin", "user", "mcp", "reports", "openid"}
	for _, c := range []struct {
		host string
		who  Person
		want string
	}{
		{"app.example.com", person("alice"), "user mcp reports"},
		{"app.example.com", person("bob"), "user reports"},
		{"app.example.com", person("boss"), "admin user mcp"},                                 // its policy does not let them in, so no reports
		{"app.example.com", person("zoe"), ""},                                                // a star makes nobody an administrator
		{"app.example.com", person("root"), ""},                                               // the default lists have no say where the proxy has its own
		{"app.example.com", LocalPerson(User{Name: "admin"}, time.Now()), "reports"},          // nor has a local account's scope
		{"other.example.com", LocalPerson(User{Name: "admin"}, time.Now()), "admin user mcp"}, // null admin list: the environment's and local accounts
		{"auth.example.com", person("root"), "admin user mcp"},
		{"auth.example.com", person("reader"), "user mcp"},
		{"auth.example.com", person("zoe"), "mcp"},
		{"auth.example.com", person("localroot"), "mcp"},
		{"auth.example.com", LocalPerson(User{Name: "admin"}, time.Now()), "admin user mcp"},
		{"auth.example.com", LocalPerson(User{Name: "reader"}, time.Now()), "user mcp"},
		{"localhost", person("root"), ""},
		{"localhost", person("localroot"), "admin user mcp"},
		{"localhost", LocalPerson(User{Name: "reader"}, time.Now()), "user"},
	} {
		got := strings.Join(r.GrantedScopes(r.world.Load().Find(c.host), c.who, all), " ")
		if got != c.want {
			t.Errorf("%s on %s: %q, want %q", c.who.User, c.host, got, c.want)
		}
	}
}

func TestProxyOwnersHaveNoRightsOverGatehouse(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Lists.MCP = []string{"mcpuser"} })
	own := func(p *site.Proxy) {
		p.OAuthAdminUsers, p.OAuthUserUsers, p.OAuthMCPUsers = []string{"owner"}, []string{"owner"}, []string{"owner", "mcpuser"}
		p.AuthRequiredUsers = []string{"*"}
		p.ResourceEndpoint = "/mcp"
	}
	route := site.Route{ID: "tools", PathPattern: "/mcp", Match: site.MatchPrefix, Target: site.InternalMCP, Scope: site.ScopeProxy, ProxyHostnames: []string{"app.example.com"}, Enabled: true, Priority: 50}
	r.change("app.example.com", own, route)
	r.change("auth.example.com", own, route)
	for who, want := range map[string]site.Outcome{"owner": site.Forbid, "mcpuser": site.Allow} {
		token, _, _ := r.tokens(appOrigin, person(who), "admin user mcp")
		verdict, _ := r.admit(http.MethodPost, appOrigin+"/mcp", "Authorization", "Bearer "+token)
		if verdict.Outcome != want || (verdict.Outcome == site.Allow && verdict.Principal.Has("admin")) {
			t.Errorf("%s at our MCP server on another host: %+v", who, verdict)
		}
		verdict, _ = r.admit(http.MethodGet, appOrigin+"/app", "Authorization", "Bearer "+token)
		if verdict.Outcome != site.Allow || verdict.Principal.Has("admin") != (who == "owner") {
			t.Errorf("%s at the proxy's own resource: %+v", who, verdict)
		}
	}
	if got := r.GrantedScopes(r.world.Load().Find("auth.example.com"), person("owner"), []string{"admin", "user", "mcp"}); len(got) > 0 {
		t.Errorf("the sign-in host's own lists give %v over Gatehouse", got)
	}
}

func TestRouteSettingsReplaceOrTighten(t *testing.T) {
	r := newRig(t)
	route := func(id, path string, scope string, override bool, auth site.RouteAuth) site.Route {
		rt := site.Route{ID: id, PathPattern: path, Match: site.MatchPrefix, Target: "http://10.0.0.6:1", Scope: scope, Enabled: true, Priority: 50, OverrideAuth: override, Auth: &auth}
		if scope == site.ScopeProxy {
			rt.ProxyHostnames = []string{"app.example.com", "open.example.com"}
		}
		return rt
	}
	users := func(names ...string) site.RouteAuth { return site.RouteAuth{AllowedUsers: names} }
	routes := []site.Route{
		route("loose", "/loose", site.ScopeProxy, true, site.RouteAuth{AuthType: "none"}),
		route("global-loose", "/global-loose", site.ScopeGlobal, true, site.RouteAuth{AuthType: "none"}),
		route("not-override", "/not-override", site.ScopeProxy, false, site.RouteAuth{AuthType: "none"}),
		route("carols", "/carols", site.ScopeProxy, true, users("carol")),
		route("global-carols", "/global-carols", site.ScopeGlobal, true, users("carol")),
		route("bobs", "/bobs", site.ScopeGlobal, false, users("bob")),
		route("nobodys", "/nobodys", site.ScopeProxy, true, users([]string{}...)),
		route("scoped", "/scoped", site.ScopeProxy, true, site.RouteAuth{RequiredScopes: []string{"mcp"}}),
		route("locked", "/locked", site.ScopeGlobal, false, site.RouteAuth{AuthType: "oauth"}),
		route("orgs", "/orgs", site.ScopeProxy, true, site.RouteAuth{AllowedOrgs: []string{"acme"}}),
		route("mails", "/mails", site.ScopeProxy, true, site.RouteAuth{AllowedEmails: []string{"*@example.com"}}),
	}
	routes[6].Auth.AllowedUsers = []string{}
	r.change("app.example.com", func(*site.Proxy) {}, routes...)
	r.change("open.example.com", func(p *site.Proxy) {
		p.AuthEnabled = false
		p.ResourceEndpoint = "/"
		p.AuthRequiredUsers = []string{"*"}
	}, routes...)
	r.change("wide.example.com", func(p *site.Proxy) { p.AuthEnabled = false }, routes...)
	cookies := map[string][]string{"": nil}
	for _, name := range []string{"alice", "bob", "carol", "dora"} {
		p := person(name)
		if name == "dora" {
			p.Groups = []string{"acme"}
		}
		c := r.cookie(appOrigin, p, "")
		cookies[name] = []string{"Cookie", c.Name + "=" + c.Value}
	}
	for _, c := range []struct {
		url, who string
		outcome  site.Outcome
		reason   string
	}{
		{appOrigin + "/loose", "", site.Allow, "auth_disabled"},
		{appOrigin + "/x/../loose", "", site.Challenge, "no_credential"},
		{appOrigin + "/loose%2fx", "", site.Challenge, "no_credential"},
		{appOrigin + "/global-loose", "", site.Challenge, "no_credential"},
		{appOrigin + "/not-override", "", site.Challenge, "no_credential"},
		{appOrigin + "/carols", "carol", site.Allow, "allowed"},
		{appOrigin + "/carols", "alice", site.Forbid, "user_not_listed"},
		{appOrigin + "/global-carols", "carol", site.Forbid, "user_not_listed"},
		{appOrigin + "/global-carols", "alice", site.Forbid, "user_not_in_route_list"},
		{appOrigin + "/bobs", "bob", site.Allow, "allowed"},
		{appOrigin + "/bobs", "alice", site.Forbid, "user_not_in_route_list"},
		{appOrigin + "/nobodys", "alice", site.Forbid, "nobody_listed"},
		{appOrigin + "/scoped", "alice", site.Allow, "allowed"},
		{appOrigin + "/scoped", "bob", site.Forbid, "scope_missing"},
		{appOrigin + "/orgs", "dora", site.Allow, "allowed"},
		{appOrigin + "/orgs", "alice", site.Forbid, "user_not_listed"},
		{appOrigin + "/mails", "carol", site.Allow, "allowed"},
		{"https://open.example.com/", "", site.Allow, "auth_disabled"},
		{"https://open.example.com/locked", "", site.Challenge, "no_credential"},
		{"https://wide.example.com/", "", site.Allow, "auth_disabled"},
		{"https://wide.example.com/locked", "", site.Challenge, "no_credential"},
		{"https://wide.example.com/.well-known/oauth-protected-resource", "", site.Allow, "public"},
	} {
		verdict, v := r.admit(http.MethodGet, c.url, cookies[c.who]...)
		if verdict.Outcome != c.outcome || verdict.Reason != c.reason {
			t.Errorf("%s by %q: %d %s, want %d %s (route %v)", c.url, c.who, verdict.Outcome, verdict.Reason, c.outcome, c.reason, v.Route)
		}
	}
}

func TestScopesThatAHostAllows(t *testing.T) {
	r := newRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthAllowedScopes = []string{"admin", "mcp"} })
	user, _, _ := r.tokens(appOrigin, person("alice"), "user")
	mcp, _, _ := r.tokens(appOrigin, person("alice"), "mcp")
	verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+user)
	if verdict.Outcome != site.Forbid || verdict.Step != 7 || !strings.Contains(verdict.Header, `scope="mcp", error="insufficient_scope"`) {
		t.Errorf("%+v", verdict)
	}
	if verdict, _ = r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+mcp); verdict.Outcome != site.Allow {
		t.Errorf("%+v", verdict)
	}
}

func TestTokensAreCutToWhatTheListsGiveNow(t *testing.T) {
	r := newRig(t)
	token, _, _ := r.tokens(appOrigin, person("alice"), "user mcp")
	scopes := func() []string {
		verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token)
		if verdict.Principal == nil {
			t.Fatal(verdict.Reason)
		}
		return verdict.Principal.Scopes
	}
	if got := scopes(); !slices.Equal(got, []string{"user", "mcp"}) {
		t.Fatal(got)
	}
	r.change("app.example.com", func(p *site.Proxy) { p.OAuthMCPUsers = []string{} })
	if got := scopes(); !slices.Equal(got, []string{"user"}) {
		t.Errorf("after the list lost alice: %v", got)
	}
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"bob"} })
	if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token); verdict.Outcome != site.Forbid || verdict.Error != "access_denied" {
		t.Errorf("after the policy lost alice: %+v", verdict)
	}
}

func TestStreamsEndWithTheRightToThem(t *testing.T) {
	ended := func(name string, end func(r *rig, v *site.Visit)) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			token, _, _ := r.tokens(appOrigin, person("alice"), "user")
			verdict, v := r.admit(http.MethodGet, appOrigin+"/stream", "Authorization", "Bearer "+token)
			v.Verdict = verdict
			if !r.Still(v) {
				t.Fatal("cut at once")
			}
			r.after(2 * time.Hour)
			if !r.Still(v) {
				t.Error("cut by the token's own expiry")
			}
			end(r, v)
			if r.Still(v) {
				t.Error("goes on")
			}
		})
	}
	revoke := func(kind string, id func(*site.Visit) string) func(*rig, *site.Visit) {
		return func(r *rig, v *site.Visit) {
			if err := r.Revoke(r.t.Context(), kind, id(v)); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	ended("its token is revoked", revoke(RevokeToken, func(v *site.Visit) string { return v.Verdict.Principal.TokenID }))
	ended("its grant is revoked", revoke(RevokeGrant, func(v *site.Visit) string { return v.Verdict.Principal.GrantID }))
	ended("its client is revoked", revoke(RevokeClient, func(v *site.Visit) string { return v.Verdict.Principal.ClientID }))
	ended("its person is revoked", revoke(RevokeUser, func(v *site.Visit) string { return v.Verdict.Principal.Subject }))
	ended("its host is revoked", revoke(RevokeProxy, func(v *site.Visit) string { return v.Name }))
	ended("the policy loses its person", func(r *rig, _ *site.Visit) {
		r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"bob"} })
	})
	ended("the host wants a scope that it lacks", func(r *rig, _ *site.Visit) {
		r.change("app.example.com", func(p *site.Proxy) { p.AuthAllowedScopes = []string{"mcp"} })
	})
	ended("the host is disabled", func(r *rig, _ *site.Visit) {
		r.change("app.example.com", func(p *site.Proxy) { p.Enabled = false })
	})
	ended("the host is gone", func(r *rig, _ *site.Visit) { r.serve(basicProxies()[3:]) })

	t.Run("an anonymous one when the host asks for a sign-in", func(t *testing.T) {
		r := newRig(t)
		r.change("app.example.com", func(p *site.Proxy) { p.AuthEnabled = false })
		_, v := r.admit(http.MethodGet, appOrigin+"/stream")
		if !r.Still(v) {
			t.Fatal("cut at once")
		}
		r.change("app.example.com", func(p *site.Proxy) { p.AuthEnabled = true })
		if r.Still(v) {
			t.Error("goes on")
		}
	})
	t.Run("one whose route is gone", func(t *testing.T) {
		r := newRig(t)
		route := site.Route{ID: "x", PathPattern: "/x", Match: site.MatchPrefix, Target: "http://10.0.0.6:1", Scope: site.ScopeGlobal, Enabled: true}
		r.change("app.example.com", func(*site.Proxy) {}, route)
		token, _, _ := r.tokens(appOrigin, person("alice"), "user")
		_, v := r.admit(http.MethodGet, appOrigin+"/x", "Authorization", "Bearer "+token)
		r.change("app.example.com", func(*site.Proxy) {}, route)
		if !r.Still(v) {
			t.Error("cut by a change that does not concern it")
		}
		r.change("app.example.com", func(*site.Proxy) {})
		if r.Still(v) {
			t.Error("goes on")
		}
	})
}

func TestALocalAccountsAddressIsTheOneAnAdministratorSet(t *testing.T) {
	p := LocalPerson(User{Name: "alice", Email: "alice@example.com"}, time.Now())
	if p.Email != "alice@example.com" || p.User != "local:alice" {
		t.Errorf("got %+v", p)
	}
}
