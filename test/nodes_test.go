package test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestThreeNodesBehindHAProxy: whatever people and programs do works when each
// step reaches another node.
func TestThreeNodesBehindHAProxy(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	t.Run("each knows itself and the others", f.known)
	t.Run("what one creates all serve within a second", func(t *testing.T) {
		createdServes(t, f.cluster, f.apis[2])
		alike(t, f.apis, 5*time.Second)
	})
	t.Run("each step of a sign-in on another node", func(t *testing.T) { scatteredSteps(t, f.cluster, f.admin, f.apis[2], f.apis[0]) })
	t.Run("people read it with redis-cli", func(t *testing.T) {
		if got := f.redis.CLI(t, "get", "proxy:localhost"); !strings.Contains(got, `"proxy_hostname":"localhost"`) {
			t.Errorf("GET proxy:localhost: %s", got)
		}
		if got := f.redis.CLI(t, "smembers", "proxies"); !strings.Contains(got, "app.localhost") {
			t.Errorf("SMEMBERS proxies: %s", got)
		}
	})
	t.Run("a browser signs in", f.browses)
	t.Run("a session of our own MCP server", f.ownSession)
	t.Run("a session of a protected MCP server", f.protectedSession)
	t.Run("what is revoked on one ends on all", f.revokes)
	t.Run("kill -9 of one", f.loses)
	t.Run("clean-up work is one node's, and moves on when it dies", f.upkeep)
}

func (f *fleet) known(t *testing.T) {
	for _, node := range f.apis {
		if got := node.do("GET", "/health", "", http.StatusOK); !strings.Contains(got.Body, `"backend":"redis"`) || !strings.Contains(got.Body, `"store":"ok"`) {
			t.Errorf("health says %s", got.Body)
		}
		if got := node.do("GET", "/system/info", "", http.StatusOK); !strings.Contains(got.Body, f.redis.URL()) || strings.Contains(got.Body, redisPassword) {
			t.Errorf("info says %s, want %s without its password", got.Body, f.redis.URL())
		}
		node.s.await(10*time.Second, "three nodes on the list", func() bool {
			got := node.do("GET", "/system/nodes", "", http.StatusOK).Body
			return strings.Count(got, `"node":`) == fleetSize && strings.Count(got, `"self":true`) == 1
		})
	}
}

// browses signs in with a real browser, whose connections end after each page.
func (f *fleet) browses(t *testing.T) {
	s := f.nodes[1]
	b := open(t, s)
	app := s.url("app.localhost", "/")
	b.goTo(app)
	b.shows(s.url("auth.localhost", "/"), "")
	f.cut() // the form goes to another node than the one that made it
	b.fill("name", adminName)
	b.fill("password", adminPassword)
	b.press("Sign in")
	b.shows(app, "local:alice")
}

// cut ends all connections through HAProxy.
func (f *fleet) cut() {
	for i := range fleetSize {
		for _, backend := range []string{"plain", "secure"} {
			f.haproxy.Command(f.t, fmt.Sprintf("shutdown sessions server %s-nodes/node%d", backend, i))
		}
	}
}

// token is one of the administrator by a client of its own, each step on another node.
func (f *fleet) token(t *testing.T, host, endpoint, scope string) string {
	t.Helper()
	s := f.nodes[0]
	client := s.register(t, host, "http://127.0.0.1:9/back")
	turning(client.c)
	resource := url.Values{"resource": {s.url(host, endpoint)}, "scope": {scope}}
	got, answer := client.exchange(client.code(f.admin, resource), nil)
	if got.StatusCode != http.StatusOK {
		t.Fatalf("a token for %s%s: %d %s", host, endpoint, got.StatusCode, got.Body)
	}
	return answer.Access
}

const mcpInitialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// rpc sends one message with a client.
func rpc(t *testing.T, c *http.Client, at, token, session, body string) answer {
	t.Helper()
	headers := []string{bearer(token), "Content-Type: application/json", "Accept: application/json, text/event-stream"}
	if session != "" {
		headers = append(headers, "Mcp-Session-Id: "+session, "Mcp-Protocol-Version: 2025-11-25")
	}
	return ask(t, c, "POST", at, body, headers...)
}

// session begins one on node i and makes it usable.
func (f *fleet) session(t *testing.T, i int, at, token string) string {
	t.Helper()
	got := rpc(t, f.clients[i], at, token, "", mcpInitialize)
	id := got.Header.Get("Mcp-Session-Id")
	if got.StatusCode != http.StatusOK || id == "" {
		t.Fatalf("initialize: %d %s", got.StatusCode, got.Body)
	}
	if got := rpc(t, f.clients[(i+1)%fleetSize], at, token, id, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); got.StatusCode != http.StatusAccepted {
		t.Fatalf("initialized, to another node: %d %s", got.StatusCode, got.Body)
	}
	return id
}

const mcpList = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`

func (f *fleet) ownSession(t *testing.T) {
	at := f.nodes[0].url("auth.localhost", "/mcp")
	token := f.token(t, "auth.localhost", "/mcp", "admin mcp")
	id := f.session(t, 0, at, token)
	create := `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"create_proxy","arguments":{"proxy_hostname":"m%d.localhost","target_url":"internal:demo"}}}`
	for i, c := range f.clients {
		if got := rpc(t, c, at, token, id, mcpList); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "create_proxy") {
			t.Errorf("tools/list at node %d: %d %s", i, got.StatusCode, got.Body)
		}
		if got := rpc(t, c, at, token, id, fmt.Sprintf(create, 3+i, i)); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, fmt.Sprintf(`"proxy_hostname":"m%d.localhost"`, i)) {
			t.Errorf("create_proxy at node %d: %d %s", i, got.StatusCode, got.Body)
		}
		if got := rpc(t, c, at, token, id[:14]+"AAAAAAAAAAAAAAAAAAAAAAAAAA", mcpList); got.StatusCode != http.StatusNotFound {
			t.Errorf("a session that the other node does not have, at node %d: %d", i, got.StatusCode)
		}
		if got := rpc(t, c, at, token, "AAAAAAAAAAAAA"+id[13:], mcpList); got.StatusCode != http.StatusNotFound {
			t.Errorf("a session of a node that does not exist, at node %d: %d", i, got.StatusCode)
		}
	}
	theirs := f.token(t, "auth.localhost", "/mcp", "admin mcp") // by another client of the same person
	for i, c := range f.clients {
		if got := rpc(t, c, at, theirs, id, mcpList); got.StatusCode != http.StatusNotFound {
			t.Errorf("with a stolen session at node %d: %d %s", i, got.StatusCode, got.Body)
		}
	}
	if got := ask(t, f.clients[2], "DELETE", at, "", bearer(token), "Mcp-Session-Id: "+id, "Mcp-Protocol-Version: 2025-11-25"); got.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE at another node: %d %s", got.StatusCode, got.Body)
	}
	if got := rpc(t, f.clients[0], at, token, id, mcpList); got.StatusCode != http.StatusNotFound {
		t.Errorf("after its end: %d", got.StatusCode)
	}
	f.standing(t, at, token, f.session(t, 0, at, token))
}

// standing opens a session's standing stream at a node that has it not; it ends
// when the grant is revoked at a third.
func (f *fleet) standing(t *testing.T, at, token, id string) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "GET", at, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + token, "Accept": "text/event-stream", "Mcp-Session-Id": id, "Mcp-Protocol-Version": "2025-11-25"} {
		req.Header.Set(name, value)
	}
	res, err := f.clients[1].Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the standing stream: %d %s", res.StatusCode, res.Header)
	}
	f.endGrants(t, f.apis[2], "auth.localhost")
	revoked := time.Now()
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		buf := make([]byte, 1024)
		for {
			if _, err := res.Body.Read(buf); err != nil {
				return
			}
		}
	}()
	select {
	case <-cut:
		t.Logf("the stream of a revoked grant ended after %s", time.Since(revoked))
	case <-time.After(2 * time.Second):
		t.Error("the stream of a revoked grant stays open")
	}
}

// endGrants revokes every grant for a host.
func (f *fleet) endGrants(t *testing.T, a *api, host string) {
	t.Helper()
	var all struct {
		Items []struct{ ID, Resource string }
	}
	decode(t, a.do("GET", "/oauth/tokens?limit=1000", "", http.StatusOK).Body, &all)
	for _, g := range all.Items {
		if strings.Contains(g.Resource, "//"+host+":") {
			a.do("DELETE", "/tokens/"+g.ID, "", http.StatusOK)
		}
	}
}

func (f *fleet) protectedSession(t *testing.T) {
	server := mcp.NewServer(&mcp.Implementation{Name: "backend", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "greet"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello"}}}, nil, nil
	})
	backend := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{DisableLocalhostProtection: true}))
	t.Cleanup(backend.Close)
	f.apis[1].create("tools.localhost", backend.URL)
	f.apis[1].do("POST", "/proxies/tools.localhost/resource", `{"resource_endpoint":"/mcp"}`, http.StatusOK)
	f.apis[1].do("PUT", "/proxies/tools.localhost", `{"mcp_enabled":true,"disabled_routes":["mcp"]}`, http.StatusOK)
	f.apis[1].do("POST", "/proxies/tools.localhost/auth", `{"auth_enabled":true}`, http.StatusOK)
	alike(t, f.apis, 5*time.Second)
	at := f.nodes[0].url("tools.localhost", "/mcp")
	token := f.token(t, "tools.localhost", "/mcp", "mcp")
	id := f.session(t, 0, at, token)
	for i, c := range f.clients {
		got := rpc(t, c, at, token, id, `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"greet","arguments":{}}}`)
		if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "hello") {
			t.Errorf("a call at node %d: %d %s", i, got.StatusCode, got.Body)
		}
	}
}

// loses kills a node under load.
func (f *fleet) loses(t *testing.T) {
	mcpAt := f.nodes[0].url("auth.localhost", "/mcp")
	token := f.token(t, "auth.localhost", "/mcp", "admin mcp")
	onLast, onFirst := f.session(t, 2, mcpAt, token), f.session(t, 0, mcpAt, token)
	f.apis[0].create("load.localhost", ticking(t).URL)
	alike(t, f.apis, 5*time.Second)
	at := f.nodes[0].url("load.localhost", "/")
	var all sync.WaitGroup
	var count, failed atomic.Int64
	end := make(chan struct{})
	for _, c := range f.clients[:2] {
		for range 4 {
			all.Go(func() {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-end:
						return
					case <-tick.C:
					}
					count.Add(1)
					res, err := c.Get(at)
					if err == nil {
						res.Body.Close()
					}
					if (err != nil || res.StatusCode != http.StatusOK) && failed.Add(1) <= 5 {
						t.Errorf("at a node that lives: %v", err)
					}
				}
			})
		}
	}
	acknowledged := f.nodes[2].writeUntilKilled(f.apis[2].token, 0)
	alike(t, f.apis[:2], 5*time.Second)
	for _, host := range acknowledged {
		if got := f.apis[0].ask("GET", "/proxies/"+host, ""); got.StatusCode != http.StatusOK {
			t.Errorf("%s was acknowledged by the node that was killed; another says %d", host, got.StatusCode)
		}
	}
	for i, c := range f.clients[:2] {
		if got := rpc(t, c, mcpAt, token, onLast, mcpList); got.StatusCode != http.StatusNotFound {
			t.Errorf("the killed node's session at node %d: %d", i, got.StatusCode)
		}
		if got := rpc(t, c, mcpAt, token, onFirst, mcpList); got.StatusCode != http.StatusOK {
			t.Errorf("another's session at node %d: %d %s", i, got.StatusCode, got.Body)
		}
	}
	close(end)
	all.Wait()
	t.Logf("%d changes were acknowledged; %d requests at the others, %d failed", len(acknowledged), count.Load(), failed.Load())
	f.nodes[2].run()
	alike(t, f.apis, 10*time.Second)
}

// upkeep kills the node that does the clean-up work.
func (f *fleet) upkeep(t *testing.T) {
	alive := f.apis
	on := func() (nodes []*api) {
		for _, a := range alive {
			var page struct{ Items []struct{ Self, Upkeep bool } }
			decode(t, a.do("GET", "/system/nodes", "", http.StatusOK).Body, &page)
			for _, n := range page.Items {
				if n.Self && n.Upkeep {
					nodes = append(nodes, a)
				}
			}
		}
		return nodes
	}
	var first []*api
	f.nodes[0].await(10*time.Second, "a node that cleans up", func() bool { first = on(); return len(first) > 0 })
	if len(first) != 1 {
		t.Fatalf("%d nodes clean up", len(first))
	}
	if got := f.redis.CLI(t, "exists", "lock:upkeep"); got != "1" {
		t.Errorf("EXISTS lock:upkeep: %s", got)
	}
	first[0].s.kill()
	began := time.Now()
	alive = slices.DeleteFunc(slices.Clone(f.apis), func(a *api) bool { return a == first[0] })
	var next []*api
	alive[0].s.await(20*time.Second, "another that cleans up", func() bool { next = on(); return len(next) > 0 })
	if len(next) != 1 {
		t.Errorf("%d nodes clean up", len(next))
	}
	t.Logf("another node took over %s after the first was killed", time.Since(began))
}

// revokes ends a grant, a session and a key on one node; the others follow within two seconds.
func (f *fleet) revokes(t *testing.T) {
	app := f.nodes[0].url("app.localhost", "/")
	everywhere := func(what string, refused func(i int) bool) {
		t.Helper()
		began := time.Now()
		for i := range f.clients {
			for !refused(i) {
				if time.Since(began) > 2*time.Second {
					t.Fatalf("%s: node %d does not know of it after 2 s", what, i)
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
		t.Logf("%s: everywhere within %s", what, time.Since(began))
	}
	status := func(i int, token string) int { return get(t, f.clients[i], app, bearer(token)).StatusCode }

	token := f.token(t, "app.localhost", "", "user")
	everywhere("before", func(i int) bool { return status(i, token) == http.StatusOK })
	var all struct {
		Items []struct{ ID, Resource string }
	}
	decode(t, f.apis[0].do("GET", "/oauth/tokens?limit=1000", "", http.StatusOK).Body, &all)
	for _, g := range all.Items {
		if strings.Contains(g.Resource, "app.localhost") {
			f.apis[0].do("DELETE", "/tokens/"+g.ID, "", http.StatusOK)
		}
	}
	everywhere("a grant", func(i int) bool { return status(i, token) == http.StatusUnauthorized })

	p := f.visitor(f.nodes[1].person())
	if page := p.signIn(p.follow(app), adminName, adminPassword); page.StatusCode != http.StatusOK {
		t.Fatalf("signing in: %d", page.StatusCode)
	}
	jar := p.c.Jar
	cookies := func(i int) int {
		c := *f.clients[i]
		c.Jar, c.CheckRedirect = jar, func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return get(t, &c, app, "Accept: text/html").StatusCode
	}
	everywhere("a session counts", func(i int) bool { return cookies(i) == http.StatusOK })
	var sessions struct{ Items []struct{ ID, Host string } }
	decode(t, f.apis[1].do("GET", "/oauth/sessions?limit=1000", "", http.StatusOK).Body, &sessions)
	for _, s := range sessions.Items {
		if s.Host == "app.localhost" {
			f.apis[1].do("DELETE", "/oauth/sessions/"+s.ID, "", http.StatusOK)
		}
	}
	everywhere("a session", func(i int) bool { return cookies(i) != http.StatusOK })

	token = f.token(t, "app.localhost", "", "user")
	everywhere("before", func(i int) bool { return status(i, token) == http.StatusOK })
	f.apis[2].do("POST", "/oauth/key/generate", `{"revoke":true}`, http.StatusOK)
	everywhere("a signing key", func(i int) bool { return status(i, token) == http.StatusUnauthorized })

	fresh := f.token(t, "localhost", "/mcp", "admin") // the administrator's went with the key
	for _, a := range f.apis {
		a.token = fresh
	}
	alike(t, f.apis, 5*time.Second)
}
