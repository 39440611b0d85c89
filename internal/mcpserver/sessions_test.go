package mcpserver

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/fault"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

func (s *system) begin(caller string) string {
	s.t.Helper()
	res, body := s.raw(caller, "POST", initialize)
	id := res.Header.Get("Mcp-Session-Id")
	if res.StatusCode != http.StatusOK || !regexp.MustCompile(`^[!-~]{26,}$`).MatchString(id) {
		s.t.Fatalf("%d %q %s", res.StatusCode, id, body)
	}
	return id
}

func TestASessionIsItsOwnersAlone(t *testing.T) {
	s := newSystem(t)
	id := s.begin("admin")
	list := `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
	for _, thief := range []string{"user", "admin2", "anothers", "nowhere"} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			if res, body := s.raw(thief, method, list, "Mcp-Session-Id", id, "Mcp-Protocol-Version", "2025-11-25"); res.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s: %d %s", thief, method, res.StatusCode, body)
			}
		}
	}
	if res, _ := s.raw("nobody", "POST", list, "Mcp-Session-Id", id); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody: %d", res.StatusCode)
	}
	if res, body := s.raw("admin", "POST", list, "Mcp-Session-Id", id); res.StatusCode != http.StatusOK || !strings.Contains(body, "create_proxy") {
		t.Errorf("its owner after that: %d %s", res.StatusCode, body)
	}
	if res, _ := s.raw("admin", "DELETE", "", "Mcp-Session-Id", id); res.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %d", res.StatusCode)
	}
	if res, _ := s.raw("admin", "POST", list, "Mcp-Session-Id", id); res.StatusCode != http.StatusNotFound {
		t.Errorf("after its end: %d", res.StatusCode)
	}
}

// TestRightsAreThoseOfTheRequestNotOfTheSession: the SDK keeps the context of the
// request that opened a session; what counts is who asks now.
func TestRightsAreThoseOfTheRequestNotOfTheSession(t *testing.T) {
	s := newSystem(t)
	id := s.begin("admin")
	create := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"create_proxy","arguments":{"proxy_hostname":"a.localhost","target_url":"internal:demo"}}}`
	res, body := s.raw("narrow", "POST", create, "Mcp-Session-Id", id)
	want := `Bearer error="insufficient_scope", error_description="this needs the scope admin", ` +
		`resource_metadata="http://localhost/.well-known/oauth-protected-resource/mcp", scope="user mcp admin"`
	if res.StatusCode != http.StatusForbidden || res.Header.Get("WWW-Authenticate") != want || !strings.Contains(body, "needs the scope admin") {
		t.Errorf("with a narrower token of the same person and client: %d %s %s", res.StatusCode, res.Header.Get("WWW-Authenticate"), body)
	}
	if _, body := s.raw("admin", "POST", create, "Mcp-Session-Id", id); !strings.Contains(body, `"a.localhost"`) {
		t.Errorf("with the wider one: %s", body)
	}
}

func TestAClientIsToldWhenItsToolsChange(t *testing.T) {
	s := newSystem(t)
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) {
			told := make(chan struct{}, 10)
			c := s.connect("anothers", version, &mcp.ClientOptions{ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { told <- struct{}{} }})
			_ = names(t, c)
			waitFor(t, func() bool { return len(s.server.sessions.watched()) > 0 })
			s.mu.Lock()
			s.cut["local:bob"] = []string{"mcp"}
			s.mu.Unlock()
			select {
			case <-told:
			case <-time.After(10 * time.Second):
				t.Error("nobody told the client")
			}
			s.mu.Lock()
			delete(s.cut, "local:bob")
			s.mu.Unlock()
		})
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s, now := newSessions(), time.Now()
	s.ends.Go(func() {})
	server := mcp.NewServer(&mcp.Implementation{Name: "t"}, nil)
	add := func(id, subject string) error {
		return s.add(&session{id: id, owner: subject, subject: subject, server: server}, now)
	}
	for i := range maxOfOne {
		if err := add(strconv.Itoa(i), "ann"); err != nil {
			t.Fatal(err)
		}
	}
	if err := add("more", "ann"); !fault.Is(err, fault.TooMany) {
		t.Errorf("one too many in use: %v", err)
	}
	s.release(s.all["7"], now.Add(time.Minute))
	s.release(s.all["3"], now)
	if err := add("more", "ann"); err != nil || s.all["3"] != nil || s.all["7"] == nil {
		t.Errorf("the one unused for longest did not give way: %v", err)
	}
	for i := len(s.all); i < maxSessions; i++ {
		if err := add("x"+strconv.Itoa(i), "p"+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := add("last", "bob"); err != nil || s.all["7"] != nil || len(s.all) != maxSessions {
		t.Errorf("in all: %v, %d", err, len(s.all))
	}
	if err := add("beyond", "carl"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("all in use: %v", err)
	}
}

func TestIdleSessionsEndAndUsedOnesDoNot(t *testing.T) {
	s, now := newSessions(), time.Now()
	for _, id := range []string{"used", "idle"} {
		if err := s.add(&session{id: id, owner: "o", subject: "o"}, now.Add(-2*idleTime)); err != nil {
			t.Fatal(err)
		}
	}
	s.release(s.all["idle"], now.Add(-idleTime-time.Second))
	if gone := s.idle(now.Add(-idleTime)); len(gone) != 1 || gone[0].id != "idle" || s.use("idle", "o") != nil || s.use("used", "o") == nil {
		t.Errorf("ended: %v", gone)
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	s := newSystem(t)
	id := s.begin("admin")
	for _, c := range []struct {
		name, body string
		status     int
		headers    []string
	}{
		{"too large", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", maxBody) + `"}}`, 413, []string{"Mcp-Session-Id", id}},
		{"no session", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 400, nil},
		{"two sessions in a list", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 404, []string{"Mcp-Session-Id", id + "," + id}},
		{"no JSON", `{`, 400, []string{"Mcp-Session-Id", id}},
		{"unknown version", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 400, []string{"Mcp-Session-Id", id, "Mcp-Protocol-Version", "2024-01-01"}},
		{"header without its name", modern("tools/list", ""), 400, []string{"Mcp-Protocol-Version", "2026-07-28"}},
		{"another method in the header", modern("tools/list", ""), 400, []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "ping"}},
		{"another tool in the header", modern("tools/call", `,"name":"delete_proxy","arguments":{"hostname":"a"}`), 400,
			[]string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "echo"}},
		{"version in the body alone", modern("tools/list", ""), 400, []string{"Mcp-Method", "tools/list"}},
	} {
		if res, body := s.raw("admin", "POST", c.body, c.headers...); res.StatusCode != c.status {
			t.Errorf("%s: %d, want %d: %.200s", c.name, res.StatusCode, c.status, body)
		}
	}
}

func modern(method, more string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}` + more + `}}`
}

// TestAStreamIsResumed: what a client missed is sent again from the event that it
// names, to the session's owner alone.
func TestAStreamIsResumed(t *testing.T) {
	s := newSystem(t)
	id := s.begin("admin")
	_, body := s.raw("admin", "POST", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"once more"}}}`,
		"Mcp-Session-Id", id, "Mcp-Protocol-Version", "2025-11-25")
	event := regexp.MustCompile(`(?m)^id: (\S+)`).FindStringSubmatch(body)
	if event == nil || !strings.Contains(body, "once more") {
		t.Fatalf("no event to begin at: %s", body)
	}
	resume := []string{"Mcp-Session-Id", id, "Mcp-Protocol-Version", "2025-11-25", "Last-Event-ID", event[1]}
	if res, again := s.raw("admin", "GET", "", resume...); res.StatusCode != http.StatusOK || !strings.Contains(again, "once more") {
		t.Errorf("resumed: %d %s", res.StatusCode, again)
	}
	if res, _ := s.raw("user", "GET", "", resume...); res.StatusCode != http.StatusNotFound {
		t.Errorf("by another: %d", res.StatusCode)
	}
}

func TestEventsAreBounded(t *testing.T) {
	e, ctx := newEvents(), t.Context()
	for i := range 3 * keptStreams {
		id := strconv.Itoa(i)
		if err := e.Open(ctx, "s", id); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if err := e.Append(ctx, "s", id, make([]byte, keptBytes/16)); err != nil {
				t.Fatal(err)
			}
		}
	}
	h := e.sessions["s"]
	if len(h.streams) > keptStreams || h.bytes > keptBytes || e.bytes != h.bytes {
		t.Errorf("%d streams, %d bytes, %d in all", len(h.streams), h.bytes, e.bytes)
	}
	for _, err := range e.After(ctx, "s", "0", -1) {
		if err == nil {
			t.Error("part of what was forgotten is given as all")
		}
	}
	if err := e.SessionClosed(ctx, "s"); err != nil || e.bytes != 0 {
		t.Errorf("%v, %d bytes are left", err, e.bytes)
	}
}

func FuzzRecognize(f *testing.F) {
	f.Add("2025-11-25", []byte(initialize))
	f.Add("", []byte(modern("tools/list", "")))
	f.Fuzz(func(t *testing.T, version string, body []byte) {
		m := recognize(version, body)
		if version >= sessionless && !m.stateless {
			t.Error("a version without sessions is taken for one with them")
		}
		_ = plainID(m.id)
	})
}
