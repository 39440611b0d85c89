package test

import (
	"net/http"
	"net/url"
	"strings"
)

// consentThreats try to get a person's yes without the person.
func consentThreats() family {
	handleOf := func(st *stage, c *oauthClient, changes url.Values) string {
		to, err := st.get(c.request(changes)).Location()
		if err != nil || to.Query().Get("request") == "" {
			st.t.Fatalf("no consent page: %v %v", to, err)
		}
		return to.Query().Get("request")
	}
	page := func(handle string) string { return "/consent?request=" + url.QueryEscape(handle) }
	// open wants a request to be open still after an attack on it.
	open := func(try func(st *stage, handle string) answer) func(*stage) answer {
		return func(st *stage) answer {
			handle := handleOf(st, st.thief, url.Values{"scope": {"admin user"}})
			got := try(st, handle)
			if after := st.alice.follow(st.home(page(handle))); after.StatusCode != http.StatusOK || !strings.Contains(after.Body, "Allow attack?") {
				st.t.Errorf("the request was answered: %d\n%s", after.StatusCode, after.Body)
			}
			return got
		}
	}
	allow := func(handle string) string {
		return url.Values{"request": {handle}, "answer": {"allow"}}.Encode()
	}
	posted := func(headers ...string) func(*stage) answer {
		return open(func(st *stage, handle string) answer {
			return ask(st.t, st.alice.c, "POST", st.home("/consent"), allow(handle), append([]string{formType}, headers...)...)
		})
	}
	// real is the form of the consent page itself, sent from elsewhere.
	real := func(headers ...string) func(*stage) answer {
		return open(func(st *stage, handle string) answer {
			shown := st.alice.follow(st.home(page(handle)))
			form := url.Values{"request": {handle}, "answer": {"allow"}, "form": {tokenOf(shown)}}
			return ask(st.t, st.alice.c, "POST", st.home("/consent"), form.Encode(), append([]string{formType}, headers...)...)
		})
	}
	displayed := func(name, refs, words, client, redirect string) threat {
		return threat{name, refs, "page 200 " + words, func(st *stage) answer {
			return st.alice.follow(st.named(client, redirect).request(nil))
		}}
	}
	return family{
		name:  "consent",
		about: "An application that wants a person's yes: without asking, by a page or script of somebody else, or by looking like another one.",
		proper: func(st *stage) {
			got := st.decide(st.alice, st.app, nil, "allow")
			if to, err := got.Location(); err != nil || to.Query().Get("code") == "" || to.Query().Get("state") != "the-state" {
				st.t.Errorf("%d to %v\n%s", got.StatusCode, to, got.Body)
			}
		},
		rows: []threat{
			{"a link that says allow", "RFC 6749 10.12; RFC 9700 4.7", "page 200 Allow attack?", open(func(st *stage, handle string) answer {
				return get(st.t, st.alice.c, st.home(page(handle)+"&answer=allow"), "Accept: text/html")
			})},
			{"a form without its token", "RFC 6749 10.12; RFC 9700 4.7", "page 403 out of date", posted()},
			{"a form of another site", "RFC 6749 10.12; RFC 9700 4.7", "page 403 another site", posted("Origin: https://evil.example", "Sec-Fetch-Site: cross-site")},
			{"a script of the protected page", "RFC 6749 10.12; MCP security, Confused Deputy Problem", "page 403 another site", func(st *stage) answer {
				return real("Origin: "+st.app.issuer, "Sec-Fetch-Site: same-site")(st)
			}},
			{"the page's own form, sent by another site", "RFC 6749 10.12; RFC 9700 4.7", "page 403 another site", real("Origin: https://evil.example", "Sec-Fetch-Site: cross-site")},
			{"the page's own form, sent by a sandboxed frame", "RFC 6749 10.12; RFC 9700 4.16", "page 403 another site", real("Origin: null", "Sec-Fetch-Site: cross-site")},
			{"the page's own form, sent from nowhere a browser would say", "RFC 6749 10.12", "page 403 another site", real("Origin: null")},
			{"the page's own form, sent by the same name over http", "RFC 6265 8.6; RFC 6749 10.12", "page 403 another site", func(st *stage) answer {
				return real("Origin: http" + st.home("")[5:])(st)
			}},
			{"the page's own form with two origins", "RFC 6749 10.12", "page 403 another site", func(st *stage) answer {
				return real("Origin: "+st.home(""), "Origin: https://evil.example")(st)
			}},
			{"a form with another person's token", "RFC 6749 10.12; MCP security, Session Hijacking", "page 403 out of date", open(func(st *stage, handle string) answer {
				theirs := st.bob.follow(st.home(page(handle)))
				form := url.Values{"request": {handle}, "answer": {"allow"}, "form": {tokenOf(theirs)}}
				return ask(st.t, st.alice.c, "POST", st.home("/consent"), form.Encode(), formType, "Origin: "+st.home(""))
			})},
			{"a form as text", "RFC 6749 10.12", "page 403 ", open(func(st *stage, handle string) answer {
				return ask(st.t, st.alice.c, "POST", st.home("/consent"), allow(handle), "Content-Type: text/plain", "Origin: "+st.home(""))
			})},
			{"a form as JSON", "RFC 6749 10.12", "page 403 ", open(func(st *stage, handle string) answer {
				return ask(st.t, st.alice.c, "POST", st.home("/consent"), `{"request":"`+handle+`","answer":"allow"}`, "Content-Type: application/json", "Origin: "+st.home(""))
			})},
			{"an answer by PUT", "RFC 9110 15.5.6; RFC 6749 10.12", "page 405 not asked that way", open(func(st *stage, handle string) answer {
				return ask(st.t, st.alice.c, "PUT", st.home("/consent"), allow(handle), formType, "Origin: "+st.home(""))
			})},
			{"an answer that is no button's", "RFC 6749 10.14", "page 422 one of the buttons", open(func(st *stage, handle string) answer {
				return st.alice.submit(st.alice.follow(st.home(page(handle))), "/consent", url.Values{"answer": {"ALLOW"}})
			})},
			{"a question that is shown in a frame", "RFC 9700 4.16; RFC 6749 10.13", "page 200 Allow attack?", open(func(st *stage, handle string) answer {
				got := get(st.t, st.alice.c, st.home(page(handle)), "Sec-Fetch-Dest: iframe", "Accept: text/html")
				if v := got.Header.Get("X-Frame-Options"); v != "DENY" {
					st.t.Errorf("X-Frame-Options is %q", v)
				}
				return got
			})},
			{"answered twice", "RFC 6749 10.12; RFC 6749 10.5", "page 400 no longer open", func(st *stage) answer {
				page := st.alice.follow(st.app.request(nil))
				st.alice.submit(page, "/consent", url.Values{"answer": {"deny"}})
				return st.alice.submit(page, "/consent", url.Values{"answer": {"allow"}})
			}},
			{"allowed six times at once: one code", "RFC 6749 10.5; RFC 9700 4.5", "page 400 no longer open", func(st *stage) answer {
				shown := st.alice.follow(st.app.request(nil))
				form := url.Values{"request": {shown.Request.URL.Query().Get("request")}, "answer": {"allow"}, "form": {tokenOf(shown)}}
				if good, _ := st.together(6, st.alice, st.home("/consent"), form, "Origin: "+st.home("")); good != 1 {
					st.t.Errorf("%d codes were given, want 1", good)
				}
				return st.alice.submit(shown, "/consent", url.Values{"answer": {"allow"}})
			}},
			{"a request that nobody made", "RFC 6749 10.12", "page 400 no longer open", func(st *stage) answer { return st.alice.follow(st.home(page(random()))) }},
			{"no request", "RFC 6749 10.12", "page 400 no longer open", func(st *stage) answer { return st.alice.follow(st.home("/consent")) }},
			{"on the protected host, where its scripts could read it", "RFC 9700 4.16; MCP security, Confused Deputy Problem", "401", func(st *stage) answer {
				return st.get(st.app.issuer + "/consent/private")
			}},
			{"for a client that was approved before, by another redirect", "MCP security, Confused Deputy Problem; RFC 9700 2.1", "page 200 Allow twofold?", func(st *stage) answer {
				made := st.enroll("app.localhost", map[string]any{"client_name": "twofold", "redirect_uris": []string{"https://twofold.example/a", "https://twofold.example/b"}, "token_endpoint_auth_method": "none"})
				c := &oauthClient{t: st.t, s: st.s, c: st.mallory, issuer: st.app.issuer, id: made.ID, redirect: made.URIs[0], verifier: random()}
				c.code(st.alice, nil)
				if got := get(st.t, st.alice.c, st.home(page(handleOf(st, c, nil))), "Accept: text/html"); got.StatusCode != http.StatusSeeOther {
					st.t.Errorf("the same again is asked again: %d", got.StatusCode)
				}
				return st.alice.follow(c.request(url.Values{"redirect_uri": {made.URIs[1]}}))
			}},
			{"for a client that was approved before, with more scope", "MCP security, Confused Deputy Problem; MCP security, Scope Minimization", "page 200 Allow patient?", func(st *stage) answer {
				c := st.named("patient", "https://patient.example/back")
				c.code(st.alice, nil)
				return st.alice.follow(c.request(url.Values{"scope": {"user mcp"}}))
			}},
			{"for administration, although it was approved before", "MCP security, Scope Minimization; RFC 9700 2.3", "page 200 Administration", func(st *stage) answer {
				c := st.named("greedy", "https://greedy.example/back")
				c.code(st.alice, url.Values{"scope": {"user admin"}})
				return st.alice.follow(c.request(url.Values{"scope": {"user admin"}}))
			}},
			{"for a program on this machine, although it was approved before", "RFC 8252 8.6; RFC 6749 10.2; MCP authorization, Localhost Redirect URI Risks", "page 200 Allow attack?", func(st *stage) answer {
				st.app.code(st.alice, nil)
				return st.alice.follow(st.app.request(nil))
			}},
			{"for another person than the one who approved", "MCP security, Confused Deputy Problem", "page 200 Allow shared?", func(st *stage) answer {
				c := st.named("shared", "https://shared.example/back")
				c.code(st.alice, nil)
				return st.bob.follow(c.request(nil))
			}},
			{"for scope that the person does not have", "RFC 9700 2.3; RFC 6749 3.3", "page 403 none of the rights", func(st *stage) answer {
				return st.bob.follow(st.app.request(url.Values{"scope": {"admin"}}))
			}},
			{"for a host that does not list the person", "RFC 9700 2.3", "page 403 not let in", func(st *stage) answer {
				return st.bob.follow(st.s.register(st.t, "only.localhost", "http://127.0.0.1:9/back").request(nil))
			}},
			displayed("markup for a name", "RFC 6749 10.14; RFC 7591 5", "&lt;x-evil", `"'>`+markup+` onload=alert(1)>`, "https://good.example/back"),
			{"markup for a name, before the person has signed in", "RFC 6749 10.14; RFC 7591 5", "page 200 &lt;x-evil", func(st *stage) answer {
				return st.s.stranger().follow(st.named(`"'>`+markup+` onload=alert(1)>`, "https://good.example/back").request(nil))
			}},
			{"markup for a name, on the account page", "RFC 6749 10.14; RFC 7591 5", "page 200 &lt;x-evil", func(st *stage) answer {
				c := st.named(`"'>`+markup+` onload=alert(1)>`, "https://good.example/back")
				st.redeem(c, c.code(st.alice, nil), nil)
				return st.alice.follow(st.home("/account"))
			}},
			{"a name that clears the administrator's terminal", "RFC 7591 5; RFC 6749 10.14", "page 200 Allow [2Jgone", func(st *stage) answer {
				c := st.named("\x1b[2Jgone\x07", "https://good.example/back")
				if out := st.s.local("oauth", "client", "list", "--format", "table", "--limit", "500"); strings.ContainsAny(out, "\x1b\x07") || !strings.Contains(out, "[2Jgone") {
					st.t.Errorf("the list of clients: %q", out)
				}
				return st.alice.follow(c.request(nil))
			}},
			displayed("template text for a name", "RFC 6749 10.14; RFC 7591 5", "Allow {{.Data.Handle}}?", "{{.Data.Handle}}", "https://good.example/back"),
			displayed("the name of the command line", "RFC 6749 10.2; RFC 8252 8.6; RFC 7591 5", "registered itself; its name is not verified", "Gatehouse command line", "https://evil.example/back"),
			displayed("a known name in letters that look alike", "RFC 6749 10.2; RFC 7591 5", "evil.example", "Сlaude", "https://evil.example/back"),
			displayed("a name with the address of another site", "RFC 6749 10.2; RFC 7591 5", "<dd>evil.example</dd>", "Claude (claude.ai)", "https://evil.example/back"),
			displayed("a name that turns the text around", "RFC 6749 10.2; RFC 7591 5", "Allow gnp.exe?", "\u202egnp.exe\u202c", "https://good.example/back"),
			displayed("a name with characters that nobody sees", "RFC 6749 10.2; RFC 7591 5", "Allow Claude?", "Cl\u200bau\u2060de\ufeff", "https://good.example/back"),
			displayed("a name that breaks lines", "RFC 6749 10.14", "Allow two lines?", "two\r\n lines", "https://good.example/back"),
			displayed("a name with a NUL", "RFC 6749 10.14", "Allow nul?", "n\x00ul", "https://good.example/back"),
			displayed("a name of 10,000 letters", "RFC 6749 10.14; RFC 7591 5", "Allow aaaaaaaaaa", strings.Repeat("a", 10_000), "https://good.example/back"),
			displayed("a redirect in punycode", "RFC 8252 8.6; RFC 9700 4.1.3", "xn--gd-emba.example", "look-alike", "https://xn--gd-emba.example/back"),
			displayed("a redirect to a private scheme", "RFC 8252 7.1; RFC 8252 8.6", "an app on this device (com.evil.app:)", "app", "com.evil.app:/back"),
			displayed("a redirect to this machine", "RFC 8252 8.3; MCP authorization, Localhost Redirect URI Risks", "a program on this computer (127.0.0.1:9)", "local", "http://127.0.0.1:9/back"),
		},
	}
}

// tokenOf is the token of the forms on a page.
func tokenOf(page answer) string {
	for _, in := range inputTag.FindAllStringSubmatch(page.Body, -1) {
		if in[1] == "form" {
			return in[2]
		}
	}
	return ""
}
