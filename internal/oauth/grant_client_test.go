package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// machine is a client that an administrator made, for app's issuer.
type machine struct {
	*rig
	id, secret string
}

func (r *rig) machine(scopes string, more ...func(*NewClient)) machine {
	r.t.Helper()
	if strings.Contains(scopes, "reports") {
		r.change("app.example.com", func(p *site.Proxy) { p.ResourceScopes = []string{"admin", "user", "mcp", "reports"} })
	}
	n := NewClient{Name: "Reports", Host: "app.example.com", Scopes: strings.Fields(scopes)}
	for _, set := range more {
		set(&n)
	}
	c, secret, err := r.CreateClient(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	return machine{r, c.ID, secret}
}

// listed lets the client in at app, with the scopes user and reports.
func (m machine) listed() machine {
	m.change("app.example.com", func(p *site.Proxy) {
		p.AuthRequiredUsers = append(slices.Clone(p.AuthRequiredUsers), "client:"+m.id)
		p.OAuthUserUsers = append(slices.Clone(p.OAuthUserUsers), "client:"+m.id)
	})
	return m
}

func (m machine) ask(scope string, more ...string) answer {
	m.t.Helper()
	f := url.Values{"grant_type": {grantClient}}
	if scope != "" {
		f.Set("scope", scope)
	}
	for i := 0; i < len(more); i += 2 {
		f.Add(more[i], more[i+1])
	}
	return m.post(appOrigin+"/token", f, "Authorization", "Basic "+basicOf(m.id, m.secret))
}

func (m machine) token(scope string) string {
	m.t.Helper()
	a := m.ask(scope)
	if a.StatusCode != http.StatusOK {
		m.t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return a.text(m.t, "access_token")
}

func (r *rig) opens(token string) string {
	r.t.Helper()
	v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+token)
	return v.Reason
}

func TestAClientActsForItselfWhereAListNamesIt(t *testing.T) {
	r := newRig(t)
	m := r.machine("user mcp reports").listed()
	a := m.ask("")
	got := a.json(t)
	if a.StatusCode != http.StatusOK || got["scope"] != "user reports" || got["refresh_token"] != nil || got["token_type"] != "Bearer" || got["expires_in"] != float64(1800) {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+a.text(t, "access_token"))
	p := v.Principal
	if v.Outcome != site.Allow || p.Subject != "client:"+m.id || p.User != "client:"+m.id || p.ClientID != m.id || !slices.Equal(p.Scopes, []string{"user", "reports"}) || !p.AuthTime.IsZero() {
		t.Errorf("%s %+v", v.Reason, p)
	}
	if a := m.ask("user"); a.text(t, "scope") != "user" {
		t.Errorf("fewer: %s", a.body)
	}
	m.ask("admin").refused(t, 400, "invalid_scope", "administrator gave")
	m.ask("mcp").refused(t, 400, "invalid_scope", "no list")
	m.ask("nonsense").refused(t, 400, "invalid_scope", "")
	m.ask("", "resource", mcpOrigin+"/mcp").refused(t, 400, "invalid_target", "")
	if a := m.ask("", "resource", appOrigin+"/"); a.StatusCode != http.StatusOK {
		t.Errorf("its resource by name: %s", a.body)
	}
	if grants, err := r.Grants(t.Context(), "client:"+m.id); err != nil || len(grants) != 1 {
		t.Errorf("%d grants, %v: one for all its tokens is wanted", len(grants), err)
	}
	r.change("app.example.com", func(p *site.Proxy) { p.OAuthUserUsers = nil })
	if v, _ := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+a.text(t, "access_token")); slices.Contains(v.Principal.Scopes, "user") {
		t.Errorf("the list that gave user is gone, the token has %v", v.Principal.Scopes)
	}
}

func TestAnyoneIsNeverAClient(t *testing.T) {
	r := newRig(t)
	m := r.machine("user mcp")
	r.change("app.example.com", func(p *site.Proxy) {
		p.AuthRequiredUsers, p.OAuthUserUsers, p.OAuthMCPUsers = []string{anyone}, []string{anyone}, []string{anyone}
		p.AuthRequiredEmails = []string{"*@*"}
	})
	m.ask("user").refused(t, 400, "unauthorized_client", "client:"+m.id)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = []string{"client:" + m.id} })
	m.ask("user").refused(t, 400, "invalid_scope", "no list")
	r.change("app.example.com", func(p *site.Proxy) { p.OAuthUserUsers = []string{"client:" + m.id} })
	token := m.token("user")
	r.change("app.example.com", func(p *site.Proxy) { p.AuthRequiredUsers = []string{anyone} })
	if got := r.opens(token); got != reasonNotListed {
		t.Errorf("with * alone: %s", got)
	}
	if reasons := r.log.reasons(); !slices.Contains(reasons, reasonNotListed) {
		t.Errorf("the log says %v", reasons)
	}
}

func TestOnlyAdministratorsMakeClientsThatActForThemselves(t *testing.T) {
	r := newRig(t)
	a := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"],"grant_types":["authorization_code","client_credentials"],"scope":"user"}`)
	m := a.json(t)
	if a.StatusCode != http.StatusCreated || strings.Contains(mustJSON(t, m["grant_types"]), grantClient) {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	machine{r, m["client_id"].(string), m["client_secret"].(string)}.ask("user").refused(t, 400, "unauthorized_client", "")
	r.ask(http.MethodPost, appOrigin+"/register", `{"grant_types":["client_credentials"]}`).refused(t, 400, "invalid_client_metadata", "grant_types")
	// A record that says so without an administrator behind it is not believed.
	row, err := r.clients.Get(t.Context(), m["client_id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	row.Value.GrantTypes = append(row.Value.GrantTypes, grantClient)
	if _, err := r.clients.Put(t.Context(), row.Name, row.Value, 0); err != nil {
		t.Fatal(err)
	}
	machine{r, m["client_id"].(string), m["client_secret"].(string)}.ask("user").refused(t, 400, "unauthorized_client", "administrator")
	own := r.machine("user")
	own.secret = "wrong"
	own.listed().ask("").refused(t, 401, "invalid_client", "secret")
}

func TestAHostMayNotOfferClientCredentials(t *testing.T) {
	r := newRig(t)
	m := r.machine("user").listed()
	r.change("app.example.com", func(p *site.Proxy) { p.OAuthServerGrantTypes = []string{grantCode, grantRefresh} })
	m.ask("").refused(t, 400, "unsupported_grant_type", "")
	if got := r.ask(http.MethodGet, appOrigin+"/.well-known/oauth-authorization-server", ""); strings.Contains(string(got.body), grantClient) {
		t.Errorf("%s", got.body)
	}
	if _, _, err := r.CreateClient(t.Context(), NewClient{Name: "x", Host: "app.example.com", Scopes: []string{"user"}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a client that could do nothing: %v", err)
	}
}

func TestEndingAClientsGrantEndsItsTokens(t *testing.T) {
	for name, end := range map[string]func(m machine, grant string) error{
		"grant":   func(m machine, grant string) error { return m.EndGrant(m.t.Context(), grant) },
		"client":  func(m machine, _ string) error { return m.Revoke(m.t.Context(), RevokeClient, m.id) },
		"subject": func(m machine, _ string) error { return m.Revoke(m.t.Context(), RevokeUser, "client:"+m.id) },
		"host":    func(m machine, _ string) error { return m.Revoke(m.t.Context(), RevokeProxy, "app.example.com") },
		"removal": func(m machine, _ string) error { return m.DeleteClient(m.t.Context(), m.id) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			m := r.machine("user").listed()
			first, second := m.token("user"), m.token("user")
			grants, err := r.Grants(t.Context(), "client:"+m.id)
			if err != nil || len(grants) != 1 {
				t.Fatal(grants, err)
			}
			verdict, visit := r.admit(http.MethodGet, appOrigin+"/", "Authorization", "Bearer "+first)
			if verdict.Outcome != site.Allow || !r.Still(visit) {
				t.Fatal(verdict.Reason)
			}
			if err := end(m, grants[0].ID); err != nil {
				t.Fatal(err)
			}
			if r.opens(first) != "token_revoked" || r.opens(second) != "token_revoked" || r.Still(visit) {
				t.Errorf("%s, %s, a stream goes on: %v", r.opens(first), r.opens(second), r.Still(visit))
			}
			if name == "removal" {
				m.ask("").refused(t, 401, "invalid_client", "")
			} else if r.opens(m.token("user")) != "allowed" {
				t.Error("the client can't begin anew")
			}
		})
	}
}

func TestAClientThatAnAdministratorMadeLivesUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.ClientLifetime = 24 * time.Hour })
		m := r.machine("user").listed()
		m.token("user")
		time.Sleep(100 * 24 * time.Hour)
		if got := r.opens(m.token("user")); got != "allowed" {
			t.Error(got)
		}
		if grants, err := r.Grants(t.Context(), ""); err != nil || len(grants) != 1 {
			t.Errorf("the grant of a hundred days ago is still listed: %v %v", grants, err)
		}
	})
}

func TestWhatAnAdministratorMayMakeAClientOf(t *testing.T) {
	r := newRig(t)
	r.change("app.example.com", func(p *site.Proxy) { p.AuthProxy = "mcp.example.com" })
	r.change("open.example.com", func(p *site.Proxy) { p.AuthEnabled = false })
	good := NewClient{Name: "Reports", Host: "mcp.example.com", Scopes: []string{"user"}}
	for field, edit := range map[string]func(*NewClient){
		"name":                       func(n *NewClient) { n.Name = "" },
		"name ":                      func(n *NewClient) { n.Name = "a\u202eb" },
		"proxy_hostname":             func(n *NewClient) { n.Host = "open.example.com" },
		"proxy_hostname ":            func(n *NewClient) { n.Host = "nobody.example.com" },
		"proxy_hostname  ":           func(n *NewClient) { n.Host = "" },
		"proxy_hostname   ":          func(n *NewClient) { n.Issuer = mcpOrigin },
		"issuer":                     func(n *NewClient) { n.Host, n.Issuer = "", mcpOrigin+"/" },
		"issuer ":                    func(n *NewClient) { n.Host, n.Issuer = "", "https://mcp.example.com:8443" },
		"token_endpoint_auth_method": func(n *NewClient) { n.AuthMethod = authNone },
		"grant_types":                func(n *NewClient) { n.GrantTypes = []string{"password"} },
		"grant_types ":               func(n *NewClient) { n.GrantTypes = []string{grantRefresh} },
		"scopes":                     func(n *NewClient) { n.Scopes = nil },
		"scopes ":                    func(n *NewClient) { n.Scopes = []string{"reports"} },
		"redirect_uris":              func(n *NewClient) { n.RedirectURIs = []string{"https://client.example/cb"} },
		"redirect_uris ":             func(n *NewClient) { n.GrantTypes = []string{grantClient, grantCode} },
		"redirect_uris  ": func(n *NewClient) {
			n.GrantTypes, n.RedirectURIs = []string{grantClient, grantCode}, []string{"http://x.example/"}
		},
	} {
		n := good
		edit(&n)
		_, _, err := r.CreateClient(t.Context(), n)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), strings.TrimSpace(field)) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if all, err := r.Clients(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("refusals left %v %v", all, err)
	}
	viaProxy := good
	viaProxy.Host = "app.example.com"
	c, secret, err := r.CreateClient(t.Context(), viaProxy)
	if err != nil || c.Issuer != mcpOrigin || secret == "" || c.SecretHash != "" {
		t.Errorf("of a host with auth_proxy: %+v %v", c, err)
	}
	r.ask(http.MethodGet, mcpOrigin+"/register/"+c.ID, "", "Authorization", "Bearer ").refused(t, 401, "invalid_token", "")
}

// A client that an administrator made may prove itself by a key: then there is no
// secret that could leak.
func TestAClientThatSignsActsForItself(t *testing.T) {
	r := newRig(t)
	key, other := newSigner(t, "k1", "ES256"), newSigner(t, "k1", "ES256")
	n := NewClient{Name: "Reports", Host: "app.example.com", Scopes: []string{"user"}, AuthMethod: authKey, JWKS: []byte(keySetOf(t, key))}
	c, secret, err := r.CreateClient(t.Context(), n)
	if err != nil || secret != "" {
		t.Fatalf("%q %v", secret, err)
	}
	machine{r, c.ID, ""}.listed()
	ask := func(assertion string) answer {
		f := proof(c.ID, assertion)
		f.Set("grant_type", grantClient)
		return r.post(appOrigin+"/token", f)
	}
	a := ask(key.assertion(t, c.ID, nil, nil))
	if a.StatusCode != http.StatusOK || r.opens(a.text(t, "access_token")) != "allowed" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	ask(other.assertion(t, c.ID, nil, nil)).refused(t, 401, "invalid_client", "")
	machine{r, c.ID, "x"}.ask("").refused(t, 401, "invalid_client", "")
	for name, edit := range map[string]func(*NewClient){
		"no key": func(n *NewClient) { n.JWKS = nil }, "two kinds of keys": func(n *NewClient) { n.JWKSURI = "https://client.example/jwks" },
		"no keys": func(n *NewClient) { n.JWKS = []byte(`{"keys":[]}`) }, "keys for a secret": func(n *NewClient) { n.AuthMethod = authPost },
		"keys by http": func(n *NewClient) { n.JWKS, n.JWKSURI = nil, "http://client.example/jwks" },
	} {
		bad := n
		edit(&bad)
		if _, _, err := r.CreateClient(t.Context(), bad); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "jwks") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
