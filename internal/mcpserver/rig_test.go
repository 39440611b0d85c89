package mcpserver

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/cert"
	"gatehouse/internal/cert/acme"
	"gatehouse/internal/control"
	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/principal"
	"gatehouse/internal/roster"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// system is the MCP server over a real store, a real roster and all operations.
type system struct {
	t       *testing.T
	url     string
	control *control.Control
	server  *Server
	journal *recorder

	mu    sync.Mutex
	cut   map[string][]string // scopes that a subject has left; absent: all it came with
	lines [][]string          // what run_command was given
}

// recorder is the journal, which also remembers what was written.
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

func (r *recorder) find(action string) []journal.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.entries), func(e journal.Entry) bool { return e.Action != action })
}

type quickHasher struct{}

func (quickHasher) Hash(_ context.Context, _, password string) (string, error) {
	return fmt.Sprintf("hash-%x", sha256.Sum256([]byte(password))), nil
}

// callerHeader names who asks, for tests alone: what the gate does in the program.
const callerHeader = "Test-Caller"

func person(name, client string, scopes ...string) *principal.Principal {
	return &principal.Principal{Subject: "local:" + name, User: "local:" + name, ClientID: client, Scopes: scopes,
		AuthType: principal.Bearer, Resource: "http://localhost/mcp", TokenID: "t-" + name}
}

var callers = map[string]*principal.Principal{
	"admin":    person("root", "c1", "admin"),
	"admin2":   person("root", "c2", "admin"), // the same person by another client
	"narrow":   person("root", "c1", "user", "mcp"),
	"user":     person("ann", "c1", "user", "mcp"),
	"mcp":      person("mia", "c1", "mcp"),
	"foreign":  {Subject: "local:eve", User: "local:eve", ClientID: "c1", Scopes: []string{"admin"}, AuthType: principal.Bearer, Resource: "https://app.localhost"},
	"nowhere":  {Subject: "local:root", User: "local:root", ClientID: "c1", Scopes: []string{"admin"}, AuthType: principal.Bearer, Resource: "https://auth.localhost/mcp"},
	"nobody":   nil,
	"anothers": person("bob", "c1", "admin"),
}

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, cut: map[string][]string{}}
	origins := site.Origins{BaseDomain: "localhost", HTTPPort: 80, HTTPSPort: 443}
	kv, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	sealer, err := store.NewSealer([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	log, levels := journal.NewLogger(io.Discard, "json", slog.LevelInfo)
	entries, err := journal.New(kv, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.journal = &recorder{Journal: entries}
	certs := cert.New(kv, sealer, cert.Options{Log: log})
	worlds := roster.New(kv, origins, func(*site.World) {}, log)
	auth, err := oauth.New(oauth.Options{KV: kv, Sealer: sealer, World: worlds.World, Recorder: s.journal})
	if err != nil {
		t.Fatal(err)
	}
	manager := cert.NewManager(cert.ManagerOptions{Store: kv, Sealer: sealer, Keeper: certs, Log: log, KeyType: cert.ECDSAP256,
		ACME:      acme.New(acme.Options{KV: kv, Sealer: sealer, Answers: acme.NewAnswers(kv, sealer, log)}),
		Directory: "https://127.0.0.1:1/dir", Staging: "https://127.0.0.1:1/staging"}) // nobody is asked: it does not run
	s.control = control.New(control.Deps{Store: kv, Manager: manager, Sealer: sealer, Worlds: worlds, Origins: origins, Journal: s.journal, Levels: levels,
		OAuth: auth, Hasher: quickHasher{}, Certificates: certs, Log: log, Node: "one", Release: "test"})
	ctx, cancel := context.WithCancel(t.Context())
	for _, load := range []func(context.Context) error{certs.Load, s.control.EnsureBuiltIns, worlds.Load, auth.Load} {
		if err := load(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s.server = New(Options{Control: s.control, Scopes: s.scopes, Grantable: s.grantable, Command: s.command, Release: "test"})
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{worlds.Run, auth.Run, entries.Run, certs.Run, s.server.Run} {
		running.Go(func() { _ = run(ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := callers[r.Header.Get(callerHeader)]
		v := &site.Visit{RequestID: "req-1", Host: worlds.World().Find("localhost"), Name: "localhost", Origin: "http://localhost",
			Verdict: site.Verdict{Principal: p}}
		s.server.ServeHTTP(w, r.WithContext(principal.With(site.WithVisit(r.Context(), v), p)))
	}))
	t.Cleanup(web.Close)
	s.url = web.URL + "/mcp"
	return s
}

func (s *system) scopes(v *site.Visit) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left, ok := s.cut[v.Verdict.Principal.Subject]; ok {
		return left
	}
	return v.Verdict.Principal.Scopes
}

// grantable: root may be given admin, whatever their client asked for.
func (s *system) grantable(v *site.Visit, _ string) bool {
	return v.Verdict.Principal.User == "local:root"
}

func (s *system) command(ctx context.Context, args []string) CommandResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, args)
	if args[0] == "panic" {
		panic("a defect")
	}
	return CommandResult{Output: principal.From(ctx).User}
}

// as is a transport that asks as somebody.
type as string

func (a as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(callerHeader, string(a))
	return http.DefaultTransport.RoundTrip(r)
}

// connect is the official client in one of the two eras.
func (s *system) connect(caller, version string, o *mcp.ClientOptions) *mcp.ClientSession {
	s.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, o)
	session, err := client.Connect(s.t.Context(), &mcp.StreamableClientTransport{Endpoint: s.url, HTTPClient: &http.Client{Transport: as(caller)}},
		&mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		s.t.Fatalf("%s, %s: %v", caller, version, err)
	}
	s.t.Cleanup(func() { _ = session.Close() })
	return session
}

// both runs a test in both eras.
func both(t *testing.T, run func(t *testing.T, version string)) {
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) { run(t, version) })
	}
}

func names(t *testing.T, c *mcp.ClientSession) []string {
	t.Helper()
	list, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, tool := range list.Tools {
		all = append(all, tool.Name)
	}
	return all
}

func call(t *testing.T, c *mcp.ClientSession, tool string, args any) *mcp.CallToolResult {
	t.Helper()
	got, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return got
}

func text(r *mcp.CallToolResult) string {
	var b strings.Builder
	for _, c := range r.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// raw is one request as it stands.
func (s *system) raw(caller, method, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Transport: as(caller)}).Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(text)
}
