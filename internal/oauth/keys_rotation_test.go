package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
)

// running is a rig whose Run runs too.
func running(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	run, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(run) }()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// states are the keys' states in order.
func (r *rig) states() string {
	var all []string
	for _, k := range r.Keys() {
		all = append(all, k.State)
	}
	return strings.Join(all, " ")
}

// kids are the published keys.
func (r *rig) kids() []string {
	r.t.Helper()
	var all []string
	for _, k := range r.ask(http.MethodGet, appOrigin+"/jwks", "").json(r.t)["keys"].([]any) {
		all = append(all, k.(map[string]any)["kid"].(string))
	}
	return all
}

func (r *rig) signedBy(token string) string {
	for _, k := range r.Keys() {
		if strings.Contains(segmentOf(token), k.ID) {
			return k.ID
		}
	}
	return ""
}

// A rotation from the first day to the last, on two nodes, by nothing but time.
func TestARotationTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := running(t)
		other := r.node()
		m := r.machine("user").listed()
		other.world.Store(r.world.Load())
		first := r.Keys()[0].ID
		next, err := r.GenerateKey(t.Context(), false, false)
		if err != nil {
			t.Fatal(err)
		}
		within(t, "the other node publishes the next key", func() bool { return slices.Contains(other.kids(), next.ID) })
		if r.states() != "current next" || other.states() != "current next" || next.State != "next" || next.Signs {
			t.Fatalf("%s, %s, %+v", r.states(), other.states(), next)
		}
		time.Sleep(published - 10*time.Second)
		last := m.token("user")
		_, stream := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+last)
		if r.signedBy(last) != first {
			t.Error("the next key signs before it was published for an hour")
		}
		time.Sleep(20 * time.Second)
		if token := m.token("user"); r.signedBy(token) != next.ID || r.opens(token) != "allowed" || other.opens(token) != "allowed" {
			t.Errorf("after an hour: by %s, %s, %s", r.signedBy(token), r.opens(token), other.opens(token))
		}
		if r.states() != "previous current" || len(r.kids()) != 2 {
			t.Error(r.states())
		}
		time.Sleep(r.opt.AccessTokenLifetime - 45*time.Second)
		if r.opens(last) != "allowed" || other.opens(last) != "allowed" {
			t.Errorf("the last token of the old key: %s, %s", r.opens(last), other.opens(last))
		}
		time.Sleep(2 * time.Hour)
		if got := other.kids(); r.states() != "current" || !slices.Equal(got, []string{next.ID}) {
			t.Errorf("two hours after its last token the old key is still there: %s, %v", r.states(), got)
		}
		if !r.Still(stream) {
			t.Error("a stream was cut because the key that let it in was retired")
		}
	})
}

// A key that is made to sign at once, while another waits for its hour, must not
// make the one that waits look like one that has been replaced.
func TestAKeyForNowBesideOneThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := running(t)
		m := r.machine("user").listed()
		waits, err := r.GenerateKey(t.Context(), false, false)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		now, err := r.GenerateKey(t.Context(), true, false)
		if err != nil || !now.Signs || now.State != "current" {
			t.Fatalf("%+v %v", now, err)
		}
		if token := m.token("user"); r.signedBy(token) != now.ID || r.states() != "previous current next" {
			t.Fatalf("signed by %s, %s", r.signedBy(token), r.states())
		}
		time.Sleep(published)
		for range 8 {
			token := m.token("user")
			if r.signedBy(token) != waits.ID || r.opens(token) != "allowed" {
				t.Fatalf("signed by %s, %s, keys %s", r.signedBy(token), r.opens(token), r.states())
			}
			time.Sleep(20 * time.Minute)
			if r.opens(token) != "allowed" {
				t.Fatalf("twenty minutes later: %s, keys %s", r.opens(token), r.states())
			}
		}
		if r.states() != "current" {
			t.Error(r.states())
		}
	})
}

func TestKeysAreBounded(t *testing.T) {
	r := newRig(t)
	var err error
	for range maxSigningKeys {
		if _, err = r.GenerateKey(t.Context(), false, false); err != nil {
			break
		}
	}
	if !fault.Is(err, fault.Conflict) || len(r.Keys()) != maxSigningKeys {
		t.Errorf("%d keys, %v", len(r.Keys()), err)
	}
	if _, err := r.GenerateKey(t.Context(), false, true); err != nil || len(r.Keys()) != 1 {
		t.Errorf("revoke: %d keys, %v", len(r.Keys()), err)
	}
}
