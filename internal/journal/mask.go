package journal

import (
	"net/url"
	"strings"
)

// Masked stands where a credential stood.
const Masked = "***"

// Bounds of what masking looks at; beyond them it hides rather than shows.
const (
	maxSecretName = 32 // bytes of a normalised name; longer ones are no secret's
	maxNesting    = 4  // times a value is decoded to look for more names inside
)

// secretHeader reports whether the header called name carries a credential.
func secretHeader(name string) bool {
	switch strings.ToLower(strings.ReplaceAll(name, "_", "-")) {
	case "authorization", "proxy-authorization", "cookie", "set-cookie", "x-source-token", "x-api-key":
		return true
	}
	const params = "mcp-param-"
	return len(name) >= len(params) && strings.EqualFold(name[:len(params)], params)
}

// secretName reports whether a parameter, form field or JSON member called name
// holds a credential. Case, "-", "_", surrounding blanks and percent-encoding
// do not count, because servers differ in how they read a name. Of user[password]
// and a.password each part is looked at.
func secretName(name string) bool {
	for range maxNesting {
		if !escaped(name) {
			break
		}
		name = unescape(name)
	}
	if escaped(name) {
		return true // wrapped more often than any honest client does
	}
	if strings.ContainsAny(name, "[].") {
		for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '[' || r == ']' || r == '.' }) {
			if plainSecretName(part) {
				return true
			}
		}
		return false
	}
	return plainSecretName(name)
}

func plainSecretName(name string) bool {
	var buf [maxSecretName]byte
	n := 0
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '_' || c == '-' || c == '+' || c <= ' ' || c == 0x7f:
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == 0xC5 && strings.HasPrefix(name[i:], "\u017f"): // JSON readers that fold case take the long s for s
			c, i = 's', i+1
		case c == 0xE2 && strings.HasPrefix(name[i:], "\u212a"): // … and the Kelvin sign for k
			c, i = 'k', i+2
		}
		if n == len(buf) {
			return false
		}
		buf[n] = c
		n++
	}
	switch string(buf[:n]) {
	case "token", "accesstoken", "refreshtoken", "code", "codeverifier", "clientsecret", "clientassertion",
		"subjecttoken", "devicecode", "usercode", "registrationaccesstoken", "state", "ticket", "setup",
		"apikey", "key", "sig", "password":
		return true
	}
	return false
}

// MaskHeader is the value of the header called name as it may be written:
// credentials hidden, and the whole query of Referer and Location.
func MaskHeader(name, value string) string {
	if secretHeader(name) {
		return Masked
	}
	if strings.EqualFold(name, "Referer") || strings.EqualFold(name, "Location") {
		return MaskURL(value)
	}
	return MaskText(value)
}

// MaskURL is raw without userinfo, query and fragment: only that they were there
// is told.
func MaskURL(raw string) string {
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		return MaskText(raw[:i]) + raw[i:i+1] + Masked
	}
	return MaskText(raw)
}

// MaskQuery is a raw query or form with the values of secret names hidden, in
// repeated, percent-encoded and nested parameters too. A query without secrets
// comes back as it is, without allocation.
func MaskQuery(raw string) string { return maskQuery(raw, 0) }

func maskQuery(raw string, depth int) string {
	var out *strings.Builder // made at the first secret
	done := 0                // raw[:done] is in out
	for start := 0; start < len(raw); {
		end := start + pairEnd(raw[start:])
		if from, with, hit := maskPair(raw[start:end], depth); hit {
			if out == nil {
				out = &strings.Builder{}
			}
			out.WriteString(raw[done : start+from])
			out.WriteString(with)
			done = end
		}
		start = end + 1
	}
	if out == nil {
		return raw
	}
	out.WriteString(raw[done:])
	return out.String()
}

func pairEnd(s string) int {
	if i := strings.IndexAny(s, "&;"); i >= 0 {
		return i
	}
	return len(s)
}

// maskPair says from which byte of a name=value pair on something else has to
// stand; hit is false for a harmless pair.
func maskPair(pair string, depth int) (from int, with string, hit bool) {
	name, value, found := strings.Cut(pair, "=")
	if !found {
		name, value = "", pair
	}
	from = len(pair) - len(value)
	if hasShape(name) || escaped(name) && hasShape(unescape(name)) { // a token where a name should be
		return 0, Masked, true
	}
	if value == "" {
		return 0, "", false
	}
	if found && (secretName(name) || isHandle(name, value)) {
		return from, Masked, true
	}
	masked := maskValue(value, depth)
	return from, masked, masked != value
}

// minHandle is the length of 32 random bytes in base64url.
const minHandle = 43

// isHandle reports whether a parameter is one of the handles by which our own
// pages know a person's request (request, start) or form. These names are common
// elsewhere (request=GetMap, start=20), where their values are short.
func isHandle(name, value string) bool {
	if name != "request" && name != "start" && name != "form" {
		return false
	}
	n := 0
	for n < len(value) && isKeyByte(value[n]) {
		n++
	}
	return n >= minHandle
}

// maskValue hides what is secret inside a parameter's value: a URL with a query,
// a JSON text, a token's shape; each possibly percent-encoded.
func maskValue(value string, depth int) string {
	if plainValue(value) {
		return value
	}
	if !escaped(value) {
		return maskText(value, depth)
	}
	if depth >= maxNesting || hasShape(value) { // decoding could break the shape: "%0eyJ…"
		return Masked
	}
	text := unescape(value)
	masked := maskNested(text, depth+1)
	if masked == text {
		return value
	}
	return strings.ReplaceAll(url.QueryEscape(masked), "%2A%2A%2A", Masked)
}

func maskNested(text string, depth int) string {
	masked := maskText(text, depth)
	at := strings.LastIndexAny(masked, "?#") + 1
	if strings.IndexByte(masked[at:], '%') >= 0 {
		masked = masked[:at] + maskQuery(masked[at:], depth)
	}
	return masked
}

// plainValue reports that nothing in value could hide a secret.
func plainValue(value string) bool {
	for i := range len(value) {
		switch value[i] {
		case '%', '=', ':', '"', '@', '+':
			return false
		}
	}
	return !hasShape(value)
}

// escaped reports whether there is valid percent-encoding in s.
func escaped(s string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 || i+2 >= len(s) {
			return false
		}
		if unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0 {
			return true
		}
		s = s[i+1:]
	}
}

// unescape decodes what is valid percent-encoding in s and leaves the rest.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
