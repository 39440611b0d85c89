package journal

import "strings"

// maxPartHead is how far behind its name the content of a multipart part may begin.
const maxPartHead = 1024

// MaskText hides credentials in any text: error messages, bodies, JSON (whole,
// cut off, or quoted inside JSON), forms, URLs. It reads the text as bytes, in
// one pass, and never fails: what it can't tell apart it hides to the end.
func MaskText(s string) string { return maskText(s, 0) }

func maskText(s string, depth int) string {
	if !suspicious(s) {
		return s
	}
	m := masker{in: s, depth: depth}
	for m.pos < len(s) {
		m.step()
	}
	return m.finish()
}

// suspicious is the quick look that most texts pass.
func suspicious(s string) bool {
	return strings.IndexByte(s, '=') >= 0 || strings.IndexByte(s, ':') >= 0 || hasShape(s) || indexScheme(s) >= 0
}

// masker copies in to out and leaves secrets out.
type masker struct {
	in   string
	pos  int // next byte to look at
	done int // in[:done] is in out
	out  strings.Builder

	depth    int // how often in was percent-decoded before
	noEscape int // in[:noEscape] has no percent-encoding that is still to be looked into
	shapes   shapes
}

func (m *masker) finish() string {
	if m.done == 0 {
		return m.in
	}
	m.out.WriteString(m.in[m.done:])
	return m.out.String()
}

// hide puts with in the place of in[from:to] and goes on behind it.
func (m *masker) hide(from, to int, with string) {
	if from < m.done { // part of what is gone already
		from = m.done
	}
	m.out.WriteString(m.in[m.done:from])
	m.out.WriteString(with)
	m.done, m.pos = to, to
}

func (m *masker) step() {
	switch c := m.in[m.pos]; c {
	case '=':
		m.pair()
	case ':':
		m.member()
	case 'e', 'g', 's':
		if n := m.shapes.at(m.in, m.pos); n > 0 {
			m.hide(m.pos, m.pos+n, Masked)
			return
		}
		m.pos++
	case 'B', 'b', 'D', 'd':
		if n := schemeAt(m.in, m.pos); n > 0 {
			m.hide(m.pos+n, m.pos+n+credentialLen(m.in[m.pos+n:]), Masked)
			return
		}
		m.pos++
	default:
		m.pos++
	}
}

// pair looks at the name before "=" and hides the value after it.
func (m *masker) pair() {
	at := m.pos
	m.pos++
	name := m.in[nameStart(m.in, m.done, at):at]
	if name == "" {
		return
	}
	if name == "name" { // a part of multipart/form-data
		m.part()
		return
	}
	if !secretName(name) && !isHandle(name, m.in[at+1:]) {
		m.encoded()
		return
	}
	if to := valueEnd(m.in, at+1); to > at+1 {
		m.hide(at+1, to, Masked)
	}
}

// encoded looks into a percent-encoded value for more, and then passes over it:
// decoding it again at each "=" inside would make hostile texts expensive.
func (m *masker) encoded() {
	if m.pos < m.noEscape {
		return
	}
	to := valueEnd(m.in, m.pos)
	value := m.in[m.pos:to]
	if !escaped(value) {
		m.noEscape = to
		return
	}
	if masked := maskValue(value, m.depth); masked != value {
		m.hide(m.pos, to, masked)
		return
	}
	m.pos = to
}

// part hides the content of the multipart part whose name="…" starts at pos.
func (m *masker) part() {
	rest := m.in[m.pos:]
	if len(rest) < 2 || rest[0] != '"' {
		return
	}
	name, after, closed := strings.Cut(rest[1:], `"`)
	if !closed || !secretName(name) {
		return
	}
	head := strings.Index(after[:min(len(after), maxPartHead)], "\r\n\r\n")
	if head < 0 {
		return
	}
	from := len(m.in) - len(after) + head + 4
	to := len(m.in)
	if end := strings.Index(m.in[from:], "\r\n--"); end >= 0 {
		to = from + end
	}
	m.hide(from, to, Masked)
}

// member looks at what stands before ":": a JSON name, a header's name, a URL's
// scheme.
func (m *masker) member() {
	at := m.pos
	m.pos++
	end := at
	for end > m.done && isBlank(m.in[end-1]) {
		end--
	}
	if end > m.done && m.in[end-1] == '"' {
		m.jsonMember(end - 1)
		return
	}
	if strings.HasPrefix(m.in[at:], "://") {
		m.userinfo(at + 3)
		return
	}
	if secretHeader(m.in[nameStart(m.in, m.done, end):end]) {
		to := len(m.in)
		if i := strings.IndexAny(m.in[at:], "\r\n"); i >= 0 {
			to = at + i
		}
		m.hide(at+1, to, " "+Masked)
	}
}

// userinfo hides name:password@ of a URL whose authority starts at from.
func (m *masker) userinfo(from int) {
	rest := m.in[from:]
	if i := strings.IndexAny(rest, "/?# \t\r\n\"'<>\\"); i >= 0 {
		rest = rest[:i]
	}
	if at := strings.LastIndexByte(rest, '@'); at > 0 {
		m.hide(from, from+at, Masked)
	}
}

// nameStart is where the parameter name that ends before end begins, at least low.
func nameStart(s string, low, end int) int {
	low = max(low, end-6*maxSecretName)
	for end > low && isNameByte(s[end-1]) {
		end--
	}
	return end
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '_' || c == '-' || c == '%' || c == '[' || c == ']' || c == '.' || c >= 0x80
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// valueEnd is where the value of a name=value pair that starts at from ends.
func valueEnd(s string, from int) int {
	if from < len(s) && s[from] == '"' {
		return stringEnd(s, from+1, 0)
	}
	if i := strings.IndexAny(s[from:], "&; \t\r\n\"'<>\\"); i >= 0 {
		return from + i
	}
	return len(s)
}
