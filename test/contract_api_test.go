package test

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestContract holds what programs written against Gatehouse rely on: paths,
// field names, statuses and exit codes. One server serves all of it.
func TestContract(t *testing.T) {
	s := start(t, nil, "protect", "app.localhost", "internal:demo")
	a, c := s.admin(), s.trusting()
	contractMetadata(t, s, c, a)
	contractRegistration(t, s, c)
	contractTokenErrors(t, s, c)
	contractDevice(t, s, c)
	contractCollections(t, a)
	contractUpdates(t, a)
	contractHostRoutes(t, s, c, a)
	contractEvents(t, s, a)
	contractCommandLine(t, s)
}

// contractMetadata: a resource with a path has its documents at the path and at
// the root, and nowhere else.
func contractMetadata(t *testing.T, s *server, c *http.Client, a *api) {
	a.create("mcp.localhost", "internal:demo")
	a.do("PUT", "/proxies/mcp.localhost", `{"auth_enabled":true,"resource_endpoint":"/mcp"}`, http.StatusOK)
	origin := s.url("mcp.localhost", "")
	for _, path := range []string{"", "/mcp"} {
		var doc struct {
			Resource, Issuer string
			Servers          []string `json:"authorization_servers"`
			Scopes           []string `json:"scopes_supported"`
			Indicators       bool     `json:"resource_indicators_supported"`
		}
		decode(t, get(t, c, origin+"/.well-known/oauth-protected-resource"+path).Body, &doc)
		if doc.Resource != origin+"/mcp" || !slices.Equal(doc.Servers, []string{origin}) || !slices.Equal(doc.Scopes, []string{"user", "mcp"}) {
			t.Errorf("protected resource at %q: %+v", path, doc)
		}
		decode(t, get(t, c, origin+"/.well-known/oauth-authorization-server"+path).Body, &doc)
		if doc.Issuer != origin || !doc.Indicators {
			t.Errorf("authorization server at %q: %+v", path, doc)
		}
	}
	other := get(t, c, origin+"/.well-known/oauth-protected-resource/other")
	if other.StatusCode != http.StatusNotFound || other.Header.Get("Content-Type") != "application/json" {
		t.Errorf("a resource that is not there: %d %s", other.StatusCode, other.Header.Get("Content-Type"))
	}
	keys := get(t, c, origin+"/jwks", "Origin: https://client.example")
	if keys.Header.Get("Cache-Control") != "public, max-age=3600" || keys.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("jwks: %v", keys.Header)
	}
}

// contractRegistration: of several redirect URIs the refused ones are dropped;
// the answer has integers and no null; the client can read and end itself.
func contractRegistration(t *testing.T, s *server, c *http.Client) {
	at := s.url("app.localhost", "/register")
	res := ask(t, c, "POST", at, `{"redirect_uris":["javascript:alert(1)","https://client.example/cb"],"token_endpoint_auth_method":"none"}`, "Content-Type: application/json")
	var client struct {
		Token     string   `json:"registration_access_token"`
		URI       string   `json:"registration_client_uri"`
		Issued    int64    `json:"client_id_issued_at"`
		Redirects []string `json:"redirect_uris"`
	}
	decode(t, res.Body, &client)
	if res.StatusCode != http.StatusCreated || strings.Contains(res.Body, "null") || client.Issued == 0 || !slices.Equal(client.Redirects, []string{"https://client.example/cb"}) {
		t.Fatalf("registration: %d %s", res.StatusCode, res.Body)
	}
	for _, step := range []struct {
		method, token string
		want          int
	}{{"GET", "wrong", 401}, {"GET", client.Token, 200}, {"DELETE", client.Token, 204}, {"GET", client.Token, 401}} {
		if got := ask(t, c, step.method, client.URI, "", "Authorization: Bearer "+step.token); got.StatusCode != step.want {
			t.Errorf("%s with %q: %d, want %d", step.method, step.token, got.StatusCode, step.want)
		}
	}
	for _, uri := range []string{"data:x", "file:///x", "http://client.example/cb", "https://u@client.example/cb", "https://client.example/cb#x", "https://*.example/cb"} {
		got := ask(t, c, "POST", at, `{"redirect_uris":["`+uri+`"]}`, "Content-Type: application/json")
		if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, `"invalid_redirect_uri"`) {
			t.Errorf("%s: %d %s", uri, got.StatusCode, got.Body)
		}
	}
}

// contractTokenErrors: a request that says nothing is 400; a client that is not
// known is 401, so that it registers again, and Basic is answered with Basic.
func contractTokenErrors(t *testing.T, s *server, c *http.Client) {
	for _, test := range []struct {
		form, basic, problem, challenge string
		want                            int
	}{
		{"", "", "invalid_request", "", 400},
		{"client_id=device_flow_client", "", "invalid_request", "", 400},
		{"grant_type=authorization_code&code=x", "", "invalid_request", "", 400},
		{"grant_type=password&client_id=device_flow_client", "", "unsupported_grant_type", "", 400},
		{"grant_type=refresh_token&refresh_token=x&client_id=gone", "", "invalid_client", "", 401},
		{"grant_type=refresh_token&refresh_token=x", "Authorization: Basic Z29uZTp4", "invalid_client", "Basic", 401},
		{"grant_type=refresh_token&grant_type=refresh_token&client_id=device_flow_client", "", "invalid_request", "", 400},
	} {
		headers := []string{"Content-Type: application/x-www-form-urlencoded"}
		if test.basic != "" {
			headers = append(headers, test.basic)
		}
		got := ask(t, c, "POST", s.url("app.localhost", "/token"), test.form, headers...)
		challenge := got.Header.Get("WWW-Authenticate")
		if got.StatusCode != test.want || !strings.Contains(got.Body, `"`+test.problem+`"`) || got.Header.Get("Cache-Control") != "no-store" ||
			(test.challenge == "") != (challenge == "") || !strings.HasPrefix(challenge, test.challenge) {
			t.Errorf("%q: %d %q %s", test.form, got.StatusCode, challenge, got.Body)
		}
	}
}

// contractDevice: codes that people can read out, pending, then slow_down, at
// the endpoint and at its alias.
func contractDevice(t *testing.T, s *server, c *http.Client) {
	post := func(path string, form url.Values) answer {
		return ask(t, c, "POST", s.url("app.localhost", path), form.Encode(), "Content-Type: application/x-www-form-urlencoded")
	}
	var d struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		Page     string `json:"verification_uri"`
		Complete string `json:"verification_uri_complete"`
	}
	decode(t, post("/device/code", url.Values{"client_id": {"device_flow_client"}}).Body, &d)
	if !codeLine.MatchString(d.User) || d.Page != s.url("auth.localhost", "/device") || d.Complete != d.Page+"?user_code="+d.User {
		t.Errorf("device authorization: %+v", d)
	}
	poll := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d.Device}, "client_id": {"device_flow_client"}}
	if got := post("/token", poll); !strings.Contains(got.Body, `"authorization_pending"`) {
		t.Errorf("first poll: %s", got.Body)
	}
	if got := post("/device/token", poll); got.StatusCode != 400 || !strings.Contains(got.Body, `"slow_down"`) {
		t.Errorf("a poll at once: %d %s", got.StatusCode, got.Body)
	}
}

// contractCollections: with and without the slash, under the older name too,
// in pages, and problems where something is wrong.
func contractCollections(t *testing.T, a *api) {
	for _, path := range []string{"/proxies", "/proxies/", "/proxy/targets", "/proxy/targets/", "/routes", "/routes/", "/tokens", "/tokens/", "/oauth/users", "/oauth/users/"} {
		var page struct {
			Items  []any
			Cursor *string
		}
		decode(t, a.do("GET", path, "", http.StatusOK).Body, &page)
		if len(page.Items) == 0 || page.Cursor == nil {
			t.Errorf("%s: %d items, cursor %v", path, len(page.Items), page.Cursor)
		}
	}
	var first, second struct {
		Items []struct {
			ID string `json:"route_id"`
		}
		Cursor string
	}
	decode(t, a.do("GET", "/routes?limit=3", "", http.StatusOK).Body, &first)
	decode(t, a.do("GET", "/routes?limit=3&cursor="+url.QueryEscape(first.Cursor), "", http.StatusOK).Body, &second)
	if len(first.Items) != 3 || len(second.Items) != 3 || first.Items[2].ID >= second.Items[0].ID {
		t.Errorf("pages: %+v then %+v", first, second)
	}
	for path, want := range map[string]int{"/nothing": 404, "/proxies/none.localhost": 404, "/proxies?limit=x": 422, "/proxies?bogus=1": 422, "/logs/search?status=abc": 422} {
		if got := a.do("GET", path, "", want); got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", path, got.Header.Get("Content-Type"))
		}
	}
	if got := a.do("PATCH", "/proxies/app.localhost", "{}", http.StatusMethodNotAllowed); !strings.Contains(got.Header.Get("Allow"), "PUT") {
		t.Errorf("Allow: %q", got.Header.Get("Allow"))
	}
	if got := a.do("HEAD", "/proxies/app.localhost", "", http.StatusOK); got.Header.Get("ETag") == "" || got.Body != "" {
		t.Errorf("HEAD: %v %q", got.Header, got.Body)
	}
}

// contractUpdates: absent is unchanged, null is the default, a stale version and
// an unknown field change nothing, and errors name the field.
func contractUpdates(t *testing.T, a *api) {
	a.create("put.localhost", "http://127.0.0.1:9")
	at := "/proxies/put.localhost"
	a.do("PUT", at, `{"auth_realm":"here","auth_mode":"redirect"}`, http.StatusOK)
	var proxy struct {
		Realm   string `json:"auth_realm"`
		Mode    string `json:"auth_mode"`
		Version int64
	}
	decode(t, a.do("PUT", at, `{"auth_mode":null}`, http.StatusOK).Body, &proxy)
	if proxy.Realm != "here" || proxy.Mode != "forward" || proxy.Version == 0 {
		t.Errorf("after null: %+v", proxy)
	}
	stale := ask(t, a.s.client(), "PUT", a.s.Direct+at, `{"auth_realm":"there"}`, "Authorization: Bearer "+a.token, "Content-Type: application/json", `If-Match: "1"`)
	if stale.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("a stale version: %d", stale.StatusCode)
	}
	for body, location := range map[string]string{`{"bogus":1}`: "bogus", `{"auth_mode":"x"}`: "auth_mode", `{"custom_headers":{"Host":"x"}}`: "custom_headers.Host", `{"auth_excluded_paths":["x"]}`: "auth_excluded_paths[0]"} {
		var problem struct{ Errors []struct{ Location string } }
		decode(t, a.do("PUT", at, body, http.StatusUnprocessableEntity).Body, &problem)
		if len(problem.Errors) != 1 || problem.Errors[0].Location != location {
			t.Errorf("%s: %+v, want %s", body, problem.Errors, location)
		}
	}
	a.do("POST", "/proxies/", `{"proxy_hostname":"put.localhost","target_url":"http://127.0.0.1:9"}`, http.StatusConflict)
	a.do("DELETE", at, "", http.StatusOK)
	a.do("DELETE", at, "", http.StatusNotFound)
}

// contractHostRoutes: an endpoint that is switched off on a host answers 404 and
// leaves the metadata; ACME can't be.
func contractHostRoutes(t *testing.T, s *server, c *http.Client, a *api) {
	at := "/proxies/app.localhost/routes/"
	a.do("POST", at+"register/disable", "", http.StatusOK)
	metadata := s.url("app.localhost", "/.well-known/oauth-authorization-server")
	if doc := get(t, c, metadata); strings.Contains(doc.Body, "registration_endpoint") {
		t.Errorf("a disabled endpoint is offered: %s", doc.Body)
	}
	if got := ask(t, c, "POST", s.url("app.localhost", "/register"), "{}"); got.StatusCode != http.StatusNotFound {
		t.Errorf("a disabled endpoint: %d", got.StatusCode)
	}
	a.do("POST", at+"register/enable", "", http.StatusOK)
	a.do("POST", at+"acme-challenge/disable", "", http.StatusUnprocessableEntity)
	a.do("POST", at+"none/disable", "", http.StatusNotFound)
	var why struct {
		Status, Step int
		Reason       string
	}
	decode(t, a.do("POST", "/proxies/app.localhost/explain", `{"path":"/x","user":"local:nobody"}`, http.StatusOK).Body, &why)
	if why.Status != http.StatusForbidden || why.Step != 8 || why.Reason == "" {
		t.Errorf("explain: %+v", why)
	}
}

// contractEvents: changes are told by name, as they happen.
func contractEvents(t *testing.T, s *server, a *api) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.Direct+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	res, err := s.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	a.create("ev.localhost", "http://127.0.0.1:9")
	a.do("PUT", "/proxies/ev.localhost", `{"enabled":false}`, http.StatusOK)
	a.do("POST", "/routes/", `{"route_id":"ev","path_pattern":"/ev","target_value":"http://127.0.0.1:9"}`, http.StatusCreated)
	a.do("DELETE", "/proxies/ev.localhost", "", http.StatusOK)
	want, lines := []string{"proxy_created", "proxy_updated", "route_changed", "proxy_deleted"}, bufio.NewScanner(res.Body)
	for len(want) > 0 && lines.Scan() {
		if lines.Text() == "event: "+want[0] {
			want = want[1:]
		}
	}
	if len(want) > 0 {
		t.Errorf("not told: %v (%v)", want, lines.Err())
	}
}

// contractCommandLine: exit codes, what a pipe gets, and who may read the
// credentials.
func contractCommandLine(t *testing.T, s *server) {
	for line, want := range map[string]int{
		"proxy list": 0, "proxy show none.localhost": 1, "proxy nonsense": 2, "proxy list --format xml": 2, "proxy create x.localhost ftp://x": 2,
		"proxy list --token bad": 3, "--local --url http://example.com proxy list": 2, "--local proxy list": 0, "proxy list --url http://127.0.0.1:1": 1,
	} {
		if out, errs, code := s.cli(strings.Fields(line)...); code != want || (code != 0 && (out != "" || errs == "")) {
			t.Errorf("%s: exit %d, want %d\n%s%s", line, code, want, out, errs)
		}
	}
	var page struct {
		Logs   []any
		Cursor *string
	}
	decode(t, s.must("log", "show", "--limit", "2"), &page)
	if len(page.Logs) != 2 || page.Cursor == nil {
		t.Errorf("log show: %d entries, cursor %v", len(page.Logs), page.Cursor)
	}
	info, err := os.Stat(filepath.Join(s.dir, "config", "gatehouse", "credentials.json"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("credentials have mode %o", info.Mode().Perm())
	}
}
