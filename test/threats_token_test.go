package test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tokenThreats are access tokens that the server did not make, or made for
// something else.
func tokenThreats() family {
	bearer := func(name, refs string, token func(st *stage) string) threat {
		return threat{name, refs, "401 invalid_token", func(st *stage) answer { return st.private("Authorization: Bearer " + token(st)) }}
	}
	forged := func(name, refs string, head, claims members) threat {
		return bearer(name, refs, func(st *stage) string { return st.forge(head, claims) })
	}
	hs := func(name, refs string, key func(st *stage) []byte) threat {
		return bearer(name, refs, func(st *stage) string {
			text := st.unsigned(members{"alg": "HS256"}, nil)
			return text + "." + hs256(text, key(st))
		})
	}
	own, _ := rsa.GenerateKey(rand.Reader, 2048) // the attacker's
	curve, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	jwk := map[string]any{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(own.N.Bytes()), "e": "AQAB", "alg": "RS256"}
	byOwn := func(name, refs string, head func(st *stage) members) threat {
		return bearer(name, refs, func(st *stage) string {
			text := st.unsigned(head(st), nil)
			return text + "." + rs256(text, own)
		})
	}
	now := time.Now().Unix()
	elsewhere := func(name, refs string, at func(st *stage) string) threat {
		return threat{name, refs, "401 invalid_token", func(st *stage) answer {
			return st.get(at(st), "Authorization: Bearer "+st.model())
		}}
	}
	return family{
		name:  "token",
		about: "Access tokens that nobody issued, that are meant for somebody else, or that are no access tokens. But for what a row says they are well made, signed with the server's own key.",
		proper: func(st *stage) {
			for name, token := range map[string]string{"as it came": st.model(), "signed by the test": st.forge(nil, nil), "typ with application/": st.forge(members{"typ": "application/at+jwt"}, nil), "several audiences": st.forge(nil, members{"aud": []string{"https://x.example", st.app.issuer}})} {
				if got := st.get(st.app.issuer+"/", "Authorization: Bearer "+token); got.StatusCode != http.StatusOK {
					st.t.Errorf("%s: %d %s", name, got.StatusCode, got.Body)
				}
			}
		},
		rows: []threat{
			bearer("alg none", "RFC 8725 3.1; RFC 7519 6; RFC 9068 4", func(st *stage) string { return st.unsigned(members{"alg": "none"}, nil) + "." }),
			bearer("alg None", "RFC 8725 3.1; RFC 7519 6", func(st *stage) string { return st.unsigned(members{"alg": "None"}, nil) + "." }),
			bearer("alg nOnE with a signature", "RFC 8725 3.1", func(st *stage) string { return st.forge(members{"alg": "nOnE"}, nil) }),
			bearer("no alg", "RFC 7515 4.1.1", func(st *stage) string { return st.forge(members{"alg": nil}, nil) }),
			bearer("no signature", "RFC 8725 3.3", func(st *stage) string { return st.unsigned(nil, nil) + "." }),
			bearer("another token's signature", "RFC 8725 3.3", func(st *stage) string {
				text := st.unsigned(nil, members{"username": "local:root"})
				return text + st.model()[strings.LastIndexByte(st.model(), '.'):]
			}),
			hs("HS256 with the public key as PEM", "RFC 8725 2.1; RFC 8725 3.1", func(st *stage) []byte { return publicPEM(st.key) }),
			hs("HS256 with the public key as PEM without its last line break", "RFC 8725 2.1; RFC 8725 3.1", func(st *stage) []byte { return []byte(strings.TrimSpace(string(publicPEM(st.key)))) }),
			hs("HS256 with the public key as DER", "RFC 8725 2.1; RFC 8725 3.1", func(st *stage) []byte { return x509.MarshalPKCS1PublicKey(&st.key.PublicKey) }),
			hs("HS256 with the modulus", "RFC 8725 2.1; RFC 8725 3.1", func(st *stage) []byte { return st.key.N.Bytes() }),
			hs("HS256 with the key set's own text", "RFC 8725 2.1; RFC 8725 3.1", func(st *stage) []byte { return []byte(st.get(st.app.issuer + "/jwks").Body) }),
			hs("HS256 with an empty key", "RFC 8725 2.1; RFC 8725 3.1", func(*stage) []byte { return nil }),
			bearer("RS512 with the right key", "RFC 8725 3.1; RFC 9068 4", func(st *stage) string {
				text := st.unsigned(members{"alg": "RS512"}, nil)
				sum := sha512.Sum512([]byte(text))
				return text + "." + signature(rsa.SignPKCS1v15(rand.Reader, st.key, crypto.SHA512, sum[:]))
			}),
			bearer("PS256 with the right key", "RFC 8725 3.1", func(st *stage) string {
				text := st.unsigned(members{"alg": "PS256"}, nil)
				sum := sha256.Sum256([]byte(text))
				return text + "." + signature(rsa.SignPSS(rand.Reader, st.key, crypto.SHA256, sum[:], nil))
			}),
			bearer("ES256 with the attacker's key", "RFC 8725 3.1; RFC 8725 3.2", func(st *stage) string {
				text := st.unsigned(members{"alg": "ES256"}, nil)
				sum := sha256.Sum256([]byte(text))
				r, s, err := ecdsa.Sign(rand.Reader, curve, sum[:])
				return text + "." + signature(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), err)
			}),
			byOwn("the attacker's key under our kid", "RFC 7515 4.1.4; RFC 8725 3.10", func(*stage) members { return nil }),
			byOwn("the attacker's key in jwk", "RFC 7515 4.1.3; RFC 8725 3.10", func(*stage) members { return members{"jwk": jwk} }),
			byOwn("the attacker's key in jwk, without kid", "RFC 7515 4.1.3; RFC 8725 3.10", func(*stage) members { return members{"jwk": jwk, "kid": nil} }),
			byOwn("the attacker's keys behind jku", "RFC 7515 4.1.2; RFC 8725 3.10", func(st *stage) members { return members{"jku": st.bait.url + "/jwks", "kid": "evil"} }),
			byOwn("the attacker's certificate behind x5u", "RFC 7515 4.1.5; RFC 8725 3.10", func(st *stage) members { return members{"x5u": st.bait.url + "/cert", "kid": nil} }),
			byOwn("the attacker's certificate in x5c", "RFC 7515 4.1.6; RFC 8725 3.10", func(*stage) members {
				return members{"x5c": []string{base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&own.PublicKey))}}
			}),
			forged("jwk beside the right signature", "RFC 7515 4.1.3", members{"jwk": jwk}, nil),
			forged("jku beside the right signature", "RFC 7515 4.1.2", members{"jku": "https://evil.example/jwks"}, nil),
			byOwn("an unknown kid", "RFC 7515 4.1.4; RFC 9068 4", func(*stage) members { return members{"kid": "unknown"} }),
			forged("no kid", "RFC 7515 4.1.4", members{"kid": nil}, nil),
			forged("kid as a path", "RFC 8725 3.10; RFC 7515 4.1.4", members{"kid": "../../../../../dev/null"}, nil),
			forged("kid as a query", "RFC 8725 3.10; RFC 7515 4.1.4", members{"kid": "x' UNION SELECT 'AA"}, nil),
			forged("kid as a list", "RFC 7515 4.1.4", members{"kid": []string{"a"}}, nil),
			forged("crit", "RFC 7515 4.1.11", members{"crit": []string{"exp"}}, nil),
			forged("crit and an unencoded payload", "RFC 7515 4.1.11", members{"crit": []string{"b64"}, "b64": false}, nil),
			forged("typ JWT: any other JWT of this server", "RFC 9068 4; RFC 8725 3.11", members{"typ": "JWT"}, nil),
			forged("no typ", "RFC 9068 4; RFC 8725 3.11", members{"typ": nil}, nil),
			forged("typ of a logout token", "RFC 8725 3.11; RFC 9068 4", members{"typ": "logout+jwt"}, nil),
			forged("typ of a request object", "RFC 8725 3.11; RFC 9068 4", members{"typ": "oauth-authz-req+jwt"}, nil),
			forged("typ of an introspection answer", "RFC 8725 3.11; RFC 9068 4", members{"typ": "token-introspection+jwt"}, nil),
			bearer("an ID token of this server", "RFC 9068 5; RFC 8725 3.12", func(st *stage) string {
				return st.forge(members{"typ": "JWT"}, members{"aud": st.app.id, "nonce": "n", "client_id": nil, "scope": nil, "jti": nil})
			}),
			bearer("a client's assertion", "RFC 7523 3; RFC 8725 3.12; RFC 9068 5", func(st *stage) string {
				text := st.assertion(members{"alg": "RS256"}, nil)
				return text + "." + rs256(text, own)
			}),
			bearer("an encrypted token", "RFC 9068 4", func(st *stage) string {
				return "eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMjU2R0NNIiwidHlwIjoiYXQrand0In0.a.b.c.d"
			}),
			bearer("a token around a token", "RFC 7519 7.2; RFC 8725 3.3", func(st *stage) string {
				h, _, _ := parts(st.t, st.model())
				text := segmentOf(h, members{"cty": "JWT"}) + "." + base64.RawURLEncoding.EncodeToString([]byte(st.model()))
				return text + "." + rs256(text, st.key)
			}),
			bearer("two algs in one header", "RFC 7515 4; RFC 8725 3.1", func(st *stage) string {
				h, _, _ := parts(st.t, st.model())
				head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"at+jwt","kid":"` + h["kid"].(string) + `","alg":"none"}`))
				return head + "." + strings.Split(st.model(), ".")[1] + "."
			}),
			bearer("padding", "RFC 7515 2", func(st *stage) string { return st.model() + "==" }),
			bearer("another spelling of the same signature", "RFC 7515 2", func(st *stage) string {
				m := st.model()
				return m[:len(m)-1] + sibling(m[len(m)-1])
			}),
			bearer("a part more", "RFC 7515 7.1", func(st *stage) string { return st.model() + ".x" }),
			bearer("9 KiB of nothing", "RFC 6749 10.14", func(*stage) string { return strings.Repeat("a", 9<<10) + ".b.c" }),
			bearer("claims that are no object", "RFC 7519 7.2", func(st *stage) string {
				text := strings.Split(st.model(), ".")[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`["sub"]`))
				return text + "." + rs256(text, st.key)
			}),
			bearer("claims that are no UTF-8", "RFC 7519 7.2; RFC 8725 3.7", func(st *stage) string {
				text := strings.Split(st.model(), ".")[0] + "." + base64.RawURLEncoding.EncodeToString([]byte("{\"iss\":\"\xff\"}"))
				return text + "." + rs256(text, st.key)
			}),
			bearer("claims that are 4,000 deep", "RFC 7519 7.2", func(st *stage) string {
				text := strings.Split(st.model(), ".")[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"groups":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+"}"))
				return text + "." + rs256(text, st.key)
			}),
			forged("another issuer", "RFC 7519 4.1.1; RFC 9068 4; RFC 8725 3.8", nil, members{"iss": "https://evil.example"}),
			bearer("another issuer of ours", "RFC 9068 4; RFC 9700 4.4", func(st *stage) string { return st.forge(nil, members{"iss": st.other.issuer}) }),
			bearer("the issuer with a slash", "RFC 9068 4; RFC 8414 3.3", func(st *stage) string { return st.forge(nil, members{"iss": st.app.issuer + "/"}) }),
			bearer("the issuer by plain http", "RFC 9068 4; RFC 8414 2", func(st *stage) string { return st.forge(nil, members{"iss": "http" + st.app.issuer[5:]}) }),
			forged("no issuer", "RFC 9068 2.2; RFC 9068 4", nil, members{"iss": nil}),
			bearer("another host's audience", "RFC 9068 4; RFC 8725 3.9; MCP authorization, Token Audience Binding and Validation", func(st *stage) string { return st.forge(nil, members{"aud": st.other.issuer}) }),
			bearer("several audiences without this one", "RFC 9068 4; RFC 7519 4.1.3", func(st *stage) string {
				return st.forge(nil, members{"aud": []string{st.other.issuer, st.app.issuer + "/mcp", st.app.issuer + ".evil.example"}})
			}),
			bearer("the client as audience", "RFC 9068 4; RFC 9068 5", func(st *stage) string { return st.forge(nil, members{"aud": st.app.id}) }),
			bearer("the audience in capitals", "RFC 7519 4.1.3", func(st *stage) string { return st.forge(nil, members{"aud": strings.ToUpper(st.app.issuer)}) }),
			forged("an audience of everything", "RFC 9068 4; RFC 8725 3.9", nil, members{"aud": "*"}),
			forged("no audience", "RFC 9068 2.2; RFC 8725 3.9", nil, members{"aud": nil}),
			forged("expired an hour ago", "RFC 9068 4; RFC 7519 4.1.4", nil, members{"exp": now - 3600}),
			bearer("expired this second", "RFC 7519 4.1.4", func(st *stage) string { return st.forge(nil, members{"exp": time.Now().Unix()}) }),
			forged("no expiry", "RFC 9068 2.2; RFC 9700 2.2.1", nil, members{"exp": nil}),
			forged("an expiry in quotes", "RFC 7519 4.1.4", nil, members{"exp": "99999999999"}),
			forged("an expiry that overflows", "RFC 7519 4.1.4", nil, members{"exp": 1e300}),
			forged("an expiry below zero", "RFC 7519 4.1.4", nil, members{"exp": -1}),
			forged("of the future", "RFC 7519 4.1.5", nil, members{"nbf": now + 3600}),
			forged("issued in the future", "RFC 7519 4.1.6", nil, members{"iat": now + 3600}),
			forged("no time of issue", "RFC 9068 2.2", nil, members{"iat": nil}),
			forged("no subject", "RFC 9068 2.2", nil, members{"sub": nil}),
			forged("no client", "RFC 9068 2.2", nil, members{"client_id": nil}),
			forged("no id", "RFC 9068 2.2", nil, members{"jti": nil}),
			elsewhere("at another host", "RFC 9700 4.10.2; MCP authorization, Token Audience Binding and Validation", func(st *stage) string { return st.other.issuer + "/private" }),
			{"at its issuer, of a host whose tokens the issuer makes", "RFC 9700 4.10.2; RFC 8707 2", "401 invalid_token", func(st *stage) answer {
				partner := st.s.url("partner.localhost", "")
				out := st.tokens(st.app, url.Values{"resource": {partner}})
				if got := st.get(partner+"/", "Authorization: Bearer "+out.Access); got.StatusCode != http.StatusOK {
					st.t.Errorf("at that host itself: %d %s", got.StatusCode, got.Body)
				}
				return st.private("Authorization: Bearer " + out.Access)
			}},
			{"at a host whose tokens its issuer makes", "RFC 9700 4.10.2; RFC 8707 2", "401 invalid_token", func(st *stage) answer {
				return st.get(st.s.url("partner.localhost", "/private"), "Authorization: Bearer "+st.model())
			}},
			elsewhere("at an MCP endpoint of another host", "RFC 9700 4.10.2; MCP security, Token Passthrough", func(st *stage) string { return st.s.url("tools.localhost", "/mcp/private") }),
			elsewhere("at the API", "RFC 9700 4.10.2; RFC 8707 3", func(st *stage) string { return st.home("/proxies/") }),
			elsewhere("at our MCP server", "RFC 9700 4.10.2; MCP security, Token Passthrough", func(st *stage) string { return st.home("/mcp") }),
			elsewhere("at the API on localhost", "RFC 9700 4.10.2", func(st *stage) string { return st.s.HTTP + "/proxies/" }),
			elsewhere("at the direct door", "RFC 9700 4.10.2", func(st *stage) string { return st.s.Direct + "/proxies/" }),
			elsewhere("by plain HTTP on this machine", "RFC 6750 5.3; RFC 9700 4.10", func(st *stage) string {
				return strings.Replace(st.s.HTTP, "localhost", "app.localhost", 1) + "/private"
			}),
			{"with scope beyond its person's", "RFC 9700 2.3; MCP security, Scope Minimization", "403 denied", func(st *stage) answer {
				c := st.s.register(st.t, "auth.localhost", "http://127.0.0.1:9/back")
				_, out := c.exchange(c.code(st.bob, url.Values{"scope": {"user"}}), nil)
				h, claims, _ := parts(st.t, out.Access)
				text := segmentOf(h, nil) + "." + segmentOf(claims, members{"scope": "admin user mcp"})
				return ask(st.t, st.mallory, "POST", st.home("/proxies/"), `{"proxy_hostname":"evil.localhost","target_url":"http://127.0.0.1:9"}`, "Authorization: Bearer "+text+"."+rs256(text, st.key), "Content-Type: application/json")
			}},
			{"of a person whom the host does not list", "RFC 9700 2.3; RFC 6749 10.3", "403 access_denied", func(st *stage) answer {
				c := st.s.register(st.t, "only.localhost", "http://127.0.0.1:9/back")
				_, out := c.exchange(c.code(st.alice, nil), nil)
				h, claims, _ := parts(st.t, out.Access)
				text := segmentOf(h, nil) + "." + segmentOf(claims, members{"sub": "local:bob", "username": "local:bob"})
				return st.get(c.issuer+"/private", "Authorization: Bearer "+text+"."+rs256(text, st.key))
			}},
			{"without the scope that an MCP endpoint needs", "MCP authorization, Scope Challenge Handling; RFC 6750 3.1", "403 insufficient_scope", func(st *stage) answer {
				c := st.s.register(st.t, "tools.localhost", "http://127.0.0.1:9/back")
				_, out := c.exchange(c.code(st.bob, url.Values{"scope": {"user"}}), nil)
				return st.get(c.issuer+"/mcp/private", "Authorization: Bearer "+out.Access)
			}},
			{"a bad one of ours where strangers pass", "RFC 6750 3.1; RFC 8725 3.3", "401 invalid_token", func(st *stage) answer {
				return st.get(st.s.url("mixed.localhost", "/"), "Authorization: Bearer "+st.model())
			}},
		},
	}
}
