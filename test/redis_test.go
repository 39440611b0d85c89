package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

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
