package test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gatehouse/test/githubtest"
)

// githubStage is a program whose people come from a stand-in for GitHub, behind
// another proxy that it trusts. own.localhost has an app of its owner's.
func githubStage(t *testing.T) *stage {
	t.Helper()
	github := githubtest.New()
	web := httptest.NewServer(github)
	t.Cleanup(web.Close)
	const secret = "0123456789abcdef0123456789abcdef01234567"
	st := newStage(t, "RATE_LIMITS=off", "TRUSTED_PROXIES=127.0.0.0/8", "GITHUB_URL="+web.URL, "GITHUB_API_URL="+web.URL, "GITHUB_CLIENT_ID=Iv1.gatehouse", "GITHUB_CLIENT_SECRET="+secret)
	st.github = github
	for _, id := range []string{"Iv1.gatehouse", "Iv1.owner"} {
		github.Register(githubtest.App{ClientID: id, ClientSecret: secret, Callback: st.home("/callback")})
	}
	github.Add(githubtest.Account{ID: 583231, Login: "octocat", Name: "The Octocat"})
	github.Add(githubtest.Account{ID: 666, Login: "mallory", Name: `"'>` + markup + ` onload=alert(1)>`})
	for _, proxy := range []string{
		`{"proxy_hostname":"own.localhost","target_url":"` + st.backend.url + `","auth_enabled":true,"auth_mode":"redirect","auth_required_users":["octocat","mallory"],"oauth_user_users":["*"],"github_client_id":"Iv1.owner","github_client_secret":"` + secret + `"}`,
		`{"proxy_hostname":"plain.localhost","target_url":"` + st.backend.url + `"}`,
		`{"proxy_hostname":"off.localhost","target_url":"` + st.backend.url + `","auth_enabled":true,"enabled":false}`,
	} {
		if got := st.s.signed(t, "POST", "/proxies/", proxy); got.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d %s", proxy, got.StatusCode, got.Body)
		}
	}
	if got := st.s.signed(t, "PUT", "/proxies/app.localhost", `{"auth_required_users":["octocat"],"oauth_user_users":["*"]}`); got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, got.Body)
	}
	st.app = st.s.register(t, "app.localhost", "http://127.0.0.1:9/back")
	return st
}

// pressed is where GitHub sends p's browser back to after the button on a page.
func (st *stage) pressed(p *person, page string) *url.URL {
	st.t.Helper()
	shown := p.follow(page)
	for _, form := range formTag.FindAllString(shown.Body, -1) {
		if !strings.Contains(form, `value="github"`) {
			continue
		}
		shown.Body = form
		to, err := p.submit(shown, "/signin", url.Values{"provider": {"github"}}).Location()
		if err != nil {
			st.t.Fatal(err)
		}
		back, err := get(st.t, p.c, to.String()).Location()
		if err != nil {
			st.t.Fatalf("GitHub did not send the browser back from %s: %v", to, err)
		}
		return back
	}
	st.t.Fatalf("no button for GitHub on %s:\n%s", shown.Request.URL, shown.Body)
	return nil
}

// providerThreats are about the way to GitHub and back.
func providerThreats() family {
	came := func(p *person, st *stage, back *url.URL, changes url.Values) answer {
		st.t.Helper()
		q := back.Query()
		maps.Copy(q, changes)
		to := *back
		to.RawQuery = q.Encode()
		return get(st.t, p.c, to.String(), "Accept: text/html")
	}
	fresh := func(try func(st *stage, p *person, back *url.URL) answer) func(*stage) answer {
		return func(st *stage) answer {
			st.github.As("octocat")
			p := st.s.stranger()
			return try(st, p, st.pressed(p, st.app.issuer+"/"))
		}
	}
	// owned is octocat's browser after a sign-in at own.localhost, by its owner's app.
	owned := func(st *stage) *person {
		st.github.As("octocat")
		p := st.s.stranger()
		if page := p.follow(st.pressed(p, st.s.url("own.localhost", "/")).String()); page.StatusCode != http.StatusOK || page.Request.URL.Hostname() != "own.localhost" {
			st.t.Fatalf("the owner's app: %d at %s\n%s", page.StatusCode, page.Request.URL, page.Body)
		}
		return p
	}
	return family{
		name:  "identity provider",
		about: "The way to GitHub and back: states and codes of others, accounts that are not who they seem, and a proxy owner's own GitHub app.",
		proper: func(st *stage) {
			st.github.As("octocat")
			p := st.s.stranger()
			if page := p.follow(st.pressed(p, st.app.issuer+"/").String()); page.StatusCode != http.StatusOK || page.Request.URL.Hostname() != "app.localhost" {
				st.t.Errorf("octocat: %d at %s\n%s", page.StatusCode, page.Request.URL, page.Body)
			}
			owned(st)
			asked := st.github.Asked()
			q := asked[len(asked)-1]
			if q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 43 || q.Get("redirect_uri") != st.home("/callback") || q.Get("client_id") != "Iv1.owner" {
				st.t.Errorf("GitHub was asked %v", q)
			}
		},
		rows: []threat{
			{"a state that nobody made", "RFC 9700 4.7; RFC 6749 10.12", "page 400 no longer known", func(st *stage) answer {
				return st.get(st.home("/callback?code=x&state=" + random()))
			}},
			{"no state", "RFC 9700 4.7; RFC 6749 10.12", "page 400 no longer known", func(st *stage) answer { return st.get(st.home("/callback?code=x")) }},
			{"two states", "RFC 6749 3.1; RFC 9700 4.7", "page 400 no longer known", fresh(func(st *stage, p *person, back *url.URL) answer {
				return came(p, st, back, url.Values{"state": {random(), back.Query().Get("state")}})
			})},
			{"a way back that the attacker began, in the victim's browser", "RFC 9700 4.7; RFC 6749 10.12; RFC 9700 4.5", "page 403 began in another browser", fresh(func(st *stage, _ *person, back *url.URL) answer {
				return came(st.s.stranger(), st, back, nil)
			})},
			{"the same, in a victim's browser that has begun too", "RFC 9700 4.7; RFC 6749 10.12", "page 403 began in another browser", fresh(func(st *stage, _ *person, back *url.URL) answer {
				victim := st.s.stranger()
				st.pressed(victim, st.app.issuer+"/")
				return came(victim, st, back, nil)
			})},
			{"the same, with the attacker's cookie tossed in", "RFC 6265 8.6; RFC 9700 4.7", "page 403 began in another browser", fresh(func(st *stage, p *person, back *url.URL) answer {
				theirs := st.cookie(p, "auth.localhost", "__Host-gatehouse-signin")
				return st.get(back.String(), "Cookie: __Host-gatehouse-signin="+theirs+"; __Host-gatehouse-signin="+random())
			})},
			{"a way back that somebody else tried first", "RFC 9700 4.7; RFC 6749 10.5", "page 400 no longer known", fresh(func(st *stage, p *person, back *url.URL) answer {
				came(st.s.stranger(), st, back, nil)
				return came(p, st, back, nil)
			})},
			{"a way back twice", "RFC 6749 10.5; RFC 9700 4.7", "page 400 no longer known", fresh(func(st *stage, p *person, back *url.URL) answer {
				came(p, st, back, nil)
				return came(st.s.stranger(), st, back, nil)
			})},
			{"a code of another sign-in", "RFC 9700 4.5; RFC 7636 4.6", "page 400 no longer knows", fresh(func(st *stage, p *person, back *url.URL) answer {
				st.github.As("mallory")
				other := st.s.stranger()
				stolen := st.pressed(other, st.app.issuer+"/")
				return came(p, st, back, url.Values{"code": {stolen.Query().Get("code")}})
			})},
			{"a code that GitHub never gave", "RFC 9700 4.5", "page 400 no longer knows", fresh(func(st *stage, p *person, back *url.URL) answer {
				return came(p, st, back, url.Values{"code": {"evil"}})
			})},
			{"no code", "RFC 6749 4.1.2", "page 502 makes no sense", fresh(func(st *stage, p *person, back *url.URL) answer { return came(p, st, back, url.Values{"code": {""}}) })},
			{"markup for an error", "RFC 6749 10.14; RFC 6749 4.1.2.1", "page 502 refused the sign-in", fresh(func(st *stage, p *person, back *url.URL) answer {
				return came(p, st, back, url.Values{"error": {`"'>` + markup + `>`}, "error_description": {markup + ">"}, "error_uri": {"javascript:alert(1)"}})
			})},
			{"the way back to a protected host", "RFC 9700 4.7; RFC 9700 4.4.2.2", "to /callback", func(st *stage) answer {
				got := st.get(st.app.issuer + "/callback?state=x&error=access_denied")
				if to, _ := got.Location(); to == nil || to.Hostname() != "auth.localhost" {
					st.t.Errorf("it leads to %v", to)
				}
				return got
			}},
			{"an account that is not listed", "RFC 9700 2.3; RFC 6749 10.3", "page 403 not let in", func(st *stage) answer {
				st.github.As("mallory")
				p := st.s.stranger()
				return p.follow(st.pressed(p, st.app.issuer+"/").String())
			}},
			{"an account whose name is markup", "RFC 6749 10.14", "page 200 &lt;x-evil", func(st *stage) answer {
				st.github.As("mallory")
				p := st.s.stranger()
				p.follow(st.pressed(p, st.home("/signin")).String())
				return p.follow(st.home("/account"))
			}},
			{"an account that took a listed name over", "RFC 9700 2.3; RFC 8725 3.8", "page 403 belongs to somebody else", func(st *stage) answer {
				st.github.Add(githubtest.Account{ID: 583231, Login: "octocat-renamed"})
				st.github.Add(githubtest.Account{ID: 4711, Login: "octocat"})
				defer func() {
					st.github.Remove("octocat")
					st.github.Add(githubtest.Account{ID: 583231, Login: "octocat", Name: "The Octocat"})
				}()
				st.github.As("octocat")
				p := st.s.stranger()
				return p.follow(st.pressed(p, st.app.issuer+"/").String())
			}},
			{"an owner's own app: at another host", "RFC 9700 4.4; MCP security, Confused Deputy Problem", "page 200 Sign in", func(st *stage) answer { return owned(st).follow(st.app.issuer + "/private") }},
			{"an owner's own app: at the sign-in host", "RFC 9700 4.4; MCP security, Confused Deputy Problem", "page 200 Sign in", func(st *stage) answer { return owned(st).follow(st.home("/account")) }},
			{"an owner's own app: its session at another host", "RFC 9700 4.4; MCP security, Session Hijacking", "401", func(st *stage) answer {
				p := owned(st)
				return st.private("Cookie: __Host-gatehouse=" + st.cookie(p, "own.localhost", "__Host-gatehouse"))
			}},
			{"an owner's own app: a state of the installation's app", "RFC 9700 4.4.2.2; MCP security, Confused Deputy Problem", "page 409 set up anew", func(st *stage) answer {
				st.github.As("octocat")
				p := st.s.stranger()
				back := st.pressed(p, st.s.url("own.localhost", "/"))
				st.s.signed(st.t, "DELETE", "/proxies/own.localhost/github-oauth", "")
				defer st.s.signed(st.t, "PUT", "/proxies/own.localhost", `{"github_client_id":"Iv1.owner","github_client_secret":"0123456789abcdef0123456789abcdef01234567"}`)
				return came(p, st, back, nil)
			}},
			{"an owner's own app: a consent for another host", "MCP security, Confused Deputy Problem; RFC 9700 4.4", "page 200 Sign in", func(st *stage) answer {
				p := owned(st)
				c := st.s.register(st.t, "app.localhost", "http://127.0.0.1:9/back")
				return p.follow(c.request(nil))
			}},
		},
	}
}
