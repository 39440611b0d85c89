package mcptest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

func (g *good) stress(t *testing.T, ctx context.Context, version string, sessions int) (*StressReport, error) { //nolint:revive // the test comes first
	t.Helper()
	tr := newTransport(t)
	tr.MaxIdleConnsPerHost = sessions
	return Stress(ctx, StressOptions{Options: Options{URL: g.endpoint(), Transport: tr, Token: goodToken, Protocol: version, Timeout: 20 * time.Second}, Sessions: sessions, Duration: 500 * time.Millisecond})
}

func TestAGoodServerStaysItselfUnderLoad(t *testing.T) {
	for _, version := range []string{v2511, sessionless} {
		r, err := newGood(t).stress(t, t.Context(), version, 20)
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK() || r.Errors > 0 || r.Sessions.Opened != 20 || r.Isolation.Checked < 20 || r.Latency.P50 <= 0 || r.Latency.P99 < r.Latency.P50 || r.Rate <= 0 || !r.Complete {
			t.Errorf("%s: %+v", version, r)
		}
		if version == v2511 && (!r.Recovery.Tried || r.Recovery.Gone != 20 || r.Recovery.Renewed != 20) {
			t.Errorf("%+v", r.Recovery)
		}
		if !strings.Contains(r.Calls, "echo") {
			t.Errorf("it called %s", r.Calls)
		}
	}
}

// swapped says to one client what the one before it said.
func swapped() layer {
	var mu sync.Mutex
	last := ""
	re := regexp.MustCompile(`ghs-[A-Z0-9]+-\d+-\d+-x`)
	return rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
		mine := re.FindString(asked)
		if mine == "" || !strings.Contains(asked, `"tools/call"`) || strings.Contains(mine, "--1-") {
			return
		}
		mu.Lock()
		other := last
		last = mine
		mu.Unlock()
		if other == "" {
			return
		}
		// The id stays right: only what it says is another's.
		text := strings.ReplaceAll(res.Body.String(), `{"text":"`+mine, `{"text":"`+other)
		res.Body.Reset()
		res.Body.WriteString(text)
	})
}

func TestALeakBetweenSessionsIsFound(t *testing.T) {
	for name, leak := range map[string]layer{
		"what another said": swapped(),
		"a session shared": sequential(func(n int64) string {
			if n < 6 {
				return "mine"
			}
			return "session-" + string(rune('a'+n%26)) + time.Now().Format(".000000000")
		})(),
		"the id of another request": rewritten(func(_ *http.Request, asked string, res *httptest.ResponseRecorder) {
			if strings.Contains(asked, `"tools/call"`) && !strings.Contains(asked, "--1-") {
				text := regexp.MustCompile(`"id":"ghs-`).ReplaceAllString(res.Body.String(), `"id":"another-`)
				res.Body.Reset()
				res.Body.WriteString(text)
			}
		}),
	} {
		r, err := newGood(t, leak).stress(t, t.Context(), v2511, 10)
		if err != nil {
			t.Fatal(err)
		}
		if r.OK() || r.Isolation.OK || r.Isolation.Mixed == 0 || len(r.Isolation.Seen) == 0 {
			t.Errorf("%s: %+v", name, r.Isolation)
		}
	}
}

func TestSessionsThatDoNotEndAreFound(t *testing.T) {
	r, err := newGood(t, instead(method("DELETE"), 204, "")()).stress(t, t.Context(), v2511, 5)
	if err != nil || r.OK() || r.Recovery.OK || !r.Isolation.OK {
		t.Errorf("%v %+v", err, r)
	}
}

func TestAnInterruptedStressTestReportsSoFar(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g := newGood(t, heading(func(_ *http.Request, body string) {
		if strings.Contains(body, `-x"`) && strings.Contains(body, "-3-x") {
			cancel()
		}
	})())
	tr := newTransport(t)
	r, err := Stress(ctx, StressOptions{Options: Options{URL: g.endpoint(), Transport: tr, Token: goodToken, Protocol: v2511}, Sessions: 5, Duration: time.Hour})
	if !errors.Is(err, context.Canceled) || r == nil || r.Complete || r.Count == 0 || r.Sessions.Opened != 5 {
		t.Fatalf("%v %+v", err, r)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestAStressTestHasBounds(t *testing.T) {
	for _, o := range []StressOptions{{Sessions: 0, Duration: 1}, {Sessions: maxSessions + 1, Duration: 1}, {Sessions: 1}, {Sessions: 1, Duration: 25 * time.Hour}} {
		o.URL = "https://x/mcp"
		if _, err := Stress(t.Context(), o); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestPercentilesAreThoseOfTheSample(t *testing.T) {
	var l, other latencies
	for i := 1; i <= 1000; i++ {
		if i%2 == 0 {
			l.add(time.Duration(i) * time.Millisecond)
		} else {
			other.add(time.Duration(i) * time.Millisecond)
		}
	}
	l.merge(&other)
	s := l.summary()
	for want, got := range map[float64]float64{500: s.P50, 900: s.P90, 950: s.P95, 990: s.P99, 1000: s.Most, 500.5: s.Mean} {
		if got < want*0.98 || got > want*1.02 {
			t.Errorf("want about %v, got %v", want, got)
		}
	}
	if (&latencies{}).summary() != (Latency{}) {
		t.Error("of nothing")
	}
}
