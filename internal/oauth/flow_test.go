package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/site"
)

func TestCodeFlowGivesATokenThatOpensTheHost(t *testing.T) {
	r := newRig(t)
	client := r.registered(appOrigin)
	a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(client).Encode(), "")
	if got := a.Header.Get("Location"); !strings.HasPrefix(got, authOrigin+"/consent?request=") {
		t.Fatalf("the browser is sent to %q", got)
	}
	handle := r.handleOf(a)
	p, err := r.Pending(r.pages(), handle)
	if err != nil || p.ClientName != "Test client" || p.Resource != appOrigin || !slices.Equal(p.Scopes, []string{"user"}) {
		t.Fatalf("pending %+v %v", p, err)
	}
	location, err := r.Approve(r.pages(), handle, person("alice"), []string{"user"})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(location)
	q := u.Query()
	if u.Scheme+"://"+u.Host+u.Path != "https://client.example/cb" || q.Get("state") != "s t&1" || q.Get("iss") != appOrigin {
		t.Errorf("back to the client by %s", location)
	}
	tok := r.post(appOrigin+"/token", codeForm(client, q.Get("code")))
	m := tok.json(t)
	if tok.StatusCode != http.StatusOK || m["token_type"] != "Bearer" || m["expires_in"] != 1800.0 || m["scope"] != "user" || tok.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("token: %d %s", tok.StatusCode, tok.body)
	}
	verdict, _ := r.admit(http.MethodGet, appOrigin+"/reports", "Authorization", "Bearer "+tok.text(t, "access_token"))
	if verdict.Outcome != site.Allow || verdict.Principal == nil || verdict.Principal.User != "alice" || verdict.Step != 9 || !verdict.OwnToken {
		t.Errorf("verdict %+v", verdict)
	}
	if _, err := r.Approve(r.pages(), handle, person("alice"), []string{"user"}); err == nil {
		t.Error("a handle counted twice")
	}
}

func TestTokenIsForOneHostOnly(t *testing.T) {
	r := newRig(t)
	access, _, _ := r.tokens(appOrigin, person("alice"), "user")
	for origin, want := range map[string]string{"https://other.example.com": "token_issuer", mcpOrigin: "token_issuer", authOrigin: "token_issuer"} {
		verdict, _ := r.admit(http.MethodGet, origin+"/x", "Authorization", "Bearer "+access)
		if verdict.Outcome != site.Challenge || verdict.Reason != want || verdict.Error != "invalid_token" {
			t.Errorf("%s: %+v", origin, verdict)
		}
	}
}

func TestRefreshRotates(t *testing.T) {
	r := newRig(t)
	access, refresh, client := r.tokens(appOrigin, person("alice"), "user")
	a := r.refresh(appOrigin, client, refresh)
	if a.StatusCode != http.StatusOK || a.text(t, "access_token") == access || a.text(t, "refresh_token") == refresh || a.text(t, "refresh_token") == "" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+a.text(t, "access_token")); verdict.Outcome != site.Allow {
		t.Errorf("%+v", verdict)
	}
}

func TestDeviceFlow(t *testing.T) {
	r := newRig(t)
	a := r.post(appOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}, "scope": {"user"}})
	m := a.json(t)
	if a.StatusCode != http.StatusOK || m["verification_uri"] != authOrigin+"/device" || m["interval"] != 5.0 || m["expires_in"] != 600.0 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	device := m["device_code"].(string)
	poll := func() answer {
		return r.post(appOrigin+"/device/token", url.Values{"grant_type": {grantDevice}, "client_id": {DeviceFlowClient}, "device_code": {device}})
	}
	poll().refused(t, 400, "authorization_pending", "")
	poll().refused(t, 400, "slow_down", "")
	v, _ := r.visit(http.MethodGet, authOrigin+"/device")
	p, err := r.DeviceByUserCode(r.pages(), v, strings.ToLower(strings.ReplaceAll(m["user_code"].(string), "-", " ")))
	if err != nil || p.ClientName != "Gatehouse command line" || p.Resource != appOrigin || p.Device == "" {
		t.Fatalf("%+v %v", p, err)
	}
	if err := r.ApproveDevice(r.pages(), p.Device, person("alice"), p.Scopes); err != nil {
		t.Fatal(err)
	}
	got := poll()
	if got.StatusCode != http.StatusOK || got.text(t, "refresh_token") == "" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if verdict, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+got.text(t, "access_token")); verdict.Outcome != site.Allow {
		t.Errorf("%+v", verdict)
	}
	poll().refused(t, 400, "invalid_grant", "used already")
	if _, err := r.DeviceByUserCode(r.pages(), v, m["user_code"].(string)); err == nil {
		t.Error("a user code counted twice")
	}
}
