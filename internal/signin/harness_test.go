package signin

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"gatehouse/internal/journal"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// house is a whole installation but for the edge: real store, authorization
// server, gate and pages behind one TLS listener that serves every name.
type house struct {
	t      *testing.T
	server *httptest.Server
	oauth  *oauth.Server
	pages  *Pages
	kv     store.KV
	world  atomic.Pointer[site.World]
	events *events
	port   int
	secure bool
	logged buffer // what the pages wrote to the process log
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
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

type setting func(*house, *oauth.Options, *Options, *[]site.Proxy)

// events keeps what the parts recorded.
type events struct {
	mu  sync.Mutex
	all []journal.Entry
}

func (e *events) Write(entry *journal.Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, *entry)
}

func (e *events) has(match func(journal.Entry) bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.all, match)
}

// newHouse builds one. Names are served below localhost unless a setting says
// otherwise; app.localhost is protected, with anybody listed let in.
func newHouse(t *testing.T, settings ...setting) *house {
	t.Helper()
	h := &house{t: t, events: &events{}, secure: true}
	kv, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	h.kv = kv
	sealer, err := store.NewSealer(random(store.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(h.serve))
	h.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	h.port = h.server.Listener.Addr().(*net.TCPAddr).Port

	app := site.Default("app.localhost")
	app.TargetURL, app.AuthEnabled, app.AuthMode, app.ResourceEndpoint = "http://127.0.0.1:1", true, site.ModeRedirect, "/"
	proxies := []site.Proxy{site.Localhost(), site.SignInProxy("auth.localhost"), app}
	world := func() *site.World { return h.world.Load() }
	oo := oauth.Options{KV: kv, Sealer: sealer, World: world, Recorder: h.events, ImportKey: rsaKeys()[0],
		Recheck: func(ctx context.Context, p oauth.Person, host *site.Host) (oauth.Person, error) {
			return h.pages.Recheck(ctx, p, host)
		}}
	so := Options{KV: kv, Sealer: sealer, World: world, Recorder: h.events, Hasher: newHasher(cheap),
		Logger: slog.New(slog.NewTextHandler(&h.logged, nil))}
	for _, set := range settings {
		set(h, &oo, &so, &proxies)
	}
	h.serveWorld(proxies)
	if h.oauth, err = oauth.New(oo); err != nil {
		t.Fatal(err)
	}
	if err := h.oauth.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	so.OAuth = h.oauth
	if h.pages, err = New(so); err != nil {
		t.Fatal(err)
	}
	if h.secure {
		h.server.StartTLS()
	} else {
		h.server.Start()
	}
	t.Cleanup(h.server.Close)
	return h
}

func (h *house) serveWorld(proxies []site.Proxy) {
	h.t.Helper()
	w, errs := site.NewWorld(site.Origins{BaseDomain: "localhost", HTTPPort: h.port, HTTPSPort: h.port}, proxies, nil, h.world.Load())
	if len(errs) > 0 {
		h.t.Fatal(errs)
	}
	h.world.Store(w)
}

// change edits one proxy of the world that is served.
func (h *house) change(name string, edit func(*site.Proxy)) {
	h.t.Helper()
	var proxies []site.Proxy
	for _, host := range h.world.Load().Hosts() {
		p := host.Proxy
		if p.Hostname == name {
			edit(&p)
			p.Version++
		}
		proxies = append(proxies, p)
	}
	h.serveWorld(proxies)
}

func plainHTTP(h *house, _ *oauth.Options, _ *Options, _ *[]site.Proxy) { h.secure = false }

func withProxy(name string, edit func(*site.Proxy)) setting {
	return func(_ *house, _ *oauth.Options, _ *Options, all *[]site.Proxy) {
		for i := range *all {
			if (*all)[i].Hostname == name {
				edit(&(*all)[i])
				return
			}
		}
		p := site.Default(name)
		p.TargetURL, p.AuthEnabled, p.AuthMode, p.ResourceEndpoint = "http://127.0.0.1:1", true, site.ModeRedirect, "/"
		edit(&p)
		*all = append(*all, p)
	}
}

func (h *house) origin(name string) string { return h.world.Load().Origins.Of(name, h.secure) }

// serve is the edge in small: it makes the visit, and asks the gate.
func (h *house) serve(w http.ResponseWriter, r *http.Request) {
	name, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		name = r.Host
	}
	world := h.world.Load()
	host := world.Find(name)
	if host == nil {
		http.NotFound(w, r)
		return
	}
	v := &site.Visit{RequestID: "req-1", Host: host, Name: name, Path: site.ParsePath(r.URL.EscapedPath()), Secure: r.TLS != nil,
		Origin: world.Origins.Of(name, r.TLS != nil), SignIn: world.Origins.SignIn(r.TLS != nil), Client: netip.MustParseAddr("192.0.2.7")}
	if from := r.Header.Get("X-Test-From"); from != "" {
		v.Client = netip.MustParseAddr(from)
	}
	v.Route, _ = host.Match(r.Method, v.Path)
	r = r.WithContext(site.WithVisit(r.Context(), v))
	v.Verdict = h.oauth.Admit(v, r)
	switch {
	case v.Verdict.Outcome == site.SignIn:
		w.Header().Set("Location", v.Verdict.Location)
		w.WriteHeader(http.StatusSeeOther)
	case v.Verdict.Outcome != site.Allow:
		http.Error(w, v.Verdict.Reason, http.StatusForbidden)
	case v.Route != nil && v.Route.Target == site.InternalPages:
		h.pages.ServeHTTP(w, r)
	case v.Route != nil && v.Route.Target == site.InternalOAuth:
		h.oauth.ServeHTTP(w, r)
	default:
		h.backend(w, r, v)
	}
}

func (h *house) backend(w http.ResponseWriter, r *http.Request, v *site.Visit) {
	user := "nobody"
	if p := v.Verdict.Principal; p != nil {
		user = p.User
	}
	_, _ = fmt.Fprintf(w, "backend of %s at %s for %s", v.Name, r.URL.RequestURI(), user)
}

// browser is a person's browser: it keeps cookies, follows redirects, reads
// pages and presses buttons, with the headers that browsers send.
type browser struct {
	*house
	jar    http.CookieJar
	client *http.Client
	url    *url.URL // where it is
	status int
	header http.Header
	body   string
	stop   func(*url.URL) bool // redirects to this are not followed
	from   string              // its address
}

func (h *house) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	b := &browser{house: h, jar: jar}
	b.client = &http.Client{Jar: jar, Timeout: 20 * time.Second,
		Transport: &http.Transport{DialContext: h.dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 20 {
				return fmt.Errorf("in circles: %s", r.URL)
			}
			if b.stop != nil && b.stop(r.URL) {
				return http.ErrUseLastResponse
			}
			r.Header.Del("Origin")
			return nil
		}}
	h.t.Cleanup(b.client.CloseIdleConnections)
	return b
}

// dial brings every name of this house to its listener, others where they say.
func (h *house) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if name, _, err := net.SplitHostPort(address); err == nil && h.world.Load().Find(name) != nil {
		address = h.server.Listener.Addr().String()
	}
	return d.DialContext(ctx, network, address)
}

func (b *browser) do(r *http.Request) *browser {
	b.t.Helper()
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36")
	if b.from != "" {
		r.Header.Set("X-Test-From", b.from)
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.url, b.status, b.header, b.body = res.Request.URL, res.StatusCode, res.Header, string(body)
	return b
}

// open goes to an address, relative to the present one if need be.
func (b *browser) open(address string) *browser {
	b.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.url != nil {
		u = b.url.ResolveReference(u)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	return b.do(r)
}

// form is one form of a page.
type form struct {
	action  string
	values  url.Values
	buttons [][2]string // name=value of each button, with its text as third
	texts   []string
}

func (b *browser) forms() []form {
	b.t.Helper()
	doc, err := html.Parse(strings.NewReader(b.body))
	if err != nil {
		b.t.Fatal(err)
	}
	var forms []form
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			forms = append(forms, formOf(n))
		}
	}
	return forms
}

func formOf(n *html.Node) form {
	f := form{action: attr(n, "action"), values: url.Values{}}
	for e := range n.Descendants() {
		switch {
		case e.Type == html.ElementNode && e.Data == "input" && attr(e, "name") != "":
			f.values.Set(attr(e, "name"), attr(e, "value"))
		case e.Type == html.ElementNode && e.Data == "button":
			f.buttons = append(f.buttons, [2]string{attr(e, "name"), attr(e, "value")})
			f.texts = append(f.texts, strings.TrimSpace(text(e)))
		}
	}
	return f
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for e := range n.Descendants() {
		if e.Type == html.TextNode {
			b.WriteString(e.Data)
		}
	}
	return b.String()
}

// fill finds the form with a button of this text, with the fields filled in.
func (b *browser) fill(button string, fields ...string) (action string, values url.Values) {
	b.t.Helper()
	for _, f := range b.forms() {
		i := slices.Index(f.texts, button)
		if i < 0 {
			continue
		}
		if f.buttons[i][0] != "" {
			f.values.Set(f.buttons[i][0], f.buttons[i][1])
		}
		for i := 0; i+1 < len(fields); i += 2 {
			f.values.Set(fields[i], fields[i+1])
		}
		return b.url.ResolveReference(must2(url.Parse(f.action))).String(), f.values
	}
	b.t.Fatalf("no button %q at %s (%d):\n%s", button, b.url, b.status, b.words())
	return "", nil
}

func must2(u *url.URL, err error) *url.URL {
	if err != nil {
		panic(err)
	}
	return u
}

// press fills a form in and sends it, as a browser does from a page whose
// referrer policy is no-referrer.
func (b *browser) press(button string, fields ...string) *browser {
	b.t.Helper()
	action, values := b.fill(button, fields...)
	return b.post(action, values, "Origin", "null", "Sec-Fetch-Site", "same-origin")
}

func (b *browser) post(action string, values url.Values, headers ...string) *browser {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, action, strings.NewReader(values.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.do(r)
}

// words is what a person reads on the page, in one line.
func (b *browser) words() string {
	doc, err := html.Parse(strings.NewReader(b.body))
	if err != nil {
		return b.body
	}
	var out []string
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode && (n.Data == "style" || n.Data == "head") {
			return
		}
		if n.Type == html.TextNode {
			out = append(out, strings.Fields(n.Data)...)
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(doc)
	return strings.Join(out, " ")
}

// sees fails unless the person is at a page with this status that says all of it.
func (b *browser) sees(status int, words ...string) *browser {
	b.t.Helper()
	page := b.words()
	for _, w := range words {
		if !strings.Contains(page, w) {
			b.t.Fatalf("the page at %s does not say %q:\n%d %s", b.url, w, b.status, page)
		}
	}
	if b.status != status {
		b.t.Fatalf("status %d, want %d, at %s:\n%s", b.status, status, b.url, page)
	}
	return b
}

// cookie is the value of a cookie that the browser would send to an origin.
func (b *browser) cookie(origin, name string) string {
	for _, c := range b.jar.Cookies(must2(url.Parse(origin + "/"))) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// account makes a local account.
func (h *house) account(name, password string, scopes ...string) {
	h.t.Helper()
	hash, err := h.pages.hasher.Hash(h.t.Context(), name, password)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.oauth.CreateUser(h.t.Context(), oauth.User{Name: name, Hash: hash, Scopes: scopes}); err != nil {
		h.t.Fatal(err)
	}
}

const password = "correct horse battery"

// alice signs in on the sign-in host as a local administrator.
func (b *browser) alice() *browser {
	b.t.Helper()
	if _, err := b.oauth.User(b.t.Context(), "alice"); err != nil {
		b.account("alice", password, "admin", "user", "mcp")
	}
	return b.open(b.origin("auth.localhost")+"/signin").press("Sign in", "name", "alice", "password", password).sees(200, "local:alice")
}

// follow presses a link.
func (b *browser) follow(words string) *browser {
	b.t.Helper()
	doc, err := html.Parse(strings.NewReader(b.body))
	if err != nil {
		b.t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && strings.TrimSpace(text(n)) == words {
			return b.open(attr(n, "href"))
		}
	}
	b.t.Fatalf("no link %q at %s:\n%s", words, b.url, b.words())
	return nil
}
