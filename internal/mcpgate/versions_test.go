package mcpgate

import (
	"strings"
	"testing"

	"gatehouse/internal/site"
)

func TestInitializeAsksForAVersionOfTheList(t *testing.T) {
	const hello = `{"id":1,"method":"initialize","params":{"capabilities":{"protocolVersion":"x"},"protocolVersion" : "ASKED","clientInfo":{"name":"c"}}}`
	for _, c := range []struct {
		list        []string
		asked, want string
	}{
		{[]string{"2025-06-18", "2025-03-26"}, "2025-11-25", "2025-06-18"},
		{[]string{"2025-06-18", "2025-03-26"}, "2025-06-18", "2025-06-18"},
		{[]string{"2025-06-18", "2024-11-05"}, "2025-03-26", "2024-11-05"},
		{[]string{"2025-06-18"}, "2024-11-05", "2025-06-18"},
		{[]string{"2025-06-18"}, `\u0032025-11-25`, "2025-06-18"},
		{[]string{"2025-06-18"}, `0`, "2025-06-18"},
	} {
		p := &Pass{mcp: true, visit: &site.Visit{Host: &site.Host{Proxy: site.Proxy{ResourceVersions: c.list}}}}
		p.body = []byte(strings.Replace(hello, "ASKED", c.asked, 1))
		payload, err := Parse(p.body)
		if err != nil {
			t.Fatal(err)
		}
		if r := p.pinned(payload); r != nil || string(p.body) != strings.Replace(hello, "ASKED", c.want, 1) {
			t.Errorf("%v, asked %s: %s, %+v", c.list, c.asked, p.body, r)
		}
	}
}
