package site

import (
	"strconv"
	"strings"
	"unicode"
)

// loose is what a target that repairs everything could read in raw: escapes
// resolved until none is left, backslashes and look-alikes as what they resemble,
// overlong encodings as what they encode, parameters and what follows a NUL cut,
// then dot and empty segments resolved.
func loose(raw string) string {
	s := raw
	for range 4 {
		s = unescapeLoosely(s)
	}
	s = overlong.Replace(s)
	s = strings.Map(fold, s)
	s, _, _ = strings.Cut(s, "\x00")
	segments := strings.Split(s, "/")
	for i, segment := range segments {
		segment, _, _ = strings.Cut(segment, ";")
		segments[i] = dropDotsAndSpaces(segment)
	}
	return clean("/" + strings.Join(segments, "/"))
}

// unescapeLoosely resolves %XX and %uXXXX once and leaves broken escapes alone.
func unescapeLoosely(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+5 < len(s) && (s[i+1] == 'u' || s[i+1] == 'U') {
			if n, err := strconv.ParseUint(s[i+2:i+6], 16, 16); err == nil {
				b.WriteRune(rune(n))
				i += 5
				continue
			}
		}
		if s[i] == '%' {
			if c, ok := unhex(s, i); ok {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// overlong are the forbidden long encodings of dot, slash and backslash.
var overlong = strings.NewReplacer(
	"\xc0\xae", ".", "\xe0\x80\xae", ".", "\xf0\x80\x80\xae", ".",
	"\xc0\xaf", "/", "\xe0\x80\xaf", "/", "\xf0\x80\x80\xaf", "/",
	"\xc1\x9c", "/", "\xe0\x81\x9c", "/", "\xf0\x80\x81\x9c", "/",
)

// fold is r as a program that normalises Unicode, or was made for backslashes,
// reads it; -1 drops it.
func fold(r rune) rune {
	switch r {
	case '\\', '\u2044', '\u2215', '\u29f8', '\uff0f', '\u2216', '\u29f5', '\ufe68', '\uff3c':
		return '/'
	case '\u2024', '\ufe52', '\uff0e', '\uff61':
		return '.'
	case '\uff1b', '\ufe54':
		return ';'
	case 0:
		return 0
	}
	if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' {
		return -1
	}
	return r
}

// dropDotsAndSpaces cuts what some file systems cut off a name's end, and
// leaves "." and ".." what they are.
func dropDotsAndSpaces(segment string) string {
	if trimmed := strings.TrimRight(segment, " "); trimmed == "." || trimmed == ".." {
		return trimmed
	}
	return strings.TrimRight(segment, ". ")
}
