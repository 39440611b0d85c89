package journal

import (
	"slices"
	"strings"

	"gatehouse/internal/fault"
)

// text reads Q: terms are parted by blanks, "…" keeps them together, name:value
// is a field, all else must be in the entry's text in any case.
func (p *plan) text(q string, bad *fault.Rules) {
	if len(q) > maxQueryText {
		bad.Add("q", "must be at most %d bytes long", maxQueryText)
		return
	}
	words, err := splitWords(q)
	if err || len(words) > maxTerms {
		bad.Add("q", `must be at most %d terms, each quotation closed with "`, maxTerms)
		return
	}
	for _, w := range words {
		p.word(w, bad)
	}
}

func (p *plan) word(w word, bad *fault.Rules) {
	name, value, isTerm := strings.Cut(w.text, ":")
	if w.quoted || !isTerm || !isFieldName(name) || strings.HasPrefix(value, "//") {
		p.texts = append(p.texts, strings.ToLower(w.text))
		return
	}
	switch _, short := aliases[name]; {
	case value == "":
		bad.Add("q", "the term %s: has no value", name)
	case short || column(name) != nil:
		p.filter(name, value, "q", bad)
	case name == "errors" || name == "is_error":
		p.errors = true
	default:
		bad.Add("q", `there is no field %q; quote the term to search for it as text`, Printable(name))
	}
}

func isFieldName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

type word struct {
	text   string
	quoted bool
}

// splitWords parts s at blanks outside of quotations; unclosed is true when one
// has no end. name:"a b" is one word.
func splitWords(s string) (words []word, unclosed bool) {
	var text strings.Builder
	inside, some, whole := false, false, false
	end := func() {
		if some {
			words = append(words, word{text.String(), whole})
		}
		text.Reset()
		some, whole = false, false
	}
	for _, r := range s {
		switch {
		case r == '"':
			inside = !inside
			whole = whole || text.Len() == 0
			some = true
		case !inside && (r == ' ' || r == '\t' || r == '\n' || r == '\r'):
			end()
		default:
			text.WriteRune(r)
			some = true
		}
	}
	end()
	return slices.DeleteFunc(words, func(w word) bool { return w.text == "" }), inside
}
