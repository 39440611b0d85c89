package test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// clientThreats say at the token endpoint that they are a client that they are not.
func clientThreats() family {
	refresh := func(st *stage, token string, more url.Values) url.Values {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
		maps.Copy(form, more)
		return form
	}
	// asVault asks for what needs the confidential client's secret.
	asVault := func(more func(st *stage) url.Values, headers func(st *stage) []string) func(*stage) answer {
		return func(st *stage) answer {
			var lines []string
			if headers != nil {
				lines = headers(st)
			}
			return st.post(st.vault.issuer+"/token", refresh(st, "x.y", more(st)), lines...)
		}
	}
	none := func(*stage) url.Values { return nil }
	id := func(st *stage) url.Values { return url.Values{"client_id": {st.vault.id}} }
	return family{
		name:  "client",
		about: "Token requests in the name of a client that is somebody else's, or that prove it in a wrong way.",
		proper: func(st *stage) {
			code := st.vault.code(st.alice, nil)
			form := st.codeForm(st.vault, code, nil)
			form.Del("client_id")
			if got := st.post(st.vault.issuer+"/token", form, basicAuth(st.vault.id, st.secret)); got.StatusCode != http.StatusOK {
				st.t.Fatalf("the confidential client: %d %s", got.StatusCode, got.Body)
			}
		},
		rows: []threat{
			{"no client at all", "RFC 6749 3.2.1; RFC 6749 5.2", "400 invalid_request", asVault(none, nil)},
			{"an unknown client", "RFC 6749 5.2", "401 invalid_client", asVault(func(*stage) url.Values { return url.Values{"client_id": {"AAAAAAAAAAAAAAAAAAAAAA"}} }, nil)},
			{"a client of another issuer", "RFC 6749 10.2; RFC 9700 4.4", "401 invalid_client", asVault(func(st *stage) url.Values { return url.Values{"client_id": {st.other.id}} }, nil)},
			{"a confidential client without its secret", "RFC 6749 10.1; RFC 9700 2.5", "401 invalid_client", asVault(id, nil)},
			{"its secret guessed, in the body", "RFC 6749 10.10; RFC 6749 2.3.1", "401 invalid_client", asVault(func(st *stage) url.Values {
				return url.Values{"client_id": {st.vault.id}, "client_secret": {random()}}
			}, nil)},
			{"its secret guessed, by Basic", "RFC 6749 10.10; RFC 6749 5.2", "401 invalid_client", func(st *stage) answer {
				got := st.post(st.vault.issuer+"/token", refresh(st, "x.y", nil), basicAuth(st.vault.id, random()))
				if c := got.Header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Basic ") {
					st.t.Errorf("the challenge is %q", c)
				}
				return got
			}},
			{"an empty secret", "RFC 6749 2.3.1", "401 invalid_client", asVault(none, func(st *stage) []string { return []string{basicAuth(st.vault.id, "")} })},
			{"its secret with more behind it", "RFC 6749 10.10", "401 invalid_client", asVault(none, func(st *stage) []string { return []string{basicAuth(st.vault.id, st.secret+"\x00")} })},
			{"its secret in the query", "RFC 6749 2.3.1; RFC 9700 4.3.1", "401 invalid_client", func(st *stage) answer {
				return st.post(st.vault.issuer+"/token?client_secret="+st.secret, refresh(st, "x.y", id(st)))
			}},
			{"its secret in a way it did not register", "RFC 7591 2; RFC 6749 2.3", "401 invalid_client", asVault(func(st *stage) url.Values {
				return url.Values{"client_id": {st.vault.id}, "client_secret": {st.secret}}
			}, nil)},
			{"proven in two ways", "RFC 6749 2.3", "400 invalid_request", asVault(func(st *stage) url.Values {
				return url.Values{"client_secret": {st.secret}}
			}, func(st *stage) []string { return []string{basicAuth(st.vault.id, st.secret)} })},
			{"two Authorization headers", "RFC 6749 2.3; RFC 6750 2", "400 invalid_request", asVault(none, func(st *stage) []string {
				return []string{basicAuth(st.vault.id, st.secret), basicAuth(st.thief.id, "")}
			})},
			{"another client in the body than by Basic", "RFC 6749 2.3; RFC 6749 10.2", "400 invalid_request", asVault(func(st *stage) url.Values {
				return url.Values{"client_id": {st.thief.id}}
			}, func(st *stage) []string { return []string{basicAuth(st.vault.id, st.secret)} })},
			{"Basic that is no base64", "RFC 6749 2.3.1", "400 invalid_request", asVault(id, func(*stage) []string { return []string{"Authorization: Basic !!!"} })},
			{"Basic without a colon", "RFC 6749 2.3.1", "400 invalid_request", asVault(id, func(st *stage) []string {
				return []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(st.vault.id))}
			})},
			{"Basic with a bad escape", "RFC 6749 2.3.1", "400 invalid_request", asVault(none, func(*stage) []string {
				return []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("%zz:x"))}
			})},
			{"a public client that makes a secret up", "RFC 6749 10.1; RFC 9700 2.5", "401 invalid_client", func(st *stage) answer {
				return st.post(st.app.issuer+"/token", refresh(st, "x.y", url.Values{"client_id": {st.app.id}, "client_secret": {"x"}}))
			}},
			{"an assertion that nobody signed", "RFC 7523 3; RFC 8725 3.3", "401 invalid_client", asVault(func(st *stage) url.Values {
				return url.Values{"client_id": {st.vault.id}, "client_assertion_type": {jwtBearer}, "client_assertion": {st.assertion(map[string]any{"alg": "none"}, nil) + "."}}
			}, nil)},
			{"an assertion signed with the secret", "RFC 7523 3; RFC 8725 2.1", "401 invalid_client", asVault(func(st *stage) url.Values {
				text := st.assertion(map[string]any{"alg": "HS256"}, nil)
				return url.Values{"client_id": {st.vault.id}, "client_assertion_type": {jwtBearer}, "client_assertion": {text + "." + hs256(text, []byte(st.secret))}}
			}, nil)},
			{"an assertion beside the secret", "RFC 6749 2.3; RFC 7523 2.2", "400 invalid_request", asVault(func(st *stage) url.Values {
				return url.Values{"client_assertion_type": {jwtBearer}, "client_assertion": {st.assertion(map[string]any{"alg": "none"}, nil) + "."}}
			}, func(st *stage) []string { return []string{basicAuth(st.vault.id, "wrong")} })},
			{"an access token for an assertion", "RFC 7523 3; RFC 8725 3.11", "401 invalid_client", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				return st.post(st.app.issuer+"/token", refresh(st, out.Refresh, url.Values{"client_id": {st.vault.id}, "client_assertion_type": {jwtBearer}, "client_assertion": {out.Access}}))
			}},
			{"a person's password", "RFC 9700 2.4; RFC 6749 10.7", "400 unsupported_grant_type", func(st *stage) answer {
				return st.post(st.app.issuer+"/token", url.Values{"grant_type": {"password"}, "client_id": {st.app.id}, "username": {adminName}, "password": {adminPassword}})
			}},
			{"the rights of a public client itself", "RFC 6749 4.4; RFC 9700 4.15", "400", func(st *stage) answer {
				return st.post(st.app.issuer+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {st.app.id}, "scope": {"user"}})
			}},
			{"the rights of a person whose name is a client's", "RFC 9700 4.15; RFC 6749 4.4", "400", func(st *stage) answer {
				return st.post(st.vault.issuer+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"user"}, "username": {"local:alice"}}, basicAuth(st.vault.id, st.secret))
			}},
			{"no grant type", "RFC 6749 5.2", "400 invalid_request", func(st *stage) answer {
				return st.post(st.app.issuer+"/token", url.Values{"client_id": {st.app.id}})
			}},
			{"two grant types", "RFC 6749 3.2", "400 invalid_request", func(st *stage) answer {
				return st.post(st.app.issuer+"/token", url.Values{"client_id": {st.app.id}, "grant_type": {"refresh_token", "authorization_code"}})
			}},
			{"a grant type in capitals", "RFC 6749 5.2", "400 unsupported_grant_type", func(st *stage) answer {
				return st.post(st.app.issuer+"/token", url.Values{"client_id": {st.app.id}, "grant_type": {"REFRESH_TOKEN"}})
			}},
			{"a parameter that nobody knows, twice", "RFC 6749 3.2", "400 invalid_request", func(st *stage) answer {
				return st.post(st.app.issuer+"/token", url.Values{"client_id": {st.app.id}, "grant_type": {"refresh_token"}, "refresh_token": {"x"}, "z": {"1", "2"}})
			}},
		},
	}
}

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func basicAuth(id, secret string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}
