package journal

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	jwt    = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJsb2NhbDphbGljZSJ9.c2lnbmF0dXJlLWJ5dGVz"
	secret = "s3cr3t-V4lue"
)

var secretNames = strings.Fields(`token access_token refresh_token code code_verifier client_secret client_assertion
	subject_token device_code user_code registration_access_token state ticket setup api_key key sig password`)

func TestMaskQuery(t *testing.T) {
	nested := url.QueryEscape("https://app.example.com/cb?code=" + secret + "&x=1")
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"harmless", "page=2&sort=name&q=a+b", "page=2&sort=name&q=a+b"},
		{"first and last", "token=" + secret + "&a=1&sig=" + secret, "token=***&a=1&sig=***"},
		{"repeated", "token=" + secret + "&token=" + secret, "token=***&token=***"},
		{"upper case", "ToKeN=" + secret, "ToKeN=***"},
		{"encoded name", "%74oken=" + secret, "%74oken=***"},
		{"name encoded twice", "%2574oken=" + secret, "%2574oken=***"},
		{"kebab case", "client-secret=" + secret, "client-secret=***"},
		{"camel case", "accessToken=" + secret, "accessToken=***"},
		{"bracketed", "user[password]=" + secret, "user[password]=***"},
		{"list", "token[]=" + secret, "token[]=***"},
		{"encoded brackets", "user%5Bpassword%5D=" + secret, "user%5Bpassword%5D=***"},
		{"semicolon", "a=1;token=" + secret + ";b=2", "a=1;token=***;b=2"},
		{"blank before", "+token=" + secret, "+token=***"},
		{"NUL behind", "token%00=" + secret, "token%00=***"},
		{"folded letters", "to\u212aen=" + secret, "to\u212aen=***"},
		{"equals inside", "sig=" + secret + "==", "sig=***"},
		{"empty value", "token=&a=1", "token=&a=1"},
		{"no value", "token&a=1", "token&a=1"},
		{"similar names", "tokens=3&statement=x&keyboard=y", "tokens=3&statement=x&keyboard=y"},
		{"nested", "next=" + nested, "next=https%3A%2F%2Fapp.example.com%2Fcb%3Fcode%3D***%26x%3D1"},
		{"nested twice", "next=" + url.QueryEscape("/a?next="+nested), ""},
		{"nested thrice", "n=" + url.QueryEscape("/b?n="+url.QueryEscape("/a?n="+nested)), ""},
		{"plain nesting", "next=/cb?code=" + secret, "next=/cb?code=***"},
		{"json inside", "body=" + url.QueryEscape(`{"password":"`+secret+`"}`), ""},
		{"a JWT as a value", "x=" + jwt, "x=***"},
		{"a JWT as a name", jwt + "=1", "***"},
		{"a JWT alone", jwt, "***"},
		{"a JWT behind a broken escape", "x=%0" + jwt + "0", "x=***"},
		{"a JWT with an encoded dot as a name", strings.ReplaceAll(jwt, ".", "%2E") + "=1", "***"},
		{"a GitHub token", "x=gho_16C7e42F292c6912E7710c838347Ae178B4a", "x=***"},
		{"an sk- key", "x=sk-abcdefghijklmnopqrstuvwx", "x=***"},
		{"a handle of our pages", "request=" + strings.Repeat("aB3_", 11) + "&a=1", "request=***&a=1"},
		{"what others call so", "request=GetMap&start=20&form=contact", "request=GetMap&start=20&form=contact"},
		{"a word with sk-", "x=task-management-application", "x=task-management-application"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := MaskQuery(c.in)
			if c.want != "" && got != c.want {
				t.Errorf("MaskQuery(%q) = %q, want %q", c.in, got, c.want)
			}
			if hides := got + deepUnescape(got); strings.Contains(hides, secret) || strings.Contains(hides, "eyJhbG") {
				t.Errorf("MaskQuery(%q) = %q shows the secret", c.in, got)
			}
		})
	}
}

func deepUnescape(s string) string {
	for range 8 {
		s = unescape(s)
	}
	return s
}

func TestMaskHidesEverySecretName(t *testing.T) {
	for _, name := range secretNames {
		for _, text := range []string{
			MaskQuery(name + "=" + secret),
			MaskQuery("a=b&" + strings.ToUpper(name) + "=" + secret + "&c=d"),
			MaskText(`{"` + name + `":"` + secret + `"}`),
			MaskText(`{"a":1,"` + name + `" : "` + secret + `","b":2}`),
			MaskText(`Get "https://x.test/cb?` + name + `=` + secret + `": connection refused`),
			MaskText("--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + secret + "\r\n--b--"),
		} {
			if strings.Contains(text, secret) || !strings.Contains(text, Masked) {
				t.Errorf("%s: %q shows the secret", name, text)
			}
		}
	}
}

func TestMaskText(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "target did not answer", "target did not answer"},
		{"a URL with a port", "dial http://10.0.0.5:3000/x: refused", "dial http://10.0.0.5:3000/x: refused"},
		{"userinfo", "redis://user:" + secret + "@10.0.0.1:6379/0", "redis://***@10.0.0.1:6379/0"},
		{"header dump", "GET / HTTP/1.1\r\nAuthorization: Bearer " + secret + "\r\nAccept: */*", "GET / HTTP/1.1\r\nAuthorization: ***\r\nAccept: */*"},
		{"cookie dump", "Cookie: a=" + secret + "; b=" + secret, "Cookie: ***"},
		{"bearer in words", "sent bearer " + secret + "-" + secret + " to it", "sent bearer *** to it"},
		{"JSON number", `{"code":123456,"a":1}`, `{"code":"***","a":1}`},
		{"JSON object", `{"key":{"k":"` + secret + `"},"a":1}`, `{"key":"***","a":1}`},
		{"JSON array", `{"token":["` + secret + `","]"],"a":1}`, `{"token":"***","a":1}`},
		{"JSON cut off", `{"a":1,"password":"` + secret[:5], `{"a":1,"password":"***"`},
		{"JSON escape in name", `{"\u0074oken":"` + secret + `"}`, `{"\u0074oken":"***"}`},
		{"JSON escape in value", `{"token":"a\"` + secret + `","b":1}`, `{"token":"***","b":1}`},
		{"JSON in JSON", `{"text":"{\"token\":\"` + secret + `\",\"b\":1}"}`, `{"text":"{\"token\":\"***\",\"b\":1}"}`},
		{"JSON in JSON in JSON", `"{\"a\":\"{\\\"token\\\":\\\"` + secret + `\\\"}\"}"`, `"{\"a\":\"{\\\"token\\\":\\\"***\\\"}\"}"`},
		{"header in JSON", `{"Authorization":"Basic ` + secret + `"}`, `{"Authorization":"***"}`},
		{"form", "user=bob&password=" + secret + "&x=1", "user=bob&password=***&x=1"},
		{"quoted pair", `token="a b ` + secret + `" x=1`, `token=*** x=1`},
		{"event stream", "data: {\"access_token\":\"" + secret + "\"}\n\n", "data: {\"access_token\":\"***\"}\n\n"},
		{"JWT in words", "token " + jwt + " expired", "token *** expired"},
		{"JWT cut off", "got " + jwt[:30], "got ***"},
		{"JWT after a prefix", "session_" + jwt, "session_***"},
		{"two", "gho_16C7e42F292c6912E7710c838347Ae178B4a and " + jwt, "*** and ***"},
		{"encoded URL", "see /login?next=%2Fcb%3Fcode%3D" + secret, "see /login?next=%2Fcb%3Fcode%3D***"},
		{"ordinary members", `{"status":200,"path":"/a","name":"token"}`, `{"status":200,"path":"/a","name":"token"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := MaskText(c.in); got != c.want {
				t.Errorf("MaskText(%q)\n got %q\nwant %q", c.in, got, c.want)
			}
		})
	}
}

func TestMaskHeader(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"Authorization", "Bearer x", Masked},
		{"proxy-authorization", "Basic x", Masked},
		{"COOKIE", "a=b", Masked},
		{"Set-Cookie", "a=b", Masked},
		{"X-Source-Token", "x", Masked},
		{"X_Api_Key", "x", Masked},
		{"Mcp-Param-Region", "x", Masked},
		{"mcp-param-x", "x", Masked},
		{"Mcp-Method", "tools/call", "tools/call"},
		{"Referer", "https://a.test/p?page=1", "https://a.test/p?***"},
		{"Location", "https://a.test/cb#access_token=x", "https://a.test/cb#***"},
		{"Location", "/plain", "/plain"},
		{"X-Note", "from " + jwt, "from ***"},
		{"Accept", "text/html", "text/html"},
	} {
		if got := MaskHeader(c.name, c.value); got != c.want {
			t.Errorf("MaskHeader(%q, %q) = %q, want %q", c.name, c.value, got, c.want)
		}
	}
}

func TestMaskingTakesLinearTimeWhateverIsSent(t *testing.T) {
	const size = 1 << 18
	for _, piece := range []string{
		"eyJ", "eyJabcdefgh", "gho_", "sk-", " sk-a", `name="token"`, `name="`, `"token":{`, `"token":"\`, `\"token\":\"`,
		"%25", "=%25", "a=%2525253D", "://", "a:b@", "token=", "bearer ", "authorization:", `{"a":`, "[", "\\", `"`, `":`, " :", "&", ";=",
	} {
		text := strings.Repeat(piece, size/len(piece))
		start := time.Now()
		MaskText(text)
		MaskQuery(text)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%q repeated to 256 KiB took %v", piece, took)
		}
	}
}

func TestMaskQueryWithoutSecretsAllocatesNothing(t *testing.T) {
	query := "page=2&sort=name&filter=active&since=2026-11-23T10%3A00&q=hello+world"
	plain := "page=2&sort=name&filter=active&since=20261123&q=helloworld"
	if n := testing.AllocsPerRun(100, func() { MaskQuery(plain) }); n != 0 {
		t.Errorf("%q: %v allocations", plain, n)
	}
	if got := MaskQuery(query); got != query {
		t.Errorf("harmless query changed to %q", got)
	}
}

func FuzzMask(f *testing.F) {
	for _, name := range secretNames {
		f.Add(name+"=", "&x=1")
	}
	f.Add("next=%2Fcb%3Fcode%3D", "%26x")
	f.Add(`{"a":"\\","token":"`, `"}`)
	f.Add(`"{\"a\":1,\"password\": \"`, `\"}"`)
	f.Add("Authorization: Bearer ", "\r\n")
	f.Add("http://user:", "@host/")
	const needle = "eyJhbGciOiJIUzI1NiJ9.bmVlZGxlLW5lZWRsZQ.c2ln"
	f.Fuzz(func(t *testing.T, before, after string) {
		for what, got := range map[string]string{
			"text": MaskText(before + needle + after), "query": MaskQuery(before + needle + after),
			"secret": MaskQuery("a=" + url.QueryEscape(before) + "&token=needle-needle&b=" + url.QueryEscape(after)),
		} {
			if strings.Contains(got, "bmVlZGxl") || strings.Contains(got, "needle-needle") {
				t.Fatalf("%s shows the secret: %q", what, got)
			}
		}
		if once := MaskText(before); MaskText(once) != once && strings.Count(MaskText(once), Masked) < strings.Count(once, Masked) {
			t.Fatalf("masking twice shows more: %q, %q", once, MaskText(once))
		}
	})
}

func BenchmarkMaskQuery(b *testing.B) {
	for name, query := range map[string]string{
		"harmless": "page=2&sort=name&filter=active&since=20261123&q=helloworld",
		"secret":   "client_id=abc&code=s3cr3t&state=xyz&iss=https%3A%2F%2Fauth.example.com",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				MaskQuery(query)
			}
		})
	}
}

func ExampleMaskQuery() {
	fmt.Println(MaskQuery("page=2&code=4711"))
	// Output: page=2&code=***
}
