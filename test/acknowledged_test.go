package test

import (
	"net/http"
	"net/url"
	"testing"
)

// TestKillForgetsNoSignIn kills the program after each answer of a sign-in: what
// was answered counts afterwards, and what was used up stays used up.
func TestKillForgetsNoSignIn(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"OAUTH_USER_USERS=local:alice"}, "protect", "app.localhost", mirror(t).URL)
	p := s.person()
	p.becomeAdmin()
	crash := func() { s.kill(); s.run() }
	issuer := s.url("app.localhost", "")

	got := ask(t, p.c, "POST", issuer+"/register", `{"client_name":"crash","redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"none"}`, "Content-Type: application/json")
	var made struct {
		ID  string `json:"client_id"`
		Key string `json:"registration_access_token"`
		URI string `json:"registration_client_uri"`
	}
	decode(t, got.Body, &made)
	crash()
	if got := get(t, p.c, made.URI, "Authorization: Bearer "+made.Key); got.StatusCode != http.StatusOK {
		t.Fatalf("the registration after the crash: %d %s", got.StatusCode, got.Body)
	}

	c := &oauthClient{t: t, s: s, c: s.stranger().c, issuer: issuer, id: made.ID, redirect: "https://client.example/cb", verifier: random()}
	parked := get(t, p.c, c.request(nil))
	consent, err := parked.Location()
	if err != nil {
		t.Fatalf("authorize: %d %s", parked.StatusCode, parked.Body)
	}
	crash()
	allowed := p.submit(p.follow(consent.String()), "/consent", url.Values{"answer": {"allow"}})
	back, err := allowed.Location()
	if err != nil || back.Query().Get("code") == "" {
		t.Fatalf("consent after the crash: %d %s", allowed.StatusCode, allowed.Body)
	}
	code := back.Query().Get("code")
	crash()
	answered, first := c.exchange(code, nil)
	if answered.StatusCode != http.StatusOK {
		t.Fatalf("the code after the crash: %d %s", answered.StatusCode, answered.Body)
	}
	crash()
	works := func(what, access string, want int) {
		t.Helper()
		if got := get(t, c.c, issuer+"/", "Authorization: Bearer "+access); got.StatusCode != want {
			t.Errorf("%s: %d, want %d", what, got.StatusCode, want)
		}
	}
	works("the access token after the crash", first.Access, http.StatusOK)
	_, second := c.refresh(first.Refresh)
	works("the refreshed one", second.Access, http.StatusOK)
	crash()
	if again, _ := c.exchange(code, nil); again.StatusCode != http.StatusBadRequest {
		t.Errorf("the code counts again after the crash: %d", again.StatusCode)
	}
	works("what a replayed code gave", second.Access, http.StatusUnauthorized)
	crash()
	works("the same after another crash", second.Access, http.StatusUnauthorized)

	s.deviceThroughCrashes(p, crash, works)
}

// deviceThroughCrashes is the device flow, cut after each answer.
func (s *server) deviceThroughCrashes(p *person, crash func(), works func(string, string, int)) {
	t := s.t
	t.Helper()
	c := &oauthClient{t: t, s: s, c: s.stranger().c, issuer: s.url("app.localhost", ""), id: "device_flow_client"}
	got, _ := c.post("/device/code", url.Values{"client_id": {c.id}, "scope": {"user"}})
	var d struct {
		Device string `json:"device_code"`
		User   string `json:"user_code"`
	}
	decode(t, got.Body, &d)
	crash()
	p.approve(d.User)
	crash()
	poll := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {c.id}, "device_code": {d.Device}}
	_, out := c.post("/token", poll)
	works("the device's token", out.Access, http.StatusOK)
	crash()
	works("the device's token after the crash", out.Access, http.StatusOK)
	if again, _ := c.post("/token", poll); again.StatusCode != http.StatusBadRequest {
		t.Errorf("the device code counts again after the crash: %d", again.StatusCode)
	}
	c.post("/revoke", url.Values{"client_id": {c.id}, "token": {out.Refresh}})
	crash()
	works("a revoked device's token after the crash", out.Access, http.StatusUnauthorized)
	if again, _ := c.refresh(out.Refresh); again.StatusCode != http.StatusBadRequest {
		t.Errorf("a revoked refresh token after the crash: %d", again.StatusCode)
	}
}
