package edge

import (
	"bytes"
	"strings"
)

// The small grammar that strict.go checks by: RFC 9110, 5.5 and 5.6; RFC 9112, 5.

// framing reports whether a field says where a message goes or ends.
func framing(name []byte) bool {
	switch len(name) {
	case 4:
		return bytes.EqualFold(name, []byte("host"))
	case 7:
		return bytes.EqualFold(name, []byte("trailer"))
	case 14:
		return bytes.EqualFold(name, []byte("content-length"))
	case 17:
		return bytes.EqualFold(name, []byte("transfer-encoding"))
	}
	return false
}

// field splits a header or trailer line into name and value.
func field(line []byte) (name, value []byte, bad *refusal) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, malformed("a header can't be folded over lines")
	}
	i := bytes.IndexByte(line, ':')
	if i < 1 || !token(line[:i]) {
		return nil, nil, malformed("a header is a name of token characters, a colon directly behind it, and a value")
	}
	value = line[i+1:]
	if !textOnly(value) {
		return nil, nil, malformed("a header's value can't hold control characters")
	}
	return line[:i], bytes.Trim(value, " \t"), nil
}

// tokenLow and tokenHigh have a bit for each token character (RFC 9110, 5.6.2)
// below and from 64.
const (
	tokenLow  uint64 = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' | (1<<10-1)<<'0'
	tokenHigh uint64 = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64) | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
)

func tokenByte(c byte) bool {
	switch {
	case c < 64:
		return tokenLow>>c&1 == 1
	case c < 128:
		return tokenHigh>>(c-64)&1 == 1
	}
	return false
}

func token(b []byte) bool {
	for _, c := range b {
		if !tokenByte(c) {
			return false
		}
	}
	return len(b) > 0
}

// textOnly reports whether b has no control character but tabs.
func textOnly(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// hasToken reports whether a comma-separated list holds token, in any case.
func hasToken(list, token string) bool {
	for list != "" {
		var one string
		one, list, _ = strings.Cut(list, ",")
		if strings.EqualFold(strings.Trim(one, " \t"), token) {
			return true
		}
	}
	return false
}
