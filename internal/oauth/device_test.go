package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

func TestDeviceRefusals(t *testing.T) {
	r := newRig(t)
	start := func(f url.Values) answer { return r.post(appOrigin+"/device/code", f) }
	start(url.Values{}).refused(t, 400, "invalid_request", "client_id")
	start(url.Values{"client_id": {"nobody"}}).refused(t, 401, "invalid_client", "register")
	start(url.Values{"client_id": {r.registered(appOrigin)}}).refused(t, 400, "unauthorized_client", "device flow")
	start(url.Values{"client_id": {DeviceFlowClient}, "resource": {mcpOrigin + "/mcp"}}).refused(t, 400, "invalid_target", "")
	start(url.Values{"client_id": {DeviceFlowClient}, "scope": {"openid"}}).refused(t, 400, "invalid_scope", "")

	poll := func(origin, code, client string) answer {
		return r.post(origin+"/token", url.Values{"grant_type": {grantDevice}, "client_id": {client}, "device_code": {code}})
	}
	m := start(url.Values{"client_id": {DeviceFlowClient}}).json(t)
	code := m["device_code"].(string)
	poll(appOrigin, "x", DeviceFlowClient).refused(t, 400, "invalid_grant", "not known")
	poll(appOrigin, "", DeviceFlowClient).refused(t, 400, "invalid_request", "device_code")
	poll(mcpOrigin, code, DeviceFlowClient).refused(t, 400, "invalid_grant", "another client")
	other := r.ask(http.MethodPost, appOrigin+"/register", `{"grant_types":["`+grantDevice+`"],"token_endpoint_auth_method":"none"}`).text(t, "client_id")
	poll(appOrigin, code, other).refused(t, 400, "invalid_grant", "another client")

	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "authorization_pending", "")
	r.after(5 * time.Second)
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "authorization_pending", "")
	r.after(3 * time.Second)
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "slow_down", "")
	r.after(6 * time.Second) // ten are wanted now
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "slow_down", "")
	r.after(15 * time.Second)
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "authorization_pending", "")

	v, _ := r.visit(http.MethodGet, authOrigin+"/device")
	p, err := r.DeviceByUserCode(r.pages(), v, m["user_code"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ApproveDevice(r.pages(), p.Device, person("carol"), p.Scopes); !fault.Is(err, fault.Denied) {
		t.Errorf("somebody whom the policy does not let in approves: %v", err)
	}
	if err := r.RefuseDevice(r.pages(), p.Device); err != nil {
		t.Fatal(err)
	}
	if err := r.ApproveDevice(r.pages(), p.Device, person("alice"), p.Scopes); !fault.Is(err, fault.NotFound) {
		t.Errorf("approved after it was refused: %v", err)
	}
	poll(appOrigin, code, DeviceFlowClient).refused(t, 400, "access_denied", "refused")

	m = start(url.Values{"client_id": {DeviceFlowClient}}).json(t)
	r.after(10*time.Minute + time.Second)
	poll(appOrigin, m["device_code"].(string), DeviceFlowClient).refused(t, 400, "expired_token", "start again")
	if _, err := r.DeviceByUserCode(r.pages(), v, m["user_code"].(string)); !fault.Is(err, fault.NotFound) {
		t.Errorf("an expired code: %v", err)
	}
}

func TestWrongUserCodesAreBounded(t *testing.T) {
	r := newRig(t)
	m := r.post(appOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}}).json(t)
	v, _ := r.visit(http.MethodGet, authOrigin+"/device")
	for i := range wrongUserCodes {
		if _, err := r.DeviceByUserCode(r.pages(), v, "BCDF-GHJK"); !fault.Is(err, fault.NotFound) {
			t.Fatalf("try %d: %v", i+1, err)
		}
	}
	if _, err := r.DeviceByUserCode(r.pages(), v, m["user_code"].(string)); !fault.Is(err, fault.TooMany) {
		t.Errorf("after ten wrong codes: %v", err)
	}
	r.after(time.Minute)
	if _, err := r.DeviceByUserCode(r.pages(), v, m["user_code"].(string)); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestUserCodesAreForgiving(t *testing.T) {
	for typed, want := range map[string]string{"BCDF-GHJK": "BCDF-GHJK", "bcdfghjk": "BCDF-GHJK", " b c d f - g h j k ": "BCDF-GHJK",
		"BCDF-GHJ": "", "BCDF-GHJKL": "", "ABCD-EFGH": "", "BCDF_GHJK": "", "": "", strings.Repeat("B", 1000): ""} {
		if got, ok := userCode(typed); got != want || ok != (want != "") {
			t.Errorf("%.20q: %q %v", typed, got, ok)
		}
	}
	for range 100 {
		code := newUserCode()
		if got, ok := userCode(code); !ok || got != code || strings.ContainsAny(code, "AEIOUY01") {
			t.Errorf("made %q", code)
		}
	}
}

// TestWaitingForSomebodyIsNoFailure: a device asks every five seconds; the log and
// its counts don't take that for refusals.
func TestWaitingForSomebodyIsNoFailure(t *testing.T) {
	r := newRig(t)
	code := r.post(appOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}}).text(t, "device_code")
	poll := func(code string) string {
		r.post(appOrigin+"/token", url.Values{"grant_type": {grantDevice}, "client_id": {DeviceFlowClient}, "device_code": {code}})
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		return r.log.all[len(r.log.all)-1].AuthResult
	}
	if got := poll(code); got != "waiting" {
		t.Errorf("a device that waits is %q", got)
	}
	if got := poll("unknown"); got != "denied" {
		t.Errorf("an unknown device is %q", got)
	}
}
