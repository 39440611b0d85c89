package cert

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/fault"
)

func TestObjectsAreNormalized(t *testing.T) {
	o := Object{Name: " Shop ", Domains: []string{"WWW.Example.com.", "www.example.com", "*.Bücher.example", " a.net "}, Email: " a@b.net "}
	o.Normalize()
	if o.Name != "shop" || o.Email != "a@b.net" || strings.Join(o.Domains, " ") != "www.example.com *.xn--bcher-kva.example a.net" {
		t.Errorf("%+v", o)
	}
}

func TestObjectsAreRefusedByFieldAndRule(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("n%d.example.com", i)
	}
	for _, c := range []struct {
		change func(*Object)
		canDNS bool
		path   string // empty: it is fine
		rule   string
	}{
		{func(*Object) {}, false, "", ""},
		{func(o *Object) { o.Domains = many[:100] }, false, "", ""},
		{func(o *Object) { o.Domains = []string{"*.example.com"} }, true, "", ""},
		{func(o *Object) { o.Challenge = "dns-01" }, true, "", ""},
		{func(o *Object) { o.Challenge = "tls-alpn-01"; o.KeyType = RSA4096 }, false, "", ""},
		{func(o *Object) { o.Name = "" }, false, "cert_name", "1 to 128"},
		{func(o *Object) { o.Name = "domain:example.com" }, false, "cert_name", "1 to 128"},
		{func(o *Object) { o.Name = "-x" }, false, "cert_name", "beginning with a letter"},
		{func(o *Object) { o.Name = strings.Repeat("a", 129) }, false, "cert_name", "1 to 128"},
		{func(o *Object) { o.Domains = nil }, false, "domains", "at least one"},
		{func(o *Object) { o.Domains = many }, false, "domains", "at most 100"},
		{func(o *Object) { o.Domains = []string{"ok.net", "192.0.2.1"} }, false, "domains[1]", "is an address"},
		{func(o *Object) { o.Domains = []string{"2001:db8::1"} }, false, "domains[0]", "is an address"},
		{func(o *Object) { o.Domains = []string{"localhost"} }, false, "domains[0]", "one label only"},
		{func(o *Object) { o.Domains = []string{"a..net"} }, false, "domains[0]", "labels have"},
		{func(o *Object) { o.Domains = []string{"a.*.net"} }, true, "domains[0]", "a star stands alone"},
		{func(o *Object) { o.Domains = []string{"a_b.net"} }, false, "domains[0]", "labels have"},
		{func(o *Object) { o.Domains = []string{"-a.net"} }, false, "domains[0]", "inner hyphens"},
		{func(o *Object) { o.Domains = []string{strings.Repeat("a.", 130) + "net"} }, false, "domains[0]", "not a hostname"},
		{func(o *Object) { o.Domains = []string{"*.example.com"} }, false, "challenge", "set DNS_PROVIDER"},
		{func(o *Object) { o.Domains, o.Challenge = []string{"*.example.com"}, "http-01" }, true, "challenge", "dns-01 alone"},
		{func(o *Object) { o.Challenge = "dns-01" }, false, "challenge", "set DNS_PROVIDER"},
		{func(o *Object) { o.Challenge = "email" }, true, "challenge", "http-01, tls-alpn-01 or dns-01"},
		{func(o *Object) { o.KeyType = "dsa" }, false, "key_type", "ecdsa-p256"},
		{func(o *Object) { o.Directory = "http://ca.example/dir" }, false, "acme_directory_url", "must be https"},
		{func(o *Object) { o.Directory = "https://u:p@ca.example/dir" }, false, "acme_directory_url", "user"},
		{func(o *Object) { o.Directory = "ca" }, false, "acme_directory_url", "https URL"},
		{func(o *Object) { o.Email = "A <a@b.net>" }, false, "email", "one e-mail"},
		{func(o *Object) { o.Email = "a@b.net\r\nX: y" }, false, "email", "one e-mail"},
	} {
		o := Object{Name: "x", Domains: []string{"a.example.com"}, KeyType: ECDSAP256, Directory: "https://ca.example/dir"}
		c.change(&o)
		err := o.Validate(c.canDNS)
		if c.path == "" {
			if err != nil {
				t.Errorf("%+v: %v", o, err)
			}
			continue
		}
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Kind != fault.Invalid || !strings.Contains(f.Message(), c.path) || !strings.Contains(f.Message(), c.rule) {
			t.Errorf("want %s: %s, got %v", c.path, c.rule, err)
		}
	}
}

func TestAWildcardCoversOneLabel(t *testing.T) {
	o := Object{Domains: []string{"*.example.com", "example.org"}}
	for name, want := range map[string]bool{
		"a.example.com": true, "*.example.com": true, "example.com": false, "a.b.example.com": false, "example.org": true,
		"a.example.org": false, ".example.com": false, "": false, "xexample.com": false,
	} {
		if o.Covers(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
}

func TestEveryHostHasAnObjectNameOfItsOwn(t *testing.T) {
	long := strings.Repeat("a.", 120) + "net"
	for host, want := range map[string]string{"app.example.com": "proxy-app-example-com", "*.example.com": "proxy-wildcard-example-com"} {
		if got := NameFor(host); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
	if NameFor(long) == NameFor("b."+long) {
		t.Error("two long hosts have one name")
	}
	seen := map[string]string{}
	for _, host := range []string{long, "a.b-c.net", "a-b.c.net", "x.net"} {
		names := namesFor(host)
		for _, name := range names {
			if !objectName.MatchString(name) {
				t.Errorf("%s: %q is no name", host, name)
			}
		}
		if other := seen[names[1]]; other != "" {
			t.Errorf("%s and %s have the same second name", host, other)
		}
		seen[names[1]] = host
	}
}
