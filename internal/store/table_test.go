package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

type pet struct {
	Kind string `json:"kind"`
	Legs int    `json:"legs"`
}

func newTable(t *testing.T) (store.Table[pet], store.KV) {
	t.Helper()
	s, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return store.NewTable[pet](s, "pet:", "pet"), s
}

func wantKind(t *testing.T, err error, kind fault.Kind, says string) {
	t.Helper()
	if !fault.Is(err, kind) || err.Error() != says {
		t.Fatalf("got %v, want %s %q", err, kind, says)
	}
}

func TestTableKeepsRecords(t *testing.T) {
	table, _ := newTable(t)
	version, err := table.Create(t.Context(), "rex", pet{"dog", 4}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	row, err := table.Get(t.Context(), "rex")
	if err != nil || row.Name != "rex" || row.Value != (pet{"dog", 4}) || row.Version != version || row.Expires.IsZero() {
		t.Fatalf("got %+v, %v", row, err)
	}
	next, err := table.Update(t.Context(), "rex", pet{"dog", 3}, version, 0)
	if err != nil {
		t.Fatal(err)
	}
	if row, err = table.Take(t.Context(), "rex"); err != nil || row.Value.Legs != 3 || row.Version != next {
		t.Fatalf("took %+v, %v", row, err)
	}
	_, err = table.Get(t.Context(), "rex")
	wantKind(t, err, fault.NotFound, `there is no pet "rex"`)
}

// TestSealedTableShowsNothing: a sealed record comes back as it was, can't be read
// in the store, and opens under no other key.
func TestSealedTableShowsNothing(t *testing.T) {
	_, kv := newTable(t)
	table := store.NewSealedTable[pet](kv, newSealer(t, newKey()), "pet:", "pet")
	if _, err := table.Create(t.Context(), "rex", pet{"dog", 4}, 0); err != nil {
		t.Fatal(err)
	}
	if row, err := table.Get(t.Context(), "rex"); err != nil || row.Value != (pet{"dog", 4}) {
		t.Fatalf("got %+v, %v", row, err)
	}
	item, err := kv.Get(t.Context(), "pet:rex")
	if err != nil || !json.Valid(item.Value) || strings.Contains(string(item.Value), "dog") {
		t.Fatalf("stored as %s, %v", item.Value, err)
	}
	if _, err := kv.Commit(t.Context(), store.Write{Key: "pet:tom", Value: item.Value}); err != nil {
		t.Fatal(err)
	}
	if row, err := table.Get(t.Context(), "tom"); !fault.Is(err, fault.Internal) {
		t.Errorf("a record that was moved to another key opens: %+v %v", row, err)
	}
}

func TestTableSaysWhatIsInTheWay(t *testing.T) {
	table, _ := newTable(t)
	version, err := table.Put(t.Context(), "rex", pet{"dog", 4}, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = table.Create(t.Context(), "rex", pet{}, 0)
	wantKind(t, err, fault.Exists, `the pet "rex" exists already`)
	_, err = table.Update(t.Context(), "rex", pet{}, version+1, 0)
	wantKind(t, err, fault.Conflict, `the pet "rex" was changed by someone else in the meantime: read it again and repeat`)
	_, err = table.Take(t.Context(), "tom")
	wantKind(t, err, fault.NotFound, `there is no pet "tom"`)
	wantKind(t, table.Delete(t.Context(), "tom"), fault.NotFound, `there is no pet "tom"`)
	if err := table.Delete(t.Context(), "rex"); err != nil {
		t.Fatal(err)
	}
}

func TestTableListsItsOwnOnly(t *testing.T) {
	table, kv := newTable(t)
	const many = store.MaxPage + 7
	for i := range many {
		if _, err := table.Put(t.Context(), fmt.Sprintf("p%05d", i), pet{"fish", 0}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kv.Commit(t.Context(), store.Write{Key: "petrol:1", Value: []byte("not JSON"), If: 0}); err != nil {
		t.Fatal(err)
	}
	rows, err := table.All(t.Context())
	if err != nil || len(rows) != many || rows[0].Name != "p00000" || rows[many-1].Name != fmt.Sprintf("p%05d", many-1) {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	rows, err = table.Page(t.Context(), "p00003", 2)
	if err != nil || len(rows) != 2 || rows[0].Name != "p00004" {
		t.Fatalf("got %+v, %v", rows, err)
	}
}

func TestTableCommitsWithOthers(t *testing.T) {
	table, kv := newTable(t)
	a, err := table.Write("a", pet{"cat", 4}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := table.Write("b", pet{"cat", 4}, 99, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Commit(t.Context(), a, b); !fault.Is(err, fault.Conflict) {
		t.Fatalf("got %v, want Conflict", err)
	}
	if _, err := table.Get(t.Context(), "a"); !fault.Is(err, fault.NotFound) {
		t.Fatalf("half of the commit was made: %v", err)
	}
}

func TestUnreadableRecordIsToldByName(t *testing.T) {
	table, kv := newTable(t)
	if _, err := kv.Commit(t.Context(), store.Write{Key: "pet:rex", Value: []byte("{"), If: 0}); err != nil {
		t.Fatal(err)
	}
	_, err := table.Get(t.Context(), "rex")
	if e := fault.KindOf(err); err == nil || e != fault.Internal {
		t.Fatalf("got %v, want Internal", err)
	}
	if _, err := table.All(t.Context()); err == nil {
		t.Fatal("All passes over a record that it can't read")
	}
}
