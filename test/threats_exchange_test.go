package test

import (
	"maps"
	"net/http"
	"net/url"
	"time"
)

const (
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessType    = "urn:ietf:params:oauth:token-type:access_token"
)

// exchanged asks for a token in exchange for another, as c.
func (st *stage) exchanged(c *oauthClient, subject string, more url.Values) answer {
	st.t.Helper()
	form := url.Values{"grant_type": {exchangeGrant}, "client_id": {c.id}, "subject_token": {subject}, "subject_token_type": {accessType}}
	maps.Copy(form, more)
	return st.post(c.issuer+"/token", form)
}

// exchangeThreats try to get more by an exchange than they put in.
func exchangeThreats() family {
	trader := func(st *stage) *oauthClient {
		if st.trader == nil {
			made := st.enroll("app.localhost", map[string]any{"client_name": "trader", "redirect_uris": []string{"http://127.0.0.1:9/back"}, "token_endpoint_auth_method": "none",
				"grant_types": []string{"authorization_code", "refresh_token", exchangeGrant}})
			st.trader = &oauthClient{s: st.s, c: st.mallory, issuer: st.app.issuer, id: made.ID, redirect: "http://127.0.0.1:9/back", verifier: random()}
		}
		st.trader.t = st.t
		return st.trader
	}
	spoiled := func(name, refs, want string, more func(st *stage) url.Values) threat {
		return threat{name, refs, want, func(st *stage) answer {
			c := trader(st)
			return st.exchanged(c, st.tokens(c, url.Values{"scope": {"user mcp"}}).Access, more(st))
		}}
	}
	subject := func(name, refs, want string, token func(st *stage, c *oauthClient) string) threat {
		return threat{name, refs, want, func(st *stage) answer {
			c := trader(st)
			return st.exchanged(c, token(st, c), nil)
		}}
	}
	fixed := func(v url.Values) func(*stage) url.Values { return func(*stage) url.Values { return v } }
	return family{
		name:  "exchange",
		about: "Token exchange for more than the subject token has, and of subject tokens that are not the caller's.",
		proper: func(st *stage) {
			c := trader(st)
			out := st.tokens(c, url.Values{"scope": {"user mcp"}})
			var narrow tokens
			got := st.exchanged(c, out.Access, url.Values{"scope": {"user"}})
			decode(st.t, got.Body, &narrow)
			if got.StatusCode != http.StatusOK || narrow.Scope != "user" || narrow.Refresh != "" {
				st.t.Fatalf("a narrower one: %d %s", got.StatusCode, got.Body)
			}
			st.works(narrow.Access)
		},
		rows: []threat{
			spoiled("for more scope", "RFC 8693 2.1; RFC 9700 2.3; MCP security, Scope Minimization", "400 invalid_scope", fixed(url.Values{"scope": {"user mcp admin"}})),
			spoiled("for scopes that nobody knows", "RFC 8693 2.1", "400 invalid_scope", fixed(url.Values{"scope": {"root"}})),
			spoiled("for another resource", "RFC 8693 2.1; RFC 8707 2.2; RFC 9700 4.10.2", "400 invalid_target", func(st *stage) url.Values { return url.Values{"resource": {st.other.issuer}} }),
			spoiled("for another audience", "RFC 8693 2.1; RFC 9700 4.10.2", "400 invalid_target", func(st *stage) url.Values { return url.Values{"audience": {st.home("/mcp")}} }),
			spoiled("for one resource more", "RFC 8693 2.1; RFC 8707 2.2", "400 invalid_target", func(st *stage) url.Values { return url.Values{"resource": {st.app.issuer, st.other.issuer}} }),
			spoiled("for a refresh token", "RFC 8693 2.1; RFC 9700 4.14", "400 invalid_request", fixed(url.Values{"requested_token_type": {"urn:ietf:params:oauth:token-type:refresh_token"}})),
			spoiled("for an ID token", "RFC 8693 2.1", "400 invalid_request", fixed(url.Values{"requested_token_type": {"urn:ietf:params:oauth:token-type:id_token"}})),
			spoiled("to act for somebody else", "RFC 8693 2.1; MCP security, Confused Deputy Problem", "400 invalid_request", fixed(url.Values{"actor_token": {"x"}, "actor_token_type": {accessType}})),
			spoiled("of a token of another kind", "RFC 8693 2.1", "400 invalid_request", fixed(url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:saml2"}})),
			spoiled("of a token of no kind", "RFC 8693 2.1", "400 invalid_request", fixed(url.Values{"subject_token_type": {""}})),
			spoiled("of two tokens", "RFC 6749 3.2; RFC 8693 2.1", "400 invalid_request", fixed(url.Values{"subject_token": {"x", "y"}})),
			spoiled("by nobody", "RFC 8693 2.1; RFC 6749 3.2.1", "400 invalid_request", fixed(url.Values{"client_id": {""}})),
			spoiled("by a client that did not register for it", "RFC 6749 5.2", "400 unauthorized_client", func(st *stage) url.Values { return url.Values{"client_id": {st.thief.id}} }),
			subject("of another client's token", "RFC 8693 2.1; MCP security, Token Passthrough", "400 invalid_request", func(st *stage, _ *oauthClient) string { return st.model() }),
			subject("of a refresh token", "RFC 8693 2.1", "400 invalid_request", func(st *stage, c *oauthClient) string { return st.tokens(c, nil).Refresh }),
			subject("of a forged token", "RFC 8693 2.1; RFC 8725 3.3", "400 invalid_request", func(st *stage, c *oauthClient) string {
				h, claims, _ := parts(st.t, st.tokens(c, nil).Access)
				return segmentOf(h, members{"alg": "none"}) + "." + segmentOf(claims, nil) + "."
			}),
			subject("of a token with more scope than its grant", "RFC 8693 2.1; RFC 9700 2.3", "400 invalid_request", func(st *stage, c *oauthClient) string {
				h, claims, sig := parts(st.t, st.tokens(c, nil).Access)
				return segmentOf(h, nil) + "." + segmentOf(claims, members{"scope": "user mcp admin"}) + "." + sig
			}),
			subject("of an expired token", "RFC 8693 2.1; RFC 7519 4.1.4", "400 invalid_request", func(st *stage, c *oauthClient) string {
				h, claims, _ := parts(st.t, st.tokens(c, nil).Access)
				text := segmentOf(h, nil) + "." + segmentOf(claims, members{"exp": time.Now().Unix() - 1})
				return text + "." + rs256(text, st.key)
			}),
			subject("of a revoked token", "RFC 8693 2.1; RFC 7009 2.2", "400 invalid_request", func(st *stage, c *oauthClient) string {
				out := st.tokens(c, nil)
				st.post(c.issuer+"/revoke", url.Values{"client_id": {c.id}, "token": {out.Access}})
				return out.Access
			}),
			subject("of a token whose grant has ended", "RFC 8693 2.1; RFC 7009 2.1", "400 invalid_request", func(st *stage, c *oauthClient) string {
				out := st.tokens(c, nil)
				st.post(c.issuer+"/revoke", url.Values{"client_id": {c.id}, "token": {out.Refresh}})
				return out.Access
			}),
			{"at another issuer", "RFC 8693 2.1; RFC 9700 4.4", "401 invalid_client", func(st *stage) answer {
				c := trader(st)
				return st.post(st.other.issuer+"/token", url.Values{"grant_type": {exchangeGrant}, "client_id": {c.id}, "subject_token": {st.tokens(c, nil).Access}, "subject_token_type": {accessType}})
			}},
			{"what it gave, after the end of what it came from", "RFC 8693 2.1; RFC 7009 2.1", "401 invalid_token", func(st *stage) answer {
				c := trader(st)
				out := st.tokens(c, nil)
				var narrow tokens
				decode(st.t, st.exchanged(c, out.Access, nil).Body, &narrow)
				st.post(c.issuer+"/revoke", url.Values{"client_id": {c.id}, "token": {out.Access}})
				return st.private("Authorization: Bearer " + narrow.Access)
			}},
			{"what it gave, for more again", "RFC 8693 2.1; RFC 9700 2.3", "400 invalid_scope", func(st *stage) answer {
				c := trader(st)
				var narrow tokens
				decode(st.t, st.exchanged(c, st.tokens(c, url.Values{"scope": {"user mcp"}}).Access, url.Values{"scope": {"user"}}).Body, &narrow)
				return st.exchanged(c, narrow.Access, url.Values{"scope": {"user mcp"}})
			}},
			{"the rights of a client that nobody gave any", "RFC 6749 4.4; RFC 9700 4.15", "400 unauthorized_client", func(st *stage) answer {
				return st.post(st.vault.issuer+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"user"}}, basicAuth(st.vault.id, st.secret))
			}},
			{"the rights of a client, for another person", "RFC 9700 4.15; RFC 6749 4.4", "400 ", func(st *stage) answer {
				return st.post(st.vault.issuer+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"user"}, "sub": {"local:alice"}, "username": {"local:alice"}}, basicAuth(st.vault.id, st.secret))
			}},
			{"a token made for a client, as if it were a person's", "RFC 9700 4.15; RFC 9068 5", "403 access_denied", func(st *stage) answer {
				h, claims, _ := parts(st.t, st.model())
				text := segmentOf(h, nil) + "." + segmentOf(claims, members{"aud": st.s.url("only.localhost", ""), "iss": st.s.url("only.localhost", ""), "sub": "client:local:alice", "username": "client:alice"})
				return st.get(st.s.url("only.localhost", "/private"), "Authorization: Bearer "+text+"."+rs256(text, st.key))
			}},
		},
	}
}
