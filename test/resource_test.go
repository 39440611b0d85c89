package test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestResourcesByTheCommandLine: a host that is served becomes a resource, gets a
// client that acts for itself there, whose token the gate judges, and is a host
// among others again. A resource's address stands percent-encoded in the path, on
// the data path too.
func TestResourcesByTheCommandLine(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve")
	api := s.admin()
	api.create("tools.localhost", mirror(t).URL)
	uri := s.url("tools.localhost", "/mcp")
	s.must("resource", "register", uri, "--mcp", "--scopes", "user,mcp")
	if list := s.must("resource", "list", "--format", "json"); !strings.Contains(list, `"resource":"`+uri+`"`) {
		t.Errorf("resource list: %s", list)
	}

	// The sign-in is fresh: what answers a secret answers it.
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
		User   string `json:"user"`
	}
	decode(t, s.must("oauth", "client", "create", "Sync", "--issuer", s.url("tools.localhost", ""), "--scopes", "mcp", "--auth-method", "client_secret_post", "--format", "json"), &made)
	s.must("proxy", "auth", "config", "tools.localhost", "--allow", made.User, "--set", `oauth_mcp_users=["`+made.User+`"]`)
	c := s.trusting()
	got := ask(t, c, "POST", s.url("tools.localhost", "/token"), url.Values{"grant_type": {"client_credentials"}, "client_id": {made.ID}, "client_secret": {made.Secret}, "resource": {uri}}.Encode(),
		"Content-Type: application/x-www-form-urlencoded")
	var pair tokens
	decode(t, got.Body, &pair)
	if pair.Access == "" || pair.Refresh != "" || pair.Scope != "mcp" {
		t.Fatalf("client_credentials: %d %s", got.StatusCode, got.Body)
	}
	if answer := ask(t, c, "POST", uri, `{}`, "Authorization: Bearer "+pair.Access, "Content-Type: application/json"); answer.StatusCode != http.StatusOK || !strings.Contains(answer.Body, `user=["`+made.User+`"]`) {
		t.Errorf("at the endpoint: %d %s", answer.StatusCode, answer.Body)
	}

	check := func(token string) (active bool, reason string) {
		t.Helper()
		out, errs, code := s.cliIn(token+"\n", "resource", "validate-token", uri, "--format", "json")
		if code != 0 || strings.Contains(out+errs, token) {
			t.Fatalf("validate-token: exit %d %s%s", code, out, errs)
		}
		var check struct {
			Active bool
			Reason string
		}
		decode(t, out, &check)
		return check.Active, check.Reason
	}
	if active, reason := check(pair.Access); !active || reason != "allowed" {
		t.Errorf("a good token: %v %s", active, reason)
	}
	if active, reason := check(api.token); active || reason != "token_issuer" {
		t.Errorf("the API's token: %v %s", active, reason)
	}

	encoded := s.HTTP + "/resources/" + url.PathEscape(uri)
	shown := get(t, c, encoded, "Authorization: Bearer "+api.token)
	if shown.StatusCode != http.StatusOK || !strings.Contains(shown.Body, `"mcp_enabled":true`) {
		t.Errorf("%s: %d %s", encoded, shown.StatusCode, shown.Body)
	}
	if stranger := get(t, c, encoded); stranger.StatusCode != http.StatusUnauthorized {
		t.Errorf("to a stranger: %d", stranger.StatusCode)
	}
	s.must("resource", "delete", uri, "--force")
	if _, _, code := s.cli("resource", "show", uri); code != 1 {
		t.Errorf("a resource that was deleted is shown, exit %d", code)
	}
	if preview := s.must("resource", "auto-register", "--preview", "--format", "json"); !strings.Contains(preview, uri) {
		t.Errorf("auto-register --preview: %s", preview)
	}
	s.must("resource", "auto-register", "tools.localhost")
	s.must("resource", "show", uri)
}
