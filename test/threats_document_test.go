package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/test/dnstest"
)

// documentStage is a program that may fetch the metadata documents of clients
// from this machine, where a publisher stands.
func documentStage(t *testing.T) *stage {
	t.Helper()
	web := newPublisher(t)
	st := newStage(t, "RATE_LIMITS=off", "CIMD_ALLOW_LOOPBACK=true", web.trust(t))
	st.published(web)
	st.alice = st.s.stranger()
	st.alice.becomeAdmin()
	return st
}

// published is alice's program, known by the address of its document.
func (st *stage) published(web *publisher) {
	st.web, st.bait, st.shelf = web, newBait(st.t), &shelf{by: map[string]http.HandlerFunc{}}
	web.say = st.shelf.serve
	id := web.URL + "/client.json"
	st.shelf.put("/client.json", sheet(map[string]any{"client_id": id}))
	st.app = &oauthClient{t: st.t, s: st.s, c: st.mallory, issuer: st.s.url("app.localhost", ""), id: id, redirect: "https://client.example/back", verifier: random()}
}

// shelf is what the publisher answers, by path.
type shelf struct {
	mu sync.Mutex
	by map[string]http.HandlerFunc
}

func (s *shelf) put(path string, say http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by[path] = say
}

func (s *shelf) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	say := s.by[r.URL.Path]
	s.mu.Unlock()
	if say == nil {
		say = http.NotFound
	}
	say(w, r)
}

// sheet answers with a good client's document, with changes.
func sheet(changes members) http.HandlerFunc {
	document := map[string]any{"client_name": "Published", "redirect_uris": []string{"https://client.example/back"}, "token_endpoint_auth_method": "none"}
	for name, value := range changes {
		document[name] = value
		if value == nil {
			delete(document, name)
		}
	}
	text, err := json.Marshal(document)
	return func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	}
}

// documentThreats publish documents that must not make a client.
func documentThreats() family {
	// says publishes a document with changes at a path of its own and asks with it.
	says := func(name, refs, want string, change func(st *stage) members) threat {
		return threat{name, refs, want, func(st *stage) answer {
			path := "/" + random()
			id := st.web.URL + path
			changes := members{"client_id": id}
			maps.Copy(changes, change(st))
			st.shelf.put(path, sheet(changes))
			return st.get(st.app.request(url.Values{"client_id": {id}}))
		}}
	}
	fixed := func(m members) func(*stage) members {
		return func(*stage) members { return m }
	}
	// answers lets the publisher answer otherwise than with a document.
	answers := func(name, refs, want string, say func(w http.ResponseWriter, r *http.Request, document string)) threat {
		return threat{name, refs, want, func(st *stage) answer {
			path := "/" + random()
			id := st.web.URL + path
			st.shelf.put(path, func(w http.ResponseWriter, r *http.Request) {
				say(w, r, `{"client_id":"`+id+`","redirect_uris":["https://client.example/back"],"token_endpoint_auth_method":"none"}`)
			})
			return st.get(st.app.request(url.Values{"client_id": {id}}))
		}}
	}
	spelled := func(name, refs, want string, id func(id string) string) threat {
		return threat{name, refs, want, func(st *stage) answer {
			return st.get(st.app.request(url.Values{"client_id": {id(st.app.id)}}))
		}}
	}
	const document = "MCP authorization, Client ID Metadata Document Security"
	return family{
		name:  "client document",
		about: "Clients known by the address of their metadata document: documents that are somebody else's, dangerous or none, and other spellings of an address.",
		proper: func(st *stage) {
			got := st.get(st.app.request(nil))
			st.judge("to /consent", got)
			st.works(st.tokens(st.app, nil).Access)
		},
		rows: []threat{
			says("of another client", document+"; RFC 6749 10.2", "page 400 another client_id", func(st *stage) members { return members{"client_id": st.app.id} }),
			says("of nobody", document, "page 400 another client_id", fixed(members{"client_id": ""})),
			says("with a secret", document+"; RFC 9700 2.5", "page 400 no secret", fixed(members{"client_secret": "x"})),
			says("that proves itself by a secret", document+"; RFC 9700 2.5", "page 400 can not be used", fixed(members{"token_endpoint_auth_method": "client_secret_basic"})),
			says("without a redirect", document+"; RFC 9700 4.1.3", "page 400 can not be used", fixed(members{"redirect_uris": nil})),
			says("with a script for a redirect", document+"; RFC 6749 10.14", "page 400 can not be used", fixed(members{"redirect_uris": []string{"javascript:alert(1)"}})),
			says("with a redirect by http beyond this machine", "RFC 9700 2.6; MCP authorization, Communication Security", "page 400 can not be used", fixed(members{"redirect_uris": []string{"http://evil.example/"}})),
			says("with another redirect than it asks for", "RFC 9700 4.1.3", "page 400 has not registered", fixed(members{"redirect_uris": []string{"https://other.example/back"}})),
			says("for the rights of the client itself", "RFC 6749 4.4; RFC 9700 4.15", "page 400 can not be used", fixed(members{"grant_types": []string{"client_credentials"}})),
			says("with a list for a name", document, "page 400 ", fixed(members{"client_name": []string{"a"}})),
			says("with pictures and keys within this network", "MCP security, Server-Side Request Forgery (SSRF)", "to /consent", func(st *stage) members {
				return members{"logo_uri": st.bait.url, "tos_uri": st.bait.url, "policy_uri": st.bait.url, "client_uri": st.bait.url, "jwks_uri": st.bait.url + "/keys"}
			}),
			answers("that is nowhere", document, "page 400 404", func(w http.ResponseWriter, r *http.Request, _ string) { http.NotFound(w, r) }),
			answers("that is elsewhere", document+"; MCP security, Server-Side Request Forgery (SSRF)", "page 400 302", func(w http.ResponseWriter, r *http.Request, _ string) {
				http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
			}),
			answers("that is a web page", document, "page 400 application/json", func(w http.ResponseWriter, _ *http.Request, document string) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = fmt.Fprint(w, document)
			}),
			answers("of 70 KiB", document+"; RFC 7591 5", "page 400 64 KiB", func(w http.ResponseWriter, _ *http.Request, document string) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprint(w, document[:len(document)-1]+`,"x":"`+strings.Repeat("x", 70<<10)+`"}`)
			}),
			answers("that is 1,000 deep", document+"; RFC 7591 5", "page 400 deeply", func(w http.ResponseWriter, _ *http.Request, document string) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprint(w, document[:len(document)-1]+`,"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+"}")
			}),
			answers("that says things twice", document, "page 400 ", func(w http.ResponseWriter, _ *http.Request, document string) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprint(w, document[:len(document)-1]+`,"redirect_uris":["https://evil.example/"]}`)
			}),
			answers("that is no JSON", document, "page 400 ", func(w http.ResponseWriter, _ *http.Request, _ string) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprint(w, markup+">")
			}),
			answers("that never comes", document+"; MCP security, Server-Side Request Forgery (SSRF)", "page 503 ", func(w http.ResponseWriter, r *http.Request, _ string) {
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Second):
				}
			}),
			spelled("an address with a query", document, "page 400 query", func(id string) string { return id + "?x=1" }),
			spelled("an address with a fragment", document, "page 400 fragment", func(id string) string { return id + "#x" }),
			spelled("an address with a user", document+"; RFC 9110 4.2.4", "page 400 user", func(id string) string { return strings.Replace(id, "://", "://good.example@", 1) }),
			spelled("an address with dots", document, "page 400 dot", func(id string) string { return strings.Replace(id, "/client.json", "/x/../client.json", 1) }),
			spelled("an address with an encoded letter", document, "page 400 ", func(id string) string { return strings.Replace(id, "client.json", "%63lient.json", 1) }),
			spelled("an address without a path", document, "page 400 path", func(id string) string { return strings.TrimSuffix(id, "/client.json") }),
			spelled("an address with a backslash", document, "page 400 ", func(id string) string { return strings.Replace(id, "/client.json", `\client.json`, 1) }),
			spelled("an address with capitals", document, "page 400 ", func(id string) string { return strings.Replace(id, "https://", "HTTPS://", 1) }),
			spelled("an address of 3 KiB", document, "page 400 512 bytes", func(id string) string { return id + strings.Repeat("a", 3<<10) }),
			{"its code, by a client that registered", "RFC 6749 4.1.3; RFC 6749 10.2", "400 invalid_grant", func(st *stage) answer {
				code := st.app.code(st.alice, url.Values{"scope": {"user admin"}})
				return st.redeem(st.named("thief", st.app.redirect), code, url.Values{"code_verifier": {st.app.verifier}})
			}},
			{"its registration read", "RFC 7592 2.1", "401 invalid_token", func(st *stage) answer {
				return st.get(st.app.issuer+"/register/"+url.PathEscape(st.app.id), "Authorization: Bearer "+random())
			}},
			{"its name, before the person: what is known of it is its address", "RFC 8252 8.6; " + document, "page 200 verified by its address 127.0.0.1", func(st *stage) answer {
				return st.alice.follow(st.app.request(url.Values{"scope": {"user admin"}}))
			}},
		},
	}
}

// insideStage is a program as it is in production, whose name server an attacker
// rules. A publisher stands on this machine, which it must not ask.
func insideStage(t *testing.T) *stage {
	t.Helper()
	web, dns := newPublisher(t), dnstest.Start(t)
	st := newStage(t, "RATE_LIMITS=off", "DNS_RESOLVER="+dns.Address, web.trust(t))
	st.published(web)
	st.dns = dns
	return st
}

// insideThreats try to make the program ask its own network.
func insideThreats() family {
	const refs = "MCP security, Server-Side Request Forgery (SSRF)"
	asked := func(st *stage, id string) answer {
		before := st.web.asked.Load()
		got := st.get(st.app.request(url.Values{"client_id": {id}}))
		if n := st.web.asked.Load() - before; n != 0 {
			st.t.Errorf("the server inside was asked %d times", n)
		}
		return got
	}
	host := func(name, host string) threat {
		return threat{name, refs, "page 400 ", func(st *stage) answer { return asked(st, "https://"+host+":"+st.web.port()+"/client.json") }}
	}
	named := func(name, of string, answers ...string) threat {
		return threat{name, refs, "page 400 could not be reached", func(st *stage) answer {
			st.dns.Set(of, answers...)
			asked(st, "https://"+of+":"+st.web.port()+"/client.json")
			return asked(st, "https://"+of+":"+st.web.port()+"/client.json")
		}}
	}
	return family{
		name:  "own network",
		about: "Addresses of client documents that lead into the network of the server, by themselves or by what DNS answers.",
		proper: func(st *stage) {
			if got := st.get(st.s.stranger().s.url("app.localhost", "/jwks")); got.StatusCode != http.StatusOK {
				st.t.Error("the server does not answer")
			}
		},
		rows: []threat{
			host("loopback", "127.0.0.1"), host("loopback by name", "localhost"), host("loopback in short", "127.1"), host("loopback in decimal", "2130706433"), host("loopback in hexadecimal", "0x7f000001"),
			host("loopback in octal", "0177.0.0.1"), host("loopback in IPv6", "[::1]"), host("IPv4 loopback within IPv6", "[::ffff:127.0.0.1]"), host("loopback by NAT64", "[64:ff9b::7f00:1]"),
			host("loopback by 6to4", "[2002:7f00:1::]"), host("no address", "0.0.0.0"), host("no address in IPv6", "[::]"), host("a private network", "10.0.0.1"), host("another private network", "192.168.0.1"),
			host("a carrier's network", "100.64.0.1"), host("the cloud's metadata", "169.254.169.254"), host("the link", "[fe80::1]"), host("a private network in IPv6", "[fc00::1]"), host("a name of ours", "app.localhost"),
			host("loopback with a full stop", "127.0.0.1."), host("loopback behind a user", "example.com@127.0.0.1"), host("loopback before a NUL", "127.0.0.1%00.example.com"),
			named("a name that leads to loopback", "loopback.example.com", "127.0.0.1"),
			named("a name that leads to loopback in IPv6", "loopback6.example.com", "::1"),
			named("a name that leads to loopback within IPv6", "mapped.example.com", "::ffff:127.0.0.1"),
			named("a name that leads to a private network", "private.example.com", "10.0.0.1"),
			named("a name that leads to the cloud's metadata", "metadata.example.com", "169.254.169.254"),
			named("a name that leads to two places", "both.example.com", "2606:4700::1111 127.0.0.1"),
			named("a name that leads elsewhere at the second time", "changing.example.com", "2606:4700::1111", "127.0.0.1"),
			named("a name that the server's certificate has", "example.com", "127.0.0.1"),
			{"keys of a client that lie inside", refs + "; RFC 7523 3", "401 invalid_client", func(st *stage) answer {
				st.dns.Set("keys.example.com", "127.0.0.1")
				before := st.web.asked.Load()
				made := st.enroll("app.localhost", map[string]any{"redirect_uris": []string{"https://thief.example/back"}, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://keys.example.com:" + st.web.port() + "/keys"})
				st.vault = &oauthClient{t: st.t, s: st.s, c: st.mallory, issuer: st.app.issuer, id: made.ID}
				got := st.proven(made.ID, st.assertion(members{"alg": "RS256"}, nil)+"."+strings.Repeat("A", 342), nil)
				if n := st.web.asked.Load() - before; n != 0 {
					st.t.Errorf("the server inside was asked %d times", n)
				}
				return got
			}},
		},
	}
}

// proven asks for tokens with an assertion.
func (st *stage) proven(id, assertion string, more url.Values) answer {
	st.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_assertion_type": {jwtBearer}, "client_assertion": {assertion}}
	if id != "" {
		form.Set("client_id", id)
	}
	maps.Copy(form, more)
	return st.post(st.app.issuer+"/token", form)
}
