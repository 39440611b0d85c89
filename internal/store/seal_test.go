package store_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

func newKey() []byte {
	key := make([]byte, store.KeySize)
	rand.Read(key)
	return key
}

func newSealer(t testing.TB, keys ...[]byte) *store.Sealer {
	t.Helper()
	s, err := store.NewSealer(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedOpensForItsPurposeOnly(t *testing.T) {
	s := newSealer(t, newKey())
	sealed := s.Seal("provider:github", []byte("the secret"))
	if bytes.Contains(sealed, []byte("secret")) {
		t.Fatal("the secret can be read in what was sealed")
	}
	plain, err := s.Open("provider:github", sealed)
	if err != nil || string(plain) != "the secret" {
		t.Fatalf("got %q, %v", plain, err)
	}
	for _, purpose := range []string{"", "provider:other", "provider:githu", "provider:github2"} {
		if plain, err := s.Open(purpose, sealed); err == nil {
			t.Errorf("it opened for %q: %q", purpose, plain)
		}
	}
}

func TestSealIsDifferentEachTime(t *testing.T) {
	s := newSealer(t, newKey())
	if bytes.Equal(s.Seal("p", []byte("x")), s.Seal("p", []byte("x"))) {
		t.Fatal("the same secret sealed twice looks the same: whoever reads the store can compare")
	}
}

func TestChangedSealIsRefused(t *testing.T) {
	s := newSealer(t, newKey())
	sealed := s.Seal("p", []byte("x"))
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if _, err := s.Open("p", changed); err == nil {
				t.Fatalf("it opened with bit %d of byte %d changed", bit, i)
			}
		}
	}
	for n := range sealed {
		if _, err := s.Open("p", sealed[:n]); err == nil {
			t.Fatalf("it opened cut to %d bytes", n)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	old, young := newKey(), newKey()
	before := newSealer(t, old)
	sealed := before.Seal("p", []byte("x"))
	both := newSealer(t, young, old)
	plain, err := both.Open("p", sealed)
	if err != nil || string(plain) != "x" {
		t.Fatalf("with both keys: %q, %v", plain, err)
	}
	if both.Current(sealed) || !before.Current(sealed) {
		t.Fatal("Current does not tell the old key's work from the new one's")
	}
	again := both.Seal("p", plain)
	if !both.Current(again) {
		t.Fatal("what was sealed anew is not current")
	}
	after := newSealer(t, young)
	if _, err := after.Open("p", again); err != nil {
		t.Fatalf("with the new key alone: %v", err)
	}
	_, err = after.Open("p", sealed)
	if err == nil || !strings.Contains(err.Error(), "SECRET_KEY with id") {
		t.Fatalf("without the old key: %v, want an error that names the missing key's id", err)
	}
}

func TestSealerWantsGoodKeys(t *testing.T) {
	for name, keys := range map[string][][]byte{
		"no key":         {},
		"a short key":    {newKey()[:31]},
		"a long key":     {append(newKey(), 1)},
		"an empty key":   {nil},
		"zeros":          {make([]byte, store.KeySize)},
		"a second short": {newKey(), newKey()[:16]},
	} {
		if _, err := store.NewSealer(keys...); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "SECRET_KEY") {
			t.Errorf("%s: got %v, want Invalid that names SECRET_KEY", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	s := newSealer(f, bytes.Repeat([]byte("0123456789abcdef"), 2))
	f.Add("p", s.Seal("p", []byte("x")))
	f.Add("", []byte{})
	f.Add("p", []byte{1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, purpose string, sealed []byte) {
		if plain, err := s.Open(purpose, sealed); err != nil && plain != nil {
			t.Fatalf("got %q beside the error %v", plain, err)
		}
	})
}
