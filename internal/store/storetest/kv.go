package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

func getAnswersWhatWasCommitted(t *testing.T, s store.Store) {
	_, err := s.Get(t.Context(), "a:1")
	wantKind(t, err, fault.NotFound, "Get before anything was written")
	versions := commit(t, s, put("a:1", "one"), put("a:ü/☃", "\x00binary\xff"), put("a:empty", ""))
	for i, want := range []store.Item{
		{Key: "a:1", Value: []byte("one"), Version: versions[0]},
		{Key: "a:ü/☃", Value: []byte("\x00binary\xff"), Version: versions[1]},
		{Key: "a:empty", Value: []byte{}, Version: versions[2]},
	} {
		got := get(t, s, want.Key)
		if got.Key != want.Key || string(got.Value) != string(want.Value) || got.Version != want.Version || !got.Expires.IsZero() {
			t.Errorf("item %d is %+v, want %+v", i, got, want)
		}
		if got.Version <= 0 {
			t.Errorf("version of %s is %d, want a positive one", want.Key, got.Version)
		}
	}
}

func itemsBelongToTheCaller(t *testing.T, s store.Store) {
	value := []byte("mine")
	commit(t, s, store.Write{Key: "k", Value: value, If: store.AnyVersion})
	copy(value, "XXXX")
	copy(get(t, s, "k").Value, "YYYY")
	items, err := s.List(t.Context(), "k", "", 0)
	must(t, err)
	copy(items[0].Value, "ZZZZ")
	wantValue(t, s, "k", "mine")
}

func listIsInByteOrder(t *testing.T, s store.Store) {
	keys := []string{"p:b", "p:a", "p:B", "p:é", "p:a:1", "p:", "q:1", "o:9", "p", "p;"}
	for _, key := range keys {
		commit(t, s, put(key, "value of "+key))
	}
	items, err := s.List(t.Context(), "p:", "", 0)
	must(t, err)
	want := []string{"p:", "p:B", "p:a", "p:a:1", "p:b", "p:é"}
	if got := keysOf(items); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for _, item := range items {
		if string(item.Value) != "value of "+item.Key || item.Version <= 0 {
			t.Errorf("the item is %+v", item)
		}
	}
	all, err := s.List(t.Context(), "", "", 0)
	must(t, err)
	slices.Sort(keys)
	if got := keysOf(all); !slices.Equal(got, keys) {
		t.Fatalf("with no prefix got %q, want %q", got, keys)
	}
	none, err := s.List(t.Context(), "p:zz", "", 0)
	must(t, err)
	if len(none) != 0 {
		t.Fatalf("got %q, want nothing", keysOf(none))
	}
}

func listPages(t *testing.T, s store.Store) {
	names := numbered("n:", store.MaxPage+5)
	writeAll(t, s, names)
	commit(t, s, put("m:9", ""), put("o:0", ""))
	for _, c := range []struct {
		after string
		limit int
		want  []string
	}{
		{"", 3, names[:3]},
		{names[2], 3, names[3:6]},
		{"n:0002x", 2, names[3:5]}, // need not exist
		{"a", 2, names[:2]},
		{names[len(names)-2], 10, names[len(names)-1:]},
		{names[len(names)-1], 10, nil},
		{"z", 10, nil},
		{"", 0, names[:store.MaxPage]},
		{"", store.MaxPage + 100, names[:store.MaxPage]},
		{names[store.MaxPage-1], 0, names[store.MaxPage:]},
	} {
		items, err := s.List(t.Context(), "n:", c.after, c.limit)
		must(t, err)
		if got := keysOf(items); !slices.Equal(got, c.want) {
			t.Errorf("after %q limit %d: got %d items %.60q, want %d", c.after, c.limit, len(got), fmt.Sprint(got), len(c.want))
		}
	}
}

func commitIsAllOrNothing(t *testing.T, s store.Store) {
	commit(t, s, put("a", "1"), put("b", "1"))
	_, err := s.Commit(t.Context(), put("a", "2"), put("c", "2"), remove("b"), store.Write{Key: "d", Value: []byte("2"), If: 77})
	wantKind(t, err, fault.Conflict, "Commit with a version that never was")
	wantValue(t, s, "a", "1")
	wantValue(t, s, "b", "1")
	wantAbsent(t, s, "c")
	wantAbsent(t, s, "d")
	versions := commit(t, s, put("a", "3"), put("c", "3"), remove("b"))
	wantValue(t, s, "a", "3")
	wantValue(t, s, "c", "3")
	wantAbsent(t, s, "b")
	if versions[2] != 0 {
		t.Errorf("the version of a deletion is %d, want 0", versions[2])
	}
}

func commitChecksEveryVersion(t *testing.T, s store.Store) {
	write := func(demand int64) store.Write { return store.Write{Key: "k", Value: []byte("v"), If: demand} }
	first := commit(t, s, write(0))[0]
	_, err := s.Commit(t.Context(), write(0))
	wantKind(t, err, fault.Conflict, "creating what exists")
	_, err = s.Commit(t.Context(), write(first+1000))
	wantKind(t, err, fault.Conflict, "a version that is not there yet")
	second := commit(t, s, write(first))[0]
	if second == first {
		t.Fatalf("the version %d did not change", first)
	}
	_, err = s.Commit(t.Context(), write(first))
	wantKind(t, err, fault.Conflict, "a version that is gone")
	third := commit(t, s, write(store.AnyVersion))[0]
	if got := get(t, s, "k").Version; got != third {
		t.Fatalf("Get says version %d, Commit said %d", got, third)
	}
	_, err = s.Commit(t.Context(), store.Write{Key: "k", Delete: true, If: second})
	wantKind(t, err, fault.Conflict, "deleting another version")
	commit(t, s, store.Write{Key: "k", Delete: true, If: third})
	wantAbsent(t, s, "k")
	_, err = s.Commit(t.Context(), write(third))
	wantKind(t, err, fault.Conflict, "writing over a version that was deleted")
	commit(t, s, write(0))
}

func deleteOfNothingIsFine(t *testing.T, s store.Store) {
	commit(t, s, remove("none"), store.Write{Key: "none too", Delete: true, If: 0})
	_, err := s.Commit(t.Context(), store.Write{Key: "none", Delete: true, If: 5})
	wantKind(t, err, fault.Conflict, "deleting a version of nothing")
	commit(t, s) // no writes at all
}

func versionsNeverRepeat(t *testing.T, s store.Store) {
	seen := make(map[int64]bool)
	for i := range 30 {
		version := commit(t, s, put("k", strconv.Itoa(i)))[0]
		if seen[version] {
			t.Fatalf("version %d came again at write %d", version, i)
		}
		seen[version] = true
		switch i % 3 {
		case 1:
			commit(t, s, remove("k"))
		case 2:
			_, err := s.Take(t.Context(), "k")
			must(t, err)
		}
	}
}

func boundsAreInvalid(t *testing.T, s store.Store) {
	for name, key := range map[string]string{
		"empty": "", "too long": strings.Repeat("k", store.MaxKey+1), "not UTF-8": "a\xff", "newline": "a\nb", "NUL": "a\x00", "C1 control": "a\u0085",
	} {
		_, err := s.Commit(t.Context(), put(key, "v"))
		wantKind(t, err, fault.Invalid, "Commit of a key that is "+name)
		_, err = s.Get(t.Context(), key)
		wantKind(t, err, fault.Invalid, "Get of a key that is "+name)
		_, err = s.Take(t.Context(), key)
		wantKind(t, err, fault.Invalid, "Take of a key that is "+name)
	}
	var many []store.Write
	for _, name := range numbered("k", store.MaxCommit+1) {
		many = append(many, put(name, ""))
	}
	var heavy []store.Write
	for _, name := range numbered("k", store.MaxCommitBytes/store.MaxValue+1) {
		heavy = append(heavy, put(name, strings.Repeat("v", store.MaxValue)))
	}
	for name, writes := range map[string][]store.Write{
		"a value too long":     {put("k", strings.Repeat("v", store.MaxValue+1))},
		"a key twice":          {put("k", "1"), put("l", "1"), put("k", "2")},
		"an impossible demand": {{Key: "k", If: -2}},
		"a negative TTL":       {{Key: "k", If: store.AnyVersion, TTL: -1}},
		"too many writes":      many,
		"too many bytes":       heavy,
		"one bad of two":       {put("k", "1"), put("", "2")},
	} {
		_, err := s.Commit(t.Context(), writes...)
		wantKind(t, err, fault.Invalid, "Commit with "+name)
	}
	_, err := s.List(t.Context(), strings.Repeat("k", store.MaxKey+1), "", 0)
	wantKind(t, err, fault.Invalid, "List with a prefix too long")
	_, err = s.List(t.Context(), "", "", -1)
	wantKind(t, err, fault.Invalid, "List with a negative limit")
	if items, err := s.List(t.Context(), "", "", 0); err != nil || len(items) != 0 {
		t.Fatalf("after all refusals the store has %q (%v), want nothing", keysOf(items), err)
	}
}

func theLargestIsTaken(t *testing.T, s store.Store) {
	key := strings.Repeat("k", store.MaxKey)
	value := strings.Repeat("0123456789abcdef", store.MaxValue/16)
	commit(t, s, put(key, value))
	wantValue(t, s, key, value)
	var many []store.Write
	for _, name := range numbered("many:", store.MaxCommit) {
		many = append(many, put(name, name))
	}
	commit(t, s, many...)
	wantValue(t, s, many[store.MaxCommit-1].Key, many[store.MaxCommit-1].Key)
}

func endedContextIsRefused(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, "k")
	wantCanceled(t, err, "Get")
	_, err = s.List(ctx, "k", "", 0)
	wantCanceled(t, err, "List")
	_, err = s.Commit(ctx, put("k", "v"))
	wantCanceled(t, err, "Commit")
	_, err = s.Take(ctx, "k")
	wantCanceled(t, err, "Take")
	_, err = s.Append(ctx, block("request", 0, "x"), true)
	wantCanceled(t, err, "Append")
	_, err = s.Lock(ctx, "k", leaseTTL)
	wantCanceled(t, err, "Lock")
	wantAbsent(t, s, "k")
}

func wantCanceled(t *testing.T, err error, what string) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%s with an ended context: got %v, want context.Canceled", what, err)
	}
}

// addOne adds one to the number at key, again until nobody came between.
func addOne(ctx context.Context, s store.KV, key string) error {
	for {
		item, err := s.Get(ctx, key)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		n := 0
		if err == nil {
			if n, err = strconv.Atoi(string(item.Value)); err != nil {
				return err
			}
		}
		_, err = s.Commit(ctx, store.Write{Key: key, Value: []byte(strconv.Itoa(n + 1)), If: item.Version})
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
}

func writersLoseNoUpdate(t *testing.T, s store.Store) {
	const writers, each = 100, 4
	together(t, writers, func(ctx context.Context, i int) error {
		for range each {
			if err := addOne(ctx, s, "shared"); err != nil {
				return err
			}
			if err := addOne(ctx, s, fmt.Sprintf("own:%d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	wantValue(t, s, "shared", strconv.Itoa(writers*each))
	items, err := s.List(t.Context(), "own:", "", 0)
	must(t, err)
	if len(items) != writers {
		t.Fatalf("got %d keys, want %d", len(items), writers)
	}
	for _, item := range items {
		if string(item.Value) != strconv.Itoa(each) {
			t.Errorf("%s is %s, want %d", item.Key, item.Value, each)
		}
	}
}

// commitsStayConsistent moves money between accounts, two in each commit.
func commitsStayConsistent(t *testing.T, s store.Store) {
	const accounts, each = 5, 100
	for i := range accounts {
		commit(t, s, put(fmt.Sprintf("account:%d", i), strconv.Itoa(each)))
	}
	together(t, 20, func(ctx context.Context, i int) error {
		for step := range 5 {
			from, to := (i+step)%accounts, (i+step*2+1)%accounts
			if from == to {
				continue
			}
			if err := move(ctx, s, fmt.Sprintf("account:%d", from), fmt.Sprintf("account:%d", to)); err != nil {
				return err
			}
		}
		return nil
	})
	items, err := s.List(t.Context(), "account:", "", 0)
	must(t, err)
	sum := 0
	for _, item := range items {
		n, err := strconv.Atoi(string(item.Value))
		must(t, err)
		sum += n
	}
	if sum != accounts*each {
		t.Fatalf("the accounts hold %d, want %d", sum, accounts*each)
	}
}

func move(ctx context.Context, s store.KV, from, to string) error {
	for {
		a, err := s.Get(ctx, from)
		if err != nil {
			return err
		}
		b, err := s.Get(ctx, to)
		if err != nil {
			return err
		}
		has, err := strconv.Atoi(string(a.Value))
		if err != nil {
			return err
		}
		gets, err := strconv.Atoi(string(b.Value))
		if err != nil {
			return err
		}
		_, err = s.Commit(ctx,
			store.Write{Key: from, Value: []byte(strconv.Itoa(has - 1)), If: a.Version},
			store.Write{Key: to, Value: []byte(strconv.Itoa(gets + 1)), If: b.Version})
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
}

func oneTakerGetsTheItem(t *testing.T, s store.Store) {
	for round := range 5 {
		key := fmt.Sprintf("code:%d", round)
		version := commit(t, s, put(key, "secret"))[0]
		got := make(chan store.Item, 100)
		together(t, 100, func(ctx context.Context, _ int) error {
			item, err := s.Take(ctx, key)
			if err == nil {
				got <- item
			}
			if fault.Is(err, fault.NotFound) {
				return nil
			}
			return err
		})
		if len(got) != 1 {
			t.Fatalf("%d takers got the item, want exactly one", len(got))
		}
		if item := <-got; item.Key != key || string(item.Value) != "secret" || item.Version != version {
			t.Fatalf("the taker got %+v", item)
		}
		wantAbsent(t, s, key)
	}
}

func takeOfNothingIsNotFound(t *testing.T, s store.Store) {
	_, err := s.Take(t.Context(), "none")
	wantKind(t, err, fault.NotFound, "Take of nothing")
	commit(t, s, put("k", "v"), remove("other"))
	commit(t, s, remove("k"))
	_, err = s.Take(t.Context(), "k")
	wantKind(t, err, fault.NotFound, "Take of what was deleted")
}

func describeCounts(t *testing.T, s store.Store) {
	commit(t, s, put("a", "1"), put("b", "2"), put("c", "3"))
	commit(t, s, remove("c"))
	d, err := s.Describe(t.Context())
	must(t, err)
	if d.Keys != 2 || d.Bytes <= 0 || d.Backend == "" || d.Place == "" {
		t.Fatalf("the store says of itself %+v, want 2 keys, some bytes, backend and place", d)
	}
}

func closedStoreIsUnavailable(t *testing.T, s store.Store) {
	commit(t, s, put("k", "v"))
	watch := s.Watch(t.Context(), "")
	follow := s.Follow(t.Context(), "request")
	lease, err := s.Lock(t.Context(), "k", leaseTTL)
	must(t, err)
	must(t, s.Close())
	wantClosed(t, watch, "the watch")
	wantClosed(t, follow, "the follower's channel")
	wantClosed(t, lease.Lost(), "Lost")
	lease.Unlock()
	_, err = s.Get(t.Context(), "k")
	wantKind(t, err, fault.Unavailable, "Get after Close")
	_, err = s.List(t.Context(), "", "", 0)
	wantKind(t, err, fault.Unavailable, "List after Close")
	_, err = s.Commit(t.Context(), put("k", "v"))
	wantKind(t, err, fault.Unavailable, "Commit after Close")
	_, err = s.Take(t.Context(), "k")
	wantKind(t, err, fault.Unavailable, "Take after Close")
	_, err = s.Append(t.Context(), block("request", 0, "x"), true)
	wantKind(t, err, fault.Unavailable, "Append after Close")
	_, err = s.Info(t.Context(), "request")
	wantKind(t, err, fault.Unavailable, "Info after Close")
	_, err = s.Lock(t.Context(), "k", leaseTTL)
	wantKind(t, err, fault.Unavailable, "Lock after Close")
	wantClosed(t, s.Watch(t.Context(), ""), "a watch of a closed store")
	must(t, s.Close())
}
