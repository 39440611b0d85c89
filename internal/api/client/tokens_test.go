package client_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/api/client"
	"gatehouse/internal/fault"
)

const issuer = "https://auth.example.com"

// issuerServer is an authorization server without a network: requests go
// straight into its handler, so that its hours can pass in a moment.
type issuerServer struct {
	mu       sync.Mutex
	approved time.Time // when somebody confirms the device code
	refused  bool
	away     bool
	current  string // the refresh token that counts
	asked    []string
	polls    int
}

func (s *issuerServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, fmt.Errorf("no route to host")
	}
	w := httptest.NewRecorder()
	s.answer(w, r)
	return w.Result(), nil
}

func (s *issuerServer) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"%[1]s/token","device_authorization_endpoint":"%[1]s/device/code","revocation_endpoint":"%[1]s/revoke"}`, issuer)
	case "/device/code":
		s.asked = append(s.asked, r.FormValue("client_id")+" "+r.FormValue("scope")+" "+r.FormValue("resource"))
		_, _ = w.Write([]byte(`{"device_code":"dc","user_code":"BCDF-GHJK","verification_uri":"` + issuer + `/device","verification_uri_complete":"` + issuer + `/device?user_code=BCDF-GHJK","expires_in":600,"interval":5}`))
	case "/revoke":
		s.asked = append(s.asked, "revoke "+r.FormValue("token"))
	case "/token":
		s.token(w, r)
	}
}

func (s *issuerServer) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"error":%q}`, code)
	}
	if r.FormValue("grant_type") == "refresh_token" {
		if r.FormValue("refresh_token") != s.current {
			refuse("invalid_grant")
			return
		}
	} else {
		s.polls++
		switch {
		case s.refused:
			refuse("access_denied")
			return
		case s.polls == 1:
			refuse("slow_down")
			return
		case time.Now().Before(s.approved):
			refuse("authorization_pending")
			return
		}
	}
	s.current += "'"
	_, _ = fmt.Fprintf(w, `{"access_token":"for %s","refresh_token":%[1]q,"token_type":"Bearer","expires_in":1800,"scope":"admin user"}`, s.current)
}

func keeper(t *testing.T, s *issuerServer, start client.Pair) *client.Keeper {
	t.Helper()
	return &client.Keeper{
		File: client.Credentials{Path: filepath.Join(t.TempDir(), "sub", "credentials.json")},
		Slot: client.Slot{Profile: "default", URL: issuer}, Start: start, URL: issuer, Transport: s,
	}
}

func due(refresh string) client.Pair {
	return client.Pair{Access: "old", Refresh: refresh, Expires: time.Now().Add(30 * time.Second), Issuer: issuer, ClientID: "c"}
}

func TestParallelInvocationsRenewOnce(t *testing.T) {
	s := &issuerServer{current: "r"}
	k := keeper(t, s, due("r"))
	tokens := make([]string, 16)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			own := *k // as another process: only the file is shared
			var err error
			if tokens[i], err = own.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, token := range tokens {
		if token != "for r'" {
			t.Fatalf("tokens %v: renewed more than once", tokens)
		}
	}
}

func TestAPairFromTheEnvironmentIsKeptUnderItsHash(t *testing.T) {
	s := &issuerServer{current: "r"}
	exp := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iss":%q,"client_id":"c","exp":%d,"scope":"user"}`, issuer, time.Now().Add(-time.Hour).Unix()))
	start := client.Given("h."+exp+".s", "r")
	if start.Issuer != issuer || start.ClientID != "c" || !start.Expired(time.Now()) {
		t.Fatalf("%+v", start)
	}
	k := keeper(t, s, start)
	k.Slot = client.Slot{Hash: client.HashPair(start.Access, start.Refresh)}
	for range 2 { // the second finds what the first kept
		if token, err := k.Token(t.Context()); err != nil || token != "for r'" {
			t.Fatalf("%q, %v", token, err)
		}
	}
	body, err := os.ReadFile(k.File.Path)
	if err != nil || strings.Contains(string(body), start.Access) || !strings.Contains(string(body), k.Slot.Hash) {
		t.Fatalf("%s, %v", body, err)
	}
}

func TestCredentialsAreTheOwnersAlone(t *testing.T) {
	k := keeper(t, &issuerServer{current: "r"}, due("r"))
	if _, err := k.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{k.File.Path: 0o600, filepath.Dir(k.File.Path): 0o700, k.File.Path + ".lock": 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if err := os.Chmod(k.File.Path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Token(t.Context()); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatalf("others may read the file: %v", err)
	}
}

func TestAnEndedSignInIsSaid(t *testing.T) {
	k := keeper(t, &issuerServer{current: "another"}, due("r"))
	if _, err := k.Token(t.Context()); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "oauth login") {
		t.Fatal(err)
	}
}

func TestAGoodTokenIsUsedWhileTheServerIsAway(t *testing.T) {
	s := &issuerServer{away: true}
	k := keeper(t, s, due("r"))
	if token, err := k.Token(t.Context()); err != nil || token != "old" {
		t.Fatalf("%q, %v", token, err)
	}
	k.Start.Expires = time.Now().Add(-time.Second)
	if _, err := k.Token(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
}

func TestARefreshTokenGoesToItsIssuerOnly(t *testing.T) {
	s := &issuerServer{current: "r"}
	p := due("r")
	p.Issuer, p.Expires = "https://auth.other.example", time.Now().Add(-time.Hour)
	if _, err := keeper(t, s, p).Token(t.Context()); !fault.Is(err, fault.Unauthenticated) {
		t.Fatalf("a pair of another issuer was renewed here: %v", err)
	}
	if s.current != "r" {
		t.Fatal("the token endpoint was asked")
	}
}

func TestChangesOfTheFileThatFailLeaveItAlone(t *testing.T) {
	c := client.Credentials{Path: filepath.Join(t.TempDir(), "credentials.json")}
	slot := client.Slot{Profile: "p", URL: "u"}
	if err := c.Change(t.Context(), func(b *client.Book) error { slot.Put(b, client.Pair{Access: "a"}); return nil }); err != nil {
		t.Fatal(err)
	}
	refused := fault.New(fault.Denied, "no")
	if err := c.Change(t.Context(), func(b *client.Book) error { slot.Delete(b); return refused }); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	b, err := c.Read()
	if p, ok := slot.Get(b); err != nil || !ok || p.Access != "a" {
		t.Fatalf("%+v, %v", b, err)
	}
	if err := c.Change(t.Context(), func(b *client.Book) error { slot.Delete(b); return nil }); err != nil {
		t.Fatal(err)
	}
	if b, err = c.Read(); err != nil || len(b.Profiles) != 0 {
		t.Fatalf("%+v, %v", b, err)
	}
}

func TestDeviceFlowWaitsForThePerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &issuerServer{approved: time.Now().Add(40 * time.Second)}
		meta, err := client.Discover(t.Context(), s, issuer)
		if err != nil {
			t.Fatal(err)
		}
		var shown client.Prompt
		in := client.SignIn{Transport: s, Server: meta, Resource: "https://auth.example.com/mcp", Scopes: []string{"admin", "user"}, Show: func(p client.Prompt) { shown = p }}
		p, err := in.Run(t.Context())
		if err != nil || p.Access == "" || p.Refresh == "" || p.Scope != "admin user" || p.Issuer != issuer || p.ClientID != client.DeviceClient {
			t.Fatalf("%+v, %v", p, err)
		}
		if shown.Code != "BCDF-GHJK" || shown.URL != issuer+"/device" || shown.Full == "" {
			t.Fatalf("shown: %+v", shown)
		}
		if len(s.asked) != 1 || s.asked[0] != "device_flow_client admin user https://auth.example.com/mcp" {
			t.Fatalf("asked: %q", s.asked)
		}
		if s.polls > 5 { // 5 s, then 10 s after slow_down
			t.Fatalf("%d polls in 40 s: slow_down was not heard", s.polls)
		}
		if err := meta.Revoke(t.Context(), s, p); err != nil || s.asked[1] != "revoke "+p.Refresh {
			t.Fatalf("%v, %q", err, s.asked)
		}
	})
}

func TestDeviceFlowThatIsRefusedOrForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &issuerServer{refused: true}
		meta, err := client.Discover(t.Context(), s, issuer)
		if err != nil {
			t.Fatal(err)
		}
		in := client.SignIn{Transport: s, Server: meta, Show: func(client.Prompt) {}}
		if _, err := in.Run(t.Context()); !fault.Is(err, fault.Denied) {
			t.Fatalf("refused: %v", err)
		}
		s.refused, s.approved = false, time.Now().Add(time.Hour)
		if _, err := in.Run(t.Context()); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "in time") {
			t.Fatalf("forgotten: %v", err)
		}
	})
}

func TestMetadataThatCantBeTrusted(t *testing.T) {
	for name, tt := range map[string]struct{ asked, answer string }{
		"another issuer":     {"https://a.example", `{"issuer":"https://b.example","token_endpoint":"https://b.example/token"}`},
		"endpoint elsewhere": {"https://a.example", `{"issuer":"https://a.example","token_endpoint":"https://b.example/token"}`},
		"lookalike":          {"https://a.example", `{"issuer":"https://a.example","token_endpoint":"https://a.example.b.example/token"}`},
		"in clear":           {"http://a.example", `{"issuer":"http://a.example","device_authorization_endpoint":"http://a.example/device/code"}`},
	} {
		answer := roundTrip(func(*http.Request) *http.Response {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.WriteString(tt.answer)
			return w.Result()
		})
		if _, err := client.Discover(t.Context(), answer, tt.asked); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// TestAnAPIMayNameACentralIssuer: what the API says of an issuer elsewhere counts
// when its resource names it too, and that issuer says the same of itself.
func TestAnAPIMayNameACentralIssuer(t *testing.T) {
	pages := map[string]string{
		"https://api.example.com/.well-known/oauth-authorization-server":   `{"issuer":"https://auth.example.com","token_endpoint":"https://evil.example/token"}`,
		"https://api.example.com/.well-known/oauth-protected-resource":     `{"resource":"https://api.example.com/mcp","authorization_servers":["https://auth.example.com"]}`,
		"https://auth.example.com/.well-known/oauth-authorization-server":  `{"issuer":"https://auth.example.com","token_endpoint":"https://auth.example.com/token"}`,
		"https://other.example.com/.well-known/oauth-authorization-server": `{"issuer":"https://auth.example.com"}`,
		"https://other.example.com/.well-known/oauth-protected-resource":   `{"resource":"https://other.example.com","authorization_servers":["https://other.example.com"]}`,
	}
	answer := roundTrip(func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		if text := pages[r.URL.String()]; text != "" {
			_, _ = w.WriteString(text)
		} else {
			w.WriteHeader(http.StatusNotFound)
		}
		return w.Result()
	})
	m, err := client.Discover(t.Context(), answer, "https://api.example.com")
	if err != nil || m.Issuer != issuer || m.Token != issuer+"/token" {
		t.Errorf("%+v, %v", m, err)
	}
	if got := client.OwnResource(t.Context(), answer, "https://api.example.com"); got != "https://api.example.com/mcp" {
		t.Errorf("the resource is %q", got)
	}
	if m, err := client.Discover(t.Context(), answer, "https://other.example.com"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an issuer that the resource does not name: %+v, %v", m, err)
	}
	if got := client.OwnResource(t.Context(), answer, issuer); got != "" {
		t.Errorf("a resource that nobody named: %q", got)
	}
}

func TestAResourceLeadsToItsOwnIssuer(t *testing.T) {
	answer := roundTrip(func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.String() {
		case "https://app.example.com/.well-known/oauth-protected-resource/mcp":
			_, _ = w.WriteString(`{"resource":"https://app.example.com/mcp","authorization_servers":["https://auth.example.com"]}`)
		case "https://auth.example.com/.well-known/oauth-authorization-server":
			_, _ = w.WriteString(`{"issuer":"https://auth.example.com"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
		return w.Result()
	})
	m, resource, err := client.DiscoverResource(t.Context(), answer, "https://app.example.com/mcp/")
	if err != nil || m.Issuer != issuer || resource != "https://app.example.com/mcp" {
		t.Fatalf("%+v, %q, %v", m, resource, err)
	}
	for _, bad := range []string{"app.example.com", "https://app.example.com/?x=1", "https://u@app.example.com/", "ftp://app.example.com"} {
		if _, _, err := client.DiscoverResource(t.Context(), answer, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
