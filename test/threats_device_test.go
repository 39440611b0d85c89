package test

import (
	"net/http"
	"net/url"
	"strings"
)

// waiting is a device that waits for its person.
type waiting struct {
	Device   string `json:"device_code"`
	User     string `json:"user_code"`
	Page     string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
}

// device begins the device flow of the sign-in host as the command line does.
func (st *stage) device(scope string) waiting {
	st.t.Helper()
	got := st.post(st.home("/device/code"), url.Values{"client_id": {"device_flow_client"}, "scope": {scope}})
	if got.StatusCode != http.StatusOK {
		st.t.Fatalf("no device code: %d %s", got.StatusCode, got.Body)
	}
	var w waiting
	decode(st.t, got.Body, &w)
	return w
}

func (w waiting) form() url.Values {
	return url.Values{"grant_type": {deviceGrant}, "client_id": {"device_flow_client"}, "device_code": {w.Device}}
}

func (st *stage) poll(w waiting) answer {
	st.t.Helper()
	return st.post(st.home("/token"), w.form())
}

// shown is the page on which p is asked about a device.
func (st *stage) shown(p *person, w waiting) answer {
	st.t.Helper()
	asked := p.submit(p.follow(st.home("/device")), "/device", url.Values{"user_code": {w.User}})
	next, err := asked.Location()
	if err != nil {
		st.t.Fatalf("the code was not taken: %d\n%s", asked.StatusCode, asked.Body)
	}
	return p.follow(next.String())
}

// answered lets p answer a device.
func (st *stage) answered(p *person, w waiting, say string) {
	st.t.Helper()
	if got := p.submit(st.shown(p, w), "/device", url.Values{"answer": {say}}); got.StatusCode != http.StatusSeeOther {
		st.t.Fatalf("the answer was not taken: %d\n%s", got.StatusCode, got.Body)
	}
}

// deviceThreats are about devices that nobody asked for.
func deviceThreats() family {
	// untouched does something about a device that must leave it waiting.
	untouched := func(try func(st *stage, w waiting) answer) func(*stage) answer {
		return func(st *stage) answer {
			w := st.device("admin")
			got := try(st, w)
			if after := st.poll(w); !strings.Contains(after.Body, "authorization_pending") {
				st.t.Errorf("the device was answered: %s", after.Body)
			}
			return got
		}
	}
	return family{
		name:  "device",
		about: "Device codes that are polled by others, guessed, or sent to somebody who did not ask for them.",
		proper: func(st *stage) {
			w := st.device("user")
			st.answered(st.alice, w, "allow")
			if got := st.poll(w); got.StatusCode != http.StatusOK {
				st.t.Errorf("an approved device: %d %s", got.StatusCode, got.Body)
			}
		},
		rows: []threat{
			{"polled before anybody agreed", "RFC 8628 3.5", "400 authorization_pending", func(st *stage) answer { return st.poll(st.device("user")) }},
			{"polled too fast", "RFC 8628 3.5", "400 slow_down", func(st *stage) answer {
				w := st.device("user")
				st.poll(w)
				return st.poll(w)
			}},
			{"polled by another client", "RFC 8628 3.4; RFC 8628 5.2", "400 invalid_grant", func(st *stage) answer {
				c := st.enroll("auth.localhost", map[string]any{"grant_types": []string{deviceGrant, "refresh_token"}, "token_endpoint_auth_method": "none"})
				w := st.device("user")
				st.answered(st.alice, w, "allow")
				form := w.form()
				form.Set("client_id", c.ID)
				return st.post(st.home("/token"), form)
			}},
			{"polled at another issuer", "RFC 9700 4.4; RFC 8628 3.4", "400 invalid_grant", func(st *stage) answer {
				w := st.device("user")
				st.answered(st.alice, w, "allow")
				return st.post(st.app.issuer+"/token", w.form())
			}},
			{"polled for another resource", "RFC 8707 2.2", "400 invalid_target", func(st *stage) answer {
				w := st.device("user")
				st.answered(st.alice, w, "allow")
				form := w.form()
				form.Set("resource", st.app.issuer)
				return st.post(st.home("/token"), form)
			}},
			{"polled with a guessed code", "RFC 8628 5.2; RFC 6749 10.10", "400 invalid_grant", func(st *stage) answer { return st.poll(waiting{Device: random()}) }},
			{"polled with the code that people type", "RFC 8628 5.2", "400 invalid_grant", func(st *stage) answer {
				w := st.device("user")
				return st.poll(waiting{Device: w.User})
			}},
			{"polled with the code in the query", "RFC 8628 3.4; RFC 9700 4.3.2", "400 invalid_request", func(st *stage) answer {
				return st.post(st.home("/token?"+st.device("user").form().Encode()), nil)
			}},
			{"polled without a code", "RFC 8628 3.4", "400 invalid_request", func(st *stage) answer { return st.poll(waiting{}) }},
			{"polled after a refusal", "RFC 8628 3.5", "400 access_denied", func(st *stage) answer {
				w := st.device("user")
				st.answered(st.alice, w, "deny")
				return st.poll(w)
			}},
			{"redeemed twice", "RFC 8628 5.2; RFC 6749 10.5", "400 invalid_grant", func(st *stage) answer {
				w := st.device("user")
				st.answered(st.alice, w, "allow")
				st.poll(w)
				return st.poll(w)
			}},
			{"redeemed eight times at once: one gets tokens", "RFC 8628 5.2; RFC 8628 3.5", "400 invalid_grant", func(st *stage) answer {
				w := st.device("user")
				st.answered(st.alice, w, "allow")
				if good, _ := st.together(8, nil, st.home("/token"), w.form()); good != 1 {
					st.t.Errorf("%d of the eight got tokens, want 1", good)
				}
				return st.poll(w)
			}},
			{"with scope added while polling", "RFC 8628 3.4; RFC 9700 2.3", "403 denied", func(st *stage) answer {
				w := st.device("user")
				st.answered(st.alice, w, "allow")
				form := w.form()
				form.Set("scope", "admin user")
				var out tokens
				decode(st.t, st.post(st.home("/token"), form).Body, &out)
				return ask(st.t, st.mallory, "DELETE", st.home("/proxies/app.localhost"), "", "Authorization: Bearer "+out.Access)
			}},
			{"begun by a client that did not register for it", "RFC 8628 3.1; RFC 6749 5.2", "400 unauthorized_client", func(st *stage) answer {
				return st.post(st.app.issuer+"/device/code", url.Values{"client_id": {st.thief.id}})
			}},
			{"begun without a client", "RFC 8628 3.1", "400 invalid_request", func(st *stage) answer { return st.post(st.home("/device/code"), url.Values{"scope": {"user"}}) }},
			{"begun for another host", "RFC 8707 2; RFC 9700 2.3", "400 invalid_target", func(st *stage) answer {
				return st.post(st.app.issuer+"/device/code", url.Values{"client_id": {"device_flow_client"}, "resource": {st.other.issuer}})
			}},
			{"begun for two hosts", "RFC 8707 2", "400 invalid_target", func(st *stage) answer {
				return st.post(st.app.issuer+"/device/code", url.Values{"client_id": {"device_flow_client"}, "resource": {st.app.issuer, st.other.issuer}})
			}},
			{"begun by a link", "RFC 8628 3.1", "405 invalid_request", func(st *stage) answer { return st.get(st.home("/device/code?client_id=device_flow_client")) }},
			{"a link with the code filled in is opened", "RFC 8628 5.4; RFC 8628 3.3.1", "page 200 Only enter a code that you asked for yourself", untouched(func(st *stage, w waiting) answer {
				return st.alice.follow(w.Complete)
			})},
			{"a link with the code filled in, to somebody not signed in", "RFC 8628 5.4; RFC 8628 3.3.1", "page 200 Sign in", untouched(func(st *stage, w waiting) answer {
				return st.s.stranger().follow(w.Complete)
			})},
			{"a link that says allow", "RFC 8628 5.4; RFC 6749 10.12", "page 200 Connect a device", untouched(func(st *stage, w waiting) answer {
				return get(st.t, st.alice.c, w.Complete+"&answer=allow", "Accept: text/html")
			})},
			{"a device asks for administration: the page says so", "RFC 8628 5.4; RFC 8628 5.3", "page 200 Administration", untouched(func(st *stage, w waiting) answer {
				page := st.shown(st.alice, w)
				if !strings.Contains(page.Body, "127.0.0.1") || !strings.Contains(page.Body, "Go on only if it is yours") {
					st.t.Errorf("the page does not tell where the device is:\n%s", page.Body)
				}
				return page
			})},
			{"markup for a code", "RFC 8628 6.1; RFC 6749 10.14", "page 200 Connect a device", func(st *stage) answer {
				return st.alice.follow(st.home("/device?user_code=" + url.QueryEscape(`"'>`+markup+` onload=alert(1)>`)))
			}},
			{"markup for what makes the request", "RFC 8628 5.3; RFC 6749 10.14", "page 200 &lt;x-evil", func(st *stage) answer {
				got := st.post(st.home("/device/code"), url.Values{"client_id": {"device_flow_client"}, "scope": {"user"}}, "User-Agent: "+`"'>`+markup+` onload=alert(1)>`)
				var w waiting
				decode(st.t, got.Body, &w)
				return st.shown(st.alice, w)
			}},
			{"a place that the device makes up", "RFC 8628 5.3; RFC 9700 4.13", "page 200 <dd>127.0.0.1", func(st *stage) answer {
				got := st.post(st.home("/device/code"), url.Values{"client_id": {"device_flow_client"}, "scope": {"user"}}, "X-Forwarded-For: 198.51.100.7", "X-Real-IP: 198.51.100.7", "Forwarded: for=198.51.100.7")
				var w waiting
				decode(st.t, got.Body, &w)
				page := st.shown(st.alice, w)
				if strings.Contains(page.Body, "198.51.100.7") {
					st.t.Error("the page believes what the device says")
				}
				return page
			}},
			{"a device answered without the page", "RFC 6749 10.12; RFC 8628 5.4", "page 403 out of date", untouched(func(st *stage, w waiting) answer {
				return ask(st.t, st.alice.c, "POST", st.home("/device"), url.Values{"user_code": {w.User}, "answer": {"allow"}}.Encode(), formType)
			})},
			{"a device answered by another site's form", "RFC 6749 10.12; RFC 8628 5.4", "page 403 another site", untouched(func(st *stage, w waiting) answer {
				return ask(st.t, st.alice.c, "POST", st.home("/device"), url.Values{"user_code": {w.User}}.Encode(), formType, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site")
			})},
			{"a page that one person was shown, answered in another's browser", "RFC 8628 5.5; RFC 6749 10.12", "page 400 no longer waits", untouched(func(st *stage, w waiting) answer {
				return get(st.t, st.bob.c, st.shown(st.alice, w).Request.URL.String(), "Accept: text/html")
			})},
			{"a made-up page address", "RFC 8628 5.5", "page 400 no longer waits", func(st *stage) answer {
				return get(st.t, st.alice.c, st.home("/device?request=e30"), "Accept: text/html")
			}},
			{"answered twice", "RFC 8628 5.5", "page 400 no longer waits", func(st *stage) answer {
				w := st.device("user")
				page := st.shown(st.alice, w)
				st.alice.submit(page, "/device", url.Values{"answer": {"deny"}})
				got := st.alice.submit(page, "/device", url.Values{"answer": {"allow"}})
				if after := st.poll(w); !strings.Contains(after.Body, "access_denied") {
					st.t.Errorf("the refusal was taken back: %s", after.Body)
				}
				return got
			}},
			{"a code of other letters", "RFC 8628 6.1", "page 422 No device waits", func(st *stage) answer {
				return st.typed(st.alice, "AEIO-UAEI")
			}},
			{"a code guessed", "RFC 8628 5.1", "page 422 No device waits", func(st *stage) answer { return st.typed(st.alice, "BCDF-GHJK") }},
			{"codes guessed again and again", "RFC 8628 5.1; RFC 6749 10.10", "page 429 Too many wrong codes", func(st *stage) answer {
				for range 10 {
					st.typed(st.alice, "BCDF-GHJK")
				}
				return st.typed(st.alice, "BCDF-GHJK")
			}},
			{"the right code behind ten wrong ones", "RFC 8628 5.1; RFC 6749 10.10", "page 429 Too many wrong codes", untouched(func(st *stage, w waiting) answer {
				for range 10 {
					st.typed(st.bob, "BCDF-GHJK")
				}
				return st.typed(st.bob, w.User)
			})},
		},
	}
}

func (st *stage) typed(p *person, code string) answer {
	st.t.Helper()
	return p.submit(p.follow(st.home("/device")), "/device", url.Values{"user_code": {code}})
}
