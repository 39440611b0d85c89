package test

import "net/http"

// verifyThreats ask the forward-auth endpoint as the proxy in front would that
// passes a visitor's request on.
func verifyThreats() family {
	asked := func(name, refs, want string, headers ...string) threat {
		return threat{name, refs, want, func(st *stage) answer {
			return get(st.t, st.s.client(), st.s.Direct+"/verify", headers...)
		}}
	}
	base := func(more ...string) []string {
		return append([]string{"X-Forwarded-Host: app.localhost", "X-Forwarded-Proto: https", "X-Forwarded-Method: GET"}, more...)
	}
	return family{
		name:  "forward-auth",
		about: "What a visitor may try at another proxy that asks `/verify`, which this one trusts.",
		proper: func(st *stage) {
			if got := get(st.t, st.s.client(), st.s.Direct+"/verify", base("X-Forwarded-Uri: /open/x")...); got.StatusCode != http.StatusOK || got.Header.Get("X-Auth-User") != "" {
				st.t.Errorf("an open path: %d %v", got.StatusCode, got.Header)
			}
		},
		rows: []threat{
			asked("nothing", "RFC 9700 4.13; RFC 6750 3", "401", base("X-Forwarded-Uri: /private")...),
			asked("an open path, and up again", "RFC 9700 4.13", "401", base("X-Forwarded-Uri: /open/../private")...),
			asked("the same, encoded", "RFC 9700 4.13", "401", base("X-Forwarded-Uri: /open/%2e%2e/private")...),
			asked("the same with an encoded slash", "RFC 9700 4.13", "401", base("X-Forwarded-Uri: /open%2f..%2fprivate")...),
			asked("the same with a semicolon", "RFC 9700 4.13", "401", base("X-Forwarded-Uri: /open/..;/private")...),
			asked("a bad escape", "RFC 9700 4.13", "403 access_denied", base("X-Forwarded-Uri: /open/%zz")...),
			asked("no path", "RFC 9700 4.13", "403 access_denied", base()...),
			asked("a whole address for a path", "RFC 9700 4.13", "403 access_denied", base("X-Forwarded-Uri: https://app.localhost/open")...),
			asked("two paths, the visitor's first", "RFC 9700 4.13", "403 access_denied", base("X-Forwarded-Uri: /open", "X-Forwarded-Uri: /private")...),
			asked("two paths under two names", "RFC 9700 4.13", "403 access_denied", base("X-Forwarded-Uri: /open", "X-Original-Uri: /private")...),
			asked("two paths, one of them in an address", "RFC 9700 4.13", "403 access_denied", base("X-Forwarded-Uri: /open", "X-Original-Url: https://app.localhost/private")...),
			asked("two methods under two names", "RFC 9700 4.13", "403 access_denied", base("X-Forwarded-Uri: /private", "X-Original-Method: POST")...),
			asked("two hosts, the visitor's first", "RFC 9700 4.13", "403 access_denied", "X-Forwarded-Host: plain.localhost", "X-Forwarded-Host: app.localhost", "X-Forwarded-Uri: /private"),
			asked("two hosts in a list", "RFC 9700 4.13", "403 access_denied", "X-Forwarded-Host: app.localhost, plain.localhost", "X-Forwarded-Uri: /private"),
			asked("an unknown host", "RFC 9700 4.13", "403 access_denied", "X-Forwarded-Host: evil.example", "X-Forwarded-Uri: /private"),
			asked("a host without sign-in", "RFC 9700 4.13", "403 access_denied", "X-Forwarded-Host: plain.localhost", "X-Forwarded-Uri: /private"),
			asked("a disabled host", "RFC 9700 4.13", "403 access_denied", "X-Forwarded-Host: off.localhost", "X-Forwarded-Uri: /private"),
			asked("the sign-in host", "RFC 9700 4.13", "403 access_denied", "X-Forwarded-Host: auth.localhost", "X-Forwarded-Uri: /proxies/"),
			asked("no host", "RFC 9700 4.13", "403 access_denied", "X-Forwarded-Uri: /private"),
			asked("identity of the visitor's making", "RFC 9700 4.13", "401", base("X-Forwarded-Uri: /private", "X-Auth-User: octocat", "Remote-User: octocat")...),
			asked("a token in the query", "RFC 6750 2.3", "401", base("X-Forwarded-Uri: /private?access_token=x")...),
			asked("a forged token", "RFC 8725 3.1; RFC 6750 3.1", "401 invalid_token", base("X-Forwarded-Uri: /private", "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.")...),
			{"asked at a protected host", "RFC 9700 4.13", "401", func(st *stage) answer {
				return st.get(st.app.issuer+"/verify", base("X-Forwarded-Uri: /open")...)
			}},
		},
	}
}
