package oauth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"gatehouse/internal/fault"
)

// listed is a whole entry of clients.json.
type listed struct {
	Name         string          `json:"name"`
	Maker        string          `json:"maker"`
	Callbacks    []string        `json:"callbacks"`
	MetadataURLs []string        `json:"metadata_urls"`
	Document     json.RawMessage `json:"document"`
	Registration json.RawMessage `json:"registration"` // what it sends to a registration endpoint
	Quirks       []string        `json:"quirks"`
	Sources      []string        `json:"sources"`
}

// What programs do that a strict reader would not expect. The server bears with
// each of them, of every client.
const (
	quirkAnyPort        = "loopback_port_free"           // the redirect's port differs from the registered one
	quirkNoState        = "no_state"                     // authorizes without state
	quirkNoResource     = "no_resource"                  // names no resource at all
	quirkRefreshBare    = "refresh_without_resource"     // names the resource when authorizing, not when refreshing
	quirkTwiceResource  = "repeated_resource"            // sends the same resource twice
	quirkMixedRedirects = "private_scheme_among_https"   // registers several redirect URIs, one of a private-use scheme
	quirkForeignGrants  = "unknown_grant_types"          // names grant types that are not offered
	quirkForeignScopes  = "unknown_scopes"               // asks for openid, offline_access and the like beside ours
	quirkEmptyScope     = "empty_scope"                  // registers with an empty scope
	quirkPromptConsent  = "prompt_consent"               // authorizes with prompt=consent
	quirkPathID         = "id_in_redirect_path"          // the redirect's path ends in an id that is drawn for each server
	quirkTokenAudience  = "assertion_for_token_endpoint" // signs assertions for the token endpoint, not the issuer
)

func allQuirks() []string {
	return []string{quirkAnyPort, quirkNoState, quirkNoResource, quirkRefreshBare, quirkTwiceResource, quirkMixedRedirects, quirkForeignGrants,
		quirkForeignScopes, quirkEmptyScope, quirkPromptConsent, quirkPathID, quirkTokenAudience}
}

func (p *listed) has(quirk string) bool { return slices.Contains(p.Quirks, quirk) }

func listedPrograms(t *testing.T) []listed {
	t.Helper()
	var all []listed
	if err := jsonv2.Unmarshal(clientsJSON, &all, jsonv2.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatIsListedOfProgramsIsUsable(t *testing.T) {
	all := listedPrograms(t)
	var quirks []string
	fill := strings.NewReplacer("{port}", "49152", "{id}", "abc_123")
	for _, p := range all {
		if p.Name == "" || p.Maker == "" || len(p.Callbacks) == 0 || len(p.Sources) == 0 || (p.Registration == nil && p.Document == nil) {
			t.Errorf("%s is incomplete", p.Name)
		}
		for _, uri := range p.Callbacks {
			if wrong := checkRedirect(fill.Replace(uri)); wrong != "" {
				t.Errorf("%s: %s %s", p.Name, uri, wrong)
			}
		}
		for _, id := range p.MetadataURLs {
			if wrong := checkClientURL(fill.Replace(id), false); wrong != "" {
				t.Errorf("%s: %s %s", p.Name, id, wrong)
			}
		}
		for _, q := range p.Quirks {
			if quirks = append(quirks, q); !slices.Contains(allQuirks(), q) {
				t.Errorf("%s: nobody tests the quirk %s", p.Name, q)
			}
		}
		if p.Document != nil {
			if c, err := readDocument(p.MetadataURLs[0], p.Document, false); err != nil || c.Name != p.Name {
				t.Errorf("%s: %+v %v", p.Name, c, err)
			}
		}
	}
	if left := without(allQuirks(), quirks); len(left) > 0 || len(all) < 11 {
		t.Errorf("of %d programs none has %v", len(all), left)
	}
}

// flow is one program's way through the server.
type flow struct {
	*rig
	p        listed
	client   string
	secret   string
	redirect string
	keys     *signer
}

// Each program registers, or is known by its URL, as it does in the world; then
// it authorizes, gets tokens and refreshes them, with its quirks.
func TestEveryKnownProgramGetsTokens(t *testing.T) {
	r, w := newWebRig(t)
	keys := newSigner(t, "cimd", "RS256")
	for _, p := range listedPrograms(t) {
		if p.Registration != nil {
			t.Run(p.Name+" registers", func(t *testing.T) {
				r.in(t)
				a := r.ask(http.MethodPost, mcpOrigin+"/register", string(p.Registration))
				var m struct {
					ID        string   `json:"client_id"`
					Secret    string   `json:"client_secret"`
					Redirects []string `json:"redirect_uris"`
				}
				var asked registrationRequest
				if err := json.Unmarshal(p.Registration, &asked); err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal(a.body, &m); err != nil || a.StatusCode != http.StatusCreated || !slices.Equal(m.Redirects, asked.RedirectURIs) {
					t.Fatalf("%d %s %v", a.StatusCode, a.body, err)
				}
				for _, uri := range m.Redirects {
					f := flow{rig: r, p: p, client: m.ID, secret: m.Secret, redirect: uri}
					f.walk(t)
				}
			})
		}
		if p.Document != nil {
			t.Run(p.Name+" by URL", func(t *testing.T) {
				r.in(t)
				id := p.MetadataURLs[0]
				w.fails[id] = fault.New(fault.Invalid, "answered with status 403, not 200")
				c, err := r.client(t.Context(), mcpOrigin, id)
				if err != nil || (p.has(quirkForeignGrants) && len(c.GrantTypes) != 2) {
					t.Fatalf("%+v %v", c, err)
				}
				f := flow{rig: r, p: p, client: id}
				if c.AuthMethod == authKey {
					w.pages[c.JWKSURI] = keySetOf(t, keys)
					f.keys = &keys
				}
				for _, f.redirect = range c.RedirectURIs {
					f.walk(t)
				}
			})
		}
	}
}

func (f *flow) walk(t *testing.T) {
	t.Helper()
	q := f.query()
	redirect := q.Get("redirect_uri")
	a := f.ask(http.MethodGet, mcpOrigin+"/authorize?"+q.Encode(), "")
	location, err := f.Approve(f.pages(), f.handleOf(a), person("alice"), []string{"user", "mcp"})
	if err != nil || !strings.HasPrefix(location, redirect) {
		t.Fatalf("%s: %s %v", redirect, location, err)
	}
	back, err := url.Parse(location)
	if err != nil || back.Query().Has("state") == f.p.has(quirkNoState) || back.Query().Get("iss") != mcpOrigin {
		t.Fatalf("%s: %s %v", redirect, location, err)
	}
	form := codeForm(f.client, back.Query().Get("code"))
	form.Set("redirect_uri", redirect)
	a = f.post(mcpOrigin+"/token", f.prove(t, f.resources(form)))
	if a.StatusCode != http.StatusOK || a.text(t, "scope") != "user mcp" {
		t.Fatalf("%s: %d %s", redirect, a.StatusCode, a.body)
	}
	if v, _ := f.admit(http.MethodPost, mcpOrigin+"/mcp", "Authorization", "Bearer "+a.text(t, "access_token")); v.Principal == nil {
		t.Errorf("%s: %+v", redirect, v)
	}
	form = url.Values{"grant_type": {grantRefresh}, "client_id": {f.client}, "refresh_token": {a.text(t, "refresh_token")}}
	if !f.p.has(quirkRefreshBare) {
		form = f.resources(form)
	}
	if a = f.post(mcpOrigin+"/token", f.prove(t, form)); a.StatusCode != http.StatusOK || a.text(t, "refresh_token") == "" {
		t.Errorf("%s: refresh: %d %s", redirect, a.StatusCode, a.body)
	}
}

// query is the authorization request that the program makes.
func (f *flow) query() url.Values {
	q := authorizeQuery(f.client)
	q.Set("redirect_uri", f.redirect)
	if host, rest, ok := loopback(f.redirect); ok && f.p.has(quirkAnyPort) {
		q.Set("redirect_uri", "http://"+host+":58135"+rest)
	}
	q.Set("scope", "user mcp")
	if f.p.has(quirkForeignScopes) {
		q.Set("scope", "openid user mcp offline_access claudeai")
	}
	if f.p.has(quirkEmptyScope) {
		q.Set("scope", "")
	}
	if f.p.has(quirkNoState) {
		q.Del("state")
	}
	if f.p.has(quirkPromptConsent) {
		q.Set("prompt", "consent")
	}
	return f.resources(q)
}

func (f *flow) resources(form url.Values) url.Values {
	if !f.p.has(quirkNoResource) {
		form.Add("resource", mcpOrigin+"/mcp")
	}
	if f.p.has(quirkTwiceResource) {
		form.Add("resource", mcpOrigin+"/mcp")
	}
	return form
}

func (f *flow) prove(t *testing.T, form url.Values) url.Values {
	t.Helper()
	if f.secret != "" {
		form.Set("client_secret", f.secret)
	}
	if f.keys != nil {
		audience := mcpOrigin
		if f.p.has(quirkTokenAudience) {
			audience += pathToken
		}
		return changed(form, proof(f.client, f.keys.assertion(t, f.client, map[string]any{"aud": audience}, nil)))
	}
	return form
}

func TestProgramsAreNamedByTheirAddressesAlone(t *testing.T) {
	all := knownPrograms()
	registered := &Client{ID: "x", Name: "Claude", Known: knownRegistered}
	for redirect, want := range map[string]string{
		"https://claude.ai/api/mcp/auth_callback": "Claude", "https://claude.com/api/mcp/auth_callback": "Claude", "https://chatgpt.com/connector_platform_oauth_redirect": "ChatGPT",
		"https://chatgpt.com/connector/oauth/AbC-1_": "ChatGPT", "https://vscode.dev/redirect": "Visual Studio Code", "https://www.cursor.com/agents/mcp/oauth/callback": "Cursor",

		"https://claude.ai.evil.example/api/mcp/auth_callback": "", "https://claude.ai/api/mcp/auth_callback/": "", "https://claude.ai/api/mcp/auth_callback?x": "", "https://claude.ai/": "",
		"https://chatgpt.com/connector/oauth/": "", "https://chatgpt.com/connector/oauth/a/b": "", "https://chatgpt.com/connector/oauth/a?b": "", "https://chatgpt.com/connector/oauth/..": "",
		"http://localhost:8787/callback": "", "http://127.0.0.1:33418/": "", "cursor://anysphere.cursor-mcp/oauth/callback": "", "http://claude.ai/api/mcp/auth_callback": "", "": "",
	} {
		if got := all.name(registered, redirect); got != want {
			t.Errorf("%s: %q, want %q", redirect, got, want)
		}
	}
	for id, want := range map[string]string{
		"https://claude.ai/oauth/claude-code-client-metadata": "Claude Code", "https://claude.ai/oauth/mcp-oauth-client-metadata": "Claude", "https://vscode.dev/oauth/client-metadata.json": "Visual Studio Code",
		"https://chatgpt.com/oauth/client.json": "ChatGPT", "https://chatgpt.com/oauth/abc/client.json": "ChatGPT", "https://chatgpt.com/oauth/codex/client.json": "Codex", "https://chatgpt.com/oauth/codex/xyz/client.json": "Codex",
		"https://evil.example/oauth/claude-code-client-metadata": "", "https://claude.ai/oauth/other": "",
	} {
		// The document decides the redirect: one of somebody else's gets no name by it.
		if got := all.name(&Client{ID: id, Known: knownURL}, "https://claude.ai/api/mcp/auth_callback"); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

// mcp-remote looks at the authorization endpoint before it opens a browser, and
// registers anew when its registration is gone.
func TestAProgramLearnsThatItsRegistrationIsGone(t *testing.T) {
	r := newRig(t)
	target := appOrigin + "/authorize?" + authorizeQuery("0123456789012345678901").Encode()
	a := r.ask(http.MethodGet, target, "", "Accept", "application/json")
	a.refused(t, 400, "invalid_client", "client is not registered")
	if a.text(t, "registration_endpoint") != appOrigin+"/register" || a.Header.Get("Location") != "" {
		t.Errorf("%s", a.body)
	}
	for _, accept := range []string{"", "*/*", "text/html,application/xhtml+xml,application/json"} {
		if a := r.ask(http.MethodGet, target, "", "Accept", accept); !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%q: %s", accept, a.body)
		}
	}
	client := r.registered(appOrigin)
	if a := r.ask(http.MethodGet, appOrigin+"/authorize?"+authorizeQuery(client).Encode(), "", "Accept", "application/json"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
