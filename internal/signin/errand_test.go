package signin

import (
	"testing"

	"gatehouse/internal/oauth"
)

func TestNamesOfClientsCanNotDeceive(t *testing.T) {
	for name, want := range map[string]string{
		"Claude Code":                 "Claude Code",
		"evil\u202egnihton":           "evilgnihton",
		"two\nlines\tand\u2028more":   "two lines and more",
		"zero\u200bwidth\u2066":       "zerowidth",
		"":                            "client-1",
		"\u200b":                      "client-1",
		"<script>alert(1)</script>":   "<script>alert(1)</script>", // the template escapes it
		string(make([]byte, 4)):       "client-1",
		"Ünïcode Ñame":                "Ünïcode Ñame",
		"a very long name " + long(9): ("a very long name " + long(9))[:64],
	} {
		if got := clientName(&oauth.Pending{ClientName: name, ClientID: "client-1"}); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func long(n int) string {
	s := ""
	for range n {
		s += "0123456789"
	}
	return s
}

func TestReturnHostIsSaidInWords(t *testing.T) {
	for uri, want := range map[string]string{
		"https://client.example/cb?x=y":       "client.example",
		"https://client.example:8443/cb":      "client.example:8443",
		"https://\u0430pple.com/cb":           "xn--pple-43d.com",
		"http://127.0.0.1:7777/cb":            "a program on this computer (127.0.0.1:7777)",
		"http://localhost/cb":                 "a program on this computer (localhost)",
		"http://[::1]:99/cb":                  "a program on this computer ([::1]:99)",
		"com.example.app:/cb":                 "an app on this device (com.example.app:)",
		"":                                    "",
		"https://localhost.evil.example/cb":   "localhost.evil.example",
		"https://127.0.0.1.evil.example:1/cb": "127.0.0.1.evil.example:1",
	} {
		if got := redirectHost(&oauth.Pending{RedirectURI: uri}); got != want {
			t.Errorf("%q: %q, want %q", uri, got, want)
		}
	}
}

func TestHowAClientIsKnownIsSaid(t *testing.T) {
	for known, want := range map[string]string{
		"builtin": "part of Gatehouse", "registered": "registered itself; its name is not verified", "": "registered itself; its name is not verified",
		"url": "verified by its address claude.ai (https://claude.ai/oauth/client.json)",
	} {
		if got := knownAs(&oauth.Pending{Known: known, ClientID: "https://claude.ai/oauth/client.json"}); got != want {
			t.Errorf("%q: %q", known, got)
		}
	}
}

// A program's name stands beside the address that it was known by, never for it.
func TestAKnownProgramIsNamedBesideItsAddress(t *testing.T) {
	p := oauth.Pending{Known: "registered", ClientName: "x", RedirectURI: "https://claude.ai/api/mcp/auth_callback", Program: "Claude"}
	if got := purposeOf(&p); got.Redirect != "claude.ai (Claude)" || got.Known != "registered itself; its name is not verified" {
		t.Errorf("%+v", got)
	}
	p = oauth.Pending{Known: "url", ClientID: "https://claude.ai/oauth/claude-code-client-metadata", RedirectURI: "http://localhost:1/callback", Program: "Claude Code"}
	if got := purposeOf(&p); got.Redirect != "a program on this computer (localhost:1)" || got.Known != "verified by its address claude.ai (Claude Code, https://claude.ai/oauth/claude-code-client-metadata)" {
		t.Errorf("%+v", got)
	}
}
