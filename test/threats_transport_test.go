package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// slowEnd is how a request whose body never comes ended.
type slowEnd struct {
	got  answer
	err  error
	took time.Duration
}

// endless sends a request by this server name whose body never ends.
func (st *stage) endless(name, text string) chan slowEnd {
	w := st.s.dial(st.t, name)
	_ = w.conn.SetDeadline(time.Now().Add(time.Minute))
	w.send(strings.Replace(text, "HOST", name, 1))
	begun, end := time.Now(), make(chan slowEnd, 1)
	go func() {
		res, err := http.ReadResponse(bufio.NewReader(w.conn), nil)
		if err != nil {
			end <- slowEnd{err: err, took: time.Since(begun)}
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		end <- slowEnd{answer{res, string(body)}, err, time.Since(begun)}
	}()
	return end
}

func (st *stage) ended(end slowEnd) answer {
	st.t.Helper()
	if end.err != nil || end.took > 20*time.Second {
		st.t.Fatalf("no answer after %v: %v", end.took, end.err)
	}
	return end.got
}

// transportThreats say the same thing in ways that two programs read differently.
func transportThreats() family {
	token := func(name, refs, want, text string) threat {
		return threat{name, refs, want, func(st *stage) answer {
			return st.raw("app.localhost", strings.ReplaceAll(text, "CLIENT", st.app.id))
		}}
	}
	post := func(path, kind, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, kind, len(body), body)
	}
	const form = "application/x-www-form-urlencoded"
	// spelled asks for an endpoint in another spelling, which must not be it.
	spelled := func(path, want string) threat {
		return threat{"the address " + path, "RFC 9110 4.2.3; RFC 9112 3.2", want, func(st *stage) answer {
			return st.raw("app.localhost", "GET "+path+"?client_id="+st.app.id+" HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
		}}
	}
	method := func(m, path string) threat {
		return threat{m + " " + path, "RFC 9110 15.5.6; RFC 6749 3.2", "405", func(st *stage) answer {
			got := ask(st.t, st.mallory, m, st.app.issuer+path, url.Values{"client_id": {st.app.id}}.Encode(), formType)
			if got.Header.Get("Allow") == "" {
				st.t.Error("it does not say which methods are allowed")
			}
			return got
		}}
	}
	// told asks for metadata in a way that could make it speak for somebody else.
	told := func(name, refs string, headers ...string) threat {
		return threat{"metadata with " + name, refs, "200", func(st *stage) answer {
			for _, path := range []string{"/.well-known/oauth-protected-resource", "/.well-known/openid-configuration"} {
				if got := st.get(st.app.issuer+path, headers...); strings.Contains(got.Body, "evil") || strings.Contains(got.Body, "http:") {
					st.t.Errorf("%s says %s", path, got.Body)
				}
			}
			got := st.get(st.app.issuer+"/.well-known/oauth-authorization-server", headers...)
			var doc map[string]any
			if err := json.Unmarshal([]byte(got.Body), &doc); err != nil || doc["issuer"] != st.app.issuer || doc["token_endpoint"] != st.app.issuer+"/token" {
				st.t.Errorf("the issuer is %v, its token endpoint %v", doc["issuer"], doc["token_endpoint"])
			}
			return got
		}}
	}
	return family{
		name:  "transport",
		about: "Requests to the endpoints with other methods, bodies, spellings and names than they take.",
		proper: func(st *stage) {
			for _, got := range []answer{
				st.raw("app.localhost", post("/token", form+"; charset=UTF-8", "grant_type=refresh_token&client_id="+st.app.id+"&refresh_token=x")),
				st.raw("app.localhost", "POST https://app.localhost/token HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\nContent-Type: "+form+"\r\nContent-Length: 54\r\n\r\ngrant_type=refresh_token&refresh_token=x&client_id="+st.app.id),
			} {
				if got.StatusCode != http.StatusBadRequest && got.StatusCode != http.StatusUnauthorized {
					st.t.Errorf("%d %s", got.StatusCode, got.Body)
				}
			}
		},
		rows: []threat{
			method("GET", "/token"), method("HEAD", "/token"), method("PUT", "/token"), method("PATCH", "/token"), method("DELETE", "/token"), method("TRACE", "/token"),
			method("GET", "/register"), method("DELETE", "/register"), method("POST", "/jwks"), method("PUT", "/authorize"), method("TRACE", "/authorize"),
			method("POST", "/.well-known/oauth-authorization-server"), method("POST", "/.well-known/oauth-protected-resource"), method("GET", "/device/token"),
			token("a method override in a header", "RFC 9110 15.5.6", "405", "GET /token?grant_type=refresh_token&client_id=CLIENT HTTP/1.1\r\nHost: app.localhost\r\nX-HTTP-Method-Override: POST\r\nConnection: close\r\n\r\n"),
			token("a token request as JSON", "RFC 6749 3.2; RFC 6749 4.1.3", "400 invalid_request", post("/token", "application/json", `{"grant_type":"refresh_token","client_id":"CLIENT"}`)),
			token("a token request as text", "RFC 6749 3.2", "400 invalid_request", post("/token", "text/plain", "grant_type=refresh_token")),
			token("a token request as a multipart form", "RFC 6749 3.2", "400 invalid_request", post("/token", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nrefresh_token\r\n--x--\r\n")),
			token("a token request of no kind", "RFC 6749 3.2", "400 invalid_request", "POST /token HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\nContent-Length: 24\r\n\r\ngrant_type=refresh_token"),
			token("a token request of two kinds", "RFC 6749 3.2; RFC 9110 5.3", "400 invalid_request", "POST /token HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Type: "+form+"\r\nContent-Length: 24\r\n\r\ngrant_type=refresh_token"),
			token("a token request without a body", "RFC 6749 3.2", "400 invalid_request", post("/token", form, "")),
			token("all of it in the query", "RFC 6749 3.2; RFC 9700 4.3.1", "400 invalid_request", post("/token?grant_type=refresh_token&client_id=CLIENT&refresh_token=x", form, "")),
			token("a bad escape", "RFC 6749 3.2; RFC 6749 10.14", "400 invalid_request", post("/token", form, "grant_type=%zz&client_id=CLIENT")),
			token("semicolons between parameters", "RFC 6749 3.2", "400 invalid_request", post("/token", form, "grant_type=refresh_token;client_id=CLIENT")),
			token("bytes that are no UTF-8", "RFC 6749 10.14", "401 invalid_client", post("/token", form, "grant_type=refresh_token&refresh_token=x&client_id=CLIENT%ff")),
			token("a NUL in the client", "RFC 6749 10.14", "401 invalid_client", post("/token", form, "grant_type=refresh_token&refresh_token=x&client_id=CLIENT%00")),
			token("a NUL in the grant type", "RFC 6749 10.14", "400 unsupported_grant_type", post("/token", form, "grant_type=refresh_token%00&client_id=CLIENT")),
			token("markup for a parameter", "RFC 6749 10.14", "400 invalid_request", post("/token", form, url.QueryEscape(markup+">")+"=1&"+url.QueryEscape(markup+">")+"=2")),
			token("a form of 70 KiB", "RFC 6749 10.14", "413 invalid_request", post("/token", form, "grant_type="+strings.Repeat("a", 70<<10))),
			token("chunks of 70 KiB", "RFC 9112 7.1; RFC 6749 10.14", "413 invalid_request", "POST /token HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\nContent-Type: "+form+"\r\nTransfer-Encoding: chunked\r\n\r\n"+strings.Repeat("1000\r\n"+strings.Repeat("a", 0x1000)+"\r\n", 18)+"0\r\n\r\n"),
			token("ten thousand parameters", "RFC 6749 10.14", "400 unsupported_grant_type", post("/token", form, "grant_type=x&"+manyParameters(9_000))),
			token("two framings", "RFC 9112 6.3; RFC 9700 4.13", "400", "POST /token HTTP/1.1\r\nHost: app.localhost\r\nContent-Type: "+form+"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
			{"a body that never comes", "RFC 9110 15.5.9; RFC 6749 10.14", "408 invalid_request", func(st *stage) answer { return st.ended(<-st.slow) }},
			{"a sign-in form that never comes", "RFC 9110 15.5.9; RFC 6749 10.14", "page 408 did not come whole", func(st *stage) answer { return st.ended(<-st.slowForm) }},
			spelled("//authorize", "404"), spelled("/authorize/", "401"), spelled("/authorize%2f", "401"), spelled("/%61uthorize/x", "401"), spelled("/AUTHORIZE", "401"),
			spelled("/authorize;x=y", "404"), spelled("/authorize%00", "404"), spelled("/./authorize", "404"), spelled("/private/../authorize", "404"), spelled("/authorize/..%2fprivate", "401"),
			spelled("/.well-known/../private", "401"), spelled("/.well-known/oauth-protected-resource/../../private", "401"), spelled("/.well-known/oauth-protected-resource%2f..%2f..%2fprivate", "401"),
			spelled("/.well-known/oauth-protected-resource/private", "404"), spelled("/.well-known/oauth-authorization-server/evil.example", "404"), spelled("/.well-known/openid-configuration/https://evil.example", "404"),
			spelled("/.well-known/acme-challenge/../../private", "401"), spelled("/register/../private", "401"), spelled("/.gatehouse/../private", "401"),
			told("X-Forwarded-Host", "RFC 8414 3.3; RFC 9728 3.3; RFC 9700 4.13", "X-Forwarded-Host: evil.example", "X-Forwarded-Port: 666", "X-Host: evil.example"),
			told("X-Forwarded-Proto", "RFC 8414 3.3; RFC 9700 4.13", "X-Forwarded-Proto: http", "X-Forwarded-Ssl: off"),
			told("Forwarded", "RFC 8414 3.3; RFC 9700 4.13", "Forwarded: host=evil.example;proto=http"),
			told("Origin and Referer", "RFC 8414 3.3", "Origin: https://evil.example", "Referer: https://evil.example/"),
			{"metadata for another port", "RFC 8414 3.3; RFC 9110 7.2", "200", func(st *stage) answer {
				got := st.raw("app.localhost", "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: APP.localhost.:666\r\nConnection: close\r\n\r\n")
				if !strings.Contains(got.Body, `"issuer":"`+st.app.issuer+`"`) {
					st.t.Errorf("it says %s", got.Body)
				}
				return got
			}},
			{"the way to sign in for another name", "RFC 9700 4.11.2; RFC 9700 4.13", "to /signin", func(st *stage) answer {
				return st.get(st.app.issuer+"/.gatehouse/start?return=/", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example", "X-Forwarded-Proto: http")
			}},
			{"a stranger's name that leads to this machine", "MCP transports, Security Warning; RFC 9110 7.4", "404", func(st *stage) answer {
				return st.raw("", "GET /mcp HTTP/1.1\r\nHost: rebound.example\r\nOrigin: http://rebound.example\r\nConnection: close\r\n\r\n")
			}},
			{"the same at the direct door", "MCP transports, Security Warning; RFC 9110 7.4", "401", func(st *stage) answer {
				w := dialAt(st.t, st.s.Direct)
				w.send("GET /proxies/ HTTP/1.1\r\nHost: rebound.example\r\nOrigin: http://rebound.example\r\nConnection: close\r\n\r\n")
				return w.read()
			}},
			{"a challenge for another name", "RFC 9728 5.1; RFC 9110 7.2", "401", func(st *stage) answer {
				got := st.raw("app.localhost", "GET /private HTTP/1.1\r\nHost: app.localhost:666\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n")
				if c := got.Header.Get("WWW-Authenticate"); !strings.Contains(c, `"`+st.app.issuer+`/.well-known`) {
					st.t.Errorf("the challenge is %q", c)
				}
				return got
			}},
			token("another name on this connection", "RFC 9110 7.4; RFC 9700 4.13", "421", "GET /authorize HTTP/1.1\r\nHost: auth.localhost\r\nConnection: close\r\n\r\n"),
			token("a stranger's name on this connection", "RFC 9110 7.4; RFC 9700 4.13", "404", "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
			token("a name with a full stop of another script", "RFC 9110 7.2; RFC 9112 3.2", "400", "GET /private HTTP/1.1\r\nHost: app\u3002localhost\r\nConnection: close\r\n\r\n"),
			token("a name in letters that look alike", "RFC 9110 7.2", "400", "GET /private HTTP/1.1\r\nHost: арр.localhost\r\nConnection: close\r\n\r\n"),
			token("two names", "RFC 9112 3.2", "400", "GET /authorize HTTP/1.1\r\nHost: app.localhost\r\nHost: evil.example\r\n\r\n"),
			token("another name in the target", "RFC 9112 3.2.2", "400", "GET https://evil.example/authorize HTTP/1.1\r\nHost: app.localhost\r\n\r\n"),
			token("a user in the target", "RFC 9112 3.2.2; RFC 9110 4.2.4", "400", "GET https://app.localhost@evil.example/authorize HTTP/1.1\r\nHost: app.localhost\r\n\r\n"),
			token("another scheme in the target", "RFC 9112 3.2.2", "400", "GET ftp://app.localhost/authorize HTTP/1.1\r\nHost: app.localhost\r\n\r\n"),
			{"by HTTP/2, two names", "RFC 9113 8.3.1", "400", func(st *stage) answer {
				status := st.s.askH2(st.t, "app.localhost", "host", "evil.example")
				return answer{&http.Response{StatusCode: map[string]int{"400": 400}[status], Header: http.Header{}}, ""}
			}},
			{"a request header that splits the preflight's answer", "RFC 9112 2.2", "204", func(st *stage) answer {
				got := ask(st.t, st.mallory, "OPTIONS", st.app.issuer+"/token", "", "Origin: https://evil.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x\tevil")
				if h := got.Header.Get("Access-Control-Allow-Headers"); strings.Contains(h, "evil") {
					st.t.Errorf("it allows %q", h)
				}
				return got
			}},
		},
	}
}

func manyParameters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d&", i)
	}
	return b.String()
}
