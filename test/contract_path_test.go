package test

import (
	"net/http"
	"strings"
	"testing"
)

// TestContractOfTheDataPath holds what scripts and clients rely on: statuses,
// codes and header texts of the data path, against one real server.
func TestContractOfTheDataPath(t *testing.T) {
	s := start(t, []string{"OAUTH_USER_USERS=local:alice"}, "serve")
	a, backend := s.admin(), newTap(t)
	for host, fields := range map[string]string{
		"open.localhost": `"max_body_bytes":10`,
		"off.localhost":  `"enabled":false`,
		"down.localhost": `"custom_response_headers":{"X-Mine":"yes"}`,
		"to.test":        `"redirect_https":true`,
		"shut.test":      `"auth_enabled":true`,
		"realm.test":     `"auth_enabled":true,"auth_realm":"Team","resource_endpoint":"/mcp"`,
		"nav.test":       `"auth_enabled":true,"auth_mode":"redirect","auth_excluded_paths":["/x","/y/","/z/*"],"custom_response_headers":{"X-Mine":"yes"}`,
		"*.wild.test":    `"auth_enabled":true`,
	} {
		target := backend.url
		if host == "down.localhost" {
			target = "http://127.0.0.1:1"
		}
		a.do("POST", "/proxies/", `{"proxy_hostname":"`+host+`","target_url":"`+target+`",`+fields+`}`, http.StatusCreated)
	}
	t.Run("refusals", func(t *testing.T) { contractRefusals(t, s) })
	t.Run("plain HTTP", func(t *testing.T) { contractPlain(t, s, backend) })
	t.Run("challenges", func(t *testing.T) { contractChallenges(t, s) })
	t.Run("navigations", func(t *testing.T) { contractNavigations(t, s) })
	t.Run("excluded paths", func(t *testing.T) { contractExcluded(t, s) })
}

func (s *server) plain(host string) string { return "http://" + host + ":" + port(s.HTTP) }

func contractRefusals(t *testing.T, s *server) {
	c := s.client()
	for _, x := range []struct {
		name, method, host, body, code string
		want                           int
	}{
		{"unknown host", "GET", "nobody.test", "", "unknown_host", http.StatusNotFound},
		{"disabled", "GET", "off.localhost", "", "disabled", http.StatusServiceUnavailable},
		{"target away", "GET", "down.localhost", "", "connect", http.StatusBadGateway},
		{"body too large", "POST", "open.localhost", strings.Repeat("x", 11), "too_large", http.StatusRequestEntityTooLarge},
	} {
		var problem struct {
			Status    int
			Code      string
			RequestID string `json:"request_id"`
		}
		r := ask(t, c, x.method, s.plain(x.host)+"/", x.body)
		decode(t, r.Body, &problem)
		if r.StatusCode != x.want || problem.Status != x.want || problem.Code != x.code || problem.RequestID == "" ||
			r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s\n%s", x.name, r.StatusCode, r.Header, r.Body)
		}
		if x.method != "GET" {
			continue // a page is for who navigates
		}
		page := ask(t, c, x.method, s.plain(x.host)+"/", x.body, "Accept: text/html")
		if page.StatusCode != x.want || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(page.Body, "Request ") {
			t.Errorf("%s, for a browser: %d %s\n%s", x.name, page.StatusCode, page.Header, page.Body)
		}
	}
	if r := get(t, c, s.plain("down.localhost")+"/"); r.Header.Get("X-Mine") != "yes" {
		t.Errorf("an error of the host lacks its response headers: %v", r.Header)
	}
}

func contractPlain(t *testing.T, s *server, backend *tap) {
	before, c := backend.reached.Load(), s.client()
	for _, x := range []struct {
		method, host, header string
		want                 int
	}{
		{"GET", "to.test", "", http.StatusPermanentRedirect},
		{"POST", "to.test", "", http.StatusPermanentRedirect},
		{"GET", "shut.test", "", http.StatusPermanentRedirect},
		{"HEAD", "shut.test", "", http.StatusPermanentRedirect},
		{"GET", "shut.test", "Cookie: theme=dark", http.StatusPermanentRedirect},
		{"POST", "shut.test", "", http.StatusForbidden},
		{"OPTIONS", "shut.test", "", http.StatusForbidden},
		{"GET", "shut.test", "Authorization: Bearer x", http.StatusForbidden},
		{"GET", "shut.test", "Cookie: __Host-gatehouse=x", http.StatusForbidden},
		{"GET", "shut.test", "X-Forwarded-Proto: https", http.StatusPermanentRedirect},
	} {
		headers := []string{}
		if x.header != "" {
			headers = append(headers, x.header)
		}
		r := ask(t, c, x.method, s.plain(x.host)+"/p?q=1", "", headers...)
		if r.StatusCode != x.want || (x.want == http.StatusForbidden) != strings.Contains(r.Body, `"code":"https_required"`) ||
			x.want == http.StatusPermanentRedirect && r.Header.Get("Location") != s.url(x.host, "/p?q=1") {
			t.Errorf("%s %s %q: %d %s\n%s", x.method, x.host, x.header, r.StatusCode, r.Header.Get("Location"), r.Body)
		}
	}
	if after := backend.reached.Load(); after != before {
		t.Errorf("the target was asked %d times", after-before)
	}
}

func contractChallenges(t *testing.T, s *server) {
	c, metadata := s.trusting(), "/.well-known/oauth-protected-resource"
	for _, x := range []struct{ host, token, want string }{
		{"shut.test", "", `Bearer resource_metadata="` + s.url("shut.test", metadata) + `", scope="user mcp"`},
		{"realm.test", "", `Bearer realm="Team", resource_metadata="` + s.url("realm.test", metadata+"/mcp") + `", scope="user mcp"`},
		{"a.wild.test", "", `Bearer resource_metadata="` + s.url("a.wild.test", metadata) + `", scope="user mcp"`},
		{"shut.test", "a.b.c", `Bearer resource_metadata="` + s.url("shut.test", metadata) +
			`", scope="user mcp", error="invalid_token", error_description="The access token is not one that this server issued"`},
	} {
		headers := []string{}
		if x.token != "" {
			headers = append(headers, "Authorization: Bearer "+x.token)
		}
		r := get(t, c, s.url(x.host, "/"), headers...)
		if got := r.Header.Get("WWW-Authenticate"); r.StatusCode != http.StatusUnauthorized || got != x.want || !strings.HasPrefix(r.Body, `{"error":`) {
			t.Errorf("%s with %q: %d\n got %s\nwant %s\n%s", x.host, x.token, r.StatusCode, got, x.want, r.Body)
		}
	}
}

func contractNavigations(t *testing.T, s *server) {
	c, at := s.trusting(), s.url("nav.test", "/a?b=c")
	for _, x := range []struct {
		method, headers string
		want            int
	}{
		{"GET", "Accept: text/html,*/*;q=0.8", http.StatusSeeOther},
		{"HEAD", "Accept: text/html", http.StatusSeeOther},
		{"GET", "Accept: text/html|Sec-Fetch-Mode: navigate", http.StatusSeeOther},
		{"GET", "Accept: text/html|Sec-Fetch-Mode: cors", http.StatusUnauthorized},
		{"POST", "Accept: text/html", http.StatusUnauthorized},
		{"GET", "Accept: */*", http.StatusUnauthorized},
	} {
		r := ask(t, c, x.method, at, "", strings.Split(x.headers, "|")...)
		if r.StatusCode != x.want || r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("X-Mine") != "yes" {
			t.Errorf("%s %s: %d %v", x.method, x.headers, r.StatusCode, r.Header)
		}
	}
	if r := get(t, c, s.url("nav.test", "/jwks")); r.StatusCode != http.StatusOK || r.Header.Get("X-Mine") != "" {
		t.Errorf("an endpoint of Gatehouse's own carries the host's headers: %d %v", r.StatusCode, r.Header)
	}
}

func contractExcluded(t *testing.T, s *server) {
	c := s.trusting()
	for path, want := range map[string]int{
		"/x": 200, "/x/": 200, "/x/a": 200, "/xa": 401, "/X": 401,
		"/y": 401, "/y/": 200, "/y/a": 200, "/z": 401, "/z/": 200, "/z/a": 200, "/za": 401,
		"/x/..%2fa": 401, "/x;a": 401, "//x": 401, "/x/%2e": 401, "/x/%5c": 401, "/x/%25": 401, "/x/%00": 401, "/x/%ff": 401,
	} {
		if r := get(t, c, s.url("nav.test", path)); r.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, r.StatusCode, want)
		}
	}
}
