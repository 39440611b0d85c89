package storetest

import (
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// life is how long short-lived keys live here. Long enough that they are seen
// alive on a busy machine, where the tests look.
const life = 2 * time.Second

func shortLived(key string, demand int64) store.Write {
	return store.Write{Key: key, Value: []byte("short"), If: demand, TTL: life}
}

// waitUntil waits until the store's clock has reached a time.
func waitUntil(t *testing.T, s store.Store, at time.Time) {
	t.Helper()
	eventually(t, "the store's clock reaches "+at.String(), func() bool {
		now, err := s.Now(t.Context())
		must(t, err)
		return !now.Before(at)
	})
}

func expiredKeysAreAbsent(t *testing.T, s store.Store) {
	before, err := s.Now(t.Context())
	must(t, err)
	version := commit(t, s, shortLived("k:1", 0), put("k:2", "stays"))[0]
	after, err := s.Now(t.Context())
	must(t, err)
	item := get(t, s, "k:1")
	if item.Expires.Before(before.Add(life-time.Millisecond)) || item.Expires.After(after.Add(life+time.Millisecond)) {
		t.Fatalf("it expires at %s, want %s after the commit between %s and %s", item.Expires, life, before, after)
	}
	waitUntil(t, s, item.Expires)
	// At once, not when somebody has cleaned up.
	wantAbsent(t, s, "k:1")
	_, err = s.Take(t.Context(), "k:1")
	wantKind(t, err, fault.NotFound, "Take of an expired key")
	_, err = s.Commit(t.Context(), store.Write{Key: "k:1", If: version})
	wantKind(t, err, fault.Conflict, "writing over an expired version")
	wantValue(t, s, "k:2", "stays")
	if !get(t, s, "k:2").Expires.IsZero() {
		t.Fatal("a key without TTL expires")
	}
}

func expiredKeysCanBeCreatedAnew(t *testing.T, s store.Store) {
	version := commit(t, s, shortLived("k", 0))[0]
	_, err := s.Commit(t.Context(), shortLived("k", 0))
	wantKind(t, err, fault.Conflict, "creating what has not expired yet")
	waitUntil(t, s, get(t, s, "k").Expires)
	again := commit(t, s, store.Write{Key: "k", Value: []byte("new"), If: 0})[0]
	if again == version {
		t.Fatalf("version %d came again after the expiry", version)
	}
	wantValue(t, s, "k", "new")
	// What was to happen to the old one must not befall the new one.
	now, err := s.Now(t.Context())
	must(t, err)
	waitUntil(t, s, now.Add(1500*time.Millisecond))
	wantValue(t, s, "k", "new")
}

func laterWriteChangesExpiry(t *testing.T, s store.Store) {
	commit(t, s, shortLived("forever", 0), shortLived("longer", 0), put("shorter", "v"))
	first := get(t, s, "forever").Expires
	commit(t, s, put("forever", "v"), store.Write{Key: "longer", If: store.AnyVersion, TTL: time.Hour}, shortLived("shorter", store.AnyVersion))
	waitUntil(t, s, first.Add(time.Second))
	wantValue(t, s, "forever", "v")
	get(t, s, "longer")
	waitUntil(t, s, first.Add(life))
	wantAbsent(t, s, "shorter")
}

func nowIsTheClockOfExpiry(t *testing.T, s store.Store) {
	a, err := s.Now(t.Context())
	must(t, err)
	commit(t, s, store.Write{Key: "k", If: 0, TTL: time.Hour})
	b, err := s.Now(t.Context())
	must(t, err)
	expires := get(t, s, "k").Expires
	if expires.Before(a.Add(time.Hour-time.Millisecond)) || expires.After(b.Add(time.Hour+time.Millisecond)) {
		t.Fatalf("an hour from between %s and %s is not %s", a, b, expires)
	}
}

func watchTellsOfExpiry(t *testing.T, s store.Store) {
	events := s.Watch(t.Context(), "k:")
	wantEvent(t, events, store.Reload, "")
	commit(t, s, shortLived("k:1", 0), shortLived("k:2", 0))
	wantEvent(t, events, store.Changed, "k:1")
	wantEvent(t, events, store.Changed, "k:2")
	expires := get(t, s, "k:1").Expires
	seen := make(map[string]bool)
	for range 2 {
		e := receive(t, events, "the expiry")
		if e.Kind != store.Deleted {
			t.Fatalf("got %+v, want Deleted", e)
		}
		seen[e.Key] = true
	}
	if !seen["k:1"] || !seen["k:2"] {
		t.Fatalf("told of %v, want k:1 and k:2", seen)
	}
	now, err := s.Now(t.Context())
	must(t, err)
	if now.Before(expires) {
		t.Fatalf("told at %s, before the expiry at %s", now, expires)
	}
	if late := now.Sub(expires); late > 5*time.Second { // the contract says one; the machine may be busy
		t.Fatalf("told %s late", late)
	}
	wantAbsent(t, s, "k:1")
}
