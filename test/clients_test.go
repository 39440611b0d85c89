package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestRealClients are programs and libraries that people use, each told nothing
// but the URL of a protected MCP server: it finds its way in, calls, calls again
// when its token has expired, and ends when the person is denied.
func TestRealClients(t *testing.T) {
	t.Parallel()
	o := newOffice(t, []string{shortLife}, "gosdk", "gooauth", "sdk", "openid", "remote", "inspector")
	for _, c := range []struct {
		name string
		run  func(*testing.T, *office)
	}{
		{"Go SDK", goSDK}, {"golang.org/x/oauth2", goOAuth2}, {"golang.org/x/oauth2 device", goDevice},
		{"TypeScript SDK", typescriptSDK}, {"openid-client", openidClient}, {"mcp-remote", mcpRemote}, {"Inspector", inspector},
	} {
		t.Run(c.name, func(t *testing.T) { o.as(t, func() { c.run(t, o) }) })
	}
}

// typescriptSDK reads the resource's metadata where the challenge says, then the
// server's under oauth-authorization-server, both again at each refresh. It sends
// state because its provider makes one, and resource with every request. When it
// is told invalid_client it registers again, when it is told invalid_grant it has
// the person sign in again: once.
func typescriptSDK(t *testing.T, o *office) {
	d := o.desktop()
	p := d.run("sdk.mjs", o.mcp("sdk"))
	o.alice.lets(p.browser())
	p.reaches("called again")
	p.knows("called")
	p.knows("called again")
	if o.refreshes("sdk") == 0 {
		t.Error("the log has no refresh")
	}

	forgotten, _ := p.step("called")["client"].(string)
	o.local("oauth", "client", "delete", forgotten, "--force")
	p.learns("its registration")
	o.alice.lets(p.browser())
	p.reaches("called after its registration")
	p.knows("called after its registration")
	if anew := p.step("called after its registration")["client"]; anew == forgotten || p.step("invalidated")["which"] != "all" {
		t.Errorf("the client did not register again: %v\n%s", anew, p.printed())
	}

	o.local("proxy", "update", "sdk.localhost", "--set", `auth_required_users=["local:carol"]`)
	p.learns("the lists")
	o.alice.returns(o.alice.refuses(p.browser(), http.StatusForbidden))
	if code := p.end(); code == 0 || p.step("failed")["error"] != "access_denied" || d.times() != 3 {
		t.Errorf("no longer listed: exit %d after opening the browser %d times\n%s", code, d.times(), p.printed())
	}
	o.local("proxy", "update", "sdk.localhost", "--set", `auth_required_users=["local:alice"]`)
	o.denied(t, func(d *desktop) *program { return d.run("sdk.mjs", o.mcp("sdk")) })
}

// learns tells our script what has changed at the server.
func (p *program) learns(change string) {
	p.t.Helper()
	if _, err := p.stdin.Write([]byte(change + "\n")); err != nil {
		p.t.Fatal(err)
	}
}

// reaches waits until the client has printed a step.
func (p *program) reaches(step string) {
	p.t.Helper()
	p.d.o.await(30*time.Second, step, func() bool { return strings.Contains(p.stdout.String(), `"`+step+`"`) || p.ended() })
}

// openidClient sends no state, since it has PKCE, and no resource when it
// refreshes. Its Basic credentials are form-encoded, as RFC 6749 wants it.
func openidClient(t *testing.T, o *office) {
	for _, way := range []string{"none", "client_secret_basic"} {
		before := o.refreshes("openid")
		p := o.desktop().run("openid.mjs", o.mcp("openid"), way)
		o.alice.lets(p.browser())
		p.works()
		p.knows("called")
		p.knows("called again")
		if o.refreshes("openid") == before {
			t.Errorf("%s: the log has no refresh", way)
		}
		if got := p.step("revoked")["error"]; got != "invalid_grant" {
			t.Errorf("%s: a revoked refresh token: %v", way, got)
		}
		if way == "none" {
			if got := p.step("expired")["challenge"]; got != "invalid_token" {
				t.Errorf("an expired token: %v", got)
			}
		} else if got := p.step("introspected")["active"]; got != true {
			t.Errorf("%s: introspection: active %v", way, got)
		}
	}
	o.denied(t, func(d *desktop) *program { return d.run("openid.mjs", o.mcp("openid"), "none") })
}

// mcpRemote stands between a client that speaks over pipes, here the Go SDK's,
// and the server. It begins with GET /mcp; registers http://localhost with a port
// that it makes from the URL; refreshes a minute before expiry, so here before
// each request, repeating the scope. When it is told invalid_client it registers
// again. (With a kept registration that was deleted here and no token beside it, it
// asks /authorize for JSON first. Told invalid_client it registers, and then waits
// for its own first attempt.)
func mcpRemote(t *testing.T, o *office) {
	d := o.desktop()
	session, p := d.throughRemote(t)
	client := callsAs(t, session)
	if again := callsAs(t, session); again != client || o.refreshes("remote") == 0 || d.times() != 1 {
		t.Errorf("%d refreshes in the log, the browser opened %d times\n%s", o.refreshes("remote"), d.times(), p.printed())
	}
	session.Close()
	o.local("oauth", "client", "delete", client, "--force")
	session, p = d.throughRemote(t)
	if again := callsAs(t, session); again == client {
		t.Errorf("the client did not register again\n%s", p.printed())
	}
	session.Close()
	o.denied(t, func(d *desktop) *program {
		p := d.run(mcpRemoteScript, o.mcp("remote"))
		p.waits = mcpRemoteWaits
		return p
	})
}

// throughRemote connects through mcp-remote, which alice lets in.
func (d *desktop) throughRemote(t *testing.T) (*mcp.ClientSession, *program) {
	t.Helper()
	p := &program{command: &command{t: t, done: make(chan struct{})}, d: d, waits: mcpRemoteWaits}
	cmd := d.node(mcpRemoteScript, d.o.mcp("remote"))
	cmd.Stderr = &p.stderr
	type result struct {
		session *mcp.ClientSession
		err     error
	}
	connected := make(chan result, 1)
	go func() {
		s, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
		connected <- result{s, err}
	}()
	d.o.alice.lets(p.browser())
	got := <-connected
	if got.err != nil {
		t.Fatalf("%v\n%s", got.err, p.printed())
	}
	t.Cleanup(func() { got.session.Close() })
	return got.session, p
}

// callsAs calls a tool, which has to know alice, and gives the client's id.
func callsAs(t *testing.T, session *mcp.ClientSession) string {
	t.Helper()
	who, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatal(err)
	}
	told, _ := who.StructuredContent.(map[string]any)
	client, _ := told["client"].(string)
	if told["user"] != "local:alice" || client == "" {
		t.Errorf("the tool was told %v", who.StructuredContent)
	}
	return client
}

// mcpRemote opens the browser a moment before it listens, and does not hear an
// error that comes back in between.
const mcpRemoteWaits = "Waiting for authorization"

const (
	mcpRemoteScript = "node_modules/mcp-remote/dist/proxy.js"
	inspectorScript = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
)

// inspects is one call by the Inspector's command line, which ends after it.
func (d *desktop) inspects(host string, args ...string) *exec.Cmd {
	cmd := d.node(inspectorScript, append([]string{"--cli", d.o.mcp(host), "--transport", "http", "--method", "tools/call", "--tool-name", "whoami",
		"--format", "json", "--callback-url", "http://127.0.0.1:0/oauth/callback"}, args...)...)
	cmd.Env = append(cmd.Env, "MCP_AUTO_OPEN_ENABLED=true", "MCP_INSPECTOR_SECRET_STORE=file") // without a terminal, without a keychain
	return cmd
}

var accessToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)

// inspector keeps client and tokens from run to run, the redirect URI with
// another port each time: the next run refreshes, and opens no browser.
func inspector(t *testing.T, o *office) {
	d := o.desktop()
	p := d.start(d.inspects("inspector"))
	o.alice.lets(p.browser())
	p.works()
	if !strings.Contains(p.stdout.String(), `"user":"local:alice"`) {
		t.Errorf("the tool was told %s", p.printed())
	}
	kept, err := os.ReadFile(filepath.Join(d.home, ".mcp-inspector", "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	bearer := "Authorization: Bearer " + string(accessToken.Find(kept))
	o.await(10*time.Second, "refusal of the expired token", func() bool {
		return get(t, o.web, o.mcp("inspector"), bearer).StatusCode == http.StatusUnauthorized
	})
	p = d.start(d.inspects("inspector", "--stored-auth-only"))
	p.works()
	if !strings.Contains(p.stdout.String(), `"user":"local:alice"`) || o.refreshes("inspector") == 0 || d.times() != 1 {
		t.Errorf("%d refreshes in the log, the browser opened %d times\n%s", o.refreshes("inspector"), d.times(), p.printed())
	}
	o.denied(t, func(d *desktop) *program { return d.start(d.inspects("inspector")) })
}
