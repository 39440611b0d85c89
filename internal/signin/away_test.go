package signin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// moody is a store that can be away.
type moody struct {
	store.KV
	away atomic.Bool
}

func (m *moody) gone() error {
	if m.away.Load() {
		return &fault.Error{Kind: fault.Unavailable, RetryAfter: 3 * time.Second, Public: "the store is away"}
	}
	return nil
}

func (m *moody) Get(ctx context.Context, key string) (store.Item, error) {
	if err := m.gone(); err != nil {
		return store.Item{}, err
	}
	return m.KV.Get(ctx, key)
}

func (m *moody) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := m.gone(); err != nil {
		return nil, err
	}
	return m.KV.List(ctx, prefix, after, limit)
}

func (m *moody) Commit(ctx context.Context, w ...store.Write) ([]int64, error) {
	if err := m.gone(); err != nil {
		return nil, err
	}
	return m.KV.Commit(ctx, w...)
}

func (m *moody) Now(ctx context.Context) (time.Time, error) {
	if err := m.gone(); err != nil {
		return time.Time{}, err
	}
	return m.KV.Now(ctx)
}

func TestStoreThatIsAwayMakesAPageThatSaysSo(t *testing.T) {
	m := &moody{}
	h := newHouse(t, func(h *house, oo *oauth.Options, o *Options, _ *[]site.Proxy) {
		m.KV = h.kv
		oo.KV, o.KV = m, m
	})
	b := h.browser().alice()
	b.stop = func(u *url.URL) bool { return u.Query().Get("ticket") != "" }
	b.open(h.origin("app.localhost") + "/")
	ticket := b.header.Get("Location")
	m.away.Store(true)
	for _, address := range []string{h.origin("auth.localhost") + "/account", h.origin("auth.localhost") + "/consent?request=x",
		ticket, h.origin("auth.localhost") + "/setup?setup=x"} {
		b.open(address).sees(503, "Not now", "The store is away", "Try again")
		if b.header.Get("Retry-After") != "3" {
			t.Errorf("Retry-After %q", b.header.Get("Retry-After"))
		}
	}
	m.away.Store(false)
	b.open(ticket).sees(200, "backend") // it was not spent
}

func TestPagesOnAHostItselfTellOfThatHostAlone(t *testing.T) {
	h := newHouse(t, withProxy("app.example.com", func(*site.Proxy) {}))
	b := h.browser().alice()
	b.open(h.origin("app.localhost")+"/").sees(200, "backend")
	app := h.origin("app.example.com")
	b.open(app+"/").press("Sign in", "name", "alice", "password", password).sees(200, "backend")
	b.open(app+"/.gatehouse/account").sees(200, "app.example.com")
	if strings.Contains(b.words(), "app.localhost") || strings.Contains(b.words(), "auth.localhost") {
		t.Errorf("a backend's script could read: %s", b.words())
	}
	// A sign-in that began on another host is no business of these pages.
	b.stop = func(u *url.URL) bool { return u.Query().Get("start") != "" }
	other := h.browser()
	other.stop = b.stop
	start := must2(url.Parse(other.open(h.origin("app.localhost") + "/.gatehouse/start").header.Get("Location"))).Query().Get("start")
	b.stop = nil
	b.open(app+"/.gatehouse/signin?start="+start).sees(400, "This address is not complete")
}

func TestTwoTabsCanSignInAtTheSameTime(t *testing.T) {
	h := newHouse(t)
	h.account("alice", password, "admin")
	b := h.browser()
	first := b.open(h.origin("app.localhost") + "/one").url.String()
	second := b.open(h.origin("app.localhost") + "/two").url.String()
	b.open(first).press("Sign in", "name", "alice", "password", password).sees(200, "at /one for local:alice")
	b.open(second).sees(200, "at /two for local:alice")
}

func TestGuessesAtStatesAndTicketsAreBounded(t *testing.T) {
	h := newHouse(t, func(_ *house, _ *oauth.Options, o *Options, _ *[]site.Proxy) { o.RateLimits = true })
	b := h.browser()
	for i := range perAddress {
		if i%2 == 0 {
			b.open(h.origin("auth.localhost")+"/callback?state=guess").sees(400, "no longer known")
		} else {
			b.open(h.origin("app.localhost")+"/.gatehouse/callback?ticket=guess").sees(400, "used already")
		}
	}
	for _, guess := range []string{h.origin("auth.localhost") + "/callback?state=guess", h.origin("app.localhost") + "/.gatehouse/callback?ticket=guess"} {
		for range perAddress { // a slow machine is given a further attempt each second
			if b.open(guess); b.status == http.StatusTooManyRequests {
				break
			}
		}
		b.sees(429, "too many attempts")
	}
}
