package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

func (r *rig) bySession(origin string, c *http.Cookie) site.Verdict {
	r.t.Helper()
	verdict, _ := r.admit(http.MethodGet, origin+"/", "Cookie", c.Name+"="+c.Value)
	return verdict
}

// renewed is the cookie in a verdict's SetCookie.
func renewed(t *testing.T, v site.Verdict) *http.Cookie {
	t.Helper()
	c, err := http.ParseSetCookie(v.SetCookie)
	if err != nil {
		t.Fatalf("SetCookie %q: %v", v.SetCookie, err)
	}
	return c
}

func TestSessionCookieAttributes(t *testing.T) {
	r := newRig(t)
	c := r.cookie(appOrigin, person("alice"), "")
	if c.Name != "__Host-gatehouse" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("over https: %+v", c)
	}
	if strings.Contains(c.Value, "alice") || len(c.Value) < 100 {
		t.Errorf("the value is not sealed: %s", c.Value)
	}
	r.change("app.localhost", func(*site.Proxy) {})
	c = r.cookie("http://app.localhost", person("alice"), "")
	if c.Name != "gatehouse" || c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("over http on localhost: %+v", c)
	}
}

func TestSessionCountsOnItsHostAlone(t *testing.T) {
	r := newRig(t)
	c := r.cookie(appOrigin, person("alice"), "")
	for origin, want := range map[string]string{appOrigin: "allowed", "https://other.example.com": "no_credential"} {
		if v := r.bySession(origin, c); v.Reason != want {
			t.Errorf("%s: %s", origin, v.Reason)
		}
	}
	v, req := r.visit(http.MethodGet, authOrigin+"/account")
	req.AddCookie(c)
	if _, ok := r.SessionOf(v, req); ok {
		t.Error("it counts on the sign-in host")
	}
}

func TestSessionEndsWhenIdle(t *testing.T) {
	r := newRig(t)
	c := r.cookie(appOrigin, person("alice"), "")
	if v := r.bySession(appOrigin, c); v.Outcome != site.Allow || v.SetCookie != "" || !v.ByCookie {
		t.Fatalf("fresh: %+v", v)
	}
	r.after(6 * time.Minute)
	v := r.bySession(appOrigin, c)
	next := renewed(t, v)
	if v.Outcome != site.Allow || next.Value == c.Value {
		t.Fatalf("after six minutes: %+v", v)
	}
	r.after(12*time.Hour - 5*time.Minute)
	if v := r.bySession(appOrigin, c); v.Outcome != site.Challenge || v.Reason != "no_credential" {
		t.Errorf("the old cookie after twelve idle hours: %+v", v)
	}
	if v := r.bySession(appOrigin, next); v.Outcome != site.Allow {
		t.Errorf("the renewed cookie: %+v", v)
	}
}

func TestSessionEndsAfterSevenDaysOfUse(t *testing.T) {
	r := newRig(t)
	c := r.cookie(appOrigin, person("alice"), "")
	for passed := time.Duration(0); ; passed += 6 * time.Hour {
		v := r.bySession(appOrigin, c)
		if passed < 7*24*time.Hour {
			if v.Outcome != site.Allow {
				t.Fatalf("after %s: %+v", passed, v)
			}
			if passed > 0 {
				c = renewed(t, v)
			}
		} else {
			if v.Outcome == site.Allow {
				t.Fatalf("lives on after %s", passed)
			}
			return
		}
		r.after(6 * time.Hour)
	}
}

func TestEndingTheParentEndsItsChildren(t *testing.T) {
	r := newRig(t)
	parent := r.cookie(authOrigin, person("alice"), "")
	v, req := r.visit(http.MethodGet, authOrigin+"/")
	req.AddCookie(parent)
	session, ok := r.SessionOf(v, req)
	if !ok || session.Person.User != "alice" || session.Host != "auth.example.com" {
		t.Fatalf("%+v %v", session, ok)
	}
	child := r.cookie(appOrigin, person("alice"), session.ID)
	verdict := r.bySession(appOrigin, child)
	if verdict.Outcome != site.Allow {
		t.Fatal(verdict.Reason)
	}
	stream := &site.Visit{Host: r.world.Load().Find("app.example.com"), Name: "app.example.com", Origin: appOrigin, Path: site.ParsePath("/"), Verdict: verdict}
	if err := r.EndSession(t.Context(), session.ID); err != nil {
		t.Fatal(err)
	}
	if v := r.bySession(appOrigin, child); v.Outcome == site.Allow {
		t.Error("the child lives on")
	}
	if r.Still(stream) {
		t.Error("its streams go on")
	}
	if _, ok := r.SessionOf(v, req); ok {
		t.Error("the parent lives on")
	}
	if _, err := r.OpenSession(t.Context(), v, person("alice"), session.ID); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a child of an ended session: %v", err)
	}
	if all, err := r.Sessions(t.Context(), ""); err != nil || len(all) != 0 {
		t.Errorf("the list still holds %v %v", all, err)
	}
}

// node is another node on the same store, following it.
func (r *rig) node() *rig {
	r.t.Helper()
	other := newRigOn(r.t, r.kv)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- other.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	return other
}

// within lets two seconds pass in a bubble and then asks.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	if !holds() {
		t.Errorf("not within two seconds: %s", what)
	}
}

func TestRevocationReachesOtherNodes(t *testing.T) { synctest.Test(t, revocationReachesOtherNodes) }

func revocationReachesOtherNodes(t *testing.T) {
	r := newRig(t)
	other := r.node()
	if err := r.CreateUser(t.Context(), User{Name: "admin", Hash: "x", Scopes: []string{"admin"}}); err != nil {
		t.Fatal(err)
	}
	local := LocalPerson(User{Name: "admin"}, time.Now())
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = nil; p.OAuthUserUsers = nil })
	other.world.Store(r.world.Load())
	access, _, _ := r.tokens(appOrigin, local, "user")
	cookie := r.cookie(appOrigin, local, "")
	byToken := func() site.Verdict {
		v, _ := other.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access)
		return v
	}
	within(t, "the other node knows the account", func() bool { return byToken().Outcome == site.Allow })
	if v := other.bySession(appOrigin, cookie); v.Outcome != site.Allow {
		t.Fatalf("a session made here counts there: %+v", v)
	}
	token, err := r.VerifyToken(access)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(t.Context(), RevokeGrant, token.GrantID); err != nil {
		t.Fatal(err)
	}
	within(t, "the grant is revoked there", func() bool { return byToken().Reason == "token_revoked" })
	if err := r.setPassword("admin", "y"); err != nil {
		t.Fatal(err)
	}
	within(t, "the session is ended there", func() bool { return other.bySession(appOrigin, cookie).Outcome != site.Allow })
}

func TestLosingAnAccountEndsAllItHad(t *testing.T) {
	local := LocalPerson(User{Name: "admin"}, time.Now())
	for name, end := range map[string]func(*rig) error{
		"deleted":              func(r *rig) error { return r.DeleteUser(r.t.Context(), "Admin") },
		"given a new password": func(r *rig) error { return r.setPassword("admin", "other") },
		"revoked":              func(r *rig) error { return r.Revoke(r.t.Context(), RevokeUser, "local:admin") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if err := r.CreateUser(t.Context(), User{Name: "admin", Hash: "x", Scopes: []string{"admin"}}); err != nil {
				t.Fatal(err)
			}
			r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = nil; p.OAuthUserUsers = nil })
			access, refresh, client := r.tokens(appOrigin, local, "user")
			code := r.code(appOrigin, client, local, authorizeQuery(client))
			cookie := r.cookie(appOrigin, local, "")
			if v := r.bySession(appOrigin, cookie); v.Outcome != site.Allow {
				t.Fatal(v.Reason)
			}
			if err := end(r); err != nil {
				t.Fatal(err)
			}
			if v := r.bySession(appOrigin, cookie); v.Outcome == site.Allow {
				t.Error("the session lives on")
			}
			if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+access); v.Reason != "token_revoked" {
				t.Errorf("the access token: %s", v.Reason)
			}
			r.refresh(appOrigin, client, refresh).refused(t, 400, "invalid_grant", "")
			r.post(appOrigin+"/token", codeForm(client, code)).refused(t, 400, "invalid_grant", "ended")
			if name == "deleted" {
				return
			}
			local := LocalPerson(User{Name: "admin"}, time.Now()) // with a sign-in of now
			again, _, _ := r.tokens(appOrigin, local, "user")
			if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+again); v.Outcome != site.Allow {
				t.Errorf("signing in again: %s", v.Reason)
			}
			if v := r.bySession(appOrigin, r.cookie(appOrigin, local, "")); v.Outcome != site.Allow {
				t.Errorf("a new session: %s", v.Reason)
			}
		})
	}
}

func TestLocalAccountsScopesFollowTheRoll(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	if err := r.CreateUser(ctx, User{Name: "Admin", Hash: "x", Scopes: []string{"admin"}}); err != nil {
		t.Fatal(err)
	}
	if err := r.CreateUser(ctx, User{Name: "admin", Hash: "x"}); !fault.Is(err, fault.Exists) {
		t.Errorf("the same name in another case: %v", err)
	}
	for _, bad := range []User{{Name: "a b", Hash: "x"}, {Name: "", Hash: "x"}, {Name: "x"}, {Name: "x", Hash: "x", Scopes: []string{"root"}}, {Name: "../x", Hash: "y"}} {
		if err := r.CreateUser(ctx, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	local := LocalPerson(User{Name: "admin"}, time.Now())
	access, _, _ := r.tokens(authOrigin, local, "admin user")
	scopes := func() []string {
		v, _ := r.admit(http.MethodGet, authOrigin+"/proxies/", "Authorization", "Bearer "+access)
		if v.Principal == nil {
			t.Fatal(v.Reason)
		}
		return v.Principal.Scopes
	}
	if got := scopes(); !slices.Equal(got, []string{"admin", "user"}) {
		t.Fatal(got)
	}
	if _, err := r.UpdateUser(ctx, "admin", func(u *User) error { u.Scopes = []string{"user"}; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := scopes(); !slices.Equal(got, []string{"user"}) {
		t.Errorf("after the account lost admin: %v", got)
	}
}

func TestASessionKeepsOnlyGroupsThatAPolicyNames(t *testing.T) {
	r := newRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredGroups = []string{"Acme"} })
	p := person("zoe")
	for i := range 1000 {
		p.Groups = append(p.Groups, strings.Repeat("x", i%30)+"org")
	}
	p.Groups = append(p.Groups, "acme")
	c := r.cookie(appOrigin, p, "")
	if len(c.Value) > 1000 {
		t.Errorf("the cookie has %d bytes", len(c.Value))
	}
	if v := r.bySession(appOrigin, c); v.Outcome != site.Allow || !slices.Equal(v.Principal.Groups, []string{"acme"}) {
		t.Errorf("%+v", v)
	}
}

func FuzzCookie(f *testing.F) {
	r := newRig(f)
	c := r.cookie(appOrigin, person("alice"), "")
	f.Add(c.Value)
	f.Add("")
	f.Add("AQ")
	f.Add("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA")
	f.Add(c.Value[:len(c.Value)-2])
	f.Add(strings.Repeat("A", maxCookie+1))
	f.Fuzz(func(t *testing.T, value string) {
		e := r.openCookie("__Host-gatehouse", appOrigin, value, r.now())
		if e != nil && value != c.Value {
			t.Errorf("%q opens as %+v", value, e.session)
		}
		if r.openCookie("__Host-gatehouse", mcpOrigin, value, r.now()) != nil || r.openCookie("__Host-gatehouse-2", appOrigin, value, r.now()) != nil {
			t.Errorf("%q opens elsewhere", value)
		}
	})
}
