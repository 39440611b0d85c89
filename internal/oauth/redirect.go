package oauth

import (
	"net/url"
	"strings"
)

const (
	maxRedirects    = 20
	maxRedirectSize = 2048
)

// redirectMatches reports whether a presented redirect URI is one of the
// registered: byte for byte, but that http://localhost, http://127.0.0.1 and
// http://[::1] each match themselves with any port (RFC 8252, section 7.3).
func redirectMatches(registered []string, presented string) bool {
	for _, r := range registered {
		if r == presented {
			return true
		}
		host, rest, ok := loopback(r)
		if !ok {
			continue
		}
		if h, p, ok := loopback(presented); ok && h == host && p == rest {
			return true
		}
	}
	return false
}

// loopback splits a loopback redirect URI into its host and what comes behind
// the port. It works on the text: no parser's leniency comes between the
// comparison and what a browser does with the same text.
func loopback(uri string) (host, rest string, ok bool) {
	after, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", "", false
	}
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
		rest, ok := strings.CutPrefix(after, host)
		if !ok {
			continue
		}
		rest, ok = cutPort(rest)
		if !ok || (rest != "" && rest[0] != '/' && rest[0] != '?') {
			return "", "", false
		}
		return host, rest, true
	}
	return "", "", false
}

// cutPort cuts a leading ":port" off; ok is false when it is not a port number.
func cutPort(s string) (rest string, ok bool) {
	if s == "" || s[0] != ':' {
		return s, true
	}
	n, i := 0, 1
	for i < len(s) && s[i] >= '0' && s[i] <= '9' && i <= 5 {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return s[i:], n >= 1 && n <= 65535 && s[1] != '0'
}

// checkRedirect says what is wrong with a redirect URI that a client wants to
// register; empty: nothing.
func checkRedirect(uri string) string {
	if uri == "" || len(uri) > maxRedirectSize {
		return "must have 1 to 2048 bytes"
	}
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", r) }) {
		return "must be plain ASCII without spaces, quotes and backslashes"
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return "must be an absolute URI"
	case strings.Contains(uri, "#"):
		return "must not have a fragment"
	case u.User != nil || strings.Contains(u.Host, "@"):
		return "must not have a user"
	case strings.Contains(uri, "*"):
		return "must not have a wildcard"
	}
	return checkScheme(uri, u)
}

func checkScheme(uri string, u *url.URL) string {
	switch u.Scheme { // url.Parse has made it lower case
	case "https":
		if u.Hostname() == "" {
			return "must name a host"
		}
	case "http":
		if _, _, ok := loopback(uri); !ok {
			return "must be https: http is for localhost, 127.0.0.1 and [::1] alone"
		}
	case "javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "ws", "wss", "ftp":
		return "must not use the scheme " + u.Scheme
	}
	return ""
}
