package oauth

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// address is one of many, each in a /64 of its own.
func address(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n >> 16), byte(n >> 8), byte(n), 15: 1})
}

// floods are the requests that strangers can make as often as they like.
func (r *rig) floods(client string) map[string]func() answer {
	return map[string]func() answer{
		"register": func() answer {
			return r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"none"}`, "Content-Type", "application/json")
		},
		"authorize": func() answer {
			return r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(client).Encode(), "")
		},
		"device": func() answer {
			return r.post(appOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}})
		},
	}
}

// TestAFloodFromOneAddressStopsNobodyElse: whoever floods, from as many addresses
// of one /64 as they like, waits. Everybody else gets in, and what lies in the
// store for the flood is bounded.
func TestAFloodFromOneAddressStopsNobodyElse(t *testing.T) {
	r := newRig(t, func(o *Options) { o.RateLimits = true })
	client := r.registered(appOrigin)
	for name, flood := range r.floods(client) {
		good := 0
		for n := range 4 * perMinute {
			r.from = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, byte(n), 15: byte(n >> 8)})
			a := flood()
			if a.StatusCode == http.StatusTooManyRequests {
				if a.Header.Get("Retry-After") == "" {
					t.Fatalf("%s: 429 does not say when to come back", name)
				}
				continue
			}
			good++
		}
		if good != perMinute {
			t.Errorf("%s: %d of a flood got through, want %d", name, good, perMinute)
		}
		r.from = netip.MustParseAddr("198.51.100.9")
		if a := flood(); a.StatusCode >= 400 {
			t.Errorf("%s: somebody else is refused: %d %s", name, a.StatusCode, a.body)
		}
	}
}

// TestAFloodFromManyAddressesIsBounded: beyond what is admitted in all strangers
// wait, for a minute at most; who has a code or a token goes on.
func TestAFloodFromManyAddressesIsBounded(t *testing.T) {
	now := time.Now() // stands still: allowance comes back a hundred times a second
	r := newRig(t, func(o *Options) { o.RateLimits, o.Clock = true, func() time.Time { return now } })
	access, refresh, client := r.tokens(appOrigin, person("alice"), "user")
	code := r.code(appOrigin, client, person("alice"), authorizeQuery(client))
	for _, b := range []*bound{r.limits.register, r.limits.authorize, r.limits.device, r.limits.failed} {
		for n := range perMinuteInAll {
			b.take(address(n))
		}
	}
	r.from = netip.MustParseAddr("198.51.100.9")
	for name, flood := range r.floods(client) {
		if a := flood(); a.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%s is not bounded in all: %d", name, a.StatusCode)
		}
	}
	if a := r.post(appOrigin+"/token", codeForm(client, code)); a.StatusCode != http.StatusOK {
		t.Errorf("a valid code: %d %s", a.StatusCode, a.body)
	}
	if a := r.refresh(appOrigin, client, refresh); a.StatusCode != http.StatusOK {
		t.Errorf("a valid refresh token: %d %s", a.StatusCode, a.body)
	}
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access); v.Outcome != site.Allow {
		t.Errorf("a valid access token: %s", v.Reason)
	}
	now = now.Add(2 * time.Second)
	for name, flood := range r.floods(client) {
		if a := flood(); a.StatusCode >= 400 {
			t.Errorf("%s two seconds after the flood: %d", name, a.StatusCode)
		}
	}
}

// TestWhatIsValidIsNeverBoundedByAddress: somebody else there tries wrong secrets until
// the address is spent. Right ones from there work all the same.
func TestWhatIsValidIsNeverBoundedByAddress(t *testing.T) {
	r := newRig(t, func(o *Options) { o.RateLimits = true })
	access, refresh, client := r.tokens(appOrigin, person("alice"), "user")
	neighbours, _, _ := r.tokens(appOrigin, person("alice"), "user") // whose id the forged ones have
	code := r.code(appOrigin, client, person("alice"), authorizeQuery(client))
	d := r.post(appOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}})
	var last answer
	for range 2 * perMinute {
		last = r.refresh(appOrigin, client, "wrong")
		r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+spoil(neighbours))
	}
	if last.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("wrong ones are not bounded: %d", last.StatusCode)
	}
	r.verified = newCache()
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access); v.Outcome != site.Allow {
		t.Errorf("a valid access token: %s", v.Reason)
	}
	if a := r.post(appOrigin+"/token", codeForm(client, code)); a.StatusCode != http.StatusOK {
		t.Errorf("a valid code: %d %s", a.StatusCode, a.body)
	}
	for range 2 * perMinute {
		a := r.refresh(appOrigin, client, refresh)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("a valid refresh token: %d %s", a.StatusCode, a.body)
		}
		refresh = a.text(t, "refresh_token")
	}
	poll := url.Values{"grant_type": {grantDevice}, "client_id": {DeviceFlowClient}, "device_code": {d.text(t, "device_code")}}
	r.post(appOrigin+"/token", poll).refused(t, 400, "authorization_pending", "")
}

// TestRecordsInFlightAreBounded: however many strangers begin something, the
// store holds so many of them; the oldest of the busiest goes first, and all that
// belongs to it.
func TestRecordsInFlightAreBounded(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin)
	if a := r.post(appOrigin+"/token", codeForm(client, r.code(appOrigin, client, person("alice"), authorizeQuery(client)))); a.StatusCode != http.StatusOK {
		t.Fatalf("%s", a.body) // in use now: it makes room for nobody
	}
	r.flight.pendings, r.flight.devices, r.flight.clients = newFlight(r.now, 4, 20), newFlight(r.now, 4, 20), newFlight(r.now, 4, 20)
	honest := map[string]string{}
	for n := range 60 {
		r.from = address(n / 2)
		if n == 45 {
			r.from = netip.MustParseAddr("198.51.100.9")
		}
		for name, flood := range r.floods(client) {
			a := flood()
			if a.StatusCode >= 400 {
				t.Fatalf("%s: %d %s", name, a.StatusCode, a.body)
			}
			if n == 45 && name == "authorize" {
				honest[name] = r.handleOf(a)
			}
		}
	}
	for prefix, most := range map[string]int{prefixState: 20, prefixDevice: 20, prefixUserCode: 20, prefixClient: 21} {
		items, err := r.kv.List(t.Context(), prefix, "", store.MaxPage)
		if err != nil || len(items) > most || len(items) < most-2 {
			t.Errorf("%d records of %s, want %d %v", len(items), prefix, most, err)
		}
	}
	if _, err := r.Pending(r.pages(), honest["authorize"]); err != nil {
		t.Errorf("the request of somebody who came in between is gone: %v", err)
	}
	if _, err := r.Client(t.Context(), client); err != nil {
		t.Errorf("a client in use was forgotten: %v", err)
	}
}

// TestMemoryInAFloodIsBounded: what this node remembers of strangers ends at its
// bounds, the busiest of them goes first, and all is forgotten after the flood.
func TestMemoryInAFloodIsBounded(t *testing.T) {
	const all = 1000
	f, b := newFlight(time.Now, 50, all), newBound(true, time.Now, perMinute, 0)
	evicted := map[string]bool{}
	add := func(from, key string) {
		for _, old := range f.add(from, key, time.Hour) {
			evicted[old] = true
		}
	}
	for n := range 3 * all {
		if n == 2*all+all/2 {
			add("198.51.100.9", "honest")
		}
		add(network(address(n)).String(), fmt.Sprint(n))
		if n%2 == 0 { // one of them sends more than the others
			add("203.0.113.5", fmt.Sprint("busy ", n))
		}
	}
	for n := range 2 * maxAddresses {
		b.take(address(n))
	}
	if len(f.from) > all || len(f.by["203.0.113.5"]) > 50 || len(b.by) > maxAddresses {
		t.Errorf("%d records, %d of the busiest, %d addresses", len(f.from), len(f.by["203.0.113.5"]), len(b.by))
	}
	if evicted["honest"] {
		t.Error("whoever came in the midst of the flood lost their place to the next few")
	}
	f.prune(time.Now().Add(2 * time.Hour))
	b.prune(time.Now().Add(2 * time.Hour))
	if len(f.from)+len(f.by)+len(b.by) > 0 {
		t.Errorf("after the flood %d records and %d addresses are remembered", len(f.from), len(b.by))
	}
}

// TestAGrantInUseMakesRoomLast: programs that sign in anew at each start leave
// many grants. The one that somebody uses all the time is not the one to go.
func TestAGrantInUseMakesRoomLast(t *testing.T) {
	r := newRig(t)
	_, token, client := r.tokens(appOrigin, person("alice"), "user")
	for range grantsEach + 5 {
		a := r.post(appOrigin+"/token", codeForm(client, r.code(appOrigin, client, person("alice"), authorizeQuery(client))))
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s", a.body)
		}
		a = r.refresh(appOrigin, client, token)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("the grant in use was ended to make room: %s", a.body)
		}
		token = a.text(t, "refresh_token")
	}
	grants, err := r.Grants(t.Context(), "github:alice")
	if err != nil || len(grants) != grantsEach {
		t.Errorf("%d grants, want %d %v", len(grants), grantsEach, err)
	}
}

func TestWhatCountsAsOneAddress(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		if got := network(netip.MustParseAddr(c.a)) == network(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s count as one: %v", c.a, c.b, got)
		}
	}
}
