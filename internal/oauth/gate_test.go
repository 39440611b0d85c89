package oauth

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/site"
)

// Credentials of the gate's table.
const (
	nothing       = "nothing"
	aliceToken    = "alice's token"
	mcpToken      = "alice's token with mcp"
	carolToken    = "token of carol, whom no list of app names"
	otherToken    = "alice's token for another host"
	foreignToken  = "somebody else's opaque token"
	foreignJWT    = "somebody else's JWT"
	forgedToken   = "a token with our kid and a wrong signature"
	basicPassword = "Basic credentials"
	twoHeaders    = "two Authorization headers"
	aliceCookie   = "alice's session"
	carolCookie   = "carol's session"
	otherCookie   = "alice's session on another host"
	spoiledCookie = "a cookie that does not open"
	queryToken    = "a token in the query"
)

type gateCase struct {
	name     string
	method   string // GET when empty
	path     string // on app.example.com unless it is a URL; / when empty
	with     string // credential
	headers  []string
	outcome  site.Outcome
	step     int
	reason   string
	user     string // of the principal; empty: none
	own      bool   // OwnToken
	location string
}

// gateRig is a rig with the credentials of the table.
func gateRig(t *testing.T) (*rig, map[string][]string, map[string]string) {
	r := newRig(t)
	token := func(origin, who, scope string) string {
		access, _, _ := r.tokens(origin, person(who), scope)
		return access
	}
	r.change("app.example.com", func(p *site.Proxy) {
		p.AuthRequiredUsers, p.OAuthUserUsers = []string{anyone}, []string{anyone}
	})
	good := token(appOrigin, "alice", "user")
	carols := token(appOrigin, "carol", "user")
	withMCP := token(mcpOrigin, "alice", "mcp")
	elsewhere := token("https://other.example.com", "alice", "user")
	cookie := func(origin, who string) string {
		c := r.cookie(origin, person(who), "")
		return c.Name + "=" + c.Value
	}
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	creds := map[string][]string{
		nothing: nil, queryToken: nil,
		aliceToken: bearer(good), carolToken: bearer(carols), mcpToken: bearer(withMCP), otherToken: bearer(elsewhere),
		foreignToken: bearer("ya29.some-opaque-token"), foreignJWT: bearer(foreign(t)), forgedToken: bearer(spoil(good)),
		basicPassword: {"Authorization", "Basic YTpi"},
		twoHeaders:    append(bearer(good), bearer(good)...),
		aliceCookie:   {"Cookie", "other=1; " + cookie(appOrigin, "alice")}, carolCookie: {"Cookie", cookie(appOrigin, "carol")},
		otherCookie:   {"Cookie", cookie("https://other.example.com", "alice")},
		spoiledCookie: {"Cookie", "__Host-gatehouse=AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"},
	}
	r.serve(basicProxies())
	return r, creds, map[string]string{queryToken: "?access_token=" + good}
}

// spoil changes a token's signature.
func spoil(token string) string {
	head, signature, _ := strings.Cut(token[strings.IndexByte(token, '.')+1:], ".")
	flipped := "A"
	if signature[10] == 'A' {
		flipped = "B"
	}
	return token[:strings.IndexByte(token, '.')+1] + head + "." + signature[:10] + flipped + signature[11:]
}

var browser = []string{"Accept", "text/html,application/xhtml+xml", "Sec-Fetch-Mode", "navigate"}

func with(headers []string, more ...string) []string { return append(slices.Clone(headers), more...) }

func TestGateForward(t *testing.T) {
	r, creds, queries := gateRig(t)
	r.change("app.example.com", func(p *site.Proxy) {
		p.AuthExcludedPaths = []string{"/open", "/assets/"}
		p.AuthAllowedOrigins = []string{"https://friend.example"}
	})
	runGate(t, r, creds, queries, []gateCase{
		{name: "metadata is public", path: "/.well-known/oauth-protected-resource", with: nothing, step: 1, reason: "public"},
		{name: "metadata is public with a bad token", path: "/.well-known/oauth-authorization-server", with: forgedToken, step: 1, reason: "public"},
		{name: "ACME is public", path: "/.well-known/acme-challenge/x", with: nothing, step: 1, reason: "public"},
		{name: "token endpoint", method: "POST", path: "/token", with: nothing, step: 1, reason: "public"},
		{name: "jwks", path: "/jwks", with: nothing, step: 1, reason: "public"},
		{name: "health is the backend's here", path: "/health", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "not below the token endpoint", path: "/token/x", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "not by an ambiguous path", path: "/x/../token", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "not by an encoded path", path: "/%74oken%2f", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},

		{name: "excluded", path: "/open", with: nothing, step: 4, reason: "excluded"},
		{name: "below excluded", path: "/open/x", with: nothing, step: 4, reason: "excluded"},
		{name: "excluded in whole segments", path: "/openx", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "slash excludes only below", path: "/assets", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "below the slash", path: "/assets/a.css", with: nothing, step: 4, reason: "excluded"},
		{name: "excluded with a token", path: "/open", with: aliceToken, step: 4, reason: "excluded", user: "alice", own: true},
		{name: "excluded with a token for elsewhere", path: "/open", with: otherToken, step: 4, reason: "excluded", own: true},
		{name: "excluded with a forged token", path: "/open", with: forgedToken, step: 4, reason: "excluded", own: true},
		{name: "excluded with a foreign token", path: "/open", with: foreignToken, step: 4, reason: "excluded"},
		{name: "excluded with Basic", path: "/open", with: basicPassword, step: 4, reason: "excluded"},
		{name: "excluded reads no cookie", path: "/open", with: aliceCookie, step: 4, reason: "excluded"},
		{name: "excluded but ambiguous", path: "/open/../x", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "excluded but encoded", path: "/open/%2e%2e/x", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},

		{name: "nothing", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "a browser too", with: nothing, headers: browser, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "preflight of a plain path", method: "OPTIONS", with: nothing, headers: []string{"Origin", "https://x.example", "Access-Control-Request-Method", "GET"}, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "Basic is no credential", with: basicPassword, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "the query is no credential", with: queryToken, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "cookie", with: aliceCookie, step: 9, reason: "allowed", user: "alice"},
		{name: "cookie for HEAD", method: "HEAD", with: aliceCookie, step: 9, reason: "allowed", user: "alice"},
		{name: "cookie of another host", with: otherCookie, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "spoiled cookie", with: spoiledCookie, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "spoiled cookie for POST", method: "POST", with: spoiledCookie, outcome: site.Challenge, step: 5, reason: "no_credential"},

		{name: "token", with: aliceToken, step: 9, reason: "allowed", user: "alice", own: true},
		{name: "token in any case of Bearer", headers: []string{"authorization", strings.Replace(creds[aliceToken][1], "Bearer", "bEARER", 1)}, with: nothing, step: 9, reason: "allowed", user: "alice", own: true},
		{name: "token from another origin", method: "POST", with: aliceToken, headers: []string{"Origin", "https://evil.example"}, step: 9, reason: "allowed", user: "alice", own: true},
		{name: "token before cookie", headers: creds[forgedToken], with: aliceCookie, outcome: site.Challenge, step: 6, reason: "token_signature", own: true},
		{name: "token for another host", with: otherToken, outcome: site.Challenge, step: 6, reason: "token_issuer", own: true},
		{name: "forged token", with: forgedToken, outcome: site.Challenge, step: 6, reason: "token_signature", own: true},
		{name: "foreign token", with: foreignToken, outcome: site.Challenge, step: 6, reason: "token_malformed"},
		{name: "foreign JWT", with: foreignJWT, outcome: site.Challenge, step: 6, reason: "token_foreign"},
		{name: "two headers", with: twoHeaders, outcome: site.Challenge, step: 6, reason: "several_authorization_headers"},

		{name: "token of somebody not listed", with: carolToken, outcome: site.Forbid, step: 8, reason: "user_not_listed", user: "carol", own: true},
		{name: "session of somebody not listed", with: carolCookie, outcome: site.Forbid, step: 8, reason: "user_not_listed", user: "carol"},
	})
}

func TestGateCrossOrigin(t *testing.T) {
	r, creds, queries := gateRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthAllowedOrigins = []string{"https://friend.example"} })
	runGate(t, r, creds, queries, []gateCase{
		{name: "cookie for POST without Origin", method: "POST", with: aliceCookie, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "cookie for POST from elsewhere", method: "POST", with: aliceCookie, headers: []string{"Origin", "https://evil.example"}, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "cookie for POST from a host beside", method: "POST", with: aliceCookie, headers: []string{"Origin", "https://other.example.com"}, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "cookie for POST from null", method: "POST", with: aliceCookie, headers: []string{"Origin", "null"}, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "cookie for POST from http", method: "POST", with: aliceCookie, headers: []string{"Origin", "http://app.example.com"}, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "cookie for POST with two Origins", method: "POST", with: aliceCookie, headers: []string{"Origin", appOrigin, "Origin", appOrigin}, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "cookie for POST from here", method: "POST", with: aliceCookie, headers: []string{"Origin", appOrigin}, step: 9, reason: "allowed", user: "alice"},
		{name: "cookie for PUT from a friend", method: "PUT", with: aliceCookie, headers: []string{"Origin", "https://friend.example"}, step: 9, reason: "allowed", user: "alice"},
		{name: "WebSocket from elsewhere", with: aliceCookie, headers: []string{"Upgrade", "websocket", "Connection", "Upgrade", "Origin", "https://evil.example"}, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "WebSocket without Origin", with: aliceCookie, headers: []string{"Upgrade", "websocket", "Connection", "Upgrade"}, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "WebSocket from here", with: aliceCookie, headers: []string{"Upgrade", "websocket", "Connection", "Upgrade", "Origin", appOrigin}, step: 9, reason: "allowed", user: "alice"},
	})
}

func TestGateRedirect(t *testing.T) {
	r, creds, queries := gateRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthMode = site.ModeRedirect })
	start := "/.gatehouse/start?return="
	runGate(t, r, creds, queries, []gateCase{
		{name: "browser", with: nothing, headers: browser, outcome: site.SignIn, step: 5, reason: "no_credential", location: start + "%2F"},
		{name: "browser with HEAD", method: "HEAD", with: nothing, headers: browser, outcome: site.SignIn, step: 5, reason: "no_credential", location: start + "%2F"},
		{name: "browser comes back to path and query", path: "/a%20b/c?x=1&y=%26", with: nothing, headers: browser, outcome: site.SignIn, step: 5, reason: "no_credential", location: start + "%2Fa%2520b%2Fc%3Fx%3D1%26y%3D%2526"},
		{name: "old browser", with: nothing, headers: []string{"Accept", "TEXT/HTML"}, outcome: site.SignIn, step: 5, reason: "no_credential", location: start + "%2F"},
		{name: "browser with a spoiled cookie", with: spoiledCookie, headers: browser, outcome: site.SignIn, step: 5, reason: "no_credential", location: start + "%2F"},
		{name: "browser with a session", with: aliceCookie, headers: browser, step: 9, reason: "allowed", user: "alice"},
		{name: "browser with a session, not listed", with: carolCookie, headers: browser, outcome: site.Forbid, step: 8, reason: "user_not_listed", user: "carol"},
		{name: "browser with a bad token", with: forgedToken, headers: browser, outcome: site.Challenge, step: 6, reason: "token_signature", own: true},
		{name: "browser's script", with: nothing, headers: []string{"Accept", "text/html", "Sec-Fetch-Mode", "cors"}, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "browser's image", with: nothing, headers: []string{"Accept", "text/html", "Sec-Fetch-Mode", "no-cors"}, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "browser's form", method: "POST", with: nothing, headers: browser, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "browser's WebSocket", with: nothing, headers: with(browser, "Upgrade", "websocket"), outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "curl", with: nothing, headers: []string{"Accept", "*/*"}, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "program", with: nothing, headers: []string{"Accept", "application/json"}, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "token", with: aliceToken, step: 9, reason: "allowed", user: "alice", own: true},
	})
}

func TestGatePassthrough(t *testing.T) {
	r, creds, queries := gateRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthMode = site.ModePassthrough })
	runGate(t, r, creds, queries, []gateCase{
		{name: "nothing", with: nothing, step: 5, reason: "no_credential_passed"},
		{name: "browser", with: nothing, headers: browser, step: 5, reason: "no_credential_passed"},
		{name: "POST", method: "POST", with: nothing, step: 5, reason: "no_credential_passed"},
		{name: "Basic", with: basicPassword, step: 5, reason: "no_credential_passed"},
		{name: "foreign token", with: foreignToken, step: 5, reason: "no_credential_passed"},
		{name: "foreign JWT", with: foreignJWT, step: 5, reason: "no_credential_passed"},
		{name: "foreign JWT beside a session", headers: creds[foreignJWT], with: aliceCookie, step: 9, reason: "allowed", user: "alice"},
		{name: "spoiled cookie", with: spoiledCookie, step: 5, reason: "no_credential_passed"},
		{name: "forged token", with: forgedToken, outcome: site.Challenge, step: 6, reason: "token_signature", own: true},
		{name: "token for another host", with: otherToken, outcome: site.Challenge, step: 6, reason: "token_issuer", own: true},
		{name: "token", with: aliceToken, step: 9, reason: "allowed", user: "alice", own: true},
		{name: "session", with: aliceCookie, step: 9, reason: "allowed", user: "alice"},
		{name: "session for POST from elsewhere", method: "POST", with: aliceCookie, headers: []string{"Origin", "https://evil.example"}, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "not listed", with: carolToken, outcome: site.Forbid, step: 8, reason: "user_not_listed", user: "carol", own: true},
	})
}

func TestGateAuthOff(t *testing.T) {
	r, creds, queries := gateRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthEnabled = false })
	r.change("other.example.com", func(p *site.Proxy) { p.AuthType = site.AuthNone })
	runGate(t, r, creds, queries, []gateCase{
		{name: "nothing", with: nothing, step: 3, reason: "auth_disabled"},
		{name: "a token of ours is not passed on, and says nobody", with: aliceToken, step: 3, reason: "auth_disabled", own: true},
		{name: "a forged one neither", with: forgedToken, step: 3, reason: "auth_disabled", own: true},
		{name: "a foreign one goes on", with: foreignJWT, step: 3, reason: "auth_disabled"},
		{name: "a cookie says nobody", with: aliceCookie, step: 3, reason: "auth_disabled"},
		{name: "POST with a cookie", method: "POST", with: aliceCookie, step: 3, reason: "auth_disabled"},
		{name: "auth_type none", path: "https://other.example.com/", with: nothing, step: 3, reason: "auth_disabled"},
	})
}

func TestGateMCPEndpoint(t *testing.T) {
	r, creds, queries := gateRig(t)
	cookie := r.cookie(mcpOrigin, person("alice"), "")
	creds["mcp cookie"] = []string{"Cookie", cookie.Name + "=" + cookie.Value}
	userOnly, _, _ := r.tokens(mcpOrigin, person("alice"), "user")
	creds["user token"] = []string{"Authorization", "Bearer " + userOnly}
	r.change("mcp.example.com", func(p *site.Proxy) {
		p.AuthMode, p.MCPAllowedOrigins = site.ModeRedirect, []string{"https://inspector.example"}
	})
	mcp := mcpOrigin + "/mcp"
	runGate(t, r, creds, queries, []gateCase{
		{name: "token with mcp", method: "POST", path: mcp, with: mcpToken, step: 9, reason: "allowed", user: "alice", own: true},
		{name: "token without mcp", method: "POST", path: mcp, with: "user token", outcome: site.Forbid, step: 7, reason: "scope_missing", user: "alice", own: true},
		{name: "token without mcp beside the endpoint", path: mcpOrigin + "/docs", with: "user token", step: 9, reason: "allowed", user: "alice", own: true},
		{name: "never a cookie", path: mcp, with: "mcp cookie", outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "never a cookie, with a slash", path: mcp + "/", with: "mcp cookie", outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "never a cookie, by an ambiguous path", path: mcpOrigin + "/x/../mcp", with: "mcp cookie", outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "a cookie beside the endpoint", path: mcpOrigin + "/docs", with: "mcp cookie", step: 9, reason: "allowed", user: "alice"},
		{name: "never a redirect", path: mcp, with: nothing, headers: browser, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "a script of another website", method: "POST", path: mcp, with: mcpToken, headers: []string{"Origin", "https://evil.example"}, outcome: site.Forbid, step: 5, reason: "mcp_origin"},
		{name: "a script of null", method: "POST", path: mcp, with: mcpToken, headers: []string{"Origin", "null"}, outcome: site.Forbid, step: 5, reason: "mcp_origin"},
		{name: "a script of an allowed website", method: "POST", path: mcp, with: mcpToken, headers: []string{"Origin", "https://inspector.example"}, step: 9, reason: "allowed", user: "alice", own: true},
		{name: "a script on loopback", method: "POST", path: mcp, with: mcpToken, headers: []string{"Origin", "http://localhost:6274"}, step: 9, reason: "allowed", user: "alice", own: true},
		{name: "a script of the host", method: "POST", path: mcp, with: mcpToken, headers: []string{"Origin", mcpOrigin}, step: 9, reason: "allowed", user: "alice", own: true},
		{name: "a name that only begins like loopback", method: "POST", path: mcp, with: mcpToken, headers: []string{"Origin", "http://localhost.evil.example"}, outcome: site.Forbid, step: 5, reason: "mcp_origin"},
		{name: "preflight", method: "OPTIONS", path: mcp, with: nothing, headers: []string{"Origin", "http://localhost:6274", "Access-Control-Request-Method", "POST"}, step: 5, reason: "preflight"},
		{name: "preflight from elsewhere", method: "OPTIONS", path: mcp, with: nothing, headers: []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, outcome: site.Forbid, step: 5, reason: "mcp_origin"},
		{name: "OPTIONS that is no preflight", method: "OPTIONS", path: mcp, with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
	})
}

func TestGateOwnAPI(t *testing.T) {
	r, creds, queries := gateRig(t)
	root, _, _ := r.tokens(authOrigin, person("root"), "admin user mcp")
	creds["root"] = []string{"Authorization", "Bearer " + root}
	c := r.cookie(authOrigin, person("root"), "")
	creds["root cookie"] = []string{"Cookie", c.Name + "=" + c.Value}
	runGate(t, r, creds, queries, []gateCase{
		{name: "health is public", path: authOrigin + "/health", with: nothing, step: 1, reason: "public"},
		{name: "anybody gets to the operations", path: authOrigin + "/proxies/", with: nothing, step: 3, reason: "auth_disabled"},
		{name: "a token says who", path: authOrigin + "/proxies/", with: "root", step: 3, reason: "auth_disabled", user: "root", own: true},
		{name: "a token for another host does not count", path: authOrigin + "/proxies/", with: aliceToken, outcome: site.Challenge, step: 6, reason: "token_issuer", own: true},
		{name: "nor does it on localhost", path: "https://localhost/proxies/", with: "root", outcome: site.Challenge, step: 6, reason: "token_issuer", own: true},
		{name: "a bad token is refused", path: authOrigin + "/proxies/", with: forgedToken, outcome: site.Challenge, step: 6, reason: "token_signature", own: true},
		{name: "a foreign one too", path: authOrigin + "/proxies/", with: foreignToken, outcome: site.Challenge, step: 6, reason: "token_malformed"},
		{name: "a session says who", path: authOrigin + "/proxies/", with: "root cookie", step: 3, reason: "auth_disabled", user: "root"},
		{name: "not to another site's form", method: "POST", path: authOrigin + "/proxies/", with: "root cookie", headers: []string{"Origin", appOrigin}, outcome: site.Forbid, step: 5, reason: "cross_origin"},
		{name: "but to the console", method: "POST", path: authOrigin + "/proxies/", with: "root cookie", headers: []string{"Origin", authOrigin}, step: 3, reason: "auth_disabled", user: "root"},
		{name: "our MCP server wants a name", method: "POST", path: authOrigin + "/mcp", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "on localhost too", method: "POST", path: "http://localhost/mcp", with: nothing, outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "our MCP server and a session", path: authOrigin + "/mcp", with: "root cookie", outcome: site.Challenge, step: 5, reason: "no_credential"},
		{name: "our MCP server and a token", method: "POST", path: authOrigin + "/mcp", with: "root", step: 9, reason: "allowed", user: "root", own: true},
		{name: "our MCP server with a slash", method: "POST", path: authOrigin + "/mcp/", with: "root", step: 9, reason: "allowed", user: "root", own: true},
	})
	verdict, _ := r.admit(http.MethodGet, authOrigin+"/proxies/", creds["root"]...)
	if !verdict.Principal.Has("admin") || verdict.Principal.Resource != authOrigin+"/mcp" {
		t.Errorf("root's principal %+v", verdict.Principal)
	}
}

func runGate(t *testing.T, r *rig, creds map[string][]string, queries map[string]string, cases []gateCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r.in(t)
			method := c.method
			if method == "" {
				method = http.MethodGet
			}
			target := c.path
			if !strings.Contains(target, "://") {
				target = appOrigin + "/" + strings.TrimPrefix(c.path, "/")
			}
			credential, ok := creds[c.with]
			if !ok {
				t.Fatalf("no credential %q", c.with)
			}
			for range 2 { // the second time from what was remembered
				verdict, v := r.admit(method, target+queries[c.with], with(c.headers, credential...)...)
				checkVerdict(t, c, verdict)
				if verdict.Outcome == site.Allow && verdict.Reason != "preflight" && !r.Still(v) {
					t.Errorf("allowed, but a stream would be cut: %+v", verdict)
				}
				_, req := r.visit(method, target+queries[c.with])
				for i, h := 0, with(c.headers, credential...); i < len(h); i += 2 {
					req.Header.Add(h[i], h[i+1])
				}
				explained, steps := r.Explain(v, req, nil)
				if explained.Reason != verdict.Reason || explained.Step != verdict.Step || len(steps) == 0 || !steps[len(steps)-1].Final {
					t.Errorf("explain says %d %s by %+v", explained.Step, explained.Reason, steps)
				}
			}
		})
	}
}

func checkVerdict(t *testing.T, c gateCase, v site.Verdict) {
	t.Helper()
	user := ""
	if v.Principal != nil {
		user = v.Principal.User
	}
	if v.Outcome != c.outcome || v.Step != c.step || v.Reason != c.reason || user != c.user || v.OwnToken != c.own || v.Location != c.location {
		t.Errorf("got outcome %d step %d reason %q user %q own %v location %q, want %d %d %q %q %v %q",
			v.Outcome, v.Step, v.Reason, user, v.OwnToken, v.Location, c.outcome, c.step, c.reason, c.user, c.own, c.location)
	}
	switch {
	case v.Outcome == site.Challenge && !strings.HasPrefix(v.Header, `Bearer resource_metadata="https://`) && !strings.HasPrefix(v.Header, `Bearer resource_metadata="http://localhost`):
		t.Errorf("challenge %q", v.Header)
	case v.Error == "access_denied" && v.Header != "":
		t.Errorf("a refused person is challenged: %q", v.Header)
	}
}

func TestChallengeIsExact(t *testing.T) {
	r := newRig(t)
	expired := r.sign(t, map[string]any{"exp": time.Now().Add(-time.Second).Unix()}, nil)
	verdict, _ := r.admit(http.MethodGet, appOrigin+"/x")
	if want := `Bearer resource_metadata="https://app.example.com/.well-known/oauth-protected-resource", scope="user mcp"`; verdict.Header != want || verdict.Error != "" {
		t.Errorf("got %s", verdict.Header)
	}
	verdict, _ = r.admit(http.MethodPost, mcpOrigin+"/mcp")
	if want := `Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="user mcp"`; verdict.Header != want {
		t.Errorf("got %s", verdict.Header)
	}
	verdict, _ = r.admit(http.MethodGet, appOrigin+"/x", "Authorization", "Bearer "+expired)
	if want := `Bearer resource_metadata="https://app.example.com/.well-known/oauth-protected-resource", scope="user mcp", error="invalid_token", error_description="The access token has expired"`; verdict.Header != want {
		t.Errorf("got %s", verdict.Header)
	}
	r.change("app.example.com", func(p *site.Proxy) {
		p.AuthRealm = `the "app"`
		p.ResourceEndpoint = "/"
		p.ResourceScopes = []string{"reports", "admin"}
	})
	verdict, _ = r.admit(http.MethodGet, appOrigin+"/x")
	if want := `Bearer realm="the 'app'", resource_metadata="https://app.example.com/.well-known/oauth-protected-resource", scope="reports"`; verdict.Header != want {
		t.Errorf("got %s", verdict.Header)
	}
	token, _, _ := r.tokens(mcpOrigin, person("alice"), "user")
	verdict, _ = r.admit(http.MethodPost, mcpOrigin+"/mcp", "Authorization", "Bearer "+token)
	if want := `Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp", error="insufficient_scope", error_description="The token needs the scope mcp"`; verdict.Header != want {
		t.Errorf("got %s", verdict.Header)
	}
}
