package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"gatehouse/internal/api/localauth"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// fakeGate knows one token, as the real one would: from the Authorization header
// of the request and nothing else.
type fakeGate struct {
	seen    *http.Request
	revoked atomic.Bool
}

func (g *fakeGate) Still(*site.Visit) bool { return !g.revoked.Load() }

func (g *fakeGate) Admit(v *site.Visit, r *http.Request) site.Verdict {
	g.seen = r
	switch r.Header.Get("Authorization") {
	case "":
		return site.Verdict{Step: 3, Reason: "auth_disabled"}
	case "Bearer admin":
		return site.Verdict{Step: 3, Principal: &principal.Principal{User: "local:root", Scopes: []string{"admin"}, AuthType: principal.Bearer, Resource: v.Resource()}}
	}
	return site.Verdict{Outcome: site.Challenge, Step: 6, Reason: "token_expired", Error: "invalid_token", Description: "The token has expired", Header: `Bearer error="invalid_token"`}
}

type door struct {
	*system
	gate   *fakeGate
	key    localauth.Key
	direct *Direct
	got    *http.Request // what reached the authorization server
}

func openDoor(t *testing.T) *door {
	t.Helper()
	d := &door{system: start(t), gate: &fakeGate{}}
	var err error
	if d.key, err = localauth.LoadOrCreate(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	d.direct = &Direct{API: d.api, Gate: d.gate, World: d.roster.World, Local: localauth.NewVerifier(d.key, nil), Recorder: d.journal,
		OAuth: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.got = r; _, _ = io.WriteString(w, "oauth") })}
	server := httptest.NewServer(d.direct)
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func TestDirectDoorGivesStrangersPublicOperationsOnly(t *testing.T) {
	d := openDoor(t)
	if got := d.must(200, d.ask("", "GET", "/health", "")); got.fields["version"] != "test" || got.fields["store"] != "ok" {
		t.Errorf("health: %s", got.body)
	}
	for _, path := range []string{"/proxies/", "/system/info", "/events", "/logs/search", "/openapi.json", "/config/export"} {
		got := d.must(401, d.ask("", "GET", path, "", "X-Auth-User", "root", "X-Auth-Scopes", "admin", "x_auth_user", "root", "Remote-User", "root", "Cookie", "__Host-gatehouse=x"))
		if !strings.Contains(got.header.Get("WWW-Authenticate"), `resource_metadata="https://auth.localhost/.well-known/oauth-protected-resource/mcp"`) {
			t.Errorf("%s: %v", path, got.header)
		}
	}
	for name := range d.gate.seen.Header {
		if site.Identity(name, "X-Auth-") || name == "Cookie" {
			t.Errorf("%s reached the gate", name)
		}
	}
	d.must(404, d.ask("", "GET", "/signin", ""))
	d.must(404, d.ask("", "GET", "/mcp", ""))
	d.must(404, d.ask("", "GET", "/nothing", ""))
}

func TestDirectDoorTakesBearerTokens(t *testing.T) {
	d := openDoor(t)
	d.must(200, d.ask("", "GET", "/proxies/", "", "Authorization", "Bearer admin"))
	bad := d.must(401, d.ask("", "GET", "/proxies/", "", "Authorization", "Bearer old"))
	if bad.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` || !strings.Contains(bad.body, "has expired") {
		t.Errorf("%v %s", bad.header, bad.body)
	}
	if e := d.journal.last(); e.Kind != "request" || e.Status != 401 || e.AuthReason != "token_expired" || e.Path != "/proxies/" || e.ClientIP != "127.0.0.1" {
		t.Errorf("entry: %+v", e)
	}
}

func TestDirectDoorServesTheAuthorizationServer(t *testing.T) {
	d := openDoor(t)
	if got := d.must(200, d.ask("", "GET", "/.well-known/oauth-authorization-server", "")); got.body != "oauth" {
		t.Errorf("%s", got.body)
	}
	v := site.VisitFrom(d.got.Context())
	if v == nil || !v.Direct || v.Name != "auth.localhost" || v.Origin != "https://auth.localhost" || !v.Loopback || v.Trusted {
		t.Errorf("%+v", v)
	}
}

func (d *door) signed(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	d.key.Sign(r, []byte(body), time.Now())
	return r
}

func send(t *testing.T, c *http.Client, r *http.Request) (int, string) {
	t.Helper()
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func TestLocalSignatureIsTheMachinesAdministrator(t *testing.T) {
	d := openDoor(t)
	status, body := send(t, http.DefaultClient, d.signed(t, "POST", "/proxies/", `{"proxy_hostname":"a.localhost","target_url":"http://127.0.0.1:1"}`))
	if status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	d.journal.mu.Lock()
	defer d.journal.mu.Unlock()
	for _, e := range d.journal.entries {
		if e.Kind == "audit" && (e.Door != "local" || e.User != "local" || e.AuthType != "local") {
			t.Errorf("entry: %+v", e)
		}
	}
}

func TestLocalSignatureIsRefusedWhenItIsNotWhatItSays(t *testing.T) {
	d := openDoor(t)
	other, err := localauth.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	replayed := d.signed(t, "GET", "/proxies/", "")
	if status, body := send(t, http.DefaultClient, replayed); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	stale := d.signed(t, "GET", "/proxies/", "")
	d.key.Sign(stale, nil, time.Now().Add(-time.Minute))
	foreign := d.signed(t, "GET", "/proxies/", "")
	other.Sign(foreign, nil, time.Now())
	moved := d.signed(t, "GET", "/proxies/", "")
	moved.URL.Path = "/config/export"
	changed := d.signed(t, "PUT", "/proxies/localhost", `{"enabled":true}`)
	changed.Body, changed.ContentLength = io.NopCloser(strings.NewReader(`{"enabled":fals}`)), 16
	elsewhere := d.signed(t, "GET", "/jwks", "")
	for name, c := range map[string]struct {
		r    *http.Request
		says string
	}{
		"replayed": {replayed, "used before"}, "stale": {stale, "last 30 seconds"}, "other key": {foreign, "does not fit"}, "other path": {moved, "does not fit"},
		"other body": {changed, "does not fit"}, "authorization server": {elsewhere, "for the API"},
	} {
		if status, body := send(t, http.DefaultClient, c.r); status != 401 || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// Only loopback peers and the socket may present a signature: elsewhere the key
// would be one stolen file away from the world.
func TestLocalSignatureIsForLoopbackAndTheSocketOnly(t *testing.T) {
	d := openDoor(t)
	ask := func(h http.Handler, peer string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/proxies/", nil)
		r.RemoteAddr = peer
		d.key.Sign(r, nil, time.Now())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for peer, want := range map[string]int{"127.0.0.1:5": 200, "[::1]:5": 200, "[::ffff:127.0.0.1]:5": 200, "10.0.0.1:5": 401, "[2001:db8::1]:5": 401, "@": 401, "": 401} {
		if got, body := ask(d.direct, peer); got != want {
			t.Errorf("%q: %d %s", peer, got, body)
		}
	}
	socket := *d.direct
	socket.Socket = true
	if got, body := ask(&socket, "@"); got != 200 {
		t.Errorf("socket: %d %s", got, body)
	}
	socket.Local = nil
	if got, _ := ask(&socket, "@"); got != 401 {
		t.Errorf("without a key: %d", got)
	}
}

func TestDirectDoorEndsStreamsOfWhatWasRevoked(t *testing.T) {
	d := openDoor(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", d.url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer admin")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	revoked := time.Now()
	d.gate.revoked.Store(true)
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(revoked); took > 2*time.Second {
		t.Errorf("the stream ended after %v", took)
	}
}

func TestDirectDoorServesTheSocket(t *testing.T) {
	d := openDoor(t)
	path := filepath.Join(t.TempDir(), "api.sock")
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	socket := *d.direct
	socket.Socket = true
	server := &http.Server{Handler: &socket, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	t.Cleanup(client.CloseIdleConnections)
	if status, body := send(t, client, d.signed(t, "GET", "/tokens/info", "")); status != 200 || !strings.Contains(body, `"auth_type":"local"`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestLocalSignatureWithATooLargeBody(t *testing.T) {
	d := openDoor(t)
	body := fmt.Sprintf(`{"x":%q}`, strings.Repeat("y", maxBody))
	if status, text := send(t, http.DefaultClient, d.signed(t, "POST", "/proxies/", body)); status != 413 || !strings.Contains(text, "1048576") {
		t.Errorf("%d %s", status, text)
	}
}

// patient is an answer on a connection that notes until when it reads.
type patient struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (p *patient) SetReadDeadline(t time.Time) error {
	p.deadlines = append(p.deadlines, t)
	return nil
}

// A body that is signed for but never comes holds nothing for ever: the machine's
// other accounts reach the direct door too.
func TestLocalSignatureWaitsForItsBodySoLongOnly(t *testing.T) {
	d := openDoor(t)
	w := &patient{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/proxies/", iotest.ErrReader(os.ErrDeadlineExceeded))
	r.RemoteAddr = "127.0.0.1:5"
	d.key.Sign(r, nil, time.Now())
	d.direct.ServeHTTP(w, r)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "body could not be read") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(w.deadlines) != 2 || time.Until(w.deadlines[0]) > bodyPatience || w.deadlines[0].IsZero() || !w.deadlines[1].IsZero() {
		t.Errorf("deadlines: %v", w.deadlines)
	}
}

// TestTheDirectDoorHearsForWhomATrustedPeerAsks: the client that it names counts
// for log and bounds, loopback stays a matter of the connection, and a peer that is
// not trusted names nobody.
func TestTheDirectDoorHearsForWhomATrustedPeerAsks(t *testing.T) {
	d := openDoor(t)
	ask := func(peer, forwarded string) *site.Visit {
		r := httptest.NewRequest(http.MethodGet, "/health", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		return d.direct.visit(r)
	}
	d.direct.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for _, c := range []struct{ peer, forwarded, client string }{
		{"192.0.2.1:80", "203.0.113.9", "203.0.113.9"},
		{"192.0.2.1:80", "127.0.0.1, 203.0.113.9, 192.0.2.7", "203.0.113.9"},
		{"192.0.2.1:80", "nonsense", "192.0.2.1"},
		{"198.51.100.1:80", "203.0.113.9", "198.51.100.1"},
		{"192.0.2.1:80", "127.0.0.1", "127.0.0.1"},
	} {
		if v := ask(c.peer, c.forwarded); v.Client.String() != c.client || v.Loopback {
			t.Errorf("%s for %s: %s, loopback %v", c.peer, c.forwarded, v.Client, v.Loopback)
		}
	}
}
