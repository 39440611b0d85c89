package test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/test/haproxytest"
)

// portPair is what a host has in proxy:ports:mappings.
type portPair struct{ HTTP, HTTPS int }

// portStatus is what the status of a host says about its ports.
type portStatus struct {
	Ports     portPair
	Listeners []struct{ Kind, Scheme, Address, Status, Message string }
}

func (s portStatus) String() string { return fmt.Sprintf("%+v", s.Listeners) }

// all reports whether all that are of a kind have this state.
func (s portStatus) all(kind, state string) bool {
	n := 0
	for _, l := range s.Listeners {
		if l.Kind != kind {
			continue
		}
		if n++; l.Status != state {
			return false
		}
	}
	return n == 2
}

func (s *server) ports(host string) (status portStatus) {
	s.t.Helper()
	decode(s.t, s.local("proxy", "status", host), &status)
	return status
}

// seenFrom is a backend that answers the client's address as it was told.
func seenFrom(t *testing.T) string {
	t.Helper()
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "client %q over %s", r.Header.Values("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(b.Close)
	return b.URL
}

// introduced sends a request for host behind a PROXY header; with roots over TLS.
func introduced(t *testing.T, address, head, host string, config *tls.Config) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, head) // a connection that is closed says so at the read
	if config != nil {
		config = config.Clone()
		config.ServerName = host
		c = tls.Client(c, config)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\nX-Forwarded-For: 198.51.100.1\r\nConnection: close\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.Status + " " + string(b)
}

func fromFar(client string) string { return "PROXY TCP4 " + client + " 192.0.2.1 4711 443\r\n" }

// TestManyHostsHavePortsOfTheirOwn creates hosts from two nodes at once.
func TestManyHostsHavePortsOfTheirOwn(t *testing.T) {
	t.Parallel()
	count := 60
	if whole() {
		count = 990
	}
	c := startCluster(t, 2, "RATE_LIMITS=off")
	p := c.visitor(c.nodes[1].person()) // the link of the node that started last works
	p.becomeAdmin()
	p.login("--scope", "admin")
	nodes := []*api{{c.nodes[0], c.nodes[1].token()}, {c.nodes[1], c.nodes[1].token()}}
	target := seenFrom(t)
	began := time.Now()
	createPorted(nodes, target, 0, count)
	t.Logf("%d hosts by two nodes in %s", count, time.Since(began).Round(time.Millisecond))

	mapped := c.mappings()
	c.nodes[0].await(10*time.Second, "ports of all hosts", func() bool { mapped = c.mappings(); return len(mapped) == count+2 })
	checkPorts(t, mapped)
	checkRecords(t, c, nodes[0], mapped)
	c.reached(mapped, ported(0))
	c.reached(mapped, ported(count-1))
	c.restart()
	if again := c.mappings(); !maps.Equal(again, mapped) {
		t.Error("other ports after a restart")
	}
	for _, s := range c.nodes {
		s.await(20*time.Second, "the ports after a restart", func() bool { return s.ports(ported(count-1)).all("instance", "listening") })
	}
	c.reached(mapped, ported(count-1))
	if whole() {
		fillRange(t, c, nodes, target, count)
	}

	c.redis.Kill()
	c.reached(mapped, ported(0)) // the ports are open while Redis is away
	c.redis.Run(t)
	gone := ported(1)
	c.nodes[0].await(20*time.Second, "change after Redis is back", func() bool {
		return nodes[0].ask("DELETE", "/proxies/"+gone, "").StatusCode == http.StatusOK
	})
	c.nodes[0].await(10*time.Second, "release of its ports", func() bool { _, is := c.mappings()[gone]; return !is })
	c.nodes[1].await(10*time.Second, "closing of its port on the other node", func() bool {
		l, err := net.DialTimeout("tcp", net.JoinHostPort(c.nodes[1].own, strconv.Itoa(mapped[gone].HTTP)), time.Second)
		if err == nil {
			_ = l.Close()
		}
		return err != nil || whole() // there somebody waited for the port
	})
}

func ported(i int) string { return fmt.Sprintf("h%03d.localhost", i) }

// createPorted creates hosts from all nodes at once, ten at a time.
func createPorted(nodes []*api, target string, from, to int) {
	var all sync.WaitGroup
	turns := make(chan int)
	for i := range 10 {
		all.Go(func() {
			for n := range turns {
				nodes[i%len(nodes)].create(ported(n), target)
			}
		})
	}
	for n := from; n < to; n++ {
		turns <- n
	}
	close(turns)
	all.Wait()
}

// mappings is HGETALL proxy:ports:mappings.
func (c *cluster) mappings() map[string]portPair {
	c.t.Helper()
	lines := strings.Split(c.redis.CLI(c.t, "hgetall", "proxy:ports:mappings"), "\n")
	all := map[string]portPair{}
	for pair := range slices.Chunk(lines, 2) {
		var p portPair
		if len(pair) < 2 {
			break
		}
		if err := json.Unmarshal([]byte(pair[1]), &p); err != nil || !strings.HasPrefix(pair[1], `{"http":1`) {
			c.t.Fatalf("%s has %s: %v", pair[0], pair[1], err)
		}
		all[pair[0]] = p
	}
	return all
}

// restart ends both nodes and runs them again.
func (c *cluster) restart() {
	c.t.Helper()
	for _, s := range c.nodes {
		s.stop()
	}
	for _, s := range c.nodes {
		s.run()
	}
}

// checkPorts wants no port twice, each in its range, and each host to have the
// port of its name unless another host has that.
func checkPorts(t *testing.T, mapped map[string]portPair) {
	t.Helper()
	owner := map[int]string{}
	for host, p := range mapped {
		for _, port := range []int{p.HTTP, p.HTTPS} {
			if other := owner[port]; other != "" {
				t.Errorf("%s and %s have port %d", host, other, port)
			}
			owner[port] = host
		}
		if p.HTTP < 12000 || p.HTTP > 12999 || p.HTTPS < 13000 || p.HTTPS > 13999 {
			t.Errorf("%s has %+v", host, p)
		}
	}
	kept := 0
	for host, p := range mapped {
		h := fnv.New32a()
		_, _ = h.Write([]byte(host))
		preferred := 12000 + int(h.Sum32()%1000)
		if host == "localhost" {
			preferred = 12000
		}
		if p.HTTP == preferred {
			kept++
		} else if owner[preferred] == "" {
			t.Errorf("%s has %d, and nobody has %d", host, p.HTTP, preferred)
		}
	}
	t.Logf("%d of %d hosts have the port of their name", kept, len(mapped))
	if mapped["localhost"] != (portPair{12000, 13000}) {
		t.Errorf("localhost has %+v", mapped["localhost"])
	}
}

// checkRecords looks at the same with redis-cli, the API and the command line.
func checkRecords(t *testing.T, c *cluster, a *api, mapped map[string]portPair) {
	t.Helper()
	set := strings.Fields(c.redis.CLI(t, "smembers", "ports:allocated"))
	if len(set) != 2*len(mapped) || !slices.Contains(set, "12000") || !slices.Contains(set, "13000") {
		t.Errorf("ports:allocated has %d ports for %d hosts", len(set), len(mapped))
	}
	record := c.redis.CLI(t, "get", "port:12000")
	for _, want := range []string{`"owner":"localhost"`, `"purpose":"http"`, `"bind_address":"127.`} {
		if !strings.Contains(record, want) {
			t.Errorf("GET port:12000 says %s, without %s", record, want)
		}
	}
	if got := c.redis.CLI(t, "get", "proxy:localhost"); !strings.Contains(got, `"proxy_hostname":"localhost"`) {
		t.Errorf("GET proxy:localhost says %s", got)
	}
	var page struct {
		Items []struct {
			Port  int
			Owner string
		}
		Cursor string
	}
	listed := 0
	for at := "/ports/?limit=50"; ; at = "/ports/?limit=50&cursor=" + page.Cursor {
		page.Cursor = ""
		decode(t, a.do("GET", at, "", http.StatusOK).Body, &page)
		for _, item := range page.Items {
			listed++
			if p := mapped[item.Owner]; p.HTTP != item.Port && p.HTTPS != item.Port {
				t.Errorf("port %d is said to be of %q", item.Port, item.Owner)
			}
		}
		if page.Cursor == "" {
			break
		}
	}
	if listed != len(set) {
		t.Errorf("GET /ports/ lists %d ports, the set has %d", listed, len(set))
	}
	if got := a.s.local("proxy", "ports", "--limit", "1"); !strings.Contains(got, `"port":12000`) {
		t.Errorf("proxy ports: %s", got)
	}
}

// reached asks both nodes for a host at its ports. A client from far does not get
// a name under localhost: the balancer asks for itself.
func (c *cluster) reached(mapped map[string]portPair, host string) {
	c.t.Helper()
	for _, s := range c.nodes {
		for i, port := range []int{mapped[host].HTTP, mapped[host].HTTPS} {
			config := []*tls.Config{nil, {RootCAs: s.roots()}}[i]
			at := net.JoinHostPort(s.own, strconv.Itoa(port))
			if got, want := introduced(c.t, at, "PROXY UNKNOWN\r\n", host, config), `200 OK client ["127.`; !strings.HasPrefix(got, want) {
				c.t.Errorf("%s at %s: %s, want %s", host, at, got, want)
			}
			if got := introduced(c.t, at, fromFar("203.0.113.7"), host, config); strings.HasPrefix(got, "200") {
				c.t.Errorf("%s at %s for a client from far: %s", host, at, got)
			}
			if got := introduced(c.t, at, "", host, config); strings.HasPrefix(got, "200") || strings.HasPrefix(got, "4") {
				c.t.Errorf("%s at %s without a PROXY header: %s", host, at, got)
			}
		}
	}
}

// fillRange creates hosts until there are no ports, and twenty more.
func fillRange(t *testing.T, c *cluster, nodes []*api, target string, from int) {
	t.Helper()
	createPorted(nodes, target, from, 998)
	createPorted(nodes, target, 998, 1018)
	if n := len(c.mappings()); n != 1000 {
		t.Errorf("%d hosts have ports", n)
	}
	checkPorts(t, c.mappings())
	without := 0
	for i := 998; i < 1018; i++ {
		host := ported(i)
		for j, s := range c.nodes {
			var status portStatus
			decode(t, nodes[j].do("GET", "/proxies/"+host+"/status", "", http.StatusOK).Body, &status)
			if status.all("dispatcher", "listening") && status.all("instance", "none") && strings.Contains(status.String(), "12000-12999 are taken") && strings.Contains(status.String(), "13000-13999 are taken") {
				without++
			} else {
				t.Errorf("%s on node %d: %s", host, j, status)
			}
			if got := get(t, c.clients[j], s.url(host, "/")); got.StatusCode != http.StatusOK {
				t.Errorf("%s on node %d: %d", host, j, got.StatusCode)
			}
		}
	}
	t.Logf("%d of 40 looks find a host without ports that says why and is served", without)
}

// TestHAProxyHandsOverToOneHost has HAProxy take connections whose client a PROXY
// header names, and hand them on to the ports of a host.
func TestHAProxyHandsOverToOneHost(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve")
	s.local("proxy", "create", "app.internal", seenFrom(t), "--set", "auth_enabled=false")
	s.local("proxy", "create", "other.internal", seenFrom(t))
	status := s.ports("app.internal")
	if !status.all("instance", "listening") {
		t.Fatal(status)
	}
	type way struct {
		port    int
		send    string
		address string
	}
	var ways []way
	config := "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n"
	for _, port := range []int{status.Ports.HTTP, status.Ports.HTTPS} {
		for _, send := range []string{"send-proxy", "send-proxy-v2"} {
			w := way{port, send, haproxytest.Address(t)}
			ways = append(ways, w)
			config += fmt.Sprintf("listen l%d\n  bind %s accept-proxy\n  server host %s:%d %s\n", len(ways), w.address, s.own, port, send)
		}
	}
	haproxytest.Start(t, config)
	for i, w := range ways {
		client, scheme := fmt.Sprintf("203.0.113.%d", 7+i), "http"
		var config *tls.Config
		if w.port == status.Ports.HTTPS {
			scheme, config = "https", &tls.Config{RootCAs: s.roots()}
		}
		want := fmt.Sprintf("200 OK client [%q] over %s", client, scheme)
		if got := introduced(t, w.address, fromFar(client), "app.internal", config); got != want {
			t.Errorf("by %s, %s: %s, want %s", scheme, w.send, got, want)
		}
		s.await(10*time.Second, "entry with the client's address", func() bool {
			return strings.Contains(s.local("log", "ip", client), `"proxy":"app.internal"`)
		})
		if got := introduced(t, w.address, fromFar(client), "other.internal", config); strings.HasPrefix(got, "200") {
			t.Errorf("another host by %s, %s: %s", scheme, w.send, got)
		}
	}
}

// TestPortsThatOtherProgramsHave are skipped when ports are given, and waited for
// later; the host is served all the while.
func TestPortsThatOtherProgramsHave(t *testing.T) {
	t.Parallel()
	s := &server{t: t, dir: t.TempDir(), args: []string{"serve"}, own: ownAddress()}
	taken := occupy(t, s.own, 12000)
	s.run()
	t.Cleanup(s.stop)
	s.await(10*time.Second, "ports of localhost", func() bool { return s.ports("localhost").all("instance", "listening") })
	if got := s.ports("localhost").Ports; got != (portPair{12001, 13000}) {
		t.Errorf("localhost has %+v while another program has 12000", got)
	}
	_ = taken.Close()
	s.local("proxy", "create", "app.localhost", seenFrom(t))
	before := s.ports("app.localhost")
	if !before.all("instance", "listening") {
		t.Fatal(before)
	}

	s.stop()
	one, two := occupy(t, s.own, before.Ports.HTTP), occupy(t, s.own, before.Ports.HTTPS)
	s.run()
	s.await(10*time.Second, "a status that says why", func() bool {
		status := s.ports("app.localhost")
		return status.Ports == before.Ports && status.all("instance", "failed") && status.all("dispatcher", "listening") && strings.Contains(status.String(), "another program has the port")
	})
	if got := get(t, s.client(), s.HTTP[:strings.LastIndex(s.HTTP, "/")+1]+"app.localhost:"+port(s.HTTP)+"/"); got.StatusCode != http.StatusOK {
		t.Errorf("by the dispatcher: %d %s", got.StatusCode, got.Body)
	}
	_, _ = one.Close(), two.Close()
	s.await(60*time.Second, "its ports", func() bool { return s.ports("app.localhost").all("instance", "listening") })
	if got := introduced(t, net.JoinHostPort(s.own, strconv.Itoa(before.Ports.HTTP)), "PROXY UNKNOWN\r\n", "app.localhost", nil); !strings.HasPrefix(got, "200") {
		t.Errorf("at its own port again: %s", got)
	}
	if got := s.ports("localhost").Ports; got != (portPair{12001, 13000}) {
		t.Errorf("localhost has %+v after a restart", got)
	}
}

// occupy listens where Gatehouse would.
func occupy(t *testing.T, address string, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestInstancePortsSwitchedOffOrNowhere serve all the same, and say so.
func TestInstancePortsSwitchedOffOrNowhere(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]struct{ state, why string }{
		"PROXY_INSTANCE_PORTS=off":         {"off", "PROXY_INSTANCE_PORTS is off"},
		"PROXY_INSTANCE_LISTEN=192.0.2.77": {"none", "is no address of this machine"},
	} {
		s := start(t, []string{setting}, "serve")
		s.local("proxy", "create", "app.localhost", seenFrom(t))
		if status := s.ports("app.localhost"); !status.all("instance", want.state) || !status.all("dispatcher", "listening") || !strings.Contains(status.String(), want.why) {
			t.Errorf("%s: %s", setting, status)
		}
		if got := get(t, s.trusting(), s.url("app.localhost", "/")); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", setting, got.StatusCode)
		}
		if got := s.local("proxy", "ports"); !strings.Contains(got, `"items":[]`) {
			t.Errorf("%s: %s", setting, got)
		}
	}
}
