package oauth

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/site"
)

func TestALostAnswerLogsNobodyOut(t *testing.T) {
	r := newRig(t)
	_, first, client := r.tokens(appOrigin, person("alice"), "user")
	lost := r.refresh(appOrigin, client, first)
	again := r.refresh(appOrigin, client, first)
	if lost.StatusCode != http.StatusOK || again.StatusCode != http.StatusOK || lost.text(t, "refresh_token") == again.text(t, "refresh_token") {
		t.Fatalf("%s %s", lost.body, again.body)
	}
	r.after(time.Hour)
	for name, a := range map[string]answer{"the repeated answer": again, "the lost one, found after all": lost} {
		if got := r.refresh(appOrigin, client, a.text(t, "refresh_token")); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, got.body)
		}
	}
}

func TestReuseAfterTheToleranceEndsTheFamily(t *testing.T) {
	r := newRig(t)
	access, first, client := r.tokens(appOrigin, person("alice"), "user")
	second := r.refresh(appOrigin, client, first)
	r.after(119 * time.Second)
	if a := r.refresh(appOrigin, client, first); a.StatusCode != http.StatusOK {
		t.Fatalf("within the tolerance: %s", a.body)
	}
	r.after(2 * time.Second)
	r.refresh(appOrigin, client, first).refused(t, 400, "invalid_grant", "used before")
	r.refresh(appOrigin, client, second.text(t, "refresh_token")).refused(t, 400, "invalid_grant", "")
	for _, token := range []string{access, second.text(t, "access_token")} {
		if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token); v.Reason != "token_revoked" {
			t.Errorf("an access token of the family: %s", v.Reason)
		}
	}
	if reasons := r.log.reasons(); reasons[len(reasons)-2] != "refresh_reused" || reasons[len(reasons)-1] != "grant_ended" {
		t.Errorf("the log says %v", reasons)
	}
}

func TestTheNinthBranchEndsTheFamily(t *testing.T) {
	r := newRig(t)
	_, first, client := r.tokens(appOrigin, person("alice"), "user")
	for i := range maxBranches {
		if a := r.refresh(appOrigin, client, first); a.StatusCode != http.StatusOK {
			t.Fatalf("branch %d: %s", i+1, a.body)
		}
	}
	grants, err := r.Grants(t.Context(), "github:alice")
	if err != nil || len(grants) != 1 || len(grants[0].Branches) != maxBranches || grants[0].Branches[0].Hash != "" {
		t.Fatalf("%+v %v", grants, err)
	}
	r.refresh(appOrigin, client, first).refused(t, 400, "invalid_grant", "")
	if grants, _ = r.Grants(t.Context(), "github:alice"); len(grants) != 0 {
		t.Errorf("the family lives on: %+v", grants)
	}
}

func TestParallelRefreshesAllSucceed(t *testing.T) {
	r := newRig(t)
	_, first, client := r.tokens(appOrigin, person("alice"), "user")
	answers := make([]answer, 4)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = r.refresh(appOrigin, client, first) })
	}
	all.Wait()
	for _, a := range answers {
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		if next := r.refresh(appOrigin, client, a.text(t, "refresh_token")); next.StatusCode != http.StatusOK {
			t.Errorf("the next refresh: %s", next.body)
		}
	}
}

func TestRefreshTokensThatWeNeverMade(t *testing.T) {
	r := newRig(t)
	_, token, client := r.tokens(appOrigin, person("alice"), "user")
	_, mcpToken, mcpClient := r.tokens(mcpOrigin, person("alice"), "mcp")
	flipped := []byte(token)
	flipped[60] ^= 1
	for name, bad := range map[string]string{"none of ours": "abc", "changed": string(flipped), "cut": token[:len(token)-3], "with padding": token + "=", "an access token's form": "a.b.c",
		"with a newline inside": token[:20] + "\n" + token[20:]} {
		r.refresh(appOrigin, client, bad).refused(t, 400, "invalid_grant", "not known")
		_ = name
	}
	r.refresh(appOrigin, client, mcpToken).refused(t, 400, "invalid_grant", "another client")
	r.refresh(mcpOrigin, client, token).refused(t, 401, "invalid_client", "register")
	r.refresh(appOrigin, mcpClient, token).refused(t, 401, "invalid_client", "register")
	r.refresh(appOrigin, r.registered(appOrigin), token).refused(t, 400, "invalid_grant", "another client")
	if a := r.refresh(appOrigin, client, token); a.StatusCode != http.StatusOK {
		t.Errorf("after all these the true one: %s", a.body)
	}
}

func TestRefreshScopesAndResource(t *testing.T) {
	r := newRig(t)
	_, token, client := r.tokens(appOrigin, person("alice"), "user mcp")
	ask := func(more url.Values) answer {
		f := url.Values{"grant_type": {grantRefresh}, "client_id": {client}, "refresh_token": {token}}
		maps.Copy(f, more)
		a := r.post(appOrigin+"/token", f)
		if a.StatusCode == http.StatusOK {
			token = a.text(t, "refresh_token")
		}
		return a
	}
	for _, c := range []struct {
		more  url.Values
		scope string
		code  string
	}{
		{nil, "user mcp", ""},
		{url.Values{"scope": {"mcp"}}, "mcp", ""},
		{url.Values{"scope": {"mcp offline_access"}}, "mcp", ""},
		{nil, "user mcp", ""}, // narrower once is not narrower for ever
		{url.Values{"scope": {"admin mcp"}}, "", "invalid_scope"},
		{url.Values{"resource": {appOrigin}}, "user mcp", ""},
		{url.Values{"resource": {appOrigin + "/"}}, "user mcp", ""},
		{url.Values{"resource": {appOrigin, appOrigin}}, "user mcp", ""},
		{url.Values{"resource": {mcpOrigin + "/mcp"}}, "", "invalid_target"},
		{url.Values{"resource": {appOrigin, mcpOrigin + "/mcp"}}, "", "invalid_target"},
		{url.Values{"resource": {"not a uri"}}, "", "invalid_target"},
		{nil, "user mcp", ""}, // refusals use nothing up
	} {
		a := ask(c.more)
		if c.code != "" {
			a.refused(t, 400, c.code, "")
		} else if a.StatusCode != http.StatusOK || a.text(t, "scope") != c.scope {
			t.Errorf("%v: %d %s", c.more, a.StatusCode, a.body)
		}
	}
	r.change("app.example.com", func(p *site.Proxy) { p.OAuthMCPUsers = []string{} })
	if a := ask(nil); a.text(t, "scope") != "user" {
		t.Errorf("after the list lost alice: %s", a.body)
	}
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"bob"} })
	ask(nil).refused(t, 400, "invalid_grant", "no longer allowed")
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"alice"} })
	if a := ask(nil); a.StatusCode != http.StatusOK {
		t.Errorf("once the policy has alice again: %s", a.body)
	}
}

func TestAFamilyThatNobodyUsesEnds(t *testing.T) {
	r := newRig(t)
	_, token, client := r.tokens(appOrigin, person("alice"), "user")
	other := r.refresh(appOrigin, client, token).text(t, "refresh_token")
	for range 3 {
		r.after(60 * 24 * time.Hour)
		a := r.refresh(appOrigin, client, other)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("in use: %s", a.body)
		}
		other = a.text(t, "refresh_token")
	}
	r.after(91 * 24 * time.Hour)
	r.refresh(appOrigin, client, other).refused(t, 400, "invalid_grant", "expired")
}

func TestABranchThatNobodyUsesEndsAlone(t *testing.T) {
	r := newRig(t)
	_, first, client := r.tokens(appOrigin, person("alice"), "user")
	idle := r.refresh(appOrigin, client, first).text(t, "refresh_token")
	used := r.refresh(appOrigin, client, first).text(t, "refresh_token")
	for range 2 {
		r.after(50 * 24 * time.Hour)
		used = r.refresh(appOrigin, client, used).text(t, "refresh_token")
	}
	r.refresh(appOrigin, client, idle).refused(t, 400, "invalid_grant", "expired")
	if a := r.refresh(appOrigin, client, used); a.StatusCode != http.StatusOK {
		t.Errorf("the branch in use went with it: %s", a.body)
	}
}

func TestNoRefreshTokenForAClientThatDidNotAskForOne(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin, `,"grant_types":["authorization_code"]`)
	a := r.post(appOrigin+"/token", codeForm(client, r.code(appOrigin, client, person("alice"), authorizeQuery(client))))
	if a.StatusCode != http.StatusOK || strings.Contains(string(a.body), "refresh_token") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	r.refresh(appOrigin, client, "x").refused(t, 400, "unauthorized_client", "")
}

// A host that takes no refresh tokens any more gives none either, to clients that
// registered for them before.
func TestARefreshTokenThatNobodyTakesIsNotGiven(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin)
	r.change("app.example.com", func(p *site.Proxy) { p.OAuthServerGrantTypes = []string{grantCode} })
	got := r.post(appOrigin+"/token", codeForm(client, r.code(appOrigin, client, person("alice"), authorizeQuery(client))))
	if got.StatusCode != http.StatusOK || strings.Contains(string(got.body), "refresh_token") {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}
