package mcpgate

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

type entries []*journal.Entry

func (e *entries) Write(entry *journal.Entry) { *e = append(*e, entry) }

var alice = &principal.Principal{Subject: "local:1", User: "local:alice", ClientID: "c", Scopes: []string{"mcp"}, Resource: "https://shop.test/mcp"}

// shop is a host at whose endpoint alice is, with one rule: nothing secret.
func shop(change ...func(*site.Proxy)) (*site.Visit, *Rules) {
	p := site.Default("shop.test")
	p.TargetURL, p.MCPEnabled, p.ResourceEndpoint = "http://127.0.0.1:1", true, "/mcp"
	p.MCPTools = []site.MCPRule{{Tools: []string{"secret*"}, Action: site.MCPDeny}}
	for _, c := range change {
		c(&p)
	}
	v := &site.Visit{Host: &site.Host{Proxy: p}, Name: "shop.test", Path: site.ParsePath("/mcp"), Origin: "https://shop.test", Client: netip.MustParseAddr("192.0.2.1")}
	v.Verdict.Principal = alice
	return v, Compile(&p)
}

// opens is what becomes of a request; body "" is none.
func (g *Gate) opens(t *testing.T, v *site.Visit, rules *Rules, method, body string, headers ...string) (*Pass, *Refusal) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://shop.test/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Accept": {"application/json, text/event-stream"}, "Accept-Encoding": {"gzip"}, "Content-Type": {"application/json"}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header[name] = []string{value}
	}
	q := Request{Visit: v, HTTP: r, Rules: rules, Patience: func() func() { return func() {} }}
	if body != "" {
		q.Body = iotest.OneByteReader(r.Body)
	}
	p, refused, err := g.Open(q)
	if err != nil {
		t.Fatal(err)
	}
	if p != nil {
		t.Cleanup(p.Close)
		if rules != nil && r.Header.Get("Accept-Encoding") != "identity" {
			t.Error("the answer may come encoded")
		}
	}
	return p, refused
}

func gate() *Gate { return New(Options{Recorder: &entries{}, SessionKey: make([]byte, 32)}) }

const readCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{}}}`

// A backend that opens its stream for any method, or brings the answer to one
// request with that to another, shows no denied tool.
func TestEveryStreamIsFilteredWhateverOpenedIt(t *testing.T) {
	for _, c := range []struct{ path, method, body string }{
		{"/mcp", "GET", ""}, {"/mcp", "POST", ""}, {"/mcp", "PUT", ""}, {"/sse", "POST", ""}, {"/sse", "GET", ""},
		{"/mcp", "POST", `{"jsonrpc":"2.0","id":1,"method":"ping"}`}, {"/sse", "POST", `{"jsonrpc":"2.0","id":1,"method":"ping"}`},
		{"/mcp", "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
		{"/mcp", "POST", `[` + readCall + `,{"jsonrpc":"2.0","id":2,"method":"tools/list"}]`},
		{"/sse", "PATCH", "no message"},
	} {
		v, rules := shop()
		v.Path = site.ParsePath(c.path)
		p, refused := gate().opens(t, v, rules, c.method, c.body)
		if refused != nil {
			t.Fatalf("%+v: %+v", c, refused)
		}
		h := http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}, "Content-Length": {"99"}}
		if hold, err := p.Begin(200, 0, h); hold || err != nil || h.Get("Content-Length") != "" {
			t.Fatalf("%+v: %v %v %v", c, hold, err, h)
		}
		out, err := p.Write([]byte("data: " + listed + "\n\n"))
		if err != nil || strings.Contains(string(out), "secret") || !strings.Contains(string(out), `"a"`) {
			t.Errorf("%+v: %q %v", c, out, err)
		}
	}
}

// The answer to calls streams through, however large, and ends where it lists tools.
func TestAStreamForCallsEndsWhereItListsTools(t *testing.T) {
	for _, path := range []string{"/mcp", "/sse"} {
		v, rules := shop()
		v.Path = site.ParsePath(path)
		p, _ := gate().opens(t, v, rules, "POST", readCall)
		if hold, err := p.Begin(200, 0, http.Header{"Content-Type": {"text/event-stream"}}); hold || err != nil {
			t.Fatal(hold, err)
		}
		begin := `data: {"id":1,"result":{"content":[{"text":"` + strings.Repeat("x", 1<<20)
		if out, err := p.Write([]byte(begin)); err != nil || string(out) != begin {
			t.Fatalf("an answer is held back: %d bytes, %v", len(out), err)
		}
		end := "\"tools\":[{\\\"name\\\":1}]\"}]}}\r\n\r\n"
		if out, err := p.Write([]byte(strings.Replace(end, `"tools"`, `\"tools\"`, 1))); err != nil || len(out) == 0 {
			t.Fatalf("text about tools ends it: %v", err)
		}
		var got []byte
		var err error
		for _, c := range []byte("event: message\r\ndata: " + listed + "\r\n\r\n") {
			var out []byte
			if out, err = p.Write([]byte{c}); err != nil {
				break
			}
			got = append(got, out...)
		}
		if err == nil || strings.Contains(string(got), "secret") {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestAnswersThatCanNotBeJudgedAreNotPassedOn(t *testing.T) {
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, c := range []struct{ body, kind string }{{list, "application/json"}, {list, "text/event-stream"}, {readCall, "text/event-stream"}} {
		v, rules := shop()
		p, _ := gate().opens(t, v, rules, "POST", c.body)
		if _, err := p.Begin(200, 0, http.Header{"Content-Type": {c.kind}, "Content-Encoding": {"br"}}); !errors.Is(err, errEncoded) {
			t.Errorf("%+v, encoded: %v", c, err)
		}
	}
	for _, held := range []string{"\x1f\x8b{", `for(;;);` + listed, "data: " + listed, listed + listed, `{"result":{"tools":[{"name":"secret"}`} {
		v, rules := shop()
		p, _ := gate().opens(t, v, rules, "POST", list)
		if hold, err := p.Begin(200, 0, http.Header{"Content-Type": {"text/plain"}}); !hold || err != nil {
			t.Fatal(hold, err)
		}
		if err := p.Hold([]byte(held)); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Finish(); err == nil && strings.Contains(string(got), "tools") {
			t.Errorf("%q is passed on as %q", held, got)
		}
	}
}

// Whoever announces much and sends slowly keeps little from others, and what was
// taken comes back.
func TestRoomIsTakenAsItIsUsed(t *testing.T) {
	g := gate()
	v, rules := shop()
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "https://shop.test/mcp", reader)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = MaxBody
	var p *Pass
	done := make(chan error, 1)
	go func() {
		var err error
		p, _, err = g.Open(Request{Visit: v, HTTP: r, Rules: rules, Body: reader, Patience: func() func() { return func() {} }})
		done <- err
	}()
	if _, err := writer.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	if held := g.held.Load(); held > pieceSize {
		t.Errorf("one byte takes %d", held)
	}
	if _, err := writer.Write([]byte(`"method":"ping","params":{"x":"` + strings.Repeat("y", 1<<20) + `"}}`)); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if held := g.held.Load(); held < 1<<20 || held > 3<<20 {
		t.Errorf("1 MiB takes %d", held)
	}
	if _, err := p.Begin(200, 0, http.Header{"Content-Type": {"text/event-stream"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("data: " + strings.Repeat("x", 1<<20))); err != nil || g.held.Load() < 2<<20 {
		t.Errorf("an event that is held back is not counted: %d, %v", g.held.Load(), err)
	}
	p.Close()
	if held := g.held.Load(); held != 0 {
		t.Errorf("%d bytes did not come back", held)
	}
}

func TestRoomHasAnEnd(t *testing.T) {
	g := gate()
	g.held.Store(maxHeld)
	v, rules := shop()
	if _, refused := g.opens(t, v, rules, "POST", readCall); refused == nil || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v", refused)
	}
}

func TestBodiesOfExactlyTheBoundPass(t *testing.T) {
	body := func(size int) string {
		return strings.Replace(readCall, `"arguments":{}`, `"arguments":{"x":"`+strings.Repeat("y", size-len(readCall)-len(`"x":""`))+`"}`, 1)
	}
	for size, status := range map[int]int{MaxBody - 1: 0, MaxBody: 0, MaxBody + 1: http.StatusRequestEntityTooLarge} {
		for _, length := range []int64{int64(size), -1} {
			v, rules := shop()
			r, err := http.NewRequestWithContext(t.Context(), "POST", "https://shop.test/mcp", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = length
			p, refused, err := gate().Open(Request{Visit: v, HTTP: r, Rules: rules, Body: strings.NewReader(body(size)), Patience: func() func() { return func() {} }})
			if err != nil || (refused != nil) != (status != 0) || (refused != nil && refused.Status != status) {
				t.Errorf("%d bytes, announced %d: %+v %v", size, length, refused, err)
			}
			if got, judged := p.Body(); status == 0 && (!judged || len(got) != size) {
				t.Errorf("%d bytes, announced %d: %d go on", size, length, len(got))
			}
		}
	}
}

func TestRatesAreOfEachPersonAndTool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate()
		v, rules := shop(func(p *site.Proxy) {
			p.MCPTools = []site.MCPRule{{Tools: []string{"*"}, Action: site.MCPAllow, Rate: "2/minute"}}
		})
		call := func(who *principal.Principal, tool string) *Refusal {
			at := *v
			at.Verdict.Principal = who
			_, refused := g.opens(t, &at, rules, "POST", strings.Replace(readCall, "read", tool, 1))
			return refused
		}
		bob := &principal.Principal{Subject: "local:2", User: "local:bob"}
		for i, c := range []struct {
			who  *principal.Principal
			tool string
			ok   bool
		}{{alice, "read", true}, {alice, "read", true}, {alice, "read", false}, {alice, "write", true}, {bob, "read", true}, {nil, "read", true}} {
			if got := call(c.who, c.tool); (got == nil) != c.ok {
				t.Errorf("call %d: %+v", i, got)
			}
		}
		got := call(alice, "read")
		if got == nil || got.RetryAfter <= 0 || got.RetryAfter > 30*time.Second || !strings.Contains(string(got.Body), "retry_after_seconds") {
			t.Fatalf("%+v", got)
		}
		time.Sleep(got.RetryAfter)
		if got := call(alice, "read"); got != nil {
			t.Errorf("after the wait that it was told: %s", got.Body)
		}
		if call(alice, "read") == nil {
			t.Error("a wait gives more than its share")
		}
	})
}

func TestRatesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rates
		for n := range rateShards * maxRates * 2 {
			r.take(rateKey{who: string(rune(n)), tool: "x" + time.Duration(n).String()}, 1, time.Hour, time.Now())
		}
		for i := range r.shards {
			if len(r.shards[i].all) > maxRates {
				t.Fatalf("a shard remembers %d", len(r.shards[i].all))
			}
		}
		time.Sleep(2 * time.Hour)
		if wait := r.take(rateKey{who: "late"}, 1, time.Hour, time.Now()); wait != 0 {
			t.Error("what is full again still takes room")
		}
	})
}

// A session is its owner's: same person, same client, same resource.
func TestSessionsAreTheirOwners(t *testing.T) {
	g := gate()
	v, _ := shop()
	h := http.Header{"Mcp-Session-Id": {"abc~def"}}
	g.markSession(v, 7, h)
	id := h.Get("Mcp-Session-Id")
	for name, who := range map[string]principal.Principal{
		"alice":            *alice,
		"another person":   {Subject: "local:2", ClientID: "c", Resource: alice.Resource},
		"another client":   {Subject: "local:1", ClientID: "d", Resource: alice.Resource},
		"another resource": {Subject: "local:1", ClientID: "c", Resource: "https://other.test/mcp"},
	} {
		at := *v
		at.Verdict.Principal = &who
		h := http.Header{"Mcp-Session-Id": {id}}
		if got := g.takeSession(&at, h); got != (name == "alice") || (got && h.Get("Mcp-Session-Id") != "abc~def") {
			t.Errorf("%s: %v %v", name, got, h)
		}
	}
	other := New(Options{Recorder: &entries{}, SessionKey: []byte("another installation's key, here")})
	if other.takeSession(v, http.Header{"Mcp-Session-Id": {id}}) {
		t.Error("the mark of another key counts")
	}
	for _, ids := range [][]string{{"abc~def"}, {""}, {id, id}, {id + "A"}, {id + "="}, {"~"}} {
		if g.takeSession(v, http.Header{"Mcp-Session-Id": ids}) {
			t.Errorf("%q is a session", ids)
		}
	}
}
