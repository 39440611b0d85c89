package edge

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/mcpgate"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// member is a target that says its name, and can go away and come back.
type member struct {
	t      *testing.T
	name   string
	at     string
	server *httptest.Server
	asked  atomic.Int64
	ill    atomic.Bool // answers health checks with 500
}

func newMember(t *testing.T, name string) *member {
	t.Helper()
	m := &member{t: t, name: name}
	m.up("127.0.0.1:0")
	t.Cleanup(func() { m.server.Close() })
	return m
}

func (m *member) up(at string) {
	m.t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		m.t.Fatal(err)
	}
	m.at = l.Addr().String()
	m.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			if m.ill.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return
		}
		m.asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Cookie") != "" {
			w.Header().Set("X-Cookie", r.Header.Get("Cookie"))
		}
		if strings.Contains(string(body), `"initialize"`) {
			w.Header().Set("Mcp-Session-Id", "session-of-"+m.name)
		}
		_, _ = io.WriteString(w, m.name+" "+string(body)+r.Header.Get("Mcp-Session-Id"))
	})}}
	m.server.Start()
}

func (m *member) down() {
	m.server.CloseClientConnections()
	m.server.Close()
}

func team(t *testing.T, o Options, names string, change ...func(*site.Proxy)) (*rig, map[string]*member) {
	t.Helper()
	members := map[string]*member{}
	change = append(change, func(p *site.Proxy) {
		for _, name := range names {
			m := newMember(t, string(name))
			members[string(name)] = m
			p.Targets = append(p.Targets, site.WeightedTarget{URL: "http://" + m.at, Weight: 1})
		}
	})
	return newRig(t, o, to("app.test", "", change...)), members
}

// TestATargetThatIsGoneCostsNoRequest, whatever its method, as long as nothing of
// it was sent; and it is used again when it is back.
func TestATargetThatIsGoneCostsNoRequest(t *testing.T) {
	r, members := team(t, Options{}, "abc")
	members["b"].down()
	for i := range 30 {
		method := []string{http.MethodGet, http.MethodPost, http.MethodDelete}[i%3]
		req, err := http.NewRequestWithContext(t.Context(), method, "http://app.test/", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if res, body := do(t, r.client(), req); res.StatusCode != http.StatusOK || !strings.HasSuffix(body, " body") {
			t.Fatalf("%s %d: %d %s", method, i, res.StatusCode, body)
		}
	}
	states := r.Edge.TargetStates("app.test", time.Now())
	if len(states) != 3 || !states[0].Healthy || states[1].Healthy || states[1].Passed.IsZero() {
		t.Errorf("%+v", states)
	}
	members["b"].up(members["b"].at)
	for deadline := time.Now().Add(12 * time.Second); members["b"].asked.Load() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the target is back, and is not used again")
		}
		r.get("http://app.test/")
	}
}

// TestAnAnswerIsNotAskedForTwice: what may have done something stays done once.
func TestAnAnswerIsNotAskedForTwice(t *testing.T) {
	var asked atomic.Int64
	broken := func() string {
		return backend(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			asked.Add(1)
			panic(http.ErrAbortHandler)
		}).URL
	}
	r := newRig(t, Options{}, to("app.test", "", func(p *site.Proxy) {
		p.Targets = []site.WeightedTarget{{URL: broken(), Weight: 1}, {URL: broken(), Weight: 1}}
	}))
	for method, want := range map[string]int64{http.MethodPost: 1, http.MethodGet: 2} {
		asked.Store(0)
		req, err := http.NewRequestWithContext(t.Context(), method, "http://app.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if method == http.MethodPost {
			req.Body, req.ContentLength = io.NopCloser(strings.NewReader("x")), 1
		}
		if res, _ := do(t, r.client(), req); res.StatusCode != http.StatusBadGateway || asked.Load() != want {
			t.Errorf("%s: %d after asking %d times, not %d", method, res.StatusCode, asked.Load(), want)
		}
	}
}

func TestHealthChecksTakeATargetOut(t *testing.T) {
	r, members := team(t, Options{}, "ab", func(p *site.Proxy) { p.HealthPath = "/healthz" })
	await := func(what string, ok func([]TargetState) bool) {
		t.Helper()
		for deadline := time.Now().Add(25 * time.Second); !ok(r.Edge.TargetStates("app.test", time.Now())); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("still no %s: %+v", what, r.Edge.TargetStates("app.test", time.Now()))
			}
		}
	}
	members["a"].ill.Store(true)
	await("target taken out", func(s []TargetState) bool { return !s[0].Healthy && s[1].Healthy })
	before := members["a"].asked.Load()
	for range 10 {
		r.get("http://app.test/")
	}
	if members["a"].asked.Load() != before {
		t.Error("a target that is down is asked")
	}
	// A change of settings forgets nothing.
	p := to("app.test", "", func(p *site.Proxy) {
		p.HealthPath, p.CustomHeaders = "/healthz", map[string]string{"X-New": "1"}
		p.Targets = []site.WeightedTarget{{URL: "http://" + members["a"].at, Weight: 1}, {URL: "http://" + members["b"].at, Weight: 1}}
	})
	r.set(p)
	if s := r.Edge.TargetStates("app.test", time.Now()); s[0].Healthy {
		t.Error("a change of settings forgot that a target is down")
	}
	members["b"].ill.Store(true)
	await("nobody", func(s []TargetState) bool { return !s[0].Healthy && !s[1].Healthy })
	if res, body := r.get("http://app.test/"); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "no_target") {
		t.Errorf("nobody is there: %d %s", res.StatusCode, body)
	}
	members["a"].ill.Store(false)
	await("target back", func(s []TargetState) bool { return s[0].Healthy })
	if _, body := r.get("http://app.test/"); !strings.HasPrefix(body, "a") {
		t.Errorf("answered by %s", body)
	}
}

// TestChecksSpeakForNobody: where the target wants a PROXY header a check has one,
// that names no client; and what hangs holds up no check of others.
func TestChecksSpeakForNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 15)
				_, _ = io.ReadFull(c, b)
				first <- string(b)
				<-t.Context().Done() // it hangs until the test is over
			}()
		}
	}()
	hanging := func(name string) site.Proxy {
		return to(name, "http://"+l.Addr().String(), func(p *site.Proxy) { p.HealthPath, p.SendProxyProtocol = "/h", "v1" })
	}
	m := newMember(t, "well")
	m.ill.Store(true)
	r := newRig(t, Options{}, hanging("one.test"), hanging("two.test"), to("app.test", "http://"+m.at, func(p *site.Proxy) { p.HealthPath = "/healthz" }))
	select {
	case got := <-first:
		if got != "PROXY UNKNOWN\r\n" {
			t.Errorf("a check begins with %q", got)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no check")
	}
	for deadline := time.Now().Add(15 * time.Second); r.Edge.TargetStates("app.test", time.Now())[0].Healthy; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a target that fails is not found while others hang")
		}
	}
}

func TestStickyClientsStayWithTheirTarget(t *testing.T) {
	r, members := team(t, Options{}, "abcd", func(p *site.Proxy) { p.LBPolicy = site.Sticky })
	_, first := r.get("https://app.test/")
	for range 10 {
		if _, body := r.get("https://app.test/"); body != first {
			t.Fatalf("the same client is with %s and %s", first, body)
		}
	}
	// Another browser at the same address, which has been with another target.
	var cookie *http.Cookie
	res, _ := r.get("https://app.test/")
	for _, c := range res.Cookies() {
		if c.Name == stickyCookie {
			cookie = c
		}
	}
	if cookie == nil || !cookie.Secure || !cookie.HttpOnly || len(cookie.Value) != 8 {
		t.Fatalf("the cookie is %+v", cookie)
	}
	seen := map[string]bool{}
	for name, m := range members {
		value := fmt.Sprintf("%08x", r.Edge.placeOf("app.test", "http://"+m.at))
		for range 3 {
			res, body := r.get("https://app.test/", header("Cookie", stickyCookie+"="+value+"; theme=dark"))
			if !strings.HasPrefix(body, name) {
				t.Errorf("a cookie for %s leads to %s", name, body)
			}
			if res.Header.Get("X-Cookie") != "theme=dark" {
				t.Errorf("the target sees %q", res.Header.Get("X-Cookie"))
			}
			seen[body] = true
		}
	}
	for _, bad := range []string{"ffffffff", "0", "../../x", strings.Repeat("f", 9)} {
		if res, body := r.get("https://app.test/", header("Cookie", stickyCookie+"="+bad)); res.StatusCode != http.StatusOK || body != first {
			t.Errorf("%s leads to %d %s", bad, res.StatusCode, body)
		}
	}
	members[strings.Fields(first)[0]].down()
	if _, body := r.get("https://app.test/", header("Cookie", cookie.Name+"="+cookie.Value)); body == first || body == "" {
		t.Errorf("its target is gone: %s", body)
	}
	if len(seen) != 4 {
		t.Errorf("seen: %v", seen)
	}
}

// TestSessionsStayWithTheTargetThatBeganThem, on whatever node the next request
// arrives: the session's id says where.
func TestSessionsStayWithTheTargetThatBeganThem(t *testing.T) {
	gate := func() Options {
		return Options{MCP: mcpgate.New(mcpgate.Options{Recorder: drop{}, SessionKey: make([]byte, 32)})}
	}
	one, members := team(t, gate(), "abcd", guarded, func(p *site.Proxy) { p.MCPEnabled, p.ResourceStateful = true, true })
	two := newRig(t, gate(), to("app.test", "", guarded, func(p *site.Proxy) {
		p.MCPEnabled, p.ResourceStateful = true, true
		for _, name := range "abcd" {
			p.Targets = append(p.Targets, site.WeightedTarget{URL: "http://" + members[string(name)].at, Weight: 1})
		}
	}))
	alice := &principal.Principal{Subject: "github:1", User: "alice", Scopes: []string{"mcp"}, ClientID: "c", Resource: "https://app.test"}
	for _, r := range []*rig{one, two} {
		r.gate.decide(func(*site.Visit, *http.Request) site.Verdict { return site.Verdict{Step: 9, Principal: alice} })
	}
	post := func(r *rig, body, session string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://app.test/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
		}
		return do(t, r.client(), req)
	}
	homes := map[string]bool{}
	for range 8 {
		res, body := post(one, `{"id":1,"method":"initialize"}`, "")
		home, id := strings.Fields(body)[0], res.Header.Get("Mcp-Session-Id")
		homes[home] = true
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				r := []*rig{one, two}[i%2]
				if _, body := post(r, `{"id":2,"method":"ping"}`, id); !strings.HasPrefix(body, home+" ") || !strings.HasSuffix(body, "session-of-"+home) {
					t.Errorf("a session of %s reaches %s", home, body)
				}
			})
		}
		all.Wait()
	}
	if len(homes) < 2 {
		t.Errorf("sessions begin at %v alone", homes)
	}
}

// TestRendezvousMovesOnlyWhoMust: when a target goes, the clients of others stay.
func TestRendezvousMovesOnlyWhoMust(t *testing.T) {
	e := &Edge{}
	k := &picker{sticky: true, sessions: true, nobody: &target{}}
	for i := range 5 {
		k.add(&target{value: fmt.Sprint(i), place: e.placeOf("h", fmt.Sprint(i)), health: &health{}}, 1+i)
	}
	count := map[string]int{}
	before := map[uint64]*target{}
	for client := range uint64(15000) {
		c := mix(client)
		before[c] = k.pick(choice{client: c})
		count[before[c].value]++
	}
	for i, weight := range []int{1000, 2000, 3000, 4000, 5000} {
		if n := count[fmt.Sprint(i)]; n < weight*8/10 || n > weight*12/10 {
			t.Errorf("target %d has %d clients of 15000, not about %d", i, n, weight)
		}
	}
	k.targets[2].health.down.Store(true)
	for c, was := range before {
		if now := k.pick(choice{client: c}); now != was && was != k.targets[2] || now == k.targets[2] {
			t.Fatalf("client %x moves from %s to %s", c, was.value, now.value)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	single := &picker{targets: []*target{{}}}
	three := &picker{nobody: &target{}}
	for i := range 3 {
		three.add(&target{value: fmt.Sprint(i), health: &health{}}, 1)
	}
	for name, k := range map[string]*picker{"single": single, "three": three} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.pick(choice{now: 1})
			}
		})
	}
}
