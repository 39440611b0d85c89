package storetest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// leaseTTL is the shortest lease there is.
const leaseTTL = time.Second

func lock(t *testing.T, s store.Locker, ctx context.Context, name string) store.Lease {
	t.Helper()
	lease, err := s.Lock(ctx, name, leaseTTL)
	must(t, err)
	return lease
}

func locksExclude(t *testing.T, s store.Store) {
	var inside, entered atomic.Int32
	together(t, 20, func(ctx context.Context, _ int) error {
		lease, err := s.Lock(ctx, "renew", 10*time.Second)
		if err != nil {
			return err
		}
		defer lease.Unlock()
		if inside.Add(1) != 1 {
			return errors.New("two hold the lock at once")
		}
		entered.Add(1)
		time.Sleep(time.Millisecond)
		inside.Add(-1)
		return nil
	})
	if entered.Load() != 20 {
		t.Fatalf("%d got the lock, want all 20", entered.Load())
	}
}

func lockWaitsForUnlock(t *testing.T, s store.Store) {
	first := lock(t, s, t.Context(), "l")
	got := make(chan store.Lease)
	go func() {
		defer close(got)
		if lease, err := s.Lock(t.Context(), "l", leaseTTL); err == nil {
			got <- lease
		}
	}()
	select {
	case <-got:
		t.Fatal("a second one got the lock while it was held")
	case <-time.After(50 * time.Millisecond):
	}
	first.Unlock()
	first.Unlock() // more than once is fine
	wantClosed(t, first.Lost(), "Lost after Unlock")
	second := receive(t, got, "the lock")
	first.Unlock() // and does not free what is another's now
	stillHeld(t, s, "l")
	second.Unlock()
	lock(t, s, t.Context(), "l").Unlock()
}

// stillHeld checks that nobody gets the lock.
func stillHeld(t *testing.T, s store.Locker, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Lock(ctx, name, leaseTTL); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("locking what is held: got %v, want the context's end", err)
	}
}

func lockEndsWaiting(t *testing.T, s store.Store) {
	held := lock(t, s, t.Context(), "l")
	defer held.Unlock()
	stillHeld(t, s, "l")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := s.Lock(ctx, "l", leaseTTL)
		failed <- err
	}()
	cancel()
	wantCanceled(t, receive(t, failed, "the end of Lock"), "Lock")
	select {
	case <-held.Lost():
		t.Fatal("the holder lost its lock to one who gave up")
	default:
	}
}

func leaseIsLostWithItsContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	first := lock(t, s, ctx, "l")
	cancel()
	wantClosed(t, first.Lost(), "Lost")
	second := lock(t, s, t.Context(), "l")
	first.Unlock()
	stillHeld(t, s, "l")
	second.Unlock()
}

func leaseIsKept(t *testing.T, s store.Store) {
	lease := lock(t, s, t.Context(), "l")
	defer lease.Unlock()
	select {
	case <-lease.Lost():
		t.Fatal("the lease was not renewed")
	case <-time.After(leaseTTL * 3 / 2):
	}
	stillHeld(t, s, "l")
}

func locksOfOtherNamesAreFree(t *testing.T, s store.Store) {
	a := lock(t, s, t.Context(), "a")
	defer a.Unlock()
	commit(t, s, put("b", "a key is no lock"))
	b := lock(t, s, t.Context(), "b")
	b.Unlock()
	wantValue(t, s, "b", "a key is no lock")
}

func lockBoundsAreInvalid(t *testing.T, s store.Store) {
	_, err := s.Lock(t.Context(), "", leaseTTL)
	wantKind(t, err, fault.Invalid, "a lock without a name")
	_, err = s.Lock(t.Context(), strings.Repeat("l", store.MaxKey+1), leaseTTL)
	wantKind(t, err, fault.Invalid, "a lock with a name too long")
	_, err = s.Lock(t.Context(), "l", leaseTTL-1)
	wantKind(t, err, fault.Invalid, "a lease too short")
}
