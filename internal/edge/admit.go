package edge

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// admit asks the gate. It reports false when the request ends here, answered.
func (x *exchange) admit() bool {
	if x.visit.MCP() && !x.crossOrigin() {
		return false
	}
	v := &x.visit
	v.Verdict = x.edge.Gate.Admit(v, x.r)
	if v.Verdict.Allowed() {
		return true
	}
	x.deny()
	return false
}

// crossOrigin keeps foreign web pages from MCP endpoints (DNS rebinding, and the
// browser's ambient reach into private networks) and lets admitted ones read the
// answers. It reports false when it has answered: a refusal, or a preflight.
func (x *exchange) crossOrigin() bool {
	origins := x.r.Header["Origin"]
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 || !x.originAllowed(origins[0]) {
		x.problem(http.StatusForbidden, "cross_origin", "This origin may not use the MCP endpoint; mcp_allowed_origins of the proxy names those that may.")
		return false
	}
	h := x.w.Header()
	x.cors = origins[0]
	h["Access-Control-Allow-Origin"] = origins
	h["Access-Control-Expose-Headers"] = []string{exposed}
	h["Vary"] = []string{"Origin"}
	if x.r.Method != http.MethodOptions || x.r.Header.Get("Access-Control-Request-Method") == "" {
		return true
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
	h.Set("Access-Control-Max-Age", "600")
	if asked := x.r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	x.w.WriteHeader(http.StatusNoContent)
	return false
}

// exposed are the answer's headers that an admitted page may read.
const exposed = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version"

func (x *exchange) originAllowed(origin string) bool {
	if origin == x.visit.Origin || slices.Contains(x.inst.host.Proxy.MCPAllowedOrigins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return false
	}
	name := strings.ToLower(u.Hostname())
	return name == "localhost" || name == "127.0.0.1" || name == "::1"
}
