package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/api/client"
	"gatehouse/internal/fault"
)

// serve is an API that answers with h, reached under name.
func serve(t *testing.T, name string, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "127.0.0.1", name, 1)
}

func ask(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLocalhostNamesReachThisMachineWithoutAResolver(t *testing.T) {
	for _, name := range []string{"localhost", "auth.localhost", "DEEP.app.localhost"} {
		url := serve(t, name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"status":"healthy"}`))
		})
		var out struct{ Status string }
		if err := ask(t, client.Options{URL: url}).Do(t.Context(), client.Request{Method: "GET", Path: "/health"}, &out); err != nil || out.Status != "healthy" {
			t.Errorf("%s: %v, %+v", name, err, out)
		}
	}
}

func TestAnswersComeAsTheyAre(t *testing.T) {
	const answer = `{"items": [ {"b":1,"a":12345678901234567890} ], "cursor":""}`
	url := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte(answer))
	})
	var raw json.RawMessage
	if err := ask(t, client.Options{URL: url}).Do(t.Context(), client.Request{Method: "GET", Path: "/proxies/"}, &raw); err != nil || string(raw) != answer {
		t.Fatalf("%s, %v", raw, err)
	}
}

func TestRequestsSayWhatTheServerReads(t *testing.T) {
	url := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || r.URL.EscapedPath() != "/proxies/a%2Fb" || r.Header.Get("If-Match") != `"7"` ||
			r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body["enabled"] != false {
			t.Errorf("body %v, %v", body, err)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	c := ask(t, client.Options{URL: url, Auth: client.Bearer{Source: client.Fixed("secret")}})
	r := client.Request{Method: "PUT", Path: "/proxies/" + client.Segment("a/b"), Body: map[string]any{"enabled": false}, IfMatch: "7"}
	if err := c.Do(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
}

func TestNamesNeverClimbOutOfTheirSegment(t *testing.T) {
	for name, want := range map[string]string{"..": "%2E%2E", ".": "%2E", "a/../b": "a%2F..%2Fb", "a?b#c": "a%3Fb%23c", "ü": "%C3%BC"} {
		if got := client.Segment(name); got != want {
			t.Errorf("Segment(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestProblemsComeBackAsTheyWereMeant(t *testing.T) {
	sent := &fault.Error{Kind: fault.Invalid, Public: "the proxy is refused", Fields: []fault.Field{{Path: "target_url", Rule: "needs a scheme"}}}
	url := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) { fault.ProblemOf(sent).WriteTo(w) })
	err := ask(t, client.Options{URL: url}).Do(t.Context(), client.Request{Method: "POST", Path: "/proxies/"}, nil)
	got, ok := errors.AsType[*fault.Error](err)
	if !ok || got.Kind != fault.Invalid || got.Message() != sent.Message() || len(got.Fields) != 1 {
		t.Fatalf("%#v, want %#v", err, sent)
	}
}

func TestEachStatusHasItsKind(t *testing.T) {
	for kind := fault.Invalid; kind <= fault.Malformed; kind++ {
		url := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3")
			fault.ProblemOf(fault.New(kind, "because")).WriteTo(w)
		})
		err := ask(t, client.Options{URL: url}).Do(t.Context(), client.Request{Method: "GET", Path: "/"}, nil)
		got, ok := errors.AsType[*fault.Error](err)
		if !ok || got.Kind != kind || got.Public != "because" || got.RetryAfter != 3*time.Second {
			t.Errorf("%v came back as %#v", kind, err)
		}
	}
}

func TestTheGatesRefusalsAreReadToo(t *testing.T) {
	for _, tt := range []struct {
		name, challenge, body string
		status                int
		kind                  fault.Kind
		says                  string
	}{
		{"ended token", `Bearer error="invalid_token"`, `{"error":"invalid_token","error_description":"the token has expired"}`, 401, fault.Unauthenticated, "the token has expired"},
		{"missing scope", `Bearer resource_metadata="x", scope="admin user", error="insufficient_scope"`, `{"error":"insufficient_scope"}`, 403, fault.Denied, `--scope "admin user"`},
		{"code alone", ``, `{"error":"access_denied"}`, 403, fault.Denied, "access_denied"},
	} {
		url := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if tt.challenge != "" {
				w.Header().Set("WWW-Authenticate", tt.challenge)
			}
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		})
		err := ask(t, client.Options{URL: url}).Do(t.Context(), client.Request{Method: "GET", Path: "/"}, nil)
		if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v (%v)", tt.name, err, fault.KindOf(err))
		}
	}
}

func TestWhatIsNoGatehouseIsSaid(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a page":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"a 404 page": http.NotFound,
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusPermanentRedirect)
		},
		"broken JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusInternalServerError)
		},
	} {
		err := ask(t, client.Options{URL: serve(t, "127.0.0.1", h)}).Do(t.Context(), client.Request{Method: "GET", Path: "/"}, &struct{}{})
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v (%v)", name, err, fault.KindOf(err))
		}
	}
}

func TestNobodyListening(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	err := ask(t, client.Options{URL: s.URL}).Do(t.Context(), client.Request{Method: "GET", Path: "/"}, nil)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "gatehouse serve") {
		t.Fatal(err)
	}
}

func TestNobodyListeningForAResourceBlamesItsAddress(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, _, err := client.DiscoverResource(t.Context(), client.NewTransport(nil), s.URL+"/mcp")
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), s.URL) || !strings.Contains(err.Error(), "--resource") {
		t.Fatal(err)
	}
}

func TestSigningInSaysWhichProgramItIs(t *testing.T) {
	var agents []string
	url := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		agents = append(agents, r.UserAgent())
		w.WriteHeader(http.StatusNotFound)
	})
	named := client.Named(client.NewTransport(nil), "gatehouse/test")
	_, _ = client.Metadata{Issuer: url, Token: url + "/token"}.Renew(t.Context(), named, client.Pair{Refresh: "r", ClientID: "c"})
	_ = ask(t, client.Options{URL: url, Transport: named, UserAgent: "own"}).Do(t.Context(), client.Request{Method: "GET", Path: "/"}, nil)
	if !slices.Equal(agents, []string{"gatehouse/test", "own"}) {
		t.Fatal(agents)
	}
}

func TestSlowServersAreNotWaitedFor(t *testing.T) {
	done := make(chan struct{})
	url := serve(t, "127.0.0.1", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	})
	defer close(done)
	c := ask(t, client.Options{URL: url, Timeout: 20 * time.Millisecond})
	for name, err := range map[string]error{
		"answer": c.Do(t.Context(), client.Request{Method: "GET", Path: "/"}, nil),
		"stream": c.Stream(t.Context(), client.Request{Method: "GET", Path: "/events"}, nil),
	} {
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "--timeout") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokensNeverTravelInClearBeyondThisMachine(t *testing.T) {
	c := ask(t, client.Options{URL: "http://gate.example.com", Auth: client.Bearer{Source: client.Fixed("secret")}, Transport: unused{t}})
	err := c.Do(t.Context(), client.Request{Method: "GET", Path: "/"}, nil)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "https://gate.example.com") {
		t.Fatal(err)
	}
}

// unused fails the test when a request is sent.
type unused struct{ t *testing.T }

func (u unused) RoundTrip(r *http.Request) (*http.Response, error) {
	u.t.Errorf("%s %s was sent", r.Method, r.URL)
	return nil, errors.New("not to be asked")
}

func TestURLsOfAnAPI(t *testing.T) {
	for raw, want := range map[string]string{
		"http://localhost": "http://localhost", "HTTPS://Auth.Example.com:443/": "https://auth.example.com", "http://localhost:8080/": "http://localhost:8080",
		"http://[::1]:9000": "http://[::1]:9000", "http://LOCALHOST:80": "http://localhost",
		"localhost": "", "": "", "ftp://x": "", "https://": "", "https://me:pw@x": "", "https://x/api": "", "https://x?y": "", "https://x#y": "",
	} {
		u, err := client.ParseURL(raw)
		if (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("ParseURL(%q) = %v, %v; want %q", raw, u, err, want)
		}
	}
}
