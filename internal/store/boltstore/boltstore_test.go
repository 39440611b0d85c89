package boltstore_test

import (
	"testing"

	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
	"gatehouse/internal/store/storetest"
)

func TestContract(t *testing.T) {
	open := func(t *testing.T, dir string) store.Store { return folder{openIn(t, dir), dir} }
	storetest.Run(t,
		func(t *testing.T) store.Store { return open(t, t.TempDir()) },
		func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, s.(folder).dir)
		})
}

// folder remembers where a store is.
type folder struct {
	*boltstore.Store
	dir string
}

// openIn opens a store and closes it when the test ends.
func openIn(t testing.TB, dir string) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(dir, boltstore.Options{})
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
