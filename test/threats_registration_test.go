package test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// registrationThreats are what a stranger may try when registering a program.
func registrationThreats() family {
	refusedRedirect := func(name, refs, uri string) threat {
		return threat{"with the redirect " + name, refs, "400 invalid_redirect_uri", func(st *stage) answer {
			return st.tryEnroll("app.localhost", map[string]any{"redirect_uris": []string{uri}, "token_endpoint_auth_method": "none"})
		}}
	}
	body := func(name, refs, want string, text func(st *stage) string) threat {
		return threat{name, refs, want, func(st *stage) answer {
			return ask(st.t, st.mallory, "POST", st.app.issuer+"/register", text(st), "Content-Type: application/json")
		}}
	}
	metadata := func(name, refs, want string, change map[string]any) threat {
		return threat{name, refs, want, func(st *stage) answer {
			m := map[string]any{"redirect_uris": []string{"https://thief.example/back"}, "token_endpoint_auth_method": "none"}
			maps.Copy(m, change)
			return st.tryEnroll("app.localhost", m)
		}}
	}
	about := func(name, refs string, headers func(st *stage, mine, theirs enrolled) (address string, lines []string)) threat {
		return threat{name, refs, "401 invalid_token", func(st *stage) answer {
			mine := st.enroll("app.localhost", map[string]any{"redirect_uris": []string{"https://thief.example/back"}, "token_endpoint_auth_method": "none"})
			theirs := st.enroll("app.localhost", map[string]any{"redirect_uris": []string{"https://victim.example/back"}, "token_endpoint_auth_method": "client_secret_post"})
			at, lines := headers(st, mine, theirs)
			got := ask(st.t, st.mallory, "DELETE", at, "", lines...)
			if again := st.get(theirs.Address, "Authorization: Bearer "+theirs.Token); again.StatusCode != http.StatusOK {
				st.t.Errorf("the victim's registration is gone: %d", again.StatusCode)
			}
			return got
		}}
	}
	return family{
		name:  "registration",
		about: "Registrations that would make a client dangerous, break the reader, or touch somebody else's registration.",
		proper: func(st *stage) {
			made := st.enroll("app.localhost", map[string]any{"client_name": "good", "redirect_uris": []string{"https://good.example/back", "javascript:alert(1)"}, "token_endpoint_auth_method": "none"})
			if len(made.URIs) != 1 || made.Secret != "" {
				st.t.Errorf("registered was %+v", made)
			}
			if got := st.get(made.Address, "Authorization: Bearer "+made.Token); got.StatusCode != http.StatusOK {
				st.t.Errorf("its own registration: %d %s", got.StatusCode, got.Body)
			}
			if got := ask(st.t, st.mallory, "DELETE", made.Address, "", "Authorization: Bearer "+made.Token); got.StatusCode != http.StatusNoContent {
				st.t.Errorf("its own end: %d %s", got.StatusCode, got.Body)
			}
		},
		rows: []threat{
			refusedRedirect("javascript", "RFC 7591 5; RFC 6749 10.14", "javascript:alert(1)"),
			refusedRedirect("javascript in mixed case", "RFC 7591 5", "jAvAsCrIpT:alert(1)"),
			refusedRedirect("data", "RFC 7591 5", "data:text/html,x"),
			refusedRedirect("vbscript", "RFC 7591 5", "vbscript:x"),
			refusedRedirect("file", "RFC 7591 5", "file:///etc/passwd"),
			refusedRedirect("blob", "RFC 7591 5", "blob:https://evil.example/x"),
			refusedRedirect("about", "RFC 7591 5", "about:blank"),
			refusedRedirect("view-source", "RFC 7591 5", "view-source:https://evil.example/"),
			refusedRedirect("http beyond this machine", "RFC 9700 2.6; MCP authorization, Communication Security", "http://evil.example/back"),
			refusedRedirect("http to a name that begins like loopback", "RFC 8252 7.3", "http://127.0.0.1.evil.example/back"),
			refusedRedirect("a user", "RFC 9700 4.1.3", "https://good.example@evil.example/back"),
			refusedRedirect("a fragment", "RFC 6749 3.1.2", "https://evil.example/back#x"),
			refusedRedirect("an empty fragment", "RFC 6749 3.1.2", "https://evil.example/back#"),
			refusedRedirect("a wildcard host", "RFC 9700 4.1.1; RFC 9700 4.1.3", "https://*.example.com/back"),
			refusedRedirect("a wildcard path", "RFC 9700 4.1.1", "https://example.com/*"),
			refusedRedirect("a backslash", "RFC 9700 4.1.1", `https://evil.example\@good.example/back`),
			refusedRedirect("letters that look alike", "RFC 8252 8.6; RFC 9700 4.1.3", "https://gοοd.example/back"),
			refusedRedirect("a line break", "RFC 6749 10.14", "https://evil.example/back\r\nX: y"),
			refusedRedirect("no host", "RFC 6749 3.1.2", "https:///back"),
			refusedRedirect("no scheme", "RFC 6749 3.1.2", "//evil.example/back"),
			refusedRedirect("3 KiB", "RFC 7591 5", "https://evil.example/"+strings.Repeat("a", 3<<10)),
			{"with 21 redirects", "RFC 7591 5", "400 invalid_redirect_uri", func(st *stage) answer {
				uris := make([]string, 21)
				for i := range uris {
					uris[i] = "https://evil.example/" + strings.Repeat("a", i)
				}
				return st.tryEnroll("app.localhost", map[string]any{"redirect_uris": uris})
			}},
			metadata("with no redirect", "RFC 7591 2", "400 invalid_redirect_uri", map[string]any{"redirect_uris": []string{}}),
			metadata("for the implicit flow", "RFC 9700 2.1.2; RFC 7591 2.1", "400 invalid_client_metadata", map[string]any{"grant_types": []string{"implicit"}, "response_types": []string{"token"}}),
			metadata("for people's passwords", "RFC 9700 2.4; RFC 7591 2.1", "400 invalid_client_metadata", map[string]any{"grant_types": []string{"password"}}),
			metadata("for the rights of a public client itself", "RFC 6749 4.4; RFC 7591 5", "400 invalid_client_metadata", map[string]any{"grant_types": []string{"client_credentials"}}),
			metadata("to prove itself in a way of its own", "RFC 7591 2; RFC 7591 3.2.2", "400 invalid_client_metadata", map[string]any{"token_endpoint_auth_method": "trust_me"}),
			metadata("with a client_uri that is a script", "RFC 7591 5", "400 invalid_client_metadata", map[string]any{"client_uri": "javascript:alert(1)"}),
			metadata("as an application of no kind", "RFC 7591 2", "400 invalid_client_metadata", map[string]any{"application_type": "root"}),
			body("with no JSON", "RFC 7591 3.2.2", "400 invalid_client_metadata", func(*stage) string { return "redirect_uris=https://evil.example/" }),
			body("with a list for an object", "RFC 7591 3.1", "400 invalid_client_metadata", func(*stage) string { return "[]" }),
			body("with half an object", "RFC 7591 3.1", "400 invalid_client_metadata", func(*stage) string { return `{"redirect_uris":["https://evil.example/"]` }),
			body("with a number for a list", "RFC 7591 3.2.2", "400 invalid_client_metadata", func(*stage) string { return `{"redirect_uris":7}` }),
			body("with JSON of 70 KiB", "RFC 7591 5", "413 invalid_request", func(*stage) string { return `{"client_name":"` + strings.Repeat("a", 70<<10) + `"}` }),
			body("with JSON that is 60,000 deep", "RFC 7591 5", "400 invalid_client_metadata", func(*stage) string { return `{"x":` + strings.Repeat("[", 60_000) }),
			body("with JSON that is deep and well formed", "RFC 7591 5", "400 invalid_client_metadata", func(*stage) string {
				return `{"redirect_uris":["https://thief.example/back"],"x":` + strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1001)
			}),
			{"with an id and a secret of its choice", "RFC 7591 3.2.1; RFC 6749 10.2", "page 400 has not registered", func(st *stage) answer {
				made := st.enroll("app.localhost", map[string]any{"client_id": st.app.id, "client_secret": "known", "registration_access_token": "known", "software_statement": "e30.e30.x",
					"redirect_uris": []string{"https://thief.example/back"}, "token_endpoint_auth_method": "client_secret_post"})
				if made.ID == st.app.id || made.Secret == "known" || made.Token == "known" {
					st.t.Errorf("it was given %+v", made)
				}
				return st.get(st.app.request(url.Values{"redirect_uri": {"https://thief.example/back"}}))
			}},
			{"with addresses in this network for its pictures and keys", "MCP security, Server-Side Request Forgery (SSRF); RFC 7591 5", "401 invalid_client", func(st *stage) answer {
				m := map[string]any{"redirect_uris": []string{"https://thief.example/back"}, "client_uri": st.bait.url, "logo_uri": st.bait.url + "/logo", "tos_uri": st.bait.url, "policy_uri": st.bait.url, "sector_identifier_uri": st.bait.url}
				made := st.enroll("app.localhost", m)
				st.get((&oauthClient{t: st.t, s: st.s, issuer: st.app.issuer, id: made.ID, redirect: made.URIs[0], verifier: random()}).request(nil))
				m["jwks_uri"], m["token_endpoint_auth_method"] = st.bait.url+"/jwks", "private_key_jwt"
				made = st.enroll("app.localhost", m)
				return st.proven(made.ID, st.assertion(members{"alg": "RS256"}, members{"iss": made.ID, "sub": made.ID})+"."+strings.Repeat("A", 342), nil)
			}},
			{"with a redirect within this network, which is never fetched", "MCP security, Server-Side Request Forgery (SSRF)", "to /consent", func(st *stage) answer {
				return st.get(st.named("insider", st.bait.url+"/back").request(nil))
			}},
			about("another's ended without a token", "RFC 7592 2.3", func(_ *stage, _, theirs enrolled) (string, []string) { return theirs.Address, nil }),
			about("another's ended with one's own token", "RFC 7592 2.3; RFC 7592 5", func(_ *stage, mine, theirs enrolled) (string, []string) {
				return theirs.Address, []string{"Authorization: Bearer " + mine.Token}
			}),
			about("another's ended with a guess", "RFC 7592 5", func(_ *stage, _, theirs enrolled) (string, []string) {
				return theirs.Address, []string{"Authorization: Bearer " + random()}
			}),
			about("another's ended with its secret", "RFC 7592 5", func(_ *stage, _, theirs enrolled) (string, []string) {
				return theirs.Address, []string{basicAuth(theirs.ID, theirs.Secret)}
			}),
			about("another's ended with its secret for a token", "RFC 7592 5", func(_ *stage, _, theirs enrolled) (string, []string) {
				return theirs.Address, []string{"Authorization: Bearer " + theirs.Secret}
			}),
			about("another's ended with an access token", "RFC 7592 5; RFC 8725 3.11", func(st *stage, _, theirs enrolled) (string, []string) {
				return theirs.Address, []string{"Authorization: Bearer " + st.tokens(st.app, nil).Access}
			}),
			about("another's ended with the token in the query", "RFC 6750 2.3; RFC 9700 4.3.2", func(_ *stage, _, theirs enrolled) (string, []string) {
				return theirs.Address + "?access_token=" + theirs.Token, nil
			}),
			about("another's ended with two tokens", "RFC 6750 2", func(_ *stage, mine, theirs enrolled) (string, []string) {
				return theirs.Address, []string{"Authorization: Bearer " + theirs.Token, "Authorization: Bearer " + mine.Token}
			}),
			about("another's ended at another issuer", "RFC 7592 2.3; RFC 9700 4.4", func(st *stage, _, theirs enrolled) (string, []string) {
				return st.other.issuer + "/register/" + theirs.ID, []string{"Authorization: Bearer " + theirs.Token}
			}),
			about("the command line's own ended", "RFC 7592 2.3", func(st *stage, mine, _ enrolled) (string, []string) {
				return st.app.issuer + "/register/device_flow_client", []string{"Authorization: Bearer " + mine.Token}
			}),
			{"changed to another redirect by PUT", "RFC 7592 2.2; RFC 9700 4.1.3", "405 invalid_request", func(st *stage) answer {
				mine := st.enroll("app.localhost", map[string]any{"redirect_uris": []string{"https://thief.example/back"}})
				b, _ := json.Marshal(map[string]any{"client_id": mine.ID, "redirect_uris": []string{"https://evil.example/"}})
				return ask(st.t, st.mallory, "PUT", mine.Address, string(b), "Authorization: Bearer "+mine.Token, "Content-Type: application/json")
			}},
			{"used after its end", "RFC 7592 2.3", "page 400 not registered here", func(st *stage) answer {
				c := st.named("ended", "https://thief.example/back")
				st.s.signed(st.t, "DELETE", "/oauth/clients/"+c.id, "")
				return st.get(c.request(nil))
			}},
			{"a metadata address on this machine for a client", "MCP security, Server-Side Request Forgery (SSRF); MCP authorization, Client ID Metadata Document Security", "page 400 ", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"client_id": {st.bait.url + "/client.json"}}))
			}},
			{"the cloud's metadata address for a client", "MCP security, Server-Side Request Forgery (SSRF)", "page 400 ", authorized(url.Values{"client_id": {"https://169.254.169.254/latest/meta-data"}})},
			{"a metadata address by plain http", "MCP authorization, Client ID Metadata Document Security", "page 400 ", func(st *stage) answer {
				return st.get(st.app.request(url.Values{"client_id": {strings.Replace(st.bait.url, "https:", "http:", 1) + "/client.json"}}))
			}},
			{"a metadata address with a user", "MCP authorization, Client ID Metadata Document Security", "page 400 ", authorized(url.Values{"client_id": {"https://good.example@127.0.0.1/client.json"}})},
			{"a file for a metadata address", "MCP security, Server-Side Request Forgery (SSRF)", "page 400 ", authorized(url.Values{"client_id": {"file:///etc/passwd"}})},
		},
	}
}
