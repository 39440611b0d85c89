package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestJSONInAPipeIsTheAPIsAnswer(t *testing.T) {
	const answer = `{"items": [{"proxy_hostname":"a.test","version":12345678901234567890}], "cursor":"next"}`
	api := newStandIn(t, answering(http.StatusOK, answer))
	r := newHome(t).run("proxy", "list", "--url", api.URL)
	if r.code != exitOK || r.out != answer+"\n" {
		t.Errorf("exit %d, printed %s", r.code, r.out)
	}
	if n := len(api.requests()); n != 1 {
		t.Errorf("%d requests for one page", n)
	}
}

func TestATableShowsAllPages(t *testing.T) {
	api := newStandIn(t, func(w http.ResponseWriter, r *http.Request) {
		page := map[string]string{"": "1", "1": "2", "2": ""}
		at := r.URL.Query().Get("cursor")
		answering(http.StatusOK, fmt.Sprintf(`{"items":[{"proxy_hostname":"host%s.test"}],"cursor":%q}`, at, page[at]))(w, r)
	})
	r := newHome(t).run("proxy", "list", "--url", api.URL, "--format", "table")
	for _, host := range []string{"host.test", "host1.test", "host2.test"} {
		if !strings.Contains(r.out, host) {
			t.Errorf("%s is missing in\n%s%s", host, r.out, r.err)
		}
	}
	r = newHome(t).run("proxy", "list", "--url", api.URL, "--format", "csv", "--limit", "1")
	if r.out != "proxy_hostname\nhost.test\n" {
		t.Errorf("--limit 1: %q", r.out)
	}
}

func TestLogsReadOldestFirstForPeople(t *testing.T) {
	api := newStandIn(t, answering(http.StatusOK, `{"logs":[{"path":"/new"},{"path":"/old"}],"cursor":""}`))
	r := newHome(t).run("log", "show", "--url", api.URL, "--format", "table")
	if old := strings.Index(r.out, "/old"); old < 0 || old > strings.Index(r.out, "/new") {
		t.Errorf("printed\n%s%s", r.out, r.err)
	}
	if got := api.requests()[0].uri; got != "/logs/search?hours=24" {
		t.Errorf("asked %s", got)
	}
}

func TestFollowingIntoAPipePrintsAnObjectALine(t *testing.T) {
	api := newStandIn(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(":\n\nevent: entry\ndata: {\"path\":\ndata: \"/a\"}\n\nevent: entry\ndata: {\"path\":\"/b\"}\n\n"))
	})
	r := newHome(t).run("log", "follow", "timeout", "--url", api.URL, "--status", "5xx")
	if r.out != "{\"path\":\"/a\"}\n{\"path\":\"/b\"}\n" || r.code != exitFailed || !strings.Contains(r.err, "ended the stream") {
		t.Errorf("exit %d, printed %q, said %q", r.code, r.out, r.err)
	}
	if got := api.requests()[0].uri; got != "/logs/follow?q=timeout&status=5xx" {
		t.Errorf("asked %s", got)
	}
}

func TestDryRunSendsNothingAndShowsNoSecret(t *testing.T) {
	api := newStandIn(t, answering(http.StatusOK, `{}`))
	r := newHome(t).feed("topsecret\n", "--url", api.URL, "--token", "also-secret", "--dry-run", "proxy", "github", "set", "a.test", "--client-id", "Iv1", "--if-match", "7")
	want := "POST " + api.URL + "/proxies/a.test/github-oauth\nContent-Type: application/json\nIf-Match: \"7\"\n"
	if r.code != exitOK || !strings.HasPrefix(r.out, want) || !strings.Contains(r.out, `"github_client_id":"Iv1"`) || strings.Contains(r.out, "secret\"") && strings.Contains(r.out, "topsecret") {
		t.Errorf("exit %d, printed\n%s%s", r.code, r.out, r.err)
	}
	if n := len(api.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestDebugShowsTrafficWithoutSecrets(t *testing.T) {
	api := newStandIn(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=cookie-secret")
		answering(http.StatusOK, `{"proxy_hostname":"a.test","client_secret":"answer-secret"}`)(w, r)
	})
	r := newHome(t).run("--url", api.URL, "--token", "token-secret", "--debug", "proxy", "show", "a.test")
	for _, want := range []string{"> GET " + api.URL + "/proxies/a.test", "< HTTP/1.1 200 OK", "a.test"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("%q is missing in\n%s", want, r.err)
		}
	}
	for _, secret := range []string{"token-secret", "cookie-secret", "answer-secret"} {
		if strings.Contains(r.err, secret) {
			t.Errorf("%s is shown:\n%s", secret, r.err)
		}
	}
	if !strings.Contains(r.out, "answer-secret") {
		t.Errorf("the answer itself was changed: %s", r.out)
	}
}

func TestOnlyWhatIsNamedIsChanged(t *testing.T) {
	api := newStandIn(t, answering(http.StatusOK, `{}`))
	for line, want := range map[string]asked{
		"proxy create a.test http://x --auth --mode redirect --allow alice --allow bob --exclude /health --mcp --no-http --header X-A=b=c --response-header X-D=": {
			"POST", "/proxies/", `{"auth_enabled":true,"auth_excluded_paths":["/health"],"auth_mode":"redirect","auth_required_users":["alice","bob"],"custom_headers":{"X-A":"b=c"},"custom_response_headers":{"X-D":""},"enable_http":false,"mcp_enabled":true,"oauth_mcp_users":["alice","bob"],"oauth_user_users":["alice","bob"],"proxy_hostname":"a.test","resource_endpoint":"/mcp","target_url":"http://x"}`, "", ""},
		"proxy create a.test http://x":               {"POST", "/proxies/", `{"proxy_hostname":"a.test","target_url":"http://x"}`, "", ""},
		"proxy create a.test http://x --allow alice": {"POST", "/proxies/", `{"auth_enabled":true,"auth_required_users":["alice"],"oauth_user_users":["alice"],"proxy_hostname":"a.test","target_url":"http://x"}`, "", ""},
		"proxy update a.test --set auth_realm=42 --set max_body_bytes=42 --set targets=[] --default auth_mode --if-match 3": {
			"PUT", "/proxies/a.test", `{"auth_mode":null,"auth_realm":"42","max_body_bytes":42,"targets":[]}`, "", `"3"`},
		"proxy disable a.test":                 {"PUT", "/proxies/a.test", `{"enabled":false}`, "", ""},
		"proxy auth disable a.test --force":    {"POST", "/proxies/a.test/auth", `{"auth_enabled":false}`, "", ""},
		"proxy auth enable a.test":             {"POST", "/proxies/a.test/auth", `{}`, "", ""},
		"proxy auth config a.test --exclude /": {"PUT", "/proxies/a.test", `{"auth_excluded_paths":["/"]}`, "", ""},
		"route create /a http://x --priority 60 --match exact --methods GET,POST --proxy a.test --proxy b.test --id r": {
			"POST", "/routes/", `{"match":"exact","methods":["GET","POST"],"path_pattern":"/a","priority":60,"proxy_hostnames":["a.test","b.test"],"route_id":"r","scope":"proxy","target_value":"http://x"}`, "", ""},
		"route update r --disabled":                  {"PUT", "/routes/r", `{"enabled":false}`, "", ""},
		"route update r --disabled=false":            {"PUT", "/routes/r", `{"enabled":true}`, "", ""},
		"proxy routes set a.test --mode none":        {"PUT", "/proxies/a.test/routes", `{"route_mode":"none"}`, "", ""},
		"oauth user update alice --scopes=":          {"PUT", "/oauth/users/alice", `{"scopes":[]}`, "", ""},
		"oauth token revoke j --access-token -f":     {"DELETE", "/tokens/j?kind=token", ``, "", ""},
		"log slow --threshold 0.5 --hours 1":         {"GET", "/logs/slow?hours=1&slow_ms=500", ``, "", ""},
		"log ip 2001:db8::1 --status 4xx":            {"GET", "/logs/ip/2001:db8::1?hours=24&status=4xx", ``, "", ""},
		"log path /a/* --since 2026-01-02T15:04:05Z": {"GET", "/logs/path?path=%2Fa%2F%2A&since=2026-01-02T15%3A04%3A05Z", ``, "", ""},
	} {
		before := len(api.requests())
		r := newHome(t).run(append([]string{"--url", api.URL}, strings.Fields(line)...)...)
		seen := api.requests()
		if r.code != exitOK || len(seen) != before+1 {
			t.Errorf("%s: exit %d, %s", line, r.code, r.err)
			continue
		}
		if got := seen[before]; got != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", line, got, want)
		}
	}
}

func TestTheTokenOfTheEnvironmentWins(t *testing.T) {
	api := newStandIn(t, answering(http.StatusOK, `{"items":[],"cursor":""}`))
	h := newHome(t, "API_URL="+api.URL, "OAUTH_ACCESS_TOKEN=from-environment")
	h.must("proxy", "list")
	h.must("proxy", "list", "--token", "from-flag")
	seen := api.requests()
	if seen[0].authorization != "Bearer from-environment" || seen[1].authorization != "Bearer from-flag" {
		t.Errorf("%+v", seen)
	}
}

func TestCompletionKnowsLiveNames(t *testing.T) {
	api := newStandIn(t, answering(http.StatusOK, `{"items":[{"proxy_hostname":"app.test"},{"proxy_hostname":"api.test"},{"proxy_hostname":"other.test"},{"proxy_hostname":"a\nevil"}],"cursor":""}`))
	h := newHome(t, "API_URL="+api.URL)
	if got := h.must("__complete", "proxy", "show", "a"); !strings.HasPrefix(got, "app.test\napi.test\n:") {
		t.Errorf("completion of `proxy show a`: %q", got)
	}
	if got := h.must("__complete", "route", "list", "--proxy", "o"); !strings.HasPrefix(got, "other.test\n:") {
		t.Errorf("completion of `route list --proxy o`: %q", got)
	}
	if got := newHome(t, "API_URL=http://localhost:1").must("__complete", "proxy", "show", ""); !strings.HasPrefix(got, ":") {
		t.Errorf("completion without an API: %q", got)
	}
}
