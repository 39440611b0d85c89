package redisstore_test

import (
	"strconv"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/redistest"
)

// sentinels are a master with a replica, and a Sentinel that watches them.
func sentinels(t *testing.T) (master, replica *redistest.Server, sentinel *redistest.Sentinel) {
	t.Helper()
	const password = "0123456789abcdef0123456789abcdef"
	master = redistest.Start(t, redistest.Options{Password: password})
	replica = redistest.Start(t, redistest.Options{Password: password, ReplicaOf: master})
	return master, replica, redistest.StartSentinel(t, master)
}

func TestContractThroughASentinelAfterFailover(t *testing.T) {
	t.Parallel()
	master, replica, sentinel := sentinels(t)
	fresh := func() redisstore.Options {
		o := options(master)
		o.Addrs, o.Master = []string{sentinel.Addr()}, "main"
		return o
	}
	o := fresh()
	s := open(t, o)
	events := s.Watch(t.Context(), "")
	next(t, events)
	var last int64
	for i := range 50 {
		last = commit(t, s, put("k"+strconv.Itoa(i), "v"))[0]
		if e := next(t, events); e.Kind != store.Changed {
			t.Fatalf("got %+v", e)
		}
	}
	eventually(t, "the replica has everything", func() bool {
		return replica.CLI(t, "exists", o.Prefix+"k49") == "1"
	})
	master.Kill()
	began := time.Now()
	var after int64
	eventually(t, "the store works on the promoted replica", func() bool {
		versions, err := s.Commit(t.Context(), put("after", "v"))
		if err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatalf("during the failover: %v", err)
		}
		if err == nil {
			after = versions[0]
		}
		return err == nil
	})
	t.Logf("the store worked again %s after the master was killed", time.Since(began))
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	if after <= last {
		t.Errorf("version %d was given after %d", after, last)
	}
	items, err := s.List(t.Context(), "k", "", 0)
	must(t, err)
	if len(items) != 50 {
		t.Errorf("%d of 50 keys are there", len(items))
	}
	if e := next(t, events); e.Kind != store.Reload {
		t.Errorf("the watch told of %+v, want Reload", e)
	}
	if replica.CLI(t, "exists", o.Prefix+"after") != "1" {
		t.Error("the change is not on the promoted replica")
	}
	contract(t, fresh)
}
