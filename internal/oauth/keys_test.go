package oauth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/site"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

func TestNodesThatStartTogetherMakeOneKey(t *testing.T) {
	kv, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	sealer, err := store.NewSealer(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 4)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			s, err := New(Options{KV: kv, Sealer: sealer, World: func() *site.World { return &site.World{} }})
			if err == nil {
				err = s.Load(context.Background())
			}
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = s.Keys()[0].ID
		})
	}
	all.Wait()
	for _, id := range ids[1:] {
		if id != ids[0] || id == "" {
			t.Errorf("keys %v", ids)
		}
	}
	item, err := kv.Get(t.Context(), keyKeys)
	if err != nil || strings.Contains(string(item.Value), "pkcs8") || strings.Contains(string(item.Value), ids[0]) {
		t.Errorf("the stored keys are not sealed: %v", err)
	}
}

func TestKeysSurviveARestart(t *testing.T) {
	r := newRig(t)
	access, refresh, client := r.tokens(appOrigin, person("alice"), "user")
	cookie := r.cookie(appOrigin, person("alice"), "")
	again := newRigOn(t, r.kv, func(o *Options) { o.ImportKey = nil })
	if v, _ := again.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access); v.Reason != "allowed" {
		t.Errorf("token: %s", v.Reason)
	}
	if v := again.bySession(appOrigin, cookie); v.Reason != "allowed" {
		t.Errorf("session: %s", v.Reason)
	}
	if a := again.refresh(appOrigin, client, refresh); a.StatusCode != http.StatusOK {
		t.Errorf("refresh: %s", a.body)
	}
}

func TestAnotherSecretKeyDoesNotStart(t *testing.T) {
	r := newRig(t)
	sealer, err := store.NewSealer([]byte("another key of thirty-two bytes!"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{KV: r.kv, Sealer: sealer, World: r.world.Load})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "SECRET_KEY") {
		t.Errorf("%v", err)
	}
}

func TestKeyRotationOverlaps(t *testing.T) {
	r := newRig(t)
	old, _, _ := r.tokens(appOrigin, person("alice"), "user")
	first := r.Keys()[0].ID
	next, err := r.GenerateKey(t.Context(), false, false)
	if err != nil {
		t.Fatal(err)
	}
	if keys := r.ask(http.MethodGet, appOrigin+"/jwks", "").json(t)["keys"].([]any); len(keys) != 2 {
		t.Errorf("%d keys are published", len(keys))
	}
	signer := func(token string) string {
		for _, k := range r.Keys() {
			if head := segmentOf(token); strings.Contains(head, k.ID) {
				return k.ID
			}
		}
		return "gone"
	}
	token, _, _ := r.tokens(appOrigin, person("alice"), "user")
	if signer(token) != first {
		t.Error("the new key signs before it was published for an hour")
	}
	r.after(time.Hour + time.Second)
	token, _, _ = r.tokens(appOrigin, person("alice"), "user")
	if signer(token) != next.ID {
		t.Error("the new key does not sign after its hour")
	}
	opens := func(token string) string {
		v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token)
		return v.Reason
	}
	r.retireKeys(t.Context())
	if len(r.Keys()) != 2 || opens(old) != "token_expired" || opens(token) != "allowed" {
		t.Errorf("%d keys, old %s, new %s", len(r.Keys()), opens(old), opens(token))
	}
	r.after(2 * time.Hour)
	r.retireKeys(t.Context())
	if keys := r.Keys(); len(keys) != 1 || keys[0].ID != next.ID {
		t.Errorf("the old key stays: %+v", keys)
	}
	again := newRigOn(t, r.kv) // which has the first key as the one to import
	if keys := again.Keys(); len(keys) != 1 || keys[0].ID != next.ID {
		t.Errorf("a key that was rotated away is imported again: %+v", keys)
	}
}

func segmentOf(token string) string {
	head, _, _ := strings.Cut(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(head)
	return string(raw)
}

func TestRevokingTheKeysEndsWhatTheySigned(t *testing.T) {
	synctest.Test(t, revokingTheKeysEndsWhatTheySigned)
}

func revokingTheKeysEndsWhatTheySigned(t *testing.T) {
	r := newRig(t)
	other := r.node()
	token, refresh, client := r.tokens(appOrigin, person("alice"), "user")
	opens := func(r *rig) string {
		v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token)
		return v.Reason
	}
	if opens(r) != "allowed" || opens(other) != "allowed" {
		t.Fatal(opens(r), opens(other))
	}
	_, stream := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token)
	_, elsewhere := other.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token)
	if !r.Still(stream) || !other.Still(elsewhere) {
		t.Fatal("a stream that should be open")
	}
	if _, err := r.GenerateKey(t.Context(), false, true); err != nil {
		t.Fatal(err)
	}
	if opens(r) != "token_revoked" || r.Still(stream) {
		t.Error(opens(r))
	}
	within(t, "the other node ends the stream", func() bool { return !other.Still(elsewhere) })
	within(t, "the other node forgets the key", func() bool { return opens(other) != "allowed" })
	if a := r.refresh(appOrigin, client, refresh); a.StatusCode != http.StatusOK {
		t.Errorf("refresh: %s", a.body)
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // too weak is the point
	if err != nil {
		t.Fatal(err)
	}
	kv, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	sealer, err := store.NewSealer(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{KV: kv, Sealer: sealer, World: func() *site.World { return &site.World{} }, ImportKey: weak})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "1024 bits") {
		t.Errorf("%v", err)
	}
}

// RFC 7638, section 3.1.
func TestThumbprintOfTheStandardsExample(t *testing.T) {
	n, err := base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	if err != nil {
		t.Fatal(err)
	}
	if got := thumbprint(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Error(got)
	}
}
