package main

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/api/client"
	"gatehouse/internal/api/listenfile"
)

// buffer is written by one goroutine and read by another.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// running is the program in the background, in this process.
type running struct {
	out, err buffer
	done     chan int
	stop     context.CancelFunc
}

func (h *home) start(args ...string) *running {
	h.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{done: make(chan int, 1), stop: stop}
	go func() { r.done <- run(ctx, args, h.env, strings.NewReader(""), &r.out, &r.err) }()
	return r
}

// find waits until what the program says on stderr has a match.
func (r *running) find(t *testing.T, pattern *regexp.Regexp) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if m := pattern.FindString(r.err.String()); m != "" {
			return m
		}
		select {
		case code := <-r.done:
			t.Fatalf("the program ended with exit %d before it said %s:\n%s", code, pattern, r.err.String())
		default:
		}
	}
	t.Fatalf("the program did not say %s:\n%s", pattern, r.err.String())
	return ""
}

// served starts a server on free ports and ends it with the test.
func served(t *testing.T, args []string, env ...string) (*home, *running) {
	t.Helper()
	h := newHome(t, append([]string{"SERVER_HOST=127.0.0.1", "HTTP_PORT=0", "HTTPS_PORT=0", "API_LISTEN=127.0.0.1:0", "LOG_FORMAT=text"}, env...)...)
	s := h.start(args...)
	t.Cleanup(func() {
		s.stop()
		if code := <-s.done; code != exitOK {
			t.Errorf("the server ended with exit %d:\n%s", code, s.err.String())
		}
	})
	s.find(t, regexp.MustCompile(`Gatehouse serves http://\S+`))
	return h, s
}

// person fills in forms on the sign-in host.
type person struct {
	t *testing.T
	c *http.Client
}

func newPerson(h *home) *person {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &person{h.t, &http.Client{Jar: jar, Transport: client.NewTransport([]byte(h.must("ca", "export")))}}
}

var (
	formOf   = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)".*?</form>`)
	hiddenOf = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// open gets a page, and what it redirects to.
func (p *person) open(at string) (*url.URL, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, at, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	return p.send(req)
}

func (p *person) send(req *http.Request) (*url.URL, string) {
	p.t.Helper()
	res, err := p.c.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 400 {
		p.t.Fatalf("%s %s: %s, %v\n%s", req.Method, req.URL, res.Status, err, body)
	}
	return res.Request.URL, string(body)
}

// submit sends the form on a page that leads to path.
func (p *person) submit(at *url.URL, page, path string, fields url.Values) (*url.URL, string) {
	p.t.Helper()
	for _, form := range formOf.FindAllStringSubmatch(page, -1) {
		to, err := at.Parse(html.UnescapeString(form[1]))
		if err != nil || to.Path != path {
			continue
		}
		for _, in := range hiddenOf.FindAllStringSubmatch(form[0], -1) {
			if !fields.Has(in[1]) {
				fields.Set(in[1], html.UnescapeString(in[2]))
			}
		}
		req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, to.String(), strings.NewReader(fields.Encode()))
		if err != nil {
			p.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", to.Scheme+"://"+to.Host)
		return p.send(req)
	}
	_, body, _ := strings.Cut(page, "<body>")
	p.t.Fatalf("no form for %s on %s:\n%s", path, at, body)
	return nil, ""
}

var (
	setupLine  = regexp.MustCompile(`https?://\S+/setup\?\S+`)
	deviceLine = regexp.MustCompile(`https?://\S+/device\b`)
	codeLine   = regexp.MustCompile(`\b[B-DF-HJ-NP-TV-Z]{4}-[B-DF-HJ-NP-TV-Z]{4}\b`)
)

const alicesPassword = "correct horse battery staple"

// becomeAdmin makes the first account and signs in with it.
func (p *person) becomeAdmin(link string) {
	p.t.Helper()
	at, page := p.open(link)
	at, page = p.submit(at, page, "/setup", url.Values{"name": {"alice"}, "password": {alicesPassword}, "again": {alicesPassword}})
	p.submit(at, page, "/signin", url.Values{"name": {"alice"}, "password": {alicesPassword}})
}

// approve lets a command line sign in.
func (p *person) approve(login *running) {
	p.t.Helper()
	at, page := p.open(login.find(p.t, deviceLine))
	if strings.Contains(page, `name="password"`) { // another origin than the last time
		at, page = p.submit(at, page, "/signin", url.Values{"name": {"alice"}, "password": {alicesPassword}})
	}
	at, page = p.submit(at, page, "/device", url.Values{"user_code": {login.find(p.t, codeLine)}})
	p.submit(at, page, "/device", url.Values{"answer": {"allow"}})
}

// signedIn is a server with an administrator whose command line is signed in.
func signedIn(t *testing.T, env ...string) (*home, *person) {
	t.Helper()
	h, server := served(t, []string{"protect", "app.localhost", "internal:demo"}, env...)
	alice := newPerson(h)
	alice.becomeAdmin(server.find(t, setupLine))
	login := h.start("oauth", "login")
	alice.approve(login)
	if code := <-login.done; code != exitOK {
		t.Fatalf("oauth login: exit %d\n%s", code, login.err.String())
	}
	if !strings.Contains(login.out.String(), `"user":"local:alice"`) {
		t.Fatalf("oauth login printed %s", login.out.String())
	}
	return h, alice
}

func TestAnAdministratorsWalk(t *testing.T) {
	t.Parallel()
	h, alice := signedIn(t)
	for _, line := range []string{
		"oauth status", "system status", "system info", "system nodes", "proxy list", "proxy show app.localhost", "proxy status app.localhost",
		"proxy create two.localhost http://127.0.0.1:1 --auth --mode redirect --allow local:alice --exclude /health",
		"proxy update two.localhost --response-header X-Frame-Options=DENY", "proxy disable two.localhost", "proxy enable two.localhost",
		"proxy auth config two.localhost --allow *", "proxy auth show two.localhost", "proxy explain two.localhost /x --user local:alice",
		"proxy resource set two.localhost --endpoint /mcp", "proxy resource list", "proxy oauth-server set two.localhost --grant-types authorization_code,refresh_token",
		"proxy oauth-server list", "route create /reports http://127.0.0.1:2 --proxy two.localhost --id reports", "route list --proxy two.localhost", "route show reports",
		"proxy routes show two.localhost", "proxy routes disable two.localhost device", "route update reports --priority 70", "route delete reports --force",
		"oauth client list", "oauth session list", "oauth token list", "oauth consent list", "oauth user list", "oauth proxy list", "oauth proxy sessions app.localhost",
		"oauth server", "oauth health", "oauth events --ip 127.0.0.1", "log show", "log search --kind audit", "log errors", "log status 2xx", "log path /proxies/*",
		"log user local:alice", "log slow", "log oauth", "log level", "log level DEBUG --component edge", "log level --reset", "log test --message hello",
		"proxy delete two.localhost --force", "oauth register --name Reports --redirect-uri https://reports.example.com/callback",
	} {
		r := h.run(strings.Fields(line)...)
		if r.code != exitOK || !json.Valid([]byte(r.out)) {
			t.Errorf("gatehouse %s: exit %d\n%s%s", line, r.code, r.out, r.err)
		}
		if table := h.run(append(strings.Fields(line), "--format", "table")...); strings.HasPrefix(line, "oauth ") && strings.Contains(line, " list") && table.code != exitOK {
			t.Errorf("gatehouse %s --format table: exit %d\n%s", line, table.code, table.err)
		}
	}
	if r := h.feed("another password of bob\n", "oauth", "user", "add", "bob", "--scopes", "user"); r.code != exitOK {
		t.Errorf("user add: exit %d, %s", r.code, r.err)
	}
	if r := h.run("proxy", "show", "two.localhost"); r.code != exitFailed {
		t.Errorf("a deleted host: exit %d, %s", r.code, r.err)
	}
	if n := strings.Count(h.must("oauth", "token", "list", "--format", "csv"), "\n"); n != 2 {
		t.Errorf("%d lines of grants, want a header and one", n)
	}
	tokenForAnotherHost(t, h, alice)
	h.must("oauth", "logout")
	if r := h.run("proxy", "list"); r.code != exitRefused || !strings.Contains(r.err, "oauth login") {
		t.Errorf("after logout: exit %d, %s", r.code, r.err)
	}
}

// tokenForAnotherHost gets a token for the protected host, which is printed and
// opens that host, and not the API.
func tokenForAnotherHost(t *testing.T, h *home, alice *person) {
	t.Helper()
	before, err := os.ReadFile(credentialsOf(h))
	if err != nil {
		t.Fatal(err)
	}
	l, err := listenfile.Read(getenv(h.env, "DATA_DIR"))
	if err != nil {
		t.Fatal(err)
	}
	app := strings.Replace(l.HTTPS, "localhost", "app.localhost", 1)
	login := h.start("oauth", "login", "--resource", app)
	alice.approve(login)
	if code := <-login.done; code != exitOK {
		t.Fatalf("oauth login --resource: exit %d\n%s", code, login.err.String())
	}
	token := strings.TrimSpace(login.out.String())
	if after, err := os.ReadFile(credentialsOf(h)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a token for another host was kept (%v)", err)
	}
	if r := h.run("proxy", "list", "--token", token); r.code != exitRefused {
		t.Errorf("the API with a token of another host: exit %d, %s", r.code, r.err)
	}
}

func credentialsOf(h *home) string {
	return filepath.Join(getenv(h.env, "XDG_CONFIG_HOME"), "gatehouse", "credentials.json")
}

func TestPrintTokenAsksNobodyWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	h, _ := signedIn(t)
	token := strings.TrimSpace(h.must("oauth", "login", "--print-token", "--scope", "user"))
	if r := h.run("oauth", "status", "--token", token); r.code != exitOK || !strings.Contains(r.out, `"local:alice"`) {
		t.Errorf("exit %d, %s%s", r.code, r.out, r.err)
	}
}

// TestTokensAreRenewedOnceAcrossInvocations runs with tokens so short that each
// command finds its own due.
func TestTokensAreRenewedOnceAcrossInvocations(t *testing.T) {
	t.Parallel()
	h, _ := signedIn(t, "OAUTH_ACCESS_TOKEN_LIFETIME=62")
	kept := func() string {
		body, err := os.ReadFile(credentialsOf(h))
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	first := kept()
	for deadline := time.Now().Add(20 * time.Second); kept() == first && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		h.must("oauth", "status")
	}
	if kept() == first {
		t.Fatal("a token that ends within a minute was not renewed")
	}
	h.must("oauth", "refresh")
	pairOfTheEnvironment(t, h)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if r := h.run("oauth", "status"); r.code != exitOK {
				t.Errorf("exit %d, %s", r.code, r.err)
			}
		})
	}
	wg.Wait()
}

// pairOfTheEnvironment hands the pair that is kept to another home's environment,
// which must renew it once and find the new one from then on.
func pairOfTheEnvironment(t *testing.T, h *home) {
	t.Helper()
	book, err := client.Credentials{Path: credentialsOf(h)}.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range book.Profiles["default"] {
		other := newHome(t, "API_URL="+apiOf(t, h), "OAUTH_ACCESS_TOKEN="+pair.Access, "OAUTH_REFRESH_TOKEN="+pair.Refresh)
		for !client.Given(pair.Access, pair.Refresh).Due(time.Now()) {
			time.Sleep(50 * time.Millisecond)
		}
		for range 2 {
			other.must("oauth", "status")
		}
		kept, err := client.Credentials{Path: credentialsOf(other)}.Read()
		if fresh, ok := kept.Renewed[client.HashPair(pair.Access, pair.Refresh)]; err != nil || !ok || fresh.Access == pair.Access {
			t.Errorf("the environment's pair was not renewed and kept: %+v, %v", kept, err)
		}
	}
}

func apiOf(t *testing.T, h *home) string {
	t.Helper()
	l, err := listenfile.Read(getenv(h.env, "DATA_DIR"))
	if err != nil {
		t.Fatal(err)
	}
	return l.HTTP
}

func TestTheMachinesAdministratorNeedsNoAccount(t *testing.T) {
	t.Parallel()
	h, server := served(t, []string{"serve"})
	if out := h.must("--local", "proxy", "create", "a.localhost", "internal:demo"); !strings.Contains(out, `"a.localhost"`) {
		t.Error(out)
	}
	if r := h.run("proxy", "list"); r.code != exitRefused {
		t.Errorf("without --local: exit %d", r.code)
	}
	l, err := listenfile.Read(getenv(h.env, "DATA_DIR"))
	if err != nil {
		t.Fatal(err)
	}
	if r := h.run("--local", "--url", l.Direct, "proxy", "list"); r.code != exitOK {
		t.Errorf("--local at the direct door: exit %d, %s", r.code, r.err)
	}
	stranger := newHome(t)
	if r := stranger.run("--local", "--url", l.Direct, "proxy", "list"); r.code == exitOK {
		t.Error("--local worked without the key")
	}
	h.must("oauth", "register", "--url", l.Direct, "--name", "Reports", "--redirect-uri", "https://reports.example.com/callback") // the sign-in host's, by TLS
	if out := h.must("healthcheck"); out != "healthy\n" {
		t.Errorf("healthcheck printed %q", out)
	}
	if !strings.HasPrefix(h.must("ca", "export"), "-----BEGIN CERTIFICATE-----") {
		t.Error("ca export printed no certificate")
	}
	server.stop()
	server.done <- <-server.done
	if r := h.run("healthcheck"); r.code != exitFailed {
		t.Errorf("healthcheck after the end: exit %d, %s", r.code, r.err)
	}
	h.must("ca", "export")
}
