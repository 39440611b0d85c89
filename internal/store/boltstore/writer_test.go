package boltstore

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

func openTest(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// hold keeps the writer inside a transaction until release is called.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	inside, free := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.writer.do(context.Background(), 0, func(*batch) error {
			close(inside)
			<-free
			return nil
		})
	}()
	<-inside
	return func() {
		close(free)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestReadsDoNotWaitForTheWriter(t *testing.T) {
	s := openTest(t, t.TempDir())
	if _, err := s.Commit(t.Context(), store.Write{Key: "k", Value: []byte("v"), If: 0}); err != nil {
		t.Fatal(err)
	}
	release := hold(t, s)
	defer release()
	if item, err := s.Get(t.Context(), "k"); err != nil || string(item.Value) != "v" {
		t.Fatalf("Get beside a writer: %+v, %v", item, err)
	}
	if items, err := s.List(t.Context(), "", "", 0); err != nil || len(items) != 1 {
		t.Fatalf("List beside a writer: %+v, %v", items, err)
	}
}

func TestWaitingForTheWriterEndsWithTheContext(t *testing.T) {
	s := openTest(t, t.TempDir())
	release := hold(t, s)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 2)
	go func() {
		_, err := s.Commit(ctx, store.Write{Key: "k", If: 0})
		failed <- err
	}()
	go func() {
		_, err := s.Take(ctx, "k")
		failed <- err
	}()
	cancel()
	for range 2 {
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
}

// TestWaitingCommitsShareOneTransaction is what makes a hundred writers fast: one
// fsync for all that wait.
func TestWaitingCommitsShareOneTransaction(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t, dir)
		release := hold(t, s)
		var group sync.WaitGroup
		var mu sync.Mutex
		transactions := make(map[int]int)
		for range 100 {
			group.Go(func() {
				err := s.writer.do(t.Context(), 0, func(b *batch) error {
					mu.Lock()
					defer mu.Unlock()
					transactions[b.tx.ID()]++
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // all hundred wait now
		release()
		group.Wait()
		if len(transactions) != 1 {
			t.Fatalf("100 waiting changes took the transactions %v, want one", transactions)
		}
		if err := s.Close(); err != nil { // the bubble wants everything ended
			t.Error(err)
		}
	})
}

// TestNeighboursAreJudgedInOrder: within one transaction each sees what those
// before it did, and a refusal touches nobody else.
func TestNeighboursAreJudgedInOrder(t *testing.T) {
	s := openTest(t, t.TempDir())
	create := func(value string) func(*batch) error {
		return func(b *batch) error {
			edits, _ := prepare([]store.Write{{Key: "k", Value: []byte(value), If: 0}, {Key: "by:" + value, If: 0}})
			_, err := b.commit(edits)
			return err
		}
	}
	changes := []*change{
		{ctx: t.Context(), apply: create("first")},
		{ctx: t.Context(), apply: create("second")},
		{ctx: t.Context(), apply: func(b *batch) error { _, err := b.take([]byte("k")); return err }},
		{ctx: t.Context(), apply: create("third")},
	}
	for _, c := range changes {
		c.done = make(chan error, 1)
	}
	// Not the loop itself: it must not run beside it.
	w := newWriter(t.Context(), s.db.DB, &s.events)
	w.flush(changes)
	for i, want := range []string{"", "conflict", "", ""} {
		err := <-changes[i].done
		if (err == nil) != (want == "") || (err != nil && !fault.Is(err, fault.Conflict)) {
			t.Errorf("change %d: got %v, want %q", i, err, want)
		}
	}
	if item, err := s.Get(t.Context(), "k"); err != nil || string(item.Value) != "third" {
		t.Fatalf("k is %q, %v", item.Value, err)
	}
	if _, err := s.Get(t.Context(), "by:second"); !fault.Is(err, fault.NotFound) {
		t.Fatalf("the refused one left something behind: %v", err)
	}
}

// TestAfterAFailureOfTheDiskNothingIsWritten: when nobody knows what is on disk
// the store stays readable and says what to do.
func TestAfterAFailureOfTheDiskNothingIsWritten(t *testing.T) {
	s := openTest(t, t.TempDir())
	if _, err := s.Commit(t.Context(), store.Write{Key: "k", Value: []byte("v"), If: 0}); err != nil {
		t.Fatal(err)
	}
	err := s.writer.do(t.Context(), 0, func(*batch) error { panic("page 7: invalid page type: 0") })
	for range 2 {
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "nothing is written any more") {
			t.Fatalf("got %v", err)
		}
		_, err = s.Commit(t.Context(), store.Write{Key: "k2", If: 0})
	}
	if item, err := s.Get(t.Context(), "k"); err != nil || string(item.Value) != "v" {
		t.Fatalf("reading after the failure: %+v, %v", item, err)
	}
}

func TestAFailedSyncIsNotTriedAgain(t *testing.T) {
	w := newWriter(t.Context(), nil, nil)
	if err := w.commitFault(errors.New("input/output error")); !fault.Is(err, fault.Unavailable) || w.broken == nil {
		t.Fatalf("got %v, broken %v", err, w.broken)
	}
}
