package site

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRoutesAreTakenAsTheyAreMeant(t *testing.T) {
	for _, fields := range []string{
		`{"path_pattern":"/api","target_value":"http://a"}`,
		`{"path_pattern":"/api/","target_value":"internal:mcp","methods":["get","POST"]}`,
		`{"path_pattern":"/a(b|c)?/[0-9]+","match":"regex","target_value":"internal:demo","priority":0}`,
		`{"path_pattern":"/x","match":"exact","target_value":"http://a","priority":999,"rewrite_path":"/y"}`,
		`{"path_pattern":"/x","target_value":"http://a","strip_prefix":true}`,
		`{"path_pattern":"/open","target_value":"http://a","scope":"proxy","proxy_hostnames":["A.example.com","*.b.test"],"auth_config":{"auth_type":"none"},"override_proxy_auth":true}`,
		`{"path_pattern":"/tight","target_value":"http://a","auth_config":{"required_scopes":["admin"]}}`,
		`{"path_pattern":"/health","target_value":"http://a"}`,
	} {
		r, err := routed(t, fields)
		if err == nil {
			err = r.Validate()
		}
		if err != nil {
			t.Errorf("%s: %v", fields, err)
		}
	}
}

func routed(t *testing.T, fields string) (Route, error) {
	t.Helper()
	var patch Patch
	if err := json.Unmarshal([]byte(fields), &patch); err != nil {
		t.Fatal(err)
	}
	r, err := ApplyRoutePatch(DefaultRoute(), patch)
	return r.Normalize(), err
}

func TestRoutesAreRefusedByFieldAndRule(t *testing.T) {
	base := func(more string) string { return `{"path_pattern":"/api","target_value":"http://a"` + more + `}` }
	for _, c := range []struct{ fields, path, rule string }{
		{`{"target_value":"http://a"}`, "path_pattern", "required"},
		{`{"path_pattern":"/a"}`, "target_value", "required"},
		{`{"path_pattern":"api","target_value":"http://a"}`, "path_pattern", "begins with /"},
		{`{"path_pattern":"/a/../b","target_value":"http://a"}`, "path_pattern", "dot"},
		{`{"path_pattern":"/a%2fb","target_value":"http://a"}`, "path_pattern", "percent"},
		{`{"path_pattern":"/a/*","target_value":"http://a"}`, "path_pattern", "wildcards"},
		{`{"path_pattern":"/.gatehouse/x","target_value":"http://a"}`, "path_pattern", "below"},
		{`{"path_pattern":"/(","match":"regex","target_value":"http://a"}`, "path_pattern", "RE2"},
		{`{"path_pattern":"/a)|(/b","match":"regex","target_value":"http://a"}`, "path_pattern", "RE2"},
		{`{"path_pattern":"/((a{1000}){1000}){1000}","match":"regex","target_value":"http://a"}`, "path_pattern", "RE2"},
		{`{"path_pattern":"/(a{0,1000}b{0,1000}c{0,1000}d{0,1000}e{0,1000})","match":"regex","target_value":"http://a"}`, "path_pattern", "4096"},
		{`{"path_pattern":"/` + strings.Repeat("a", 1100) + `","match":"regex","target_value":"http://a"}`, "path_pattern", "1024"},
		{`{"path_pattern":"/a(?=b)","match":"regex","target_value":"http://a"}`, "path_pattern", "RE2"},
		{base(`,"match":"glob"`), "match", "prefix"},
		{base(`,"target_value":"internal:api"`), "target_value", "built-in"},
		{base(`,"target_value":"/etc"`), "target_value", "absolute"},
		{base(`,"priority":1000`), "priority", "999"},
		{base(`,"priority":-1`), "priority", "999"},
		{base(`,"methods":["G ET"]`), "methods[0]", "method"},
		{base(`,"methods":["CONNECT"]`), "methods[0]", "CONNECT"},
		{base(`,"scope":"some"`), "scope", "global or proxy"},
		{base(`,"scope":"proxy"`), "proxy_hostnames", "required"},
		{base(`,"proxy_hostnames":["a.test"]`), "proxy_hostnames", "empty"},
		{base(`,"scope":"proxy","proxy_hostnames":["a b"]`), "proxy_hostnames[0]", "labels"},
		{base(`,"override_proxy_auth":true`), "override_proxy_auth", "auth_config"},
		{base(`,"auth_config":{"auth_type":"none"},"override_proxy_auth":true`), "auth_config.auth_type", "tighten"},
		{base(`,"scope":"proxy","proxy_hostnames":["a.test"],"auth_config":{"auth_type":"none"}`), "override_proxy_auth", "true"},
		{base(`,"scope":"proxy","proxy_hostnames":["a.test"],"override_proxy_auth":true,"auth_config":{"auth_type":"none","allowed_users":["bob"]}`), "auth_config", "although"},
		{base(`,"auth_config":{"auth_type":"basic"}`), "auth_config.auth_type", "oauth or none"},
		{base(`,"auth_config":{"allowed_users":["*","a"]}`), "auth_config.allowed_users", "not both"},
		{base(`,"auth_config":{"allowed_emails":["a"]}`), "auth_config.allowed_emails[0]", "e-mail"},
		{base(`,"rewrite_path":"/a/../b"`), "rewrite_path", "dot"},
		{base(`,"rewrite_path":"x"`), "rewrite_path", "begins with /"},
		{base(`,"rewrite_path":"/x","strip_prefix":true`), "rewrite_path", "exclude"},
		{base(`,"match":"exact","strip_prefix":true`), "strip_prefix", "prefix"},
		{base(`,"description":"` + strings.Repeat("x", 1100) + `"`), "description", "1024"},
	} {
		fields := c.fields
		if strings.Count(fields, `"target_value"`) == 2 {
			fields = strings.Replace(fields, `"target_value":"http://a",`, "", 1)
		}
		r, err := routed(t, fields)
		if err == nil {
			err = r.Validate()
		}
		if !told(err, c.path, c.rule) {
			t.Errorf("%.100s: want %s: …%s…, got %v", fields, c.path, c.rule, err)
		}
	}
	for _, id := range []string{"token", "health", "gatehouse", "signin", "A", "-a", "a b", strings.Repeat("a", 64)} {
		r := DefaultRoute()
		r.ID, r.PathPattern, r.Target = id, "/a", "http://a"
		if !told(r.Validate(), "route_id", "") {
			t.Errorf("the id %q is taken", id)
		}
	}
}

func TestRouteIDsComeFromThePath(t *testing.T) {
	for pattern, want := range map[string]string{
		"/api/v1": "api-v1", "/": "root", "/API_x/": "api_x", "/health": "health-route", "/mcp": "mcp-route", "/ü/a": "a", "/[0-9]+": "0-9",
		"/" + strings.Repeat("a", 80): strings.Repeat("a", 63), "/-x-": "x",
	} {
		r := Route{PathPattern: pattern}
		if got := r.Normalize().ID; got != want {
			t.Errorf("%q: %q, want %q", pattern, got, want)
		}
	}
}

// A pattern must match whole paths, whatever it holds.
func TestRegexIsAnchored(t *testing.T) {
	h := host(t, good(), Ordinary, Route{ID: "r", PathPattern: "/a|/b", Match: MatchRegex, Target: "http://x", Scope: ScopeGlobal, Enabled: true})
	for raw, want := range map[string]bool{"/a": true, "/b": true, "/ab": false, "/x/b": false, "/a/x": false, "/b\n": false} {
		if r, _ := h.Match("GET", ParsePath(raw)); (r != nil) != want {
			t.Errorf("%q matches: %v", raw, r != nil)
		}
	}
}
