package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

func TestADutyIsOneNodesAtATimeAndMovesOn(t *testing.T) {
	s, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var running sync.WaitGroup
	defer running.Wait()
	all := map[*store.Duty]context.CancelFunc{}
	for range 3 {
		d := store.NewDuty(s, "upkeep", time.Second)
		if d.Mine() {
			t.Error("a duty is had before its lock")
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		all[d] = stop
		running.Go(func() { _ = d.Run(ctx) })
	}
	for len(all) > 0 {
		var holder *store.Duty
		for deadline := time.Now().Add(20 * time.Second); holder == nil; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("nobody of %d nodes has the duty", len(all))
			}
			for d := range all {
				if d.Mine() && holder != nil {
					t.Fatal("two nodes have it")
				}
				if d.Mine() {
					holder = d
				}
			}
		}
		all[holder]()
		delete(all, holder)
	}
	var alone *store.Duty
	if !alone.Mine() {
		t.Error("a node that stands alone has no duty")
	}
}
