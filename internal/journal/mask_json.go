package journal

import "strings"

// jsonMember hides the value after pos when the name that the quote at close
// ends is a secret's. Inside a quoted JSON text quotes have backslashes before
// them: 1 in the first level, 3 in the second.
func (m *masker) jsonMember(end int) {
	slashes := backslashes(m.in, end)
	end -= slashes
	open := strings.LastIndexByte(m.in[max(m.done, end-6*maxSecretName):end], '"')
	if open < 0 {
		return
	}
	name := m.in[max(m.done, end-6*maxSecretName)+open+1 : end]
	if !secretName(unquote(name)) && !secretHeader(unquote(name)) {
		return
	}
	from := m.pos
	for from < len(m.in) && isBlank(m.in[from]) {
		from++
	}
	if to := jsonValueEnd(m.in, from, slashes); to > from {
		quote := m.in[end : end+slashes+1]
		m.hide(from, to, quote+Masked+quote)
	}
}

func backslashes(s string, end int) int {
	n := 0
	for n < 15 && end-n > 0 && s[end-n-1] == '\\' {
		n++
	}
	return n
}

// jsonValueEnd is where the JSON value that starts at from ends: len(s) when it
// was cut off.
func jsonValueEnd(s string, from, slashes int) int {
	if from >= len(s) {
		return from
	}
	switch s[from] {
	case '{', '[':
		return bracketEnd(s, from, slashes)
	case '"', '\\':
		return stringEnd(s, from+slashes+1, slashes)
	}
	if i := strings.IndexAny(s[from:], ",}] \t\r\n"); i >= 0 {
		return from + i
	}
	return len(s)
}

// stringEnd is behind the quote that ends the string whose text starts at from.
func stringEnd(s string, from, slashes int) int {
	for i := from; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		run := 0
		for i-run > from && s[i-run-1] == '\\' {
			run++
		}
		if run%(2*(slashes+1)) == slashes {
			return i + 1
		}
	}
	return len(s)
}

func bracketEnd(s string, from, slashes int) int {
	depth := 0
	for i := from; i < len(s); i++ {
		switch s[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return i + 1
			}
		case '"':
			i = stringEnd(s, i+1, slashes) - 1
		}
	}
	return len(s)
}

// unquote undoes the \u00xx escapes that a JSON name may be written with.
func unquote(name string) string {
	if strings.IndexByte(name, '\\') < 0 {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '\\' {
			b.WriteByte(name[i])
			continue
		}
		if i+5 < len(name) && name[i+1] == 'u' {
			var r rune
			for _, c := range []byte(name[i+2 : i+6]) {
				r = r<<4 | rune(max(unhex(c), 0))
			}
			b.WriteRune(r)
			i += 5
		}
	}
	return b.String()
}
