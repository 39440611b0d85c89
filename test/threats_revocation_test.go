package test

import (
	"net/http"
	"net/url"
	"strings"
)

// revocationThreats end or look at tokens that are others'.
func revocationThreats() family {
	// others asks as somebody about alice's tokens, which must go on working.
	others := func(path string, by func(st *stage) (form url.Values, headers []string), pick func(tokens) string) func(*stage) answer {
		return func(st *stage) answer {
			out := st.tokens(st.app, nil)
			form, headers := by(st)
			if form == nil {
				form = url.Values{}
			}
			form.Set("token", pick(out))
			got := st.post(st.app.issuer+path, form, headers...)
			st.works(out.Access)
			if again, _ := st.app.refresh(out.Refresh); again.StatusCode != http.StatusOK {
				st.t.Errorf("the refresh token was harmed: %d %s", again.StatusCode, again.Body)
			}
			return got
		}
	}
	access, refresh := func(o tokens) string { return o.Access }, func(o tokens) string { return o.Refresh }
	thief := func(st *stage) (url.Values, []string) { return url.Values{"client_id": {st.thief.id}}, nil }
	vault := func(st *stage) (url.Values, []string) { return nil, []string{basicAuth(st.vault.id, st.secret)} }
	nobody := func(*stage) (url.Values, []string) { return nil, nil }
	quiet := func(st *stage, got answer) answer {
		if strings.TrimSpace(got.Body) != `{"active":false}` {
			st.t.Errorf("it tells %s", got.Body)
		}
		return got
	}
	return family{
		name:  "revocation and introspection",
		about: "Clients that end or look at tokens which are not theirs.",
		proper: func(st *stage) {
			out := st.tokens(st.app, nil)
			got := st.post(st.app.issuer+"/introspect", url.Values{"token": {out.Access}}, basicAuth(st.vault.id, st.secret))
			if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"active":true`) {
				st.t.Errorf("introspection: %d %s", got.StatusCode, got.Body)
			}
			if got := st.post(st.app.issuer+"/revoke", url.Values{"client_id": {st.app.id}, "token": {out.Access}}); got.StatusCode != http.StatusOK {
				st.t.Errorf("revocation: %d %s", got.StatusCode, got.Body)
			}
			if got := st.private("Authorization: Bearer " + out.Access); got.StatusCode != http.StatusUnauthorized {
				st.t.Errorf("after it: %d", got.StatusCode)
			}
			st.loot()
		},
		rows: []threat{
			{"another's access token revoked", "RFC 7009 2.1; RFC 7009 5", "400 invalid_grant", others("/revoke", thief, access)},
			{"another's refresh token revoked", "RFC 7009 2.1; RFC 7009 5", "400 invalid_grant", others("/revoke", thief, refresh)},
			{"revoked without a client", "RFC 7009 2.1", "400 invalid_request", others("/revoke", nobody, refresh)},
			{"revoked by an unknown client", "RFC 7009 2.1", "401 invalid_client", others("/revoke", func(*stage) (url.Values, []string) { return url.Values{"client_id": {"x"}}, nil }, refresh)},
			{"revoked in a confidential client's name", "RFC 7009 2.1; RFC 6749 10.2", "401 invalid_client", others("/revoke", func(st *stage) (url.Values, []string) { return url.Values{"client_id": {st.vault.id}}, nil }, refresh)},
			{"revoked at another issuer", "RFC 7009 2.1; RFC 9700 4.4", "400 invalid_grant", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				got := st.post(st.other.issuer+"/revoke", url.Values{"client_id": {st.other.id}, "token": {out.Access}})
				st.works(out.Access)
				return got
			}},
			{"revoked by a link", "RFC 7009 2; RFC 7009 2.3", "405 invalid_request", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				got := st.get(st.app.issuer + "/revoke?client_id=" + st.app.id + "&token=" + url.QueryEscape(out.Access) + "&callback=alert")
				st.works(out.Access)
				return got
			}},
			{"revoked by the query of a POST", "RFC 7009 2.1", "400 invalid_request", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				got := st.post(st.app.issuer+"/revoke?token="+url.QueryEscape(out.Access), url.Values{"client_id": {st.app.id}})
				st.works(out.Access)
				return got
			}},
			{"used after its revocation", "RFC 7009 2.2; RFC 9700 4.10", "401 invalid_token", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				st.post(st.app.issuer+"/revoke", url.Values{"client_id": {st.app.id}, "token": {out.Access}})
				return st.private("Authorization: Bearer " + out.Access)
			}},
			{"an access token used after its refresh token's revocation", "RFC 7009 2.1; RFC 7009 5", "401 invalid_token", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				st.post(st.app.issuer+"/revoke", url.Values{"client_id": {st.app.id}, "token": {out.Refresh}, "token_type_hint": {"access_token"}})
				return st.private("Authorization: Bearer " + out.Access)
			}},
			{"looked at by nobody", "RFC 7662 2.1; RFC 7662 4", "401 invalid_client", others("/introspect", nobody, access)},
			{"looked at by a public client", "RFC 7662 2.1; RFC 7662 4", "401 invalid_client", others("/introspect", thief, access)},
			{"looked at by a public client that says its name by Basic", "RFC 7662 2.1; RFC 7662 4", "401 invalid_client", others("/introspect", func(st *stage) (url.Values, []string) {
				return nil, []string{basicAuth(st.thief.id, "")}
			}, access)},
			{"looked at with the token itself for a credential", "RFC 7662 2.1; RFC 7662 4", "401 invalid_client", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				return st.post(st.app.issuer+"/introspect", url.Values{"token": {out.Access}}, "Authorization: Bearer "+out.Access)
			}},
			{"looked at with a wrong secret", "RFC 7662 4; RFC 6749 10.10", "401 invalid_client", others("/introspect", func(st *stage) (url.Values, []string) {
				return nil, []string{basicAuth(st.vault.id, random())}
			}, access)},
			{"another's refresh token looked at", "RFC 7662 2.2; RFC 7662 4", "200", func(st *stage) answer { return quiet(st, others("/introspect", vault, refresh)(st)) }},
			{"another issuer's token looked at", "RFC 7662 4; RFC 9700 4.4", "200", func(st *stage) answer {
				got, out := st.other.exchange(st.other.code(st.alice, nil), nil)
				if got.StatusCode != http.StatusOK {
					st.t.Fatalf("%d %s", got.StatusCode, got.Body)
				}
				return quiet(st, st.post(st.app.issuer+"/introspect", url.Values{"token": {out.Access}}, basicAuth(st.vault.id, st.secret)))
			}},
			{"a revoked token looked at", "RFC 7662 2.2", "200", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				st.post(st.app.issuer+"/revoke", url.Values{"client_id": {st.app.id}, "token": {out.Access}})
				return quiet(st, st.post(st.app.issuer+"/introspect", url.Values{"token": {out.Access}}, basicAuth(st.vault.id, st.secret)))
			}},
			{"a forged token looked at", "RFC 7662 4; RFC 8725 3.3", "200", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				return quiet(st, st.post(st.app.issuer+"/introspect", url.Values{"token": {out.Access[:len(out.Access)-8] + "AAAAAAAA"}}, basicAuth(st.vault.id, st.secret)))
			}},
			{"looked at by a link", "RFC 7662 2.1; RFC 9700 4.3.2", "405 invalid_request", func(st *stage) answer {
				return st.get(st.app.issuer+"/introspect?token="+url.QueryEscape(st.tokens(st.app, nil).Access), basicAuth(st.vault.id, st.secret))
			}},
			{"looked at by another site's script", "RFC 7662 4", "200", func(st *stage) answer {
				got := st.post(st.app.issuer+"/introspect", url.Values{"token": {"x"}}, basicAuth(st.vault.id, st.secret), "Origin: https://evil.example")
				if h := got.Header.Get("Access-Control-Allow-Origin"); h != "" {
					st.t.Errorf("scripts of %s may read it", h)
				}
				return quiet(st, got)
			}},
		},
	}
}
