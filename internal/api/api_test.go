package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/cert/acme"
	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/principal"
	"gatehouse/internal/roster"
	"gatehouse/internal/signin"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// system is the API over a real store and a real roster.
type system struct {
	t       *testing.T
	url     string
	control *control.Control
	api     *API
	store   *boltstore.Store
	roster  *roster.Roster
	oauth   *oauth.Server
	journal *recorder
	origins site.Origins
}

// recorder is the journal, which also remembers what was written, as it was.
type recorder struct {
	*journal.Journal
	mu      sync.Mutex
	entries []journal.Entry
}

func (r *recorder) Write(e *journal.Entry) {
	r.mu.Lock()
	r.entries = append(r.entries, *e)
	r.mu.Unlock()
	r.Journal.Write(e)
}

// quickHasher spares tests the cost of argon2id; its rule is the real one's.
type quickHasher struct{}

func (quickHasher) Hash(_ context.Context, name, password string) (string, error) {
	if rule := signin.ValidPassword(name, password); rule != "" {
		return "", fault.BadField("password", "%s", rule)
	}
	return fmt.Sprintf("hash-%x", sha256.Sum256([]byte(password))), nil
}

type someNames struct{}

func (someNames) Known(t site.Target) bool { return t.Kind == site.TargetStdio && t.Name == "files" }

func (r *recorder) last() journal.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) == 0 {
		return journal.Entry{}
	}
	return r.entries[len(r.entries)-1]
}

// callerHeader names who asks, for tests alone: what the gate does in the program.
const callerHeader = "Test-Caller"

var callers = map[string]*principal.Principal{
	"admin":    {Subject: "local:root", User: "local:root", Scopes: []string{"admin"}, AuthType: principal.Bearer, Resource: "http://localhost/mcp", TokenID: "t1"},
	"fresh":    {Subject: "local:root", User: "local:root", Scopes: []string{"admin"}, AuthType: principal.Bearer, Resource: "http://localhost/mcp", TokenID: "t2", AuthTime: time.Now()},
	"stale":    {Subject: "local:root", User: "local:root", Scopes: []string{"admin"}, AuthType: principal.Bearer, Resource: "http://localhost/mcp", TokenID: "t3", AuthTime: time.Now().Add(-11 * time.Minute)},
	"user":     {Subject: "local:ann", User: "local:ann", Scopes: []string{"user"}, AuthType: principal.Bearer, Resource: "https://auth.localhost/mcp", GrantID: "g1"},
	"mcp":      {Subject: "local:mia", User: "local:mia", Scopes: []string{"mcp"}, AuthType: principal.Bearer, Resource: "http://localhost/mcp"},
	"foreign":  {Subject: "local:eve", User: "local:eve", Scopes: []string{"admin"}, AuthType: principal.Bearer, Resource: "https://app.localhost"},
	"stranger": {Subject: "local:sam", User: "local:sam", Scopes: []string{"admin"}, AuthType: principal.Bearer, Resource: ""},
}

func start(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, origins: site.Origins{BaseDomain: "localhost", HTTPPort: 80, HTTPSPort: 443}}
	var err error
	if s.store, err = boltstore.Open(t.TempDir(), boltstore.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	sealer, err := store.NewSealer([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	log, levels := journal.NewLogger(io.Discard, "json", slog.LevelInfo)
	entries, err := journal.New(s.store, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.journal = &recorder{Journal: entries}
	certs := cert.New(s.store, sealer, cert.Options{Log: log})
	if err := certs.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	manager := cert.NewManager(cert.ManagerOptions{Store: s.store, Sealer: sealer, Keeper: certs, Log: log, KeyType: cert.ECDSAP256,
		ACME:      acme.New(acme.Options{KV: s.store, Sealer: sealer, Answers: acme.NewAnswers(s.store, sealer, log)}),
		Directory: "https://127.0.0.1:1/dir", Staging: "https://127.0.0.1:1/staging"}) // nobody is asked: it does not run
	s.roster = roster.New(s.store, s.origins, func(w *site.World) {
		var hosts []cert.Wanted
		for _, h := range w.Hosts() {
			hosts = append(hosts, cert.Wanted{Name: h.Proxy.Hostname})
		}
		certs.Want(hosts)
	}, log)
	s.oauth, err = oauth.New(oauth.Options{KV: s.store, Sealer: sealer, World: s.roster.World, Recorder: s.journal})
	if err != nil {
		t.Fatal(err)
	}
	s.control = control.New(control.Deps{Store: s.store, Sealer: sealer, Worlds: s.roster, Origins: s.origins, Journal: s.journal, Levels: levels,
		OAuth: s.oauth, Hasher: quickHasher{}, Names: someNames{}, Certificates: certs, Manager: manager, Log: log, Node: "one", Release: "test",
		Loops: func(_ context.Context, t site.Target) bool { host, _ := t.Address(); return host == "127.0.0.99" }})
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.control.EnsureBuiltIns(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.roster.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.oauth.Load(ctx); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{s.roster.Run, s.oauth.Run, entries.Run, certs.Run} {
		running.Go(func() { _ = run(ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	s.serve()
	return s
}

func (s *system) serve() {
	var err error
	if s.api, err = New(s.control, nil); err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &site.Visit{RequestID: "req-1", Host: s.roster.World().Find("localhost"), Name: "localhost", Origin: "http://localhost"}
		ctx := site.WithVisit(r.Context(), v)
		if p := callers[r.Header.Get(callerHeader)]; p != nil {
			ctx = principal.With(ctx, p)
		}
		s.api.ServeHTTP(w, r.WithContext(ctx))
	}))
	s.t.Cleanup(server.Close)
	s.url = server.URL
}

type answer struct {
	status int
	header http.Header
	body   string
	fields map[string]any
}

func (s *system) ask(caller, method, path, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set(callerHeader, caller)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(raw)}
	_ = json.Unmarshal(raw, &a.fields)
	return a
}

func (s *system) must(status int, a answer) answer {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

func TestProxyLivesFromCreateToDelete(t *testing.T) {
	s := start(t)
	made := s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"App.localhost","target_url":"http://127.0.0.1:3000","auth_enabled":true}`))
	if made.fields["proxy_hostname"] != "app.localhost" || made.fields["auth_cookie_name"] != "__Host-gatehouse" || made.fields["origin"] != "https://app.localhost" {
		t.Fatalf("created: %s", made.body)
	}
	if h := s.roster.World().Find("app.localhost"); h == nil || !h.Proxy.AuthEnabled {
		t.Fatal("the new host is not served when the answer comes")
	}
	if got := s.must(200, s.ask("admin", "GET", "/proxies", "")); !strings.Contains(got.body, `"app.localhost"`) || got.fields["cursor"] != "" {
		t.Fatalf("list: %s", got.body)
	}
	tag := made.header.Get("ETag")
	changed := s.must(200, s.ask("admin", "PUT", "/proxies/app.localhost", `{"auth_mode":"redirect","auth_enabled":null}`, "If-Match", tag))
	if changed.fields["auth_mode"] != "redirect" || changed.fields["auth_enabled"] != false || changed.fields["target_url"] != "http://127.0.0.1:3000" {
		t.Fatalf("changed: %s", changed.body)
	}
	s.must(412, s.ask("admin", "PUT", "/proxies/app.localhost", `{"enabled":false}`, "If-Match", tag))
	s.must(412, s.ask("admin", "DELETE", "/proxies/app.localhost", "", "If-Match", tag))
	s.must(200, s.ask("admin", "DELETE", "/proxies/app.localhost", "", "If-Match", changed.header.Get("ETag")))
	if s.roster.World().Find("app.localhost") != nil {
		t.Fatal("the deleted host is still served when the answer comes")
	}
	gone := s.must(404, s.ask("admin", "GET", "/proxies/app.localhost", ""))
	if gone.header.Get("Content-Type") != "application/problem+json" || gone.fields["request_id"] != "req-1" {
		t.Fatalf("problem: %v %s", gone.header, gone.body)
	}
}

func TestHealthTellsStrangersTheStatusAlone(t *testing.T) {
	s := start(t)
	if got := s.must(200, s.ask("", "GET", "/health", "")); len(got.fields) != 1 || got.fields["status"] != "healthy" {
		t.Fatalf("to a stranger: %s", got.body)
	}
	if got := s.must(200, s.ask("user", "GET", "/health", "")); got.fields["version"] != "test" || got.fields["proxies"] != float64(2) {
		t.Fatalf("to a user: %s", got.body)
	}
}

func mustPath(raw string) site.Path { return site.ParsePath(raw) }

// put writes a record as another version of the program might have.
func (s *system) put(key string, value any) {
	s.t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.store.Commit(s.t.Context(), store.Write{Key: key, Value: raw, If: store.AnyVersion}); err != nil {
		s.t.Fatal(err)
	}
}
