package edge

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/site"
)

// Active health checks: GET health_path at each target of a proxy that has one,
// without credentials, through the same guarded dialer as requests.
const (
	checkEvery    = 10 * time.Second
	checkDown     = 2 * time.Second // while a target is down, so that it is back soon
	checkPatience = 5 * time.Second
	checksAtOnce  = 256
	failedChecks  = 2 // in a row, before a target counts as down
)

// healthOf is what is known of a target, the same for all instances of its host.
func (e *Edge) healthOf(hostname, value string) *health {
	h, _ := e.healths.LoadOrStore(hostname+"\x00"+value, &health{})
	return h.(*health) //nolint:forcetypeassert // nothing else is in there
}

// forgetHealth drops what is known of targets that are gone with an instance.
func (e *Edge) forgetHealth(gone *instance, next *snapshot) {
	hostname := gone.host.Proxy.Hostname
	for _, t := range gone.own.targets {
		if t.health != nil && !next.watches(hostname, t.value) {
			e.healths.Delete(hostname + "\x00" + t.value)
		}
	}
}

// watches reports whether a host has such a target.
func (s *snapshot) watches(hostname, value string) bool {
	host := s.world.Host(hostname)
	if host == nil || s.instances[host] == nil {
		return false
	}
	for _, t := range s.instances[host].own.targets {
		if t.value == value && t.health != nil {
			return true
		}
	}
	return false
}

// watchHealth checks targets until ctx ends.
func (e *Edge) watchHealth(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, checksAtOnce)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			e.checkTargets(ctx, now, places, &all)
		}
	}
}

// checkTargets begins the checks that are due, as far as there is place: what
// hangs holds nobody else up, and is not asked again meanwhile.
func (e *Edge) checkTargets(ctx context.Context, now time.Time, places chan struct{}, all *sync.WaitGroup) {
	for _, in := range e.snapshot.Load().checked {
		for _, t := range in.own.targets {
			if t.http == nil || now.UnixNano() < t.health.next.Load() || t.health.asked.Swap(true) {
				continue
			}
			select {
			case places <- struct{}{}:
			default:
				t.health.asked.Store(false)
				return // the next look is in a second
			}
			all.Go(func() {
				defer func() { <-places }()
				defer t.health.asked.Store(false)
				e.check(ctx, in, t)
			})
		}
	}
}

// check asks one target and notes what that says.
func (e *Edge) check(ctx context.Context, in *instance, t *target) {
	h := t.health
	err := healthy(ctx, in, t)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if err == "" {
		h.missed.Store(0)
		h.next.Store(now.Add(checkEvery).UnixNano())
		h.fails.Store(0)
		h.until.Store(0)
		if h.down.Swap(false) {
			e.Logger.Warn("a target is back", "host", in.host.Proxy.Hostname, "target", t.value)
		}
		return
	}
	h.next.Store(now.Add(checkDown).UnixNano())
	if h.missed.Add(1) >= failedChecks && !h.down.Swap(true) {
		e.Logger.Warn("a target is down", "host", in.host.Proxy.Hostname, "target", t.value, "reason", err)
	}
}

// healthy is empty, or why a target is not.
func healthy(ctx context.Context, in *instance, t *target) string {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	p := &in.host.Proxy
	req := (&http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: t.scheme, Host: t.host, Path: t.base + p.HealthPath}, Host: t.host,
		Header: http.Header{"User-Agent": {"Gatehouse-Health"}, "Accept": {"*/*"}},
	}).WithContext(ctx)
	if p.PreserveHostHeader && !strings.HasPrefix(p.Hostname, site.Wildcard) {
		req.Host = p.Hostname
	}
	resp, err := t.http.RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection may be used again
	_ = resp.Body.Close()                          // nothing else was wanted
	if resp.StatusCode >= http.StatusBadRequest {
		return "it answers " + resp.Status
	}
	return ""
}

// TargetState is how a target stands on this node.
type TargetState struct {
	URL     string
	Healthy bool
	Busy    int64     // requests under way
	Passed  time.Time // passed over until then, because connections failed; zero: it is not
}

// TargetStates tells of a host's targets; nil when they are not watched.
func (e *Edge) TargetStates(hostname string, now time.Time) []TargetState {
	s := e.snapshot.Load()
	host := s.world.Host(hostname)
	if host == nil || s.instances[host] == nil {
		return nil
	}
	var all []TargetState
	for _, t := range s.instances[host].own.targets {
		if t.health == nil {
			return nil
		}
		state := TargetState{URL: t.value, Healthy: t.health.there(now.UnixNano()), Busy: t.load().Load()}
		if until := t.health.until.Load(); until > now.UnixNano() {
			state.Passed = time.Unix(0, until).UTC()
		}
		all = append(all, state)
	}
	return all
}

// hasChecks reports whether a proxy's targets are checked.
func hasChecks(p *site.Proxy) bool { return p.HealthPath != "" && p.TLSMode == site.TLSTerminate }
