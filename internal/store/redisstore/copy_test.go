package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
	"gatehouse/test/redistest"
)

// TestCopyCarriesEverythingBothWays fills an embedded store, copies it into Redis
// and from there into another embedded store.
func TestCopyCarriesEverythingBothWays(t *testing.T) {
	t.Parallel()
	embedded := func() *boltstore.Store {
		s, err := boltstore.Open(t.TempDir(), boltstore.Options{})
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	first, shared, second := embedded(), open(t, options(redistest.Start(t, redistest.Options{}))), embedded()
	const keys, blocks = 600, 50
	for i := range keys {
		w := put(fmt.Sprintf("k:%04d", i), fmt.Sprintf("\x00value %d\xff", i))
		if i%2 == 0 {
			w.TTL = time.Duration(i+1) * time.Hour
		}
		commit(t, first, w)
	}
	began := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for i := range blocks {
		at := began.Add(time.Duration(i) * 10 * time.Minute)
		must2(first.Append(t.Context(), store.Block{Log: "request", First: at, Last: at.Add(time.Second), Data: fmt.Append(nil, i)}, false))(t)
	}
	for _, way := range [][2]store.Store{{first, shared}, {shared, second}} {
		copied, err := store.Copy(t.Context(), way[0], way[1], "request", "audit")
		must(t, err)
		if copied.Keys != keys || copied.Blocks != blocks {
			t.Fatalf("copied %+v, want %d keys and %d blocks", copied, keys, blocks)
		}
	}
	for after := ""; ; {
		want, err := first.List(t.Context(), "", after, 0)
		must(t, err)
		got, err := second.List(t.Context(), "", after, 0)
		must(t, err)
		if len(got) != len(want) {
			t.Fatalf("%d keys came, %d were there", len(got), len(want))
		}
		for i := range want {
			drift := got[i].Expires.Sub(want[i].Expires).Abs()
			if got[i].Key != want[i].Key || string(got[i].Value) != string(want[i].Value) || got[i].Expires.IsZero() != want[i].Expires.IsZero() || drift > 5*time.Second {
				t.Fatalf("%+v came for %+v", got[i], want[i])
			}
		}
		if len(want) < store.MaxPage {
			break
		}
		after = want[len(want)-1].Key
	}
	n := 0
	must(t, second.Range(t.Context(), "request", time.Time{}, time.Time{}, false, func(b store.Block) bool {
		if string(b.Data) != fmt.Sprint(n) || !b.First.Equal(began.Add(time.Duration(n)*10*time.Minute)) {
			t.Errorf("block %d is %+v", n, b)
		}
		n++
		return true
	}))
	if n != blocks {
		t.Errorf("%d blocks came", n)
	}
	if _, err := store.Copy(t.Context(), first, second); !fault.Is(err, fault.Exists) {
		t.Errorf("copying over what is there: %v, want Exists", err)
	}
}
