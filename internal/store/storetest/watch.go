package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"gatehouse/internal/store"
)

func watchBeginsWithReload(t *testing.T, s store.Store) {
	commit(t, s, put("k", "1"))
	events := s.Watch(t.Context(), "")
	wantEvent(t, events, store.Reload, "")
	commit(t, s, put("k", "2"))
	wantEvent(t, events, store.Changed, "k")
}

func watchTellsInCommitOrder(t *testing.T, s store.Store) {
	events := s.Watch(t.Context(), "k")
	wantEvent(t, events, store.Reload, "")
	for i := range 20 {
		commit(t, s, put(fmt.Sprintf("k%d", i), ""), put(fmt.Sprintf("k%d-b", i), ""))
		commit(t, s, remove(fmt.Sprintf("k%d", i)))
		_, err := s.Take(t.Context(), fmt.Sprintf("k%d-b", i))
		must(t, err)
	}
	for i := range 20 {
		wantEvent(t, events, store.Changed, fmt.Sprintf("k%d", i))
		wantEvent(t, events, store.Changed, fmt.Sprintf("k%d-b", i))
		wantEvent(t, events, store.Deleted, fmt.Sprintf("k%d", i))
		wantEvent(t, events, store.Deleted, fmt.Sprintf("k%d-b", i))
	}
}

func watchTellsAfterTheChangeCanBeRead(t *testing.T, s store.Store) {
	events := s.Watch(t.Context(), "")
	wantEvent(t, events, store.Reload, "")
	done := make(chan error, 1)
	go func() {
		for i := range 50 {
			if _, err := s.Commit(t.Context(), put(fmt.Sprintf("k%02d", i), "v")); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := range 50 {
		wantEvent(t, events, store.Changed, fmt.Sprintf("k%02d", i))
		wantValue(t, s, fmt.Sprintf("k%02d", i), "v")
	}
	must(t, <-done)
}

func watchKeepsToThePrefix(t *testing.T, s store.Store) {
	a := s.Watch(t.Context(), "a:")
	b := s.Watch(t.Context(), "b:")
	wantEvent(t, a, store.Reload, "")
	wantEvent(t, b, store.Reload, "")
	commit(t, s, put("b:1", ""), put("c:1", ""), put("a", ""), put("a:1", ""))
	commit(t, s, remove("none"), put("b:2", ""))
	wantEvent(t, a, store.Changed, "a:1")
	wantEvent(t, b, store.Changed, "b:1")
	wantEvent(t, b, store.Changed, "b:2")
}

// slowWatcherGetsOneReload reads nothing while far more happens than any buffer
// should hold, then catches up: a Reload stands for what was lost, and what
// follows is told again.
func slowWatcherGetsOneReload(t *testing.T, s store.Store) {
	events := s.Watch(t.Context(), "k:")
	wantEvent(t, events, store.Reload, "")
	const flood = 10_000
	writeAll(t, s, numbered("k:", flood))
	told := 1
	for receive(t, events, "the Reload").Kind != store.Reload {
		told++
	}
	commit(t, s, put("k:last", ""))
	for reloaded := true; ; told++ {
		e := receive(t, events, "what was written last")
		if e.Kind == store.Reload && reloaded {
			t.Fatal("one Reload came right after another")
		}
		if reloaded = e.Kind == store.Reload; e.Key == "k:last" {
			break
		}
	}
	if told > flood/2 {
		t.Fatalf("%d events waited for a reader who did not come", told)
	}
	commit(t, s, put("k:after", ""))
	wantEvent(t, events, store.Changed, "k:after")
}

func writeAll(t *testing.T, s store.Store, names []string) {
	t.Helper()
	for batch := range slices.Chunk(names, store.MaxCommit) {
		var writes []store.Write
		for _, name := range batch {
			writes = append(writes, put(name, name))
		}
		commit(t, s, writes...)
	}
}

func watchEndsWithItsContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	read := s.Watch(ctx, "")
	unread := s.Watch(ctx, "")
	other := s.Watch(t.Context(), "")
	wantEvent(t, read, store.Reload, "")
	cancel()
	wantClosed(t, read, "the watch")
	wantClosed(t, unread, "the watch that nobody read")
	wantEvent(t, other, store.Reload, "")
	commit(t, s, put("k", ""))
	wantEvent(t, other, store.Changed, "k")
}

func wantEvent(t *testing.T, events <-chan store.Event, kind store.EventKind, key string) {
	t.Helper()
	e := receive(t, events, fmt.Sprintf("event %d %q", kind, key))
	if e.Kind != kind || e.Key != key {
		t.Fatalf("got event %+v, want kind %d of %q", e, kind, key)
	}
}
