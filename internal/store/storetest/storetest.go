// Package storetest is the contract of package store in executable form: one
// suite of tests that runs on every backend. It takes nothing for granted that
// the contract does not say; where the store's own clock decides it looks again
// and again until a deadline.
package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Open makes a new and empty store for one test. The test's cleanup closes it.
// Tests run side by side, so that stores must not share anything.
type Open func(t *testing.T) store.Store

// Reopen closes a store that Open made and opens the same data again.
type Reopen func(t *testing.T, s store.Store) store.Store

// patience bounds every wait for something that must happen; it is long because
// the machine may be busy, and costs nothing when all is well.
const patience = 20 * time.Second

// Run runs the suite. Without reopen what concerns restarts is left out.
func Run(t *testing.T, open Open, reopen Reopen) {
	suite := []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"GetAnswersWhatWasCommitted", getAnswersWhatWasCommitted},
		{"ItemsBelongToTheCaller", itemsBelongToTheCaller},
		{"ListIsInByteOrderUnderThePrefix", listIsInByteOrder},
		{"ListPages", listPages},
		{"CommitIsAllOrNothing", commitIsAllOrNothing},
		{"CommitChecksEveryVersion", commitChecksEveryVersion},
		{"DeleteOfNothingIsFine", deleteOfNothingIsFine},
		{"VersionsNeverRepeat", versionsNeverRepeat},
		{"BoundsAreInvalid", boundsAreInvalid},
		{"TheLargestIsTaken", theLargestIsTaken},
		{"EndedContextIsRefused", endedContextIsRefused},
		{"WritersLoseNoUpdate", writersLoseNoUpdate},
		{"CommitsOverSeveralKeysStayConsistent", commitsStayConsistent},
		{"OneTakerGetsTheItem", oneTakerGetsTheItem},
		{"TakeOfNothingIsNotFound", takeOfNothingIsNotFound},
		{"ExpiredKeysAreAbsent", expiredKeysAreAbsent},
		{"ExpiredKeysCanBeCreatedAnew", expiredKeysCanBeCreatedAnew},
		{"ALaterWriteChangesTheExpiry", laterWriteChangesExpiry},
		{"NowIsTheClockOfExpiry", nowIsTheClockOfExpiry},
		{"WatchBeginsWithReload", watchBeginsWithReload},
		{"WatchTellsInCommitOrder", watchTellsInCommitOrder},
		{"WatchTellsAfterTheChangeCanBeRead", watchTellsAfterTheChangeCanBeRead},
		{"WatchTellsOfExpiry", watchTellsOfExpiry},
		{"WatchKeepsToThePrefix", watchKeepsToThePrefix},
		{"SlowWatcherGetsOneReload", slowWatcherGetsOneReload},
		{"WatchEndsWithItsContext", watchEndsWithItsContext},
		{"LogRangesInOrder", logRangesInOrder},
		{"LogRangeKeepsToItsTimes", logRangeKeepsToItsTimes},
		{"LogRangeStopsWhenTold", logRangeStopsWhenTold},
		{"LogsAreApart", logsAreApart},
		{"LogBoundsAreInvalid", logBoundsAreInvalid},
		{"LogAppendersDoNotMix", logAppendersDoNotMix},
		{"LogFollowDelivers", logFollowDelivers},
		{"LogSlowFollowerLosesTheOldest", logSlowFollowerLosesTheOldest},
		{"LogDropRemovesTheOld", logDropRemovesTheOld},
		{"LogDropOfEverythingKeepsIDsApart", logDropKeepsIDsApart},
		{"LogInfoCounts", logInfoCounts},
		{"LocksExclude", locksExclude},
		{"LockWaitsForUnlock", lockWaitsForUnlock},
		{"LockEndsWaitingWithItsContext", lockEndsWaiting},
		{"LeaseIsLostWithItsContext", leaseIsLostWithItsContext},
		{"LeaseIsKeptBeyondItsTTL", leaseIsKept},
		{"LocksOfOtherNamesAreFree", locksOfOtherNamesAreFree},
		{"LockBoundsAreInvalid", lockBoundsAreInvalid},
		{"DescribeCounts", describeCounts},
		{"ClosedStoreIsUnavailable", closedStoreIsUnavailable},
	}
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // most of the slow ones wait for a clock
			c.test(t, open(t))
		})
	}
	if reopen == nil {
		return
	}
	restarts := []struct {
		name string
		test func(*testing.T, store.Store, Reopen)
	}{
		{"ReopenKeepsKeys", reopenKeepsKeys},
		{"ReopenKeepsVersionsApart", reopenKeepsVersionsApart},
		{"ReopenExpires", reopenExpires},
		{"ReopenKeepsLogs", reopenKeepsLogs},
	}
	for _, c := range restarts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t), reopen)
		})
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind, what string) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("%s: got %v, want an error of kind %s", what, err, kind)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(key, value string) store.Write {
	return store.Write{Key: key, Value: []byte(value), If: store.AnyVersion}
}

func remove(key string) store.Write {
	return store.Write{Key: key, Delete: true, If: store.AnyVersion}
}

// commit commits and answers the new versions.
func commit(t *testing.T, s store.KV, writes ...store.Write) []int64 {
	t.Helper()
	versions, err := s.Commit(t.Context(), writes...)
	must(t, err)
	if len(versions) != len(writes) {
		t.Fatalf("got %d versions for %d writes", len(versions), len(writes))
	}
	return versions
}

func get(t *testing.T, s store.KV, key string) store.Item {
	t.Helper()
	item, err := s.Get(t.Context(), key)
	must(t, err)
	return item
}

func wantValue(t *testing.T, s store.KV, key, value string) {
	t.Helper()
	if item := get(t, s, key); string(item.Value) != value {
		t.Fatalf("%s is %q, want %q", key, item.Value, value)
	}
}

func wantAbsent(t *testing.T, s store.KV, key string) {
	t.Helper()
	_, err := s.Get(t.Context(), key)
	wantKind(t, err, fault.NotFound, "Get of "+key)
	items, err := s.List(t.Context(), key, "", 0)
	must(t, err)
	if slices.Contains(keysOf(items), key) {
		t.Fatalf("List still has %s", key)
	}
}

func keysOf(items []store.Item) []string {
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = item.Key
	}
	return keys
}

// eventually looks until holds does.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

// receive is the next value from c.
func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v, open := <-c:
		if !open {
			t.Fatalf("the channel was closed while waiting for %s", what)
		}
		return v
	case <-time.After(patience):
		t.Fatalf("waited %s in vain for %s", patience, what)
	}
	panic("not reached")
}

// wantClosed reads c until it is closed.
func wantClosed[T any](t *testing.T, c <-chan T, what string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, open := <-c:
			if !open {
				return
			}
		case <-deadline:
			t.Fatalf("%s was not closed within %s", what, patience)
		}
	}
}

// together runs n calls at the same time and waits for all.
func together(t *testing.T, n int, call func(ctx context.Context, i int) error) {
	t.Helper()
	start := make(chan struct{})
	errs := make(chan error, n)
	for i := range n {
		go func() {
			<-start
			errs <- call(t.Context(), i)
		}()
	}
	close(start)
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%04d", prefix, i)
	}
	return names
}
