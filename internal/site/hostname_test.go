package site

import (
	"strings"
	"testing"
)

func TestHostnamesHaveOneForm(t *testing.T) {
	for in, want := range map[string]string{
		"app.example.com": "app.example.com", "APP.Example.COM": "app.example.com", " app.localhost ": "app.localhost", "localhost": "localhost",
		"*.Example.com": "*.example.com", "bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "a-b.c-d.test": "a-b.c-d.test", "127.0.0.1": "127.0.0.1", "1a.example": "1a.example",
		"faß.example": "xn--fa-hia.example", "ｅｘａｍｐｌｅ.com": "example.com", "9.example": "9.example", strings.Repeat("a", 63) + ".test": strings.Repeat("a", 63) + ".test",
	} {
		got, err := NormalizeHostname(in)
		if err != nil || got != want {
			t.Errorf("NormalizeHostname(%q) = %q, %v; want %q", in, got, err, want)
		}
		if again, err := NormalizeHostname(got); err != nil || again != got {
			t.Errorf("%q is not stable: %q, %v", got, again, err)
		}
	}
}

func TestHostnamesAreRefusedByRule(t *testing.T) {
	for in, why := range map[string]string{
		"": "is a hostname", "a.example.": "trailing dot", "a.example:443": "port", "http://a.example": "scheme", "a.example/x": "path", "user@a.example": "scheme",
		"[::1]": "scheme", "*": "wildcard", "a.*.example": "wildcard", "*a.example": "wildcard", "**.example": "wildcard", "*.*.example": "wildcard",
		"-a.example": "labels", "a-.example": "labels", "a..example": "labels", "a_b.example": "labels", "a b.example": "labels", strings.Repeat("a", 64) + ".test": "labels",
		strings.Repeat("abcdefgh.", 29) + "test": "labels", "xn--a.example": "labels", "a.example\x00": "labels", "1.2.3": "address", "a.1": "address", "*.1.2.3.4": "address", "0x7f.1": "address",
		"127.0.0.256": "address", "a%2e.example": "labels", "a\n.example": "labels", "*.": "trailing", "a。": "labels",
	} {
		got, err := NormalizeHostname(in)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("NormalizeHostname(%q) = %q, %v; want a refusal about %q", in, got, err, why)
		}
	}
}

func TestTargetsAreParsedByKind(t *testing.T) {
	for in, want := range map[string]Target{
		"http://10.0.0.5:3000":      {Kind: TargetHTTP},
		"HTTPS://Backend.example/x": {Kind: TargetHTTPS},
		"h2c://[::1]:50051":         {Kind: TargetH2C},
		"service:files":             {Kind: TargetService, Name: "files"},
		"unix:app":                  {Kind: TargetUnix, Name: "app"},
		"stdio:mcp_1":               {Kind: TargetStdio, Name: "mcp_1"},
		"internal:demo":             {Kind: TargetInternal, Name: "demo"},
		"internal:api":              {Kind: TargetInternal, Name: "api"},
		"http://my_container:80":    {Kind: TargetHTTP},
		"http://localhost:3000/a/b": {Kind: TargetHTTP},
	} {
		got, err := ParseTarget(in)
		if err != nil || got.Kind != want.Kind || got.Name != want.Name || got.Dialed() != (want.Name == "") {
			t.Errorf("ParseTarget(%q) = %+v, %v", in, got, err)
		}
	}
	for in, want := range map[string][2]string{"http://a": {"a", "80"}, "https://a": {"a", "443"}, "h2c://a:1": {"a", "1"}, "http://[::1]:8": {"::1", "8"}, "unix:a": {"", ""}} {
		got, err := ParseTarget(in)
		if host, port := got.Address(); err != nil || host != want[0] || port != want[1] {
			t.Errorf("address of %q: %s %s %v", in, host, port, err)
		}
	}
}

func TestTargetsAreRefusedByRule(t *testing.T) {
	for in, why := range map[string]string{
		"": "absolute", "localhost:3000": "absolute", "//a": "absolute", "ftp://a": "absolute", "javascript:alert(1)": "absolute", "file:///etc/passwd": "absolute", "http:a": "absolute",
		"http://": "host", "http://u:p@a": "user", "http://u@a": "user", "http://a?x=1": "query", "http://a?": "query", "http://a#f": "query", "http://a#": "query",
		"http://a:0": "port", "http://a:65536": "port", "http://a:": "port", "http://a:x": "absolute", "http://0.0.0.0:80": "host", "http://224.0.0.1": "host", "http://[fe80::1%25eth0]": "host",
		"http://*.a": "host", "http://a b": "absolute", "http://a/../x": "two ways", "http://a/%2e%2e/x": "two ways", "http://a//x": "two ways", "http://a/x;y": "two ways",
		"service:": "name", "service:A": "name", "unix:/var/run/docker.sock": "name", "unix:../x": "name", "stdio:rm -rf": "name", "internal:": "built-in", "internal:nothing": "built-in",
		"http://1.2.3:80": "host", "http://-a": "host", "http://" + strings.Repeat("a", 3000): "2048",
	} {
		if got, err := ParseTarget(in); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("ParseTarget(%q) = %+v, %v; want a refusal about %q", in, got, err, why)
		}
	}
}

func FuzzNormalizeHostname(f *testing.F) {
	for _, s := range []string{"a.example", "*.b.test", "xn--bcher-kva.de", "BÜ.de", "1.2.3.4", "a..b", "faß.de", "\u200d.a", "0\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := NormalizeHostname(in)
		if err != nil {
			return
		}
		if strings.ToLower(got) != got || strings.ContainsAny(got, " :/@\x00_") || strings.HasSuffix(got, ".") || len(got) > 253 {
			t.Fatalf("%q gives %q", in, got)
		}
		if again, err := NormalizeHostname(got); err != nil || again != got {
			t.Fatalf("%q gives %q, which gives %q, %v", in, got, again, err)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"http://a", "https://b:1/x", "h2c://[::1]", "service:a", "unix:b", "stdio:c", "internal:demo", "http://u@a", "http://a?b", "http://\xd70"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ParseTarget(in)
		if err != nil {
			return
		}
		if got.URL != nil && (got.URL.User != nil || got.URL.RawQuery != "" || got.URL.Fragment != "" || got.URL.Host == "") {
			t.Fatalf("%q gives %q", in, got)
		}
		again, err := ParseTarget(got.String())
		if err != nil || again.String() != got.String() || again.Kind != got.Kind {
			t.Fatalf("%q gives %q, which gives %q, %v", in, got, again, err)
		}
	})
}
