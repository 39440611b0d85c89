package render

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Clean is s with everything escaped that could move a cursor, hide text or end
// a line: control characters, bidirectional overrides, other invisible
// characters and bytes that are no UTF-8.
func Clean(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			_, _ = fmt.Fprintf(&b, `\x%02x`, s[i])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		i += size
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// CleanLines is Clean that keeps line ends.
func CleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Clean(line)
	}
	return strings.Join(lines, "\n")
}

// escapeJSON writes unprintable characters in JSON text as \u escapes, which
// mean the same. Outside strings JSON has none but line ends.
func escapeJSON(text []byte) []byte {
	return escaped(text, func(b []byte, r rune) []byte {
		if r < 0x10000 {
			return fmt.Appendf(b, `\u%04x`, r)
		}
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(b, `\u%04x\u%04x`, high, low)
	})
}

// escapeYAML does so for YAML, where what is unprintable stands in double quotes.
func escapeYAML(text []byte) []byte {
	return escaped(text, func(b []byte, r rune) []byte {
		if r < 0x10000 {
			return fmt.Appendf(b, `\u%04x`, r)
		}
		return fmt.Appendf(b, `\U%08x`, r)
	})
}

func escaped(text []byte, escape func([]byte, rune) []byte) []byte {
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == '\n' || strconv.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b = append(b, text[i:i+size]...)
		} else {
			b = escape(b, r)
		}
		i += size
	}
	return b
}
