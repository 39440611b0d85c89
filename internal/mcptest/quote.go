package mcptest

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxQuoted bounds what a report shows of one text of the server.
const maxQuoted = 160

// quote is a stranger's text as a report may show it: cut, in quotes, without
// anything that a terminal would obey.
func quote(s string) string {
	if len(s) > maxQuoted {
		cut := maxQuoted
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return strconv.Quote(s[:cut]) + "…"
	}
	return strconv.Quote(s)
}

// quoteAll is some texts of the server; of many the first few.
func quoteAll(all []string) string {
	const shown = 5
	var parts []string
	for i, s := range all {
		if i == shown {
			parts = append(parts, "and "+strconv.Itoa(len(all)-shown)+" more")
			break
		}
		parts = append(parts, quote(s))
	}
	return strings.Join(parts, ", ")
}

// scrub takes secrets out of a text, should a server have said them back.
func scrub(text string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[token]")
			if n := len(s) / 2; n >= 16 { // a server may have cut it
				text = strings.ReplaceAll(text, s[:n], "[token]")
			}
		}
	}
	return text
}
