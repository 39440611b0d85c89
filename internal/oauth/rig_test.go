package oauth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// testKey is the signing key of all rigs: making one takes long.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		panic(err)
	}
	return key
})

// entries is a Recorder that keeps what it gets.
type entries struct {
	mu  sync.Mutex
	all []journal.Entry
}

func (e *entries) Write(entry *journal.Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, *entry)
}

// reasons are the reasons of all refusals so far, latest last.
func (e *entries) reasons() (all []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, entry := range e.all {
		if entry.AuthReason != "" {
			all = append(all, entry.AuthReason)
		}
	}
	return all
}

// rig is a server over a real store, in a world of several hosts.
type rig struct {
	*Server
	t     testing.TB
	kv    store.KV
	world atomic.Pointer[site.World]
	log   *entries
	add   atomic.Int64 // nanoseconds that the clocks are ahead
	from  netip.Addr   // who sends the requests; the zero Addr is 192.0.2.7
}

const (
	appOrigin  = "https://app.example.com"
	mcpOrigin  = "https://mcp.example.com"
	authOrigin = "https://auth.example.com"
)

// basicProxies are the hosts that every rig serves: app (alice, bob and local
// accounts may in), mcp (an MCP server), other, the sign-in host and localhost.
func basicProxies() []site.Proxy {
	app := protected("app.example.com")
	app.AuthRequiredUsers = []string{"alice", "bob", "local:admin"}
	app.OAuthUserUsers, app.OAuthMCPUsers = []string{"alice", "bob"}, []string{"alice"}
	mcp := protected("mcp.example.com")
	mcp.ResourceEndpoint, mcp.MCPEnabled = "/mcp", true
	mcp.AuthRequiredUsers, mcp.OAuthMCPUsers, mcp.OAuthUserUsers = []string{anyone}, []string{anyone}, []string{anyone}
	other := protected("other.example.com")
	other.AuthRequiredUsers, other.OAuthUserUsers = []string{anyone}, []string{anyone}
	return []site.Proxy{site.Localhost(), site.SignInProxy("auth.example.com"), app, mcp, other}
}

func protected(name string) site.Proxy {
	p := site.Default(name)
	p.TargetURL, p.AuthEnabled = "http://10.0.0.5:3000", true
	return p
}

func newRig(t testing.TB, settings ...func(*Options)) *rig {
	t.Helper()
	kv, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	return newRigOn(t, kv, settings...)
}

// shifted is a store whose clock goes with the rig's.
type shifted struct {
	store.KV
	add *atomic.Int64
}

func (s shifted) Now(ctx context.Context) (time.Time, error) {
	now, err := s.KV.Now(ctx)
	return now.Add(time.Duration(s.add.Load())), err
}

// after lets time pass, for the node and for the store's clock.
func (r *rig) after(d time.Duration) { r.add.Add(int64(d)) }

var testSecret = slices.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 4)

func newRigOn(t testing.TB, kv store.KV, settings ...func(*Options)) *rig {
	t.Helper()
	sealer, err := store.NewSealer(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, log: &entries{}, kv: kv}
	r.serve(basicProxies())
	opt := Options{KV: shifted{kv, &r.add}, Sealer: sealer, World: r.world.Load, Recorder: r.log, ImportKey: testKey(), RateLimits: false,
		Lists:     Lists{Admin: []string{"root"}, User: []string{"reader"}, MCP: []string{anyone}},
		Localhost: Lists{Admin: []string{"localroot"}},
		Clock:     func() time.Time { return time.Now().Add(time.Duration(r.add.Load())) }}
	for _, set := range settings {
		set(&opt)
	}
	if r.Server, err = New(opt); err != nil {
		t.Fatal(err)
	}
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) serve(proxies []site.Proxy, routes ...site.Route) {
	r.t.Helper()
	w, errs := site.NewWorld(site.Origins{BaseDomain: "example.com", HTTPPort: 80, HTTPSPort: 443}, proxies, routes, r.world.Load())
	if len(errs) > 0 {
		r.t.Fatal(errs)
	}
	r.world.Store(w)
}

// change edits the proxy called name, or adds it.
func (r *rig) change(name string, edit func(*site.Proxy), routes ...site.Route) {
	r.t.Helper()
	var proxies []site.Proxy
	found := false
	for _, h := range r.world.Load().Hosts() {
		p := h.Proxy
		if p.Hostname == name {
			edit(&p)
			p.Version++
			found = true
		}
		proxies = append(proxies, p)
	}
	if !found {
		p := protected(name)
		edit(&p)
		proxies = append(proxies, p)
	}
	r.serve(proxies, routes...)
}

// visit is a request as the edge describes it. target is a URL.
func (r *rig) visit(method, target string) (*site.Visit, *http.Request) {
	r.t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		r.t.Fatal(err)
	}
	world := r.world.Load()
	host := world.Find(u.Hostname())
	if host == nil {
		r.t.Fatalf("nobody serves %s", u.Hostname())
	}
	secure := u.Scheme == "https"
	v := &site.Visit{RequestID: "req-1", Host: host, Name: u.Hostname(), Path: site.ParsePath(u.EscapedPath()), Secure: secure,
		Origin: world.Origins.Of(u.Hostname(), secure), SignIn: world.Origins.SignIn(secure || !site.UnderLocalhost(world.Origins.BaseDomain)), Client: netip.MustParseAddr("192.0.2.7")}
	if r.from.IsValid() {
		v.Client = r.from
	}
	v.Route, _ = host.Match(method, v.Path)
	req := httptest.NewRequest(method, target, nil)
	return v, req.WithContext(site.WithVisit(req.Context(), v))
}

// admit asks the gate. headers are names and values in turn.
func (r *rig) admit(method, target string, headers ...string) (site.Verdict, *site.Visit) {
	r.t.Helper()
	v, req := r.visit(method, target)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	v.Verdict = r.Admit(v, req)
	return v.Verdict, v
}

// answer is what an endpoint said.
type answer struct {
	*http.Response
	body []byte
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatalf("%d %s: %v", a.StatusCode, a.body, err)
	}
	return m
}

func (a answer) text(t testing.TB, name string) string {
	t.Helper()
	s, _ := a.json(t)[name].(string)
	return s
}

// ask sends a request to an endpoint.
func (r *rig) ask(method, target, body string, headers ...string) answer {
	r.t.Helper()
	v, _ := r.visit(method, target)
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req = req.WithContext(site.WithVisit(r.t.Context(), v))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	if v.Route == nil || v.Route.Target != site.InternalOAuth {
		r.t.Fatalf("%s %s does not lead to the OAuth endpoints", method, target)
	}
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	res := rec.Result()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res, out}
}

func (r *rig) post(target string, f url.Values, headers ...string) answer {
	r.t.Helper()
	return r.ask(http.MethodPost, target, f.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

// registered registers a public client with the usual callback.
func (r *rig) registered(origin string, extra ...string) (id string) {
	r.t.Helper()
	body := `{"client_name":"Test client","redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"none"` + strings.Join(extra, "") + `}`
	a := r.ask(http.MethodPost, origin+"/register", body, "Content-Type", "application/json")
	if a.StatusCode != http.StatusCreated {
		r.t.Fatalf("register: %d %s", a.StatusCode, a.body)
	}
	return a.text(r.t, "client_id")
}

const testVerifier = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHI"

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorizeQuery is a request that is right in everything.
func authorizeQuery(client string) url.Values {
	return url.Values{"response_type": {"code"}, "client_id": {client}, "redirect_uri": {"https://client.example/cb"},
		"code_challenge": {challengeOf(testVerifier)}, "code_challenge_method": {"S256"}, "state": {"s t&1"}, "scope": {"user"}}
}

func person(name string) Person {
	return Person{Subject: "github:" + name, User: name, Email: name + "@example.com", Name: strings.ToUpper(name), AuthTime: time.Now(), Provider: "github"}
}

// handleOf is the handle in the redirect to the consent page.
func (r *rig) handleOf(a answer) string {
	r.t.Helper()
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.StatusCode != http.StatusSeeOther || u.Query().Get("request") == "" {
		r.t.Fatalf("authorize: %d %s %s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
	return u.Query().Get("request")
}

// code walks from /authorize to a code for person.
func (r *rig) code(origin, client string, who Person, query url.Values) string {
	r.t.Helper()
	a := r.ask(http.MethodGet, origin+"/authorize?"+query.Encode(), "")
	location, err := r.Approve(r.pages(), r.handleOf(a), who, strings.Fields("admin user mcp reports"))
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := url.Parse(location)
	if err != nil || u.Query().Get("code") == "" {
		r.t.Fatalf("approve: %s", location)
	}
	return u.Query().Get("code")
}

func codeForm(client, code string) url.Values {
	return url.Values{"grant_type": {grantCode}, "client_id": {client}, "code": {code}, "code_verifier": {testVerifier}, "redirect_uri": {"https://client.example/cb"}}
}

// tokens is a whole flow for who at origin, with the scopes given.
func (r *rig) tokens(origin string, who Person, scope string) (access, refresh, client string) {
	r.t.Helper()
	client = r.registered(origin)
	q := authorizeQuery(client)
	q.Set("scope", scope)
	a := r.post(origin+"/token", codeForm(client, r.code(origin, client, who, q)))
	if a.StatusCode != http.StatusOK {
		r.t.Fatalf("token: %d %s", a.StatusCode, a.body)
	}
	return a.text(r.t, "access_token"), a.text(r.t, "refresh_token"), client
}

func (r *rig) refresh(origin, client, token string) answer {
	r.t.Helper()
	return r.post(origin+"/token", url.Values{"grant_type": {grantRefresh}, "client_id": {client}, "refresh_token": {token}})
}

// cookie is a session of who on the host at origin.
func (r *rig) cookie(origin string, who Person, parent string) *http.Cookie {
	r.t.Helper()
	v, _ := r.visit(http.MethodGet, origin+"/")
	c, err := r.OpenSession(r.t.Context(), v, who, parent)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// refused checks an OAuth error answer.
func (a answer) refused(t testing.TB, status int, code, words string) {
	t.Helper()
	m := a.json(t)
	description, _ := m["error_description"].(string)
	if a.StatusCode != status || m["error"] != code || !strings.Contains(description, words) {
		t.Errorf("got %d %s, want %d %s with %q", a.StatusCode, a.body, status, code, words)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("an error may be cached: %q", a.Header.Get("Cache-Control"))
	}
}

// pages is the context of a request to the pages for people, on the sign-in host.
func (r *rig) pages() context.Context {
	v, _ := r.visit(http.MethodGet, authOrigin+"/consent")
	return site.WithVisit(r.t.Context(), v)
}

// in lets the rig report to a subtest until it ends.
func (r *rig) in(t *testing.T) {
	outer := r.t
	r.t = t
	t.Cleanup(func() { r.t = outer })
}

func basicOf(id, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(secret)))
}

// VerifyToken reads an access token of ours for any host.
func (r *rig) VerifyToken(token string) (*principal.Principal, error) {
	e, bad := r.Server.verify(token, netip.Addr{}, r.now())
	if bad != nil {
		return nil, bad
	}
	if r.revokedToken(e.token) {
		return nil, badRevoked
	}
	p := e.token.principal(e.token.claims.scopes())
	p.Resource = e.token.claims.Audience[0]
	return p, nil
}

// setPassword changes the password of a local account.
func (r *rig) setPassword(name, hash string) error {
	_, err := r.UpdateUser(r.t.Context(), name, func(u *User) error { u.Hash = hash; return nil })
	return err
}
