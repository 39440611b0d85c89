package test

import (
	"net/http"
	"net/url"
	"strings"
)

// ticketThreats are about the way back from the sign-in host.
func ticketThreats() family {
	// ticket is an address with a ticket of p's for app.localhost.
	ticket := func(st *stage, p *person) string {
		st.t.Helper()
		began, err := get(st.t, p.c, st.app.issuer+"/.gatehouse/start?return=%2F").Location()
		if err != nil {
			st.t.Fatal(err)
		}
		back, err := get(st.t, p.c, began.String(), "Accept: text/html").Location()
		if err != nil || back.Query().Get("ticket") == "" {
			st.t.Fatalf("no ticket: %v %v", back, err)
		}
		return back.String()
	}
	returning := func(name, refs, to string) threat {
		return threat{"start, and then to " + name, refs, "page 400 not on this host", func(st *stage) answer {
			return get(st.t, st.alice.c, st.app.issuer+"/.gatehouse/start?return="+url.QueryEscape(to), "Accept: text/html")
		}}
	}
	next := func(name, refs, to string) threat {
		return threat{"sign in, and then to " + name, refs, "page 400 not on this host", func(st *stage) answer {
			return get(st.t, st.alice.c, st.home("/signin?next="+url.QueryEscape(to)), "Accept: text/html")
		}}
	}
	return family{
		name:  "ticket",
		about: "Tickets, which bring a sign-in to the host that asked for it, in other hands and at other places; and addresses of ours that should lead elsewhere.",
		proper: func(st *stage) {
			got := get(st.t, st.alice.c, ticket(st, st.alice))
			if got.StatusCode != http.StatusSeeOther || len(got.Cookies()) < 2 {
				st.t.Errorf("a good ticket: %d %v\n%s", got.StatusCode, got.Header, got.Body)
			}
		},
		rows: []threat{
			{"used in another browser", "RFC 9700 4.7; MCP security, Session Hijacking", "page 403 began in another browser", func(st *stage) answer {
				return get(st.t, st.s.stranger().c, ticket(st, st.alice))
			}},
			{"used in another browser: it is spent then", "RFC 9700 4.7; RFC 6749 10.5", "page 400 used already", func(st *stage) answer {
				at := ticket(st, st.bob)
				get(st.t, st.s.stranger().c, at)
				return get(st.t, st.bob.c, at)
			}},
			{"forced on somebody who has begun to sign in themselves", "RFC 6749 10.12; RFC 9700 4.7", "page 403 began in another browser", func(st *stage) answer {
				victim := st.s.stranger()
				get(st.t, victim.c, st.app.issuer+"/.gatehouse/start?return=%2F")
				return get(st.t, victim.c, ticket(st, st.bob))
			}},
			{"forced with a cookie that another host tossed in", "RFC 6265 8.6; RFC 6749 10.12", "page 403 began in another browser", func(st *stage) answer {
				at := ticket(st, st.bob)
				victim := st.s.stranger()
				get(st.t, victim.c, st.app.issuer+"/.gatehouse/start?return=%2F")
				mine := st.cookie(victim, "app.localhost", "__Host-gatehouse-start")
				theirs := st.cookie(st.bob, "app.localhost", "__Host-gatehouse-start")
				return st.get(at, "Cookie: __Host-gatehouse-start="+theirs+"; __Host-gatehouse-start="+mine)
			}},
			{"forced with a cookie without the name that only its host can set", "RFC 6265 8.6", "page 403 began in another browser", func(st *stage) answer {
				at := ticket(st, st.bob)
				return st.get(at, "Cookie: gatehouse-start="+st.cookie(st.bob, "app.localhost", "__Host-gatehouse-start"))
			}},
			{"used at another host", "RFC 9700 4.4; MCP security, Session Hijacking", "page 400 used already", func(st *stage) answer {
				get(st.t, st.alice.c, st.other.issuer+"/.gatehouse/start?return=%2F")
				return get(st.t, st.alice.c, strings.Replace(ticket(st, st.alice), "//app.", "//other.", 1))
			}},
			{"used twice", "RFC 6749 10.5; RFC 9700 4.5", "page 400 used already", func(st *stage) answer {
				at := ticket(st, st.bob)
				get(st.t, st.bob.c, at)
				return get(st.t, st.s.stranger().c, at)
			}},
			{"used six times at once: one session", "RFC 6749 10.5; MCP security, Session Hijacking", "page 400 used already", func(st *stage) answer {
				at := ticket(st, st.bob)
				start := st.cookie(st.bob, "app.localhost", "__Host-gatehouse-start")
				opened := 0
				for _, got := range all(6, func() (answer, error) {
					return send(st.t.Context(), st.mallory, "GET", at, "", "Cookie: __Host-gatehouse-start="+start)
				}) {
					if got.Response == nil {
						st.t.Fatal("no answer")
					}
					for _, c := range got.Cookies() {
						if c.Name == "__Host-gatehouse" && c.Value != "" {
							opened++
						}
					}
				}
				if opened != 1 {
					st.t.Errorf("%d sessions were opened, want 1", opened)
				}
				return st.get(at, "Cookie: __Host-gatehouse-start="+start)
			}},
			{"guessed", "RFC 6749 10.10", "page 400 used already", func(st *stage) answer { return st.get(st.app.issuer + "/.gatehouse/callback?ticket=" + random()) }},
			{"twice in one address", "RFC 6749 3.1", "page 400 used already", func(st *stage) answer {
				return st.get(st.app.issuer + "/.gatehouse/callback?ticket=" + random() + "&ticket=" + random())
			}},
			{"none", "RFC 6749 10.12", "page 400 used already", func(st *stage) answer { return st.get(st.app.issuer + "/.gatehouse/callback") }},
			{"of a sign-in that has ended since", "MCP security, Session Hijacking; RFC 9700 4.7", "page 401 has ended", func(st *stage) answer {
				p := st.again()
				at := ticket(st, p)
				p.submit(p.follow(st.home("/account")), "/logout", url.Values{})
				return get(st.t, p.c, at)
			}},
			{"asked for with a start that somebody made up", "RFC 9700 4.11.2; RFC 6749 10.15", "page 400 not complete", func(st *stage) answer {
				return get(st.t, st.alice.c, st.home("/signin?start=eyJuYW1lIjoiYXBwLmxvY2FsaG9zdCIsIm9yaWdpbiI6Imh0dHBzOi8vZXZpbC5leGFtcGxlIn0"), "Accept: text/html")
			}},
			{"asked for with a start that was changed", "RFC 9700 4.11.2; RFC 6749 10.15", "page 400 not complete", func(st *stage) answer {
				to, err := get(st.t, st.alice.c, st.app.issuer+"/.gatehouse/start?return=%2F").Location()
				if err != nil {
					st.t.Fatal(err)
				}
				start := to.Query().Get("start")
				return get(st.t, st.alice.c, st.home("/signin?start="+start[:40]+flip(start[40])+start[41:]), "Accept: text/html")
			}},
			returning("another site", "RFC 9700 4.11.2; MCP authorization, Open Redirection", "https://evil.example/"),
			returning("another site without a scheme", "RFC 9700 4.11.2", "//evil.example/"),
			returning("three slashes", "RFC 9700 4.11.2", "///evil.example/"),
			returning("a backslash", "RFC 9700 4.11.2", `/\evil.example`),
			returning("two backslashes", "RFC 9700 4.11.2", `\\evil.example`),
			returning("an encoded slash", "RFC 9700 4.11.2", "/%2fevil.example"),
			returning("an encoded backslash", "RFC 9700 4.11.2", "/%5cevil.example"),
			returning("dots and two slashes", "RFC 9700 4.11.2", "/x/..//evil.example"),
			returning("a tab", "RFC 9700 4.11.2", "/\t/evil.example"),
			returning("a line break", "RFC 9112 2.2; RFC 9700 4.11.2", "/\r\nSet-Cookie: evil=1"),
			returning("an encoded line break", "RFC 9112 2.2; RFC 9700 4.11.2", "/%0d%0aSet-Cookie:%20evil=1"),
			returning("a script", "RFC 6749 10.14; RFC 9700 4.11.2", "javascript:alert(1)"),
			returning("a name and a password", "RFC 9700 4.11.2", "@evil.example/"),
			returning("a relative path", "RFC 9700 4.11.2", "evil.example"),
			returning("the end of another sign-in", "RFC 9700 4.7", "/.gatehouse/callback?ticket=x"),
			returning("the way out", "RFC 6749 10.12", "/.gatehouse/logout"),
			{"start, and then to two places", "RFC 6749 3.1; RFC 9700 4.11.2", "page 400 not on this host", func(st *stage) answer {
				return get(st.t, st.alice.c, st.app.issuer+"/.gatehouse/start?return=/&return=//evil.example", "Accept: text/html")
			}},
			next("another site", "RFC 9700 4.11.2; RFC 6749 10.15", "https://evil.example/"),
			next("another site without a scheme", "RFC 9700 4.11.2", "//evil.example/"),
			next("a backslash", "RFC 9700 4.11.2", `/\evil.example`),
			next("a name behind the host's own", "RFC 9700 4.11.2", ".evil.example/"),
			{"sign out, and then to another site", "RFC 9700 4.11.2; RFC 6749 10.15", "page 400 not on this host", func(st *stage) answer {
				p := st.bob
				got := p.submit(p.follow(st.home("/logout")), "/logout", url.Values{"next": {"//evil.example/"}})
				if page := p.follow(st.home("/account")); !strings.Contains(page.Body, "local:bob") {
					st.t.Errorf("it signed out all the same: %d", page.StatusCode)
				}
				return got
			}},
			{"a path that looks like a host", "RFC 9700 4.11.2; RFC 9112 3.2", "401", func(st *stage) answer {
				return st.raw("app.localhost", "GET //evil.example/private/%2f.. HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
			}},
		},
	}
}
