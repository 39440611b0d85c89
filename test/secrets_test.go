package test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	varint "encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
	"gatehouse/internal/store/redisstore"
	"gatehouse/test/githubtest"
	"gatehouse/test/redistest"
)

// backend is what state can be kept in: how a server is told to, what is in there
// while it runs, and all that is left when it has ended.
type backend struct {
	env    []string
	live   func(t *testing.T, s *server) []trace
	traces func(t *testing.T, s *server) []trace
}

// backends are all there are.
var backends = map[string]func(*testing.T) backend{
	"embedded": func(*testing.T) backend { return backend{nil, embeddedFile, embeddedTraces} },
	"redis":    redisBackend,
}

// redisBackend is a Redis whose disk is looked at beside the store: each command
// stands there as it came.
func redisBackend(t *testing.T) backend {
	r := redistest.Start(t, redistest.Options{Password: redisPassword, Args: []string{"--rdbcompression", "no", "--appendfsync", "always"}})
	written := func(t *testing.T, s *server) []trace {
		t.Helper()
		all := dataFiles(t, s)
		for name, data := range r.Written(t) {
			all = append(all, trace{"Redis's " + name, data})
		}
		return all
	}
	return backend{
		env:  []string{"REDIS_URL=" + r.URL(), "REDIS_PASSWORD=" + redisPassword, "SECRET_KEY=" + secretKey},
		live: written,
		traces: func(t *testing.T, s *server) []trace {
			t.Helper()
			kv, err := redisstore.Open(t.Context(), redisstore.Options{Addrs: []string{r.Addr()}, Password: redisPassword})
			if err != nil {
				t.Fatal(err)
			}
			defer kv.Close()
			return append(written(t, s), storeTraces(t, kv)...)
		},
	}
}

// TestNoSecretIsWrittenInClear runs every flow that there is, with capture and
// TRACE on, and keeps each secret that was shown on the way. Then none of them is
// on stderr, in a log entry, or in the store, in any of the usual spellings.
func TestNoSecretIsWrittenInClear(t *testing.T) {
	t.Parallel()
	for name, make := range backends {
		t.Run(name, func(t *testing.T) {
			b := make(t)
			github, web := recordedGitHub(t)
			s := start(t, append(b.env, "GITHUB_URL="+web, "GITHUB_API_URL="+web, "LOG_LEVEL=TRACE", "OAUTH_USER_USERS=local:alice,octocat",
				"LOG_REQUEST_HEADERS=true", "LOG_RESPONSE_HEADERS=true", "LOG_REQUEST_BODY=true", "LOG_RESPONSE_BODY=true"), "serve")
			k := &keeper{found: map[string]string{}, look: func() []trace { return b.live(t, s) }}
			github.keep = k
			s.everyFlow(k, github)
			s.await(20*time.Second, "the log", func() bool {
				return strings.Contains(s.local("log", "search", "--limit", "1000", "--format", "json"), "last-of-all")
			})
			searched := s.local("log", "search", "--limit", "1000", "--format", "json")
			s.stop()
			k.ownKeys(s, b.traces(t, s))
			traces := append(append(b.traces(t, s), k.seen...), trace{"stderr", []byte(s.said())}, trace{"log search", []byte(searched)})
			k.compare(t, traces)
		})
	}
}

// everyFlow does what people, programs and administrators do, with each kind of
// secret at least once, well and badly.
func (s *server) everyFlow(k *keeper, github *recordedHub) {
	t := s.t
	t.Helper()
	link, err := url.Parse(s.setup())
	if err != nil {
		t.Fatal(err)
	}
	p := s.person()
	k.watch(p.c)
	k.keep("password", adminPassword)
	p.becomeAdmin()
	p.login("--scope", "admin")
	admin := &api{s, s.token()}
	k.keep("access token of the command line", admin.token)
	k.credentials(s)

	admin.create("app.localhost", mirror(t).URL)
	admin.do("POST", "/proxies/app.localhost/auth", `{"auth_enabled":true,"auth_mode":"redirect","auth_required_users":["*"]}`, http.StatusOK)
	s.byProgram(k, p)
	s.byDevice(k, p)

	k.keep("GitHub secret of a proxy", ownSecret)
	admin.do("POST", "/proxies/app.localhost/github-oauth", `{"github_client_id":"Iv1.own","github_client_secret":"`+ownSecret+`"}`, http.StatusOK)
	github.Register(githubtest.App{ClientID: "Iv1.own", ClientSecret: ownSecret, Callback: s.url("auth.localhost", "/callback")})
	github.As("octocat")
	octocat := s.person()
	k.watch(octocat.c)
	if page := octocat.byGitHub("/?api_key=a-visitors-own-key-of-32-characters"); !strings.Contains(page.Body, "octocat") {
		t.Fatalf("octocat: %d\n%s", page.StatusCode, page.Body)
	}
	k.keep("key in a visitor's query", "a-visitors-own-key-of-32-characters")
	k.keep("another password", "a second battery, just as correct")
	if _, errs, code := s.cliIn("a second battery, just as correct\na second battery, just as correct\n", "oauth", "user", "add", "bob", "--scopes", "user"); code != 0 {
		t.Fatal(errs)
	}
	for _, args := range [][]string{{"oauth", "refresh"}, {"oauth", "token", "list"}, {"proxy", "show", "app.localhost"}, {"proxy", "github", "show", "app.localhost"}} {
		out, errs, code := s.cli(append(args, "--debug")...)
		if code != 0 || errs == "" {
			t.Fatalf("%v --debug: %d %s", args, code, errs)
		}
		k.seen = append(k.seen, trace{"gatehouse --debug", []byte(out + errs)})
	}
	k.credentials(s)
	// Wrong ones are somebody's right ones elsewhere.
	k.keep("wrong password", "the one of my mail account")
	p.signIn(s.stranger().follow(s.url("auth.localhost", "/signin")), adminName, "the one of my mail account")
	k.keep("setup link", link.Query().Get("setup"))
	get(t, s.client(), link.String())
	ask(t, s.trusting(), "GET", s.url("app.localhost", "/last-of-all?access_token="+admin.token), "")
}

const ownSecret = "fedcba9876543210fedcba9876543210fedcba98"

// byProgram is a confidential client from registration to revocation.
func (s *server) byProgram(k *keeper, p *person) {
	t := s.t
	t.Helper()
	issuer, c := s.url("app.localhost", ""), s.stranger().c
	k.watch(c)
	got := ask(t, c, "POST", issuer+"/register", `{"client_name":"secrets","redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"client_secret_post"}`, "Content-Type: application/json")
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
		Key    string `json:"registration_access_token"`
		URI    string `json:"registration_client_uri"`
	}
	decode(t, got.Body, &made)
	k.keep("client secret", made.Secret)
	k.keep("registration token", made.Key)
	get(t, c, made.URI, "Authorization: Bearer "+made.Key)

	o := &oauthClient{t: t, s: s, c: c, issuer: issuer, id: made.ID, redirect: "https://client.example/cb", verifier: random()}
	state := random()
	k.keep("state", state)
	k.keep("code verifier", o.verifier)
	code := o.code(p, url.Values{"state": {state}})
	k.keep("code", code)
	wrong := random()
	k.keep("wrong client secret", wrong)
	o.exchange(code, url.Values{"client_secret": {wrong}})
	_, first := o.exchange(code, url.Values{"client_secret": {made.Secret}})
	k.pair("first", first)
	_, second := o.post("/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {made.ID}, "client_secret": {made.Secret}, "refresh_token": {first.Refresh}})
	k.pair("second", second)
	for _, token := range []string{second.Access, second.Refresh} {
		o.post("/introspect", url.Values{"client_id": {made.ID}, "client_secret": {made.Secret}, "token": {token}})
	}
	get(t, c, issuer+"/reports?access_token="+second.Access, "Authorization: Bearer "+second.Access, "X-Api-Key: "+wrong)
	get(t, c, issuer+"/reports", "Authorization: Bearer "+second.Access[:len(second.Access)-3])
	get(t, c, issuer+"/token?"+url.Values{"code": {code}, "refresh_token": {second.Refresh}}.Encode())
	o.post("/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {made.ID}, "client_secret": {made.Secret}, "refresh_token": {second.Refresh[:len(second.Refresh)-2]}})
	o.post("/revoke", url.Values{"client_id": {made.ID}, "client_secret": {made.Secret}, "token": {second.Refresh}})
}

// byDevice is the device flow.
func (s *server) byDevice(k *keeper, p *person) {
	t := s.t
	t.Helper()
	o := &oauthClient{t: t, s: s, c: s.stranger().c, issuer: s.url("app.localhost", ""), id: "device_flow_client"}
	got, _ := o.post("/device/code", url.Values{"client_id": {o.id}, "scope": {"user"}})
	var d struct {
		Device string `json:"device_code"`
		User   string `json:"user_code"`
	}
	decode(t, got.Body, &d)
	k.pause()
	k.keep("device code", d.Device)
	k.keep("user code", d.User)
	poll := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {o.id}, "device_code": {d.Device}}
	o.post("/token", poll)
	p.approve(d.User)
	k.pause()
	_, out := o.post("/device/token", poll)
	k.pair("device", out)
}

// keeper keeps every secret by what it is.
type keeper struct {
	look func() []trace // into the store as it is now

	mu    sync.Mutex
	found map[string]string
	seen  []trace
}

// pause looks into the store while something is on its way.
func (k *keeper) pause() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = append(k.seen, k.look()...)
}

func (k *keeper) keep(what, secret string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(secret) >= 8 { // shorter ones would be found by chance
		k.found[what] = secret
	}
}

func (k *keeper) pair(what string, t tokens) {
	k.keep(what+" access token", t.Access)
	k.keep(what+" refresh token", t.Refresh)
}

// credentials are what the command line keeps for itself.
func (k *keeper) credentials(s *server) {
	b, err := os.ReadFile(filepath.Join(s.dir, "config", "gatehouse", "credentials.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var kept any
	decode(s.t, string(b), &kept)
	var walk func(name string, v any)
	walk = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, v := range v {
				walk(name, v)
			}
		case string:
			if strings.Contains(name, "token") {
				k.keep("command line's "+name+" "+v[max(0, len(v)-8):], v)
			}
		}
	}
	walk("", kept)
}

// watch keeps what a client of ours is shown: cookies, and what travels in the
// addresses that it is sent to.
func (k *keeper) watch(c *http.Client) { c.Transport = &watching{c.Transport, k} }

type watching struct {
	next http.RoundTripper
	k    *keeper
}

func (w *watching) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.next.RoundTrip(r)
	if err != nil {
		return res, err
	}
	for _, c := range res.Cookies() {
		w.k.keep("cookie "+c.Name+" of "+r.URL.Hostname(), c.Value)
	}
	if to, err := res.Location(); err == nil && to.RawQuery != "" {
		w.k.pause()
		for name, values := range to.Query() {
			if name == "code" || name == "state" || name == "ticket" || name == "request" || name == "start" || name == "asking" {
				w.k.keep(name+" to "+to.Hostname()+to.Path, values[0])
			}
		}
	}
	return res, err
}

// recordedHub is GitHub's stand-in whose secrets are kept.
type recordedHub struct {
	*githubtest.Server
	keep *keeper
}

func recordedGitHub(t *testing.T) (*recordedHub, string) {
	t.Helper()
	hub := &recordedHub{Server: githubtest.New()}
	web := httptest.NewServer(hub)
	t.Cleanup(web.Close)
	hub.Add(githubtest.Account{ID: 583231, Login: "octocat", Name: "The Octocat"})
	return hub, web.URL
}

func (h *recordedHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a broken body is the stand-in's to refuse
	r.Body = io.NopCloser(bytes.NewReader(body))
	sent, _ := url.ParseQuery(string(body))
	rec := httptest.NewRecorder()
	h.Server.ServeHTTP(rec, r)
	var answered struct {
		Token string `json:"access_token"`
	}
	_ = json.Unmarshal(rec.Body.Bytes(), &answered) // other answers have none
	form, _ := url.ParseQuery(rec.Body.String())
	for what, secret := range map[string]string{"GitHub's code": sent.Get("code"), "verifier towards GitHub": sent.Get("code_verifier"),
		"state towards GitHub": r.URL.Query().Get("state"), "GitHub's token": answered.Token + form.Get("access_token")} {
		h.keep.keep(what, secret)
	}
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// trace is a place where something was written.
type trace struct {
	where string
	data  []byte
}

// embeddedTraces are the files of DATA_DIR as they are, each key and value of the
// store, and the log's blocks unpacked.
func embeddedTraces(t *testing.T, s *server) (all []trace) {
	t.Helper()
	kv, err := boltstore.Open(filepath.Join(s.dir, "data"), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer kv.Close()
	return append(dataFiles(t, s), storeTraces(t, kv)...)
}

// dataFiles are the files of DATA_DIR but those that hold its own keys.
func dataFiles(t *testing.T, s *server) (all []trace) {
	t.Helper()
	data := filepath.Join(s.dir, "data")
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "secret.key" || d.Name() == "local.key" {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, trace{"file " + d.Name(), b})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// embeddedFile is the store's file as it is now.
func embeddedFile(t *testing.T, s *server) []trace {
	b, err := os.ReadFile(filepath.Join(s.dir, "data", "gatehouse.db"))
	if err != nil {
		t.Error(err)
	}
	return []trace{{"the store meanwhile", b}}
}

// storeTraces reads a store of any kind through its contract.
func storeTraces(t *testing.T, kv store.Store) (all []trace) {
	t.Helper()
	for after, more := "", true; more; {
		items, err := kv.List(t.Context(), "", after, store.MaxPage)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			all = append(all, trace{"key " + item.Key, []byte(item.Key + "\n" + string(item.Value))})
			after = item.Key
		}
		more = len(items) == store.MaxPage
	}
	for _, log := range []string{"request", "audit"} {
		err := kv.Range(t.Context(), log, time.Time{}, time.Time{}, false, func(b store.Block) bool {
			all = append(all, trace{"log " + log, unpacked(t, b.Data)})
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// unpacked are the two sections of a block of the log.
func unpacked(t *testing.T, block []byte) (out []byte) {
	t.Helper()
	reader, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	rest := block[2:]
	_, n := varint.Uvarint(rest)
	for rest = rest[n:]; len(rest) > 0; {
		size, n := varint.Uvarint(rest)
		if n <= 0 || uint64(len(rest)-n) < size {
			t.Fatal("a block of the log has another form than this test knows")
		}
		if out, err = reader.DecodeAll(rest[n:n+int(size)], out); err != nil {
			t.Fatal(err)
		}
		rest = rest[n+int(size):]
	}
	return out
}

// ownKeys keeps the program's own secrets: the key files, and what they seal.
func (k *keeper) ownKeys(s *server, traces []trace) {
	t := s.t
	t.Helper()
	secret := k.keyFile(s, "secret.key")
	k.keyFile(s, "local.key")
	sealer, err := store.NewSealer(secret)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(traces, func(tr trace) bool { return tr.where == "key oauth:keys" })
	if i < 0 {
		t.Fatal("no signing keys in the store")
	}
	plain, err := sealer.Open("oauth:keys", bytes.TrimPrefix(traces[i].data, []byte("oauth:keys\n")))
	if err != nil {
		t.Fatal(err)
	}
	var ring struct {
		Cookie  []byte `json:"cookie_key"`
		Refresh []byte `json:"refresh_key"`
		Signing []struct {
			Private []byte `json:"pkcs8"`
		} `json:"signing_keys"`
	}
	decode(t, string(plain), &ring)
	k.keep("key of cookies", string(ring.Cookie))
	k.keep("key of refresh tokens", string(ring.Refresh))
	for _, key := range ring.Signing {
		k.keep("signing key, DER", string(key.Private))
		k.keep("signing key, PEM", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key.Private}))[28:92])
		parsed, err := x509.ParsePKCS8PrivateKey(key.Private)
		if err != nil {
			t.Fatal(err)
		}
		for i, prime := range parsed.(*rsa.PrivateKey).Primes {
			k.keep(fmt.Sprint("signing key, prime ", i), string(prime.Bytes()))
		}
	}
}

func (k *keeper) keyFile(s *server, name string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "data", name))
	for _, given := range s.env { // a shared store has its key from outside
		if value, ok := strings.CutPrefix(given, "SECRET_KEY="); ok && name == "secret.key" {
			b, err = []byte(value), nil
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	text := strings.TrimSpace(string(b))
	k.keep(name, text)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		raw = b
	}
	k.keep(name+", decoded", string(raw))
	return raw
}

// compare looks for each secret in each trace.
func (k *keeper) compare(t *testing.T, traces []trace) {
	t.Helper()
	for _, must := range []string{"setup link", "password", "client secret", "registration token", "code", "code verifier", "state", "first access token", "first refresh token",
		"device code", "user code", "cookie __Host-gatehouse of app.localhost", "ticket to app.localhost/.gatehouse/callback", "GitHub secret of a proxy", "GitHub's token", "GitHub's code",
		"verifier towards GitHub", "state towards GitHub", "secret.key", "local.key", "signing key, DER", "signing key, PEM"} {
		if k.found[must] == "" {
			t.Errorf("no %s was seen on the way: the test would not find it", must)
		}
	}
	for what, secret := range k.found {
		for _, spelled := range spellings(secret) {
			for _, tr := range traces {
				if at := bytes.Index(tr.data, []byte(spelled)); at >= 0 && !known(what, tr) {
					t.Errorf("%s is in clear in %s: …%q…", what, tr.where, tr.data[max(at-60, 0):at])
				}
			}
		}
	}
	size := 0
	for _, tr := range traces {
		size += len(tr.data)
	}
	t.Logf("%d secrets looked for in %d places, %d KiB", len(k.found), len(traces), size>>10)
}

// known are the places where a secret has to be.
func known(what string, tr trace) bool { return what == "setup link" && tr.where == "stderr" }

// spellings are the forms in which a secret may be written: as it is, in JSON, in
// an address, in hex, and in base64 at each of the three places where it can
// stand in a longer text.
func spellings(secret string) (all []string) {
	quoted, _ := json.Marshal(secret)
	all = []string{secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret)))}
	for shift := range 3 {
		padded := append(make([]byte, shift), secret...)
		padded = padded[:len(padded)/3*3]
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			all = append(all, e.EncodeToString(padded)[(shift*8+5)/6:])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestSpellingsAreFound is that the search would find what it looks for.
func TestSpellingsAreFound(t *testing.T) {
	t.Parallel()
	const secret = `0123"456789+abcdef/`
	for _, text := range []string{secret, `{"a":"x` + `0123\"456789+abcdef/"}`, "%22" + url.QueryEscape(secret), hex.EncodeToString([]byte("ab" + secret)),
		base64.StdEncoding.EncodeToString([]byte("a" + secret + "b")), base64.URLEncoding.EncodeToString([]byte("ab" + secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
		if !slices.ContainsFunc(spellings(secret), func(s string) bool { return strings.Contains(text, s) }) {
			t.Errorf("not found in %s", text)
		}
	}
}
