package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKillLosesNothingAcknowledged kills the program in the midst of 500
// concurrent writes. After the restart everything that was answered is there,
// and the store opens without repair.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	rounds := 1
	if whole() {
		rounds = 10
	}
	s := start(t, nil, "serve")
	token := s.admin().token
	for round := range rounds {
		acknowledged := s.writeUntilKilled(token, round)
		s.run()
		api := &api{s: s, token: token}
		for _, host := range acknowledged {
			if got := api.ask("GET", "/proxies/"+host, ""); got.StatusCode != http.StatusOK {
				t.Errorf("%s was acknowledged and is gone after the restart: %d", host, got.StatusCode)
			}
		}
		t.Logf("round %d: %d writes were acknowledged before the kill", round, len(acknowledged))
		if len(acknowledged) < 20 {
			t.Error("too few writes: the test showed nothing")
		}
		if said := s.said(); strings.Contains(said, "repair") || strings.Contains(said, "corrupt") {
			t.Errorf("the store did not open cleanly:\n%s", said)
		}
	}
}

func (s *server) writeUntilKilled(token string, round int) (acknowledged []string) {
	s.t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	transport := &http.Transport{DialContext: loopback, MaxConnsPerHost: 500}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	for n := range 500 {
		all.Go(func() {
			host := fmt.Sprintf("k%d-%d.localhost", round, n)
			req, err := http.NewRequest("POST", s.Direct+"/proxies/", strings.NewReader(fmt.Sprintf(`{"proxy_hostname":%q,"target_url":"http://127.0.0.1:9"}`, host)))
			if err != nil {
				return
			}
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", "application/json")
			res, err := client.Do(req)
			if err != nil {
				return // killed before it answered: nothing was promised
			}
			res.Body.Close()
			if res.StatusCode == http.StatusCreated {
				mu.Lock()
				acknowledged = append(acknowledged, host)
				mu.Unlock()
			}
		})
	}
	s.await(20*time.Second, "a hundred acknowledged writes", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged) >= 100
	})
	s.kill()
	all.Wait()
	return acknowledged
}
