package signin

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/internal/site"
)

const maxReturn = 4096 // bytes of a return address

// returnPath checks where a person asked to be brought after the sign-in. It
// must be a path on the same host, with a query if need be: what it answers
// begins with exactly one slash, so that it can't name another host however a
// browser reads it. Nothing means the start page. Our own endpoints under
// /.gatehouse are no place to return to; that would turn in circles.
func returnPath(raw string) (path string, ok bool) {
	if raw == "" {
		return "/", true
	}
	if len(raw) > maxReturn || strings.ContainsFunc(raw, unsendable) {
		return "", false
	}
	before, _, _ := strings.Cut(raw, "?")
	u, err := url.ParseRequestURI(raw)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	if !ownPath(before) || !ownPath(u.Path) || strings.HasPrefix(u.Path+"/", site.PagesPrefix) {
		return "", false
	}
	return raw, true
}

// unsendable is every character that a browser would never send in a request
// target, or that means something in a header.
func unsendable(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }

// ownPath reports whether a path, raw or decoded, begins at the root of this
// host and has one meaning only.
func ownPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") &&
		utf8.ValidString(path) && !strings.ContainsFunc(path, unicode.IsControl) && !strings.Contains(path, `\`) &&
		!strings.Contains(path+"/", "/../") && !strings.Contains(path+"/", "/./")
}
