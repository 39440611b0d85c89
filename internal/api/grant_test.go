package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/control"
	"gatehouse/internal/site"
)

// endpoint posts a form to an OAuth endpoint of a host.
func (s *system) endpoint(host, path string, form url.Values) map[string]any {
	s.t.Helper()
	origin := s.origins.Of(host, true)
	v := &site.Visit{RequestID: "req-2", Host: s.roster.World().Find(host), Name: host, Origin: origin, SignIn: s.origins.SignIn(true), Secure: true,
		Path: site.ParsePath(path), Client: netip.MustParseAddr("192.0.2.9")}
	req := httptest.NewRequestWithContext(site.WithVisit(s.t.Context(), v), http.MethodPost, origin+path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	s.oauth.ServeHTTP(rec, req)
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		s.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return got
}

// credentials are those of a new client that may act for itself at app.localhost.
func (s *system) credentials() (id, secret string) {
	s.t.Helper()
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"app.localhost","target_url":"http://127.0.0.1:3000","auth_enabled":true}`))
	c := s.must(201, s.ask("fresh", "POST", "/oauth/clients", `{"client_name":"Reports","proxy_hostname":"app.localhost","scopes":["user"],"token_endpoint_auth_method":"client_secret_post"}`))
	id, _ = c.fields["client_id"].(string)
	secret, _ = c.fields["client_secret"].(string)
	s.must(200, s.ask("admin", "PUT", "/proxies/app.localhost", `{"auth_required_users":["client:`+id+`"],"oauth_user_users":["client:`+id+`"]}`))
	return id, secret
}

func ownToken(id, secret string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
}

func TestAClientsSecretIsShownOnce(t *testing.T) {
	s := start(t)
	id, secret := s.credentials()
	if len(secret) < 40 {
		t.Fatalf("the secret is %q", secret)
	}
	shown := s.must(200, s.ask("admin", "GET", "/oauth/clients/"+id, ""))
	if strings.Contains(shown.body, secret) || shown.fields["scope"] != "user" || shown.fields["created_from"] != nil {
		t.Errorf("%s", shown.body)
	}
	if list := s.must(200, s.ask("admin", "GET", "/oauth/clients", "")); strings.Contains(list.body, secret) {
		t.Error("the list has the secret")
	}
	if s.endpoint("app.localhost", "/token", ownToken(id, secret))["access_token"] == nil {
		t.Error("it is no secret of the client")
	}
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	for _, e := range s.journal.entries {
		if raw, _ := json.Marshal(e); strings.Contains(string(raw), secret) {
			t.Errorf("the log has the secret: %s", raw)
		}
	}
	found := slices.ContainsFunc(s.control.Operations(), func(o *control.Operation) bool { return o.Name == "create_client" && o.Secret })
	if !found {
		t.Error("create_client does not say that it answers a secret")
	}
}

// A stolen token of an administrator makes no lasting credentials: whoever is
// answered a secret has signed in just now.
func TestASecretNeedsAFreshSignIn(t *testing.T) {
	s := start(t)
	s.must(201, s.ask("admin", "POST", "/proxies/", `{"proxy_hostname":"app.localhost","target_url":"http://127.0.0.1:3000","auth_enabled":true}`))
	const body = `{"client_name":"Reports","proxy_hostname":"app.localhost","scopes":["user"]}`
	if got := s.must(403, s.ask("admin", "POST", "/oauth/clients", body)); !strings.Contains(got.body, "sign-in of the last 10 minutes") {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, s.ask("admin", "GET", "/oauth/clients", "")); !strings.Contains(got.body, `"items":[]`) {
		t.Errorf("%s", got.body)
	}
	if e := s.journal.last(); e.Action != "create_client" || e.AuthResult != "denied" {
		t.Errorf("the refusal is not written down: %+v", e)
	}
	key := s.must(201, s.ask("fresh", "POST", "/oauth/clients", `{"client_name":"Signer","proxy_hostname":"app.localhost","scopes":["user"],"token_endpoint_auth_method":"private_key_jwt",
		"jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}`))
	if key.fields["client_secret"] != nil {
		t.Errorf("a client that signs got a secret: %s", key.body)
	}
	for words, bad := range map[string]string{
		"name":           `{"proxy_hostname":"app.localhost","scopes":["user"]}`,
		"proxy_hostname": `{"client_name":"x","scopes":["user"]}`,
		"scopes":         `{"client_name":"x","proxy_hostname":"app.localhost","scopes":["nonsense"]}`,
	} {
		if got := s.must(422, s.ask("fresh", "POST", "/oauth/clients", bad)); !strings.Contains(got.body, words) {
			t.Errorf("%s: %s", bad, got.body)
		}
	}
}

func TestMetricsCountWhatTheAuthorizationServerDid(t *testing.T) {
	s := start(t)
	id, secret := s.credentials()
	for range 3 {
		s.endpoint("app.localhost", "/token", ownToken(id, secret))
	}
	s.endpoint("app.localhost", "/token", ownToken(id, "wrong"))
	s.endpoint("app.localhost", "/register", url.Values{})
	got := s.must(200, s.ask("admin", "GET", "/oauth/metrics?hours=1", ""))
	var m struct {
		TokensIssued  map[string]int `json:"tokens_issued"`
		TokensRefused map[string]int `json:"tokens_refused"`
		Steps         map[string]struct {
			Done    int
			Refused map[string]int
		}
		Active struct{ Clients, Grants, Sessions int }
	}
	if err := json.Unmarshal([]byte(got.body), &m); err != nil {
		t.Fatal(err)
	}
	if m.TokensIssued["client_credentials"] != 3 || m.TokensRefused["client_secret_wrong"] != 1 || m.Steps["register"].Refused["invalid_client_metadata"] != 1 ||
		m.Active.Clients != 1 || m.Active.Grants != 1 {
		t.Errorf("%s", got.body)
	}
	if other := s.must(200, s.ask("admin", "GET", "/oauth/metrics?proxy=other.localhost", "")); !strings.Contains(other.body, `"tokens_issued":{}`) {
		t.Errorf("of another host: %s", other.body)
	}
	s.must(422, s.ask("admin", "GET", "/oauth/metrics?hours=-1", ""))
}

// Whatever can be ended has an operation that ends it at once.
func TestEachKindOfRevocation(t *testing.T) {
	s := start(t)
	id, secret := s.credentials()
	s.people()
	active := func(token string) bool {
		t.Helper()
		body, _ := json.Marshal(map[string]string{"token": token})
		return s.must(200, s.ask("admin", "POST", resourcePath("https://app.localhost")+"/validate-token", string(body))).fields["active"] == true
	}
	for _, kind := range []string{"token", "grant", "client", "user", "proxy"} {
		token, _ := s.endpoint("app.localhost", "/token", ownToken(id, secret))["access_token"].(string)
		if !active(token) {
			t.Fatalf("before %s", kind)
		}
		body, _ := json.Marshal(map[string]string{"token": token})
		known := s.must(200, s.ask("admin", "POST", resourcePath("https://app.localhost")+"/validate-token", string(body))).fields
		name := map[string]string{"token": known["token_id"].(string), "grant": known["grant_id"].(string), "client": id, "user": "client:" + id, "proxy": "app.localhost"}[kind]
		s.must(200, s.ask("admin", "DELETE", "/tokens/"+url.PathEscape(name)+"?kind="+kind, ""))
		if active(token) {
			t.Errorf("%s: the token still counts", kind)
		}
		if e := s.journal.last(); e.Action != "revoke_token" || e.Object == "" || e.Status != 200 {
			t.Errorf("%s: %+v", kind, e)
		}
	}
	s.must(200, s.ask("admin", "DELETE", "/tokens/s-ann?kind=session", ""))
	s.must(200, s.ask("admin", "DELETE", "/tokens/LOCAL:bob?kind=user", ""))
	if got := s.must(200, s.ask("admin", "GET", "/oauth/sessions", "")); strings.Contains(got.body, "local:") {
		t.Errorf("sessions that were ended: %s", got.body)
	}
	if got := s.must(200, s.ask("admin", "GET", "/tokens/", "")); strings.Contains(got.body, "g-bob") || !strings.Contains(got.body, "g-ann") || !strings.Contains(got.body, "branch_uses") {
		t.Errorf("grants: %s", got.body)
	}
	for kind, status := range map[string]int{"grant": 404, "client": 404, "user": 404, "session": 404, "proxy": 404, "all": 422} {
		s.must(status, s.ask("admin", "DELETE", "/tokens/nobody.example?kind="+kind, ""))
	}
}
