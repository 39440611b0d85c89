package client_test

import (
	"encoding/json"
	"testing"

	"gatehouse/internal/api/client"
	"gatehouse/internal/control"
	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

func TestArgumentsGoWhereTheServerLooks(t *testing.T) {
	ops := client.NewOperations()
	for name, tt := range map[string]struct {
		in                  any
		method, path, query string
		body, ifMatch       string
	}{
		"create_proxy": {control.CreateProxy{Hostname: "a.test", Fields: site.Patch{"target_url": json.RawMessage(`"http://x"`)}},
			"POST", "/proxies/", "", `{"proxy_hostname":"a.test","target_url":"http://x"}`, ""},
		"update_proxy": {control.UpdateProxy{Hostname: "*.a/../b", IfMatch: "7", Fields: site.Patch{"enabled": json.RawMessage(`false`)}},
			"PUT", "/proxies/%2A.a%2F..%2Fb", "", `{"enabled":false}`, "7"},
		"list_routes":         {control.ListRoutes{Scope: "proxy", Paging: control.Paging{Limit: 5}}, "GET", "/routes/", "limit=5&scope=proxy", "null", ""},
		"get_logs":            {journal.Query{Hours: 1.5, Status: "4xx", Errors: true}, "GET", "/logs/search", "errors=true&hours=1.5&status=4xx", "null", ""},
		"health_check":        {nil, "GET", "/health", "", "null", ""},
		"disable_proxy_route": {control.ProxyRoute{Hostname: "a.test", RouteID: "device"}, "POST", "/proxies/a.test/routes/device/disable", "", `{}`, ""},
	} {
		r, err := ops.Request(name, tt.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := json.Marshal(r.Body)
		if err != nil || r.Method != tt.method || r.Path != tt.path || r.Query.Encode() != tt.query || string(body) != tt.body || r.IfMatch != tt.ifMatch {
			t.Errorf("%s: %s %s ?%s %s If-Match %q (%v)", name, r.Method, r.Path, r.Query.Encode(), body, r.IfMatch, err)
		}
	}
	if _, err := ops.Request("paint_proxy", nil); err == nil {
		t.Error("an operation that does not exist was found")
	}
}

func BenchmarkNewOperations(b *testing.B) {
	for b.Loop() {
		client.NewOperations()
	}
}
