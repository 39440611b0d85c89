package test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// soon is how long what was revoked may go on.
const soon = 2 * time.Second

// TestRevocationIsInstant ends each kind of thing by its verb, while a stream of
// server-sent events and a WebSocket are open by it: both end within two seconds,
// and so does everything else that came from it; what has nothing to do with it
// goes on.
func TestRevocationIsInstant(t *testing.T) {
	s := start(t, nil, "serve")
	r := &revoker{t: t, s: s}
	r.prepare()
	bystander := r.open("a bystander's streams", "Authorization: Bearer "+r.token(r.other))

	for _, c := range []struct {
		kind string
		end  func(token string) []string
	}{
		{"an access token", func(token string) []string {
			return []string{"oauth", "token", "revoke", claim(t, token, "jti"), "--access-token", "--force"}
		}},
		{"a grant", func(token string) []string {
			return []string{"oauth", "token", "revoke", claim(t, token, "grant_id"), "--force"}
		}},
		{"a client", func(string) []string { return []string{"oauth", "client", "revoke", r.own.id, "--force"} }},
	} {
		token := r.token(r.own)
		streams := r.open(c.kind, "Authorization: Bearer "+token)
		s.local(c.end(token)...)
		streams.end()
		r.refused(c.kind, token)
		if r.status(r.token(r.own)) != http.StatusOK {
			t.Errorf("after %s was ended, its client can't begin anew", c.kind)
		}
	}

	parent := r.token(r.own)
	child := r.exchange(r.own, parent)
	streams := r.open("an exchanged token", "Authorization: Bearer "+child)
	s.local("oauth", "token", "revoke", claim(t, parent, "jti"), "--access-token", "--force")
	streams.end()
	r.refused("an exchanged token", child)

	p := s.person()
	p.becomeAdmin()
	cookie := r.session(p)
	streams = r.open("a session", "Cookie: "+cookie, "Origin: "+s.url("app.localhost", ""))
	s.local("oauth", "session", "revoke", r.sessionOn("app.localhost"), "--force")
	streams.end()

	cookie = r.session(p)
	token, _ := strings.CutSuffix(p.login("--resource", s.url("app.localhost", "/"), "--scope", "user"), "\n")
	byToken := r.open("a person's token", "Authorization: Bearer "+token)
	byCookie := r.open("a person's session", "Cookie: "+cookie, "Origin: "+s.url("app.localhost", ""))
	s.local("oauth", "user", "revoke", "local:"+adminName, "--force")
	byToken.end()
	byCookie.end()
	r.refused("a person", token)

	if !bystander.alive() {
		t.Error("streams that had nothing to do with any of it were cut")
	}
	token = r.token(r.own)
	streams = r.open("a host", "Authorization: Bearer "+token)
	s.local("oauth", "proxy", "revoke", "app.localhost", "--force")
	streams.end()
	bystander.end()
	r.refused("a host", token)

	token = r.token(r.own)
	streams = r.open("the keys", "Authorization: Bearer "+token)
	s.local("oauth", "key-generate", "--now", "--force")
	if r.status(token) != http.StatusOK || r.status(r.token(r.own)) != http.StatusOK || !streams.alive() {
		t.Error("a rotation ends what the old key signed")
	}
	if before, after := header(t, token, "kid"), header(t, r.token(r.own), "kid"); before == after {
		t.Error("the key made for now does not sign")
	}
	s.local("oauth", "key-generate", "--revoke", "--force")
	streams.end()
	r.refused("the keys", token)
	if r.status(r.token(r.own)) != http.StatusOK {
		t.Error("after the keys were replaced nobody can begin anew")
	}
	last := r.token(r.own)
	streams = r.open("a removed client", "Authorization: Bearer "+last)
	s.local("oauth", "client", "delete", r.own.id, "--force")
	streams.end()
	r.refused("a removed client", last)
	var metrics struct {
		Issued map[string]int `json:"tokens_issued"`
	}
	decode(t, s.local("oauth", "metrics", "--hours", "1", "--format", "json"), &metrics)
	if metrics.Issued["client_credentials"] < 10 || metrics.Issued["token_exchange"] != 1 || metrics.Issued["device_code"] != 1 {
		t.Errorf("oauth metrics counts %v", metrics.Issued)
	}
}

// machineClient is a client that acts for itself.
type machineClient struct{ id, secret string }

// revoker is a protected host with a ticking backend, and two clients that may in
// by themselves.
type revoker struct {
	t          *testing.T
	s          *server
	c          *http.Client
	tls        *tls.Config
	own, other machineClient
}

func (r *revoker) prepare() {
	r.t.Helper()
	s := r.s
	s.local("proxy", "create", "app.localhost", ticking(r.t).URL, "--auth", "--mode", "redirect")
	r.c, r.tls = s.trusting(), &tls.Config{RootCAs: s.roots()}
	create := func(name string) machineClient {
		var made struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		decode(r.t, s.local("oauth", "client", "create", name, "--host", "app.localhost", "--scopes", "user",
			"--grant-types", "client_credentials,urn:ietf:params:oauth:grant-type:token-exchange", "--format", "json"), &made)
		return machineClient{made.ID, made.Secret}
	}
	r.own, r.other = create("Own"), create("Other")
	people, err := json.Marshal([]string{"client:" + r.own.id, "client:" + r.other.id, "local:" + adminName})
	if err != nil {
		r.t.Fatal(err)
	}
	s.local("proxy", "update", "app.localhost", "--set", "auth_required_users="+string(people), "--set", "oauth_user_users="+string(people))
}

func (r *revoker) post(m machineClient, form url.Values) string {
	r.t.Helper()
	login := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(m.id+":"+m.secret))
	body := ask(r.t, r.c, http.MethodPost, r.s.url("app.localhost", "/token"), form.Encode(), "Content-Type: application/x-www-form-urlencoded", login)
	var got tokens
	decode(r.t, body.Body, &got)
	if got.Access == "" {
		r.t.Fatalf("no token: %s", body.Body)
	}
	return got.Access
}

func (r *revoker) token(m machineClient) string {
	r.t.Helper()
	return r.post(m, url.Values{"grant_type": {"client_credentials"}})
}

func (r *revoker) exchange(m machineClient, token string) string {
	r.t.Helper()
	return r.post(m, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {token},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}})
}

func (r *revoker) status(token string) int {
	r.t.Helper()
	return get(r.t, r.c, r.s.url("app.localhost", "/"), "Authorization: Bearer "+token).StatusCode
}

// refused wants a token to open nothing any more, not even for new requests.
func (r *revoker) refused(kind, token string) {
	r.t.Helper()
	if got := get(r.t, r.c, r.s.url("app.localhost", "/"), "Authorization: Bearer "+token); got.StatusCode != http.StatusUnauthorized ||
		!strings.Contains(got.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		r.t.Errorf("after %s was ended, its token gets %d %q", kind, got.StatusCode, got.Header.Get("WWW-Authenticate"))
	}
}

// session is the cookie of a person's session on the host.
func (r *revoker) session(p *person) string {
	r.t.Helper()
	page := p.follow(r.s.url("app.localhost", "/"))
	if strings.Contains(page.Body, `name="password"`) {
		page = p.signIn(page, adminName, adminPassword)
	}
	if page.StatusCode != http.StatusOK {
		r.t.Fatalf("not signed in: %d\n%s", page.StatusCode, page.Body)
	}
	var all []string
	for _, c := range p.c.Jar.Cookies(page.Request.URL) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

func (r *revoker) sessionOn(host string) string {
	r.t.Helper()
	var page struct{ Items []struct{ ID, Host string } }
	decode(r.t, r.s.local("oauth", "session", "list", "--format", "json"), &page)
	for _, e := range page.Items {
		if e.Host == host {
			return e.ID
		}
	}
	r.t.Fatalf("no session on %s: %+v", host, page.Items)
	return ""
}

// streams are a stream of events and a WebSocket that one credential opened.
type streams struct {
	t              *testing.T
	what           string
	events, socket chan struct{} // closed when it ends
}

func (r *revoker) open(what string, headers ...string) *streams {
	r.t.Helper()
	h := http.Header{}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	x := &streams{r.t, what, make(chan struct{}), make(chan struct{})}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.s.url("app.localhost", "/events"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header = h.Clone()
	c := &http.Client{Transport: &http.Transport{DialContext: loopback, ForceAttemptHTTP2: true, TLSClientConfig: r.tls.Clone()}}
	res, err := c.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: events: %v %v", what, res, err)
	}
	buf := make([]byte, 256)
	if _, err := res.Body.Read(buf); err != nil {
		r.t.Fatalf("%s: the first event: %v", what, err)
	}
	go func() {
		defer close(x.events)
		defer res.Body.Close()
		for {
			if _, err := res.Body.Read(buf); err != nil {
				return
			}
		}
	}()
	socket, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(r.s.url("app.localhost", "/ws"), "http"), &websocket.DialOptions{HTTPHeader: h,
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: loopback, TLSClientConfig: r.tls.Clone()}}})
	if err != nil {
		r.t.Fatalf("%s: WebSocket: %v", what, err)
	}
	go func() {
		defer close(x.socket)
		defer func() { _ = socket.CloseNow() }()
		for err == nil {
			if err = socket.Write(ctx, websocket.MessageText, []byte("x")); err == nil {
				_, _, err = socket.Read(ctx)
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return x
}

// end wants both to end within two seconds.
func (x *streams) end() {
	x.t.Helper()
	limit := time.After(soon)
	for name, ended := range map[string]chan struct{}{"the event stream": x.events, "the WebSocket": x.socket} {
		select {
		case <-ended:
		case <-limit:
			x.t.Errorf("%s: %s goes on for more than %v", x.what, name, soon)
			return
		}
	}
}

// alive reports whether both still run.
func (x *streams) alive() bool {
	select {
	case <-x.events:
	case <-x.socket:
	default:
		return true
	}
	return false
}

func claim(t *testing.T, token, name string) string {
	t.Helper()
	_, claims, _ := parts(t, token)
	value, _ := claims[name].(string)
	if value == "" {
		t.Fatalf("the token has no %s: %v", name, claims)
	}
	return value
}

func header(t *testing.T, token, name string) string {
	t.Helper()
	head, _, _ := parts(t, token)
	value, _ := head[name].(string)
	return value
}
