package site

import (
	"strings"
	"testing"
)

// Each way to write a path that some program could read as something else. None
// may be open by an excluded path or a loosening rule for /health or /static/.
var tricks = []string{
	"/health/../admin", "/health/./../admin", "/health/..", "/health/.", "/health/./", "/health/../", "/health/x/../../admin",
	"//health", "//admin", "/health//admin", "/health//", "///health", "/./health", "/../health", "/x/../health",
	"/health/%2e%2e/admin", "/health/%2E%2E/admin", "/health/.%2e/admin", "/health/%2e./admin", "/%2e/health", "/health/%2e",
	"/health%2f..%2fadmin", "/health/..%2fadmin", "/health%2Fadmin", "/%2fhealth", "/health/%2f/admin", "/health%2f",
	"/health\\..\\admin", "/health/..\\admin", "/health/%5c..%5cadmin", "/health/%5C", "/health\\", "\\health",
	"/health;/../admin", "/health;x=1", "/health/;/admin", "/health/..;/admin", "/health/..;x/admin", "/health/%3b/admin", "/health/%3Bx", ";/health",
	"/health%00", "/health/%00/admin", "/health\x00/admin", "/health/\x01", "/health/%0a", "/health/%0d%0aX:y", "/health\n", "/health/%7f", "/health\x7f",
	"/health/%252e%252e/admin", "/health%252f..%252fadmin", "/health/%25", "/health/%", "/health/%2", "/health/%zz", "/health/%u002e%u002e/admin",
	"/health/%c0%ae%c0%ae/admin", "/health/%c0%af..%c0%afadmin", "/health/%e0%80%ae%e0%80%ae/admin", "/health/%c1%9c..", "/health/%ff", "/health/\xff", "/health/%f0%80%80%ae/",
	"/health/%ef%bc%8e%ef%bc%8e/admin", "/health/\uff0e\uff0e/admin", "/health/%ef%bc%8fadmin", "/health/%e2%80%a4%e2%80%a4/admin", "/health/%e2%88%95..", "/health/%ef%bc%bc..",
	"/health/..%20/admin", "/health/.. /admin", "/health/.../admin", "/health/%c2%85", "/health/%e2%80%a8",
	"health", "", "*", "health/x", "http://x/health", "?/health",
}

func opened(t *testing.T) *Host {
	t.Helper()
	p := Default("app.example.com")
	p.TargetURL = "http://127.0.0.1:3000"
	p.AuthEnabled = true
	p.AuthExcludedPaths = []string{"/health", "/static/", "/assets/*"}
	open := DefaultRoute()
	open.ID, open.PathPattern, open.Target = "open", "/health", "http://127.0.0.1:3001"
	open.Scope, open.ProxyHostnames = ScopeProxy, []string{p.Hostname}
	open.Auth, open.OverrideAuth = &RouteAuth{AuthType: AuthNone}, true
	h, err := NewHost(p, Ordinary, []Route{open})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNoPathTrickOpensAnExcludedPathOrALooseningRule(t *testing.T) {
	h := opened(t)
	if len(tricks) < 60 {
		t.Fatalf("only %d tricks", len(tricks))
	}
	for _, raw := range tricks {
		p := ParsePath(raw)
		if prefix, open := h.Excluded(p); open {
			t.Errorf("%q is open by excluded path %q", raw, prefix)
		}
		if r, _ := h.Match("GET", p); r != nil && r.Loosens() {
			t.Errorf("%q is open by a loosening route", raw)
		}
	}
	for _, raw := range []string{"/HEALTH", "/Health", "/healthz", "/healt", "/health.", "/health%20", "/static", "/assets", "/staticx", "/hea%6ctha", "/admin/health"} {
		p := ParsePath(raw)
		if prefix, open := h.Excluded(p); open {
			t.Errorf("%q is open by excluded path %q", raw, prefix)
		}
	}
}

func TestExcludedPathsOpenWhatTheySay(t *testing.T) {
	h := opened(t)
	for _, raw := range []string{"/health", "/health/", "/health/x", "/health/a%20b", "/health/caf%C3%A9", "/hea%6cth", "/static/x", "/static/", "/assets/", "/assets/a/b.css", "/health/~me", "/health/.hidden", "/health/x..y", "/health/%3fa"} {
		p := ParsePath(raw)
		if _, open := h.Excluded(p); !open {
			t.Errorf("%q is not open", raw)
		}
	}
}

// What forbids must hold for every spelling that a lenient target could read as
// the forbidden path.
func TestATighteningRuleHoldsForEverySpelling(t *testing.T) {
	p := Default("app.example.com")
	p.TargetURL, p.AuthEnabled = "http://127.0.0.1:3000", true
	for _, override := range []bool{true, false} {
		admin := DefaultRoute()
		admin.ID, admin.PathPattern, admin.Target = "boss", "/admin", p.TargetURL
		admin.Scope, admin.ProxyHostnames = ScopeProxy, []string{p.Hostname}
		admin.Auth, admin.OverrideAuth = &RouteAuth{AuthType: AuthOAuth, AllowedUsers: []string{"boss"}}, override
		h, err := NewHost(p, Ordinary, []Route{admin})
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range []string{
			"/admin", "/admin/", "/%61dmin", "//admin", "/./admin", "/x/../admin", "/x/%2e%2e/admin", "/x%2f..%2fadmin", "/admin;x=1", "/admin;/y", "/;/admin",
			"/x/..;/admin", "/\\admin", "/x\\..\\admin", "/%5cadmin", "/%2561dmin", "/%252fadmin", "/x/%252e%252e/admin", "/admin%00", "/admin%00.css", "/admin\x00x",
			"/x/%c0%ae%c0%ae/admin", "/%c0%afadmin", "/x/\uff0e\uff0e/admin", "/\uff0fadmin", "/%u0061dmin", "/admin%2f", "/admin%2fusers", "/ad%0amin", "/admin%20%00", "/admin/..;/admin/x",
			"/%ef%bc%8fadmin",
		} {
			path := ParsePath(raw)
			r, _ := h.Match("GET", path)
			if r == nil || r.ID != "boss" {
				t.Errorf("override %v: %q goes past the rule for /admin (clean %q, loose %q)", override, raw, path.Clean, path.Loose)
				continue
			}
			if !path.Plain && r.OverrideAuth {
				t.Errorf("override %v: %q replaces the proxy's settings", override, raw)
			}
			if r.Auth == nil || len(r.Auth.AllowedUsers) != 1 {
				t.Errorf("override %v: %q lost the rule's people", override, raw)
			}
		}
	}
}

func TestPathIsReadDecodedAndClean(t *testing.T) {
	for raw, want := range map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a/", "/a/b/../c": "/a/c", "/a/..": "/", "/a/b/..": "/a/", "/a/.": "/a/", "//a": "/a", "/%61": "/a",
		"/a%2fb": "/a/b", "": "/", "*": "/*", "/../../x": "/x", "/a//b///c": "/a/b/c", "/%zz": "/%zz",
	} {
		if got := ParsePath(raw).Clean; got != want {
			t.Errorf("ParsePath(%q).Clean = %q, want %q", raw, got, want)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, raw := range tricks {
		f.Add(raw)
	}
	f.Add("/a/b?c")
	f.Fuzz(func(t *testing.T, raw string) {
		p := ParsePath(raw)
		if !strings.HasPrefix(p.Clean, "/") || !strings.HasPrefix(p.Loose, "/") {
			t.Fatalf("%q: clean %q, loose %q do not begin with /", raw, p.Clean, p.Loose)
		}
		for segment := range strings.SplitSeq(p.Clean[1:], "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q: clean %q keeps a dot segment", raw, p.Clean)
			}
		}
		if strings.Contains(p.Clean, "//") {
			t.Fatalf("%q: clean %q keeps an empty segment", raw, p.Clean)
		}
		if p.Plain && p.Loose != p.Clean {
			t.Fatalf("%q is plain and has two readings: %q, %q", raw, p.Clean, p.Loose)
		}
		if p.Plain && loose(raw) != p.Clean && !strings.ContainsAny(p.Clean, ". ") {
			t.Fatalf("%q is plain, yet a lenient reader gets %q for %q", raw, loose(raw), p.Clean)
		}
		if p.Plain && strings.ContainsAny(p.Clean, ";\\\x00") {
			t.Fatalf("%q is plain with %q", raw, p.Clean)
		}
	})
}
