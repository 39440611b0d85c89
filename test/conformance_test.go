package test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestAuthorizationServerConformance runs the authorization server scenarios of
// the official conformance package at a protected host, with a client of each way
// to prove itself: the suite takes the first that the metadata lists, so a host
// that lists one way makes it take that. The suite prints where the person has to
// go; the person goes there.
func TestAuthorizationServerConformance(t *testing.T) {
	t.Parallel()
	node(t)
	o := newOffice(t, nil, "none", "client-secret-basic", "client-secret-post")
	for _, host := range []string{"none", "client-secret-basic", "client-secret-post"} {
		t.Run(host, func(t *testing.T) { o.as(t, func() { o.conforms(t, host) }) })
	}
	t.Run("Inspector with a header", func(t *testing.T) { o.as(t, func() { inspectorWithHeader(t, o) }) })
}

func (o *office) conforms(t *testing.T, host string) {
	method, issuer := strings.ReplaceAll(host, "-", "_"), o.url(host+".localhost", "")
	o.local("proxy", "update", host+".localhost", "--set", `oauth_server_token_auth_methods=["`+method+`"]`)
	port := freePort(t)
	client := struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}{}
	decode(t, ask(t, o.web, "POST", issuer+"/register",
		`{"redirect_uris":["http://127.0.0.1:`+port+`/callback"],"token_endpoint_auth_method":"`+method+`"}`, "Content-Type: application/json").Body, &client)
	d := o.desktop()
	args := []string{"authorization", "--url", issuer, "--client-id", client.ID, "--resource", o.mcp(host), "--port", port, "--output-dir", d.home}
	if client.Secret != "" {
		args = append(args, "--client-secret", client.Secret)
	}
	p := d.run("node_modules/@modelcontextprotocol/conformance/dist/index.js", args...)
	at := regexp.MustCompile(regexp.QuoteMeta(issuer) + `/authorize\S+`)
	o.await(30*time.Second, "authorization URL", func() bool { return at.MatchString(p.stdout.String()) || p.ended() })
	if p.ended() {
		t.Fatalf("the suite ended with %d:\n%s", p.code, p.printed())
	}
	o.alice.lets(at.FindString(p.stdout.String()))
	p.works()
	checks := conformanceChecks(t, d.home)
	if len(checks) < 3 {
		t.Errorf("the suite made %d checks:\n%s", len(checks), p.printed())
	}
	for _, c := range checks {
		// A host that takes secrets alone takes no client known by its URL, which has none.
		if c.Status != "SUCCESS" && (method == "none" || c.ID != "authorization-server-metadata-cimd") {
			t.Errorf("%s: %s %s", c.ID, c.Status, c.Message)
		}
	}
}

// conformanceCheck is a line of the suite's report.
type conformanceCheck struct {
	ID      string `json:"id"`
	Status  string `json:"status"` // SUCCESS, FAILURE, WARNING, SKIPPED
	Message string `json:"errorMessage"`
}

func conformanceChecks(t *testing.T, dir string) []conformanceCheck {
	t.Helper()
	reports, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []conformanceCheck
	for _, path := range reports {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var checks []conformanceCheck
		if err := json.Unmarshal(text, &checks); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, checks...)
	}
	return all
}

// inspectorWithHeader is the Inspector where no browser can be opened: a token
// that the person got elsewhere goes along as a header.
func inspectorWithHeader(t *testing.T, o *office) {
	o.local("proxy", "update", "none.localhost", "--set", "oauth_server_token_auth_methods=null")
	var begun struct {
		Device string `json:"device_code"`
		User   string `json:"user_code"`
	}
	form := "Content-Type: application/x-www-form-urlencoded"
	decode(t, ask(t, o.web, "POST", o.url("none.localhost", "/device/code"), "client_id=device_flow_client&resource="+o.mcp("none"), form).Body, &begun)
	o.alice.approve(begun.User)
	got := ask(t, o.web, "POST", o.url("none.localhost", "/token"), "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=device_flow_client&device_code="+begun.Device, form)
	if got.StatusCode != http.StatusOK {
		t.Fatalf("no token: %d %s", got.StatusCode, got.Body)
	}
	var token struct {
		Access string `json:"access_token"`
	}
	decode(t, got.Body, &token)
	d := o.desktop()
	p := d.start(d.inspects("none", "--header", "Authorization: Bearer "+token.Access))
	p.works()
	if !strings.Contains(p.stdout.String(), `"user":"local:alice"`) || d.times() != 0 {
		t.Errorf("the Inspector opened the browser %d times and said\n%s", d.times(), p.printed())
	}

	// The same token when its person is no longer listed: 403 without a challenge,
	// which sends no client to sign in.
	o.local("proxy", "update", "none.localhost", "--set", `auth_required_users=["local:carol"]`)
	p = d.start(d.inspects("none", "--header", "Authorization: Bearer "+token.Access))
	if code := p.end(); code == 0 || !strings.Contains(p.printed(), "access_denied") || d.times() != 0 {
		t.Errorf("no longer listed: exit %d after opening the browser %d times\n%s", code, d.times(), p.printed())
	}
}
