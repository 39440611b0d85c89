package site

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func host(t *testing.T, p Proxy, role Role, routes ...Route) *Host {
	t.Helper()
	h, err := NewHost(p, role, routes)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func route(id, match, pattern string, priority int) Route {
	return Route{ID: id, Match: match, PathPattern: pattern, Priority: priority, Target: "http://x", Scope: ScopeGlobal, Enabled: true}
}

func matched(h *Host, method, raw string) string {
	r, gone := h.Match(method, ParsePath(raw))
	switch {
	case gone:
		return "gone"
	case r == nil:
		return ""
	}
	return r.ID
}

func TestRoutesAreTriedInOrder(t *testing.T) {
	old, young := route("old", MatchPrefix, "/same", 50), route("young", MatchPrefix, "/same", 50)
	young.CreatedAt, old.CreatedAt = time.Unix(2, 0), time.Unix(1, 0)
	h := host(t, good(), Ordinary, young, route("low", MatchPrefix, "/a", 1), route("high", MatchPrefix, "/a", 900), route("exact", MatchExact, "/b", 50), route("prefix", MatchPrefix, "/b", 50),
		route("long", MatchPrefix, "/c/d", 50), route("short", MatchPrefix, "/c", 50), old, route("regex", MatchRegex, "/e/[0-9]+", 50))
	for raw, want := range map[string]string{
		"/a": "high", "/a/x": "high", "/b": "exact", "/b/x": "prefix", "/c/d": "long", "/c/d/e": "long", "/c/dx": "short", "/same": "old",
		"/e/12": "regex", "/e/12/": "", "/e/x": "", "/": "", "/ax": "", "/A": "", "/c//d": "long", "/x/../a": "high",
	} {
		if got := matched(h, "GET", raw); got != want {
			t.Errorf("%s goes to %q, want %q", raw, got, want)
		}
	}
}

func TestMethodsChooseRoutes(t *testing.T) {
	r := route("get", MatchPrefix, "/a", 50)
	r.Methods = []string{"GET"}
	h := host(t, good(), Ordinary, r)
	for method, want := range map[string]string{"GET": "get", "HEAD": "get", "POST": "", "get": ""} {
		if got := matched(h, method, "/a"); got != want {
			t.Errorf("%s goes to %q", method, got)
		}
	}
}

func TestProxySideChoosesRoutes(t *testing.T) {
	global, own, foreign, off := route("global", MatchExact, "/g", 50), route("own", MatchExact, "/o", 50), route("foreign", MatchExact, "/f", 50), route("off", MatchExact, "/x", 50)
	own.Scope, own.ProxyHostnames = ScopeProxy, []string{"app.example.com"}
	foreign.Scope, foreign.ProxyHostnames = ScopeProxy, []string{"other.example.com"}
	off.Enabled = false
	for _, c := range []struct {
		mode              string
		enabled, disabled []string
		want              string
	}{
		{RoutesAll, nil, nil, "global own"}, {RoutesNone, []string{"global"}, nil, "own"}, {RoutesSelective, nil, nil, "own"}, {RoutesSelective, []string{"global", "off"}, nil, "global own"},
		{RoutesAll, nil, []string{"own", "global"}, ""}, {RoutesSelective, []string{"global"}, []string{"global"}, "own"},
	} {
		p := good()
		p.RouteMode, p.EnabledRoutes, p.DisabledRoutes = c.mode, c.enabled, c.disabled
		h := host(t, p, Ordinary, global, own, foreign, off)
		var got []string
		for _, r := range h.Routes() {
			if !r.BuiltIn {
				got = append(got, r.ID)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestBuiltInRoutesStandWhereTheyShould(t *testing.T) {
	protected, open := good(), good()
	protected.AuthEnabled = true
	resource := good()
	resource.ResourceEndpoint = "/mcp"
	everywhere := map[string]string{"/.well-known/acme-challenge/x": "acme-challenge", "/.well-known/oauth-protected-resource/mcp": "oauth-protected-resource"}
	oauth := map[string]string{
		"/.well-known/oauth-authorization-server": "oauth-authorization-server", "/.well-known/oauth-authorization-server/x/y": "oauth-authorization-server",
		"/.well-known/openid-configuration": "openid-configuration",
		"/authorize":                        "authorize", "/callback": "callback", "/token": "token", "/register": "register", "/register/abc": "register", "/revoke": "revoke", "/introspect": "introspect",
		"/jwks": "jwks", "/device": "device", "/device/code": "device-code", "/device/token": "device-token", "/.gatehouse/start": "gatehouse",
		"/register/abc/def": "", "/registered": "", "/token/": "", "/tokens": "", "/authorize/x": "", "/device/other": "",
	}
	own := map[string]string{"/health": "health", "/mcp": "mcp", "/mcp/": "mcp", "/mcp/x": "", "/healthz": ""}
	people := map[string]string{"/signin": "signin", "/consent": "consent", "/setup": "setup", "/account": "account", "/logout": "logout", "/verify": "verify"}
	check := func(name string, h *Host, on bool, paths map[string]string) {
		for raw, want := range paths {
			if !on {
				want = ""
			}
			if got := matched(h, "GET", raw); got != want {
				t.Errorf("%s: %s goes to %q, want %q", name, raw, got, want)
			}
		}
	}
	for _, c := range []struct {
		name                   string
		h                      *Host
		oauthOn, ownOn, pageOn bool
	}{
		{"open", host(t, open, Ordinary), false, false, false},
		{"protected", host(t, protected, Ordinary), true, false, false},
		{"resource", host(t, resource, Ordinary), true, false, false},
		{"localhost", host(t, Localhost(), LocalhostRole), true, true, false},
		{"sign-in host", host(t, SignInProxy("auth.localhost"), SignInHost), true, true, true},
	} {
		check(c.name, c.h, true, everywhere)
		check(c.name, c.h, c.oauthOn, oauth)
		check(c.name, c.h, c.ownOn, own)
		check(c.name, c.h, c.pageOn, people)
	}
	backends := good()
	backends.ResourceOverrideBackend = false
	check("own metadata", host(t, backends, Ordinary), true, map[string]string{"/.well-known/oauth-protected-resource": ""})
}

func TestBuiltInRoutesWinOverEveryOther(t *testing.T) {
	p := good()
	p.AuthEnabled = true
	mine := route("mine", MatchPrefix, "/", 999)
	exact := route("exact", MatchExact, "/token", 999)
	h := host(t, p, Ordinary, mine, exact)
	for raw, want := range map[string]string{"/token": "token", "/.gatehouse/x": "gatehouse", "/.well-known/acme-challenge/x": "acme-challenge", "/other": "mine", "/token/": "mine"} {
		if got := matched(h, "GET", raw); got != want {
			t.Errorf("%s goes to %q, want %q", raw, got, want)
		}
	}
}

// A disabled endpoint is gone. Its path must not reach the target, which could
// then play the authorization server of a host that people trust.
func TestDisabledBuiltInRouteAnswersNothing(t *testing.T) {
	p := good()
	p.AuthEnabled, p.DisabledRoutes = true, []string{"token", "register", "oauth-authorization-server", "acme-challenge"}
	h := host(t, p, Ordinary, route("mine", MatchPrefix, "/", 999))
	for raw, want := range map[string]string{
		"/token": "gone", "/register": "gone", "/register/x": "gone", "/.well-known/oauth-authorization-server": "gone",
		"//token": "gone", "/%2e/token": "gone", "/x/../token": "gone", "/token;x": "gone", "/%74oken": "gone", "/register/../token": "gone", "\\token": "gone",
		"/authorize": "authorize", "//authorize": "gone", "/authorize;x": "gone", "/.well-known/acme-challenge/x": "acme-challenge", "/else": "mine",
	} {
		if got := matched(h, "POST", raw); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
	open := good()
	open.DisabledRoutes = []string{"token"}
	if got := matched(host(t, open, Ordinary), "GET", "/token"); got != "" {
		t.Errorf("on an open host /token is the target's, not %q", got)
	}
}

func TestSignInHostTakesNobodysRoutes(t *testing.T) {
	own := route("own", MatchPrefix, "/own", 50)
	own.Scope, own.ProxyHostnames = ScopeProxy, []string{"auth.localhost"}
	h := host(t, SignInProxy("auth.localhost"), SignInHost, route("global", MatchPrefix, "/", 999), own)
	for _, r := range h.Routes() {
		if !r.BuiltIn {
			t.Errorf("route %s stands on the sign-in host", r.ID)
		}
	}
}

func TestWorldFindsExactNamesBeforeWildcards(t *testing.T) {
	o := Origins{BaseDomain: "localhost", HTTPPort: 80, HTTPSPort: 8443}
	proxies := []Proxy{Default("a.example.com"), Default("*.example.com"), Default("*.a.example.com"), Localhost(), SignInProxy("auth.localhost")}
	proxies[2].ResourceEndpoint = "/mcp"
	w, errs := NewWorld(o, proxies, nil, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for name, want := range map[string]string{
		"a.example.com": "a.example.com", "b.example.com": "*.example.com", "x.a.example.com": "*.a.example.com", "x.y.a.example.com": "", "example.com": "",
		"localhost": "localhost", "auth.localhost": "auth.localhost", "*.example.com": "", "": "", "com": "", ".example.com": "",
	} {
		got := ""
		if h := w.Find(name); h != nil {
			got = h.Proxy.Hostname
		}
		if got != want {
			t.Errorf("%q is served by %q, want %q", name, got, want)
		}
	}
	if w.Find("localhost").Role != LocalhostRole || w.Find("auth.localhost").Role != SignInHost || w.Find("b.example.com").Role != Ordinary {
		t.Error("roles are wrong")
	}
}

func TestWorldKeepsHostsThatDidNotChange(t *testing.T) {
	a, b := Default("a.test"), Default("b.test")
	a.Version, b.Version = 1, 2
	r := route("r", MatchPrefix, "/x", 50)
	r.Version, r.Scope, r.ProxyHostnames = 3, ScopeProxy, []string{"b.test"}
	first, _ := NewWorld(Origins{}, []Proxy{a, b}, []Route{r}, nil)
	same, _ := NewWorld(Origins{}, []Proxy{a, b}, []Route{r}, first)
	if same.Find("a.test") != first.Find("a.test") || same.Find("b.test") != first.Find("b.test") {
		t.Error("hosts were made anew although nothing changed")
	}
	r.Version = 4
	next, _ := NewWorld(Origins{}, []Proxy{a, b}, []Route{r}, same)
	if next.Find("a.test") != first.Find("a.test") || next.Find("b.test") == first.Find("b.test") {
		t.Error("a route's change must make its own host anew, and no other")
	}
}

func TestOneBadRecordLeavesTheOthers(t *testing.T) {
	bad := route("bad", MatchRegex, "/(", 50)
	bad.Scope, bad.ProxyHostnames = ScopeProxy, []string{"b.test"}
	w, errs := NewWorld(Origins{}, []Proxy{Default("a.test"), Default("b.test")}, []Route{bad}, nil)
	if len(errs) != 1 || w.Find("a.test") == nil || w.Find("b.test") != nil {
		t.Errorf("%v %v", errs, w.Hosts())
	}
}

func TestResourceIsFoundExactly(t *testing.T) {
	o := Origins{BaseDomain: "localhost", HTTPPort: 80, HTTPSPort: 8443}
	app, mcp := Default("app.example.com"), Default("mcp.localhost")
	app.AuthEnabled, mcp.ResourceEndpoint = true, "/mcp"
	wild := Default("*.wild.example")
	wild.ResourceEndpoint = "/"
	w, _ := NewWorld(o, []Proxy{app, mcp, wild}, nil, nil)
	for uri, want := range map[string]string{
		"https://app.example.com:8443": "https://app.example.com:8443", "https://app.example.com:8443/": "https://app.example.com:8443",
		"https://mcp.localhost:8443/mcp": "https://mcp.localhost:8443", "http://mcp.localhost/mcp": "http://mcp.localhost", "https://a.wild.example:8443": "https://a.wild.example:8443",
		"https://app.example.com": "", "http://app.example.com": "", "https://app.example.com:8443/x": "", "https://app.example.com:8443//": "", "https://app.example.com:8443?x": "",
		"https://app.example.com:8443#x": "", "https://u@app.example.com:8443": "", "https://mcp.localhost:8443": "", "https://mcp.localhost:8443/mcp/": "", "ftp://app.example.com:8443": "",
		"https://*.wild.example:8443": "", "HTTPS://APP.example.com:8443": "", "https://unknown.example:8443": "", "": "", "::": "",
	} {
		_, origin, ok := w.Resource(uri)
		if ok != (want != "") || origin != want {
			t.Errorf("%q: %q %v, want %q", uri, origin, ok, want)
		}
	}
}

func TestOriginsNameUnusualPortsOnly(t *testing.T) {
	o := Origins{BaseDomain: "example.com", HTTPPort: 8080, HTTPSPort: 443}
	if o.Of("a", true) != "https://a" || o.Of("a", false) != "http://a:8080" || o.SignIn(true) != "https://auth.example.com" {
		t.Error(o.Of("a", true), o.Of("a", false), o.SignIn(true))
	}
	if o.OwnPages("a.example.com") || !(Origins{BaseDomain: "localhost"}).OwnPages("a.example.com") || (Origins{BaseDomain: "localhost"}).OwnPages("a.localhost") {
		t.Error("own pages")
	}
	if UnderLocalhost("notlocalhost") || UnderLocalhost("localhost.example") || !UnderLocalhost("a.b.localhost") {
		t.Error("under localhost")
	}
}

func FuzzMatch(f *testing.F) {
	for _, raw := range tricks {
		f.Add("GET", raw, "/health", MatchPrefix)
	}
	f.Add("POST", "/a/1", "/a/[0-9]+", MatchRegex)
	f.Fuzz(func(t *testing.T, method, raw, pattern, match string) {
		p := good()
		p.AuthEnabled, p.AuthExcludedPaths = true, []string{"/health"}
		open := Route{ID: "open", PathPattern: pattern, Match: match, Target: "http://x", Scope: ScopeProxy, ProxyHostnames: []string{p.Hostname}, Enabled: true,
			Auth: &RouteAuth{AuthType: AuthNone}, OverrideAuth: true}
		if open.Validate() != nil {
			return
		}
		h, err := NewHost(p, Ordinary, []Route{open})
		if err != nil {
			t.Fatalf("a valid route can't be compiled: %v", err)
		}
		path := ParsePath(raw)
		r, gone := h.Match(method, path)
		if r != nil && gone {
			t.Fatal("both found and gone")
		}
		if r != nil && r.Loosens() && !path.Plain {
			t.Fatalf("%q is open by %q", raw, pattern)
		}
		if prefix, excluded := h.Excluded(path); excluded && (!path.Plain || !strings.HasPrefix(path.Clean, prefix)) {
			t.Fatalf("%q is excluded by %q", raw, prefix)
		}
	})
}
