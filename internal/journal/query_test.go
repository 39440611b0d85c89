package journal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

// filled is a journal with n samples, some stored, some not, and what they are,
// newest first.
func filled(t *testing.T, n int) (*Journal, []*Entry) {
	t.Helper()
	j, _ := open(t, &memLog{}, Options{})
	var all []*Entry
	for i := range n {
		e := sample(i)
		switch {
		case i%97 == 0:
			e = &Entry{Kind: System, Level: "WARNING", Component: "cert", Message: fmt.Sprintf("Renewal No. %d was LATE", i)}
		case i%89 == 0:
			e = &Entry{Kind: Audit, Action: "update_proxy", Door: "cli", Object: "app.example.com", User: "local:alice"}
		case i%83 == 0:
			e = &Entry{Kind: MCP, Tool: "get_logs", RPCMethod: "tools/call", IsError: i%2 == 0, User: "user7"}
		}
		j.Write(e)
		all = append(all, e)
		if i == n*3/4 {
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustSearch(t, j, Query{}) // all have their ids now
	slices.Reverse(all)
	return j, all
}

func TestQueriesFindExactlyWhatMatches(t *testing.T) {
	j, all := filled(t, 3000)
	some := all[1500]
	for some.User == "" || some.Kind != Request {
		some = all[slices.Index(all, some)+1]
	}
	for _, c := range []struct {
		name  string
		query Query
		want  func(*Entry) bool
	}{
		{"everything", Query{}, func(*Entry) bool { return true }},
		{"proxy", Query{Proxy: "App.Example.com."}, func(e *Entry) bool { return e.Proxy == "app.example.com" }},
		{"ip", Query{IP: some.ClientIP}, func(e *Entry) bool { return e.ClientIP == some.ClientIP }},
		{"mapped ip", Query{IP: "::ffff:" + some.ClientIP}, func(e *Entry) bool { return e.ClientIP == some.ClientIP }},
		{"user", Query{User: some.User}, func(e *Entry) bool { return e.User == some.User }},
		{"client", Query{Client: some.ClientID}, func(e *Entry) bool { return e.ClientID == some.ClientID }},
		{"session", Query{Session: some.Session}, func(e *Entry) bool { return e.Session == some.Session }},
		{"status", Query{Status: "404"}, func(e *Entry) bool { return e.Status == 404 }},
		{"status class", Query{Status: "4XX"}, func(e *Entry) bool { return e.Status/100 == 4 }},
		{"method", Query{Method: "post"}, func(e *Entry) bool { return e.Method == http.MethodPost }},
		{"path", Query{Path: some.Path}, func(e *Entry) bool { return e.Path == some.Path }},
		{"path prefix", Query{Path: "/reports/1*"}, func(e *Entry) bool { return strings.HasPrefix(e.Path, "/reports/1") }},
		{"path pattern", Query{Path: "/reports/:id/items"}, func(e *Entry) bool { return e.Path != "" }},
		{"kind", Query{Kind: System}, func(e *Entry) bool { return e.Kind == System }},
		{"audit", Query{Kind: Audit}, func(e *Entry) bool { return e.Kind == Audit }},
		{"errors", Query{Errors: true}, (*Entry).Failed},
		{"slow", Query{SlowMS: 100}, func(e *Entry) bool { return e.Duration > 100 }},
		{"user and 401", Query{User: some.User, Status: "401"}, func(e *Entry) bool { return e.User == some.User && e.Status == 401 }},
		{"since", Query{Since: some.Time}, func(e *Entry) bool { return !e.Time.Before(some.Time) }},
		{"until", Query{Until: some.Time}, func(e *Entry) bool { return e.Time.Before(some.Time) }},
		{"hours", Query{Hours: 1}, func(*Entry) bool { return true }},
		{"q field", Query{Q: "user:" + some.User + " status:2xx"}, func(e *Entry) bool { return e.User == some.User && e.Status/100 == 2 }},
		{"q short names", Query{Q: "ip:" + some.ClientIP + " client:" + some.ClientID}, func(e *Entry) bool {
			return e.ClientIP == some.ClientIP && e.ClientID == some.ClientID
		}},
		{"q request id", Query{Q: "request_id:" + some.RequestID}, func(e *Entry) bool { return e.RequestID == some.RequestID }},
		{"q detail field", Query{Q: "component:cert level:warning"}, func(e *Entry) bool { return e.Component == "cert" }},
		{"q prefix", Query{Q: "user:user1*"}, func(e *Entry) bool { return strings.HasPrefix(e.User, "user1") }},
		{"q quoted value", Query{Q: `message:"Renewal No. 97 was LATE"`}, func(e *Entry) bool { return e.Message == "Renewal No. 97 was LATE" }},
		{"q text", Query{Q: "renewal late"}, func(e *Entry) bool { return e.Kind == System }},
		{"q phrase", Query{Q: `"97 was late"`}, func(e *Entry) bool { return strings.Contains(e.Message, "97 was") }},
		{"q URL is text", Query{Q: "http://10.0.0.5:3000"}, func(e *Entry) bool { return e.Target != "" }},
		{"q text and filter", Query{Q: "firefox", Status: "500"}, func(e *Entry) bool {
			return e.Status == 500 && strings.Contains(e.UserAgent, "Firefox")
		}},
		{"mcp errors", Query{Kind: MCP, Errors: true}, func(e *Entry) bool { return e.Kind == MCP && e.IsError }},
		{"nothing", Query{User: "nobody"}, func(*Entry) bool { return false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want []string
			for _, e := range all {
				if c.want(e) {
					want = append(want, e.ID)
				}
			}
			for _, limit := range []int{3, 60, 1000} {
				if len(want) > 100*limit {
					continue // would take long
				}
				if got := pagedIDs(t, j, c.query, limit); !slices.Equal(got, want) {
					t.Fatalf("limit %d: %d entries, want %d", limit, len(got), len(want))
				}
			}
		})
	}
}

// pagedIDs walks all pages.
func pagedIDs(t *testing.T, j *Journal, q Query, limit int) (ids []string) {
	t.Helper()
	q.Limit = limit
	for {
		page, err := j.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Logs) > limit {
			t.Fatalf("%d entries on a page of %d", len(page.Logs), limit)
		}
		for _, e := range page.Logs {
			ids = append(ids, e.ID)
		}
		if page.Cursor == "" {
			return ids
		}
		q.Cursor = page.Cursor
	}
}

func TestPagesStayTheSameWhileEntriesCome(t *testing.T) {
	j, all := filled(t, 1200)
	first, err := j.Search(t.Context(), Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		j.Write(&Entry{Kind: Request, Path: "/new"})
	}
	second := mustSearch(t, j, Query{Limit: 100, Cursor: first.Cursor})
	if second[0].ID != all[100].ID || second[99].ID != all[199].ID {
		t.Error("the second page is not what came after the first")
	}
}

func TestBadQueriesNameTheField(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	now := time.Now()
	for _, c := range []struct {
		field string
		query Query
	}{
		{"status", Query{Status: "abc"}},
		{"status", Query{Status: "40"}},
		{"status", Query{Status: "4x"}},
		{"status", Query{Status: "0xx"}},
		{"ip", Query{IP: "localhost"}},
		{"kind", Query{Kind: "requests"}},
		{"limit", Query{Limit: -1}},
		{"limit", Query{Limit: MaxLimit + 1}},
		{"cursor", Query{Cursor: "nonsense"}},
		{"cursor", Query{Cursor: "0123456789ABCDEF"}},
		{"hours", Query{Hours: -1}},
		{"hours", Query{Hours: 1e9}},
		{"hours", Query{Hours: 1, Since: now}},
		{"until", Query{Since: now, Until: now.Add(-time.Hour)}},
		{"slow_ms", Query{SlowMS: -5}},
		{"q", Query{Q: "usr:bob"}},
		{"q", Query{Q: "user:"}},
		{"q", Query{Q: "status:maybe"}},
		{"q", Query{Q: `"open`}},
		{"q", Query{Q: strings.Repeat("a ", maxTerms+1)}},
		{"q", Query{Q: strings.Repeat("a", maxQueryText+1)}},
	} {
		_, err := j.Search(t.Context(), c.query)
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Kind != fault.Invalid || len(e.Fields) != 1 || e.Fields[0].Path != c.field {
			t.Errorf("%+v: %v, want one rule for %s", c.query, err, c.field)
		}
		if _, err := j.Follow(t.Context(), c.query); !fault.Is(err, fault.Invalid) {
			t.Errorf("Follow(%+v): %v", c.query, err)
		}
	}
}

func TestSearchEndsWithItsContext(t *testing.T) {
	j, _ := filled(t, 1200)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Search(ctx, Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestPattern(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/users": "/users", "/users/42": "/users/:id", "/users/42/posts/7": "/users/:id/posts/:id",
		"/o/0b1e3d5c-8f7a-4c2b-9e1d-2a3b4c5d6e7f": "/o/:id", "/c/deadbeef12": "/c/:id", "/v1/api": "/v1/api",
		"/app.3f2a91.js": "/app.3f2a91.js", "/s/sess_9aK2mQ8xT4wB1zL7": "/s/:id", "/facade": "/facade",
	} {
		if got := Pattern(path); got != want {
			t.Errorf("Pattern(%q) = %q, want %q", path, got, want)
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{"user:bob status:4xx", `"a b" c`, "http://x", "::1", `message:"x y`, "a:b:c", "path:/x*", "\x00"} {
		f.Add(q, "4xx", "127.0.0.1", "000000000000000g")
	}
	e := sample(3)
	f.Fuzz(func(t *testing.T, q, status, ip, cursor string) {
		p, err := Query{Q: q, Status: status, IP: ip, Cursor: cursor}.plan()
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v is not Invalid", err)
			}
			return
		}
		p.matches(e)
	})
}
