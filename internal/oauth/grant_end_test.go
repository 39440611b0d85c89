package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"gatehouse/internal/site"
)

// Killed between marking a grant as ended and removing it, a process finds it at
// its next start; the mark alone is forgotten long before a refresh token is.
func TestAnEndThatWasCutShortIsFinishedAtTheNextStart(t *testing.T) {
	for kind, id := range map[string]func(g Grant) string{
		RevokeGrant: func(g Grant) string { return g.ID }, RevokeClient: func(g Grant) string { return g.ClientID },
		RevokeUser: func(g Grant) string { return g.Person.Subject }, RevokeProxy: func(Grant) string { return "app.example.com" },
	} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t)
			_, token, client := r.tokens(appOrigin, person("alice"), "user")
			grants, err := r.Grants(t.Context(), "")
			if err != nil || len(grants) != 1 {
				t.Fatal(grants, err)
			}
			if err := r.mark(t.Context(), kind, id(grants[0])); err != nil {
				t.Fatal(err)
			}
			r.refresh(appOrigin, client, token).refused(t, 400, "invalid_grant", "revoked")
			again := newRigOn(t, r.kv)
			if left, err := again.Grants(t.Context(), ""); err != nil || len(left) != 0 {
				t.Errorf("the grant is still there: %+v %v", left, err)
			}
			again.after(24 * time.Hour)
			again.revoked.prune(again.now())
			again.refresh(appOrigin, client, token).refused(t, 400, "invalid_grant", "revoked")
		})
	}
}

// Killed between writing and answering, the client presents what it has again,
// to another process that knows nothing but the store.
func TestARotationWhoseAnswerDiedWithTheProcessIsRepeated(t *testing.T) {
	r := newRig(t)
	_, token, client := r.tokens(appOrigin, person("alice"), "user")
	r.refresh(appOrigin, client, token) // written, and never heard of again
	again := newRigOn(t, r.kv)
	token = again.refresh(appOrigin, client, token).text(t, "refresh_token")
	again.after(tolerance + time.Minute)
	if a := again.refresh(appOrigin, client, token); a.StatusCode != http.StatusOK {
		t.Errorf("%s", a.body)
	}
}

func TestIntrospectionOfRefreshTokens(t *testing.T) {
	r := newRig(t)
	m := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"client_secret_basic"}`).json(t)
	id, secret := m["client_id"].(string), m["client_secret"].(string)
	login := []string{"Authorization", "Basic " + basicOf(id, secret)}
	f := codeForm(id, r.code(appOrigin, id, person("alice"), authorizeQuery(id)))
	f.Del("client_id")
	token := r.post(appOrigin+"/token", f, login...).text(t, "refresh_token")
	active := func(token string) bool {
		t.Helper()
		for _, hint := range []string{"", "access_token", "refresh_token", "whatever"} {
			a := r.post(appOrigin+"/introspect", url.Values{"token": {token}, "token_type_hint": {hint}}, login...)
			if got, ok := a.json(t)["active"].(bool); !ok || a.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			} else if !got && string(a.body) != `{"active":false}` {
				t.Errorf("more is told than that it does not count: %s", a.body)
			} else if hint == "whatever" {
				return got
			}
		}
		return false
	}
	if !active(token) {
		t.Error("a living one")
	}
	next := r.post(appOrigin+"/token", url.Values{"grant_type": {grantRefresh}, "refresh_token": {token}}, login...).text(t, "refresh_token")
	if active(token) || !active(next) {
		t.Error("after its use")
	}
	grants, err := r.Grants(t.Context(), "")
	if err != nil || len(grants) != 1 {
		t.Fatal(err)
	}
	if err := r.mark(t.Context(), RevokeGrant, grants[0].ID); err != nil || active(next) {
		t.Error("of a grant that has ended", err)
	}
}

// A backend that asks about tokens, instead of standing behind the gate, must not
// take what the gate would refuse.
func TestIntrospectionKnowsThePolicy(t *testing.T) {
	r := newRig(t)
	access, _, _ := r.tokens(appOrigin, person("alice"), "user")
	m := r.machine("user")
	active := func() any {
		return r.post(appOrigin+"/introspect", url.Values{"token": {access}}, "Authorization", "Basic "+basicOf(m.id, m.secret)).json(t)["active"]
	}
	if active() != true {
		t.Error("an administrator's client may not ask")
	}
	before := slices.Clone(r.world.Load().Find("app.example.com").Proxy.AuthRequiredUsers)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"bob"} })
	if active() != false {
		t.Error("of a person who is not let in any more")
	}
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = before })
	if active() != true {
		t.Error("of a person who is let in again")
	}
}

// A code or device that was approved before a revocation gives nothing after it,
// on a node that has not heard of it yet either: a grant made there would count
// for a year, for it is younger than the mark.
func TestARevocationElsewhereEndsWhatIsOnItsWay(t *testing.T) {
	const host = "app.example.com"
	for name, revoke := range map[string]func(r *rig, client string) error{
		"the person": func(r *rig, _ string) error { return r.Revoke(r.t.Context(), RevokeUser, "github:alice") },
		"the client": func(r *rig, client string) error { return r.Revoke(r.t.Context(), RevokeClient, client) },
		"the host":   func(r *rig, _ string) error { return r.Revoke(r.t.Context(), RevokeProxy, host) },
		"its parent": func(r *rig, _ string) error { return r.Revoke(r.t.Context(), RevokeProxy, "*.example.com") },
	} {
		t.Run(name, func(t *testing.T) {
			here := newRig(t)
			there := newRigOn(t, here.kv)
			client := here.registered(appOrigin)
			before := person("alice")
			code := here.code(appOrigin, client, before, authorizeQuery(client))
			if err := revoke(there, client); err != nil {
				t.Fatal(err)
			}
			if here.endedSince(client, &Person{Subject: "github:alice", User: "alice"}, appOrigin, time.Time{}) {
				t.Fatal("this node has heard of it: the test shows nothing")
			}
			if a := here.post(appOrigin+"/token", codeForm(client, code)); a.StatusCode != http.StatusBadRequest || a.text(t, "error") != "invalid_grant" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if grants, err := here.Grants(t.Context(), ""); err != nil || len(grants) != 0 {
				t.Errorf("a grant is left: %+v %v", grants, err)
			}
			code = here.code(appOrigin, client, before, authorizeQuery(client))
			if a := here.post(appOrigin+"/token", codeForm(client, code)); (a.StatusCode == http.StatusOK) != (name != "the person") {
				t.Errorf("by a session that this node still believes: %d %s", a.StatusCode, a.body)
			}
			code = here.code(appOrigin, client, person("alice"), authorizeQuery(client))
			if a := here.post(appOrigin+"/token", codeForm(client, code)); a.StatusCode != http.StatusOK {
				t.Errorf("who begins anew is refused: %d %s", a.StatusCode, a.body)
			}
		})
	}
}
