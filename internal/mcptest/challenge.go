package mcptest

import "strings"

// challenge is one challenge of a WWW-Authenticate header (RFC 9110, section 11.6.1).
type challenge struct {
	scheme string // lower case
	params map[string]string
}

// readChallenges parses the header's values; false when they are not well-formed.
func readChallenges(values []string) ([]challenge, bool) {
	var all []challenge
	for _, v := range values {
		p := &scanner{text: v}
		for {
			p.skip(" \t,")
			if p.end() {
				break
			}
			word := p.token()
			if word == "" {
				return all, false
			}
			p.skip(" \t")
			if len(all) > 0 && p.peek() == '=' { // a parameter of the one before
				p.at++
				value, ok := p.value()
				if !ok || all[len(all)-1].params == nil {
					return all, false
				}
				if _, twice := all[len(all)-1].params[strings.ToLower(word)]; twice {
					return all, false
				}
				all[len(all)-1].params[strings.ToLower(word)] = value
				continue
			}
			all = append(all, challenge{scheme: strings.ToLower(word), params: map[string]string{}})
		}
	}
	return all, true
}

// scanner reads a header's value from left to right.
type scanner struct {
	text string
	at   int
}

func (c *scanner) end() bool { return c.at >= len(c.text) }

func (c *scanner) peek() byte {
	if c.end() {
		return 0
	}
	return c.text[c.at]
}

func (c *scanner) skip(chars string) {
	for !c.end() && strings.IndexByte(chars, c.text[c.at]) >= 0 {
		c.at++
	}
}

func (c *scanner) token() string {
	from := c.at
	for !c.end() && (c.text[c.at] >= 'a' && c.text[c.at] <= 'z' || c.text[c.at] >= 'A' && c.text[c.at] <= 'Z' || c.text[c.at] >= '0' && c.text[c.at] <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c.text[c.at]) >= 0) {
		c.at++
	}
	return c.text[from:c.at]
}

// value is a token or a quoted string.
func (c *scanner) value() (string, bool) {
	c.skip(" \t")
	if c.peek() != '"' {
		t := c.token()
		return t, t != ""
	}
	c.at++
	var b strings.Builder
	for !c.end() {
		switch ch := c.text[c.at]; {
		case ch == '"':
			c.at++
			return b.String(), true
		case ch == '\\' && c.at+1 < len(c.text):
			c.at++
			b.WriteByte(c.text[c.at])
		default:
			b.WriteByte(ch)
		}
		c.at++
	}
	return "", false
}
