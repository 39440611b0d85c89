package test

import (
	"slices"
	"testing"
)

// TestTheNewSDKSpeaksBothEras: the TypeScript SDK that knows the versions without
// sessions, told the URL and nothing else.
func TestTheNewSDKSpeaksBothEras(t *testing.T) {
	t.Parallel()
	node(t)
	o := newOffice(t, nil, "legacy", "modern")
	for host, version := range map[string]string{"legacy": "2025-11-25", "modern": "2026-07-28"} {
		t.Run(version, func(t *testing.T) {
			o.as(t, func() {
				era := host
				if host == "modern" {
					era = version
				}
				p := o.desktop().run("client2.mjs", o.mcp(host), era)
				o.alice.lets(p.browser())
				p.works()
				called := p.step("called")
				tools, _ := called["tools"].([]any)
				if called["version"] != version || called["user"] != "local:alice" || !slices.Contains(tools, any("whoami")) {
					t.Errorf("%v", called)
				}
			})
		})
	}
}
