package test

import (
	"net/http"
	"net/url"
	"strings"
)

// sessionThreats carry sessions to where they do not belong, or plant them.
func sessionThreats() family {
	// carried shows alice's session of one host at another address.
	carried := func(name, refs, want, from string, at func(st *stage) string, as ...string) threat {
		return threat{name, refs, want, func(st *stage) answer {
			st.alice.follow(st.s.url(from, "/"))
			value := st.cookie(st.alice, from, "__Host-gatehouse")
			if value == "" {
				st.t.Fatal("no session")
			}
			cookie := "Cookie: __Host-gatehouse=" + value
			if len(as) > 0 {
				cookie = "Cookie: " + strings.ReplaceAll(as[0], "VALUE", value)
			}
			return st.get(at(st), cookie)
		}}
	}
	private := func(st *stage) string { return st.app.issuer + "/private" }
	inClear := func(host, path string) func(*stage) string {
		return func(st *stage) string { return strings.Replace(st.s.HTTP, "localhost", host, 1) + path }
	}
	// signing is the sign-in form as name, with what row changes.
	signing := func(st *stage, p *person, name, password string) answer {
		return p.submit(p.follow(st.home("/signin")), "/signin", url.Values{"provider": {"local"}, "name": {name}, "password": {password}})
	}
	return family{
		name:  "session",
		about: "Sessions at other hosts than their own, sessions that somebody planted, and the sign-in form.",
		proper: func(st *stage) {
			p := st.s.stranger()
			if got := signing(st, p, "bob", adminPassword); got.StatusCode != http.StatusSeeOther {
				st.t.Errorf("the sign-in form: %d\n%s", got.StatusCode, got.Body)
			}
			if page := p.follow(st.home("/account")); page.StatusCode != http.StatusOK {
				st.t.Errorf("the account page: %d", page.StatusCode)
			}
		},
		rows: []threat{
			carried("of one host at another", "MCP security, Session Hijacking; RFC 6265 8.6", "401", "app.localhost", func(st *stage) string { return st.other.issuer + "/private" }),
			carried("of a host at the API", "MCP security, Session Hijacking; RFC 9700 2.3", "401", "app.localhost", func(st *stage) string { return st.home("/proxies/") }),
			carried("of the sign-in host at a host", "MCP security, Session Hijacking", "401", "auth.localhost", private),
			carried("of the sign-in host at the direct door", "MCP security, Session Hijacking", "401", "auth.localhost", func(st *stage) string { return st.s.Direct + "/proxies/" }),
			carried("of the sign-in host on localhost", "MCP security, Session Hijacking", "401", "auth.localhost", inClear("localhost", "/proxies/"), "gatehouse=VALUE"),
			carried("of the sign-in host at our MCP server", "MCP security, Session Hijacking", "401", "auth.localhost", func(st *stage) string { return st.home("/mcp") }),
			carried("over plain HTTP", "RFC 6265 8.3", "401", "app.localhost", inClear("app.localhost", "/private"), "gatehouse=VALUE; __Host-gatehouse=VALUE"),
			carried("under the plain name", "RFC 6265 8.6", "401", "app.localhost", private, "gatehouse=VALUE"),
			carried("in the query", "RFC 9700 4.3.2", "401", "app.localhost", func(st *stage) string { return private(st) + "?__Host-gatehouse=x" }, "x=y"),
			carried("with one letter changed", "RFC 6265 8.6", "401", "app.localhost", private, "__Host-gatehouse=AVALUE"),
			carried("for a bearer token", "RFC 6750 2.1", "401", "app.localhost", private, "Authorization=VALUE"),
			{"made up", "RFC 6265 8.6; MCP security, Session Hijacking", "401", func(st *stage) answer { return st.private("Cookie: __Host-gatehouse=" + random() + random()) }},
			{"four planted ones before the visitor's own", "RFC 6265 8.6", "401", func(st *stage) answer {
				st.alice.follow(st.app.issuer + "/")
				own := st.cookie(st.alice, "app.localhost", "__Host-gatehouse")
				return st.private("Cookie: " + strings.Repeat("__Host-gatehouse="+random()+"; ", 4) + "__Host-gatehouse=" + own)
			}},
			{"after its person signed out of the host", "MCP security, Session Hijacking; RFC 6265 8.4", "401", func(st *stage) answer {
				p := st.bob
				p.follow(st.app.issuer + "/")
				own := st.cookie(p, "app.localhost", "__Host-gatehouse")
				p.submit(p.follow(st.app.issuer+"/.gatehouse/logout"), "/.gatehouse/logout", url.Values{})
				return st.private("Cookie: __Host-gatehouse=" + own)
			}},
			{"after its person signed out of the sign-in host", "MCP security, Session Hijacking", "401", func(st *stage) answer {
				p := st.again()
				p.follow(st.app.issuer + "/")
				own := st.cookie(p, "app.localhost", "__Host-gatehouse")
				p.submit(p.follow(st.home("/logout")), "/logout", url.Values{})
				return st.private("Cookie: __Host-gatehouse=" + own)
			}},
			{"after its account is gone", "MCP security, Session Hijacking", "401", func(st *stage) answer {
				p := st.account("sue", "user")
				p.follow(st.app.issuer + "/")
				own := st.cookie(p, "app.localhost", "__Host-gatehouse")
				st.s.signed(st.t, "DELETE", "/oauth/users/sue", "")
				return st.private("Cookie: __Host-gatehouse=" + own)
			}},
			{"planted before a sign-in", "RFC 6265 8.6; MCP security, Session Hijacking", "page 200 Sign in", func(st *stage) answer {
				mallet := st.again()
				planted := st.cookie(mallet, "auth.localhost", "__Host-gatehouse")
				victim := st.browserOf("auth.localhost", "__Host-gatehouse="+planted)
				page := victim.submit(victim.follow(st.home("/logout")), "/logout", url.Values{"next": {"/signin"}})
				next, _ := page.Location()
				victim.signIn(victim.follow(next.String()), "bob", adminPassword)
				if now := st.cookie(victim, "auth.localhost", "__Host-gatehouse"); now == planted || now == "" {
					st.t.Error("the planted session is the victim's now")
				}
				return st.browserOf("auth.localhost", "__Host-gatehouse="+planted).follow(st.home("/account"))
			}},
			{"the browser's own secret planted before a sign-in", "RFC 6265 8.6; RFC 6749 10.12", "page 403 out of date", func(st *stage) answer {
				mallet := st.s.stranger()
				known := tokenOf(mallet.follow(st.home("/signin")))
				victim := st.browserOf("auth.localhost", "__Host-gatehouse-browser="+st.cookie(mallet, "auth.localhost", "__Host-gatehouse-browser"))
				victim.signIn(victim.follow(st.home("/signin")), "bob", adminPassword)
				return ask(st.t, victim.c, "POST", st.home("/logout"), url.Values{"form": {known}}.Encode(), formType)
			}},
			{"the sign-in form by another site, with the attacker's account", "RFC 6749 10.12; RFC 9700 4.7", "page 403 another site", func(st *stage) answer {
				victim := st.s.stranger()
				form := url.Values{"provider": {"local"}, "name": {"bob"}, "password": {adminPassword}, "form": {tokenOf(victim.follow(st.home("/signin")))}}
				return ask(st.t, victim.c, "POST", st.home("/signin"), form.Encode(), formType, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site")
			}},
			{"the sign-in form without its token, with the attacker's account", "RFC 6749 10.12; RFC 9700 4.7", "page 403 out of date", func(st *stage) answer {
				victim := st.s.stranger()
				victim.follow(st.home("/signin"))
				return ask(st.t, victim.c, "POST", st.home("/signin"), url.Values{"provider": {"local"}, "name": {"bob"}, "password": {adminPassword}}.Encode(), formType)
			}},
			{"the sign-in form by a link", "RFC 6749 10.12; RFC 9700 4.3.2", "page 200 Sign in", func(st *stage) answer {
				return st.get(st.home("/signin?provider=local&name=bob&password=" + url.QueryEscape(adminPassword)))
			}},
			{"a wrong password", "RFC 6749 10.10", "page 403 Name or password is not right", func(st *stage) answer { return signing(st, st.s.stranger(), "bob", "wrong") }},
			{"a name that does not exist, told by the answer", "RFC 6749 10.10", "page 403 Name or password is not right", func(st *stage) answer {
				plain := func(got answer, name string) string {
					for _, in := range inputTag.FindAllStringSubmatch(got.Body, -1) {
						got.Body = strings.ReplaceAll(got.Body, in[2], "")
					}
					return strings.ReplaceAll(got.Body, name, "")
				}
				there, not := signing(st, st.s.stranger(), "bob", "wrong"), signing(st, st.s.stranger(), "nobodyhere", "wrong")
				if plain(there, "bob") != plain(not, "nobodyhere") {
					st.t.Errorf("an account that exists is answered otherwise:\n%s\n%s", there.Body, not.Body)
				}
				return not
			}},
			{"markup for a name", "RFC 6749 10.14", "page 403 &lt;x-evil", func(st *stage) answer { return signing(st, st.s.stranger(), `"'>`+markup+`>`, "x") }},
			{"a NUL in a name", "RFC 6749 10.14", "page 403 Name or password is not right", func(st *stage) answer { return signing(st, st.s.stranger(), "bob\x00", adminPassword) }},
			{"a password of 60 KiB", "RFC 6749 10.14", "page 403 Name or password is not right", func(st *stage) answer {
				return signing(st, st.s.stranger(), "nobodyhere", strings.Repeat("a", 60<<10))
			}},
			{"a form of 70 KiB", "RFC 6749 10.14", "page 413 at most 64 KiB", func(st *stage) answer {
				return signing(st, st.s.stranger(), "bob", strings.Repeat("a", 70<<10))
			}},
			{"a provider that is not there", "RFC 9700 4.4", "page 422 Provider", func(st *stage) answer {
				p := st.s.stranger()
				return p.submit(p.follow(st.home("/signin")), "/signin", url.Values{"provider": {"github"}})
			}},
			{"the sign-in page in a frame", "RFC 9700 4.16; RFC 6749 10.13", "page 200 Sign in", func(st *stage) answer { return st.get(st.home("/signin"), "Sec-Fetch-Dest: iframe") }},
			{"the account page in a frame", "RFC 9700 4.16", "page 200 Connected apps", func(st *stage) answer {
				return get(st.t, st.alice.c, st.home("/account"), "Accept: text/html", "Sec-Fetch-Dest: iframe")
			}},
			{"the way out in a frame", "RFC 9700 4.16", "page 200 Sign out", func(st *stage) answer { return get(st.t, st.alice.c, st.home("/logout"), "Accept: text/html") }},
			{"signed out by a link", "RFC 6749 10.12", "page 200 local:alice", func(st *stage) answer {
				get(st.t, st.alice.c, st.home("/logout?answer=yes"))
				get(st.t, st.alice.c, st.app.issuer+"/.gatehouse/logout")
				return st.alice.follow(st.home("/account"))
			}},
			{"signed out by another site", "RFC 6749 10.12", "page 403 another site", func(st *stage) answer {
				return ask(st.t, st.alice.c, "POST", st.home("/logout"), "", formType, "Origin: https://evil.example")
			}},
			{"signed out by a backend's script", "RFC 6749 10.12; RFC 6265 8.6", "page 403 another site", func(st *stage) answer {
				return ask(st.t, st.alice.c, "POST", st.home("/logout"), "", formType, "Origin: "+st.app.issuer, "Sec-Fetch-Site: same-site")
			}},
			{"another person's application disconnected", "RFC 7009 5; RFC 9700 2.3", "to /account", func(st *stage) answer {
				out := st.tokens(st.app, nil)
				_, claims, _ := parts(st.t, out.Access)
				p := st.bob
				form := url.Values{"grant": {claims["grant_id"].(string)}, "form": {tokenOf(p.follow(st.home("/account")))}}
				got := ask(st.t, p.c, "POST", st.home("/account"), form.Encode(), formType)
				st.works(out.Access)
				return got
			}},
			{"the setup link again", "RFC 6749 10.5; RFC 6749 10.10", "page 410 ", func(st *stage) answer { return st.get(st.s.onHTTPS(st.s.setup())) }},
			{"a setup link that somebody made up", "RFC 6749 10.10", "page 410 ", func(st *stage) answer { return st.get(st.home("/setup?setup=" + random())) }},
			{"the pages for people on the protected host", "RFC 9700 4.16; RFC 6265 8.6", "page 404 no such page", func(st *stage) answer {
				return get(st.t, st.alice.c, st.app.issuer+"/.gatehouse/account", "Accept: text/html")
			}},
		},
	}
}
