package test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"gatehouse/test/dnstest"
	"gatehouse/test/githubtest"
)

// stage is a running program with what attackers and their victims have there.
// Its rows run one after the other.
type stage struct {
	t       *testing.T // of the row that runs
	s       *server
	backend *tap
	key     *rsa.PrivateKey // the server signs with it

	alice   *person      // an administrator, signed in
	bob     *person      // may use hosts, signed in
	mallory *http.Client // somebody from outside: no cookies
	app     *oauthClient // alice's program at app.localhost
	thief   *oauthClient // the attacker's, there too
	other   *oauthClient // at other.localhost
	vault   *oauthClient // confidential, at app.localhost
	secret  string       // vault's
	good    string       // an access token of alice at app.localhost, by app

	founders       int        // accounts that one setup link made
	web            *publisher // of client documents
	shelf          *shelf     // what it answers
	dns            *dnstest.Server
	signer         string       // the client that proves itself by a key
	trader         *oauthClient // the one that exchanges tokens
	bait           *bait        // an address that nobody may fetch
	slow, slowForm chan slowEnd // requests that never end: to the token endpoint, to the sign-in form
	kid            string       // of the server's key
	github         *githubtest.Server
	drawn          atomic.Pointer[string] // what reached the backend's private part
}

// on lets f run as part of t.
func (st *stage) on(t *testing.T, f func(*stage)) {
	before := st.t
	st.use(t)
	defer st.use(before)
	f(st)
}

func (st *stage) use(t *testing.T) {
	st.t, st.s.t = t, t
	for _, c := range []*oauthClient{st.app, st.thief, st.other, st.vault} {
		if c != nil {
			c.t = t
		}
	}
}

// newStage is a program with app.localhost, other.localhost and more behind
// sign-in, for local accounts.
func newStage(t *testing.T, env ...string) *stage {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	st := &stage{t: t, key: key, backend: newTap(t)}
	st.backend.says(func(r *http.Request) string {
		if strings.Contains(r.URL.Path, "private") {
			at := r.Method + " " + r.Host + r.URL.String()
			st.drawn.CompareAndSwap(nil, &at)
		}
		return ""
	})
	imported := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	st.s = start(t, append([]string{"OAUTH_JWT_PRIVATE_KEY_B64=" + imported}, env...), "protect", "app.localhost", st.backend.url, "--exclude", "/open")
	st.mallory = st.s.stranger().c
	st.mallory.Jar = nil
	return st
}

// localStage is the stage of most families.
func localStage(t *testing.T) *stage {
	t.Helper()
	st := newStage(t, "RATE_LIMITS=off")
	for _, proxy := range []string{
		`{"proxy_hostname":"other.localhost","target_url":"` + st.backend.url + `","auth_enabled":true,"auth_required_users":["*"],"oauth_user_users":["*"],"oauth_mcp_users":["*"]}`,
		`{"proxy_hostname":"tools.localhost","target_url":"` + st.backend.url + `","auth_enabled":true,"auth_required_users":["*"],"oauth_user_users":["*"],"oauth_mcp_users":["*"],"resource_endpoint":"/mcp"}`,
		`{"proxy_hostname":"mixed.localhost","target_url":"` + st.backend.url + `","auth_enabled":true,"auth_mode":"passthrough"}`,
		`{"proxy_hostname":"only.localhost","target_url":"` + st.backend.url + `","auth_enabled":true,"auth_required_users":["local:alice"]}`,
		`{"proxy_hostname":"partner.localhost","target_url":"` + st.backend.url + `","auth_enabled":true,"auth_required_users":["*"],"oauth_user_users":["*"],"auth_proxy":"app.localhost"}`,
		`{"proxy_hostname":"plain.localhost","target_url":"` + st.backend.url + `"}`,
	} {
		if got := st.s.signed(t, "POST", "/proxies/", proxy); got.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d %s", proxy, got.StatusCode, got.Body)
		}
	}
	st.s.signed(t, "PUT", "/proxies/app.localhost", `{"auth_required_users":["*"],"oauth_user_users":["*"],"oauth_mcp_users":["*"]}`)
	st.alice = st.s.stranger()
	st.alice.becomeAdmin()
	st.bob = st.account("bob", "user")
	st.app = st.s.register(t, "app.localhost", "http://127.0.0.1:9/back")
	st.thief = st.s.register(t, "app.localhost", "https://thief.example/back")
	st.other = st.s.register(t, "other.localhost", "http://127.0.0.1:9/back")
	st.vault, st.secret = st.confidential("app.localhost")
	st.bait = newBait(t)
	const late = " HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n"
	st.slow = st.endless("app.localhost", "POST /token"+late+"grant_type=")
	st.slowForm = st.endless("auth.localhost", "POST /signin"+late+"name=")
	return st
}

// account is a new local account, signed in.
func (st *stage) account(name, scopes string) *person {
	st.t.Helper()
	body, err := json.Marshal(map[string]any{"name": name, "password": adminPassword, "scopes": strings.Fields(scopes)})
	if err != nil {
		st.t.Fatal(err)
	}
	if got := st.s.signed(st.t, "POST", "/oauth/users/", string(body)); got.StatusCode >= 300 {
		st.t.Fatalf("the account %s: %d %s", name, got.StatusCode, got.Body)
	}
	p := st.s.stranger()
	if page := p.signIn(p.follow(st.home("/signin")), name, adminPassword); page.StatusCode != http.StatusOK {
		st.t.Fatalf("%s can't sign in: %d\n%s", name, page.StatusCode, page.Body)
	}
	return p
}

// again is bob in another browser, signed in anew.
func (st *stage) again() *person {
	st.t.Helper()
	p := st.s.stranger()
	p.signIn(p.follow(st.home("/signin")), "bob", adminPassword)
	return p
}

func (st *stage) home(path string) string { return st.s.url("auth.localhost", path) }

// ours reports whether a host with port is this program's.
func (st *stage) ours(host string) bool {
	name, at, err := net.SplitHostPort(host)
	return err == nil && strings.HasSuffix(name, "localhost") && (at == port(st.s.HTTPS) || at == port(st.s.HTTP))
}

// loot is what reached the backend's private part since it was asked last.
func (st *stage) loot() string {
	if at := st.drawn.Swap(nil); at != nil {
		return *at
	}
	return ""
}

// get asks as mallory; post sends a form.
func (st *stage) get(address string, headers ...string) answer {
	st.t.Helper()
	return get(st.t, st.mallory, address, headers...)
}

const formType = "Content-Type: application/x-www-form-urlencoded"

func (st *stage) post(address string, form url.Values, headers ...string) answer {
	st.t.Helper()
	return ask(st.t, st.mallory, "POST", address, form.Encode(), append([]string{formType}, headers...)...)
}

// raw sends the bytes of a request to the HTTPS port by this server name, or to
// the HTTP port when it is empty.
func (st *stage) raw(name, text string) answer {
	st.t.Helper()
	w := st.s.dial(st.t, name)
	w.send(text)
	return w.read()
}

// tokens are fresh tokens of alice's for c, and how c got them.
func (st *stage) tokens(c *oauthClient, changes url.Values) tokens {
	st.t.Helper()
	got, out := c.exchange(c.code(st.alice, changes), nil)
	if got.StatusCode != http.StatusOK {
		st.t.Fatalf("no tokens: %d %s", got.StatusCode, got.Body)
	}
	return out
}

// works wants a token to open app.localhost still.
func (st *stage) works(token string) {
	st.t.Helper()
	if got := st.get(st.app.issuer+"/", "Authorization: Bearer "+token); got.StatusCode != http.StatusOK {
		st.t.Errorf("the victim's token was harmed: %d %s", got.StatusCode, got.Body)
	}
}

// private asks app.localhost for what nobody may have without a right.
func (st *stage) private(headers ...string) answer {
	st.t.Helper()
	return st.get(st.app.issuer+"/private", headers...)
}

// browserOf is a browser with these cookies, "name=value".
func (st *stage) browserOf(host string, cookies ...string) *person {
	st.t.Helper()
	p := st.s.stranger()
	u, err := url.Parse(st.s.url(host, "/"))
	if err != nil {
		st.t.Fatal(err)
	}
	set := make([]*http.Cookie, len(cookies))
	for i, c := range cookies {
		name, value, _ := strings.Cut(c, "=")
		set[i] = &http.Cookie{Name: name, Value: value, Path: "/", Secure: true}
	}
	p.c.Jar.SetCookies(u, set)
	return p
}

// cookie is the value of a cookie in a browser.
func (st *stage) cookie(p *person, host, name string) string {
	st.t.Helper()
	u, err := url.Parse(st.s.url(host, "/"))
	if err != nil {
		st.t.Fatal(err)
	}
	for _, c := range p.c.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// nothingWasGranted looks at the end whether the attacker's client has a grant,
// and whether anybody fetched what it named.
func (st *stage) nothingWasGranted() {
	if st.thief == nil {
		return
	}
	got := st.s.signed(st.t, "GET", "/oauth/clients/"+st.thief.id+"/tokens", "")
	var page struct {
		Items []json.RawMessage `json:"items"`
	}
	if got.StatusCode != http.StatusOK {
		st.t.Fatalf("the grants of the attacker's client: %d %s", got.StatusCode, got.Body)
	}
	decode(st.t, got.Body, &page)
	if len(page.Items) != 0 {
		st.t.Errorf("the attacker's client has grants: %s", got.Body)
	}
	if n := st.bait.touched.Load(); n != 0 {
		st.t.Errorf("an address that a stranger named was fetched %d times", n)
	}
	if users := st.s.signed(st.t, "GET", "/oauth/users/", "").Body; strings.Contains(users, "mallory") || !strings.Contains(users, "alice") {
		st.t.Errorf("the attacker has an account:\n%s", users)
	}
}
