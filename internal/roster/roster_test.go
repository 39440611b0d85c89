package roster_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/roster"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

type fixture struct {
	kv      store.KV
	proxies store.Table[site.Proxy]
	routes  store.Table[site.Route]
	roster  *roster.Roster

	mu     sync.Mutex
	worlds []*site.World
	log    strings.Builder
}

func (f *fixture) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(p)
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	kv, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kv.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{kv: kv, proxies: store.NewTable[site.Proxy](kv, roster.ProxyPrefix, "proxy"), routes: store.NewTable[site.Route](kv, roster.RoutePrefix, "route")}
	f.roster = roster.New(kv, site.Origins{BaseDomain: "localhost", HTTPPort: 80, HTTPSPort: 443}, func(w *site.World) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.worlds = append(f.worlds, w)
	}, slog.New(slog.NewTextHandler(f, nil)))
	return f
}

// follow runs the roster until the test ends.
func (f *fixture) follow(t *testing.T) {
	t.Helper()
	if err := f.roster.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = f.roster.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func (f *fixture) put(t *testing.T, host string) int64 {
	t.Helper()
	v, err := f.proxies.Put(t.Context(), host, site.Default(host), 0)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAwaitAnswersWhenTheChangeIsServed(t *testing.T) {
	f := newFixture(t)
	f.follow(t)
	for range 20 {
		version := f.put(t, "a.localhost")
		f.roster.Await(t.Context(), "proxy:a.localhost", version)
		if h := f.roster.World().Find("a.localhost"); h == nil || h.Proxy.Version < version {
			t.Fatalf("version %d was awaited and is not served", version)
		}
	}
	if err := f.proxies.Delete(t.Context(), "a.localhost"); err != nil {
		t.Fatal(err)
	}
	f.roster.Await(t.Context(), "proxy:a.localhost", 0)
	if f.roster.World().Find("a.localhost") != nil {
		t.Error("a deleted host is served")
	}
}

func TestAwaitGivesUpWhenNobodyFollows(t *testing.T) {
	f := newFixture(t)
	began := time.Now()
	f.roster.Await(t.Context(), "proxy:a.localhost", 1)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("gave up after %v only", took)
	}
}

func TestUnchangedHostsStayTheSame(t *testing.T) {
	f := newFixture(t)
	f.put(t, "a.localhost")
	f.follow(t)
	before := f.roster.World().Find("a.localhost")
	version := f.put(t, "b.localhost")
	f.roster.Await(t.Context(), "proxy:b.localhost", version)
	if after := f.roster.World().Find("a.localhost"); after != before {
		t.Error("a change of one host made another anew: its transports would be thrown away")
	}
}

func TestRouteChangeReachesItsHosts(t *testing.T) {
	f := newFixture(t)
	f.put(t, "a.localhost")
	f.follow(t)
	route := site.Route{ID: "r", PathPattern: "/x", Match: site.MatchPrefix, Target: "http://127.0.0.1:1", Scope: site.ScopeGlobal, Enabled: true}
	version, err := f.routes.Create(t.Context(), "r", route, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.roster.Await(t.Context(), "route:r", version)
	if got, _ := f.roster.World().Find("a.localhost").Match("GET", site.ParsePath("/x/y")); got == nil || got.ID != "r" {
		t.Errorf("the route does not match: %v", got)
	}
}

func TestOneUnreadableRecordTakesNoOtherDown(t *testing.T) {
	f := newFixture(t)
	f.put(t, "a.localhost")
	if _, err := f.kv.Commit(t.Context(), store.Write{Key: "proxy:broken.localhost", Value: []byte("{"), If: store.AnyVersion}); err != nil {
		t.Fatal(err)
	}
	f.follow(t)
	if f.roster.World().Find("a.localhost") == nil {
		t.Error("a healthy host is not served")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !strings.Contains(f.log.String(), "broken.localhost") {
		t.Errorf("nobody was told of the broken record: %s", f.log.String())
	}
}

func TestEveryWorldIsPublished(t *testing.T) {
	f := newFixture(t)
	f.follow(t)
	version := f.put(t, "a.localhost")
	f.roster.Await(t.Context(), "proxy:a.localhost", version)
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := f.worlds[len(f.worlds)-1]; last != f.roster.World() {
		t.Error("the present world was not published")
	}
}
