package journal

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maskAttr is a with credentials hidden and control characters escaped. Numbers,
// times and the like pass as they are.
func maskAttr(a slog.Attr) slog.Attr {
	a.Key = Printable(a.Key)
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(maskNamed(a.Key, v.String()))
	case slog.KindAny:
		a.Value = slog.StringValue(maskNamed(a.Key, textOf(v.Any())))
	case slog.KindGroup:
		group := v.Group()
		masked := make([]slog.Attr, len(group))
		for i, member := range group {
			masked[i] = maskAttr(member)
		}
		a.Value = slog.GroupValue(masked...)
	default:
		a.Value = v
	}
	return a
}

func maskNamed(name, value string) string {
	if secretName(name) || secretHeader(name) {
		return Masked
	}
	return Printable(MaskText(value))
}

// textOf is any value as text; structures become JSON so that masking
// sees the names in them.
func textOf(v any) (text string) {
	defer func() {
		if recover() != nil { // a nil pointer behind String or Error
			text = "<nil>"
		}
	}()
	switch v := v.(type) {
	case nil:
		return "<nil>"
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	}
	if b, err := json.Marshal(v); err == nil {
		return string(b)
	}
	return fmt.Sprintf("%T", v)
}

// Printable is s with all that is not printable escaped as Go does it (\x1b,
// \u202e), so that text from outside can't steer a terminal or forge a line.
func Printable(s string) string {
	if printable(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			escapeRune(&b, r)
		}
		i += size
	}
	return b.String()
}

func escapeRune(b *strings.Builder, r rune) {
	if unicode.IsPrint(r) {
		b.WriteRune(r)
		return
	}
	quoted := strconv.QuoteRune(r)
	b.WriteString(quoted[1 : len(quoted)-1])
}

func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || c >= utf8.RuneSelf {
			return slowPrintable(s[i:])
		}
	}
	return true
}

func slowPrintable(s string) bool {
	for i, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return false
		}
	}
	return true
}
