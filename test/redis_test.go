package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTwoNodesAreOneGatehouse signs in, creates, revokes and asks, each step on
// another node than the one before.
func TestTwoNodesAreOneGatehouse(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, "RATE_LIMITS=off", "OAUTH_USER_USERS=local:alice")
	a, b := c.nodes[1], c.nodes[0] // the link of the node that started last works
	p := c.visitor(a.person())
	p.becomeAdmin()
	p.login("--scope", "admin")
	onA := &api{a, a.token()}
	onB := &api{b, onA.token}

	t.Run("health and info name the backend", func(t *testing.T) {
		for _, node := range []*api{onA, onB} {
			if got := node.do("GET", "/health", "", http.StatusOK); !strings.Contains(got.Body, `"backend":"redis"`) || !strings.Contains(got.Body, `"store":"ok"`) {
				t.Errorf("health says %s", got.Body)
			}
			if got := node.do("GET", "/system/info", "", http.StatusOK); !strings.Contains(got.Body, c.redis.URL()) || strings.Contains(got.Body, redisPassword) {
				t.Errorf("info says %s, want %s without its password", got.Body, c.redis.URL())
			}
		}
	})
	t.Run("each knows the other", func(t *testing.T) {
		for _, node := range []*api{onA, onB} {
			node.s.await(10*time.Second, "two nodes on the list", func() bool {
				got := node.do("GET", "/system/nodes", "", http.StatusOK).Body
				return strings.Count(got, `"node":`) == 2 && strings.Count(got, `"self":true`) == 1
			})
		}
	})
	t.Run("what one creates both serve within a second", func(t *testing.T) { createdServes(t, c, onA) })
	t.Run("each step of a sign-in on another node", func(t *testing.T) { scatteredSteps(t, c, p, onA, onB) })
	t.Run("people read it with redis-cli", func(t *testing.T) {
		if got := c.redis.CLI(t, "get", "proxy:localhost"); !strings.Contains(got, `"proxy_hostname":"localhost"`) {
			t.Errorf("GET proxy:localhost: %s", got)
		}
		if got := c.redis.CLI(t, "smembers", "proxies"); !strings.Contains(got, "app.localhost") {
			t.Errorf("SMEMBERS proxies: %s", got)
		}
	})
	t.Run("kill -9 of one loses nothing acknowledged", func(t *testing.T) {
		for _, host := range a.writeUntilKilled(onA.token, 0) {
			if got := onB.ask("GET", "/proxies/"+host, ""); got.StatusCode != http.StatusOK {
				t.Errorf("%s was acknowledged by the node that was killed, and the other says %d", host, got.StatusCode)
			}
		}
		a.run()
		onA.do("GET", "/proxies/app.localhost", "", http.StatusOK)
	})
}

// createdServes creates a host on one node and asks the other for it.
func createdServes(t *testing.T, c *cluster, onA *api) {
	client := c.clients[0]
	began := time.Now()
	onA.create("app.localhost", mirror(c.t).URL)
	answered := time.Now()
	for get(t, client, onA.s.url("app.localhost", "/x")).StatusCode != http.StatusOK {
		if time.Since(answered) > 5*time.Second {
			t.Fatal("the other node does not serve it")
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("created in %s, served by the other node %s later", answered.Sub(began), time.Since(answered))
	if took := time.Since(answered); took > time.Second {
		t.Errorf("the other node serves it %s after the answer", took)
	}
	onA.do("POST", "/proxies/app.localhost/auth", `{"auth_enabled":true,"auth_mode":"redirect"}`, http.StatusOK)
}

func scatteredSteps(t *testing.T, c *cluster, p *person, onA, onB *api) {
	app := onA.s.url("app.localhost", "/")
	if page := p.follow(app); page.StatusCode != http.StatusOK || !strings.Contains(page.Body, `user=["local:alice"]`) {
		t.Fatalf("a browser that is sent to sign in: %d %s", page.StatusCode, page.Body)
	}
	client := onA.s.register(t, "app.localhost", "http://127.0.0.1:9/back")
	turning(client.c)
	got, first := client.exchange(client.code(p, nil), nil)
	if got.StatusCode != http.StatusOK {
		t.Fatalf("code for token: %d %s", got.StatusCode, got.Body)
	}
	got, second := client.refresh(first.Refresh)
	if got.StatusCode != http.StatusOK {
		t.Fatalf("refresh: %d %s", got.StatusCode, got.Body)
	}
	device := strings.TrimSpace(p.login("--resource", strings.TrimSuffix(app, "/"), "--scope", "user", "--print-token"))
	for i, only := range c.clients {
		for what, token := range map[string]string{"code": first.Access, "refresh": second.Access, "device": device} {
			if got := get(t, only, app, bearer(token)); got.StatusCode != http.StatusOK {
				t.Errorf("node %d does not take the token by %s: %d", i, what, got.StatusCode)
			}
		}
	}
	onB.do("DELETE", "/tokens/"+grantAt(t, onB, "app.localhost", client.id), "", http.StatusOK)
	revoked := time.Now()
	for i, only := range c.clients {
		for get(t, only, app, bearer(second.Access)).StatusCode != http.StatusUnauthorized {
			if time.Since(revoked) > 2*time.Second {
				t.Fatalf("node %d takes a token 2 s after it was revoked", i)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	t.Logf("revoked everywhere within %s", time.Since(revoked))
	if got, _ := client.refresh(second.Refresh); got.StatusCode != http.StatusBadRequest {
		t.Errorf("the refresh token of a revoked grant: %d %s", got.StatusCode, got.Body)
	}
}

// grantAt is the id of a client's grant for a host.
func grantAt(t *testing.T, a *api, host, client string) string {
	t.Helper()
	var page struct {
		Items []struct {
			ID, Resource string
			ClientID     string `json:"client_id"`
		}
	}
	decode(t, a.do("GET", "/oauth/tokens?limit=1000", "", http.StatusOK).Body, &page)
	for _, g := range page.Items {
		if strings.Contains(g.Resource, host) && g.ClientID == client {
			return g.ID
		}
	}
	t.Fatalf("no grant of %s for %s: %s", client, host, fmt.Sprint(page.Items))
	return ""
}
