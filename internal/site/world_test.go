package site_test

import (
	"fmt"
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
