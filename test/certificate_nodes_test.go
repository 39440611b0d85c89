package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTwoNodesAskForTheSameNameAtOnce: one order comes of it, whichever node places
// it. The second node answers the authority, for orders of the first too, and both
// serve what it gives, with session tickets that either opens.
func TestTwoNodesAskForTheSameNameAtOnce(t *testing.T) {
	t.Parallel()
	redis := startCluster(t, 2)
	// The authority reaches the second node alone; the nodes' own looks at where a name leads turn from node to node.
	ca := startPebble(t, pebbleOptions{HTTP: number(t, toNode(t, 1, redis.balancer.plain)), TLS: number(t, toNode(t, 1, redis.balancer.secure))})
	f := inFront(t, ca)
	var mu sync.Mutex
	orders := map[string]int{}
	f.do(func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		part, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		orders[part]++
		return false
	})
	for _, s := range redis.nodes {
		s.stop()
		s.env = append(s.env, append(ca.env(), "ACME_DIRECTORY_URL="+f.Directory)...)
		s.run()
	}
	var both sync.WaitGroup
	for i, s := range redis.nodes {
		both.Go(func() {
			s.cli("--local", "proxy", "create", "both.gatehouse-test.net", fmt.Sprintf("http://127.0.0.1:%d", 3000+i)) // one is too late, and says so
		})
		both.Go(func() { s.cli("--local", "cert", "create", "named", "named.gatehouse-test.net") })
	}
	both.Wait()
	for _, name := range []string{"proxy-both-gatehouse-test-net", "named"} {
		for _, s := range redis.nodes {
			s.active(name)
		}
	}
	mu.Lock()
	if orders["order-plz"] != 2 || orders["sign-me-up"] > 2 {
		t.Errorf("two names led to %d orders and %d accounts", orders["order-plz"], orders["sign-me-up"])
	}
	mu.Unlock()

	first := redis.nodes[0]
	for i := 0; !strings.Contains(first.said(), "a certificate is in place"); i++ {
		if i == 10 {
			t.Fatal("the first node never places an order")
		}
		name := fmt.Sprintf("by%d", i)
		first.local("cert", "create", name, name+".gatehouse-test.net,alpn."+name+".gatehouse-test.net", "--challenge", []string{"http-01", "tls-alpn-01"}[i%2])
		redis.nodes[1].active(name)
	}

	cache := tls.NewLRUClientSessionCache(4)
	var serials []string
	for i := range 2 {
		redis.nodes[i].await(5*time.Second, "certificate on each node", func() bool {
			c := dialNode(t, i, port(redis.nodes[0].HTTPS), &tls.Config{ServerName: "both.gatehouse-test.net", InsecureSkipVerify: true})
			return c.PeerCertificates[0].Subject.String() != c.PeerCertificates[0].Issuer.String()
		})
		c := dialNode(t, i, port(redis.nodes[0].HTTPS), &tls.Config{ServerName: "both.gatehouse-test.net", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, ClientSessionCache: cache})
		serials = append(serials, c.PeerCertificates[0].SerialNumber.String())
		if i == 1 && !c.DidResume {
			t.Error("the other node does not open a session ticket of the first")
		}
	}
	if serials[0] != serials[1] {
		t.Errorf("the nodes show %v", serials)
	}
	listed := redis.nodes[0].local("cert", "list")
	if n := strings.Count(listed, `"domains":["both.gatehouse-test.net"]`); n != 1 {
		t.Errorf("%d certificates for the host: %s", n, listed)
	}
}

// toNode is a port that leads to one node's.
func toNode(t *testing.T, i int, port string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer client.Close()
				node, err := net.Dial("tcp", net.JoinHostPort(nodeAddress(i), port))
				if err != nil {
					return
				}
				defer node.Close()
				go func() {
					_, _ = io.Copy(node, client)
					_ = node.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(client, node)
			})
		}
	})
	_, at, _ := net.SplitHostPort(l.Addr().String())
	return at
}

// dialNode is a handshake with one node.
func dialNode(t *testing.T, i int, port string, config *tls.Config) tls.ConnectionState {
	t.Helper()
	c, err := tls.Dial("tcp", net.JoinHostPort(nodeAddress(i), port), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState()
}
