package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/test/dnstest"
)

// publisher is a web server where clients publish what they are. It answers with
// a certificate for 127.0.0.1 and example.com.
type publisher struct {
	*httptest.Server
	asked atomic.Int64

	mu    sync.Mutex
	pages map[string]string
	say   http.HandlerFunc // instead of pages
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{pages: map[string]string{}}
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	p.mu.Lock()
	page, ok := p.pages[r.URL.Path]
	say := p.say
	p.mu.Unlock()
	switch {
	case say != nil:
		say(w, r)
	case !ok:
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(page))
	}
}

// publish puts a document at a path and gives its address.
func (p *publisher) publish(t *testing.T, path string, members map[string]any) (address string) {
	t.Helper()
	address = p.URL + path
	if members["keys"] == nil {
		members["client_id"] = address
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[path] = string(text)
	return address
}

// trust is the environment in which the publisher's certificate is trusted.
func (p *publisher) trust(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "publisher.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return "SSL_CERT_FILE=" + file
}

func (p *publisher) port() string {
	_, port, _ := strings.Cut(strings.TrimPrefix(p.URL, "https://"), ":")
	return port
}

// urlClient is a client that never registers.
func (s *server) urlClient(t *testing.T, host, id, redirect string) *oauthClient {
	t.Helper()
	return &oauthClient{t: t, s: s, c: s.stranger().c, issuer: s.url(host, ""), redirect: redirect, verifier: random(), id: id}
}

// TestAClientNeedsNoRegistration is the official Go SDK's client that says who it
// is by the address of its metadata document. It gets in; the person reads that
// address; and once the document is gone its last good copy stands in.
func TestAClientNeedsNoRegistration(t *testing.T) {
	t.Parallel()
	const redirect = "http://127.0.0.1:7777/callback"
	web := newPublisher(t)
	id := web.publish(t, "/oauth/client.json", map[string]any{"client_name": "Published", "redirect_uris": []string{"http://127.0.0.1/callback"},
		"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none", "logo_uri": web.URL + "/logo.png"})
	s := start(t, []string{"CIMD_ALLOW_LOOPBACK=true", web.trust(t)}, "protect", "tools.localhost", "internal:demo", "--mcp", "--allow", "local:alice")
	if said := s.said(); !strings.Contains(said, "CIMD_ALLOW_LOOPBACK") {
		t.Errorf("what is for tests only was not said loudly:\n%s", said)
	}
	p := s.person()
	p.becomeAdmin()
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		ClientIDMetadataDocumentConfig: &auth.ClientIDMetadataDocumentConfig{URL: id},
		RedirectURL:                    redirect, Client: s.trusting(),
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			if page := p.follow(args.URL); !strings.Contains(page.Body, "verified by its address 127.0.0.1:"+web.port()+" ("+id+")") || !strings.Contains(page.Body, "Published") {
				t.Errorf("the person reads:\n%s", page.Body)
			}
			back := p.consent(args.URL)
			return &auth.AuthorizationResult{Code: back.Get("code"), State: back.Get("state"), Iss: back.Get("iss")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: s.url("tools.localhost", "/mcp"), HTTPClient: s.trusting(), OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatalf("the client did not get in: %v", err)
	}
	who, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := who.StructuredContent.(map[string]any); got["client"] != id {
		t.Errorf("the tool was told %v", who.StructuredContent)
	}
	_ = session.Close() // the server may be gone by then
	if n := web.asked.Load(); n != 1 {
		t.Errorf("the publisher was asked %d times", n)
	}
	if list := s.local("oauth", "client", "list"); !strings.Contains(list, id) {
		t.Errorf("not among the clients:\n%s", list)
	}

	web.Close()
	s.stop()
	s.run()
	c := s.urlClient(t, "tools.localhost", id, redirect)
	if got, _ := c.exchange(c.code(p, nil), nil); got.StatusCode != http.StatusOK {
		t.Errorf("with the document gone: %d %s", got.StatusCode, got.Body)
	}
	s.local("oauth", "client", "delete", id, "--force")
	if got := get(t, c.c, c.request(nil)); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Location") != "" {
		t.Errorf("with the copy gone too: %d %s", got.StatusCode, got.Body)
	}
}

// TestAPublishedClientProvesItselfByItsKey: private_key_jwt of a client known by
// its URL, its keys fetched from where the document says.
func TestAPublishedClientProvesItselfByItsKey(t *testing.T) {
	t.Parallel()
	web := newPublisher(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	keys := web.publish(t, "/keys", map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "kid": "1", "x": b64(point[1:33]), "y": b64(point[33:])}}})
	id := web.publish(t, "/client", map[string]any{"redirect_uris": []string{"http://127.0.0.1:9/cb"}, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys})
	s := start(t, []string{"CIMD_ALLOW_LOOPBACK=true", web.trust(t), "OAUTH_USER_USERS=local:alice"}, "protect", "app.localhost", "internal:demo")
	p := s.person()
	p.becomeAdmin()
	c := s.urlClient(t, "app.localhost", id, "http://127.0.0.1:9/cb")
	proof := func() url.Values {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": id, "sub": id, "aud": c.issuer + "/token", "exp": time.Now().Add(time.Minute).Unix(), "jti": random()})
		token.Header["kid"] = "1"
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {text}}
	}
	code := c.code(p, nil)
	if got, _ := c.exchange(code, nil); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Body, "invalid_client") {
		t.Errorf("without a proof: %d %s", got.StatusCode, got.Body)
	}
	used := proof()
	if got, tok := c.exchange(code, used); got.StatusCode != http.StatusOK || tok.Access == "" {
		t.Errorf("with one: %d %s", got.StatusCode, got.Body)
	}
	if got, _ := c.exchange(c.code(p, nil), used); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("with the same again: %d %s", got.StatusCode, got.Body)
	}
	if n := web.asked.Load(); n != 2 {
		t.Errorf("the publisher was asked %d times", n)
	}
}

// TestStrangersCanNotMakeUsAskOurOwnNetwork: whatever a client_id or jwks_uri
// says, and whatever DNS answers, a server on loopback is never asked.
func TestStrangersCanNotMakeUsAskOurOwnNetwork(t *testing.T) {
	t.Parallel()
	inside, dns := newPublisher(t), dnstest.Start(t)
	s := start(t, []string{"RATE_LIMITS=off", "DNS_RESOLVER=" + dns.Address, inside.trust(t)}, "protect", "app.localhost", "internal:demo")
	port := inside.port()
	c := s.urlClient(t, "app.localhost", "", "https://client.test/cb")
	var all sync.WaitGroup
	refused := func(name, id string) {
		all.Go(func() {
			got := get(t, c.c, c.request(url.Values{"client_id": {id}}))
			if got.StatusCode < 400 || got.Header.Get("Location") != "" {
				t.Errorf("%s: %d to %q\n%s", name, got.StatusCode, got.Header.Get("Location"), got.Body)
			}
		})
	}
	for _, host := range []string{"127.0.0.1", "localhost", "app.localhost", "auth.localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0", "[::]",
		"2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "10.0.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fc00::1]", "127.0.0.1.", "example.com@127.0.0.1", "127.0.0.1#.example.com", "127.0.0.1%00.example.com"} {
		for _, scheme := range []string{"https", "http"} {
			refused(scheme+" "+host, scheme+"://"+host+":"+port+"/client.json")
		}
	}
	for name, answers := range map[string][]string{
		"loopback": {"127.0.0.1"}, "loopback6": {"::1"}, "mapped": {"::ffff:127.0.0.1"}, "nat64": {"64:ff9b::7f00:1"}, "both": {"2606:4700::1111 127.0.0.1"}, "changing": {"2606:4700::1111", "127.0.0.1"},
		"private": {"10.0.0.1"}, "metadata": {"169.254.169.254"},
	} {
		dns.Set(name+".example.com", answers...)
		refused(name, "https://"+name+".example.com:"+port+"/client.json")
		refused(name+" again", "https://"+name+".example.com:"+port+"/other.json")
	}
	all.Wait()
	dns.Set("example.com", "127.0.0.1") // the very name in the certificate
	refused("a name that leads inside", "https://example.com:"+port+"/client.json")
	all.Wait()

	got := ask(t, c.c, "POST", c.issuer+"/register", `{"redirect_uris":["https://client.test/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://example.com:`+port+`/keys"}`, "Content-Type: application/json")
	var made struct {
		ID string `json:"client_id"`
	}
	decode(t, got.Body, &made)
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": made.ID, "sub": made.ID, "aud": c.issuer, "exp": time.Now().Add(time.Minute).Unix(), "jti": "1"})
	token.Header["alg"] = "ES256" // so far that the keys are looked for
	text, err := token.SignedString([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	c.id = made.ID
	if got, _ := c.post("/revoke", url.Values{"token": {"x"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {text}}); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Body, "could not be reached") {
		t.Errorf("keys inside: %d %s", got.StatusCode, got.Body)
	}
	if n := inside.asked.Load(); n != 0 {
		t.Errorf("the server inside was asked %d times", n)
	}
}

// TestDocumentsThatAreNone: what comes back is read within bounds or not at all,
// and nothing else that it names is asked.
func TestDocumentsThatAreNone(t *testing.T) {
	t.Parallel()
	web, elsewhere := newPublisher(t), newPublisher(t)
	s := start(t, []string{"CIMD_ALLOW_LOOPBACK=true", "RATE_LIMITS=off", "OAUTH_ALLOWED_CLIENT_DOMAINS=localhost", web.trust(t)}, "protect", "app.localhost", "internal:demo")
	c := s.urlClient(t, "app.localhost", "", "https://client.test/cb")
	plain := httptest.NewServer(web)
	defer plain.Close()
	base := strings.Replace(plain.URL, "127.0.0.1", "localhost", 1)
	document := func(id, members string) string {
		return `{"client_id":"` + id + `","redirect_uris":["https://client.test/cb"]` + members + `}`
	}
	web.say = func(w http.ResponseWriter, r *http.Request) {
		id := base + r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/good":
			_, _ = fmt.Fprint(w, document(id, `,"logo_uri":"`+elsewhere.URL+`","tos_uri":"`+elsewhere.URL+`","policy_uri":"`+elsewhere.URL+`","jwks_uri":"`+elsewhere.URL+`","sector_identifier_uri":"`+elsewhere.URL+`"`))
		case "/redirect":
			http.Redirect(w, r, base+"/good", http.StatusFound)
		case "/away":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/large":
			_, _ = fmt.Fprint(w, document(id, `,"x":"`+strings.Repeat("x", 64<<10)+`"`))
		case "/slow":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/page":
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprint(w, document(id, ""))
		case "/other":
			_, _ = fmt.Fprint(w, document(base+"/good", ""))
		case "/secret":
			_, _ = fmt.Fprint(w, document(id, `,"client_secret":"x"`))
		case "/deep":
			_, _ = fmt.Fprint(w, document(id, `,"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)))
		default:
			http.NotFound(w, r)
		}
	}
	var all sync.WaitGroup
	for path, want := range map[string]string{"/redirect": "302", "/away": "307", "/large": "64 KiB", "/slow": "could not be reached", "/page": "application/json", "/other": "client_id", "/secret": "client_secret", "/deep": "deeply", "/none": "404"} {
		all.Go(func() {
			began := time.Now()
			got := get(t, c.c, c.request(url.Values{"client_id": {base + path}}))
			if got.StatusCode < 400 || got.Header.Get("Location") != "" || !strings.Contains(got.Body, want) || time.Since(began) > 15*time.Second {
				t.Errorf("%s: %d after %v\n%s", path, got.StatusCode, time.Since(began), got.Body)
			}
		})
	}
	all.Wait()
	if got := get(t, c.c, c.request(url.Values{"client_id": {base + "/good"}})); got.StatusCode != http.StatusSeeOther || !strings.Contains(got.Header.Get("Location"), "/consent?") {
		t.Errorf("a good one: %d %s", got.StatusCode, got.Body)
	}
	if got := get(t, c.c, c.request(url.Values{"client_id": {plain.URL + "/good"}})); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, "domain") {
		t.Errorf("of a domain that is not allowed: %d %s", got.StatusCode, got.Body)
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("what documents name was asked %d times", n)
	}
}
