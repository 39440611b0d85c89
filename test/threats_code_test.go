package test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// codeThreats are those of somebody who has got hold of a code, or who mixes two
// servers up.
func codeThreats() family {
	return family{
		name:  "code",
		about: "A code that alice's program was given, in other hands, at other places or twice.",
		proper: func(st *stage) {
			out := st.tokens(st.app, nil)
			if out.Scope != "user" {
				st.t.Errorf("granted was %q", out.Scope)
			}
			st.works(out.Access)
		},
		rows: []threat{
			{"redeemed twice", "RFC 6749 4.1.2; RFC 6749 10.5; OAuth 2.1 4.1.3", "400 invalid_grant", func(st *stage) answer {
				code := st.app.code(st.alice, nil)
				st.app.exchange(code, nil)
				return st.redeem(st.app, code, nil)
			}},
			{"redeemed twice: what it gave is revoked", "RFC 6749 4.1.2; RFC 6749 10.5", "401 invalid_token", func(st *stage) answer {
				code := st.app.code(st.alice, nil)
				_, out := st.app.exchange(code, nil)
				st.app.exchange(code, nil)
				return st.private("Authorization: Bearer " + out.Access)
			}},
			{"redeemed twice: so is the refresh token", "RFC 6749 4.1.2; RFC 6749 10.5", "400 invalid_grant", func(st *stage) answer {
				code := st.app.code(st.alice, nil)
				_, out := st.app.exchange(code, nil)
				st.app.exchange(code, nil)
				got, _ := st.app.refresh(out.Refresh)
				return got
			}},
			{"redeemed eight times at once: one gets tokens that do not count", "RFC 6749 4.1.2; RFC 9700 4.5", "401 invalid_token", func(st *stage) answer {
				code := st.app.code(st.alice, nil)
				good, answers := st.together(8, nil, st.app.issuer+"/token", st.codeForm(st.app, code, nil))
				if good > 1 {
					st.t.Errorf("%d of the eight got tokens", good)
				}
				token := "none"
				for _, got := range answers {
					if strings.Contains(got.Body, `"access_token"`) {
						var out tokens
						decode(st.t, got.Body, &out)
						token = out.Access
					}
				}
				return st.private("Authorization: Bearer " + token)
			}},
			{"by another client", "RFC 6749 4.1.3; RFC 9700 4.5", "400 invalid_grant", coded(url.Values{"client_id": {"THIEF"}})},
			{"by another client that knows the verifier", "RFC 6749 4.1.3; RFC 6749 10.2", "400 invalid_grant", func(st *stage) answer {
				return st.redeem(st.thief, st.app.code(st.alice, nil), url.Values{"code_verifier": {st.app.verifier}, "redirect_uri": {st.app.redirect}})
			}},
			{"into a flow of the attacker's own", "RFC 9700 4.5; RFC 9700 4.5.3.1", "400 invalid_grant", func(st *stage) answer {
				return st.redeem(st.app, st.app.code(st.alice, nil), url.Values{"code_verifier": {random()}})
			}},
			{"the right verifier behind a wrong one", "RFC 7636 4.6; RFC 9700 4.5.3.1", "400 invalid_grant", func(st *stage) answer {
				code := st.app.code(st.alice, nil)
				st.redeem(st.app, code, url.Values{"code_verifier": {random()}})
				return st.redeem(st.app, code, nil)
			}},
			{"without a verifier", "RFC 7636 4.5; RFC 9700 2.1.1", "400 invalid_request", coded(url.Values{"code_verifier": nil})},
			{"with an empty verifier", "RFC 7636 4.1; RFC 9700 4.8", "400 invalid_request", coded(url.Values{"code_verifier": {""}})},
			{"with the challenge for a verifier", "RFC 7636 4.6; RFC 7636 7.2", "400 invalid_grant", func(st *stage) answer {
				code := st.app.code(st.alice, nil)
				u, _ := url.Parse(st.app.request(nil))
				return st.redeem(st.app, code, url.Values{"code_verifier": {u.Query().Get("code_challenge")}})
			}},
			{"with a verifier that is too short", "RFC 7636 4.1; RFC 7636 7.1", "400 invalid_request", coded(url.Values{"code_verifier": {strings.Repeat("a", 42)}})},
			{"with a verifier that is too long", "RFC 7636 4.1", "400 invalid_request", coded(url.Values{"code_verifier": {strings.Repeat("a", 129)}})},
			{"with a verifier of other characters", "RFC 7636 4.1", "400 invalid_request", coded(url.Values{"code_verifier": {strings.Repeat("%", 43)}})},
			{"with two verifiers", "RFC 6749 3.2; RFC 7636 4.5", "400 invalid_request", coded(url.Values{"code_verifier": {random(), random()}})},
			{"with another redirect URI", "RFC 6749 4.1.3; RFC 6749 10.6", "400 invalid_grant", coded(url.Values{"redirect_uri": {"https://thief.example/back"}})},
			{"with another loopback port", "RFC 6749 4.1.3; RFC 8252 7.3", "400 invalid_grant", coded(url.Values{"redirect_uri": {"http://127.0.0.1:10/back"}})},
			{"for another resource", "RFC 8707 2.2; RFC 9700 2.3", "400 invalid_target", func(st *stage) answer {
				return st.redeem(st.app, st.app.code(st.alice, nil), url.Values{"resource": {st.other.issuer}})
			}},
			{"for the API", "RFC 8707 2.2", "400 invalid_target", func(st *stage) answer {
				return st.redeem(st.app, st.app.code(st.alice, nil), url.Values{"resource": {st.home("/mcp")}})
			}},
			{"for one resource more", "RFC 8707 2.2; MCP authorization, Resource Parameter Implementation", "400 invalid_target", func(st *stage) answer {
				return st.redeem(st.app, st.app.code(st.alice, nil), url.Values{"resource": {st.app.issuer, st.other.issuer}})
			}},
			{"with more scope", "RFC 6749 3.3; RFC 9700 2.3; MCP security, Scope Minimization", "401 invalid_token", func(st *stage) answer {
				_, out := st.app.exchange(st.app.code(st.alice, nil), url.Values{"scope": {"user admin"}})
				if out.Scope != "user" {
					st.t.Errorf("the scope became %q", out.Scope)
				}
				return st.get(st.home("/proxies/"), "Authorization: Bearer "+out.Access)
			}},
			{"in a padded spelling", "RFC 6749 10.5", "400 invalid_grant", func(st *stage) answer {
				return st.redeem(st.app, st.app.code(st.alice, nil)+"=", nil)
			}},
			{"with a NUL behind it", "RFC 6749 10.14", "400 invalid_grant", func(st *stage) answer {
				return st.redeem(st.app, st.app.code(st.alice, nil)+"\x00", nil)
			}},
			{"two of them", "RFC 6749 3.2", "400 invalid_request", func(st *stage) answer {
				code := st.app.code(st.alice, nil)
				return st.redeem(st.app, code, url.Values{"code": {code, "x"}})
			}},
			{"none", "RFC 6749 4.1.3", "400 invalid_request", func(st *stage) answer { return st.redeem(st.app, "", nil) }},
			{"guessed", "RFC 6749 10.10", "400 invalid_grant", func(st *stage) answer { return st.redeem(st.app, random(), nil) }},
			{"in the query", "RFC 6749 3.2; RFC 9700 4.3.1", "400 invalid_request", func(st *stage) answer {
				form := st.codeForm(st.app, st.app.code(st.alice, nil), nil)
				return st.post(st.app.issuer+"/token?"+form.Encode(), nil)
			}},
			{"for a bearer token", "RFC 6750 2.1; RFC 9700 4.6", "401 invalid_token", func(st *stage) answer {
				return st.private("Authorization: Bearer " + st.app.code(st.alice, nil))
			}},
			{"for a refresh token", "RFC 6749 6", "400 invalid_grant", func(st *stage) answer {
				got, _ := st.app.refresh(st.app.code(st.alice, nil))
				return got
			}},
			{"for a device code", "RFC 8628 3.4", "400 unauthorized_client", func(st *stage) answer {
				return st.redeem(st.app, "x", url.Values{"grant_type": {deviceGrant}, "device_code": {st.app.code(st.alice, nil)}})
			}},
			{"at another issuer", "RFC 9700 4.4; RFC 9207 4", "401 invalid_client", func(st *stage) answer {
				return st.post(st.other.issuer+"/token", st.codeForm(st.app, st.app.code(st.alice, nil), nil))
			}},
			{"at another issuer, by a client of that one", "RFC 9700 4.4; MCP security, Confused Deputy Problem", "400 invalid_grant", func(st *stage) answer {
				return st.redeem(st.other, st.app.code(st.alice, nil), url.Values{"code_verifier": {st.app.verifier}})
			}},
			{"at the direct door", "RFC 9700 4.4", "401 invalid_client", func(st *stage) answer {
				return st.post(st.s.Direct+"/token", st.codeForm(st.app, st.app.code(st.alice, nil), nil))
			}},
			{"mixed up: an issuer named by the request", "RFC 9207 2.4; RFC 9700 4.4.2.1", "back invalid_request", authorized(url.Values{"iss": {"https://evil.example"}, "code_challenge": nil})},
			{"mixed up: every answer names the issuer that was asked", "RFC 9207 2; RFC 9700 4.4.2.1", "to /back", func(st *stage) answer {
				got := st.decide(st.alice, st.app, nil, "deny")
				to, err := got.Location()
				if err != nil || to.Query().Get("iss") != st.app.issuer || to.Query().Get("error") != "access_denied" || to.Query().Get("state") != "the-state" {
					st.t.Errorf("the refusal says %v", to)
				}
				return st.seen(got)
			}},
			{"of a person whose right ended meanwhile", "RFC 6749 10.5; RFC 9700 2.3", "400 invalid_grant", func(st *stage) answer {
				code := st.app.code(st.alice, nil)
				st.s.signed(st.t, "PUT", "/proxies/app.localhost", `{"auth_required_users":["local:nobody"]}`)
				defer st.s.signed(st.t, "PUT", "/proxies/app.localhost", `{"auth_required_users":["*"]}`)
				return st.redeem(st.app, code, nil)
			}},
			{"of a client that was deleted meanwhile", "RFC 7592 2.3; RFC 6749 5.2", "401 invalid_client", func(st *stage) answer {
				c := st.named("short-lived", "http://127.0.0.1:9/back")
				code := c.code(st.alice, nil)
				st.s.signed(st.t, "DELETE", "/oauth/clients/"+c.id, "")
				return st.redeem(c, code, nil)
			}},
		},
	}
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// codeForm is the proper token request for a code, with changes as in request.
func (st *stage) codeForm(c *oauthClient, code string, changes url.Values) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {c.id}, "code": {code}, "redirect_uri": {c.redirect}, "code_verifier": {c.verifier}}
	maps.Copy(form, changes)
	return form
}

func (st *stage) redeem(c *oauthClient, code string, changes url.Values) answer {
	st.t.Helper()
	got, _ := c.exchange(code, changes)
	return got
}

// coded redeems a code of alice's program with changes; the client THIEF is the
// attacker's.
func coded(changes url.Values) func(*stage) answer {
	return func(st *stage) answer {
		mine := url.Values{}
		for name, values := range changes {
			mine[name] = values
			if len(values) == 1 && values[0] == "THIEF" {
				mine[name] = []string{st.thief.id}
			}
		}
		return st.redeem(st.app, st.app.code(st.alice, nil), mine)
	}
}

// decide answers the consent page of a request as p.
func (st *stage) decide(p *person, c *oauthClient, changes url.Values, say string) answer {
	st.t.Helper()
	return p.submit(p.follow(c.request(changes)), "/consent", url.Values{"answer": {say}})
}

// seen makes of an answer that rightly leads to a client's address one whose
// path alone is judged.
func (st *stage) seen(got answer) answer {
	st.t.Helper()
	to, err := got.Location()
	if err != nil || !strings.HasPrefix(to.String(), st.app.redirect+"?") {
		st.t.Errorf("%d to %v, want %s", got.StatusCode, to, st.app.redirect)
		return got
	}
	res := *got.Response
	res.Header = http.Header{"Location": {st.home(to.Path)}}
	return answer{&res, got.Body}
}
