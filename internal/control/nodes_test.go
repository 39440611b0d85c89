package control_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// nodes are Controls over one store, as on several machines; run ends with the test.
func node(t *testing.T, kv store.Store, name string, off time.Duration) *control.Control {
	t.Helper()
	c := control.New(control.Deps{Store: kv, Shared: true, Node: name, Release: "test", Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(off) }})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return c
}

func shared(t *testing.T) store.Store {
	t.Helper()
	kv, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	return kv
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func TestNodesOfOneStoreKnowEachOther(t *testing.T) {
	kv := shared(t)
	a := node(t, kv, "a", 0)
	b := control.New(control.Deps{Store: kv, Shared: true, Node: "b", Release: "test"})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = b.Run(ctx) })
	names := func() string {
		page, err := a.Nodes(t.Context(), control.Nothing{})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, n := range page.Items {
			if n.Self != (n.Node == "a") {
				t.Errorf("%+v says that it answers", n)
			}
			all = append(all, n.Node)
		}
		return strings.Join(all, " ")
	}
	eventually(t, "the other node does not come", func() bool { return names() == "a b" })
	stop()
	running.Wait()
	if got := names(); got != "a" {
		t.Errorf("after it has left the nodes are %s", got)
	}
}

func TestANodeWhoseClockIsWrongSaysSo(t *testing.T) {
	kv := shared(t)
	for name, c := range map[string]struct {
		off   time.Duration
		wrong bool
	}{"right": {0, false}, "a little ahead": {25 * time.Second, false}, "ahead": {32 * time.Second, true}, "behind": {-time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			n := node(t, kv, name, c.off)
			eventually(t, "the node does not say that it lives", func() bool {
				items, err := kv.List(t.Context(), "node:"+name+":", "", 0)
				return err == nil && len(items) == 1
			})
			if err := n.ClockOff(); (err != nil) != c.wrong || (err != nil && !fault.Is(err, fault.Unavailable)) {
				t.Errorf("with a clock %s off: %v", c.off, err)
			}
		})
	}
}

// TestDoorsOfOtherNodesAreKnown: as soon as a node is there, and for a while without
// its record, which goes away while the store does.
func TestDoorsOfOtherNodesAreKnown(t *testing.T) {
	kv := shared(t)
	var later atomic.Int64
	a := control.New(control.Deps{Store: kv, Shared: true, Node: "a", Release: "test", Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	b := control.New(control.Deps{Store: kv, Shared: true, Node: "b", Release: "test", Tag: "tagofb", Address: "127.0.0.1:7946"})
	var running sync.WaitGroup
	defer running.Wait()
	ctxA, stopA := context.WithCancel(t.Context())
	defer stopA()
	ctxB, stopB := context.WithCancel(t.Context())
	defer stopB()
	running.Go(func() { _ = a.Run(ctxA) })
	running.Go(func() { _ = b.Run(ctxB) })
	known := func() bool { return a.NodeAt("tagofb") == "127.0.0.1:7946" }
	eventually(t, "the other node's door is not known", known)
	if at := a.NodeAt("other") + a.NodeAt(""); at != "" {
		t.Errorf("nodes that are not there have a door: %s", at)
	}
	stopB()
	eventually(t, "the node is still on the list", func() bool {
		page, err := a.Nodes(t.Context(), control.Nothing{})
		return err == nil && len(page.Items) == 1
	})
	if !known() {
		t.Error("a door is forgotten with its record")
	}
	eventually(t, "the door of a node that left long ago is known", func() bool {
		later.Add(int64(time.Minute)) // it may not have been missed before
		return !known()
	})
}
