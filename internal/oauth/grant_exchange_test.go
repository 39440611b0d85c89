package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// exchanger is a client that may exchange, with a token of alice's.
type exchanger struct {
	*rig
	client, access, refreshToken string
}

func (r *rig) exchanger(scope string) exchanger {
	r.t.Helper()
	client := r.registered(appOrigin, `,"grant_types":["authorization_code","refresh_token","`+grantExchange+`"]`)
	q := authorizeQuery(client)
	q.Set("scope", scope)
	a := r.post(appOrigin+"/token", codeForm(client, r.code(appOrigin, client, person("alice"), q)))
	if a.StatusCode != http.StatusOK {
		r.t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return exchanger{r, client, a.text(r.t, "access_token"), a.text(r.t, "refresh_token")}
}

// exchange asks for another token for the one given; more are names and values.
func (x exchanger) exchange(token string, more ...string) answer {
	x.t.Helper()
	f := url.Values{"grant_type": {grantExchange}, "client_id": {x.client}, "subject_token": {token}, "subject_token_type": {typeAccessToken}}
	for i := 0; i < len(more); i += 2 {
		if more[i+1] == "" {
			f.Del(more[i])
		} else if f.Has(more[i]) && more[i] != "resource" && more[i] != "audience" {
			f.Set(more[i], more[i+1])
		} else {
			f.Add(more[i], more[i+1])
		}
	}
	return x.post(appOrigin+"/token", f)
}

func TestExchangeNarrows(t *testing.T) {
	r := newRig(t)
	x := r.exchanger("user mcp")
	r.after(10 * time.Minute)
	a := x.exchange(x.access, "scope", "user", "resource", appOrigin+"/", "resource", appOrigin, "audience", appOrigin, "audience", appOrigin, "requested_token_type", typeAccessToken)
	got := a.json(t)
	if a.StatusCode != http.StatusOK || got["issued_token_type"] != typeAccessToken || got["token_type"] != "Bearer" || got["scope"] != "user" || got["refresh_token"] != nil {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	before, err1 := r.VerifyToken(x.access)
	after, err2 := r.VerifyToken(a.text(t, "access_token"))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if after.GrantID != before.GrantID || after.Subject != before.Subject || after.ClientID != before.ClientID || after.Resource != before.Resource || after.TokenID == before.TokenID ||
		!slices.Equal(after.Scopes, []string{"user"}) || after.Expires.After(before.Expires) || !after.AuthTime.Equal(before.AuthTime) {
		t.Errorf("of\n%+v\nbecame\n%+v", before, after)
	}
	if left := got["expires_in"].(float64); left > 20*60 || left < 19*60 {
		t.Errorf("expires_in %v of a token with 20 minutes left", left)
	}
	if a := x.exchange(x.access, "subject_token_type", typeJWT); a.text(t, "scope") != "user mcp" {
		t.Errorf("without scope: %s", a.body)
	}
}

func TestExchangeNeverWidens(t *testing.T) {
	r := newRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.OAuthAdminUsers = []string{"alice"} })
	x := r.exchanger("user mcp")
	narrow := x.exchange(x.access, "scope", "user").text(t, "access_token")
	other := r.exchanger("user")
	elsewhere, _, _ := r.tokens(mcpOrigin, person("alice"), "user")
	for name, c := range map[string]struct {
		token string
		more  []string
		code  string
		words string
	}{
		"more than the token has":        {narrow, []string{"scope", "user mcp"}, "invalid_scope", "more than"},
		"what the lists would give":      {x.access, []string{"scope", "admin"}, "invalid_scope", "more than"},
		"scopes that nobody knows":       {x.access, []string{"scope", "nonsense"}, "invalid_scope", ""},
		"another resource":               {x.access, []string{"resource", mcpOrigin + "/mcp"}, "invalid_target", "alone"},
		"a second resource":              {x.access, []string{"resource", appOrigin, "resource", mcpOrigin + "/mcp"}, "invalid_target", "alone"},
		"another audience":               {x.access, []string{"audience", "https://other.example.com"}, "invalid_target", "alone"},
		"a path below the resource":      {x.access, []string{"resource", appOrigin + "/reports"}, "invalid_target", "alone"},
		"an actor":                       {x.access, []string{"actor_token", x.access, "actor_token_type", typeAccessToken}, "invalid_request", "actor_token"},
		"a refresh token for it":         {x.access, []string{"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request", "requested_token_type"},
		"an id token for it":             {x.access, []string{"requested_token_type", "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request", "requested_token_type"},
		"no token":                       {x.access, []string{"subject_token", ""}, "invalid_request", "subject_token"},
		"no type":                        {x.access, []string{"subject_token_type", ""}, "invalid_request", "subject_token_type"},
		"a refresh token":                {x.refreshToken, []string{"subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request", "subject_token_type"},
		"a refresh token under a lie":    {x.refreshToken, nil, "invalid_request", "not one that this server issued"},
		"another client's token":         {other.access, nil, "invalid_request", "another client"},
		"a token of another issuer":      {elsewhere, nil, "invalid_request", "another issuer"},
		"a token with a wrong signature": {x.access[:len(x.access)-8] + "AAAAAAAA", nil, "invalid_request", "signature"},
	} {
		t.Run(name, func(t *testing.T) {
			r.in(t)
			x.exchange(c.token, c.more...).refused(t, 400, c.code, c.words)
		})
	}
	without := r.registered(appOrigin)
	r.post(appOrigin+"/token", url.Values{"grant_type": {grantExchange}, "client_id": {without}, "subject_token": {x.access}, "subject_token_type": {typeAccessToken}}).
		refused(t, 400, "unauthorized_client", "")
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"bob"} })
	x.exchange(x.access).refused(t, 400, "invalid_request", "no longer allowed")
	r.change("app.example.com", func(p *site.Proxy) {
		p.AuthRequiredUsers, p.OAuthMCPUsers, p.OAuthAdminUsers = []string{"alice"}, []string{}, nil
	})
	if a := x.exchange(x.access); a.text(t, "scope") != "user" {
		t.Errorf("after the list lost alice: %s", a.body)
	}
	r.after(31 * time.Minute)
	x.exchange(x.access).refused(t, 400, "invalid_request", "expired")
}

// Whoever ends a token by its jti means what was made of it too.
func TestWhatAnExchangeGaveEndsWithWhatItCameFrom(t *testing.T) {
	r := newRig(t)
	x := r.exchanger("user mcp")
	child := x.exchange(x.access, "scope", "user").text(t, "access_token")
	grandchild := x.exchange(child).text(t, "access_token")
	sibling := x.exchange(x.access).text(t, "access_token")
	verdict, stream := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+grandchild)
	if verdict.Outcome != site.Allow || !r.Still(stream) {
		t.Fatal(verdict.Reason)
	}
	jti := func(token string) string {
		p, err := r.VerifyToken(token)
		if err != nil {
			t.Fatal(err)
		}
		return p.TokenID
	}
	if err := r.Revoke(t.Context(), RevokeToken, jti(child)); err != nil {
		t.Fatal(err)
	}
	if r.opens(x.access) != "allowed" || r.opens(sibling) != "allowed" || r.opens(child) != "token_revoked" || r.opens(grandchild) != "token_revoked" || r.Still(stream) {
		t.Errorf("%s %s %s %s", r.opens(x.access), r.opens(sibling), r.opens(child), r.opens(grandchild))
	}
	x.exchange(grandchild).refused(t, 400, "invalid_request", "revoked")
	// By the client itself, as by an administrator.
	r.post(appOrigin+"/revoke", url.Values{"client_id": {x.client}, "token": {x.access}})
	if r.opens(sibling) != "token_revoked" {
		t.Error(r.opens(sibling))
	}
	fresh := r.refresh(appOrigin, x.client, x.refreshToken).text(t, "access_token")
	exchanged := x.exchange(fresh).text(t, "access_token")
	p, err := r.VerifyToken(exchanged)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.EndGrant(t.Context(), p.GrantID); err != nil || r.opens(exchanged) != "token_revoked" {
		t.Errorf("its grant's end: %v %s", err, r.opens(exchanged))
	}
	x.exchange(fresh).refused(t, 400, "invalid_request", "revoked")
}

func TestExchangesOfExchangesAreBounded(t *testing.T) {
	r := newRig(t)
	x := r.exchanger("user")
	token := x.access
	for range maxExchanges {
		token = x.exchange(token).text(t, "access_token")
	}
	x.exchange(token).refused(t, 400, "invalid_request", "too often")
}

func TestAClientForItselfMayExchange(t *testing.T) {
	r := newRig(t)
	m := r.machine("user reports", func(n *NewClient) { n.GrantTypes = []string{grantClient, grantExchange} }).listed()
	a := m.post(appOrigin+"/token", url.Values{"grant_type": {grantExchange}, "subject_token": {m.token("")}, "subject_token_type": {typeAccessToken}, "scope": {"user"}},
		"Authorization", "Basic "+basicOf(m.id, m.secret))
	if a.StatusCode != http.StatusOK || a.text(t, "scope") != "user" || r.opens(a.text(t, "access_token")) != "allowed" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestOneParameterTwiceIsRefusedAtAnExchangeToo(t *testing.T) {
	r := newRig(t)
	x := r.exchanger("user")
	body := url.Values{"grant_type": {grantExchange}, "client_id": {x.client}, "subject_token": {x.access, x.access}, "subject_token_type": {typeAccessToken}}
	r.post(appOrigin+"/token", body).refused(t, 400, "invalid_request", "more than once")
	if strings.Contains(mustJSON(t, r.log.all), x.access) {
		t.Error("the subject token is in the journal")
	}
	if _, err := r.Grant(t.Context(), "none"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}
