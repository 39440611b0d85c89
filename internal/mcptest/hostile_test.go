package mcptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

// hostile is a server that answers initialize as it should and everything else by bad.
func hostile(t *testing.T, bad http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.Unmarshal(body, &m)
		switch m.Method {
		case "initialize":
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"%s","version":"1"}}}`, m.ID, `evil\u001b[2J\u202e`)
		case "notifications/initialized":
			w.WriteHeader(http.StatusAccepted)
		default:
			r.Body = io.NopCloser(bytes.NewReader(body))
			bad(w, r)
		}
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func attack(t *testing.T, s *httptest.Server, o Options) (*Report, time.Duration) {
	t.Helper()
	o.URL, o.Transport, o.Pause, o.Protocol, o.listen = s.URL, newTransport(t), 1, v2511, 30*time.Millisecond
	if o.Timeout == 0 {
		o.Timeout = 200 * time.Millisecond
	}
	began := time.Now()
	report, err := Test(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report, time.Since(began)
}

// TestNoServerHoldsTheTesterUp has servers that never end what they begin. Whatever
// they do, the test comes to its end, by giving up.
func TestNoServerHoldsTheTesterUp(t *testing.T) {
	forever := func(w http.ResponseWriter, r *http.Request, media, piece string) {
		w.Header().Set("Content-Type", media)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
			if f, ok := w.(http.Flusher); ok && len(piece) < 100 {
				f.Flush()
				<-time.After(20 * time.Millisecond)
			}
		}
	}
	for name, bad := range map[string]http.HandlerFunc{
		"says nothing":          func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"says a byte at a time": func(w http.ResponseWriter, r *http.Request) { forever(w, r, "application/json", " ") },
		"streams comments":      func(w http.ResponseWriter, r *http.Request) { forever(w, r, "text/event-stream", ": alive\n\n") },
		"streams other messages": func(w http.ResponseWriter, r *http.Request) {
			forever(w, r, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n")
		},
		"sends a line for ever": func(w http.ResponseWriter, r *http.Request) {
			forever(w, r, "text/event-stream", strings.Repeat("x", 64<<10))
		},
		"sends a body for ever": func(w http.ResponseWriter, r *http.Request) {
			forever(w, r, "application/json", strings.Repeat("[", 64<<10))
		},
		"sends events for ever": func(w http.ResponseWriter, r *http.Request) {
			forever(w, r, "text/event-stream", strings.Repeat("data: 1\n\n", 8<<10))
		},
		"redirects to the inside": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, took := attack(t, hostile(t, bad), Options{Token: goodToken})
			if report.Totals.Failed == 0 {
				t.Error("nothing has failed")
			}
			if took > 90*time.Second {
				t.Errorf("it took %s", took)
			}
			if len(report.Results) < 80 {
				t.Errorf("the report has %d results", len(report.Results))
			}
		})
	}
}

func TestAHugeAnswerDoesNotFillTheMemory(t *testing.T) {
	megabyte := bytes.Repeat([]byte(`"xxxxxxxx",`), 100000)
	s := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[`)
		for range 2000 {
			if _, err := w.Write(megabyte); err != nil {
				return
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report, _ := attack(t, s, Options{Category: ToolsBasic, Timeout: 20 * time.Second})
	runtime.ReadMemStats(&after)
	if report.OK() || !strings.Contains(fmt.Sprint(report.Results), "more than") {
		t.Errorf("%+v", report.Results)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 400<<20 {
		t.Errorf("%d MiB were used", grown>>20)
	}
}

// tells answers any request with a result.
func tells(result string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var m struct{ ID json.RawMessage }
		_ = json.NewDecoder(r.Body).Decode(&m)
		if m.ID == nil {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
	}
}

// TestTextsOfAServerAreNeverObeyed: escape sequences, line ends and reversed text do not
// get into any part of a report, and the token neither, which the server says back.
func TestTextsOfAServerAreNeverObeyed(t *testing.T) {
	bad := `evil\u001b]0;x\u0007\u202e\n\r\u009b31m` + goodToken
	s := hostile(t, tells(`{"tools":[{"name":"`+bad+`","inputSchema":{"type":"`+bad+`"}},{"name":"`+bad+`","inputSchema":{"type":"object","$ref":"`+bad+`"}}],"content":[{"type":"`+bad+`"}]}`))
	report, _ := attack(t, s, Options{Token: goodToken})
	raw, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := report.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	texts := b.String() + string(raw)
	for _, res := range report.Results {
		texts += res.Detail
		if strings.ContainsAny(res.Detail, "\x1b\n\r\u0007\u202e\u009b") {
			t.Errorf("%s: %q", res.Check, res.Detail)
		}
	}
	if strings.ContainsAny(texts, "\x1b\u202e\u009b") || strings.Contains(texts, goodToken) || strings.Contains(texts, goodToken[:len(goodToken)/2]) {
		t.Errorf("the report holds what it must not:\n%s", texts)
	}
	if !strings.Contains(texts, "[token]") {
		t.Error("the server did not say the token back: this test checks nothing")
	}
}

// TestGiantAndEndlessSchemasAreNotFollowed: a schema that refers to itself would take
// all of the stack, one that doubles all of the time.
func TestGiantAndEndlessSchemasAreNotFollowed(t *testing.T) {
	double := `{"type":"object","$defs":{`
	for i := range 40 {
		double += fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	double += `"d40":{}},"$ref":"#/$defs/d0"}`
	for name, schema := range map[string]string{
		"itself":  `{"type":"object","$ref":"#"}`,
		"in turn": `{"type":"object","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}`,
		"doubled": double,
		"remote":  `{"type":"object","properties":{"a":{"$ref":"http://127.0.0.1:1/x"}}}`,
		"deep":    strings.Repeat(`{"type":"object","properties":{"a":`, 500) + "{}" + strings.Repeat("}}", 500),
		"dynamic": `{"type":"object","$dynamicAnchor":"x","properties":{"a":{"$dynamicRef":"#x"}}}`,
	} {
		if err := conforms(json.RawMessage(schema), json.RawMessage(`{"a":{"a":{}}}`)); !errors.Is(err, errNotChecked) {
			t.Errorf("%s: %v", name, err)
		}
		s := hostile(t, tells(`{"content":[],"structuredContent":{"a":1},"tools":[{"name":"t","description":"d","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object"},"outputSchema":`+schema+`}]}`))
		if _, took := attack(t, s, Options{Category: ToolsAdvanced, Timeout: 5 * time.Second}); took > 30*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	if err := conforms(json.RawMessage(`{"type":"object","$defs":{"n":{"type":"integer"}},"properties":{"a":{"$ref":"#/$defs/n"}}}`), json.RawMessage(`{"a":"x"}`)); err == nil || errors.Is(err, errNotChecked) {
		t.Errorf("an ordinary schema: %v", err)
	}
}

// TestARedirectIsNeverFollowedAndTheTokenStaysHome counts what reaches a second
// server, to which the first points by redirect, challenge and metadata.
func TestARedirectIsNeverFollowedAndTheTokenStaysHome(t *testing.T) {
	var reached []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = append(reached, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(other.Close)
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/moved" {
			http.Redirect(w, r, other.URL+"/mcp", http.StatusPermanentRedirect)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+other.URL+`/.well-known/oauth-protected-resource"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(first.Close)
	_, err := Test(t.Context(), Options{URL: first.URL + "/moved", Transport: newTransport(t), Token: goodToken})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "redirects") || len(reached) > 0 {
		t.Errorf("%v, reached %v", err, reached)
	}
	report, err := Test(t.Context(), Options{URL: first.URL + "/mcp", Transport: newTransport(t), Token: goodToken})
	if err != nil || !report.SignIn {
		t.Fatalf("%v %+v", err, report)
	}
	if len(reached) == 0 {
		t.Error("the metadata was not asked for: this test checks nothing")
	}
	for _, r := range reached {
		if !strings.HasSuffix(r, " ") || !strings.HasPrefix(r, "GET /.well-known/") {
			t.Errorf("the other server was asked %s", r)
		}
	}
}

func TestMetadataIsNotAskedForInsideANetwork(t *testing.T) {
	r, err := newRun(Options{URL: "https://mcp.example.com/mcp", Transport: newTransport(t)})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"https://mcp.example.com/.well-known/x": true, "https://auth.example.com/x": true, "http://auth.example.com/x": false,
		"http://localhost:9000/x": false, "https://127.0.0.1/x": false, "https://auth.localhost/x": false, "http://[::1]/x": false,
	} {
		if got := r.fetchable(at); got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
}

func TestATokenIsNotSentInClear(t *testing.T) {
	_, err := Test(t.Context(), Options{URL: "http://mcp.example.com/mcp", Transport: newTransport(t), Token: goodToken})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "mcp.example.com", "ftp://x/mcp", "https://user:pass@x/mcp", "https://x/mcp#a"} {
		if _, err := Test(t.Context(), Options{URL: bad, Transport: newTransport(t)}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestOnlyToolsThatReadAreCalled: destroy panics when it is called with arguments that
// it takes; named, it is.
func TestOnlyToolsThatReadAreCalled(t *testing.T) {
	var mu sync.Mutex
	var called []string
	g := newGood(t, heading(func(_ *http.Request, body string) {
		var m struct {
			Method string
			Params struct{ Name string }
		}
		if json.Unmarshal([]byte(body), &m) == nil && m.Method == "tools/call" {
			mu.Lock()
			defer mu.Unlock()
			called = append(called, m.Params.Name)
		}
	})())
	g.test(t, Options{Protocol: v2511, Category: ToolsBasic})
	g.test(t, Options{Protocol: v2511, Category: ToolsAdvanced})
	if s := strings.Join(called, " "); strings.Contains(s, "destroy") || !strings.Contains(s, "echo") {
		t.Errorf("called: %s", s)
	}
	called = nil
	g.test(t, Options{Protocol: v2511, Category: ToolsBasic, Tools: []string{"echo"}})
	if s := strings.Join(called, " "); strings.Contains(s, "count") || !strings.Contains(s, "echo") {
		t.Errorf("with echo named: %s", s)
	}
}

func FuzzReadMessages(f *testing.F) {
	for _, s := range []string{`{"jsonrpc":"2.0","id":1,"result":{}}`, `[{"id":null},1,"x"]`, `{"error":{"code":"1"}}`, "", "\ufeff{}", `{"id":{"a":[[]]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var seen passive
		seen.wrong, seen.events = map[string]string{}, map[string]bool{}
		for _, m := range readMessages(body) {
			seen.message(&m)
		}
		for _, why := range seen.wrong {
			if strings.ContainsAny(why, "\x00\x1b\n\r") || len(why) > 4*maxQuoted+100 {
				t.Errorf("%q", why)
			}
		}
	})
}

func FuzzReadEvents(f *testing.F) {
	for _, s := range []string{"data: x\n\n", "id: 1\r\ndata\r\rdata: y\n\n", ":\n\nretry: 1\n\n", "\ufeffevent: a\ndata: b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n := 0
		_ = readEvents(bytes.NewReader(body), func(e event) bool {
			n++
			if strings.ContainsAny(e.id+e.name+e.retry, "\r\n") {
				t.Errorf("%+v", e)
			}
			return n < 5
		})
		if n > 5 {
			t.Error("it went on")
		}
	})
}

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{`Bearer realm="a", scope="b c"`, `Basic, Bearer x=y`, `Bearer a="\"`, `=`, `Negotiate YWJj==`} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, value string) { readChallenges([]string{value, value}) })
}

func TestChallengesAreParsedAsTheyAreWritten(t *testing.T) {
	all, ok := readChallenges([]string{`Basic realm="x", Bearer resource_metadata="https://a/b", scope="a \"b\"" , error=invalid_token`})
	if !ok || len(all) != 2 || all[1].params["scope"] != `a "b"` || all[1].params["error"] != "invalid_token" || all[1].scheme != "bearer" {
		t.Errorf("%v %+v", ok, all)
	}
	for _, bad := range []string{`Bearer scope="a`, `Bearer scope=a b"`, `Bearer a="1", a="2"`, `"Bearer"`} {
		if _, ok := readChallenges([]string{bad}); ok {
			t.Errorf("%s is well-formed", bad)
		}
	}
}
