package test

import (
	"net/http"
	"strings"
)

// gateThreats put a good credential where none may stand, or where it does not
// count, and let other sites' scripts use a visitor's.
func gateThreats() family {
	with := func(headers func(st *stage, token string) []string) func(*stage) answer {
		return func(st *stage) answer { return st.private(headers(st, st.model())...) }
	}
	// session is alice's browser at app.localhost.
	session := func(st *stage) string {
		st.alice.follow(st.app.issuer + "/")
		return "Cookie: __Host-gatehouse=" + st.cookie(st.alice, "app.localhost", "__Host-gatehouse")
	}
	sent := func(method string, headers ...string) func(*stage) answer {
		return func(st *stage) answer {
			return ask(st.t, st.mallory, method, st.app.issuer+"/private", "", append([]string{session(st)}, headers...)...)
		}
	}
	socket := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}
	noCORS := func(st *stage, got answer) answer {
		for _, h := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"} {
			if v := got.Header.Get(h); v != "" {
				st.t.Errorf("%s: %s", h, v)
			}
		}
		return got
	}
	noCredentials := func(st *stage, got answer) answer {
		if v := got.Header.Get("Access-Control-Allow-Credentials"); v != "" || got.Header.Get("Access-Control-Allow-Origin") != "*" {
			st.t.Errorf("scripts may send cookies: %q for %q", v, got.Header.Get("Access-Control-Allow-Origin"))
		}
		return got
	}
	return family{
		name:  "gate",
		about: "A good token or a visitor's session where it must not count, and other sites' scripts.",
		proper: func(st *stage) {
			st.works(st.model())
			if got := st.get(st.app.issuer+"/", session(st)); got.StatusCode != http.StatusOK || strings.Contains(got.Body, "__Host-gatehouse") {
				st.t.Errorf("the session: %d\n%s", got.StatusCode, got.Body)
			}
			if got := ask(st.t, st.mallory, "POST", st.app.issuer+"/", "", session(st), "Origin: "+st.app.issuer); got.StatusCode != http.StatusOK {
				st.t.Errorf("a POST from the host's own page: %d\n%s", got.StatusCode, got.Body)
			}
		},
		rows: []threat{
			{"nothing", "RFC 6750 3; RFC 9728 5.1", "401", func(st *stage) answer {
				got := st.private("Accept: application/json")
				if c := got.Header.Get("WWW-Authenticate"); !strings.Contains(c, `resource_metadata="`+st.app.issuer+`/.well-known/oauth-protected-resource"`) || strings.Contains(c, "error=") {
					st.t.Errorf("the challenge is %q", c)
				}
				return got
			}},
			{"a token in the query", "RFC 6750 2.3; RFC 9700 4.3.2; MCP authorization, Access Token Usage", "401", func(st *stage) answer {
				return st.get(st.app.issuer + "/private?access_token=" + st.model())
			}},
			{"a token in the body", "RFC 6750 2.2; OAuth 2.1 5.1.2", "401", func(st *stage) answer {
				return st.post(st.app.issuer+"/private", map[string][]string{"access_token": {st.model()}})
			}},
			{"a token in a cookie", "RFC 6750 5.3", "401", with(func(_ *stage, token string) []string {
				return []string{"Cookie: __Host-gatehouse=" + token + "; access_token=" + token}
			})},
			{"a token by Basic", "RFC 6750 2.1", "401", with(func(_ *stage, token string) []string { return []string{"Authorization: Basic " + token} })},
			{"a token as DPoP", "RFC 6750 2.1; RFC 9700 4.10.1", "401", with(func(_ *stage, token string) []string { return []string{"Authorization: DPoP " + token} })},
			{"a token in another header", "RFC 6750 2.1", "401", with(func(_ *stage, token string) []string {
				return []string{"X-Authorization: Bearer " + token, "X-Forwarded-Access-Token: " + token, "Proxy-Authorization: Bearer " + token}
			})},
			{"two tokens in two headers", "RFC 6750 2; RFC 6750 3.1", "401 invalid_token", with(func(_ *stage, token string) []string {
				return []string{"Authorization: Bearer " + token, "Authorization: Bearer x"}
			})},
			{"the same token in two headers", "RFC 6750 2", "401 invalid_token", with(func(_ *stage, token string) []string {
				return []string{"Authorization: Bearer " + token, "Authorization: Bearer " + token}
			})},
			{"two tokens in one header", "RFC 6750 2.1", "401 invalid_token", with(func(_ *stage, token string) []string {
				return []string{"Authorization: Bearer " + token + ", Bearer " + token}
			})},
			{"Basic before a token", "RFC 6750 2", "401", with(func(_ *stage, token string) []string {
				return []string{"Authorization: Basic YTpi", "Authorization: Bearer " + token}
			})},
			{"an empty token", "RFC 6750 3.1", "401 invalid_token", with(func(*stage, string) []string { return []string{"Authorization: Bearer "} })},
			{"identity in headers", "RFC 9700 4.13", "401", with(func(*stage, string) []string {
				return []string{"X-Auth-User: local:alice", "X-Auth-Scopes: admin", "Remote-User: alice", "X-Forwarded-User: alice"}
			})},
			{"another path in headers", "RFC 9700 4.13", "401", with(func(*stage, string) []string {
				return []string{"X-Original-URL: /open", "X-Rewrite-URL: /open", "X-Forwarded-Uri: /open", "X-Forwarded-Prefix: /open"}
			})},
			{"what the backend is given of a token", "MCP security, Token Passthrough; RFC 9700 4.9.2", "200", func(st *stage) answer {
				got := st.get(st.app.issuer+"/", "Authorization: Bearer "+st.model(), "Cookie: theme=dark")
				if strings.Contains(got.Body, st.model()) || strings.Contains(got.Body, "Authorization") || !strings.Contains(got.Body, "theme=dark") {
					st.t.Errorf("the backend saw\n%s", got.Body)
				}
				return got
			}},
			{"what the backend is given of a session", "MCP security, Session Hijacking; RFC 9700 4.9.2", "200", func(st *stage) answer {
				got := st.get(st.app.issuer+"/", session(st)+"; __Host-gatehouse-browser="+random()+"; theme=dark")
				if strings.Contains(got.Body, "gatehouse-browser") || strings.Contains(got.Body, "__Host-gatehouse=") || !strings.Contains(got.Body, "theme=dark") {
					st.t.Errorf("the backend saw\n%s", got.Body)
				}
				return got
			}},
			{"a path below an open one, and up again", "RFC 9700 4.13", "401", func(st *stage) answer {
				return st.raw("app.localhost", "GET /open/../private HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
			}},
			{"the same, encoded", "RFC 9700 4.13", "401", func(st *stage) answer { return st.get(st.app.issuer + "/open/%2e%2e/private") }},
			{"a visitor's POST by another site", "RFC 6749 10.12; RFC 6265 8.2", "403 cross_origin", sent("POST", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site")},
			{"a visitor's POST by another host of ours", "RFC 6749 10.12; RFC 6265 8.6", "403 cross_origin", func(st *stage) answer { return sent("POST", "Origin: "+st.other.issuer)(st) }},
			{"a visitor's POST by the same name on another port", "RFC 6265 8.5; RFC 6265 8.6", "403 cross_origin", sent("POST", "Origin: https://app.localhost")},
			{"a visitor's POST by the same name over http", "RFC 6265 8.6", "403 cross_origin", func(st *stage) answer { return sent("POST", "Origin: http"+st.app.issuer[5:])(st) }},
			{"a visitor's POST by a sandboxed frame", "RFC 6749 10.12", "403 cross_origin", sent("POST", "Origin: null")},
			{"a visitor's POST that does not say where from", "RFC 6749 10.12", "403 cross_origin", sent("POST")},
			{"a visitor's POST with two origins", "RFC 6749 10.12", "403 cross_origin", func(st *stage) answer {
				return sent("POST", "Origin: "+st.app.issuer, "Origin: https://evil.example")(st)
			}},
			{"a visitor's DELETE by another site", "RFC 6749 10.12", "403 cross_origin", sent("DELETE", "Origin: https://evil.example")},
			{"a visitor's WebSocket by another site", "RFC 6749 10.12; MCP transports, Security Warning", "403 cross_origin", func(st *stage) answer {
				return st.raw("app.localhost", "GET /private HTTP/1.1\r\nHost: app.localhost\r\n"+session(st)+"\r\nOrigin: https://evil.example\r\n"+strings.Join(socket, "\r\n")+"\r\n\r\n")
			}},
			{"a visitor's session at an MCP endpoint", "MCP security, Session Hijacking; RFC 6749 10.12", "401", func(st *stage) answer {
				st.alice.follow(st.s.url("tools.localhost", "/"))
				return st.get(st.s.url("tools.localhost", "/mcp/private"), "Cookie: __Host-gatehouse="+st.cookie(st.alice, "tools.localhost", "__Host-gatehouse"))
			}},
			{"an MCP endpoint called by another site", "MCP transports, Security Warning", "403 cross_origin", func(st *stage) answer {
				return ask(st.t, st.mallory, "POST", st.s.url("tools.localhost", "/mcp/private"), "{}", "Origin: https://evil.example", "Authorization: Bearer "+st.model())
			}},
			{"an MCP endpoint called by a site that begins like localhost", "MCP transports, Security Warning", "403 cross_origin", func(st *stage) answer {
				return ask(st.t, st.mallory, "POST", st.s.url("tools.localhost", "/mcp/private"), "{}", "Origin: http://localhost.evil.example")
			}},
			{"another site asks whether it may call an MCP endpoint", "MCP transports, Security Warning", "403 cross_origin", func(st *stage) answer {
				return noCORS(st, ask(st.t, st.mallory, "OPTIONS", st.s.url("tools.localhost", "/mcp/private"), "", "Origin: https://evil.example", "Access-Control-Request-Method: POST"))
			}},
			{"another site asks whether it may call the API", "RFC 9700 2.6; RFC 6265 8.2", "204", func(st *stage) answer {
				return noCORS(st, ask(st.t, st.mallory, "OPTIONS", st.home("/proxies/"), "", "Origin: https://evil.example", "Access-Control-Request-Method: POST"))
			}},
			{"another site asks for tokens with cookies", "RFC 9700 2.6; RFC 6265 8.2", "400 invalid_request", func(st *stage) answer {
				return noCredentials(st, st.post(st.app.issuer+"/token", nil, "Origin: https://evil.example", session(st)))
			}},
			{"another site asks whether it may ask for tokens with cookies", "RFC 9700 2.6", "204", func(st *stage) answer {
				return noCredentials(st, ask(st.t, st.mallory, "OPTIONS", st.app.issuer+"/token", "", "Origin: https://evil.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"))
			}},
			{"another site asks to authorize by script", "RFC 9700 2.6; RFC 6749 10.12", "to /consent", func(st *stage) answer {
				return noCORS(st, st.get(st.app.request(nil), "Origin: https://evil.example", "Sec-Fetch-Mode: cors"))
			}},
			{"an API change by a visitor's session from another site", "RFC 6749 10.12", "403 cross_origin", func(st *stage) answer {
				return ask(st.t, st.alice.c, "POST", st.home("/proxies/"), `{"proxy_hostname":"evil.localhost","target_url":"http://127.0.0.1:9"}`, "Origin: https://evil.example", "Content-Type: text/plain")
			}},
			{"an API change by a visitor's session from a backend", "RFC 6749 10.12; RFC 6265 8.6", "403 cross_origin", func(st *stage) answer {
				return ask(st.t, st.alice.c, "DELETE", st.home("/proxies/app.localhost"), "", "Origin: "+st.app.issuer)
			}},
		},
	}
}
