package test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// outage is three nodes whose Redis goes away under load: a host that asks for a
// token, and a client that has one.
type outage struct {
	*cluster
	t      *testing.T
	admins []*api // one for each node, past the balancer
	app    string
	mcp    string // a session of Gatehouse's MCP server on the first node
	client *oauthClient
	tokens tokens
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{t: t, cluster: startCluster(t, 3, "RATE_LIMITS=off", "OAUTH_USER_USERS=local:alice")}
	last := o.nodes[2]
	p := o.visitor(last.person())
	p.becomeAdmin()
	p.login("--scope", "admin")
	token := last.token()
	for _, s := range o.nodes {
		o.admins = append(o.admins, &api{s, token})
	}
	o.admins[0].create("app.localhost", ticking(t).URL)
	o.admins[0].do("POST", "/proxies/app.localhost/auth", `{"auth_enabled":true}`, http.StatusOK)
	o.app = last.url("app.localhost", "/")
	o.mcp = rpc(t, o.clients[0], last.HTTP+"/mcp", token, "", mcpInitialize).Header.Get("Mcp-Session-Id")
	o.client = last.register(t, "app.localhost", "http://127.0.0.1:9/back")
	turning(o.client.c)
	var got answer
	if got, o.tokens = o.client.exchange(o.client.code(p, nil), nil); got.StatusCode != http.StatusOK {
		t.Fatalf("no token: %d %s", got.StatusCode, got.Body)
	}
	return o
}

// load asks all nodes with the token, 300 times a second in all, until the function that it answers is
// called, which answers how many requests there were. None may fail.
func (o *outage) load() (stop func() int64) {
	var count, failed atomic.Int64
	var all sync.WaitGroup
	end := make(chan struct{})
	for _, client := range o.clients {
		client.Transport.(*http.Transport).DisableKeepAlives = false
		for range 4 {
			all.Go(func() {
				tick := time.NewTicker(time.Duration(4*len(o.clients)) * time.Second / 300)
				defer tick.Stop()
				for {
					select {
					case <-end:
						return
					case <-tick.C:
					}
					count.Add(1)
					if err := o.askOnce(client); err != nil && failed.Add(1) <= 5 {
						o.t.Errorf("while Redis is away: %v", err)
					}
				}
			})
		}
	}
	o.nodes[0].await(20*time.Second, "load", func() bool { return count.Load() > 100 })
	return func() int64 { close(end); all.Wait(); return count.Load() }
}

func (o *outage) askOnce(client *http.Client) error {
	req, err := http.NewRequest("GET", o.app, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+o.tokens.Access)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// degraded waits until the health of nodes, all by default, says something of the store.
func (o *outage) degraded(words string, nodes ...*api) {
	o.t.Helper()
	if nodes == nil {
		nodes = o.admins
	}
	for _, a := range nodes {
		a.s.await(15*time.Second, "health that says "+words, func() bool {
			got := a.ask("GET", "/health", "")
			return got.StatusCode == http.StatusOK && strings.Contains(got.Body, `"status":"degraded"`) && strings.Contains(got.Body, words)
		})
	}
}

// refuses wants 503 with Retry-After for everything that needs the store.
func (o *outage) refuses() {
	o.t.Helper()
	for i, a := range o.admins {
		got := a.ask("POST", "/proxies/", `{"proxy_hostname":"never.localhost","target_url":"http://127.0.0.1:9"}`)
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			o.t.Errorf("node %d, a change: %d, Retry-After %q\n%s", i, got.StatusCode, got.Header.Get("Retry-After"), got.Body)
		}
	}
	for i, c := range o.clients {
		if got := rpc(o.t, c, o.nodes[0].HTTP+"/mcp", o.admins[i].token, o.mcp, mcpList); got.StatusCode != http.StatusOK {
			o.t.Errorf("node %d, an MCP session that was open: %d\n%s", i, got.StatusCode, got.Body)
		}
		got := rpc(o.t, c, o.nodes[0].HTTP+"/mcp", o.admins[i].token, "", mcpInitialize)
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			o.t.Errorf("node %d, a new MCP session: %d, Retry-After %q\n%s", i, got.StatusCode, got.Header.Get("Retry-After"), got.Body)
		}
	}
	for range o.nodes { // by turns
		got, _ := o.client.refresh(o.tokens.Refresh)
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			o.t.Errorf("/token: %d, Retry-After %q\n%s", got.StatusCode, got.Header.Get("Retry-After"), got.Body)
		}
		p := o.visitor(o.nodes[2].person())
		page := get(o.t, p.c, o.nodes[2].url("auth.localhost", "/signin"), "Accept: text/html")
		if page.StatusCode == http.StatusOK {
			page = p.submit(page, "/signin", url.Values{"provider": {"local"}, "name": {adminName}, "password": {adminPassword}})
		}
		if page.StatusCode != http.StatusServiceUnavailable || page.Header.Get("Retry-After") == "" {
			o.t.Errorf("signing in: %d, Retry-After %q", page.StatusCode, page.Header.Get("Retry-After"))
		}
	}
}

// recovers wants all nodes to change things within five seconds, and then to serve alike.
func (o *outage) recovers(host string) {
	o.t.Helper()
	began := time.Now()
	for i, a := range o.admins {
		name := fmt.Sprintf("%s%d.localhost", host, i)
		a.s.await(15*time.Second, "a change", func() bool {
			got := a.ask("POST", "/proxies/", fmt.Sprintf(`{"proxy_hostname":%q,"target_url":"http://127.0.0.1:9"}`, name))
			return got.StatusCode == http.StatusCreated || got.StatusCode == http.StatusConflict
		})
	}
	alike(o.t, o.admins, 5*time.Second)
	took := time.Since(began)
	o.t.Logf("all nodes worked again and served alike %s after Redis did", took)
	if took > 5*time.Second {
		o.t.Errorf("it took %s, at most 5s are promised", took)
	}
	for i, a := range o.admins {
		for n := range o.admins {
			if got := a.ask("GET", fmt.Sprintf("/proxies/%s%d.localhost/status", host, n), ""); !strings.Contains(got.Body, `"proxy_hostname"`) {
				o.t.Errorf("node %d does not serve what node %d made: %s", i, n, got.Body)
			}
		}
		if got := a.ask("GET", "/health", ""); !strings.Contains(got.Body, `"status":"healthy"`) {
			o.t.Errorf("node %d after it: %s", i, got.Body)
		}
	}
}

// TestRedisAwayFailsNoRequest stops and kills Redis under load.
func TestRedisAwayFailsNoRequest(t *testing.T) {
	o := newOutage(t)
	pause := 5 * time.Second
	if whole() {
		pause = 60 * time.Second
	}
	stop, loaded := o.load(), time.Now()

	o.redis.Pause()
	began := time.Now()
	o.degraded("can't be used now")
	o.refuses()
	time.Sleep(max(pause-time.Since(began), 0)) // the outage itself is what is tested
	o.redis.Resume()
	o.recovers("paused")

	o.redis.Kill()
	o.degraded("can't be used now")
	o.refuses()
	o.redis.Run(t)
	o.recovers("killed")

	count := stop()
	t.Logf("%d requests were answered, %.0f a second", count, float64(count)/time.Since(loaded).Seconds())
	if got, fresh := o.client.refresh(o.tokens.Refresh); got.StatusCode != http.StatusOK || fresh.Access == "" {
		t.Errorf("a refresh after it all: %d %s", got.StatusCode, got.Body)
	}
	for _, s := range o.nodes {
		if log := s.said(); !strings.Contains(log, "what is in memory stays in use") || !strings.Contains(log, "Redis is in use again") {
			t.Errorf("the log does not tell of it:\n%s", log)
		}
	}
}

// TestRedisThatComesBackEmpty is not obeyed, until somebody says what to do.
func TestRedisThatComesBackEmpty(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	empty := func() {
		o.redis.Kill()
		o.redis.Empty(t)
		o.redis.Run(t)
		o.degraded("come back empty")
	}
	stop := o.load()
	before := o.redis.CLI(t, "zrange", "kv:index", "0", "-1")
	empty()
	o.refuses()
	if got := o.redis.CLI(t, "dbsize"); got != "0" {
		t.Errorf("%s keys were written into the empty Redis", got)
	}
	for _, s := range o.nodes {
		if !strings.Contains(s.said(), "come back empty") {
			t.Error("the log does not tell of it")
		}
	}
	if out := o.nodes[0].local("store", "push"); !strings.Contains(out, `"keys":`) {
		t.Errorf("store push said %q", out)
	}
	if after := o.redis.CLI(t, "zrange", "kv:index", "0", "-1"); !strings.Contains(after, "proxy:app.localhost") {
		t.Errorf("before there was\n%s\nafter the push\n%s", before, after)
	}
	o.recovers("pushed")
	t.Logf("%d requests were answered", stop())
	if got, fresh := o.client.refresh(o.tokens.Refresh); got.StatusCode != http.StatusOK || fresh.Access == "" {
		t.Errorf("a refresh after the push: %d %s", got.StatusCode, got.Body)
	}

	o.mixes(t)

	empty()
	o.nodes[1].local("store", "accept", "--force")
	for i, a := range o.admins {
		a.s.await(10*time.Second, "the empty world", func() bool {
			out, _, _ := a.s.cli("--local", "proxy", "list", "--format", "json") // it may not have noticed yet
			return strings.Contains(out, `"localhost"`) && !strings.Contains(out, "app.localhost")
		})
		if got := get(t, o.clients[i], o.app, bearer(o.tokens.Access)); got.StatusCode == http.StatusOK {
			t.Errorf("node %d still serves a host of the world that was given up", i)
		}
	}
	if got := o.redis.CLI(t, "exists", "oauth:keys"); got != "1" {
		t.Error("the signing keys were not written back")
	}
}

// mixes restarts a node on the empty Redis. It begins another installation there,
// with which the nodes that hold the world have nothing to do, until Redis is
// emptied and theirs is pushed.
func (o *outage) mixes(t *testing.T) {
	t.Helper()
	fresh, hold := o.nodes[2], o.admins[:2]
	o.redis.Kill()
	fresh.kill()
	o.redis.Empty(t)
	o.redis.Run(t)
	o.degraded("come back empty", hold...)
	fresh.run()
	o.degraded("other data", hold...)
	for i, c := range o.clients[:2] {
		if err := o.askOnce(c); err != nil {
			t.Errorf("node %d, which holds the world: %v", i, err)
		}
		if got := hold[i].ask("POST", "/proxies/", `{"proxy_hostname":"never.localhost","target_url":"http://127.0.0.1:9"}`); got.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("node %d changes a stranger's data: %d %s", i, got.StatusCode, got.Body)
		}
	}
	if err := o.askOnce(o.clients[2]); err == nil {
		t.Error("the node that started on an empty Redis serves what is not there")
	}
	if _, errs, code := o.nodes[0].cli("--local", "store", "push"); code == 0 || !strings.Contains(errs, "another installation") {
		t.Errorf("a push over another installation's data: %d %s", code, errs)
	}
	fresh.stop()
	o.redis.Kill()
	o.redis.Empty(t)
	o.redis.Run(t)
	o.degraded("come back empty", hold...)
	o.nodes[0].local("store", "push")
	fresh.run()
	alike(t, o.admins, 10*time.Second)
	for i, c := range o.clients {
		if err := o.askOnce(c); err != nil {
			t.Errorf("node %d after the push: %v", i, err)
		}
	}
}
