package test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/test/haproxytest"
	"gatehouse/test/redistest"
)

// fleet is three nodes over one Redis behind HAProxy, which hands each new
// connection to the next node with a PROXY header. Clients seem to come from
// 192.0.2.10: whom a PROXY header names is never a peer on the machine.
type fleet struct {
	*cluster
	haproxy *haproxytest.Server
	apis    []*api // one for each node, past HAProxy
	admin   *person
}

const fleetSize = 3

func startFleet(t *testing.T, env ...string) *fleet {
	t.Helper()
	f := &fleet{cluster: &cluster{t: t, redis: redistest.Start(t, redistest.Options{Password: redisPassword})}}
	plain, secure := haproxytest.Address(t), haproxytest.Address(t)
	var config strings.Builder
	config.WriteString("defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 2m\n  timeout server 2m\n  retries 3\n  option redispatch 1\n")
	for name, at := range map[string]string{"plain": plain, "secure": secure} {
		_, port, err := net.SplitHostPort(at)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "frontend %s\n  bind %s\n  tcp-request connection set-src ipv4(192.0.2.10)\n  default_backend %s-nodes\nbackend %s-nodes\n  balance roundrobin\n", name, at, name, name)
		for i := range fleetSize {
			fmt.Fprintf(&config, "  server node%d %s:%s send-proxy-v2\n", i, nodeAddress(i), port)
		}
	}
	f.haproxy = haproxytest.Start(t, config.String())
	for i := range fleetSize {
		f.nodes = append(f.nodes, start(t, append([]string{
			"REDIS_URL=" + f.redis.URL(), "REDIS_PASSWORD=" + redisPassword, "SECRET_KEY=" + secretKey, "SERVER_HOST=" + nodeAddress(i),
			"HTTP_PORT=" + plain[strings.LastIndex(plain, ":")+1:], "HTTPS_PORT=" + secure[strings.LastIndex(secure, ":")+1:],
			"TRUSTED_PROXIES=127.0.0.1", "LOCALHOST_PEERS=loopback,192.0.2.10",
			"API_URL=https://localhost:" + secure[strings.LastIndex(secure, ":")+1:], "RATE_LIMITS=off", "OAUTH_USER_USERS=local:alice",
		}, env...), "serve"))
	}
	for i := range fleetSize {
		f.clients = append(f.clients, f.client(nodeAddress(i)))
	}
	last := f.nodes[fleetSize-1] // the link of the node that started last works
	f.admin = f.visitor(last.person())
	f.admin.becomeAdmin()
	f.admin.login("--scope", "admin")
	token := last.token()
	for _, s := range f.nodes {
		f.apis = append(f.apis, &api{s, token})
	}
	return f
}

// digestsOf are what a node says of what it serves.
func digestsOf(a *api) map[string]string {
	var info struct{ Digests map[string]string }
	if got := a.ask("GET", "/system/info", ""); got.StatusCode == http.StatusOK {
		_ = json.Unmarshal([]byte(got.Body), &info) // no digests: not alike
	}
	return info.Digests
}

// alike waits until all nodes serve the same.
func alike(t *testing.T, nodes []*api, within time.Duration) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		first, same := digestsOf(nodes[0]), true
		for _, a := range nodes[1:] {
			other := digestsOf(a)
			same = same && len(first) >= 7 && first["all"] == other["all"]
			if !same && time.Now().After(deadline) {
				t.Fatalf("after %s nodes differ:\n%v\n%v", within, first, other)
			}
		}
		if same {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
