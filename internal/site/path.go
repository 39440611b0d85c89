package site

import (
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Path is a request's path in the two forms that decisions need: what came, and
// what it means. Routes match the clean form. A path that is not Plain never
// opens anything: no excluded path and no loosening rule matches it.
type Path struct {
	Raw   string // as sent, still percent-encoded, without query
	Clean string // decoded, with dot and empty segments resolved; begins with "/"
	Plain bool   // Raw holds nothing that two programs could read differently
	Loose string // what the most lenient reader could make of it; Clean when Plain
}

// ParsePath reads the escaped path of a request target.
func ParsePath(raw string) Path {
	p := Path{Raw: raw, Plain: plain(raw)}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		decoded, p.Plain = raw, false
	}
	if decoded == "" || decoded[0] != '/' {
		decoded, p.Plain = "/"+decoded, false
	}
	p.Clean = clean(decoded)
	p.Loose = p.Clean
	if !p.Plain {
		p.Loose = loose(raw)
	}
	return p
}

// clean resolves dot and empty segments and keeps a trailing slash.
func clean(decoded string) string {
	c := path.Clean(decoded)
	if c != "/" && (strings.HasSuffix(decoded, "/") || strings.HasSuffix(decoded, "/.") || strings.HasSuffix(decoded, "/..")) {
		c += "/"
	}
	return c
}

// plain reports whether raw can be read in one way only: no encoded dot, slash,
// backslash, percent or NUL, no semicolon, backslash, control or non-UTF-8 byte
// (encoded or not), no dot or empty segment, nor characters that some programs
// fold to dots and slashes.
func plain(raw string) bool {
	if raw == "" || raw[0] != '/' {
		return false
	}
	encoded := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == ';' || c == '\\' || c < 0x20 || c == 0x7f:
			return false
		case c == '%':
			b, ok := unhex(raw, i)
			if !ok || b == '.' || b == '/' || b == '\\' || b == '%' || b == ';' || b < 0x20 || b == 0x7f {
				return false
			}
			encoded = true
			i += 2
		case c >= utf8.RuneSelf || c == ' ':
			encoded = true
		}
	}
	if !encoded {
		return plainSegments(raw)
	}
	decoded, err := url.PathUnescape(raw)
	return err == nil && utf8.ValidString(decoded) && !strings.ContainsFunc(decoded, foldable) && plainSegments(decoded)
}

// plainSegments reports whether no segment but the last is empty, and none is
// made of dots, or of dots and the spaces that some file systems drop behind them.
func plainSegments(decoded string) bool {
	if strings.Contains(decoded, "//") {
		return false
	}
	for segment := range strings.SplitSeq(decoded[1:], "/") {
		if segment != "" && strings.Trim(segment, ". ") == "" {
			return false
		}
	}
	return true
}

// foldable reports whether some programs read r as a control character, a dot, a
// slash or a backslash, by Unicode's compatibility forms.
func foldable(r rune) bool {
	switch r {
	case '\u2024', '\u2025', '\u2026', '\ufe52', '\uff0e', '\uff61', // dots
		'\u2044', '\u2215', '\u29f8', '\uff0f', // slashes
		'\u2216', '\u29f5', '\ufe68', '\uff3c', // backslashes
		'\uff05', '\uff1b', '\ufe54': // percent, semicolons
		return true
	}
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff'
}

func unhex(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	hi, ok1 := nibble(s[i+1])
	lo, ok2 := nibble(s[i+2])
	return hi<<4 | lo, ok1 && ok2
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// Under reports whether the path is prefix itself or below it in whole segments:
// "/api" holds "/api" and "/api/x", not "/apix". A prefix that ends in "/" or
// "/*" holds only what is below.
func (p Path) Under(prefix string) bool { return under(p.Clean, prefix) }

// MayBeUnder reports whether some target could read the path as being under
// prefix. It is for rules that forbid or demand; what opens asks Under and Plain.
func (p Path) MayBeUnder(prefix string) bool {
	return p.Under(prefix) || (!p.Plain && under(p.Loose, prefix))
}

func under(path, prefix string) bool {
	if strings.HasSuffix(prefix, "/*") {
		prefix = prefix[:len(prefix)-1]
	}
	if prefix == "" || prefix[0] != '/' {
		return false
	}
	if strings.HasSuffix(prefix, "/") {
		return strings.HasPrefix(path, prefix)
	}
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
