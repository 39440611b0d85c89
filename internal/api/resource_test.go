package api

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func resourcePath(uri string) string { return "/resources/" + url.PathEscape(uri) }

// Resources are a view over hosts: whatever is written to one stands in its host.
func TestAResourceLivesFromRegisterToDelete(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"app.localhost","target_url":"http://127.0.0.1:3000"}`))
	const uri = "https://app.localhost/mcp"
	s.must(404, s.ask("admin", "GET", resourcePath(uri), ""))
	made := s.must(201, s.ask("admin", "POST", "/resources/", `{"uri":"`+uri+`","resource_scopes":["user","mcp","reports"],"mcp_enabled":true}`))
	if made.fields["resource"] != uri || made.fields["issuer"] != "https://app.localhost" || made.fields["auth_enabled"] != true ||
		made.fields["metadata_url"] != "https://app.localhost/.well-known/oauth-protected-resource/mcp" {
		t.Fatalf("made: %s", made.body)
	}
	host := s.must(200, s.ask("admin", "GET", "/proxies/app.localhost", ""))
	if host.fields["resource_endpoint"] != "/mcp" || host.fields["auth_enabled"] != true || host.fields["mcp_enabled"] != true {
		t.Errorf("its host: %s", host.body)
	}
	if e := s.journal.last(); e.Action != "create_resource" || e.Object != "proxy:app.localhost" || !strings.Contains(e.After, `"resource_endpoint":"/mcp"`) {
		t.Errorf("audit: %+v", e)
	}
	s.must(409, s.ask("admin", "POST", "/resources/", `{"uri":"https://app.localhost/other"}`))
	list := s.must(200, s.ask("user", "GET", "/resources", ""))
	if !strings.Contains(list.body, uri) || !strings.Contains(list.body, `"https://auth.localhost/mcp"`) || strings.Contains(list.body, "resource_stateful") {
		t.Errorf("to a user: %s", list.body)
	}
	got := s.must(200, s.ask("admin", "GET", resourcePath(uri), ""))
	tag := got.header.Get("ETag")
	changed := s.must(200, s.ask("admin", "PUT", resourcePath(uri), `{"resource_documentation_suffix":"/docs","resource_scopes":null}`, "If-Match", tag))
	if changed.fields["resource_documentation_suffix"] != "/docs" || !strings.Contains(changed.body, `"resource_scopes":["admin","user","mcp"]`) {
		t.Errorf("changed: %s", changed.body)
	}
	s.must(412, s.ask("admin", "PUT", resourcePath(uri), `{"resource_documentation_suffix":null}`, "If-Match", tag))
	s.must(412, s.ask("admin", "DELETE", resourcePath(uri), "", "If-Match", tag))
	s.must(200, s.ask("admin", "DELETE", resourcePath(uri), ""))
	s.must(404, s.ask("admin", "GET", resourcePath(uri), ""))
	after := s.must(200, s.ask("admin", "GET", resourcePath("https://app.localhost/"), ""))
	if after.fields["resource"] != "https://app.localhost" || after.fields["resource_endpoint"] != "" || after.fields["auth_enabled"] != true || after.fields["resource_documentation_suffix"] != "" {
		t.Errorf("with its sign-in on the host stays a resource at its origin: %s", after.body)
	}
}

func TestWhatIsNoResourceIsRefused(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"app.localhost","target_url":"http://127.0.0.1:3000"}`))
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"app.example.com","target_url":"http://127.0.0.1:3000"}`))
	for _, c := range []struct {
		body, words string
		status      int
	}{
		{`{}`, "uri", 422},
		{`{"uri":"app.localhost"}`, "https URL", 422},
		{`{"uri":"ftp://app.localhost/"}`, "https URL", 422},
		{`{"uri":"https://u:p@app.localhost/"}`, "https URL", 422},
		{`{"uri":"https://app.localhost/?x=1"}`, "https URL", 422},
		{`{"uri":"https://app.localhost:8443/"}`, "begins with https://app.localhost", 422},
		{`{"uri":"http://app.example.com/"}`, "is https", 422},
		{`{"uri":"https://none.localhost/"}`, "create it first", 404},
		{`{"uri":"https://app.localhost/a//b"}`, "resource_endpoint", 422},
		{`{"uri":"https://app.localhost/mcp/"}`, "no slash at its end", 422},
		{`{"uri":"https://app.localhost/mcp","resource_endpoint":"/x"}`, "leave it out", 422},
		{`{"uri":"https://app.localhost/mcp","target_url":"http://127.0.0.1:1"}`, "target_url", 422},
	} {
		if got := s.ask("admin", "POST", "/resources/", c.body); got.status != c.status || !strings.Contains(got.body, c.words) {
			t.Errorf("%s: %d %s", c.body, got.status, got.body)
		}
	}
	got := s.must(200, s.ask("admin", "GET", "/proxies/app.localhost", ""))
	if got.fields["resource_endpoint"] != "" || got.fields["auth_enabled"] != false {
		t.Errorf("a refusal left something: %s", got.body)
	}
	s.must(403, s.ask("admin", "DELETE", resourcePath("https://auth.localhost/mcp"), ""))
	s.must(201, s.ask("admin", "POST", "/resources/", `{"uri":"https://app.localhost","auth_enabled":false}`))
	if got := s.must(200, s.ask("admin", "GET", resourcePath("https://app.localhost"), "")); got.fields["auth_enabled"] != false || got.fields["resource_endpoint"] != "/" {
		t.Errorf("auth_enabled was named: %s", got.body)
	}
}

// Every token for Gatehouse itself is for the resource of its own hosts: no
// operation takes that away, whichever way it is asked.
func TestGatehousesOwnHostsKeepTheirResource(t *testing.T) {
	s := start(t)
	for _, name := range []string{"localhost", "auth.localhost"} {
		s.must(403, s.ask("admin", "DELETE", "/proxies/"+name+"/resource", ""))
		s.must(403, s.ask("admin", "DELETE", resourcePath("https://"+name+"/mcp"), ""))
		for _, nothing := range []string{`{"resource_endpoint":null}`, `{"resource_endpoint":""}`} {
			s.must(422, s.ask("admin", "POST", "/proxies/"+name+"/resource", nothing))
			s.must(422, s.ask("admin", "PUT", "/proxies/"+name, nothing))
			s.must(422, s.ask("admin", "PUT", resourcePath("https://"+name+"/mcp"), nothing))
		}
		s.must(200, s.ask("admin", "POST", "/proxies/"+name+"/resource", `{"resource_documentation_suffix":"/docs"}`))
		if got := s.must(200, s.ask("admin", "GET", "/proxies/"+name, "")); got.fields["resource_endpoint"] != "/mcp" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
}

func TestATokenIsJudgedAsTheGateDoes(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"app.localhost","target_url":"http://127.0.0.1:3000","auth_enabled":true}`))
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"other.localhost","target_url":"http://127.0.0.1:3000","auth_enabled":true}`))
	c := s.must(201, s.ask("fresh", "POST", "/oauth/clients", `{"client_name":"Reports","proxy_hostname":"app.localhost","scopes":["user"],"token_endpoint_auth_method":"client_secret_post"}`))
	id := c.fields["client_id"].(string)
	s.must(200, s.ask("admin", "PUT", "/proxies/app.localhost", `{"auth_required_users":["client:`+id+`"],"oauth_user_users":["client:`+id+`"]}`))
	token, _ := s.endpoint("app.localhost", "/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {c.fields["client_secret"].(string)}})["access_token"].(string)
	if token == "" {
		t.Fatal("no token")
	}
	check := func(uri, token string) answer {
		t.Helper()
		body, _ := json.Marshal(map[string]string{"token": token})
		return s.must(200, s.ask("admin", "POST", resourcePath(uri)+"/validate-token", string(body)))
	}
	got := check("https://app.localhost", token)
	if got.fields["active"] != true || got.fields["status"] != 200.0 || got.fields["user"] != "client:"+id || got.fields["reason"] != "allowed" || len(got.fields["steps"].([]any)) == 0 {
		t.Errorf("%s", got.body)
	}
	if strings.Contains(got.body, token) {
		t.Error("the token is in the answer")
	}
	for reason, tried := range map[string][2]string{"token_issuer": {"https://other.localhost", token}, "token_malformed": {"https://app.localhost", "x.y.z"}, "token_signature": {"https://app.localhost", token[:len(token)-8] + "AAAAAAAA"}} {
		if got := check(tried[0], tried[1]); got.fields["active"] != false || got.fields["status"] != 401.0 || got.fields["reason"] != reason {
			t.Errorf("%s: %s", reason, got.body)
		}
	}
	// Where everybody may in the token is judged all the same.
	s.must(200, s.ask("admin", "PUT", "/proxies/app.localhost", `{"auth_enabled":false,"resource_endpoint":"/","auth_mode":"passthrough"}`))
	if got := check("https://app.localhost", token); got.fields["active"] != true {
		t.Errorf("open host: %s", got.body)
	}
	if got := check("https://app.localhost", "x.y.z"); got.fields["active"] != false || got.fields["reason"] != "token_malformed" {
		t.Errorf("open host: %s", got.body)
	}
	s.must(200, s.ask("admin", "PUT", "/proxies/app.localhost", `{"auth_enabled":true}`))
	s.must(200, s.ask("admin", "PUT", "/proxies/app.localhost", `{"auth_required_users":["bob"]}`))
	if got := check("https://app.localhost", token); got.fields["active"] != false || got.fields["status"] != 403.0 || got.fields["reason"] != "user_not_listed" {
		t.Errorf("not listed: %s", got.body)
	}
	for _, bad := range []string{`{}`, `{"token":""}`, `{"token":"a b"}`} {
		s.must(422, s.ask("admin", "POST", resourcePath("https://app.localhost")+"/validate-token", bad))
	}
	s.must(404, s.ask("admin", "POST", resourcePath("https://app.localhost/mcp")+"/validate-token", `{"token":"x"}`))
	for _, e := range s.journal.entries {
		if strings.Contains(e.Message+e.Before+e.After+e.Error+e.Object, token) || e.Action == "validate_resource_token" {
			t.Errorf("the log tells of it: %+v", e)
		}
	}
}

func TestAutoRegisterLeavesOpenHostsAlone(t *testing.T) {
	s := start(t)
	for name, more := range map[string]string{
		"app.localhost": `"auth_enabled":true`, "tools.localhost": `"auth_enabled":true,"mcp_enabled":true`, "mcp-notes.localhost": `"auth_enabled":true`,
		"mcp.localhost": `"auth_enabled":false`, "open.localhost": `"auth_enabled":false`, "done.localhost": `"auth_enabled":true,"resource_endpoint":"/x"`,
		"mcp-deep.localhost": `"auth_enabled":true,"target_url":"http://127.0.0.1:3000/mcp"`,
	} {
		if !strings.Contains(more, "target_url") {
			more += `,"target_url":"http://127.0.0.1:3000"`
		}
		s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"`+name+`",`+more+`}`))
	}
	endpoints := func() string {
		var all []string
		for _, h := range s.roster.World().Hosts() {
			all = append(all, strings.TrimSuffix(h.Proxy.Hostname, ".localhost")+"="+h.Proxy.ResourceEndpoint)
		}
		return strings.Join(all, " ")
	}
	before := endpoints()
	preview := s.must(200, s.ask("admin", "POST", "/resources/auto-register", `{"dry_run":true}`))
	if endpoints() != before || !strings.Contains(preview.body, "https://tools.localhost/mcp") {
		t.Errorf("a preview: %s\n%s", preview.body, endpoints())
	}
	done := s.must(200, s.ask("admin", "POST", "/resources/auto-register", ``))
	if got, want := endpoints(), "app=/ auth=/mcp done=/x localhost=/mcp mcp-deep=/ mcp-notes=/mcp mcp= open= tools=/mcp"; strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(done.body, `{"proxy_hostname":"mcp.localhost","why":"it lets everybody in`) || strings.Contains(done.body, "open.localhost") {
		t.Errorf("%s", done.body)
	}
	again := s.must(200, s.ask("admin", "POST", "/resources/auto-register", `{"proxy_hostnames":["app.localhost","open.localhost"]}`))
	if !strings.Contains(again.body, `"registered":[]`) || !strings.Contains(again.body, "already") || !strings.Contains(again.body, "everybody") {
		t.Errorf("again: %s", again.body)
	}
	s.must(422, s.ask("admin", "POST", "/resources/auto-register", `{"proxy_hostnames":["none.localhost"]}`))
}
