package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/internal/site"
)

// Of many who change the same version exactly one succeeds.
func TestIfMatchLetsOneChangeThrough(t *testing.T) {
	s := start(t)
	tag := s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1"}`)).header.Get("ETag")
	var done, refused atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			switch got := s.ask("admin", "PUT", "/proxies/a.localhost", fmt.Sprintf(`{"auth_realm":"r%d"}`, i), "If-Match", tag); got.status {
			case http.StatusOK:
				done.Add(1)
			case http.StatusPreconditionFailed:
				refused.Add(1)
			default:
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	all.Wait()
	if done.Load() != 1 || refused.Load() != 19 {
		t.Errorf("%d done, %d refused", done.Load(), refused.Load())
	}
}

// Without If-Match nobody's change of another field is lost.
func TestConcurrentChangesOfOtherFieldsAllStay(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1"}`))
	changes := []string{`{"auth_realm":"r"}`, `{"auth_mode":"redirect"}`, `{"max_body_bytes":5}`, `{"connect_timeout":2}`, `{"auth_excluded_paths":["/x"]}`, `{"route_mode":"none"}`, `{"resource_endpoint":"/mcp"}`, `{"auth_enabled":true}`}
	var all sync.WaitGroup
	for _, change := range changes {
		all.Go(func() { s.must(200, s.ask("admin", "PUT", "/proxies/a.localhost", change)) })
	}
	all.Wait()
	got := s.ask("admin", "GET", "/proxies/a.localhost", "").fields
	for _, change := range changes {
		var fields map[string]any
		_ = json.Unmarshal([]byte(change), &fields)
		for name, want := range fields {
			if fmt.Sprint(got[name]) != fmt.Sprint(want) {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
	}
}

// Who reads an object and sends all of it back changes nothing.
func TestWhatWasReadCanBeSentBack(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/routes/", `{"path_pattern":"/x","target_value":"http://127.0.0.1:1"}`))
	route := s.must(200, s.ask("admin", "GET", "/routes/x", ""))
	s.must(200, s.ask("admin", "PUT", "/routes/x", route.body, "If-Match", route.header.Get("ETag")))
	export := s.must(200, s.ask("admin", "GET", "/config/export", ""))
	replaced := s.must(200, s.ask("admin", "POST", "/config/import", strings.Replace(export.body, "{", `{"replace":true,`, 1)))
	if len(replaced.fields["replaced"].([]any)) != 3 {
		t.Errorf("%s", replaced.body)
	}
}

func TestSectionsShowSetAndClearTheirFieldsAlone(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1","max_body_bytes":7}`))
	set := s.must(200, s.ask("admin", "POST", "/proxies/a.localhost/auth", `{"auth_mode":"redirect","auth_required_users":["bob"],"oauth_admin_users":[]}`))
	if set.fields["auth_enabled"] != true || set.fields["auth_mode"] != "redirect" || set.fields["max_body_bytes"] != nil || set.fields["proxy_hostname"] != "a.localhost" || set.header.Get("ETag") == "" {
		t.Errorf("auth: %s", set.body)
	}
	if off := s.must(200, s.ask("admin", "POST", "/proxies/a.localhost/auth", `{"auth_enabled":false}`)); off.fields["auth_enabled"] != false || off.fields["auth_mode"] != "redirect" {
		t.Errorf("off: %s", off.body)
	}
	s.must(200, s.ask("admin", "POST", "/proxies/a.localhost/resource", `{"resource_endpoint":"/mcp","resource_scopes":["x"]}`))
	s.must(200, s.ask("admin", "POST", "/proxies/a.localhost/oauth-server", `{"oauth_server_scopes":["x"]}`))
	if got := s.must(200, s.ask("admin", "GET", "/proxies/oauth-servers/configured", "")); !strings.Contains(got.body, `["a.localhost"]`) {
		t.Errorf("oauth servers: %s", got.body)
	}
	s.must(200, s.ask("admin", "POST", "/proxies/a.localhost/github-oauth", `{"github_client_id":"i","github_client_secret":"s"}`))
	if got := s.must(200, s.ask("admin", "GET", "/proxies/github-oauth/configured", "")); !strings.Contains(got.body, `["a.localhost"]`) {
		t.Errorf("github: %s", got.body)
	}
	if got := s.must(200, s.ask("admin", "DELETE", "/proxies/a.localhost/auth", "")); got.fields["auth_mode"] != "forward" || got.fields["auth_required_users"] != nil || got.fields["oauth_admin_users"] != nil {
		t.Errorf("cleared: %s", got.body)
	}
	whole := s.must(200, s.ask("admin", "GET", "/proxies/a.localhost", "")).fields
	if whole["resource_endpoint"] != "/mcp" || whole["max_body_bytes"] != float64(7) || whole["github_configured"] != true {
		t.Errorf("clearing one section changed another: %v", whole)
	}
	for _, section := range []string{"resource", "oauth-server", "github-oauth"} {
		s.must(200, s.ask("admin", "DELETE", "/proxies/a.localhost/"+section, ""))
	}
	if whole := s.ask("admin", "GET", "/proxies/a.localhost", "").fields; whole["resource_endpoint"] != "" || whole["github_configured"] != false || whole["oauth_server_scopes"] != nil {
		t.Errorf("not cleared: %v", whole)
	}
}

func TestRoutesOfAProxyAreChosen(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1","auth_enabled":true}`))
	s.must(201, s.ask("admin", "POST", "/routes/", `{"path_pattern":"/x","target_value":"internal:demo"}`))
	ids := func(path string) string { return s.must(200, s.ask("admin", "GET", path, "")).body }
	if !strings.Contains(ids("/proxies/a.localhost/routes"), `"route_id":"x"`) || !strings.Contains(ids("/proxies/a.localhost/routes"), `"route_id":"token"`) {
		t.Error("routes are missing")
	}
	s.must(200, s.ask("admin", "POST", "/proxies/a.localhost/routes/x/disable", ""))
	if got := ids("/proxies/a.localhost/routes"); strings.Contains(got, `"route_id":"x"`) || !strings.Contains(got, `"disabled_routes":["x"]`) {
		t.Errorf("disabled: %s", got)
	}
	if route, _ := s.roster.World().Find("a.localhost").Match("GET", mustPath("/x")); route != nil {
		t.Error("the disabled route is served")
	}
	s.must(200, s.ask("admin", "PUT", "/proxies/a.localhost/routes", `{"route_mode":"selective"}`))
	s.must(200, s.ask("admin", "POST", "/proxies/a.localhost/routes/x/enable", ""))
	if got := ids("/proxies/a.localhost/routes"); !strings.Contains(got, `"enabled_routes":["x"]`) || !strings.Contains(got, `"disabled_routes":[]`) {
		t.Errorf("enabled: %s", got)
	}
	s.must(200, s.ask("admin", "POST", "/proxies/a.localhost/routes/register/disable", ""))
	if _, gone := s.roster.World().Find("a.localhost").Match("POST", mustPath("/register")); !gone {
		t.Error("the disabled endpoint is served")
	}
	if got := ids("/routes/?scope=proxy"); strings.Contains(got, "route_id") {
		t.Errorf("scope: %s", got)
	}
	if got := ids("/routes/?proxy=a.localhost&limit=1"); !strings.Contains(got, `"cursor":"`) || strings.Contains(got, `"cursor":""`) {
		t.Errorf("page: %s", got)
	}
}

func TestRouteIDIsMadeAndNumbered(t *testing.T) {
	s := start(t)
	for _, want := range []string{"api", "api-2", "api-3"} {
		if got := s.must(201, s.ask("admin", "POST", "/routes/", `{"path_pattern":"/api","target_value":"http://127.0.0.1:1"}`)); got.fields["route_id"] != want {
			t.Errorf("%v, want %s", got.fields["route_id"], want)
		}
	}
	if got := s.must(201, s.ask("admin", "POST", "/routes/", `{"path_pattern":"/health","target_value":"http://127.0.0.1:1"}`)); got.fields["route_id"] != "health-route" {
		t.Errorf("%v", got.fields["route_id"])
	}
}

func TestListsPageToTheirEnd(t *testing.T) {
	s := start(t)
	for i := range 7 {
		s.must(201, s.ask("admin", "POST", "/proxies/", fmt.Sprintf(`{"proxy_hostname":"p%d.localhost","target_url":"http://127.0.0.1:1"}`, i)))
	}
	for _, list := range []struct {
		path string
		want int
	}{{"/proxies/", 9}, {"/routes/", len(site.BuiltInRoutes())}} {
		seen, cursor := map[string]bool{}, ""
		for range 40 {
			got := s.must(200, s.ask("admin", "GET", list.path+"?limit=2&cursor="+cursor, "")).fields
			for _, item := range got["items"].([]any) {
				m := item.(map[string]any)
				seen[fmt.Sprint(m["proxy_hostname"], m["route_id"])] = true
			}
			if cursor, _ = got["cursor"].(string); cursor == "" {
				break
			}
		}
		if len(seen) != list.want {
			t.Errorf("%s: %d items: %v", list.path, len(seen), seen)
		}
	}
}

func TestAnImportMakesNoChainOfIssuers(t *testing.T) {
	s := start(t)
	host := func(name, issuer string) string {
		return fmt.Sprintf(`{"proxy_hostname":%q,"target_url":"http://127.0.0.1:1","auth_enabled":true,"auth_proxy":%q}`, name, issuer)
	}
	for _, hosts := range []string{
		host("b.localhost", "c.localhost") + "," + host("c.localhost", "d.localhost") + "," + host("d.localhost", ""),
		host("b.localhost", "c.localhost") + "," + host("c.localhost", "b.localhost"),
	} {
		got := s.must(422, s.ask("admin", "POST", "/config/import", `{"proxies":[`+hosts+`]}`))
		if !strings.Contains(got.body, `"proxies[0].auth_proxy"`) || s.roster.World().Find("b.localhost") != nil {
			t.Errorf("%s", got.body)
		}
	}
	s.must(200, s.ask("admin", "POST", "/config/import", `{"proxies":[`+host("b.localhost", "c.localhost")+","+host("c.localhost", "")+`]}`))
}

func TestExportIsImportedElsewhere(t *testing.T) {
	from, to := start(t), start(t)
	from.must(201, from.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"issuer.localhost","target_url":"http://127.0.0.1:1","auth_enabled":true}`))
	from.must(201, from.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1","auth_proxy":"issuer.localhost","auth_required_users":[],"custom_headers":{"X-A":"b"}}`))
	from.must(201, from.ask("admin", "POST", "/routes/", `{"path_pattern":"/x","target_value":"http://127.0.0.1:2","scope":"proxy","proxy_hostnames":["a.localhost"]}`))
	from.must(200, from.ask("admin", "PUT", "/proxies/a.localhost", `{"github_client_id":"i","github_client_secret":"hush"}`))
	document := from.must(200, from.ask("admin", "GET", "/config/export", ""))
	if !strings.Contains(document.body, "a.localhost: github_client_id") {
		t.Errorf("left out: %v", document.fields["left_out"])
	}
	dry := to.must(200, to.ask("admin", "POST", "/config/import", strings.Replace(document.body, "{", `{"dry_run":true,`, 1)))
	if fmt.Sprint(dry.fields["created"]) != "[proxy:a.localhost proxy:issuer.localhost route:x]" || to.ask("admin", "GET", "/proxies/a.localhost", "").status != 404 {
		t.Errorf("dry run: %s", dry.body)
	}
	to.must(200, to.ask("admin", "POST", "/config/import", document.body))
	got := to.must(200, to.ask("admin", "GET", "/proxies/a.localhost", "")).fields
	if got["auth_proxy"] != "issuer.localhost" || fmt.Sprint(got["auth_required_users"]) != "[]" || got["github_configured"] != false || to.roster.World().Find("a.localhost") == nil {
		t.Errorf("imported: %v", got)
	}
	to.must(422, to.ask("admin", "POST", "/config/import", document.body))
	skipped := to.must(200, to.ask("admin", "POST", "/config/import", strings.Replace(document.body, "{", `{"skip_existing":true,`, 1)))
	if len(skipped.fields["skipped"].([]any)) != 5 {
		t.Errorf("skipped: %s", skipped.body)
	}
}

// What a user set on Gatehouse's own hosts survives; settings that the record
// does not know yet are added.
func TestBuiltInHostsAreCompletedAndKept(t *testing.T) {
	s := start(t)
	s.must(200, s.ask("admin", "PUT", "/proxies/localhost", `{"auth_realm":"mine","auth_excluded_paths":["/health"]}`))
	item, err := s.store.Get(t.Context(), "proxy:localhost")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.control.EnsureBuiltIns(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, _ := s.store.Get(t.Context(), "proxy:localhost"); again.Version != item.Version {
		t.Error("a whole record was written again")
	}
	var fields map[string]any
	_ = json.Unmarshal(item.Value, &fields)
	delete(fields, "preserve_host_header")
	delete(fields, "resource_scopes")
	s.put("proxy:localhost", fields)
	if err := s.control.EnsureBuiltIns(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := s.must(200, s.ask("admin", "GET", "/proxies/localhost", "")).fields
	if got["preserve_host_header"] != true || len(got["resource_scopes"].([]any)) != 3 || got["auth_realm"] != "mine" || len(got["auth_excluded_paths"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
}
