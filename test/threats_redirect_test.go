package test

import (
	"net/http"
	"net/url"
	"strings"
)

// redirectThreats try to have a code or an error sent to an address that the
// client has not registered.
func redirectThreats() family {
	return family{
		name:  "redirect",
		about: "A client that registered a few redirect URIs, and an authorization request that names another one.",
		proper: func(st *stage) {
			c := st.traveled()
			for _, uri := range append([]string{"http://127.0.0.1:54321/back", "http://localhost:1/cb", "http://[::1]:65535/cb"}, registeredURIs...) {
				if got := st.get(c.request(url.Values{"redirect_uri": {uri}})); got.StatusCode != http.StatusSeeOther || !strings.Contains(got.Header.Get("Location"), "/consent?") {
					st.t.Errorf("the registered %s: %d\n%s", uri, got.StatusCode, got.Body)
				}
			}
		},
		rows: []threat{
			redirected("another site", "RFC 9700 4.1.3; RFC 6749 10.6", "https://evil.example/cb"),
			redirected("more path", "RFC 9700 4.1.1; RFC 9700 4.1.3", "https://client.example/cb/more"),
			redirected("a trailing slash", "RFC 9700 4.1.3", "https://client.example/cb/"),
			redirected("less path", "RFC 9700 4.1.3", "https://client.example/"),
			redirected("a sibling path", "RFC 9700 4.1.3", "https://client.example/cb2"),
			redirected("path by dot segments", "RFC 9700 4.1.1", "https://client.example/cb/../open-redirect"),
			redirected("path by encoded dots", "RFC 9700 4.1.1", "https://client.example/cb/%2e%2e/open-redirect"),
			redirected("an encoded slash", "RFC 9700 4.1.3", "https://client.example%2fcb"),
			redirected("an encoded letter", "RFC 9700 4.1.3", "https://client.example/%63b"),
			redirected("path in capitals", "RFC 9700 4.1.3", "https://client.example/CB"),
			redirected("host in capitals", "RFC 9700 4.1.3", "https://CLIENT.example/cb"),
			redirected("scheme in capitals", "RFC 9700 4.1.3", "HTTPS://client.example/cb"),
			redirected("a trailing dot on the host", "RFC 9700 4.1.3", "https://client.example./cb"),
			redirected("the default port written out", "RFC 9700 4.1.3", "https://client.example:443/cb"),
			redirected("another port beyond loopback", "RFC 9700 4.1.3; RFC 8252 7.3", "https://client.example:8443/cb"),
			redirected("http for https", "RFC 9700 2.6; RFC 9700 4.1.3", "http://client.example/cb"),
			redirected("a subdomain", "RFC 9700 4.1.1", "https://www.client.example/cb"),
			redirected("the name as a prefix", "RFC 9700 4.1.1", "https://client.example.evil.example/cb"),
			redirected("the name as a suffix", "RFC 9700 4.1.1", "https://evilclient.example/cb"),
			redirected("the name as the user", "RFC 9700 4.1.1", "https://client.example@evil.example/cb"),
			redirected("name and password before the host", "RFC 9700 4.1.1", "https://client.example:443@evil.example/cb"),
			redirected("a backslash before the host", "RFC 9700 4.1.1", `https://evil.example\@client.example/cb`),
			redirected("a backslash behind the host", "RFC 9700 4.1.1", `https://client.example\.evil.example/cb`),
			redirected("a tab in the host", "RFC 9700 4.1.1", "https://client.example\t.evil.example/cb"),
			redirected("a line break behind it", "RFC 9700 4.1.1; RFC 6749 10.14", "https://client.example/cb\r\nSet-Cookie: evil=1"),
			redirected("a NUL behind it", "RFC 6749 10.14", "https://client.example/cb\x00.evil.example"),
			redirected("bytes that are no UTF-8", "RFC 6749 10.14", "https://client.example/cb\xff"),
			redirected("a space before it", "RFC 9700 4.1.3", " https://client.example/cb"),
			redirected("a query more", "RFC 9700 4.1.3; RFC 6749 3.1.2.3", "https://client.example/cb?next=https://evil.example"),
			redirected("a fragment", "RFC 6749 3.1.2; RFC 9700 4.1.3", "https://client.example/cb#"),
			redirected("a fragment with a value", "RFC 6749 3.1.2", "https://client.example/cb#access_token=x"),
			redirected("letters that look alike", "RFC 9700 4.1.3", "https://сlient.example/cb"),
			redirected("punycode that looks alike", "RFC 9700 4.1.3", "https://xn--lient-2of.example/cb"),
			redirected("no scheme", "RFC 6749 3.1.2", "//client.example/cb"),
			redirected("a path alone", "RFC 6749 3.1.2", "/cb"),
			redirected("localhost for 127.0.0.1", "RFC 8252 7.3", "http://localhost:9/back"),
			redirected("127.0.0.1 for localhost", "RFC 8252 7.3; MCP authorization, Localhost Redirect URI Risks", "http://127.0.0.1/cb"),
			redirected("another address of loopback", "RFC 8252 7.3", "http://127.0.0.2:9/back"),
			redirected("loopback in decimal", "RFC 8252 7.3", "http://2130706433:9/back"),
			redirected("loopback in short", "RFC 8252 7.3", "http://127.1:9/back"),
			redirected("loopback in IPv6 in full", "RFC 8252 7.3", "http://[0:0:0:0:0:0:0:1]/cb"),
			redirected("IPv4 within IPv6", "RFC 8252 7.3", "http://[::ffff:127.0.0.1]/cb"),
			redirected("a loopback port out of range", "RFC 8252 7.3", "http://127.0.0.1:65536/back"),
			redirected("a loopback port of zero", "RFC 8252 7.3", "http://127.0.0.1:0/back"),
			redirected("a loopback port with a name behind", "RFC 8252 7.3; RFC 9700 4.1.1", "http://127.0.0.1:9.evil.example/back"),
			redirected("a loopback port and a user", "RFC 8252 7.3; RFC 9700 4.1.1", "http://127.0.0.1:9@evil.example/back"),
			redirected("loopback by https", "RFC 8252 7.3", "https://127.0.0.1:9/back"),
			redirected("a name under localhost", "RFC 8252 7.3", "http://evil.localhost/cb"),
			redirected("another private scheme", "RFC 8252 7.1; RFC 8252 8.6", "com.evil.app:/cb"),
			redirected("a private scheme with a host", "RFC 8252 7.1", "com.client.app://cb"),
			redirected("javascript", "RFC 6749 10.14; RFC 9700 4.1.3", "javascript:alert(document.domain)//"),
			redirected("javascript in mixed case", "RFC 6749 10.14", "JaVaScRiPt:alert(1)"),
			redirected("data", "RFC 6749 10.14", "data:text/html,"+markup+">"),
			redirected("out of band", "RFC 9700 2.1", "urn:ietf:wg:oauth:2.0:oob"),
			redirected("very long", "RFC 6749 10.14", "https://client.example/"+strings.Repeat("a", 5000)),
			{"twice, the good one first", "RFC 6749 3.1; RFC 9700 4.1.3", "page 400 more than once", authorized(url.Values{"redirect_uri": {"http://127.0.0.1:9/back", "https://evil.example/"}})},
			{"twice, the good one last", "RFC 6749 3.1; RFC 9700 4.1.3", "page 400 has not registered", authorized(url.Values{"redirect_uri": {"https://evil.example/", "http://127.0.0.1:9/back"}})},
			{"none, of a client with several", "RFC 6749 3.1.2.3; OAuth 2.1 2.3.2", "page 400 has not registered", func(st *stage) answer {
				return st.get(st.traveled().request(url.Values{"redirect_uri": nil}))
			}},
			{"another client's", "RFC 9700 4.1.3; RFC 6749 10.2", "page 400 has not registered", authorized(url.Values{"redirect_uri": {"https://thief.example/back"}})},
			{"an error instead of a code for another site", "RFC 9700 4.11.2; RFC 6749 10.15", "page 400 has not registered", authorized(url.Values{"redirect_uri": {"https://evil.example/"}, "response_type": {"nonsense"}})},
			{"an error for a client that nobody knows", "RFC 9700 4.11.2; RFC 6749 4.1.2.1", "page 400 not registered here", authorized(url.Values{"client_id": {"nobody"}, "redirect_uri": {"https://evil.example/"}})},
		},
	}
}

var registeredURIs = []string{"https://client.example/cb", "https://client.example/cb?x=1", "http://127.0.0.1:9/back", "http://localhost/cb", "http://[::1]/cb", "com.client.app:/cb"}

// traveled is a client with redirect URIs of every kind.
func (st *stage) traveled() *oauthClient {
	st.t.Helper()
	made := st.enroll("app.localhost", map[string]any{"client_name": "traveled", "redirect_uris": registeredURIs, "token_endpoint_auth_method": "none"})
	if len(made.URIs) != len(registeredURIs) {
		st.t.Fatalf("registered were only %v", made.URIs)
	}
	return &oauthClient{t: st.t, s: st.s, c: st.mallory, issuer: st.app.issuer, id: made.ID, redirect: made.URIs[0], verifier: random()}
}

func redirected(name, refs, uri string) threat {
	return threat{name, refs, "page 400 has not registered", func(st *stage) answer {
		return st.get(st.traveled().request(url.Values{"redirect_uri": {uri}}))
	}}
}

// authorized asks the authorization endpoint as alice's program, with changes.
func authorized(changes url.Values) func(*stage) answer {
	return func(st *stage) answer { return st.get(st.app.request(changes)) }
}
