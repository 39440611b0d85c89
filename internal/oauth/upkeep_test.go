package oauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

func TestAClientLivesAsLongAsItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.ClientLifetime = 30 * time.Hour })
		unused := r.registered(appOrigin)
		_, refresh, used := r.tokens(appOrigin, person("alice"), "user")
		for range 3 {
			time.Sleep(25 * time.Hour)
			a := r.refresh(appOrigin, used, refresh)
			if a.StatusCode != http.StatusOK {
				t.Fatalf("%s", a.body)
			}
			refresh = a.text(t, "refresh_token")
		}
		if _, err := r.Client(t.Context(), used); err != nil {
			t.Errorf("the used client: %v", err)
		}
		if _, err := r.Client(t.Context(), unused); !fault.Is(err, fault.NotFound) {
			t.Errorf("the unused client: %v", err)
		}
	})
}

// What strangers make and nobody uses goes by itself: from the store by its
// lifetime, from the memory of this node by the same.
func TestWhatNobodyUsesGoesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opt.ClientLifetime = 3 * time.Hour // ninety days of tidying each minute take long
		run, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = r.Run(run) }()
		t.Cleanup(func() { cancel(); <-ended })
		client := r.registered(appOrigin)
		a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(client).Encode(), "")
		r.handleOf(a)
		r.code(appOrigin, client, person("alice"), authorizeQuery(client))
		r.post(appOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}})
		stored := func() map[string]int {
			count := map[string]int{}
			for _, prefix := range []string{prefixClient, prefixState, prefixCode, prefixDevice, prefixUserCode} {
				items, err := r.kv.List(t.Context(), prefix, "", 0)
				if err != nil {
					t.Fatal(err)
				}
				count[prefix] = len(items)
			}
			return count
		}
		held := func() int {
			n := 0
			for _, f := range []*flight{r.flight.pendings, r.flight.devices, r.flight.clients} {
				f.mu.Lock()
				n += len(f.from) + len(f.by)
				f.mu.Unlock()
			}
			return n
		}
		if got := stored(); got[prefixClient] != 1 || got[prefixState] != 1 || got[prefixCode] != 1 || got[prefixDevice] != 1 || got[prefixUserCode] != 1 || held() != 6 {
			t.Fatalf("made: %v, %d in memory", got, held())
		}
		time.Sleep(r.opt.SessionTimeout + time.Minute)
		if got := stored(); got[prefixState] != 0 || got[prefixUserCode] != 0 || got[prefixClient] != 1 {
			t.Errorf("after the sign-in's time: %v", got)
		}
		time.Sleep(codeMemory)
		if got := stored(); got[prefixCode] != 0 || got[prefixDevice] != 0 || got[prefixClient] != 1 {
			t.Errorf("after an hour: %v", got)
		}
		time.Sleep(r.opt.ClientLifetime)
		if got := stored(); got[prefixClient] != 0 || held() != 0 {
			t.Errorf("after the client's time: %v, %d in memory", got, held())
		}
	})
}

func TestAFamilyEndsAfterItsLifetimeHoweverMuchItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.RefreshTokenLifetime = 100 * time.Minute })
		_, refresh, client := r.tokens(appOrigin, person("alice"), "user")
		time.Sleep(60 * time.Minute)
		a := r.refresh(appOrigin, client, refresh)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s", a.body)
		}
		time.Sleep(41 * time.Minute)
		r.refresh(appOrigin, client, a.text(t, "refresh_token")).refused(t, 400, "invalid_grant", "")
	})
}

func TestRunEndsWithItsContextAndWritesDownWhatItSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).node()
		c := r.cookie(appOrigin, person("alice"), "")
		time.Sleep(6 * time.Minute)
		if v := r.bySession(appOrigin, c); v.SetCookie == "" {
			t.Fatalf("%+v", v)
		}
		synctest.Wait()
		all, err := r.Sessions(t.Context(), "github:alice")
		if err != nil || len(all) != 1 || time.Since(all[0].LastSeen) > time.Minute {
			t.Errorf("%+v %v", all, err)
		}
		time.Sleep(12 * time.Hour) // tidy goes round
		if all, err = r.Sessions(t.Context(), ""); err != nil || len(all) != 1 {
			t.Errorf("before its time: %+v %v", all, err)
		}
		time.Sleep(time.Hour)
		if all, err = r.Sessions(t.Context(), ""); err != nil || len(all) != 0 {
			t.Errorf("after twelve idle hours: %+v %v", all, err)
		}
	})
}

func TestATokenSeenInClearIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).node()
		access, _, _ := r.tokens(appOrigin, person("alice"), "user")
		r.SeenInClear(nil, "somebody else's")
		r.SeenInClear(nil, access)
		synctest.Wait()
		if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access); v.Reason != "token_revoked" {
			t.Error(v.Reason)
		}
	})
}

// A flood of registrations makes room for itself alone: unused clients of the
// same address go, oldest first; those in use and those of others stay.
func TestRegistrationFloodsAreBounded(t *testing.T) {
	r := newRig(t)
	r.flight.clients.each, r.flight.clients.all = 10, 25
	_, refresh, used := r.tokens(appOrigin, person("alice"), "user")
	register := func(from netip.Addr) string {
		v, _ := r.visit(http.MethodPost, appOrigin+"/register")
		v.Client = from
		req := httptest.NewRequest(http.MethodPost, appOrigin+"/register", strings.NewReader(`{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"none"}`))
		rec := httptest.NewRecorder()
		r.ServeHTTP(rec, req.WithContext(site.WithVisit(t.Context(), v)))
		if rec.Code != http.StatusCreated {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		return answer{rec.Result(), rec.Body.Bytes()}.text(t, "client_id")
	}
	alive := func(id string) bool { _, err := r.Client(t.Context(), id); return err == nil }
	neighbour := register(netip.MustParseAddr("192.0.2.1"))
	var flood []string
	for range 30 {
		flood = append(flood, register(netip.MustParseAddr("198.51.100.9")))
	}
	if !alive(neighbour) || !alive(used) || alive(flood[0]) || alive(flood[19]) || !alive(flood[20]) || !alive(flood[29]) {
		t.Error("the flood of one address did not make room for itself")
	}
	for i := range 40 { // one network of IPv6 is one address
		register(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}))
	}
	for i := range 40 {
		register(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
	}
	all, err := r.Clients(t.Context())
	if err != nil || len(all) > 26 || !alive(used) {
		t.Errorf("%d clients: %v", len(all), err)
	}
	r = newRigOn(t, r.kv)
	if a := r.refresh(appOrigin, used, refresh); a.StatusCode != http.StatusOK {
		t.Errorf("the client in use, after a restart: %d %s", a.StatusCode, a.body)
	}
	if n := len(r.flight.clients.from); n > 25 {
		t.Errorf("%d unused clients are counted after a restart", n)
	}
}

func TestSessionsOfOnePersonAreBounded(t *testing.T) {
	r := newRig(t)
	r.flight.sessions.each = 3
	cookies := make([]*http.Cookie, 5)
	for i := range cookies {
		cookies[i] = r.cookie(appOrigin, person("alice"), "")
	}
	bob := r.cookie(appOrigin, person("bob"), "")
	cookies = slices.Concat(cookies, []*http.Cookie{bob})
	for i, c := range cookies {
		if v := r.bySession(appOrigin, c); (v.Outcome == site.Allow) != (i >= 2) {
			t.Errorf("session %d: %s", i, v.Reason)
		}
	}
}

func TestGrantsOfOnePersonToOneClientAreBounded(t *testing.T) {
	r := newRig(t)
	r.flight.grants.each = 2
	client := r.registered(appOrigin)
	var tokens []string
	for range 4 {
		a := r.post(appOrigin+"/token", codeForm(client, r.code(appOrigin, client, person("alice"), authorizeQuery(client))))
		tokens = append(tokens, a.text(t, "access_token"))
	}
	for i, token := range tokens {
		if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token); (v.Outcome == site.Allow) != (i >= 2) {
			t.Errorf("grant %d: %s", i, v.Reason)
		}
	}
	if all, err := newRigOn(t, r.kv).Grants(t.Context(), ""); err != nil || len(all) != 2 {
		t.Errorf("after a restart: %d %v", len(all), err)
	}
}

func TestManyRequestsAndRevocationsAtOnce(t *testing.T) {
	r := newRig(t)
	const people = 8
	var all sync.WaitGroup
	for range people {
		access, _, _ := r.tokens(mcpOrigin, person(newID()), "user")
		p, err := r.VerifyToken(access)
		if err != nil {
			t.Fatal(err)
		}
		revoked := make(chan struct{})
		for range 4 {
			all.Go(func() {
				ended := false
				for !ended {
					select {
					case <-revoked:
						ended = true // what comes after the revocation is answered by it
					default:
					}
					v, req := r.visit(http.MethodGet, mcpOrigin+"/")
					req.Header.Set("Authorization", "Bearer "+access)
					if verdict := r.Admit(v, req); ended && verdict.Outcome == site.Allow {
						t.Error("a revoked token is let in")
					}
				}
			})
		}
		all.Go(func() {
			defer close(revoked)
			if err := r.Revoke(t.Context(), RevokeGrant, p.GrantID); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestRoutesOwnPeopleCanSignIn(t *testing.T) {
	r := newRig(t)
	route := site.Route{ID: "carols", PathPattern: "/carols", Match: site.MatchPrefix, Target: "http://10.0.0.6:1", Scope: site.ScopeProxy, ProxyHostnames: []string{"app.example.com"},
		Enabled: true, OverrideAuth: true, Auth: &site.RouteAuth{AllowedUsers: []string{"carol"}}}
	r.change("app.example.com", func(*site.Proxy) {}, route)
	host := r.world.Load().Find("app.example.com")
	if ok, _ := r.Permitted(host, person("carol")); !ok {
		t.Error("carol can't sign in to her route")
	}
	if ok, reason := r.Permitted(host, person("dora")); ok || reason != "user_not_listed" {
		t.Errorf("dora: %v %s", ok, reason)
	}
	c := r.cookie(appOrigin, person("carol"), "")
	for path, want := range map[string]site.Outcome{"/carols/x": site.Allow, "/": site.Forbid} {
		if v, _ := r.admit(http.MethodGet, appOrigin+path, "Cookie", c.Name+"="+c.Value); v.Outcome != want {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

func TestExplainAPerson(t *testing.T) {
	r := newRig(t)
	explain := func(target, name string) (site.Verdict, string) {
		v, req := r.visit(http.MethodGet, target)
		p := person(name)
		verdict, steps := r.Explain(v, req, &p)
		var b strings.Builder
		for _, s := range steps {
			b.WriteString(s.Name + ": " + s.Detail + "\n")
		}
		return verdict, b.String()
	}
	verdict, text := explain(appOrigin+"/x", "alice")
	if verdict.Outcome != site.Allow || verdict.Step != 9 || !strings.Contains(text, "scopes suffice: user mcp") {
		t.Errorf("%+v\n%s", verdict, text)
	}
	if verdict, text = explain(appOrigin+"/x", "carol"); verdict.Step != 8 || !strings.Contains(text, "people: 403: user_not_listed") {
		t.Errorf("%+v\n%s", verdict, text)
	}
	if verdict, text = explain(appOrigin+"/.well-known/oauth-protected-resource", "carol"); verdict.Step != 1 {
		t.Errorf("%+v\n%s", verdict, text)
	}
}

func TestListsShowNoSecrets(t *testing.T) {
	r := newRig(t)
	who := person("alice")
	who.Token = []byte("sealed provider token")
	r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"]}`)
	_, _, client := r.tokens(appOrigin, who, "user")
	r.cookie(appOrigin, who, "")
	clients, err1 := r.Clients(t.Context())
	grants, err2 := r.Grants(t.Context(), "github:alice")
	sessions, err3 := r.Sessions(t.Context(), "github:alice")
	if err1 != nil || err2 != nil || err3 != nil || len(clients) != 2 || len(grants) != 1 || len(sessions) != 1 {
		t.Fatalf("%v %v %v", clients, grants, sessions)
	}
	text := mustJSON(t, []any{clients, grants, sessions})
	if strings.Contains(text, "hash\":\"") && !strings.Contains(text, `"hash":""`) || strings.Contains(text, "secret_hash") || strings.Contains(text, "registration_hash") || strings.Contains(text, `"token":`) {
		t.Errorf("%s", text)
	}
	full, err := r.sessions.Get(t.Context(), sessions[0].ID)
	if who := full.Value.Person; err != nil || who.Subject != "github:alice" || who.Token != nil { // package signin keeps it, sealed
		t.Errorf("%+v %v", who, err)
	}
	if err := r.DeleteClient(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if grants, err := r.Grants(t.Context(), ""); err != nil || len(grants) != 0 {
		t.Errorf("the deleted client's grants: %v %v", grants, err)
	}
	if err := r.EndGrant(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	for _, bad := range [][2]string{{"thing", "x"}, {RevokeToken, ""}} {
		if err := r.Revoke(t.Context(), bad[0], bad[1]); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestAStoreThatIsAwayCostsNobodyTheirTokens(t *testing.T) {
	r := newRig(t)
	access, refresh, client := r.tokens(appOrigin, person("alice"), "user")
	cookie := r.cookie(appOrigin, person("alice"), "")
	if err := r.kv.(interface{ Close() error }).Close(); err != nil {
		t.Fatal(err)
	}
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access); v.Outcome != site.Allow {
		t.Errorf("token: %s", v.Reason)
	}
	if v := r.bySession(appOrigin, cookie); v.Outcome != site.Allow {
		t.Errorf("session: %s", v.Reason)
	}
	a := r.refresh(appOrigin, client, refresh)
	a.refused(t, 503, "temporarily_unavailable", "store")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(client).Encode(), "")
	if b.StatusCode != http.StatusServiceUnavailable || b.Header.Get("Location") != "" {
		t.Errorf("authorize: %d %s", b.StatusCode, b.Header.Get("Location"))
	}
}

func TestDeepJSONIsRefused(t *testing.T) {
	r := newRig(t)
	body := `{"redirect_uris":["https://client.example/cb"],"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`
	r.ask(http.MethodPost, appOrigin+"/register", body).refused(t, 400, "invalid_client_metadata", "deeply")
	body = `{"redirect_uris":["https://client.example/cb"],"client_name":"` + strings.Repeat(`[\"{`, 30) + `"}`
	if a := r.ask(http.MethodPost, appOrigin+"/register", body); a.StatusCode != http.StatusCreated {
		t.Errorf("brackets in a string: %d %s", a.StatusCode, a.body)
	}
}

func TestRecheckRunsAtRefresh(t *testing.T) {
	fresh := func(p Person) (Person, error) { return p, nil }
	r := newRig(t, func(o *Options) {
		o.Recheck = func(_ context.Context, p Person, _ *site.Host) (Person, error) { return fresh(p) }
	})
	r.change("app.example.com", func(p *site.Proxy) {
		p.AuthRequiredUsers, p.AuthRequiredGroups, p.OAuthUserUsers = []string{}, []string{"acme"}, []string{"*"}
	})
	who := person("zoe")
	who.Groups = []string{"acme", "other"}
	access, refresh, client := r.tokens(appOrigin, who, "user")
	p, err := r.VerifyToken(access)
	if err != nil || len(p.Groups) != 1 || p.Groups[0] != "acme" {
		t.Errorf("a token tells groups that the policy does not name: %+v %v", p, err)
	}
	fresh = func(p Person) (Person, error) { p.Groups, p.Checked = nil, time.Now(); return p, nil }
	r.refresh(appOrigin, client, refresh).refused(t, 400, "invalid_grant", "no longer allowed")
	fresh = func(p Person) (Person, error) { return p, fault.New(fault.Denied, "no") }
	r.refresh(appOrigin, client, refresh).refused(t, 400, "invalid_grant", "confirmed")
	fresh = func(p Person) (Person, error) { return p, fault.New(fault.Unavailable, "GitHub is away") }
	r.refresh(appOrigin, client, refresh).refused(t, 503, "temporarily_unavailable", "")
	fresh = func(p Person) (Person, error) { return p, nil }
	a := r.refresh(appOrigin, client, refresh)
	if a.StatusCode != http.StatusOK {
		t.Fatalf("refusals used the token up: %s", a.body)
	}
	r.after(25 * time.Hour)
	r.refresh(appOrigin, client, a.text(t, "refresh_token")).refused(t, 400, "invalid_grant", "no longer allowed")
}
