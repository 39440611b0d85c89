package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/redistest"
)

// behind is a store on a server of its own, reached through a proxy.
func behind(t *testing.T) (*opened, *redistest.Proxy, *redistest.Server) {
	t.Helper()
	server := redistest.Start(t, redistest.Options{})
	proxy := redistest.Before(t, server.Addr())
	return open(t, redisstore.Options{Addrs: []string{proxy.Addr()}}), proxy, server
}

func put(key, value string) store.Write {
	return store.Write{Key: key, Value: []byte(value), If: store.AnyVersion}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func commit(t testing.TB, s store.KV, writes ...store.Write) []int64 {
	t.Helper()
	versions, err := s.Commit(t.Context(), writes...)
	must(t, err)
	return versions
}

const patience = 20 * time.Second

// eventually looks until holds does.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

func works(s store.KV) func() bool {
	return func() bool {
		_, err := s.Now(context.Background())
		return err == nil
	}
}

func next(t testing.TB, events <-chan store.Event) store.Event {
	t.Helper()
	select {
	case e, open := <-events:
		if !open {
			t.Fatal("the watch has ended")
		}
		return e
	case <-time.After(patience):
		t.Fatal("no event came")
	}
	panic("not reached")
}

func TestACommitWhoseAnswerIsLostIsUnavailableAndMadeOnce(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behind(t)
	first := commit(t, s, put("k", "1"))[0]
	proxy.Mute()
	_, err := s.Commit(t.Context(), store.Write{Key: "k", Value: []byte(redistest.Marked), If: first})
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a commit whose answer was lost: got %v, want Unavailable", err)
	}
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.RetryAfter <= 0 {
		t.Errorf("%v does not say when to come back", err)
	}
	eventually(t, "the store works", works(s))
	item, err := s.Get(t.Context(), "k")
	must(t, err)
	if string(item.Value) != redistest.Marked || item.Version == first {
		t.Fatalf("the commit was not made: %+v", item)
	}
	// Read anew, the caller can go on.
	commit(t, s, store.Write{Key: "k", Value: []byte("3"), If: item.Version})
}

func TestABlockWhoseAnswerIsLostIsAppendedOnce(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behind(t)
	now := time.Now()
	block := store.Block{Log: "audit", First: now, Last: now, Data: []byte(redistest.Marked)}
	proxy.Mute()
	_, err := s.Append(t.Context(), block, true)
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v, want Unavailable", err)
	}
	eventually(t, "the store works", works(s))
	id, err := s.Append(t.Context(), block, true)
	must(t, err)
	var ids []string
	must(t, s.Range(t.Context(), "audit", time.Time{}, time.Time{}, false, func(b store.Block) bool {
		ids = append(ids, b.ID)
		return true
	}))
	if len(ids) != 1 || ids[0] != id {
		t.Fatalf("the log has %q, want %q alone", ids, id)
	}
	// What was answered may be said again.
	must2(s.Append(t.Context(), block, true))(t)
	if info, err := s.Info(t.Context(), "audit"); err != nil || info.Blocks != 2 {
		t.Fatalf("the log says %+v (%v), want 2 blocks", info, err)
	}
}

func must2[T any](_ T, err error) func(testing.TB) {
	return func(t testing.TB) { t.Helper(); must(t, err) }
}

func TestWatchGivesOneReloadAfterTheConnectionBroke(t *testing.T) {
	t.Parallel()
	s, proxy, server := behind(t)
	other := open(t, redisstore.Options{Addrs: []string{server.Addr()}})
	events := s.Watch(t.Context(), "k")
	if e := next(t, events); e.Kind != store.Reload {
		t.Fatalf("the first event is %+v", e)
	}
	proxy.Silence(true)
	proxy.Cut()
	eventually(t, "the store notices", func() bool { return !works(s)() })
	commit(t, other, put("k1", "missed"), put("k2", "missed"))
	proxy.Silence(false)
	if e := next(t, events); e.Kind != store.Reload {
		t.Fatalf("after the gap came %+v, want one Reload", e)
	}
	eventually(t, "the store works", works(s))
	commit(t, other, put("k3", "seen"))
	if e := next(t, events); e.Kind != store.Changed || e.Key != "k3" {
		t.Fatalf("after the Reload came %+v, want the change of k3", e)
	}
}

func TestASilentServerIsNoticedAndDoesNotHoldCallersUp(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behind(t)
	commit(t, s, put("k", "v"))
	proxy.Silence(true) // half open: connections stand, nothing comes
	began := time.Now()
	_, err := s.Get(t.Context(), "k")
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("Get from a silent server: %v", err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %s to find out", took)
	}
	eventually(t, "the store knows", func() bool { return s.Ready() != nil })
	began = time.Now()
	_, err = s.Commit(t.Context(), put("k", "v2"))
	if took := time.Since(began); !fault.Is(err, fault.Unavailable) || took > time.Second {
		t.Errorf("when it is known, Commit took %s and answered %v", took, err)
	}
	proxy.Silence(false)
	began = time.Now()
	eventually(t, "the store works again", works(s))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to get it back", took)
	}
}

func TestASlowServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behind(t)
	proxy.Delay(150 * time.Millisecond)
	for i := range 5 {
		version := commit(t, s, put("k", strconv.Itoa(i)))[0]
		item, err := s.Get(t.Context(), "k")
		must(t, err)
		if item.Version != version {
			t.Fatalf("read version %d after %d was written", item.Version, version)
		}
	}
}

// TestNothingIsLostOrDoubledWhileConnectionsAreCut counts under fire: each worker
// owns a counter and knows after each doubtful commit what became of it.
func TestNothingIsLostOrDoubledWhileConnectionsAreCut(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behind(t)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
			proxy.Cut()
		}
	})
	const workers = 8
	counts, doubts := make([]int, workers), make([]int, workers)
	for i := range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				switch err := increment(s, fmt.Sprintf("n%d", i)); {
				case err == nil:
					counts[i]++
				case fault.Is(err, fault.Conflict):
					t.Errorf("a conflict where nobody else writes: %v", err)
				case !fault.Is(err, fault.Unavailable):
					t.Errorf("an error of another kind: %v", err)
				default:
					doubts[i]++
				}
			}
		})
	}
	all.Wait()
	eventually(t, "the store works", works(s))
	done := 0
	for i := range workers {
		var item store.Item
		eventually(t, "the counter can be read", func() bool {
			var err error
			item, err = s.Get(t.Context(), fmt.Sprintf("n%d", i))
			return err == nil
		})
		n, err := strconv.Atoi(string(item.Value))
		must(t, err)
		if n < counts[i] || n > counts[i]+doubts[i] {
			t.Errorf("counter %d is %d after %d acknowledged and %d doubtful increments", i, n, counts[i], doubts[i])
		}
		done += counts[i]
	}
	if done == 0 {
		t.Fatal("nothing was done at all")
	}
}

// increment adds one to a counter of one's own.
func increment(s store.KV, key string) error {
	ctx := context.Background()
	item, err := s.Get(ctx, key)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	n, _ := strconv.Atoi(string(item.Value)) // absent: 0
	_, err = s.Commit(ctx, store.Write{Key: key, Value: []byte(strconv.Itoa(n + 1)), If: item.Version})
	return err
}

func TestALeaseIsLostWhenTheServerIsSilent(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behind(t)
	lease, err := s.Lock(t.Context(), "l", time.Second)
	must(t, err)
	proxy.Silence(true)
	began := time.Now()
	select {
	case <-lease.Lost():
	case <-time.After(patience):
		t.Fatal("the holder was not told")
	}
	// The holder stops by itself before its ttl is over; the rest is for a busy machine.
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the holder was told after %s, its lease is of 1s", took)
	}
}

func TestARedisThatComesBackEmptyIsNotObeyed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{Addrs: []string{server.Addr()}})
	commit(t, s, put("proxy:a", "{}"))
	events := s.Watch(t.Context(), "")
	commit(t, s, put("last", "v"))
	for next(t, events).Key != "last" {
		continue // what was told before
	}
	server.Kill()
	server.Empty(t)
	server.Run(t)
	eventually(t, "the store sees that it is empty", func() bool {
		return s.Ready() != nil && strings.Contains(s.Ready().Error(), "come back empty")
	})
	for what, call := range map[string]func() error{
		"Get":    func() error { _, err := s.Get(t.Context(), "proxy:a"); return err },
		"List":   func() error { _, err := s.List(t.Context(), "", "", 0); return err },
		"Commit": func() error { _, err := s.Commit(t.Context(), put("k", "v")); return err },
		"Now":    func() error { _, err := s.Now(t.Context()); return err },
	} {
		if err := call(); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "store accept") {
			t.Errorf("%s: got %v, want Unavailable with what to do", what, err)
		}
	}
	if got := server.CLI(t, "dbsize"); got != "0" {
		t.Errorf("something was written into the empty Redis: %s keys", got)
	}
	select {
	case e := <-events:
		t.Errorf("the watch told of %+v: nothing must be read from the empty Redis", e)
	default:
	}
}

func TestAFlushedRedisIsNotObeyed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Options{Addrs: []string{server.Addr()}})
	commit(t, s, put("k", "v"))
	server.CLI(t, "flushall")
	// Not even by the very first command after it.
	if _, err := s.Commit(t.Context(), put("k", "v")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a commit into a flushed Redis: %v", err)
	}
	eventually(t, "the store says so", func() bool { return s.Ready() != nil && strings.Contains(s.Ready().Error(), "come back empty") })
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Password: "0123456789abcdef0123456789abcdef", TLS: true})
	for name, c := range map[string]struct {
		change func(*redisstore.Options)
		want   string
	}{
		"no password":    {func(o *redisstore.Options) { o.Password = "" }, "it wants a password"},
		"wrong password": {func(o *redisstore.Options) { o.Password = "wrong" }, "it refuses the user or the password"},
		"no TLS":         {func(o *redisstore.Options) { o.TLS = nil }, "the connection broke"},
		"wrong CA":       {func(o *redisstore.Options) { o.TLS.RootCAs = nil }, "its certificate or TLS is not accepted"},
		"nobody there":   {func(o *redisstore.Options) { o.Addrs = []string{"127.0.0.1:1"} }, "it can't be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(server)
			o.Patience = 300 * time.Millisecond
			c.change(&o)
			_, err := redisstore.Open(t.Context(), o)
			if !fault.Is(err, fault.Unavailable) {
				t.Fatalf("got %v, want Unavailable", err)
			}
			f, _ := errors.AsType[*fault.Error](err)
			if !strings.Contains(f.Message(), c.want) || strings.Contains(err.Error(), "0123456789abcdef") {
				t.Errorf("it says %q (%v), want %q", f.Message(), err, c.want)
			}
		})
	}
}
