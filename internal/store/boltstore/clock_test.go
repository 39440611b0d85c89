package boltstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// TestExpiryIsToldWithinASecond runs on a clock of its own, so that it can be
// strict: absent from the very millisecond, told within a second.
func TestExpiryIsToldWithinASecond(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := boltstore.Open(dir, boltstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		events := s.Watch(t.Context(), "")
		<-events // Reload
		start := time.Now()
		for _, ttl := range []time.Duration{time.Hour, time.Minute, time.Hour + 10*time.Millisecond} {
			if _, err := s.Commit(t.Context(), store.Write{Key: ttl.String(), If: 0, TTL: ttl}); err != nil {
				t.Fatal(err)
			}
			<-events // Changed
		}
		for _, ttl := range []time.Duration{time.Minute, time.Hour, time.Hour + 10*time.Millisecond} {
			time.Sleep(time.Until(start.Add(ttl - time.Millisecond)))
			if _, err := s.Get(t.Context(), ttl.String()); err != nil {
				t.Fatalf("a millisecond early: %v", err)
			}
			time.Sleep(time.Millisecond)
			if _, err := s.Get(t.Context(), ttl.String()); !fault.Is(err, fault.NotFound) {
				t.Fatalf("at its expiry: got %v, want NotFound", err)
			}
		}
		for _, ttl := range []time.Duration{time.Minute, time.Hour, time.Hour + 10*time.Millisecond} {
			e := <-events
			if e != (store.Event{Kind: store.Deleted, Key: ttl.String()}) {
				t.Fatalf("got %+v, want Deleted of %s", e, ttl)
			}
		}
		if late := time.Since(start.Add(time.Hour + 10*time.Millisecond)); late > time.Second {
			t.Fatalf("the last was told %s late", late)
		}
		if d, err := s.Describe(t.Context()); err != nil || d.Keys != 0 {
			t.Fatalf("%+v, %v: expired keys still take room", d, err)
		}
	})
}

// TestManyExpiredKeysAreSweptSoon: a backlog does not wait for its turn for ever.
func TestManyExpiredKeysAreSweptSoon(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := boltstore.Open(dir, boltstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		const many = 5000
		for n := 0; n < many; n += store.MaxCommit {
			var writes []store.Write
			for i := n; i < min(n+store.MaxCommit, many); i++ {
				writes = append(writes, store.Write{Key: time.Duration(i).String(), If: 0, TTL: time.Minute})
			}
			if _, err := s.Commit(t.Context(), writes...); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if d, err := s.Describe(t.Context()); err != nil || d.Keys != 0 {
			t.Fatalf("%+v, %v: want no keys a second after they expired", d, err)
		}
	})
}
