package signin

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// realProvider starts npm's oidc-provider; package test has more of it.
func realProvider(t *testing.T) (issuer string) {
	t.Helper()
	dir, err := filepath.Abs("../../test/npm")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider")); err != nil || missing != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
			t.Fatal("node or oidc-provider is not here and nothing may be skipped (scripts/test installs them)")
		}
		t.Skip("node or oidc-provider is not here (scripts/test installs them)")
	}
	cmd := exec.CommandContext(t.Context(), node, filepath.Join(dir, "oidc-provider.mjs"))
	cmd.Dir = dir
	in, err1 := cmd.StdinPipe() // it ends with its stdin
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var said struct {
		Issuer string `json:"issuer"`
	}
	if err != nil || json.Unmarshal(line, &said) != nil {
		t.Fatalf("the OpenID provider does not start: %q %v", line, err)
	}
	return said.Issuer
}

// TestRealOpenIDProviderIsAskedAgain: what a real provider says of somebody
// changes, and counts at the next refresh after an hour; its own tokens rotate
// meanwhile. An account that is gone there counts for the rest of its day.
func TestRealOpenIDProviderIsAskedAgain(t *testing.T) {
	issuer := realProvider(t)
	var clock later
	h := newHouse(t, byGroup("staff"), clock.setting(), func(_ *house, _ *oauth.Options, o *Options, _ *[]site.Proxy) {
		o.OIDC = OIDCApp{Issuer: issuer, ClientID: "gatehouse", ClientSecret: "a secret of at least 32 characters, for tests", Name: "Example ID"}
	})
	tell := func(accounts map[string]any, redirects ...string) {
		body, err := json.Marshal(map[string]any{"accounts": accounts, "redirect_uris": redirects})
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.Post(issuer+"/configure", "application/json", strings.NewReader(string(body)))
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		_ = res.Body.Close()
	}
	alice := func(groups ...string) map[string]any {
		return map[string]any{"a-1": map[string]any{"email": "alice@example.com", "email_verified": true, "groups": groups}}
	}
	tell(alice("staff"), h.origin("auth.localhost")+"/callback")

	b, client, token := h.connectedBy(func(b *browser) {
		b.press("Continue with Example ID").press("Sign-in", "login", "a-1", "password", "any").press("Continue")
	})
	for range 3 {
		clock.add(2 * time.Hour)
		next, refused := b.refresh(client, token)
		if refused != "" {
			t.Fatalf("refused: %s\n%s", b.body, h.logged.String())
		}
		token = next
	}
	if said := h.logged.String(); strings.Contains(said, "could not be read again") {
		t.Fatalf("the provider was not asked: %s", said)
	}
	tell(alice("others"))
	clock.add(2 * time.Hour)
	if _, refused := b.refresh(client, token); refused == "" {
		t.Error("who left the group is still let in")
	}
	tell(alice("staff"))
	clock.add(2 * time.Hour)
	if next, refused := b.refresh(client, token); refused != "" {
		t.Errorf("who came back to the group is refused: %s", b.body)
	} else {
		token = next
	}
	tell(map[string]any{})
	clock.add(2 * time.Hour)
	token, refused := b.refresh(client, token)
	if refused != "" || !strings.Contains(h.logged.String(), "could not be read again") {
		t.Fatalf("the account is gone at the provider: %s\n%s", b.body, h.logged.String())
	}
	clock.add(23 * time.Hour)
	if _, refused := b.refresh(client, token); refused == "" {
		t.Error("groups count for longer than a day")
	}
}
