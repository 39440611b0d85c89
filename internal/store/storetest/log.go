package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// block is a block of a minute that ends so many minutes after some day began.
func block(log string, minute int, data string) store.Block {
	end := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(minute) * time.Minute)
	return store.Block{Log: log, First: end.Add(-time.Minute + time.Nanosecond), Last: end, Data: []byte(data)}
}

func appendAll(t *testing.T, s store.Log, blocks ...store.Block) []string {
	t.Helper()
	ids := make([]string, len(blocks))
	for i, b := range blocks {
		id, err := s.Append(t.Context(), b, i%2 == 0)
		must(t, err)
		ids[i] = id
	}
	return ids
}

// collect is all blocks of a log in [from, to].
func collect(t *testing.T, s store.Log, log string, from, to time.Time, reverse bool) []store.Block {
	t.Helper()
	var blocks []store.Block
	must(t, s.Range(t.Context(), log, from, to, reverse, func(b store.Block) bool {
		blocks = append(blocks, b)
		return true
	}))
	return blocks
}

func dataOf(blocks []store.Block) []string {
	data := make([]string, len(blocks))
	for i, b := range blocks {
		data[i] = string(b.Data)
	}
	return data
}

func wantData(t *testing.T, blocks []store.Block, want ...string) {
	t.Helper()
	if got := dataOf(blocks); !slices.Equal(got, want) {
		t.Fatalf("got blocks %.80q, want %.80q", got, want)
	}
}

func logRangesInOrder(t *testing.T, s store.Store) {
	wantData(t, collect(t, s, "request", time.Time{}, time.Time{}, false))
	var blocks []store.Block
	var want []string
	for i := range 300 { // five hours: several segments or streams
		data := fmt.Sprintf("block %d %s", i, strings.Repeat("x", i))
		blocks, want = append(blocks, block("request", i, data)), append(want, data)
	}
	ids := appendAll(t, s, blocks...)
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Fatalf("the ids are not ordered as appended: %q", ids)
	}
	got := collect(t, s, "request", time.Time{}, time.Time{}, false)
	wantData(t, got, want...)
	for i, b := range got {
		if b.Log != "request" || b.ID != ids[i] || !b.First.Equal(blocks[i].First) || !b.Last.Equal(blocks[i].Last) {
			t.Fatalf("block %d is %+v", i, b)
		}
	}
	slices.Reverse(want)
	wantData(t, collect(t, s, "request", time.Time{}, time.Time{}, true), want...)
}

func logRangeKeepsToItsTimes(t *testing.T, s store.Store) {
	appendAll(t, s, block("request", 1, "1"), block("request", 2, "2"), block("request", 100, "100"), block("request", 101, "101"))
	at := func(minute int) time.Time { return block("request", minute, "").Last }
	none := time.Time{}
	for _, c := range []struct {
		from, to time.Time
		want     []string
	}{
		{at(2), at(100), []string{"2", "100"}},
		{at(1), at(1), []string{"1"}},
		{at(2).Add(time.Nanosecond), at(99), nil},
		{at(2).Add(time.Nanosecond), at(99).Add(time.Nanosecond), []string{"100"}}, // touches its first entry
		{at(101).Add(time.Nanosecond), none, nil},
		{none, at(0), nil},
		{none, at(2), []string{"1", "2"}},
		{at(100), none, []string{"100", "101"}},
		{at(100), at(2), nil}, // the wrong way round
	} {
		if got := dataOf(collect(t, s, "request", c.from, c.to, false)); !slices.Equal(got, c.want) {
			t.Errorf("from %s to %s: got %q, want %q", c.from, c.to, got, c.want)
		}
		slices.Reverse(c.want)
		if got := dataOf(collect(t, s, "request", c.from, c.to, true)); !slices.Equal(got, c.want) {
			t.Errorf("from %s to %s in reverse: got %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func logRangeStopsWhenTold(t *testing.T, s store.Store) {
	appendAll(t, s, block("request", 1, "1"), block("request", 2, "2"), block("request", 200, "3"))
	for _, reverse := range []bool{false, true} {
		var got []string
		must(t, s.Range(t.Context(), "request", time.Time{}, time.Time{}, reverse, func(b store.Block) bool {
			got = append(got, string(b.Data))
			return len(got) < 2
		}))
		if len(got) != 2 {
			t.Errorf("got %q, want two blocks", got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	err := s.Range(ctx, "request", time.Time{}, time.Time{}, false, func(store.Block) bool {
		seen++
		cancel()
		return true
	})
	wantCanceled(t, err, "Range")
	if seen != 1 {
		t.Errorf("got %d blocks after the context ended, want 1", seen)
	}
}

func logsAreApart(t *testing.T, s store.Store) {
	appendAll(t, s, block("request", 1, "r1"), block("audit", 1, "a1"), block("request", 2, "r2"))
	wantData(t, collect(t, s, "request", time.Time{}, time.Time{}, false), "r1", "r2")
	wantData(t, collect(t, s, "audit", time.Time{}, time.Time{}, false), "a1")
	must(t, s.Drop(t.Context(), "request", block("request", 500, "").Last))
	wantData(t, collect(t, s, "audit", time.Time{}, time.Time{}, false), "a1")
	if items, err := s.List(t.Context(), "", "", 0); err != nil || len(items) != 0 {
		t.Fatalf("the log shows among the keys: %q (%v)", keysOf(items), err)
	}
}

func logBoundsAreInvalid(t *testing.T, s store.Store) {
	good := block("request", 1, "x")
	for name, change := range map[string]func(*store.Block){
		"without a log":        func(b *store.Block) { b.Log = "" },
		"of a log with a path": func(b *store.Block) { b.Log = "../x" },
		"of a log too long":    func(b *store.Block) { b.Log = strings.Repeat("a", 17) },
		"of a log with digits": func(b *store.Block) { b.Log = "log2" },
		"without data":         func(b *store.Block) { b.Data = nil },
		"too large":            func(b *store.Block) { b.Data = make([]byte, store.MaxValue+1) },
		"without times":        func(b *store.Block) { b.First, b.Last = time.Time{}, time.Time{} },
		"ending first":         func(b *store.Block) { b.Last = b.First.Add(-1) },
	} {
		b := good
		change(&b)
		_, err := s.Append(t.Context(), b, true)
		wantKind(t, err, fault.Invalid, "Append of a block "+name)
	}
	wantKind(t, s.Range(t.Context(), "../x", time.Time{}, time.Time{}, false, nil), fault.Invalid, "Range of a bad name")
	wantKind(t, s.Drop(t.Context(), "../x", time.Now()), fault.Invalid, "Drop of a bad name")
	_, err := s.Info(t.Context(), "../x")
	wantKind(t, err, fault.Invalid, "Info of a bad name")
	wantClosed(t, s.Follow(t.Context(), "../x"), "the channel of a bad name")
	largest := good
	largest.Data = []byte(strings.Repeat("0123456789abcdef", store.MaxValue/16))
	appendAll(t, s, largest)
	wantData(t, collect(t, s, "request", time.Time{}, time.Time{}, false), string(largest.Data))
}

func logAppendersDoNotMix(t *testing.T, s store.Store) {
	const appenders, each = 50, 10
	together(t, appenders, func(ctx context.Context, i int) error {
		for n := range each {
			data := strings.Repeat(fmt.Sprintf("%02d-%02d ", i, n), 1+i*7)
			if _, err := s.Append(ctx, block("request", 1, data), n%2 == 0); err != nil {
				return err
			}
		}
		return nil
	})
	blocks := collect(t, s, "request", time.Time{}, time.Time{}, false)
	seen := make(map[string]bool)
	var ids []string
	for _, b := range blocks {
		mark := string(b.Data[:6])
		if strings.Repeat(mark, len(b.Data)/6) != string(b.Data) || seen[mark] {
			t.Fatalf("the block %.40q is mixed or came twice", b.Data)
		}
		seen[mark] = true
		ids = append(ids, b.ID)
	}
	if len(seen) != appenders*each || !slices.IsSorted(ids) {
		t.Fatalf("got %d blocks, want %d; ids in order: %v", len(seen), appenders*each, slices.IsSorted(ids))
	}
}

func logFollowDelivers(t *testing.T, s store.Store) {
	appendAll(t, s, block("request", 1, "before"))
	ctx, cancel := context.WithCancel(t.Context())
	a, b := s.Follow(ctx, "request"), s.Follow(t.Context(), "request")
	ids := appendAll(t, s, block("request", 2, "one"), block("audit", 2, "other"), block("request", 3, "two"))
	for _, c := range []<-chan store.Block{a, b} {
		for i, want := range []string{"one", "two"} {
			got := receive(t, c, want)
			if string(got.Data) != want || got.ID != ids[i*2] || got.Log != "request" || !got.Last.Equal(block("request", i+2, "").Last) {
				t.Fatalf("got block %+v, want %q with id %s", got, want, ids[i*2])
			}
		}
	}
	cancel()
	wantClosed(t, a, "the channel whose context ended")
	appendAll(t, s, block("request", 4, "three"))
	if got := receive(t, b, "three"); string(got.Data) != "three" {
		t.Fatalf("got %q", got.Data)
	}
}

func logSlowFollowerLosesTheOldest(t *testing.T, s store.Store) {
	follow := s.Follow(t.Context(), "request")
	const flood = 3000
	for i := range flood {
		_, err := s.Append(t.Context(), block("request", 1, fmt.Sprintf("%d", i)), false)
		must(t, err)
	}
	got := 0
	for string(receive(t, follow, "the newest block").Data) != fmt.Sprintf("%d", flood-1) {
		got++
	}
	if got > flood/2 {
		t.Fatalf("%d blocks waited for a reader who did not come", got)
	}
}

func logDropRemovesTheOld(t *testing.T, s store.Store) {
	must(t, s.Drop(t.Context(), "request", time.Now())) // of nothing
	var blocks []store.Block
	for minute := 0; minute < 600; minute += 10 {
		blocks = append(blocks, block("request", minute, fmt.Sprint(minute)))
	}
	appendAll(t, s, blocks...)
	before := block("request", 300, "").Last
	must(t, s.Drop(t.Context(), "request", before))
	got := collect(t, s, "request", time.Time{}, time.Time{}, false)
	if len(got) < 30 || string(got[len(got)-1].Data) != "590" {
		t.Fatalf("after the drop there is %q", dataOf(got))
	}
	if oldest := got[0].Last; oldest.Before(before.Add(-time.Hour)) {
		t.Fatalf("the oldest ends %s, more than an hour before %s", oldest, before)
	}
	if info, err := s.Info(t.Context(), "request"); err != nil || info.Blocks != int64(len(got)) || !info.Oldest.Equal(got[0].First) {
		t.Fatalf("the log says %+v (%v), it has %d blocks from %s", info, err, len(got), got[0].First)
	}
	appendAll(t, s, block("request", 601, "on"))
	if all := collect(t, s, "request", time.Time{}, time.Time{}, true); string(all[0].Data) != "on" {
		t.Fatalf("the newest is %q after the drop", all[0].Data)
	}
}

func logDropKeepsIDsApart(t *testing.T, s store.Store) {
	old := appendAll(t, s, block("request", 1, "1"), block("request", 2, "2"))
	must(t, s.Drop(t.Context(), "request", block("request", 1000, "").Last))
	wantData(t, collect(t, s, "request", time.Time{}, time.Time{}, false))
	fresh := appendAll(t, s, block("request", 3, "3"))
	if fresh[0] <= old[1] {
		t.Fatalf("the id %s after the drop is not behind %s", fresh[0], old[1])
	}
	wantData(t, collect(t, s, "request", time.Time{}, time.Time{}, false), "3")
}

func logInfoCounts(t *testing.T, s store.Store) {
	info, err := s.Info(t.Context(), "request")
	must(t, err)
	if info != (store.LogInfo{}) {
		t.Fatalf("an empty log says %+v", info)
	}
	appendAll(t, s, block("request", 5, strings.Repeat("x", 1000)), block("request", 6, strings.Repeat("y", 1000)))
	info, err = s.Info(t.Context(), "request")
	must(t, err)
	if info.Blocks != 2 || info.Bytes < 2000 || info.Bytes > 10_000 || info.Damaged != 0 || !info.Oldest.Equal(block("request", 5, "").First) {
		t.Fatalf("the log says %+v", info)
	}
}
