package boltstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// filled is a closed store with some keys, and its database file.
func filled(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		_, err := s.Commit(t.Context(), store.Write{Key: fmt.Sprintf("key:%04d", i), Value: []byte(strings.Repeat("value", 40)), If: 0})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "gatehouse.db")
}

func TestDamagedFileIsAnErrorThatNamesIt(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"cut short":                 func(file string) error { return os.Truncate(file, 5*4096) },
		"cut to less than its head": func(file string) error { return os.Truncate(file, 1000) },
		"not ours": func(file string) error {
			return os.WriteFile(file, []byte(strings.Repeat("SQLite format 3\x00", 4096)), 0o600)
		},
		"a folder": func(file string) error {
			return os.Rename(file, file+".away")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, file := filled(t)
			if err := damage(file); err != nil {
				t.Fatal(err)
			}
			if name == "a folder" {
				if err := os.Mkdir(file, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			_, err := boltstore.Open(dir, boltstore.Options{})
			if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), file) {
				t.Fatalf("got %v, want Unavailable with the path %s", err, file)
			}
		})
	}
}

// TestARottenPageIsAnErrorAndNeverAnotherValue spoils the file page by page. The
// store may refuse to open or to answer; it must not fall over, and what it does
// answer must be what was written.
func TestARottenPageIsAnErrorAndNeverAnotherValue(t *testing.T) {
	dir, file := filled(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for page := 0; page*4096 < len(whole); page++ {
		for _, kind := range []string{"zeros", "ones", "a flipped byte"} {
			if err := os.WriteFile(file, spoil(whole, page, kind), 0o600); err != nil {
				t.Fatal(err)
			}
			if wrong := readAll(t, dir, &refused); wrong != "" {
				t.Errorf("page %d with %s: %s", page, kind, wrong)
			}
		}
	}
	if refused == 0 {
		t.Fatal("nothing was refused: the damage did not reach anything")
	}
}

func spoil(whole []byte, page int, kind string) []byte {
	spoiled := append([]byte(nil), whole...)
	at := spoiled[page*4096 : (page+1)*4096]
	for i := range at {
		switch {
		case kind == "zeros":
			at[i] = 0
		case kind == "ones":
			at[i] = 0xff
		case i%512 == 300:
			at[i] ^= 0x10
		}
	}
	return spoiled
}

// readAll reads what it can, and answers what is other than it was.
func readAll(t *testing.T, dir string, refused *int) (wrong string) {
	t.Helper()
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		*refused++
		return onlyUnavailable(err)
	}
	defer s.Close()
	for i := range 200 {
		key := fmt.Sprintf("key:%04d", i)
		item, err := s.Get(t.Context(), key)
		switch {
		case fault.Is(err, fault.NotFound): // a page that looks right and lacks the key: bbolt can't tell
		case err != nil:
			*refused++
			if wrong := onlyUnavailable(err); wrong != "" {
				return wrong
			}
		case string(item.Value) != strings.Repeat("value", 40):
			return fmt.Sprintf("%s is %q", key, item.Value)
		}
	}
	if _, err := s.Commit(t.Context(), store.Write{Key: "key:new", If: store.AnyVersion}); err != nil {
		return onlyUnavailable(err)
	}
	return ""
}

func onlyUnavailable(err error) string {
	if fault.Is(err, fault.Unavailable) && !strings.Contains(err.Error(), "timeout") {
		return "" // a timeout would be a lock that the one before left behind
	}
	return fmt.Sprintf("got %v, want Unavailable", err)
}
