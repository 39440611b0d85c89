package signin

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

// cheap makes tests fast; the form and the checks are the same.
var cheap = cost{memory: 64, time: 1, lanes: 1}

func TestPasswordIsKeptAsArgon2id(t *testing.T) {
	h := NewHasher()
	phc, err := h.Hash(t.Context(), "alice", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Fatalf("got %s", phc)
	}
	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batterz": false, "": false} {
		if got, err := h.Verify(t.Context(), phc, password); err != nil || got != want {
			t.Errorf("%q: got %v, %v", password, got, err)
		}
	}
	again, err := h.Hash(t.Context(), "alice", "correct horse battery")
	if err != nil || again == phc {
		t.Errorf("two hashes of one password must differ: %v", err)
	}
}

func TestPasswordOfNobodyIsNeverRight(t *testing.T) {
	h := newHasher(cheap)
	for _, password := range []string{"", "x", strings.Repeat("a", MaxPassword+1)} {
		if ok, err := h.Verify(t.Context(), "", password); ok || err != nil {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
}

func TestUnknownNameTakesAsLongAsAKnownOne(t *testing.T) {
	h := newHasher(cost{memory: 8 << 10, time: 2, lanes: 1})
	phc, err := h.Hash(t.Context(), "alice", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	took := func(phc string) time.Duration {
		best := time.Hour
		for range 5 {
			begun := time.Now()
			if _, err := h.Verify(t.Context(), phc, "wrong password"); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begun))
		}
		return best
	}
	if known, unknown := took(phc), took(""); unknown < known/3 {
		t.Errorf("a known name took %v, an unknown one %v: names can be told apart", known, unknown)
	}
}

func TestBadPasswordsAreRefusedByRule(t *testing.T) {
	h := newHasher(cheap)
	for password, want := range map[string]string{
		"":                                "at least 10 characters",
		"short":                           "at least 10 characters",
		"üüüüüüüüü":                       "at least 10 characters",
		strings.Repeat("ab", MaxPassword): "at most 1024 bytes",
		"aaaaaaaaaaaa":                    "one character repeated",
		"Alice-Wonder":                    "must not be the name",
		"0123456789\xff":                  "UTF-8",
	} {
		_, err := h.Hash(t.Context(), "alice-wonder", password)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %q", password, err, want)
		}
	}
}

func TestDamagedHashIsAnErrorNotAWrongPassword(t *testing.T) {
	h := newHasher(cheap)
	good, err := h.Hash(t.Context(), "alice", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	for _, phc := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		strings.Replace(good, "m=64", "m=4294967295", 1), strings.Replace(good, "t=1", "t=4000000000", 1),
		strings.Replace(good, "v=19", "v=16", 1), strings.Replace(good, "p=1", "p=0", 1), good[:len(good)-30], good + "$x", good + "=",
	} {
		if ok, err := h.Verify(t.Context(), phc, "correct horse battery"); ok || !fault.Is(err, fault.Internal) || err == nil {
			t.Errorf("%q: got %v, %v", phc, ok, err)
		}
	}
}

func FuzzDecodeHash(f *testing.F) {
	f.Add(newHasher(cheap).decoy)
	f.Add("$argon2id$v=19$m=65536,t=3,p=4$$")
	f.Fuzz(func(t *testing.T, phc string) {
		c, salt, hash, err := decode(phc)
		if err == nil && (c.memory > 256<<10 || c.time > 16 || c.lanes == 0 || len(salt) < 8 || len(hash) < 16) {
			t.Fatalf("%q passed with %+v", phc, c)
		}
	})
}

func TestFloodOfSignInsIsTurnedAway(t *testing.T) {
	h := newHasher(cheap)
	for range cap(h.running) {
		h.running <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range maxWaiting {
		wg.Go(func() { _, _ = h.Verify(ctx, "", "whatever it is") })
	}
	for len(h.waiting) < maxWaiting { // all of them wait: nothing else can fill the places
		time.Sleep(time.Millisecond)
	}
	_, err := h.Verify(ctx, "", "one too many")
	if !fault.Is(err, fault.TooMany) {
		t.Errorf("got %v", err)
	}
	cancel()
	wg.Wait()
}
