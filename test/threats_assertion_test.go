package test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// assertionThreats sign in a client's name what that client did not sign, or
// not for this.
func assertionThreats() family {
	key, _ := rsa.GenerateKey(rand.Reader, 2048) // the client's
	own, _ := rsa.GenerateKey(rand.Reader, 2048) // the attacker's
	jwk := func(k *rsa.PrivateKey) map[string]any {
		return map[string]any{"kty": "RSA", "kid": "1", "n": base64.RawURLEncoding.EncodeToString(k.N.Bytes()), "e": "AQAB"}
	}
	// signer is a client that proves itself by key, and its assertion with changes.
	signer := func(st *stage) string {
		if st.signer == "" {
			st.signer = st.enroll("app.localhost", map[string]any{"client_name": "signer", "redirect_uris": []string{"https://signer.example/back"},
				"token_endpoint_auth_method": "private_key_jwt", "jwks": map[string]any{"keys": []any{jwk(key)}}}).ID
		}
		return st.signer
	}
	text := func(st *stage, head, claims members) string {
		id := signer(st)
		h := members{"alg": "RS256", "kid": "1"}
		c := members{"iss": id, "sub": id}
		maps.Copy(h, head)
		maps.Copy(c, claims)
		return st.assertion(h, c)
	}
	signed := func(name, refs string, head, claims members) threat {
		return threat{name, refs, "401 invalid_client", func(st *stage) answer {
			t := text(st, head, claims)
			return st.proven(signer(st), t+"."+rs256(t, key), nil)
		}}
	}
	otherwise := func(name, refs, want string, try func(st *stage) answer) threat { return threat{name, refs, want, try} }
	now := time.Now().Unix()
	return family{
		name:  "assertion",
		about: "Clients that prove themselves by a signed assertion: what they did not sign, not for this server, or not now. But for what a row says the client's own key has signed it.",
		proper: func(st *stage) {
			t := text(st, nil, nil)
			if got := st.proven("", t+"."+rs256(t, key), nil); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, "invalid_grant") {
				st.t.Errorf("a good assertion for a refresh token that is none: %d %s", got.StatusCode, got.Body)
			}
		},
		rows: []threat{
			signed("alg none beside a signature", "RFC 8725 3.1; RFC 7523 3", members{"alg": "none"}, nil),
			signed("an algorithm that is not offered", "RFC 8725 3.2; RFC 7523 3", members{"alg": "RS1"}, nil),
			signed("crit", "RFC 7515 4.1.11", members{"crit": []string{"exp"}}, nil),
			signed("jku", "RFC 7515 4.1.2; RFC 8725 3.10", members{"jku": "https://evil.example/keys"}, nil),
			signed("an unknown kid", "RFC 7515 4.1.4", members{"kid": "2"}, nil),
			signed("for another server", "RFC 7523 3; RFC 8725 3.9", nil, members{"aud": "https://evil.example/token"}),
			signed("for nobody", "RFC 7523 3", nil, members{"aud": nil}),
			signed("of another issuer", "RFC 7523 3", nil, members{"iss": "https://evil.example"}),
			signed("about another client", "RFC 7523 3; RFC 6749 10.2", nil, members{"sub": "somebody"}),
			signed("about a person", "RFC 7523 3; RFC 9700 4.15", nil, members{"sub": "local:alice"}),
			signed("expired", "RFC 7523 3; RFC 7519 4.1.4", nil, members{"exp": now - 1}),
			signed("without an end", "RFC 7523 3", nil, members{"exp": nil}),
			signed("for a year", "RFC 7523 3", nil, members{"exp": now + 365*86400}),
			signed("of the future", "RFC 7519 4.1.5", nil, members{"nbf": now + 3600}),
			signed("of the day before", "RFC 7523 3; RFC 7519 4.1.6", nil, members{"iat": now - 86400}),
			signed("without an id, to be used again", "RFC 7523 3; RFC 7519 4.1.7", nil, members{"jti": nil}),
			otherwise("signed by nobody", "RFC 8725 3.3; RFC 7523 3", "401 invalid_client", func(st *stage) answer {
				return st.proven(signer(st), text(st, members{"alg": "none"}, nil)+".", nil)
			}),
			otherwise("signed by another key", "RFC 7523 3; RFC 6749 10.2", "401 invalid_client", func(st *stage) answer {
				t := text(st, nil, nil)
				return st.proven(signer(st), t+"."+rs256(t, own), nil)
			}),
			otherwise("signed by a key that comes along", "RFC 7515 4.1.3; RFC 8725 3.10", "401 invalid_client", func(st *stage) answer {
				t := text(st, members{"jwk": jwk(own)}, nil)
				return st.proven(signer(st), t+"."+rs256(t, own), nil)
			}),
			otherwise("signed by HS256 with the public key", "RFC 8725 2.1; RFC 8725 3.1", "401 invalid_client", func(st *stage) answer {
				t := text(st, members{"alg": "HS256"}, nil)
				return st.proven(signer(st), t+"."+hs256(t, publicPEM(key)), nil)
			}),
			otherwise("signed by the server's own key", "RFC 7523 3; RFC 8725 3.12", "401 invalid_client", func(st *stage) answer {
				t := text(st, nil, nil)
				return st.proven(signer(st), t+"."+rs256(t, st.key), nil)
			}),
			otherwise("used twice", "RFC 7523 3; RFC 7519 4.1.7", "401 invalid_client", func(st *stage) answer {
				t := text(st, nil, nil)
				proof := t + "." + rs256(t, key)
				st.proven("", proof, nil)
				return st.proven("", proof, nil)
			}),
			otherwise("used at two endpoints", "RFC 7523 3; RFC 7519 4.1.7", "401 invalid_client", func(st *stage) answer {
				t := text(st, nil, nil)
				proof := url.Values{"client_assertion_type": {jwtBearer}, "client_assertion": {t + "." + rs256(t, key)}, "token": {"x"}}
				st.post(st.app.issuer+"/revoke", proof)
				return st.post(st.app.issuer+"/introspect", proof)
			}),
			otherwise("used eight times at once: it counts once", "RFC 7523 3; RFC 7519 4.1.7", "401 invalid_client", func(st *stage) answer {
				t := text(st, nil, nil)
				form := url.Values{"client_assertion_type": {jwtBearer}, "client_assertion": {t + "." + rs256(t, key)}, "token": {"x"}}
				_, answers := st.together(8, nil, st.app.issuer+"/introspect", form)
				counted := 0
				for _, got := range answers {
					if got.StatusCode == http.StatusOK {
						counted++
					}
				}
				if counted != 1 {
					st.t.Errorf("it counted %d times", counted)
				}
				return st.post(st.app.issuer+"/introspect", form)
			}),
			otherwise("used at another issuer", "RFC 7523 3; RFC 9700 4.4", "401 invalid_client", func(st *stage) answer {
				t := text(st, nil, nil)
				return st.post(st.other.issuer+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_assertion_type": {jwtBearer}, "client_assertion": {t + "." + rs256(t, key)}})
			}),
			otherwise("in another client's name", "RFC 7523 3; RFC 6749 10.2", "401 invalid_client", func(st *stage) answer {
				t := text(st, nil, nil)
				return st.proven(st.vault.id, t+"."+rs256(t, key), nil)
			}),
			otherwise("in a public client's name", "RFC 7523 3; RFC 6749 10.2", "401 invalid_client", func(st *stage) answer {
				t := text(st, nil, members{"iss": st.app.id, "sub": st.app.id})
				return st.proven(st.app.id, t+"."+rs256(t, key), nil)
			}),
			otherwise("no assertion, of a client that has to sign", "RFC 7523 3; RFC 9700 2.5", "401 invalid_client", func(st *stage) answer {
				return st.post(st.app.issuer+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_id": {signer(st)}})
			}),
			otherwise("of another kind", "RFC 7523 2.2", "400 invalid_request", func(st *stage) answer {
				t := text(st, nil, nil)
				return st.proven(signer(st), t+"."+rs256(t, key), url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}})
			}),
			otherwise("two of them", "RFC 6749 3.2; RFC 7523 2.2", "400 invalid_request", func(st *stage) answer {
				t := text(st, nil, nil)
				return st.proven(signer(st), "", url.Values{"client_assertion": {t + "." + rs256(t, key), "x"}})
			}),
			otherwise("beside a secret", "RFC 6749 2.3; RFC 7523 2.2", "400 invalid_request", func(st *stage) answer {
				t := text(st, nil, nil)
				return st.proven(signer(st), t+"."+rs256(t, key), url.Values{"client_secret": {"x"}})
			}),
			otherwise("of 9 KiB", "RFC 6749 10.14", "401 invalid_client", func(st *stage) answer {
				t := text(st, nil, members{"x": strings.Repeat("a", 9<<10)})
				return st.proven(signer(st), t+"."+rs256(t, key), nil)
			}),
			otherwise("for a bearer token", "RFC 9068 4; RFC 8725 3.12", "401 invalid_token", func(st *stage) answer {
				t := text(st, nil, nil)
				return st.private("Authorization: Bearer " + t + "." + rs256(t, key))
			}),
			otherwise("for a person's grant", "RFC 7523 3; RFC 9700 4.15", "400 unsupported_grant_type", func(st *stage) answer {
				t := text(st, nil, members{"sub": "local:alice"})
				return st.post(st.app.issuer+"/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {t + "." + rs256(t, key)}})
			}),
		},
	}
}
