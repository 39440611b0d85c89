package storetest

import (
	"testing"
	"time"

	"gatehouse/internal/store"
)

func reopenKeepsKeys(t *testing.T, s store.Store, reopen Reopen) {
	versions := commit(t, s, put("a", "1"), put("b", "2"), store.Write{Key: "c", Value: []byte("3"), If: 0, TTL: time.Hour}, put("gone", ""))
	commit(t, s, remove("gone"))
	before := get(t, s, "c")
	s = reopen(t, s)
	wantValue(t, s, "a", "1")
	wantValue(t, s, "b", "2")
	wantAbsent(t, s, "gone")
	if after := get(t, s, "c"); !after.Expires.Equal(before.Expires) || after.Version != versions[2] {
		t.Fatalf("after reopening it is %+v, it was %+v", after, before)
	}
	commit(t, s, store.Write{Key: "a", Value: []byte("1b"), If: versions[0]})
}

func reopenKeepsVersionsApart(t *testing.T, s store.Store, reopen Reopen) {
	seen := map[int64]bool{commit(t, s, put("k", ""))[0]: true}
	for range 3 {
		commit(t, s, remove("k"))
		s = reopen(t, s)
		version := commit(t, s, put("k", ""))[0]
		if seen[version] {
			t.Fatalf("version %d came again after reopening", version)
		}
		seen[version] = true
	}
}

func reopenExpires(t *testing.T, s store.Store, reopen Reopen) {
	commit(t, s, shortLived("k:1", 0))
	expires := get(t, s, "k:1").Expires
	s = reopen(t, s)
	events := s.Watch(t.Context(), "k:")
	wantEvent(t, events, store.Reload, "")
	waitUntil(t, s, expires)
	wantAbsent(t, s, "k:1")
	wantEvent(t, events, store.Deleted, "k:1")
}

func reopenKeepsLogs(t *testing.T, s store.Store, reopen Reopen) {
	old := appendAll(t, s, block("request", 1, "1"), block("request", 2, "2"), block("request", 100, "3"), block("audit", 1, "a"))
	s = reopen(t, s)
	wantData(t, collect(t, s, "request", time.Time{}, time.Time{}, false), "1", "2", "3")
	wantData(t, collect(t, s, "audit", time.Time{}, time.Time{}, true), "a")
	fresh := appendAll(t, s, block("request", 101, "4"))
	if fresh[0] <= old[2] {
		t.Fatalf("the id %s after reopening is not behind %s", fresh[0], old[2])
	}
	s = reopen(t, s)
	blocks := collect(t, s, "request", time.Time{}, time.Time{}, true)
	wantData(t, blocks, "4", "3", "2", "1")
	if blocks[0].ID != fresh[0] || blocks[3].ID != old[0] {
		t.Fatalf("the ids are %s … %s, they were %s … %s", blocks[0].ID, blocks[3].ID, fresh[0], old[0])
	}
	info, err := s.Info(t.Context(), "request")
	must(t, err)
	if info.Blocks != 4 || info.Damaged != 0 || !info.Oldest.Equal(block("request", 1, "").First) {
		t.Fatalf("the log says %+v", info)
	}
}
