package site_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"gatehouse/internal/site"
)

var at = site.Origins{BaseDomain: "localhost", HTTPPort: 80, HTTPSPort: 443}

func proxy(name string, version int64) site.Proxy {
	p := site.Default(name)
	p.TargetURL, p.Version = "http://127.0.0.1:3000", version
	return p
}

func shared(id string, version int64) site.Route {
	return site.Route{ID: id, PathPattern: "/" + id, Match: site.MatchPrefix, Target: "http://127.0.0.1:1", Scope: site.ScopeGlobal, Enabled: true, Version: version}
}

func compiled(t *testing.T, proxies []site.Proxy, routes ...site.Route) *site.World {
	t.Helper()
	w, errs := site.NewWorld(at, proxies, routes, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return w
}

func TestDigestTellsWorldsApartAndNothingElse(t *testing.T) {
	a, b, r := proxy("a.localhost", 1), proxy("b.localhost", 2), shared("r", 3)
	digest := func(w *site.World) string { p, r := w.Digest(); return fmt.Sprintf("%x %x", p, r) }
	same := digest(compiled(t, []site.Proxy{a, b}, r))
	if digest(compiled(t, []site.Proxy{b, a}, r)) != same {
		t.Error("order makes a difference")
	}
	other := b
	other.TargetURL = "http://127.0.0.1:3001"
	for what, w := range map[string]*site.World{
		"a host less": compiled(t, []site.Proxy{a}, r), "a route less": compiled(t, []site.Proxy{a, b}),
		"another target": compiled(t, []site.Proxy{a, other}, r), "a newer route": compiled(t, []site.Proxy{a, b}, shared("r", 4)),
	} {
		if digest(w) == same {
			t.Errorf("%s makes no difference", what)
		}
	}
}

// TestWithIsWhatANewWorldWouldBe makes many random changes one after the other.
func TestWithIsWhatANewWorldWouldBe(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	proxies, routes := map[string]site.Proxy{}, map[string]site.Route{}
	w := compiled(t, nil)
	for version := range int64(2000) {
		c := site.Change{Proxies: map[string]*site.Proxy{}, Routes: map[string]*site.Route{}}
		for range random.IntN(3) {
			name := fmt.Sprintf("h%d.localhost", random.IntN(12))
			if random.IntN(3) == 0 {
				c.Proxies[name] = nil
				delete(proxies, name)
				continue
			}
			p := proxy(name, version)
			p.RouteMode = []string{site.RoutesAll, site.RoutesNone, site.RoutesSelective}[random.IntN(3)]
			p.EnabledRoutes = []string{"r1"}
			proxies[name], c.Proxies[name] = p, &p
		}
		for range random.IntN(2) {
			id := fmt.Sprintf("r%d", random.IntN(4))
			if random.IntN(3) == 0 {
				c.Routes[id] = nil
				delete(routes, id)
				continue
			}
			r := shared(id, version)
			if random.IntN(3) == 0 {
				r.Scope, r.ProxyHostnames = site.ScopeProxy, []string{fmt.Sprintf("h%d.localhost", random.IntN(12))}
			}
			if random.IntN(8) == 0 {
				r.Match, r.PathPattern = site.MatchRegex, "(" // it takes the hosts that it applies to out
			}
			routes[id], c.Routes[id] = r, &r
		}
		next, _ := w.With(c)
		fresh, _ := site.NewWorld(at, slices.Collect(maps.Values(proxies)), slices.Collect(maps.Values(routes)), w)
		gotProxies, gotRoutes := next.Digest()
		wantProxies, wantRoutes := fresh.Digest()
		if gotProxies != wantProxies || gotRoutes != wantRoutes {
			t.Fatalf("change %d: %+v", version, c)
		}
		checkSince(t, w, next, fresh)
		w = next
	}
}

// checkSince wants the same *Host wherever nothing changed, and all others named.
func checkSince(t *testing.T, before, now, fresh *site.World) {
	t.Helper()
	come, gone := now.Since(before)
	for _, h := range now.Hosts() {
		name := h.Proxy.Hostname
		if now.Host(name) != h || (before.Host(name) == h) == slices.Contains(come, h) {
			t.Fatalf("%s: in the list of what came: %v", name, slices.Contains(come, h))
		}
		if old := before.Host(name); old != nil && (fresh.Host(name) == old) != (h == old) {
			t.Fatalf("%s is another host, and nothing of it changed", name)
		}
	}
	for _, h := range before.Hosts() {
		if (now.Host(h.Proxy.Hostname) == h) == slices.Contains(gone, h) {
			t.Fatalf("%s: in the list of what went: %v", h.Proxy.Hostname, slices.Contains(gone, h))
		}
	}
}
