package test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const bobPassword = "another horse, another battery"

// TestRightsOverGatehouse attacks as a signed-in user, as a page of another
// site, as another account of this machine and as a client of the API.
func TestRightsOverGatehouse(t *testing.T) {
	t.Parallel()
	backend := newTap(t)
	s := start(t, []string{"RATE_LIMITS=off"}, "protect", "app.localhost", backend.url)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *server)
	}{
		{"a host's own lists", ownLists}, {"cross-site requests", crossSite}, {"local signatures", localSignatures}, {"arguments", badArguments}, {"direct door", strangerAtDirect},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

// ownLists: whoever a host's own lists call its administrator is nobody to
// Gatehouse, by token, by session and by device.
func ownLists(t *testing.T, s *server) {
	s.stranger().becomeAdmin()
	if _, errs, code := s.cliIn(bobPassword+"\n", "--local", "oauth", "user", "add", "bob"); code != 0 {
		t.Fatalf("user add: %s", errs)
	}
	res := s.signed(t, "PUT", "/proxies/app.localhost", `{"oauth_admin_users":["local:bob"],"oauth_user_users":["*"],"auth_required_users":["*"]}`)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("setting the lists: %d %s", res.StatusCode, res.Body)
	}
	bob := s.stranger()
	bob.signIn(bob.follow(s.url("auth.localhost", "/signin")), "bob", bobPassword)
	c := s.register(t, "app.localhost", "http://127.0.0.1:9/back")
	_, out := c.exchange(c.code(bob, url.Values{"scope": {"admin user"}}), nil)
	if out.Scope != "admin user" {
		t.Fatalf("on the host itself bob has %q, want admin user", out.Scope)
	}
	if got := get(t, c.c, s.url("app.localhost", "/"), "Authorization: Bearer "+out.Access); got.StatusCode != http.StatusOK {
		t.Fatalf("the host does not take its own administrator: %d", got.StatusCode)
	}
	home := s.url("auth.localhost", "")
	for _, at := range []string{home, s.Direct, s.HTTP} {
		for method, body := range map[string]string{"GET": "", "POST": `{"proxy_hostname":"evil.localhost","target_url":"http://127.0.0.1:9"}`} {
			got := ask(t, c.c, method, at+"/proxies/", body, "Authorization: Bearer "+out.Access, "Content-Type: application/json")
			if got.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s/proxies/ by the host's administrator: %d %s", method, at, got.StatusCode, got.Body)
			}
		}
	}
	for _, path := range []string{"/proxies/", "/proxies/app.localhost", "/logs/search", "/oauth/clients", "/oauth/users/", "/config/export", "/tokens/", "/system/info", "/store/keys"} {
		if got := get(t, bob.c, home+path); got.StatusCode < 400 {
			t.Errorf("GET %s by bob's session: %d %s", path, got.StatusCode, got.Body)
		}
		got := ask(t, bob.c, "POST", home+path, `{}`, "Origin: "+home, "Content-Type: application/json")
		if got.StatusCode < 400 {
			t.Errorf("POST %s by bob's session: %d %s", path, got.StatusCode, got.Body)
		}
	}
	elsewhere := s.register(t, "auth.localhost", "http://127.0.0.1:9/back")
	page := bob.follow(elsewhere.request(url.Values{"scope": {"admin user mcp"}}))
	if page.StatusCode != http.StatusForbidden || strings.Contains(page.Body, `value="allow"`) {
		t.Errorf("bob is asked to consent to scopes over Gatehouse that he has not: %d\n%s", page.StatusCode, page.Body)
	}
}

// crossSite: the session's cookie counts for pages of its own origin alone.
func crossSite(t *testing.T, s *server) {
	alice := s.stranger()
	alice.signIn(alice.follow(s.url("app.localhost", "/")), adminName, adminPassword)
	app, home := s.url("app.localhost", ""), s.url("auth.localhost", "")
	if got := get(t, alice.c, app+"/"); got.StatusCode != http.StatusOK {
		t.Fatalf("alice's session: %d", got.StatusCode)
	}
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}
	for _, origin := range []string{"", "null", "https://evil.test", home, s.url("other.localhost", ""), strings.Replace(app, "https", "http", 1), app + ".evil.test", app + "/", strings.ToUpper(app)} {
		var lines []string
		if origin != "" {
			lines = []string{"Origin: " + origin}
		}
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND", "post"} {
			got := ask(t, alice.c, method, app+"/", "x=y", append(lines, "Content-Type: application/x-www-form-urlencoded")...)
			if got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "cross_origin") {
				t.Errorf("%s from %q: %d %s", method, origin, got.StatusCode, got.Body)
			}
		}
		jar, err := url.Parse(app)
		if err != nil {
			t.Fatal(err)
		}
		cookie := "Cookie: "
		for _, c := range alice.c.Jar.Cookies(jar) {
			cookie += c.Name + "=" + c.Value + "; "
		}
		w := s.dial(t, "app.localhost")
		w.send("GET /ws HTTP/1.1\r\nHost: " + jar.Host + "\r\n" + strings.Join(append(append(lines, upgrade...), strings.TrimSuffix(cookie, "; ")), "\r\n") + "\r\n\r\n")
		if got := w.read(); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Body, "cross_origin") {
			t.Errorf("WebSocket from %q: %d %s", origin, got.StatusCode, got.Body)
		}
		if origin == home {
			continue
		}
		got := ask(t, alice.c, "POST", home+"/proxies/", `{"proxy_hostname":"evil.localhost","target_url":"http://127.0.0.1:9"}`, append(lines, "Content-Type: text/plain")...)
		if got.StatusCode != http.StatusForbidden || got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("the API from %q: %d %v", origin, got.StatusCode, got.Header)
		}
		got = ask(t, alice.c, "POST", home+"/mcp", `{}`, append(lines, "Content-Type: application/json")...)
		if got.StatusCode != http.StatusForbidden && got.StatusCode != http.StatusUnauthorized {
			t.Errorf("the MCP server from %q: %d", origin, got.StatusCode)
		}
		for _, path := range []string{"/consent", "/device", "/account", "/logout", "/signin"} {
			got := ask(t, alice.c, "POST", home+path, "answer=allow&user_code=BCDF-GHJK&name=a&password=b&grant=x", append(lines, "Content-Type: application/x-www-form-urlencoded")...)
			if origin == "" && path == "/signin" { // no browser's: only the form's token tells
				notSignedIn(t, got)
				continue
			}
			if got.StatusCode != http.StatusForbidden {
				t.Errorf("POST %s from %q: %d", path, origin, got.StatusCode)
			}
		}
	}
	if got := ask(t, alice.c, "POST", app+"/", "x=y", "Origin: "+app); got.StatusCode != http.StatusOK {
		t.Errorf("the host's own page may post: %d %s", got.StatusCode, got.Body)
	}
	// A form of ours needs its token, wherever the request says that it is from.
	for _, path := range []string{"/consent", "/device", "/account", "/logout", "/signin"} {
		got := ask(t, alice.c, "POST", home+path, "answer=allow&form=AAAA", "Content-Type: application/x-www-form-urlencoded", "Origin: "+home, "Sec-Fetch-Site: same-origin")
		if path == "/signin" {
			notSignedIn(t, got)
			continue
		}
		if got.StatusCode != http.StatusForbidden {
			t.Errorf("POST %s without the form's token: %d", path, got.StatusCode)
		}
	}
	for _, path := range []string{"/signin", "/account", "/device", "/logout", "/consent?request=x", "/setup?setup=x"} {
		got := get(t, alice.c, home+path, "Accept: text/html")
		if h := got.Header; !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s can be framed or leaks: %d %v", path, got.StatusCode, h)
		}
		if got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s can be read by other sites", path)
		}
	}
}

// notSignedIn wants a sign-in form without its token to open no session.
func notSignedIn(t *testing.T, got answer) {
	t.Helper()
	for _, c := range got.Cookies() {
		if c.Name == "__Host-gatehouse" {
			t.Errorf("a sign-in form without its token opened a session: %d %v", got.StatusCode, got.Header)
		}
	}
}

// signature is the header that the command line would send with --local.
func (s *server) signature(t *testing.T, method, target, body string, at time.Time, nonce string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "data", "local.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	sum, seconds := sha256.Sum256([]byte(body)), strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{"gatehouse local 1", method, target, hex.EncodeToString(sum[:]), seconds, nonce} {
		fmt.Fprintf(mac, "%s\n", part)
	}
	return "Authorization: Gatehouse-Local time=" + seconds + ", nonce=" + nonce + ", signature=" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// signed asks the direct door as the machine's administrator.
func (s *server) signed(t *testing.T, method, target, body string) answer {
	t.Helper()
	return ask(t, s.client(), method, s.Direct+target, body, s.signature(t, method, target, body, time.Now(), random()), "Content-Type: application/json")
}

// localSignatures as somebody would use them who could see one pass by.
func localSignatures(t *testing.T, s *server) {
	const target, body = "/proxies/", `{"proxy_hostname":"signed.localhost","target_url":"http://127.0.0.1:9"}`
	now, nonce := time.Now(), random()
	good := s.signature(t, "POST", target, body, now, nonce)
	send := func(method, at, body, header string) answer {
		return ask(t, s.stranger().c, method, at, body, header, "Content-Type: application/json")
	}
	fresh := func() string { return s.signature(t, "POST", target, body, time.Now(), random()) }
	for name, got := range map[string]answer{
		"another body":             send("POST", s.Direct+target, strings.Replace(body, "signed", "evil", 1), good),
		"no body":                  send("POST", s.Direct+target, "", good),
		"another method":           send("PUT", s.Direct+target, body, good),
		"another path":             send("POST", s.Direct+"/routes/", body, good),
		"another spelling":         send("POST", s.Direct+"/proxies", body, good),
		"a query more":             send("POST", s.Direct+target+"?dry_run=false", body, good),
		"another time":             send("POST", s.Direct+target, body, strings.Replace(good, strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(now.Unix()+1, 10), 1)),
		"another nonce":            send("POST", s.Direct+target, body, strings.Replace(good, nonce, random(), 1)),
		"no signature":             send("POST", s.Direct+target, body, good[:strings.LastIndex(good, ",")]),
		"empty signature":          send("POST", s.Direct+target, body, good[:strings.LastIndex(good, "=")+1]),
		"old":                      send("POST", s.Direct+target, body, s.signature(t, "POST", target, body, now.Add(-32*time.Second), random())),
		"of the future":            send("POST", s.Direct+target, body, s.signature(t, "POST", target, body, now.Add(34*time.Second), random())),
		"through the data path":    send("POST", s.HTTP+target, body, fresh()),
		"through TLS":              send("POST", s.url("localhost", target), body, fresh()),
		"through the sign-in host": send("POST", s.url("auth.localhost", target), body, fresh()),
		"through a host":           send("POST", s.url("app.localhost", target), body, fresh()),
	} {
		if got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.Body)
		}
	}
	if got := send("POST", s.Direct+target, body, good); got.StatusCode != http.StatusCreated {
		t.Errorf("the attempts used the good one up: %d %s", got.StatusCode, got.Body)
	}
	if got := send("POST", s.Direct+target, body, good); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Body, "used before") {
		t.Errorf("the good one again: %d %s", got.StatusCode, got.Body)
	}
	socket := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.Socket)
	}, DisableKeepAlives: true}}
	if got := ask(t, socket, "POST", "http://localhost"+target, body, good, "Content-Type: application/json"); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the good one again, at the socket: %d %s", got.StatusCode, got.Body)
	}
	if info, err := os.Stat(s.Socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v %v", info, err)
	}
	err := filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to other accounts: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// badArguments are refused by rule, and change nothing.
func badArguments(t *testing.T, s *server) {
	const valid = `"proxy_hostname":"args.localhost","target_url":"http://127.0.0.1:9"`
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"over 1 MiB":         {`{` + valid + `,"auth_realm":"` + strings.Repeat("a", 1<<20) + `"}`, 413},
		"deeper than 32":     {`{` + valid + `,"resource_custom_metadata":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40) + `}`, 400},
		"very deep":          {strings.Repeat(`[`, 100_000), 400},
		"cut off":            {`{` + valid, 400},
		"two values":         {`{` + valid + `}{}`, 400},
		"not an object":      {`[]`, 400},
		"not UTF-8":          {"{" + valid + ",\"auth_realm\":\"\xff\"}", 400},
		"NaN":                {`{` + valid + `,"max_body_bytes":NaN}`, 400},
		"comment":            {`{` + valid + `/* */}`, 400},
		"unknown field":      {`{` + valid + `,"is_admin":true}`, 422},
		"field of our own":   {`{` + valid + `,"created_by":"local:mallory"}`, 422},
		"other case":         {`{` + valid + `,"Auth_Enabled":false}`, 422},
		"twice":              {`{` + valid + `,"auth_enabled":true,"auth_enabled":false}`, 422},
		"wrong type":         {`{` + valid + `,"auth_enabled":"false"}`, 422},
		"newline in a name":  {`{"proxy_hostname":"args.localhost\r\nX: y","target_url":"http://127.0.0.1:9"}`, 422},
		"inner target":       {`{"proxy_hostname":"args.localhost","target_url":"internal:api"}`, 422},
		"socket by its path": {`{"proxy_hostname":"args.localhost","target_url":"unix:/var/run/docker.sock"}`, 422},
		"a program":          {`{"proxy_hostname":"args.localhost","target_url":"stdio:/bin/sh"}`, 422},
		"a file":             {`{"proxy_hostname":"args.localhost","target_url":"file:///etc/passwd"}`, 422},
		"target with a user": {`{"proxy_hostname":"args.localhost","target_url":"http://a:b@127.0.0.1:9"}`, 422},
		"our own port":       {`{"proxy_hostname":"args.localhost","target_url":"` + s.HTTP + `"}`, 422},
		"identity header":    {`{` + valid + `,"custom_headers":{"X-Auth-User":"root"}}`, 422},
		"framing header":     {`{` + valid + `,"custom_headers":{"Transfer-Encoding":"chunked"}}`, 422},
		"split header":       {`{` + valid + `,"custom_response_headers":{"X-A":"a\r\nSet-Cookie: b=c"}}`, 422},
		"cookie's name":      {`{` + valid + `,"auth_cookie_name":"session"}`, 422},
		"header prefix":      {`{` + valid + `,"auth_header_prefix":"X-Forwarded-"}`, 422},
	} {
		got := s.signed(t, "POST", "/proxies/", c.body)
		if got.StatusCode != c.want {
			t.Errorf("%s: %d, want %d\n%s", name, got.StatusCode, c.want, got.Body)
		}
		if got.StatusCode < 300 {
			s.signed(t, "DELETE", "/proxies/args.localhost", "")
		}
	}
	// The other doors of ours are refused when they are dialed, by address.
	s.signed(t, "POST", "/proxies/", `{"proxy_hostname":"loop.localhost","target_url":"`+s.Direct+`"}`)
	if got := get(t, s.client(), strings.Replace(s.HTTP, "localhost", "loop.localhost", 1)+"/health"); got.StatusCode != http.StatusBadGateway && got.StatusCode != http.StatusNotFound {
		t.Errorf("a host leads to the direct door: %d %s", got.StatusCode, got.Body)
	}
	if got := s.signed(t, "GET", "/proxies/args.localhost", ""); got.StatusCode != http.StatusNotFound {
		t.Errorf("a refused argument made a host: %d %s", got.StatusCode, got.Body)
	}
	for _, path := range []string{"/proxies/..%2f..%2fetc", "/proxies/%2e%2e/oauth", "/proxies//", "/proxies/%00", "/proxies/a%0d%0ab", "/logs/search?limit=-1", "/logs/search?limit=99999999999999999999", "/logs/search?cursor=%00", "/logs/search?nope=1"} {
		if got := s.signed(t, "GET", path, ""); got.StatusCode < 400 || got.StatusCode >= 500 {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.Body)
		}
	}
}

// strangerAtDirect: the door beside the data path gives nothing to those who
// come without a credential, whatever they call themselves.
func strangerAtDirect(t *testing.T, s *server) {
	lines := []string{"X-Auth-User: local:alice", "X-Auth-Scopes: admin", "X_Auth_User: local:alice", "Remote-User: alice", "X-Forwarded-For: 127.0.0.1", "X-Internal-Token: x", "Cookie: gatehouse=x"}
	for _, path := range []string{"/proxies/", "/logs/search", "/oauth/clients", "/oauth/users/", "/config/export", "/system/info", "/tokens/info", "/events", "/logs/follow", "/openapi.json"} {
		if got := get(t, s.client(), s.Direct+path, lines...); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.Body)
		}
	}
	for _, host := range []string{"app.localhost", "open.localhost", "nobody.test"} {
		if got := get(t, s.client(), s.Direct+"/verify", "X-Forwarded-Host: "+host, "X-Forwarded-Uri: /", "X-Forwarded-Method: GET"); got.StatusCode != http.StatusNotFound {
			t.Errorf("/verify from a peer that is not trusted: %d %s", got.StatusCode, got.Body)
		}
	}
}
