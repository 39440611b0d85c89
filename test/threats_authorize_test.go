package test

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// requestThreats spoil an authorization request otherwise.
func requestThreats() family {
	plain := url.Values{"code_challenge_method": {"plain"}, "code_challenge": {strings.Repeat("v", 43)}}
	return family{
		name:  "authorize",
		about: "Authorization requests of a registered client that ask for what it may not have, or say it in a way that could be read twice.",
		proper: func(st *stage) {
			for _, got := range []answer{st.get(st.app.request(nil)), st.get(st.app.request(url.Values{"state": nil})), st.get(st.app.request(url.Values{"resource": {st.app.issuer, st.app.issuer + "/"}}))} {
				st.judge("to /consent", got)
			}
		},
		rows: []threat{
			{"no PKCE", "RFC 9700 2.1.1; RFC 7636 4.4.1; OAuth 2.1 4.1.1", "back invalid_request", authorized(url.Values{"code_challenge": nil, "code_challenge_method": nil})},
			{"PKCE plain", "RFC 9700 2.1.1; RFC 7636 7.2", "back invalid_request", authorized(plain)},
			{"PKCE without a method, which means plain", "RFC 7636 4.3; RFC 9700 4.8", "back invalid_request", authorized(url.Values{"code_challenge_method": nil})},
			{"a PKCE method in another case", "RFC 7636 4.3", "back invalid_request", authorized(url.Values{"code_challenge_method": {"s256"}})},
			{"an unknown PKCE method", "RFC 7636 4.4.1", "back invalid_request", authorized(url.Values{"code_challenge_method": {"none"}})},
			{"an empty challenge", "RFC 7636 4.4.1; RFC 9700 4.8", "back invalid_request", authorized(url.Values{"code_challenge": {""}})},
			{"a short challenge", "RFC 7636 4.2", "back invalid_request", authorized(url.Values{"code_challenge": {"abc"}})},
			{"a challenge that is no base64url", "RFC 7636 4.2", "back invalid_request", authorized(url.Values{"code_challenge": {strings.Repeat("+", 43)}})},
			{"two challenges", "RFC 6749 3.1; RFC 7636 4.3", "back invalid_request", authorized(url.Values{"code_challenge": {strings.Repeat("a", 43), strings.Repeat("b", 43)}})},
			{"two challenge methods", "RFC 6749 3.1; RFC 9700 4.8", "back invalid_request", authorized(url.Values{"code_challenge_method": {"S256", "plain"}})},
			{"the implicit flow", "RFC 9700 2.1.2; RFC 6749 4.2", "back unsupported_response_type", authorized(url.Values{"response_type": {"token"}})},
			{"a hybrid flow", "RFC 9700 2.1.2", "back unsupported_response_type", authorized(url.Values{"response_type": {"code id_token token"}})},
			{"no response type", "RFC 6749 4.1.2.1", "back invalid_request", authorized(url.Values{"response_type": nil})},
			{"two response types", "RFC 6749 3.1", "back invalid_request", authorized(url.Values{"response_type": {"code", "token"}})},
			{"the answer in a fragment", "RFC 9700 4.3.1", "back invalid_request", authorized(url.Values{"response_mode": {"fragment"}})},
			{"the answer by a window's message", "RFC 9700 4.17", "back invalid_request", authorized(url.Values{"response_mode": {"web_message"}})},
			{"the answer in a form", "RFC 6749 4.1.2", "back invalid_request", authorized(url.Values{"response_mode": {"form_post"}})},
			{"an unsigned request object", "RFC 8725 3.1; RFC 6749 4.1.2.1", "back request_not_supported", authorized(url.Values{"request": {"eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImFkbWluIn0."}})},
			{"a request by reference into this network", "MCP security, Server-Side Request Forgery (SSRF)", "back request_uri_not_supported", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"request_uri": {st.bait.url + "/request"}}))
			}},
			{"no client", "RFC 6749 4.1.1", "page 400 client_id", authorized(url.Values{"client_id": nil})},
			{"an unknown client", "RFC 6749 4.1.2.1; RFC 6749 10.2", "page 400 not registered here", authorized(url.Values{"client_id": {"AAAAAAAAAAAAAAAAAAAAAA"}})},
			{"two clients", "RFC 6749 3.1; RFC 6749 10.2", "page 400 more than once", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"client_id": {st.app.id, st.thief.id}}))
			}},
			{"markup for a client", "RFC 6749 10.14", "page 400 not registered here", authorized(url.Values{"client_id": {`"'>` + markup + ` onload=alert(1)>`}})},
			{"a NUL in the client", "RFC 6749 10.14", "page 400 not registered here", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"client_id": {st.app.id + "\x00"}}))
			}},
			{"a client of another issuer", "RFC 9700 4.4; MCP security, Confused Deputy Problem", "page 400 not registered here", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"client_id": {st.other.id}}))
			}},
			{"the command line's own client, which has no redirect", "RFC 8252 8.6; RFC 6749 10.2", "page 400 has not registered", authorized(url.Values{"client_id": {"device_flow_client"}})},
			{"another host's resource", "RFC 8707 2.1; RFC 9700 2.3; MCP authorization, Token Audience Binding and Validation", "back invalid_target", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"resource": {st.other.issuer}}))
			}},
			{"the API's resource", "RFC 8707 2.1; RFC 9700 2.3", "back invalid_target", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"resource": {st.home("/mcp")}}))
			}},
			{"one's own resource at an issuer that another host replaces", "RFC 8707 2.1; RFC 9700 4.4", "400", func(st *stage) answer {
				c := st.s.register(st.t, "partner.localhost", "http://127.0.0.1:9/back")
				got := st.get(c.request(nil))
				to, err := got.Location()
				if err != nil || to.Query().Get("error") != "invalid_target" || to.Query().Has("code") {
					st.t.Errorf("%d to %v", got.StatusCode, to)
				}
				return st.post(c.issuer+"/device/code", url.Values{"client_id": {"device_flow_client"}})
			}},
			{"a stranger's resource", "RFC 8707 2; RFC 9700 4.9.1", "back invalid_target", authorized(url.Values{"resource": {"https://evil.example/"}})},
			{"a resource that begins like the host's", "RFC 8707 2", "back invalid_target", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"resource": {st.app.issuer + ".evil.example"}}))
			}},
			{"a resource with a user", "RFC 8707 2", "back invalid_target", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"resource": {strings.Replace(st.app.issuer, "://", "://x@", 1)}}))
			}},
			{"a resource with a fragment", "RFC 8707 2", "back invalid_target", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"resource": {st.app.issuer + "#x"}}))
			}},
			{"a resource by plain http", "RFC 8707 2; RFC 9700 4.9.1", "back invalid_target", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"resource": {strings.Replace(st.app.issuer, "https:", "http:", 1)}}))
			}},
			{"two resources", "RFC 8707 2; RFC 9700 4.10.2", "back invalid_target", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"resource": {st.app.issuer, st.other.issuer}}))
			}},
			{"scopes that nobody knows", "RFC 6749 3.3", "back invalid_scope", authorized(url.Values{"scope": {"root superuser"}})},
			{"two lists of scopes", "RFC 6749 3.1; RFC 6749 3.3", "back invalid_request", authorized(url.Values{"scope": {"user", "admin"}})},
			{"twelve thousand scopes", "RFC 6749 3.3; RFC 6749 10.14", "back invalid_scope", func(st *stage) answer {
				begun := time.Now()
				got := st.get(st.app.request(url.Values{"scope": {many(12_000)}}))
				if took := time.Since(begun); took > 2*time.Second {
					st.t.Errorf("one request kept it busy for %v", took)
				}
				return got
			}},
			{"a person who is not asked", "RFC 9700 4.15; MCP security, Confused Deputy Problem", "back interaction_required", authorized(url.Values{"prompt": {"none"}})},
			{"two states", "RFC 6749 3.1; RFC 9700 4.7", "back invalid_request", authorized(url.Values{"state": {"a", "b"}})},
			{"a state that splits the answer", "RFC 6749 10.14; RFC 9112 2.2", "back invalid_request", func(st *stage) answer {
				got := st.get(st.app.request(url.Values{"state": {"x\r\nSet-Cookie: evil=1\r\n\r\n" + markup}, "code_challenge": nil}))
				if to, err := got.Location(); err != nil || to.Query().Get("state") != "x\r\nSet-Cookie: evil=1\r\n\r\n"+markup {
					st.t.Errorf("the state came back as %v", to)
				}
				return got
			}},
			{"a scope that splits the answer", "RFC 6749 10.14; RFC 9112 2.2", "back invalid_scope", authorized(url.Values{"scope": {"x\r\nLocation: https://evil.example/"}})},
			{"a parameter that is not well encoded", "RFC 6749 3.1; RFC 6749 10.14", "page 400 client_id", func(st *stage) answer {
				return st.get(st.app.issuer + "/authorize?client_id=%zz&redirect_uri=https://evil.example/")
			}},
			{"semicolons between parameters", "RFC 6749 3.1", "page 400 client_id", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"scope": nil}) + "&scope=user;scope=admin")
			}},
			{"a query of 60 KiB", "RFC 6749 10.14", "back invalid_request", authorized(url.Values{"code_challenge": {strings.Repeat("a", 60<<10)}})},
			{"a body of 70 KiB", "RFC 6749 10.14", "page 400 client_id", func(st *stage) answer {
				return st.post(st.app.issuer+"/authorize", url.Values{"client_id": {st.app.id}, "state": {strings.Repeat("a", 70<<10)}})
			}},
			{"parameters split between query and body", "RFC 6749 3.1; RFC 9700 4.1.3", "page 400 client_id", func(st *stage) answer {
				return st.post(st.app.request(nil), url.Values{"redirect_uri": {"https://evil.example/"}})
			}},
			{"a body of another kind", "RFC 6749 3.1", "page 400 client_id", func(st *stage) answer {
				return ask(st.t, st.mallory, "POST", st.app.issuer+"/authorize", `{"client_id":"`+st.app.id+`"}`, "Content-Type: application/json")
			}},
		},
	}
}

// many is n different words.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strconv.FormatInt(int64(i), 36) + " ")
	}
	return b.String()
}
