package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

const verifier = "0123456789-0123456789-0123456789-0123456789"

// register makes a public client at an issuer and answers its id.
func (b *browser) register(issuer, name string, redirects ...string) string {
	b.t.Helper()
	body, err := json.Marshal(map[string]any{"client_name": name, "redirect_uris": redirects, "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}})
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, issuer+"/register", strings.NewReader(string(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	b.do(r)
	var answer struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(b.body), &answer); err != nil || answer.ID == "" {
		b.t.Fatalf("register: %d %s", b.status, b.body)
	}
	return answer.ID
}

func authorizeURL(issuer, client, redirect, scope string) string {
	sum := sha256.Sum256([]byte(verifier))
	return issuer + "/authorize?" + url.Values{"response_type": {"code"}, "client_id": {client}, "redirect_uri": {redirect}, "scope": {scope},
		"state": {"xyz"}, "code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}}.Encode()
}

const clientRedirect = "https://client.example/cb"

// application is a browser in front of an application at client.example.
func (h *house) application(scope string) (b *browser, authorize string) {
	b = h.browser()
	b.stop = func(u *url.URL) bool { return u.Hostname() == "client.example" || u.Port() == "7777" }
	id := b.register(h.origin("app.localhost"), "Nice Client", clientRedirect)
	return b, authorizeURL(h.origin("app.localhost"), id, clientRedirect, scope)
}

// answer is what the application was told.
func (b *browser) answer() url.Values {
	b.t.Helper()
	if b.status != 303 {
		b.t.Fatalf("no redirect to the application, but %d at %s: %s", b.status, b.url, b.words())
	}
	return must2(url.Parse(b.header.Get("Location"))).Query()
}

func (b *browser) redeem(issuer, client, code, redirect string) map[string]any {
	b.t.Helper()
	b.post(issuer+"/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}})
	var answer map[string]any
	if err := json.Unmarshal([]byte(b.body), &answer); err != nil {
		b.t.Fatal(err)
	}
	return answer
}

func TestSignInPageNamesApplicationReturnHostAndResource(t *testing.T) {
	h := newHouse(t)
	h.account("alice", password, "admin", "user", "mcp")
	b, authorize := h.application("mcp")
	b.open(authorize).sees(200, "Sign in", "Nice Client", "its name is not verified", "client.example", "Opens app.localhost")
	b.press("Sign in", "name", "alice", "password", password)
	b.sees(200, "Allow Nice Client?", "client.example", "Use the tools of app.localhost", "Signed in as local:alice")
	got := b.press("Allow").answer()
	if got.Get("state") != "xyz" || got.Get("iss") != h.origin("app.localhost") || got.Get("code") == "" {
		t.Fatalf("the application got %v", got)
	}
	client := must2(url.Parse(authorize)).Query().Get("client_id")
	if answer := b.redeem(h.origin("app.localhost"), client, got.Get("code"), clientRedirect); answer["scope"] != "mcp" {
		t.Errorf("token: %v", answer)
	}
	b.open(h.origin("auth.localhost")+"/account").sees(200, "Nice Client", "mcp")
	b.press("Disconnect").sees(200, "The app is disconnected", "No app acts in your name")
}

func TestConsentIsRememberedForTheSameOnly(t *testing.T) {
	h := newHouse(t)
	b, authorize := h.application("user")
	b.alice()
	b.open(authorize).press("Allow").answer()
	if code := b.open(authorize).answer().Get("code"); code == "" {
		t.Error("asked again for the same")
	}
	wider := strings.Replace(authorize, "scope=user", "scope=user+mcp", 1)
	b.open(wider).sees(200, "Allow Nice Client?", "mcp")
}

func TestCancelTellsTheApplication(t *testing.T) {
	h := newHouse(t)
	b, authorize := h.application("user")
	b.alice()
	got := b.open(authorize).press("Cancel").answer()
	if got.Get("error") != "access_denied" || got.Get("state") != "xyz" || got.Get("iss") == "" || got.Get("code") != "" {
		t.Errorf("the application got %v", got)
	}
	b.open(h.origin("auth.localhost")+"/account").sees(200, "No app acts in your name")
}

func TestAdministrationStandsInABoxOfItsOwnAndCanBeLeftOut(t *testing.T) {
	h := newHouse(t)
	b, authorize := h.application("admin user")
	b.alice()
	b.open(authorize).sees(200, "Administration", "whatever an administrator of it can", "Allow without administration", "You will be asked each time")
	got := b.press("Allow without administration").answer()
	client := must2(url.Parse(authorize)).Query().Get("client_id")
	if answer := b.redeem(h.origin("app.localhost"), client, got.Get("code"), clientRedirect); answer["scope"] != "user" {
		t.Errorf("token: %v", answer)
	}
	b.open(authorize).sees(200, "Administration") // never remembered
	got = b.press("Allow").answer()
	if answer := b.redeem(h.origin("app.localhost"), client, got.Get("code"), clientRedirect); answer["scope"] != "admin user" {
		t.Errorf("token: %v", answer)
	}
}

func TestConsentForAProgramOnThisComputerIsAskedEachTime(t *testing.T) {
	h := newHouse(t)
	b := h.browser().alice()
	b.stop = func(u *url.URL) bool { return u.Port() == "7777" }
	id := b.register(h.origin("app.localhost"), "Tool", "http://127.0.0.1:7777/cb")
	authorize := authorizeURL(h.origin("app.localhost"), id, "http://127.0.0.1:7777/cb", "user")
	for range 2 {
		b.open(authorize).sees(200, "a program on this computer (127.0.0.1:7777)", "You will be asked each time").press("Allow").answer()
	}
}

func TestConsentByCrossSitePostGivesNoCode(t *testing.T) {
	h := newHouse(t)
	b, authorize := h.application("user")
	b.alice().open(authorize).sees(200, "Allow Nice Client?")
	action, values := b.fill("Allow")
	for _, from := range [][]string{
		{"Origin", h.origin("app.localhost"), "Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		{"Origin", "null"},
	} {
		b.post(action, values, from...).sees(403, "another site")
	}
	values.Del("form")
	b.post(action, values, "Origin", h.origin("auth.localhost")).sees(403, "out of date")
	b.open(authorize).sees(200, "Allow Nice Client?") // nothing was remembered either
}

func TestConsentAnswersOnce(t *testing.T) {
	h := newHouse(t)
	b, authorize := h.application("admin")
	b.alice().open(authorize)
	action, values := b.fill("Allow")
	auth := h.origin("auth.localhost")
	if b.post(action, values, "Origin", auth).answer().Get("code") == "" {
		t.Fatal("no code")
	}
	b.post(action, values, "Origin", auth).sees(400, "no longer open")
	b.open(auth+"/consent?request=unknown").sees(400, "no longer open")
	b.open(auth+"/consent").sees(400, "no longer open")
}

func TestPersonWithoutTheScopeIsToldAndCanGoBack(t *testing.T) {
	h := newHouse(t, withProxy("app.localhost", func(p *site.Proxy) { p.OAuthUserUsers = []string{"local:bob"}; p.OAuthAdminUsers = []string{} }))
	b, authorize := h.application("user")
	b.alice().open(authorize).sees(403, "No access to app.localhost", "local:alice", "Use another account")
	got := b.press("Back to the application").answer()
	if got.Get("error") != "invalid_scope" {
		t.Errorf("the application got %v", got)
	}
	h.account("bob", password, "user")
	b.open(authorize).press("Use another account").press("Sign in", "name", "bob", "password", password)
	if code := b.press("Allow").answer().Get("code"); code == "" {
		t.Error("no code after switching account")
	}
}

func TestPersonWhomTheHostDoesNotNameGoesBackDenied(t *testing.T) {
	h := newHouse(t, withProxy("app.localhost", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"local:bob"} }))
	b, authorize := h.application("user")
	got := b.alice().open(authorize).sees(403, "No access to app.localhost", "local:alice").press("Back to the application").answer()
	if got.Get("error") != "access_denied" || got.Get("state") != "xyz" || got.Get("iss") != h.origin("app.localhost") || got.Has("code") {
		t.Errorf("the application got %v", got)
	}
}

func TestScopesThatThePersonHasNotAreNamed(t *testing.T) {
	h := newHouse(t, withProxy("app.localhost", func(p *site.Proxy) { p.OAuthAdminUsers = []string{} }))
	h.account("bob", password, "user", "mcp")
	b, authorize := h.application("admin user")
	b.open(authorize).press("Sign in", "name", "bob", "password", password)
	b.sees(200, "It also asked for admin, which you do not have here")
	if strings.Contains(b.words(), "Administration") {
		t.Error("offers what can't be given")
	}
}

// device begins the device flow at an issuer, as a program in a terminal does.
func (h *house) device(issuer, scope string) (userCode, deviceCode, complete string) {
	h.t.Helper()
	b := h.browser()
	b.from = "203.0.113.9"
	b.post(issuer+"/device/code", url.Values{"client_id": {oauth.DeviceFlowClient}, "scope": {scope}})
	var a map[string]any
	if err := json.Unmarshal([]byte(b.body), &a); err != nil || a["user_code"] == nil {
		h.t.Fatalf("device/code: %d %s", b.status, b.body)
	}
	return a["user_code"].(string), a["device_code"].(string), a["verification_uri_complete"].(string)
}

func (h *house) poll(issuer, deviceCode string) map[string]any {
	h.t.Helper()
	b := h.browser()
	b.post(issuer+"/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {oauth.DeviceFlowClient}, "device_code": {deviceCode}})
	var a map[string]any
	if err := json.Unmarshal([]byte(b.body), &a); err != nil {
		h.t.Fatal(err)
	}
	return a
}

func TestDeviceIsConnectedByItsCode(t *testing.T) {
	h := newHouse(t)
	h.account("alice", password, "admin", "user", "mcp")
	issuer := h.origin("auth.localhost")
	user, device, complete := h.device(issuer, "user mcp")
	b := h.browser().open(complete).sees(200, "Sign in")
	b.press("Sign in", "name", "alice", "password", password).sees(200, "Connect a device")
	if _, values := b.fill("Continue"); values.Get("user_code") != user {
		t.Fatalf("the code is not filled in: %v", values)
	}
	b.press("Continue").sees(200, "Go on only if it is yours", "203.0.113.9", "part of Gatehouse", "Signed in as local:alice")
	if a := h.poll(issuer, device); a["error"] != "authorization_pending" {
		t.Fatalf("before the answer the device got %v", a)
	}
	b.press("Allow").sees(200, "Your device is connected")
	if a := h.poll(issuer, device); a["access_token"] == nil || a["scope"] != "user mcp" {
		t.Errorf("the device got %v", a)
	}
}

func TestDeviceCanBeRefused(t *testing.T) {
	h := newHouse(t)
	issuer := h.origin("auth.localhost")
	user, device, _ := h.device(issuer, "user")
	b := h.browser().alice().open(issuer+"/device").press("Continue", "user_code", strings.ToLower(strings.Replace(user, "-", " ", 1)))
	b.press("Cancel").sees(200, "Nothing was connected")
	if a := h.poll(issuer, device); a["error"] != "access_denied" {
		t.Errorf("the device got %v", a)
	}
}

func TestWrongDeviceCodesEnd(t *testing.T) {
	h := newHouse(t)
	b := h.browser().alice()
	for range 10 {
		b.open(h.origin("auth.localhost")+"/device").press("Continue", "user_code", "BCDF-GHJK").sees(422, "No device waits with this code")
	}
	b.open(h.origin("auth.localhost")+"/device").press("Continue", "user_code", "BCDF-GHJK").sees(429, "Too many wrong codes")
	if b.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestConfirmationOfADeviceCountsForTheOneWhoTypedTheCode(t *testing.T) {
	h := newHouse(t)
	issuer := h.origin("auth.localhost")
	user, device, _ := h.device(issuer, "user")
	attacker := h.browser().alice().open(issuer+"/device").press("Continue", "user_code", user).sees(200, "Go on only if it is yours")
	h.account("bob", password, "admin")
	victim := h.browser().open(issuer+"/signin").press("Sign in", "name", "bob", "password", password)
	victim.open(attacker.url.String()).sees(400, "This device no longer waits")
	if a := h.poll(issuer, device); a["error"] != "authorization_pending" {
		t.Errorf("the device got %v", a)
	}
}

func TestAccountEndsOnlyThePersonsOwn(t *testing.T) {
	h := newHouse(t)
	auth := h.origin("auth.localhost")
	alice := h.browser().alice()
	h.account("bob", password, "user")
	bob := h.browser().open(auth+"/signin").press("Sign in", "name", "bob", "password", password)
	sessions, err := h.oauth.Sessions(t.Context(), "local:alice")
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	forms := bob.open(auth + "/account").forms()
	i := slices.IndexFunc(forms, func(f form) bool { return f.action == "/account" })
	forms[i].values.Set("session", sessions[0].ID)
	bob.post(auth+"/account", forms[i].values, "Origin", auth)
	bob.sees(200, "Nothing was changed")
	forms[i].values.Del("session")
	forms[i].values.Set("grant", "0123456789012345678901")
	bob.post(auth+"/account", forms[i].values, "Origin", auth).sees(200, "Nothing was changed")
	alice.open(auth+"/account").sees(200, "local:alice")
}
