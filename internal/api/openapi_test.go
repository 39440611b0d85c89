package api

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOpenAPIDescribesEveryOperation(t *testing.T) {
	s := start(t)
	got := s.must(200, s.ask("user", "GET", "/openapi.json", ""))
	var doc struct {
		OpenAPI    string
		Info       struct{ Title, Version string }
		Paths      map[string]map[string]map[string]any
		Components map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("head: %+v", doc.Info)
	}
	seen := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, o := range methods {
			id, _ := o["operationId"].(string)
			if id == "" || seen[id] || o["summary"] == "" || o["responses"] == nil || o["security"] == nil {
				t.Errorf("%s %s: id %q, summary %q", method, path, id, o["summary"])
			}
			seen[id] = true
			checkParameters(t, path, o)
		}
	}
	for _, o := range s.control.Operations() {
		described := doc.Paths[o.Pattern][strings.ToLower(o.Method)]
		if described == nil || described["operationId"] != o.Name {
			t.Errorf("%s %s is not described", o.Method, o.Pattern)
		}
	}
	for _, e := range s.api.extras() {
		if doc.Paths[e.pattern][strings.ToLower(e.method)] == nil {
			t.Errorf("%s is not described", e.pattern)
		}
	}
	var whole any
	_ = json.Unmarshal([]byte(got.body), &whole)
	checkRefs(t, whole, whole)
}

// checkParameters demands that the parameters of the path, and no others, are
// said to be in it.
func checkParameters(t *testing.T, path string, o map[string]any) {
	t.Helper()
	parameters, _ := o["parameters"].([]any)
	found := 0
	for _, p := range parameters {
		fields, _ := p.(map[string]any)
		name, _ := fields["name"].(string)
		if fields["schema"] == nil || name == "" {
			t.Errorf("%s: parameter %v", path, fields)
		}
		if fields["in"] == "path" {
			found++
			if !strings.Contains(path, "{"+name+"}") || fields["required"] != true {
				t.Errorf("%s: %s is said to be in the path", path, name)
			}
		}
	}
	if found != strings.Count(path, "{") {
		t.Errorf("%s: %d parameters are described", path, found)
	}
}

func checkRefs(t *testing.T, whole, part any) {
	t.Helper()
	switch v := part.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			at := whole
			for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				m, _ := at.(map[string]any)
				at = m[step]
			}
			if at == nil {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, child := range v {
			checkRefs(t, whole, child)
		}
	case []any:
		for _, child := range v {
			checkRefs(t, whole, child)
		}
	}
}

// What an object's fields are is told, and what only Gatehouse sets is not asked for.
func TestOpenAPIShowsTheFieldsOfAProxy(t *testing.T) {
	s := start(t)
	create := s.control.Operation("create_proxy").Input
	for _, name := range []string{"proxy_hostname", "target_url", "auth_enabled", "auth_excluded_paths", "custom_headers", "github_client_secret"} {
		if create.Properties[name] == nil || create.Properties[name].Description == "" {
			t.Errorf("%s is not described", name)
		}
	}
	for _, name := range []string{"version", "created_by", "Fields"} {
		if create.Properties[name] != nil {
			t.Errorf("%s is asked for", name)
		}
	}
	if len(create.Required) != 1 || create.Required[0] != "proxy_hostname" {
		t.Errorf("required: %v", create.Required)
	}
	auth := s.control.Operation("set_proxy_auth").Input
	if auth.Properties["auth_mode"] == nil || auth.Properties["oauth_admin_users"] == nil || auth.Properties["target_url"] != nil {
		t.Errorf("the fields of set_proxy_auth are not those of its section")
	}
}

func TestEveryOperationIsWhole(t *testing.T) {
	s := start(t)
	names, routes := map[string]bool{}, map[string]bool{}
	for _, o := range s.control.Operations() {
		if names[o.Name] || routes[o.Method+" "+o.Pattern] {
			t.Errorf("%s stands there twice", o.Name)
		}
		names[o.Name], routes[o.Method+" "+o.Pattern] = true, true
		if !strings.Contains(o.Name, "_") || !strings.HasSuffix(o.Summary, ".") || o.Input.Type != "object" {
			t.Errorf("%s: %q, input %s", o.Name, o.Summary, o.Input.Type)
		}
		if _, err := o.Input.Resolve(nil); err != nil {
			t.Errorf("%s: input schema: %v", o.Name, err)
		}
		if _, err := o.Output.Resolve(nil); err != nil {
			t.Errorf("%s: output schema: %v", o.Name, err)
		}
		for _, p := range o.PathParams() {
			if !o.Takes(p) {
				t.Errorf("%s has no field for %s of its path", o.Name, p)
			}
		}
	}
}

func TestDocsPageHasNoScript(t *testing.T) {
	s := start(t)
	got := s.must(200, s.ask("user", "GET", "/docs", ""))
	csp := got.header.Get("Content-Security-Policy")
	if strings.Contains(got.body, "<script") || strings.Contains(got.body, "http://") || strings.Contains(got.body, "https://") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "style-src 'sha256-") {
		t.Errorf("the page loads something: %s", csp)
	}
	for _, o := range s.control.Operations() {
		if !strings.Contains(got.body, o.Name) {
			t.Errorf("%s is not on the page", o.Name)
		}
	}
}
