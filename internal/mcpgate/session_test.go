package mcpgate

import (
	"net/http"
	"testing"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// A version without sessions ignores an id; it must not become a way to show a
// backend somebody else's.
func TestASessionIDInAVersionWithoutSessionsReachesNoBackend(t *testing.T) {
	v := &site.Visit{Verdict: site.Verdict{Principal: &principal.Principal{Subject: "local:eve", ClientID: "c"}}}
	for version, goesOn := range map[string]bool{"2026-07-28": true, "2025-11-25": false, "": false} {
		h := http.Header{sessionHeader: {"somebody-elses"}}
		if version != "" {
			h["Mcp-Protocol-Version"] = []string{version}
		}
		if got := new(Gate).takeSession(v, h); got != goesOn || goesOn && h.Get(sessionHeader) != "" {
			t.Errorf("%q: %v %v", version, got, h)
		}
	}
}
