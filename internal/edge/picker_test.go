package edge

import (
	"io"
	"net/http"
	"testing"

	"gatehouse/internal/site"
)

func TestTargetsTakeTurnsByWeight(t *testing.T) {
	name := func(s string) string {
		return backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }).URL
	}
	r := newRig(t, Options{}, to("app.test", "", func(p *site.Proxy) {
		p.Targets = []site.WeightedTarget{{URL: name("a"), Weight: 3}, {URL: name("b"), Weight: 1}, {URL: name("c"), Weight: 2}}
	}))
	got := map[string]int{}
	last, repeated := "", 0
	for range 60 {
		_, body := r.get("http://app.test/")
		got[body]++
		if body == last {
			repeated++
		}
		last = body
	}
	for name, want := range map[string]int{"a": 30, "b": 10, "c": 20} {
		if off := got[name] - want; off < -2 || off > 2 {
			t.Errorf("%v", got)
		}
	}
	if repeated > 25 {
		t.Errorf("%d times the same one twice in a row: turns are not spread", repeated)
	}
}

func TestLeastBusyTargetIsPicked(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	slow := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			started <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, "slow")
	})
	fast := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			started <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, "fast")
	})
	r := newRig(t, Options{}, to("app.test", "", func(p *site.Proxy) {
		p.LBPolicy = site.LeastConn
		p.Targets = []site.WeightedTarget{{URL: slow.URL, Weight: 1}, {URL: fast.URL, Weight: 1}}
	}))
	busy := make(chan string, 1)
	go func() {
		_, body := r.get("http://app.test/wait")
		busy <- body
	}()
	<-started
	seen := map[string]int{}
	for range 10 {
		_, body := r.get("http://app.test/")
		seen[body]++
	}
	close(release)
	waiting := <-busy
	if seen[waiting] != 0 || len(seen) != 1 {
		t.Errorf("while %s was busy requests went to %v", waiting, seen)
	}
}
