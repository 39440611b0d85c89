package ports_test

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/ports"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

func TestRangesHoldNoRestrictedPort(t *testing.T) {
	for port := range 65536 {
		n := 0
		for _, r := range []ports.Range{ports.HTTP, ports.HTTPS, ports.Services} {
			if r.Holds(port) {
				n++
			}
		}
		want := 0
		if port >= 12000 && port != 27017 {
			want = 1
		}
		if n != want {
			t.Errorf("port %d is in %d ranges, want %d", port, n, want)
		}
	}
}

func TestPreferredPortsAreThoseOfTheHostsName(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() store.Store) {
		kv := open()
		n := startNode(t, kv, nil, create(t, kv, "localhost", "app.example.com", "*.example.com")...)
		h := fnv.New32a()
		_, _ = h.Write([]byte("app.example.com"))
		at := int(h.Sum32() % 1000)
		if got, want := n.pair("app.example.com"), (ports.Pair{HTTP: 12000 + at, HTTPS: 13000 + at}); got != want {
			t.Errorf("app.example.com: %+v, want %+v", got, want)
		}
		if got, want := n.pair("localhost"), (ports.Pair{HTTP: 12000, HTTPS: 13000}); got != want {
			t.Errorf("localhost: %+v, want %+v", got, want)
		}
		n.pair("*.example.com")
		item, err := kv.Get(t.Context(), "instance:localhost")
		if err != nil || string(item.Value) != `{"http":12000,"https":13000}` {
			t.Errorf("the record of localhost: %s %v", item.Value, err)
		}
		all := n.all()
		if len(all) != 6 || all[0].Port != 12000 || all[0].Owner != "localhost" || all[0].Purpose != "http" || all[0].Bind != "127.0.0.1" || all[0].Kind != "proxy" {
			t.Errorf("%+v", all)
		}
	})
}

// TestNoPortIsGivenTwice has four nodes give ports to hosts of their own and to
// the same hosts at once, and to more hosts than there are ports.
func TestNoPortIsGivenTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() store.Store) {
		hosts := create(t, open(), append(many(999), "localhost", "late.test")...)
		var nodes []*node
		for i := range 4 {
			nodes = append(nodes, startNode(t, open(), nil, append([]string{"localhost"}, hosts[200*i:200*(i+1)]...)...))
		}
		for i, n := range nodes {
			for _, host := range hosts[200*i : 200*(i+1)] {
				n.pair(host)
			}
		}
		for _, n := range nodes {
			n.Want(hosts)
		}
		// Whoever is one too many differs with the order in which nodes come; all agree on it.
		var without string
		await(t, "all but one have ports, and all nodes know", func() bool {
			for _, n := range nodes {
				lacking := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { _, why := n.Of(h); return why == ports.Lack{} })
				if len(lacking) != 1 {
					return false
				}
				without = lacking[0]
				if _, why := n.Of(without); !strings.Contains(why.HTTP, "12000-12999 are taken") || !strings.Contains(why.HTTPS, "13000-13999 are taken") {
					return false
				}
			}
			return true
		})
		seen := map[int]string{}
		for _, host := range hosts {
			p, _ := nodes[0].Of(host)
			for i, n := range nodes {
				if got, _ := n.Of(host); got != p {
					t.Errorf("%s has %+v on one node, %+v on node %d", host, p, got, i)
				}
			}
			for _, port := range []int{p.HTTP, p.HTTPS} {
				if other := seen[port]; other != "" && port != 0 {
					t.Errorf("%s and %s both have %d", host, other, port)
				}
				seen[port] = host
			}
		}
		if got, _ := nodes[0].Of("localhost"); got != (ports.Pair{HTTP: 12000, HTTPS: 13000}) {
			t.Errorf("localhost: %+v", got)
		}
		if all := nodes[0].all(); len(all) != 2000 {
			t.Errorf("%d ports are written down", len(all))
		}
		// One goes: what is free then is the last one's.
		gone := "h0007.test"
		freed, _ := nodes[0].Of(gone)
		remove(t, nodes[1].kv, gone)
		left := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return h == gone })
		for _, n := range nodes {
			n.Want(left)
		}
		for _, n := range nodes {
			if got := n.pair(without); got != freed {
				t.Errorf("%s has %+v, free was %+v", without, got, freed)
			}
		}
	})
}

func TestPortsOutliveTheirNodeAndGoWithTheirHost(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() store.Store) {
		kv := open()
		hosts := create(t, kv, append(many(60), "localhost")...)
		first := startNode(t, kv, nil, hosts...)
		before := map[string]ports.Pair{}
		for _, host := range hosts {
			before[host] = first.pair(host)
		}
		first.stop()
		remove(t, kv, hosts[:20]...) // while no node lives
		second := startNode(t, open(), nil, hosts[20:]...)
		for _, host := range hosts[20:] {
			if got := second.pair(host); got != before[host] {
				t.Errorf("%s had %+v, has %+v", host, before[host], got)
			}
		}
		await(t, "ports of hosts that are gone are free", func() bool { return len(second.all()) == 2*len(hosts[20:]) })
		remove(t, kv, hosts[20])
		second.Want(hosts[21:])
		second.Await(t.Context(), hosts[20])
		if all := second.all(); len(all) != 2*len(hosts[21:]) {
			t.Errorf("%d ports are written down for %d hosts", len(all), len(hosts[21:]))
		}
	})
}

// TestANodeThatIsBehindTakesNothingBack knows of no host that is served elsewhere.
func TestANodeThatIsBehindTakesNothingBack(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() store.Store) {
		kv := open()
		behind := startNode(t, open(), nil, "localhost")
		create(t, kv, "localhost")
		behind.pair("localhost")
		ahead := startNode(t, kv, nil, create(t, kv, "localhost", "new.test")...)
		want := ahead.pair("new.test")
		await(t, "the node that is behind hears of it", func() bool { p, _ := behind.Of("new.test"); return p == want })
		behind.Want([]string{"localhost", "other.test"})
		behind.pair("other.test")
		if got := ahead.pair("new.test"); got != want {
			t.Errorf("%+v became %+v", want, got)
		}
	})
}

func TestPortsThatCantBeBoundHereAreSkipped(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() store.Store) {
		kv := open()
		busy := map[int]bool{12000: true, 12001: true}
		n := startNode(t, kv, busy, create(t, kv, "localhost")...)
		if got := n.pair("localhost"); got != (ports.Pair{HTTP: 12002, HTTPS: 13000}) {
			t.Errorf("%+v", got)
		}
		all := map[int]bool{}
		for port := 13000; port < 14000; port++ {
			all[port] = true
		}
		m := startNode(t, open(), all, create(t, kv, "localhost", "app.test")...)
		m.Await(t.Context(), "app.test")
		var pair ports.Pair
		var why ports.Lack
		await(t, "why there is no port", func() bool { pair, why = m.Of("app.test"); return strings.Contains(why.HTTPS, "can be bound here") })
		if pair.HTTP == 0 || pair.HTTPS != 0 || why.HTTP != "" || !strings.Contains(why.HTTPS, "13000-13999") {
			t.Errorf("%+v %+v", pair, why)
		}
		n.Want([]string{"localhost", "app.test"}) // where they can be bound
		if got := n.pair("app.test"); got.HTTP != pair.HTTP {
			t.Errorf("%+v became %+v", pair, got)
		}
		m.pair("app.test")
	})
}

// TestRecordsThatDisagreeAreMended finds what a Redis that lost its last changes,
// or somebody's own hand, leaves behind.
func TestRecordsThatDisagreeAreMended(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() store.Store) {
		kv := open()
		create(t, kv, "a.test", "b.test", "c.test")
		put := func(key, value string) store.Write {
			return store.Write{Key: key, Value: []byte(value), If: store.AnyVersion}
		}
		if _, err := kv.Commit(t.Context(),
			put("port:12500", `{"port":12500,"kind":"proxy","owner":"nobody.test","purpose":"http"}`), // no pair has it
			put("instance:a.test", `{"http":12600,"https":13600}`),                                    // no port says so
			put("instance:b.test", `{"http":12700,"https":13700}`),
			put("port:12700", `{"port":12700,"kind":"proxy","owner":"c.test","purpose":"http"}`), // somebody else's
			put("instance:c.test", `{"http":12700,"https":13701}`),
			put("port:15000", `{"port":15000,"kind":"service","owner":"db","purpose":"main"}`),
			put("port:x", `{"port":1,"kind":"service","owner":"db","purpose":"main"}`),
			put("instance:bad.test", `{"http":"x"}`),
		); err != nil {
			t.Fatal(err)
		}
		n := startNode(t, kv, nil, "a.test", "b.test", "c.test")
		want := map[int]string{12500: "", 12600: "a.test", 13600: "a.test", 12700: "c.test", 13700: "b.test", 13701: "c.test", 15000: "db"}
		await(t, "each port has the owner that its record names", func() bool {
			owners := map[int]string{}
			for _, a := range n.all() {
				owners[a.Port] = a.Owner
			}
			for port, owner := range want {
				if owners[port] != owner {
					return false
				}
			}
			b, why := n.Of("b.test")
			return why == ports.Lack{} && b.HTTP != 12700 && owners[b.HTTP] == "b.test"
		})
		for host, want := range map[string]ports.Pair{"a.test": {HTTP: 12600, HTTPS: 13600}, "c.test": {HTTP: 12700, HTTPS: 13701}} {
			if got := n.pair(host); got != want {
				t.Errorf("%s: %+v, want %+v", host, got, want)
			}
		}
	})
}

func TestWithPortsOffNothingIsAllocatedAndOldOnesAreTakenBack(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() store.Store) {
		kv := open()
		on := startNode(t, kv, nil, create(t, kv, "a.test", "gone.test")...)
		want := on.pair("a.test")
		on.pair("gone.test")
		on.stop()
		remove(t, kv, "gone.test")
		off := ports.New(ports.Options{KV: open(), Owners: "proxy:"})
		off.Want(create(t, kv, "a.test", "new.test"))
		done := make(chan struct{})
		go func() { defer close(done); _ = off.Run(t.Context()) }()
		t.Cleanup(func() { <-done })
		await(t, "the ports of the host that is gone are free", func() bool { all, _ := off.List(t.Context(), 0, 0); return len(all) == 2 })
		if got, why := off.Of("a.test"); got != want || why.HTTP != ports.Off {
			t.Errorf("a.test: %+v %q", got, why)
		}
		off.Await(t.Context(), "new.test") // at once
		if got, why := off.Of("new.test"); got != (ports.Pair{}) || why.HTTP != ports.Off {
			t.Errorf("new.test: %+v %q", got, why)
		}
	})
}

// TestPublishTellsOfWantedHostsAlone and of each once.
func TestPublishTellsOfWantedHostsAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() store.Store) {
		kv := open()
		n := startNode(t, kv, nil, create(t, kv, "a.test", "b.test")...)
		a, b := n.pair("a.test"), n.pair("b.test")
		told := func(want map[string]ports.Pair) func() bool {
			return func() bool {
				n.mu.Lock()
				defer n.mu.Unlock()
				return maps.Equal(n.published, want)
			}
		}
		await(t, "both are told", told(map[string]ports.Pair{"a.test": a, "b.test": b}))
		n.Want([]string{"b.test"}) // a.test is in the store still: its ports stay, and nobody listens
		await(t, "one is told", told(map[string]ports.Pair{"b.test": b}))
		n.Want([]string{"a.test", "b.test"})
		await(t, "both are told again", told(map[string]ports.Pair{"a.test": a, "b.test": b}))
	})
}

// TestWhileTheStoreIsAwayNothingIsLost and what was to be done is done when it is back.
func TestWhileTheStoreIsAwayNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := boltstore.Open(dir, boltstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		kv := &failing{Store: s}
		n := startNode(t, kv, nil, create(t, kv, "a.test")...)
		n.Await(t.Context(), "a.test")
		want, why := n.Of("a.test")
		if why != (ports.Lack{}) {
			t.Fatal(why)
		}
		create(t, kv, "b.test")
		kv.away.Store(true)
		n.Want([]string{"a.test", "b.test"})
		n.Await(t.Context(), "b.test")
		if _, why := n.Of("b.test"); why.HTTP != "the store can't be reached" {
			t.Errorf("b.test: %q", why)
		}
		n.Want([]string{"b.test"}) // whether a.test is gone can't be asked
		time.Sleep(10 * time.Second)
		kv.away.Store(false)
		n.Want([]string{"a.test", "b.test"})
		time.Sleep(2 * time.Second)
		if got, _ := n.Of("a.test"); got != want {
			t.Errorf("a.test had %+v, has %+v", want, got)
		}
		if _, why := n.Of("b.test"); why != (ports.Lack{}) {
			t.Errorf("b.test: %q", why)
		}
		n.stop()
	})
}

// TestAllocationMeetsCreationAndDeletion changes hosts while two nodes follow.
func TestAllocationMeetsCreationAndDeletion(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() store.Store) {
		kv := open()
		nodes := []*node{startNode(t, kv, nil), startNode(t, open(), nil)}
		hosts := many(40)
		var mu sync.Mutex
		present := map[string]bool{}
		change := func(host string, there bool) {
			if there {
				create(t, kv, host)
			} else {
				remove(t, kv, host)
			}
			mu.Lock()
			present[host] = there
			if !there {
				delete(present, host)
			}
			now := slices.Sorted(maps.Keys(present))
			for _, n := range nodes {
				n.Want(now)
			}
			mu.Unlock()
		}
		var all sync.WaitGroup
		for i, host := range hosts {
			all.Go(func() {
				for range 3 + i%3 {
					change(host, true)
					nodes[i%2].Await(t.Context(), host)
					change(host, false)
				}
				if i%2 == 0 {
					change(host, true)
				}
			})
		}
		all.Wait()
		await(t, "those that are there have ports, and no others", func() bool {
			for _, n := range nodes {
				for i, host := range hosts {
					pair, why := n.Of(host)
					if (i%2 == 0) != (why == ports.Lack{}) || i%2 == 1 && pair != (ports.Pair{}) {
						return false
					}
				}
			}
			return len(nodes[0].all()) == len(hosts)
		})
	})
}
