package test

import (
	"maps"
	"net/http"
	"net/url"
)

// refreshThreats are those of somebody who has got hold of a refresh token.
func refreshThreats() family {
	// stolen presents alice's refresh token with changes; it must go on working.
	stolen := func(changes func(st *stage) url.Values, headers ...string) func(*stage) answer {
		return func(st *stage) answer {
			out := st.tokens(st.app, nil)
			form := url.Values{"grant_type": {"refresh_token"}, "client_id": {st.app.id}, "refresh_token": {out.Refresh}}
			maps.Copy(form, changes(st))
			got := st.post(st.app.issuer+"/token", form, headers...)
			if again, _ := st.app.refresh(out.Refresh); again.StatusCode != http.StatusOK {
				st.t.Errorf("the client's own use afterwards: %d %s", again.StatusCode, again.Body)
			}
			return got
		}
	}
	return family{
		name:  "refresh",
		about: "A refresh token that alice's program was given, in other hands or for more than it was given for.",
		proper: func(st *stage) {
			got, out := st.app.refresh(st.tokens(st.app, nil).Refresh)
			if got.StatusCode != http.StatusOK || out.Scope != "user" {
				st.t.Errorf("%d %s", got.StatusCode, got.Body)
			}
		},
		rows: []threat{
			{"by another client", "RFC 6749 10.4; RFC 6749 6; RFC 9700 4.14", "400 invalid_grant", stolen(func(st *stage) url.Values { return url.Values{"client_id": {st.thief.id}} })},
			{"by a confidential client", "RFC 6749 10.4; RFC 6749 6", "400 invalid_grant", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				return st.post(st.app.issuer+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out.Refresh}}, basicAuth(st.vault.id, st.secret))
			}},
			{"without a client", "RFC 6749 6", "400 invalid_request", stolen(func(*stage) url.Values { return url.Values{"client_id": {""}} })},
			{"at another issuer", "RFC 9700 4.4; RFC 9700 4.14.2", "401 invalid_client", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				return st.post(st.other.issuer+"/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {st.app.id}, "refresh_token": {out.Refresh}})
			}},
			{"at another issuer, by a client of that one", "RFC 9700 4.4; RFC 9700 4.14.2", "400 invalid_grant", func(st *stage) answer {
				got, _ := st.other.refresh(st.tokens(st.app, nil).Refresh)
				return got
			}},
			{"for more scope", "RFC 6749 6; RFC 9700 2.3; MCP security, Scope Minimization", "400 invalid_scope", stolen(func(*stage) url.Values { return url.Values{"scope": {"user admin"}} })},
			{"for another scope", "RFC 6749 6", "400 invalid_scope", stolen(func(*stage) url.Values { return url.Values{"scope": {"mcp"}} })},
			{"for scopes that nobody knows", "RFC 6749 6", "400 invalid_scope", stolen(func(*stage) url.Values { return url.Values{"scope": {"root"}} })},
			{"for another resource", "RFC 8707 2.2; RFC 9700 4.10.2", "400 invalid_target", stolen(func(st *stage) url.Values { return url.Values{"resource": {st.other.issuer}} })},
			{"for the API", "RFC 8707 2.2", "400 invalid_target", stolen(func(st *stage) url.Values { return url.Values{"resource": {st.home("/mcp")}} })},
			{"for one resource more", "RFC 8707 2.2", "400 invalid_target", stolen(func(st *stage) url.Values { return url.Values{"resource": {st.app.issuer, st.other.issuer}} })},
			{"with one letter changed", "RFC 6749 10.10", "400 invalid_grant", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				last := out.Refresh[len(out.Refresh)-1]
				got, _ := st.app.refresh(out.Refresh[:len(out.Refresh)-1] + sibling(last))
				return got
			}},
			{"guessed", "RFC 6749 10.10; RFC 6749 10.4", "400 invalid_grant", func(st *stage) answer {
				got, _ := st.app.refresh(random() + "." + random())
				return got
			}},
			{"with a NUL behind it", "RFC 6749 10.14", "400 invalid_grant", func(st *stage) answer {
				got, _ := st.app.refresh(st.tokens(st.app, nil).Refresh + "\x00")
				return got
			}},
			{"two of them", "RFC 6749 3.2", "400 invalid_request", stolen(func(*stage) url.Values { return url.Values{"refresh_token": {"x", "y"}} })},
			{"none", "RFC 6749 6", "400 invalid_request", stolen(func(*stage) url.Values { return url.Values{"refresh_token": {""}} })},
			{"in the query", "RFC 6749 3.2; RFC 9700 4.3.2", "400 invalid_request", func(st *stage) answer {
				form := url.Values{"grant_type": {"refresh_token"}, "client_id": {st.app.id}, "refresh_token": {st.tokens(st.app, nil).Refresh}}
				return st.post(st.app.issuer+"/token?"+form.Encode(), nil)
			}},
			{"for a bearer token", "RFC 6749 1.5; RFC 6750 2.1", "401 invalid_token", func(st *stage) answer {
				return st.private("Authorization: Bearer " + st.tokens(st.app, nil).Refresh)
			}},
			{"an access token in its place", "RFC 6749 6; RFC 8725 3.12", "400 invalid_grant", func(st *stage) answer {
				got, _ := st.app.refresh(st.tokens(st.app, nil).Access)
				return got
			}},
			{"again and again: the ninth branch", "RFC 9700 4.14.2; RFC 6749 10.4", "400 invalid_grant", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				for range 8 {
					st.app.refresh(out.Refresh)
				}
				got, _ := st.app.refresh(out.Refresh)
				return got
			}},
			{"again and again: the family ends", "RFC 9700 4.14.2; RFC 6749 10.4", "401 invalid_token", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				for range 9 {
					st.app.refresh(out.Refresh)
				}
				return st.private("Authorization: Bearer " + out.Access)
			}},
			{"of a person whose account is gone", "RFC 6749 10.4; RFC 9700 2.2.2", "400 invalid_grant", func(st *stage) answer {
				carol := st.account("carol", "user")
				got, out := st.app.exchange(st.app.code(carol, nil), nil)
				if got.StatusCode != http.StatusOK {
					st.t.Fatalf("carol's tokens: %d %s", got.StatusCode, got.Body)
				}
				st.s.signed(st.t, "DELETE", "/oauth/users/carol", "")
				got, _ = st.app.refresh(out.Refresh)
				return got
			}},
			{"for scope that its person has lost", "RFC 9700 2.3; RFC 6749 6", "403 insufficient_scope", func(st *stage) answer {
				c := st.s.register(st.t, "tools.localhost", "http://127.0.0.1:9/back")
				_, out := c.exchange(c.code(st.bob, url.Values{"scope": {"user mcp"}}), nil)
				st.s.signed(st.t, "PUT", "/proxies/tools.localhost", `{"oauth_mcp_users":["local:nobody"]}`)
				defer st.s.signed(st.t, "PUT", "/proxies/tools.localhost", `{"oauth_mcp_users":["*"]}`)
				_, next := c.refresh(out.Refresh)
				if out.Scope != "user mcp" || next.Scope != "user" {
					st.t.Errorf("the scope was %q and is %q", out.Scope, next.Scope)
				}
				return st.get(c.issuer+"/mcp/private", "Authorization: Bearer "+next.Access)
			}},
		},
	}
}
