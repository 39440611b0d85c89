package test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/test/redistest"
)

// cluster is several nodes over one Redis, each with an address of its own and
// the same ports, and a balancer that hands each new connection to the next node.
type cluster struct {
	t        *testing.T
	redis    *redistest.Server
	nodes    []*server
	balancer *balancer
	clients  []*http.Client // each reaches one node alone
}

const (
	redisPassword = "0123456789abcdef0123456789abcdef"
	secretKey     = "c2VjcmV0IGtleSBvZiBhIHRlc3QsIG5vIG9uZSBlbHM="
)

// nodeAddress is the loopback address of node i.
func nodeAddress(i int) string { return "127.0.0." + string(rune('2'+i)) }

// startCluster runs n nodes. Their public ports are the balancer's.
func startCluster(t *testing.T, n int, env ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, redis: redistest.Start(t, redistest.Options{Password: redisPassword})}
	c.balancer = newBalancer(t, n)
	for i := range n {
		c.nodes = append(c.nodes, start(t, append([]string{
			"REDIS_URL=" + c.redis.URL(), "REDIS_PASSWORD=" + redisPassword, "SECRET_KEY=" + secretKey, "SERVER_HOST=" + nodeAddress(i),
			"HTTP_PORT=" + c.balancer.plain, "HTTPS_PORT=" + c.balancer.secure,
		}, env...), "serve"))
	}
	for i := range n {
		c.clients = append(c.clients, c.client(nodeAddress(i)))
	}
	return c
}

// visitor is a person whose every request is a connection of its own, and so
// reaches another node than the one before.
func (c *cluster) visitor(p *person) *person {
	turning(p.c)
	return p
}

// turning makes each request of a client a connection of its own. Its transport
// may be in use already: it gets another.
func turning(c *http.Client) {
	t := c.Transport.(*http.Transport).Clone()
	t.DisableKeepAlives = true
	c.Transport = t
}

// client is one that reaches the node at address alone.
func (c *cluster) client(address string) *http.Client {
	h := c.nodes[0].trusting()
	turning(h)
	t := h.Transport.(*http.Transport)
	t.DialContext = func(ctx context.Context, network, asked string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(asked)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(address, port))
	}
	return h
}

// balancer hands TCP connections to the nodes by turns, past those that are down.
type balancer struct {
	plain, secure string // ports
	nodes         int
	turn          atomic.Int64
	running       sync.WaitGroup

	mu    sync.Mutex // guards links
	links map[net.Conn]bool
}

func (b *balancer) keep(c net.Conn, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if open {
		b.links[c] = true
		return
	}
	delete(b.links, c)
	_ = c.Close()
}

// cut ends all connections.
func (b *balancer) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.links {
		_ = c.Close()
	}
}

func newBalancer(t *testing.T, nodes int) *balancer {
	t.Helper()
	b := &balancer{nodes: nodes, links: map[net.Conn]bool{}}
	var listeners []net.Listener
	t.Cleanup(func() {
		for _, l := range listeners {
			_ = l.Close()
		}
		b.cut()
		b.running.Wait()
	})
	for _, port := range []*string{&b.plain, &b.secure} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, *port, _ = net.SplitHostPort(l.Addr().String())
		b.running.Go(func() { b.accept(l, *port) })
		listeners = append(listeners, l)
	}
	return b
}

func (b *balancer) accept(l net.Listener, port string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		b.running.Go(func() { b.pass(client, port) })
	}
}

func (b *balancer) pass(client net.Conn, port string) {
	b.keep(client, true)
	defer b.keep(client, false)
	for range b.nodes {
		node, err := net.Dial("tcp", net.JoinHostPort(nodeAddress(int(b.turn.Add(1))%b.nodes), port))
		if err != nil {
			continue
		}
		b.keep(node, true)
		defer b.keep(node, false)
		done := make(chan struct{}, 2)
		for _, way := range [2][2]net.Conn{{client, node}, {node, client}} {
			go func() {
				_, _ = io.Copy(way[0], way[1]) // a connection that ends is the usual end
				_ = way[0].(*net.TCPConn).CloseWrite()
				done <- struct{}{}
			}()
		}
		<-done
		<-done
		return
	}
}

// bearer is the header line for a token.
func bearer(token string) string { return "Authorization: Bearer " + strings.TrimSpace(token) }
