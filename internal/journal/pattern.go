package journal

import "strings"

// Pattern is path with what looks like an identifier replaced by ":id": numbers,
// UUIDs, long hexadecimal or mixed words. Statistics count by it, so that
// /users/1 and /users/2 are one line.
func Pattern(path string) string {
	if !strings.ContainsAny(path, "0123456789") {
		return path
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if isIdentifier(part) {
			parts[i] = ":id"
		}
	}
	return strings.Join(parts, "/")
}

func isIdentifier(s string) bool {
	digits, hex, other := 0, 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' || c == '-':
			hex++
		case c == '.': // a file or a version
			return false
		default:
			other++
		}
	}
	switch {
	case digits == 0:
		return false
	case hex+other == 0:
		return true
	case other == 0:
		return len(s) >= 8
	}
	return len(s) >= 16 && digits >= 3
}
