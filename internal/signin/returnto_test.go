package signin

import (
	"net/url"
	"strings"
	"testing"
)

func TestReturnStaysOnTheHost(t *testing.T) {
	for _, raw := range []string{
		"//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\\/evil.example", "\\/evil.example",
		"/%2f%2fevil.example", "/%2fevil.example", "%2f%2fevil.example", "/%5cevil.example", "/%5C%5Cevil.example",
		"https://evil.example", "https:evil.example", "https:/evil.example", "HTTPS://evil.example/", "http:///evil.example",
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "mailto:a@b",
		"/a\r\nLocation: https://evil.example", "/a%0d%0aSet-Cookie:x=y", "/a%0aX:y", "/a\tb", "/\t/evil.example", "\t//evil.example",
		" //evil.example", "/ /evil.example", "/\x00/evil", "/%00",
		"evil.example", "evil", "?x=1", "#x", "/x#//evil", "@evil.example", "user@evil.example", "/a/../..//evil.example",
		"/..//evil.example", "/.//evil.example", "/%2e%2e//evil.example", "/a/..", "/.",
		"/.gatehouse/start", "/.gatehouse/callback?ticket=x", "/.gatehouse", "/%2egatehouse/logout",
		"/\u2028", "/\u3002\u3002", "//\u2044evil", "/" + strings.Repeat("a", maxReturn), "/%", "/%zz", "/%ff%fe",
	} {
		if path, ok := returnPath(raw); ok {
			t.Errorf("%q was taken as %q", raw, path)
		}
	}
}

func TestReturnKeepsUsualAddresses(t *testing.T) {
	for _, raw := range []string{
		"/", "/reports", "/reports/", "/a/b?c=d&e=f", "/search?q=%2F%2Fx&u=https://other.example/", "/%C3%BCber",
		"/a//b", "/.well-known/x", "/.gatehousekeeper", "/a;b", "/a:b@c", "/x?y=\\z", "/...",
	} {
		if path, ok := returnPath(raw); !ok || path != raw {
			t.Errorf("%q: got %q, %v", raw, path, ok)
		}
	}
	if path, ok := returnPath(""); !ok || path != "/" {
		t.Errorf("nothing: got %q, %v", path, ok)
	}
}

func FuzzReturnPath(f *testing.F) {
	for _, seed := range []string{"/", "//x", "/\\x", "/%2f%2fx", "/a?b#c", "https://x", "/a/../b", "/%0d%0a", "/.gatehouse/x"} {
		f.Add(seed)
	}
	const origin = "https://app.example.com"
	f.Fuzz(func(t *testing.T, raw string) {
		path, ok := returnPath(raw)
		if !ok {
			return
		}
		if strings.ContainsAny(path, "\r\n\x00") {
			t.Fatalf("%q may break a header", path)
		}
		// As a browser resolves it against the host, alone and behind the origin.
		base, _ := url.Parse(origin + "/x/y")
		for _, location := range []string{path, origin + path} {
			u, err := base.Parse(location)
			if err != nil || u.Scheme != "https" || u.Host != "app.example.com" || u.User != nil {
				t.Fatalf("%q leads to %v (%v)", location, u, err)
			}
		}
	})
}
