package oauth

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// holder is a place that a client runs and keeps its refresh token: a process,
// a machine. It presents what it has until an answer arrives.
type holder struct{ token string }

// familyModel is a grant with places that use it as honest clients do, on a line that
// loses answers.
type familyModel struct {
	g       Grant
	now     time.Time
	rand    *rand.Rand
	made    int
	places  []*holder
	shared  bool // the places keep one token together, and read it before each use
	file    string
	given   map[string]int // pairs given for a token
	longest int            // times that one place lost its answer in a row
}

func newFamily(seed uint64, places int, shared bool) *familyModel {
	m := &familyModel{now: time.Unix(1_800_000_000, 0), rand: rand.New(rand.NewPCG(seed, 1)), shared: shared, file: hashed("first"), given: map[string]int{}}
	m.g.Branches = []Branch{{Hash: m.file, At: m.now}}
	for range places {
		m.places = append(m.places, &holder{m.file})
	}
	return m
}

// present is one request; arrives is whether the answer does.
func (m *familyModel) present(token string) (next string, err error) {
	m.made++
	next = hashed(fmt.Sprint(m.made))
	err = m.g.present(token, next, m.now, time.Time{})
	m.given[token]++
	if err == nil && len(m.g.Branches) > maxBranches {
		err = fmt.Errorf("%d living branches", len(m.g.Branches))
	}
	return next, err
}

// refreshed are places that refresh at about the same time, each until its
// answer arrives: all within the tolerance.
func (m *familyModel) refreshed(places []*holder) error {
	tokens := make([]string, len(places))
	for i, p := range places {
		tokens[i] = p.token
		if m.shared {
			tokens[i] = m.file
		}
	}
	waiting := m.rand.Perm(len(places))
	for tries := 0; len(waiting) > 0; tries++ {
		waiting = slices.DeleteFunc(waiting, func(i int) bool {
			m.now = m.now.Add(time.Duration(m.rand.IntN(1000)) * time.Millisecond)
			next, problem := m.present(tokens[i])
			if problem != nil {
				m.places, m.file = nil, problem.Error()
				return true
			}
			lost := m.rand.IntN(3) == 0 && m.given[tokens[i]]+len(places) < maxBranches
			if !lost {
				places[i].token, m.file = next, next
			}
			return !lost
		})
		if m.places == nil {
			return errors.New(m.file)
		}
		m.longest = max(m.longest, tries)
	}
	return nil
}

// TestNoHonestClientIsEverLoggedOut lets clients with up to eight places live for
// months on a line that loses every third answer, some places asleep for weeks.
// None of them is refused, and there are never more than eight living branches.
func TestNoHonestClientIsEverLoggedOut(t *testing.T) {
	longest := 0
	for seed := range uint64(120) {
		places, shared := 1+int(seed%maxBranches), seed%3 == 0
		m := newFamily(seed, places, shared)
		if !shared && places > 5 {
			m.spread() // more places than one token may serve at once came by and by
		}
		for round := range 150 {
			awake := m.awake(round)
			if shared && len(awake) > 5 {
				awake = awake[:5]
			}
			if err := m.refreshed(awake); err != nil {
				t.Fatalf("seed %d, %d places, shared %v, round %d: %v\n%+v", seed, places, shared, round, err, m.g)
			}
			m.now = m.now.Add(time.Duration(5+m.rand.IntN(600)) * time.Minute)
		}
		longest = max(longest, m.longest)
		m.checkThief(t)
	}
	if longest < 4 {
		t.Errorf("at most %d answers were lost in a row: the test showed little", longest)
	}
}

// spread gives each place a token of its own without losses.
func (m *familyModel) spread() {
	for _, p := range m.places {
		next, err := m.present(m.file)
		if err != nil {
			panic(err)
		}
		p.token = next
	}
	m.now = m.now.Add(time.Hour)
}

// awake are some of the places; the last one sleeps most of the time.
func (m *familyModel) awake(round int) (some []*holder) {
	for i, p := range m.places {
		if i == len(m.places)-1 && i > 0 && round > 0 && round%25 != 0 {
			continue
		}
		if round == 0 || m.rand.IntN(4) > 0 {
			some = append(some, p)
		}
	}
	if len(some) == 0 {
		some = m.places[:1]
	}
	return some
}

// checkThief presents what was used long ago: it has to end the family.
func (m *familyModel) checkThief(t *testing.T) {
	t.Helper()
	first := hashed("first")
	if err := m.g.present(first, hashed("thief"), m.now, time.Time{}); !errors.Is(err, errReused) {
		t.Errorf("a token that was used long ago: %v", err)
	}
}

// TestALostBranchMakesRoomAndComesBack: eight answers are lost in the course of
// weeks. The client goes on; a place that slept meanwhile, whose branch had to
// rest, comes back as if nothing had been.
func TestALostBranchMakesRoomAndComesBack(t *testing.T) {
	r := newRig(t)
	_, first, client := r.tokens(appOrigin, person("alice"), "user")
	sleeper := r.refresh(appOrigin, client, first).text(t, "refresh_token")
	awake := r.refresh(appOrigin, client, first).text(t, "refresh_token")
	for range 3 * maxBranches {
		r.after(24 * time.Hour)
		if lost := r.refresh(appOrigin, client, awake); lost.StatusCode != 200 {
			t.Fatalf("a refresh: %s", lost.body)
		}
		again := r.refresh(appOrigin, client, awake)
		if again.StatusCode != 200 {
			t.Fatalf("a repeated refresh: %s", again.body)
		}
		awake = again.text(t, "refresh_token")
		if grants, err := r.Grants(t.Context(), "github:alice"); err != nil || len(grants) != 1 || len(grants[0].Branches) > maxBranches {
			t.Fatalf("%+v %v", grants, err)
		}
	}
	back := r.refresh(appOrigin, client, sleeper)
	if back.StatusCode != 200 {
		t.Fatalf("the place that slept: %s", back.body)
	}
	for name, token := range map[string]string{"the one that was awake": awake, "the one that slept": back.text(t, "refresh_token")} {
		if a := r.refresh(appOrigin, client, token); a.StatusCode != 200 {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	r.after(tolerance + time.Second)
	r.refresh(appOrigin, client, sleeper).refused(t, 400, "invalid_grant", "used before")
	r.refresh(appOrigin, client, awake).refused(t, 400, "invalid_grant", "")
}

// TestANinthPlaceEndsTheFamily: eight places have shown that they hold a branch
// each. A ninth can't be a lost answer.
func TestANinthPlaceEndsTheFamily(t *testing.T) {
	r := newRig(t)
	_, first, client := r.tokens(appOrigin, person("alice"), "user")
	var held []string
	for range maxBranches {
		held = append(held, r.refresh(appOrigin, client, first).text(t, "refresh_token"))
	}
	var shared string
	for i, token := range held {
		r.after(time.Minute)
		shared = held[i]
		held[i] = r.refresh(appOrigin, client, token).text(t, "refresh_token")
	}
	ninth := r.refresh(appOrigin, client, shared) // its answer may have been lost, so far
	if ninth.StatusCode != 200 {
		t.Fatalf("the answer of the eighth place, asked for again: %s", ninth.body)
	}
	if a := r.refresh(appOrigin, client, held[0]); a.StatusCode != 200 {
		t.Fatalf("the first place: %s", a.body)
	}
	r.refresh(appOrigin, client, held[maxBranches-1]).refused(t, 400, "invalid_grant", "used before") // it was not: both are there
	for _, token := range append(held, ninth.text(t, "refresh_token")) {
		r.refresh(appOrigin, client, token).refused(t, 400, "invalid_grant", "")
	}
}

// TestPairsThatAKillCutOffDoNotCount: four places share a token, and lose their
// answers to one kill after the other. The ninth pair is no thief's.
func TestPairsThatAKillCutOffDoNotCount(t *testing.T) {
	r := newRig(t)
	_, first, client := r.tokens(appOrigin, person("alice"), "user")
	for range 3 {
		for range 4 {
			if a := r.refresh(appOrigin, client, first); a.StatusCode != 200 {
				t.Fatalf("%s", a.body)
			}
		}
		r.after(time.Second)
		r = r.restarted()
	}
	for n := range maxBranches + 1 {
		if a := r.refresh(appOrigin, client, first); (a.StatusCode == 200) != (n < maxBranches) {
			t.Fatalf("pair %d since the start: %s", n+1, a.body)
		}
	}
}

// restarted is a new server over the same store, at the same moment.
func (r *rig) restarted() *rig {
	r.t.Helper()
	add := r.add.Load()
	next := newRigOn(r.t, r.kv, func(o *Options) { o.KV = shifted{r.kv, &r.add} })
	next.add.Store(add)
	return next
}

func TestAFamilyThatIsUsedOftenStaysSmall(t *testing.T) {
	m := newFamily(7, 1, false)
	token := m.file
	for range 4 * maxRotated {
		lost, err := m.present(token)
		if err != nil {
			t.Fatal(err)
		}
		if token, err = m.present(token); err != nil {
			t.Fatalf("after a lost %s: %v", lost, err)
		}
	}
	if len(m.g.Rotated) > maxRotated || len(m.g.Resting) > maxResting || len(m.g.Branches) > maxBranches {
		t.Errorf("%d used, %d resting, %d living", len(m.g.Rotated), len(m.g.Resting), len(m.g.Branches))
	}
	if g := m.g; !g.unused(token) || g.unused(hashed("first")) {
		t.Error("unused does not tell what was used from what was not")
	}
}
