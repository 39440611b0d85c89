package journal

import "strings"

// Credentials that are known by their looks, wherever they stand.

// Least lengths: shorter ones are words, not keys.
const (
	minJWTPart = 8
	minKey     = 16
)

// hasShape reports whether a credential's shape is anywhere in s.
func hasShape(s string) bool {
	var seen shapes
	for i := 0; i+3 < len(s); i++ {
		switch s[i] {
		case 'e', 'g', 's':
			if seen.at(s, i) > 0 {
				return true
			}
		}
	}
	return false
}

// shapes remembers how far a text was found to be free of JWTs, so that looking
// at each of its bytes stays linear whatever somebody sends.
type shapes struct{ noJWT int }

// at is the length of the credential at s[i], 0 when there is none.
func (f *shapes) at(s string, i int) int {
	rest := s[i:]
	switch {
	case strings.HasPrefix(rest, "eyJ"):
		return f.jwt(rest, i)
	case strings.HasPrefix(rest, "github_pat_"):
		return keyLen(rest, len("github_pat_"))
	case len(rest) > 4 && rest[0] == 'g' && rest[1] == 'h' && rest[3] == '_' && strings.IndexByte("oprsu", rest[2]) >= 0:
		return keyLen(rest, 4)
	case strings.HasPrefix(rest, "sk-") && (i == 0 || !isKeyByte(s[i-1])): // not ta-sk-, ri-sk-
		return keyLen(rest, 3)
	}
	return 0
}

// jwt is the length of a JWS or JWE at the start of s, also one whose end was cut off.
func (f *shapes) jwt(s string, at int) int {
	if at < f.noJWT {
		return 0
	}
	n := run(s)
	if n < minJWTPart || n == len(s) || s[n] != '.' {
		f.noJWT = at + n
		return 0
	}
	for n < len(s) && (s[n] == '.' || isKeyByte(s[n])) {
		n++
	}
	return n
}

func keyLen(s string, prefix int) int {
	n := run(s[prefix:])
	if n < minKey {
		return 0
	}
	return prefix + n
}

// run is how many bytes of base64url s begins with.
func run(s string) int {
	for i := range len(s) {
		if !isKeyByte(s[i]) {
			return i
		}
	}
	return len(s)
}

func isKeyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// schemeAt is the length of an authentication scheme with its blank at s[i], "Bearer ".
func schemeAt(s string, i int) int {
	if i > 0 && isKeyByte(s[i-1]) {
		return 0
	}
	for _, scheme := range [...]string{"bearer ", "basic ", "dpop "} {
		if len(s)-i > len(scheme) && strings.EqualFold(s[i:i+len(scheme)], scheme) && credentialLen(s[i+len(scheme):]) >= minKey {
			return len(scheme)
		}
	}
	return 0
}

// indexScheme is where an authentication scheme is in s, -1 without.
func indexScheme(s string) int {
	for i := 0; i+6 < len(s); i++ {
		switch s[i] {
		case 'B', 'b', 'D', 'd':
			if schemeAt(s, i) > 0 {
				return i
			}
		}
	}
	return -1
}

// credentialLen is how many bytes of a token68 (RFC 9110, section 11.2) s begins with.
func credentialLen(s string) int {
	for i := range len(s) {
		if c := s[i]; !isKeyByte(c) && c != '.' && c != '~' && c != '+' && c != '/' && c != '=' {
			return i
		}
	}
	return len(s)
}
