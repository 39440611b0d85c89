package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/redistest"
)

// TestPeopleCanReadTheKeys looks at the store as people do, with redis-cli.
func TestPeopleCanReadTheKeys(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{Addrs: []string{server.Addr()}})
	const record = `{"hostname":"localhost"}`
	commit(t, s, put("proxy:localhost", record), put("proxy:app.test", record), put("route:r1", "{}"), put("cert:c1", "{}"),
		put("cert:domain:app.test", "c1"), put("service:docker:web", "{}"), put("oauth:client:abc", "{}"))
	commit(t, s, put("proxy:app.test", `{"hostname":"app.test"}`), store.Write{Key: "oauth:revoked:token:x", Value: []byte("{}"), If: 0, TTL: time.Hour})
	commit(t, s, store.Write{Key: "proxy:app.test", Delete: true, If: store.AnyVersion}, put("node:a:1", `{"node":"a"}`), put("node:b:2", "{}"))
	commit(t, s, store.Write{Key: "node:b:2", Delete: true, If: store.AnyVersion})
	commit(t, s, put("port:12000", `{"owner":"localhost"}`), put("instance:localhost", `{"http":12000,"https":13000}`), put("port:12001", "{}"), put("instance:app.test", "{}"))
	commit(t, s, store.Write{Key: "port:12001", Delete: true, If: store.AnyVersion}, store.Write{Key: "instance:app.test", Delete: true, If: store.AnyVersion})
	for _, c := range []struct{ ask, want string }{
		{"get proxy:localhost", record},
		{"smembers proxies", "localhost"},
		{"smembers routes", "r1"},
		{"smembers certs", "c1"},
		{"get cert:domain:app.test", "c1"},
		{"smembers services", "web"},
		{"smembers clients", "abc"},
		{"hgetall nodes", "a:1\n{\"node\":\"a\"}"},
		{"hgetall proxy:ports:mappings", "localhost\n{\"http\":12000,\"https\":13000}"},
		{"get port:12000", `{"owner":"localhost"}`},
		{"smembers ports:allocated", "12000"},
		{"zrange oauth:revoked 0 -1", "token:x"},
		{"zrange kv:index 0 -1", "cert:c1\ncert:domain:app.test\ninstance:localhost\nnode:a:1\noauth:client:abc\noauth:revoked:token:x\nport:12000\nproxy:localhost\nroute:r1\nservice:docker:web"},
	} {
		if got := server.CLI(t, strings.Fields(c.ask)...); got != c.want {
			t.Errorf("%s: %q, want %q", c.ask, got, c.want)
		}
	}
	events := server.CLI(t, "xrange", "events", "-", "+")
	for _, want := range []string{"proxy_created", "proxy_updated", "proxy_deleted", "route_changed", "certificate_ready", "service_changed", "revoked"} {
		if !strings.Contains(events, "event\n"+want+"\n") {
			t.Errorf("the stream of events has no %s", want)
		}
	}
	if ttl := server.CLI(t, "ttl", "oauth:revoked:token:x"); ttl != "3600" && ttl != "3599" {
		t.Errorf("what expires in an hour does so in %s", ttl)
	}
}

// TestNamesOfTheStoresOwnKeysAreNamesLikeOthers writes keys that are called as
// the store's own are.
func TestNamesOfTheStoresOwnKeysAreNamesLikeOthers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{Addrs: []string{server.Addr()}})
	names := []string{"events", "proxies", "ports:allocated", "proxy:ports:mappings", "oauth:revoked", "kv:id", "kv:index", "lock:l", "key:x", "log:request:2026112800", "log:recent"}
	lease, err := s.Lock(t.Context(), "l", time.Second)
	must(t, err)
	defer lease.Unlock()
	commit(t, s, put("proxy:a", "{}"))
	for _, name := range names {
		commit(t, s, put(name, "value of "+name))
	}
	for _, name := range names {
		item, err := s.Get(t.Context(), name)
		must(t, err)
		if string(item.Value) != "value of "+name {
			t.Errorf("%s is %q", name, item.Value)
		}
	}
	for _, name := range names {
		must2(s.Take(t.Context(), name))(t)
	}
	if got := server.CLI(t, "smembers", "proxies"); got != "a" {
		t.Errorf("proxies are %q after all that", got)
	}
	select {
	case <-lease.Lost():
		t.Error("the lock was lost")
	default:
	}
}

// TestWhatSomebodyElseWroteDoesNotBreakListing meets keys that were changed by
// hand: of another type, deleted, written.
func TestWhatSomebodyElseWroteDoesNotBreakListing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{Addrs: []string{server.Addr()}})
	commit(t, s, put("p:1", "one"), put("p:2", "two"), put("p:3", "three"))
	server.CLI(t, "del", "p:1")
	server.CLI(t, "del", "p:2")
	server.CLI(t, "lpush", "p:2", "x")
	server.CLI(t, "set", "p:4", "by hand")
	items, err := s.List(t.Context(), "p:", "", 0)
	must(t, err)
	if len(items) != 1 || items[0].Key != "p:3" {
		t.Errorf("the list is %+v, want p:3 alone", items)
	}
	if _, err := s.Get(t.Context(), "p:1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("what was deleted by hand: %v", err)
	}
	item, err := s.Get(t.Context(), "p:4")
	must(t, err)
	if string(item.Value) != "by hand" || item.Version <= 0 {
		t.Errorf("what was written by hand is %+v", item)
	}
	commit(t, s, store.Write{Key: "p:4", Value: []byte("in order"), If: item.Version})
	commit(t, s, store.Write{Key: "p:1", Value: []byte("again"), If: 0})
}

func TestTwoInstallationsShareARedisByPrefix(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	a, b := open(t, options(server)), open(t, options(server))
	events := a.Watch(t.Context(), "")
	next(t, events)
	commit(t, b, put("k", "b"))
	commit(t, a, put("k", "a"))
	item, err := a.Get(t.Context(), "k")
	must(t, err)
	if string(item.Value) != "a" {
		t.Errorf("one has the other's value %q", item.Value)
	}
	next(t, events)
	select {
	case e := <-events:
		t.Errorf("one was told of the other's change: %+v", e)
	default:
	}
}

func TestLogsOfAnHourAreOneStreamThatExpires(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{Addrs: []string{server.Addr()}, LogLife: map[string]time.Duration{"request": time.Hour}})
	at := time.Date(2026, 11, 20, 3, 59, 59, 0, time.UTC)
	for i := range 4 {
		at := at.Add(time.Duration(i) * time.Second)
		must2(s.Append(t.Context(), store.Block{Log: "request", First: at, Last: at, Data: []byte("x")}, false))(t)
	}
	for stream, want := range map[string]string{"log:request:2026112003": "1", "log:request:2026112004": "3"} {
		if got := server.CLI(t, "xlen", stream); got != want {
			t.Errorf("%s has %s blocks, want %s", stream, got, want)
		}
		if ttl := server.CLI(t, "ttl", stream); ttl != "3600" && ttl != "3599" {
			t.Errorf("%s expires in %s s", stream, ttl)
		}
	}
}

func TestADamagedBlockIsPassedOverAndCounted(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{Addrs: []string{server.Addr()}})
	at := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	var ids []string
	for i := range 3 {
		at := at.Add(time.Duration(i) * time.Second)
		id, err := s.Append(t.Context(), store.Block{Log: "request", First: at, Last: at, Data: []byte{byte('a' + i)}}, false)
		must(t, err)
		ids = append(ids, id)
	}
	stream := "log:request:2026112003"
	server.CLI(t, "xdel", stream, ids[2]+"-0")
	server.CLI(t, "eval", "local m = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1][2]; redis.call('DEL', KEYS[1]); "+
		"redis.call('XADD', KEYS[1], ARGV[1], 'first', m[2], 'last', m[4], 'crc', m[6], 'data', 'X'); return 1", "1", stream, ids[1]+"-0")
	seen := 0
	must(t, s.Range(t.Context(), "request", time.Time{}, time.Time{}, false, func(store.Block) bool { seen++; return true }))
	info, err := s.Info(t.Context(), "request")
	must(t, err)
	if seen != 0 || info.Damaged != 1 {
		t.Errorf("%d blocks were read and %d are damaged, want 0 and 1", seen, info.Damaged)
	}
}
