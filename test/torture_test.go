package test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestNobodyIsLoggedOut: clients refresh from four places at once, which began
// with one token and lose every tenth answer, while the program is killed and
// started again and again. At the end each place has a token that works; whoever
// shows up with one that was used long ago is refused, and ends the family.
func TestNobodyIsLoggedOut(t *testing.T) {
	clients, kills := 20, 3
	if whole() {
		clients, kills = 200, 20
	}
	s := start(t, []string{"RATE_LIMITS=off", "OAUTH_USER_USERS=local:alice"}, "protect", "app.localhost", mirror(t).URL)
	f := s.flock(clients)
	for kill := range kills {
		goal := f.answered.Load() + int64(2*clients)
		s.await(time.Minute, "refreshes", func() bool { return f.answered.Load() >= goal || f.refused.Load() > 0 })
		s.kill()
		s.run()
		if f.refused.Load() > 0 {
			t.Errorf("somebody was refused after kill %d", kill)
			break
		}
	}
	f.rest()
	f.allWork()
	if t.Failed() {
		t.Fatal(s.local("log", "search", "refresh", "--kind", "oauth", "--status", "400", "--format", "json"))
	}
	f.fewBranches()
	f.strangerHarmsNobody()
	f.ninthEndsTheFamily()
	if whole() {
		f.thievesAreRefused()
	}
	t.Logf("%d clients, %d kills: %d refreshes answered, %d answers thrown away, %d requests failed, %d living branches where %d are held",
		clients, kills, f.answered.Load(), f.thrown.Load(), f.failed.Load(), f.branches, 4*clients)
}

// flock are many clients, each with four places that refresh on and on.
type flock struct {
	t       *testing.T
	s       *server
	base    string
	c       *http.Client
	clients []*tortured
	stop    chan struct{}
	work    sync.WaitGroup
	admin   *api

	answered, thrown, failed, refused atomic.Int64
	branches                          int
}

// tortured is one client: its first refresh token, and the places that each keep
// their own latest pair.
type tortured struct {
	id, first string
	places    [4]held
}

// held is what one place keeps: it changes when an answer has arrived.
type held struct{ access, refresh, problem string }

func (s *server) flock(n int) *flock {
	s.t.Helper()
	p := s.person()
	p.becomeAdmin()
	p.login("--scope", "admin")
	f := &flock{t: s.t, s: s, base: s.url("app.localhost", ""), c: s.stranger().c, stop: make(chan struct{}), admin: &api{s, s.token()}}
	for range n {
		c := s.register(s.t, "app.localhost", "https://client.example/cb")
		got, first := c.exchange(c.code(p, nil), nil)
		if got.StatusCode != http.StatusOK {
			s.t.Fatalf("token: %d %s", got.StatusCode, got.Body)
		}
		one := &tortured{id: c.id, first: first.Refresh}
		for i := range one.places {
			one.places[i] = held{access: first.Access, refresh: first.Refresh}
		}
		f.clients = append(f.clients, one)
	}
	for _, c := range f.clients {
		for i := range c.places {
			f.work.Go(func() { f.live(c, &c.places[i]) })
		}
	}
	s.t.Cleanup(func() { f.rest() })
	return f
}

// rest lets all places finish the refresh that they are at.
func (f *flock) rest() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.work.Wait()
}

// live refreshes until the test says stop.
func (f *flock) live(c *tortured, place *held) {
	for place.problem == "" {
		select {
		case <-f.stop:
			return
		case <-time.After(rand.N(time.Duration(len(f.clients)) * 50 * time.Millisecond)): // more clients are slower ones, or they would only queue
		}
		f.refresh(c, place, rand.IntN(10) == 0)
	}
}

// refresh gets a new pair by what the place has, again and again until an answer
// arrives. The first answer is thrown away with lose.
func (f *flock) refresh(c *tortured, place *held, lose bool) {
	for deadline := time.Now().Add(100 * time.Second); ; { // a correct client tries again within the tolerance
		status, out := f.ask(c, place.refresh)
		switch {
		case status == http.StatusOK && lose:
			f.thrown.Add(1)
			lose = false
		case status == http.StatusOK:
			place.access, place.refresh = out.Access, out.Refresh
			f.answered.Add(1)
			return
		case status == 0 || status >= 500:
			f.failed.Add(1)
			if time.Now().After(deadline) {
				place.problem = fmt.Sprintf("no answer within the tolerance, last %d", status)
				return
			}
			time.Sleep(50 * time.Millisecond) // the program is down: nothing tells when it is back
		default:
			place.problem = fmt.Sprintf("%d %s", status, out.Error)
			f.refused.Add(1)
			return
		}
	}
}

// ask presents a refresh token; status 0 is no answer.
func (f *flock) ask(c *tortured, token string) (status int, out tokens) {
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {token}}
	res, err := f.c.PostForm(f.base+"/token", form)
	if err != nil {
		return 0, out
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || json.Unmarshal(body, &out) != nil {
		return 0, out
	}
	return res.StatusCode, out
}

// allWork wants each place's access and refresh token to work.
func (f *flock) allWork() {
	f.t.Helper()
	for n, c := range f.clients {
		for i := range c.places {
			place := &c.places[i]
			if place.problem == "" {
				f.refresh(c, place, false)
			}
			if place.problem != "" {
				f.t.Errorf("client %d, place %d was logged out: %s", n, i, place.problem)
				continue
			}
			if got := f.get(place.access); got != http.StatusOK {
				f.t.Errorf("client %d, place %d: its access token gives %d", n, i, got)
			}
		}
	}
}

func (f *flock) get(access string) int {
	f.t.Helper()
	return get(f.t, f.c, f.base+"/", "Authorization: Bearer "+access).StatusCode
}

// fewBranches wants no family of more than eight, and the losses to be seen.
func (f *flock) fewBranches() {
	f.t.Helper()
	var page struct {
		Items []struct {
			ClientID string `json:"client_id"`
			Branches int    `json:"branches"`
		}
		Cursor string
	}
	seen := map[string]int{}
	for at := "/tokens/?limit=100"; ; at = "/tokens/?limit=100&cursor=" + url.QueryEscape(page.Cursor) {
		page.Items, page.Cursor = nil, ""
		decode(f.t, f.admin.do("GET", at, "", http.StatusOK).Body, &page)
		for _, g := range page.Items {
			seen[g.ClientID] = g.Branches
		}
		if page.Cursor == "" {
			break
		}
	}
	for n, c := range f.clients {
		f.branches += seen[c.id]
		if seen[c.id] < 4 || seen[c.id] > 8 {
			f.t.Errorf("client %d has %d living branches, want 4 to 8", n, seen[c.id])
		}
	}
	if f.branches <= 4*len(f.clients) {
		f.t.Errorf("no answer was lost: the test showed little")
	}
}

// strangerHarmsNobody: a refresh token in the hands of another client is refused,
// and its owner does not feel it.
func (f *flock) strangerHarmsNobody() {
	f.t.Helper()
	owner, stranger := f.clients[0], f.clients[1]
	if status, out := f.ask(stranger, owner.places[0].refresh); status != http.StatusBadRequest || out.Error != "invalid_grant" {
		f.t.Errorf("another client's refresh token: %d %s", status, out.Error)
	}
	f.refresh(owner, &owner.places[0], false)
	if owner.places[0].problem != "" {
		f.t.Errorf("its owner was logged out by that: %s", owner.places[0].problem)
	}
}

// ninthEndsTheFamily: one token is good for eight pairs. What comes then is a
// thief, and nothing of the family counts any more.
func (f *flock) ninthEndsTheFamily() {
	f.t.Helper()
	c := f.clients[len(f.clients)-1]
	stolen := c.places[0].refresh
	for n := 1; n <= 9; n++ {
		if status, out := f.ask(c, stolen); (status == http.StatusOK) != (n < 9) {
			f.t.Fatalf("pair %d for one token: %d %s", n, status, out.Error)
		}
	}
	f.ended(len(f.clients)-1, c)
	f.clients = f.clients[:len(f.clients)-1]
}

// ended wants nothing that the client holds to work.
func (f *flock) ended(n int, c *tortured) {
	f.t.Helper()
	for i, place := range c.places {
		if status, out := f.ask(c, place.refresh); status != http.StatusBadRequest || out.Error != "invalid_grant" {
			f.t.Errorf("client %d, place %d still refreshes after the theft: %d", n, i, status)
		}
		if got := f.get(place.access); got != http.StatusUnauthorized {
			f.t.Errorf("client %d, place %d: its access token gives %d after the theft", n, i, got)
		}
	}
}

// thievesAreRefused waits until the tolerance of the first tokens is over; then
// each of them is a stolen one.
func (f *flock) thievesAreRefused() {
	f.t.Helper()
	time.Sleep(122 * time.Second) // real time is what this is about; the short form is in internal/oauth
	for n, c := range f.clients {
		if status, out := f.ask(c, c.first); status != http.StatusBadRequest || out.Error != "invalid_grant" {
			f.t.Errorf("client %d: its first token, long used, gives %d %s", n, status, out.Error)
			continue
		}
		f.ended(n, c)
	}
}
