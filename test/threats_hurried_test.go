package test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hurriedStage is a program whose requests and device codes live one second, and
// that bounds what one address may try. Rows that use it up come last.
func hurriedStage(t *testing.T) *stage {
	t.Helper()
	st := newStage(t, "OAUTH_SESSION_TIMEOUT=1")
	st.alice = st.s.stranger()
	st.founders = st.raceForSetup()
	st.app = st.s.register(t, "app.localhost", "http://127.0.0.1:9/back")
	return st
}

// raceForSetup uses the setup link in four browsers at once, each for an account
// of its own, and gives how many it made. Alice is signed in by one of them.
func (st *stage) raceForSetup() int {
	st.t.Helper()
	link := st.s.onHTTPS(st.s.setup())
	type founder struct {
		p    *person
		form url.Values
	}
	founders := make(chan founder, 4)
	for i := range cap(founders) {
		p := st.s.stranger()
		form := url.Values{"setup": {valueOf(st.t, link, "setup")}, "form": {tokenOf(p.follow(link))}, "name": {"founder" + strconv.Itoa(i)}, "password": {adminPassword}, "again": {adminPassword}}
		founders <- founder{p, form}
	}
	made := make(chan string, cap(founders))
	all(cap(founders), func() (answer, error) {
		f := <-founders
		got, err := send(st.t.Context(), f.p.c, "POST", st.home("/setup"), f.form.Encode(), formType)
		if err == nil && got.StatusCode == http.StatusSeeOther {
			made <- f.form.Get("name")
		}
		return got, err
	})
	n := len(made)
	if n == 0 {
		st.t.Fatal("the setup link made no account")
	}
	if page := st.alice.signIn(st.alice.follow(st.home("/signin")), <-made, adminPassword); page.StatusCode != http.StatusOK {
		st.t.Fatalf("its account can't sign in: %d", page.StatusCode)
	}
	return n
}

// until asks again until the answer holds words.
func (st *stage) until(words string, ask func() answer) answer {
	st.t.Helper()
	for begun := time.Now(); ; {
		got := ask()
		if strings.Contains(got.Body, words) || time.Since(begun) > 10*time.Second {
			return got
		}
	}
}

// flooded asks until it is told to wait, at most n times.
func flooded(n int, ask func(st *stage) answer) func(*stage) answer {
	return func(st *stage) answer {
		var got answer
		for range n {
			if got = ask(st); got.StatusCode == http.StatusTooManyRequests {
				break
			}
		}
		if got.Header.Get("Retry-After") == "" {
			st.t.Error("it does not say how long to wait")
		}
		return got
	}
}

// hurriedThreats come too late or too often.
func hurriedThreats() family {
	return family{
		name:  "late and often",
		about: "What has expired, and floods from one address.",
		proper: func(st *stage) {
			st.judge("to /consent", st.get(st.app.request(nil)))
		},
		rows: []threat{
			{"a device that polls after its code has expired", "RFC 8628 3.5; RFC 8628 5.2", "400 expired_token", func(st *stage) answer {
				w := st.device("user")
				return st.until("expired_token", func() answer { return st.poll(w) })
			}},
			{"a device's code typed after it has expired", "RFC 8628 3.2; RFC 8628 5.1", "page 422 No device waits", func(st *stage) answer {
				w := st.device("user")
				st.until("expired_token", func() answer { return st.poll(w) })
				return st.typed(st.alice, w.User)
			}},
			{"a question that is answered after it has expired", "RFC 6749 10.12; RFC 9700 4.7", "page 400 no longer open", func(st *stage) answer {
				page := st.alice.follow(st.app.request(nil))
				w := st.device("user")
				st.until("expired_token", func() answer { return st.poll(w) })
				if !strings.Contains(page.Body, "Allow attack?") { // it was too late even to be shown
					return page
				}
				return st.alice.submit(page, "/consent", url.Values{"answer": {"allow"}})
			}},
			{"the setup link in four browsers at once: one account", "RFC 6749 10.5; RFC 6749 10.10", "page 410 ", func(st *stage) answer {
				if users := st.s.signed(st.t, "GET", "/oauth/users/", "").Body; st.founders != 1 || strings.Count(users, `"name":"founder`) != 1 {
					st.t.Errorf("%d accounts were made:\n%s", st.founders, users)
				}
				return st.get(st.s.onHTTPS(st.s.setup()))
			}},
			{"a flood of bad tokens", "RFC 6749 10.10; RFC 8725 3.3", "429 too_many_attempts", flooded(80, func(st *stage) answer {
				token := st.unsignedOf(st.app) + "." + strings.Repeat("A", 342)
				return st.private("Authorization: Bearer " + token)
			})},
			{"a flood of registrations", "RFC 7591 5; MCP authorization, Dynamic Client Registration", "429 temporarily_unavailable", flooded(80, func(st *stage) answer {
				return st.tryEnroll("app.localhost", map[string]any{"redirect_uris": []string{"https://thief.example/back"}})
			})},
			{"the same, from addresses that it makes up", "RFC 7591 5; RFC 9700 4.13", "429 temporarily_unavailable", func(st *stage) answer {
				n := 0
				return flooded(80, func(st *stage) answer {
					n++
					from := fmt.Sprintf("198.51.100.%d", n)
					return ask(st.t, st.mallory, "POST", st.app.issuer+"/register", `{"redirect_uris":["https://thief.example/back"]}`, "Content-Type: application/json", "X-Forwarded-For: "+from, "X-Real-IP: "+from, "Forwarded: for="+from)
				})(st)
			}},
			{"a flood of guessed codes", "RFC 6749 10.10", "429 temporarily_unavailable", flooded(80, func(st *stage) answer { return st.redeem(st.app, random(), nil) })},
			{"a flood of guessed client secrets", "RFC 6749 2.3.1; RFC 6749 10.10", "429 temporarily_unavailable", flooded(80, func(st *stage) answer {
				return st.post(st.app.issuer+"/introspect", url.Values{"token": {"x"}}, basicAuth(st.app.id, random()))
			})},
			{"a flood of authorization requests", "RFC 6749 10.10; RFC 9700 4.16", "429", flooded(120, func(st *stage) answer { return st.get(st.app.request(nil)) })},
			{"a flood of device codes", "RFC 8628 5.1; RFC 8628 5.2", "429 temporarily_unavailable", flooded(80, func(st *stage) answer {
				return st.post(st.home("/device/code"), url.Values{"client_id": {"device_flow_client"}})
			})},
			{"a flood of sign-ins", "RFC 6749 10.10", "page 429 too many attempts", flooded(80, func(st *stage) answer {
				return st.post(st.home("/signin"), url.Values{"name": {adminName}, "password": {"x"}})
			})},
			{"a flood of guessed tickets", "RFC 6749 10.10", "page 429 too many attempts", flooded(80, func(st *stage) answer {
				return st.get(st.app.issuer + "/.gatehouse/callback?ticket=" + random())
			})},
		},
	}
}

// unsignedOf is the first two parts of a well-made token for c's host.
func (st *stage) unsignedOf(c *oauthClient) string {
	now := time.Now().Unix()
	var set struct{ Keys []struct{ Kid string } }
	if st.kid == "" {
		decode(st.t, st.get(c.issuer+"/jwks").Body, &set)
		st.kid = set.Keys[0].Kid
	}
	return segmentOf(map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": st.kid}, nil) + "." +
		segmentOf(map[string]any{"iss": c.issuer, "aud": c.issuer, "sub": "local:alice", "client_id": c.id, "jti": random(), "iat": now, "exp": now + 60}, nil)
}
