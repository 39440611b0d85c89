package mcptest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/fault"
)

// Bounds of a stress test.
const (
	maxSessions    = 10000
	openAtOnce     = 32
	recovered      = 20      // sessions that are ended to see what follows
	maxLoadAnswer  = 1 << 20 // bytes of an answer, of which there are many at once
	maxKinds       = 10      // of errors that are told apart
	maxMixed       = 10      // examples of what was mixed up
	maxStressTime  = 24 * time.Hour
	pauseAfterFail = 100 * time.Millisecond
)

// StressOptions say how a server is stressed.
type StressOptions struct {
	Options
	Sessions int           // at once; 1 to 10000
	Duration time.Duration // of the calls
	// Progress gets counts once a second; nil: nobody does.
	Progress func(sessions, calls int64)
}

// StressReport is what a stress test measured.
type StressReport struct {
	URL       string           `json:"url"`
	Protocol  string           `json:"protocol"`
	Calls     string           `json:"calls_of"` // method, and tool
	Sessions  SessionCounts    `json:"sessions"`
	Count     int64            `json:"calls"`
	Errors    int64            `json:"errors"`
	Kinds     map[string]int64 `json:"errors_by_kind,omitempty"`
	Rate      float64          `json:"calls_per_second"`
	Latency   Latency          `json:"latency"`
	Isolation Isolation        `json:"isolation"`
	Recovery  Recovery         `json:"recovery"`
	Duration  float64          `json:"duration_ms"`
	Complete  bool             `json:"complete"` // it was not interrupted
}

// SessionCounts count sessions: clients, where the version has no sessions.
type SessionCounts struct {
	Asked  int     `json:"asked"`
	Opened int     `json:"opened"`
	Active int64   `json:"active"` // that had a call answered
	Most   int64   `json:"most_calls_at_once"`
	Open   Latency `json:"open"` // how long it took to begin one
}

// Isolation is whether answers got to whom they were for.
type Isolation struct {
	OK      bool     `json:"ok"`
	Checked int64    `json:"answers_checked"`
	Mixed   int64    `json:"mixed"`
	Seen    []string `json:"seen,omitempty"` // the first of those
}

// Recovery is what followed on the end of some sessions.
type Recovery struct {
	OK      bool   `json:"ok"`
	Tried   bool   `json:"tried"` // false: there are no sessions, or DELETE does not end them
	Ended   int    `json:"ended"`
	Gone    int    `json:"answered_404"`
	Renewed int    `json:"begun_anew"`
	Detail  string `json:"detail,omitempty"`
}

// OK reports whether the server stayed itself: nothing was mixed up, sessions that
// ended were gone and new ones could be begun, and calls were answered.
func (s *StressReport) OK() bool { return s.Isolation.OK && s.Recovery.OK && s.Count > s.Errors }

// Stress opens sessions, has all of them call at once for a while, and sees whether
// each gets what it asked for, and no other. When ctx ends the report so far comes
// with ctx's error.
func Stress(ctx context.Context, o StressOptions) (*StressReport, error) {
	switch {
	case o.Sessions < 1 || o.Sessions > maxSessions:
		return nil, fault.BadField("sessions", "must be 1 to %d", maxSessions)
	case o.Duration <= 0 || o.Duration > maxStressTime:
		return nil, fault.BadField("duration", "must be up to %s", maxStressTime)
	}
	r, err := newRun(o.Options)
	if err != nil {
		return nil, err
	}
	r.wire.watch, r.wire.limit = nil, maxLoadAnswer
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	defer r.close(ctx)
	if r.peer == nil {
		return nil, fault.New(fault.Denied, "%s", r.shut)
	}
	s := &stress{run: r, opt: o, mark: rand.Text(), kinds: map[string]int64{}, owners: map[string]int{}}
	s.report = &StressReport{URL: r.url.String(), Protocol: r.version}
	s.choose(ctx)
	began := time.Now()
	s.openAll(ctx)
	s.load(ctx)
	s.recover(ctx)
	s.endAll(ctx)
	s.finish(time.Since(began), ctx.Err() == nil)
	return s.report, ctx.Err()
}

// stress is one stress test.
type stress struct {
	run    *run
	opt    StressOptions
	report *StressReport
	mark   string // stands in all that this test says, so that its texts are known
	tool   string // that says a text back; empty: none does, and harmless requests are sent
	text   string // the argument that it takes

	clients []*client
	calls   atomic.Int64
	now     atomic.Int64 // calls under way
	most    atomic.Int64

	mu     sync.Mutex // guards what follows, and Isolation and Errors of the report
	kinds  map[string]int64
	owners map[string]int // session id to client
	took   latencies
	opened latencies
	loaded time.Duration
}

// client is one session under load.
type client struct {
	number int
	peer   *peer
	took   latencies
	done   int64
}

// choose finds a tool that reads and says a text back.
func (s *stress) choose(ctx context.Context) {
	s.report.Calls, _ = s.run.harmless()
	if !s.run.declares("tools") {
		return
	}
	for _, t := range s.run.callable(ctx) {
		in, ok := shapeOf(t.input())
		if !ok || len(in.Required) != 1 || in.Properties[in.Required[0]].kind() != "string" || len(in.Properties[in.Required[0]].Enum) > 0 {
			continue
		}
		probe := s.said(-1, 0)
		if got, m := s.run.peer.callTool(ctx, t.Name, params{in.Required[0]: probe}); m != nil && m.result != nil && slices.Contains(s.marks(got), probe) {
			s.tool, s.text = t.Name, in.Required[0]
			s.report.Calls = "tools/call " + quote(t.Name)
			return
		}
	}
}

// openAll begins the sessions, some at once.
func (s *stress) openAll(ctx context.Context) {
	slots := make(chan struct{}, openAtOnce)
	var wg sync.WaitGroup
	for i := range s.opt.Sessions {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			p, why := s.run.beginAlone(ctx)
			s.mu.Lock()
			defer s.mu.Unlock()
			if p == nil {
				s.fails("session: " + why)
				return
			}
			s.opened.add(time.Since(began))
			if p.session != "" {
				if other, twice := s.owners[p.session]; twice {
					s.mixed(fmt.Sprintf("sessions %d and %d were given the same id", other, i))
				}
				s.owners[p.session] = i
			}
			s.clients = append(s.clients, &client{number: i, peer: p})
		})
	}
	wg.Wait()
}

// load has all sessions call until the time is over.
func (s *stress) load(ctx context.Context) {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, s.opt.Duration)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range s.clients {
		wg.Go(func() {
			for n := 0; limited.Err() == nil; n++ {
				if !s.call(limited, c, n) {
					pause(limited, pauseAfterFail)
				}
			}
		})
	}
	stopped := make(chan struct{})
	go func() { wg.Wait(); close(stopped) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stopped:
			s.loaded = time.Since(began)
			return
		case <-tick.C:
			if s.opt.Progress != nil {
				s.opt.Progress(int64(len(s.clients)), s.calls.Load())
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// call makes one call and looks whether the answer is this client's.
func (s *stress) call(ctx context.Context, c *client, n int) bool {
	said := s.said(c.number, n)
	method, in := s.run.harmless()
	if s.tool != "" {
		method, in = "tools/call", params{"name": s.tool, "arguments": params{s.text: said}}
	}
	id := []byte(`"` + said + `"`)
	a := c.peer.requestAs(id, method, in)
	a.enough = func(m message) bool { return m.response() }
	s.most.Store(max(s.most.Load(), s.now.Add(1)))
	got := s.run.wire.send(ctx, a)
	s.now.Add(-1)
	if errors.Is(got.err, errLate) && ctx.Err() != nil || errors.Is(got.err, context.Canceled) {
		return true // the time is over
	}
	s.calls.Add(1)
	c.took.add(got.took)
	good := false
	for _, m := range got.messages {
		good = good || m.result != nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge(c, said, got)
	if !good {
		s.fails(kindOf(got))
		return false
	}
	c.done++
	return true
}

func kindOf(got *answer) string {
	if got.status == 0 {
		return got.err.Error()
	}
	for _, m := range got.messages {
		if m.failure != nil {
			return fmt.Sprintf("status %d, error %s", got.status, m.failure.codeText())
		}
	}
	return fmt.Sprintf("status %d", got.status)
}

// fails counts an error by its kind. s.mu is held.
func (s *stress) fails(kind string) {
	s.report.Errors++
	if _, known := s.kinds[kind]; !known && len(s.kinds) >= maxKinds {
		kind = "others"
	}
	s.kinds[kind]++
}

// finish puts the measurements together.
func (s *stress) finish(took time.Duration, complete bool) {
	active := int64(0)
	for _, c := range s.clients {
		s.took.merge(&c.took)
		if c.done > 0 {
			active++
		}
	}
	r := s.report
	r.Sessions = SessionCounts{Asked: s.opt.Sessions, Opened: len(s.clients), Active: active, Most: s.most.Load(), Open: s.opened.summary()}
	r.Count, r.Kinds, r.Latency = s.calls.Load(), map[string]int64{}, s.took.summary()
	for kind, n := range s.kinds {
		r.Kinds[scrub(kind, s.opt.Token, s.opt.Other)] += n
	}
	if s.loaded > 0 {
		r.Rate = float64(r.Count) / s.loaded.Seconds()
	}
	r.Isolation.OK = r.Isolation.Mixed == 0
	r.Duration, r.Complete = millis(took), complete
}
