package mcpgate

import "bytes"

// Outcome is how one request ended, as its answer tells.
type outcome struct {
	id      string // as it stands in JSON
	isError bool   // a JSON-RPC error, or a result that says isError
	reply   bool   // it is an answer, not a request or a notification of the server
}

// scanner watches JSON that streams by, in pieces of any size, and tells of the
// JSON-RPC answers in it. It holds a few bytes whatever the answers' size, and
// makes nothing of what is no JSON: nothing depends on it but the log.
type scanner struct {
	tell func(outcome)
	list func() // a result lists tools; nil: nobody asks

	stack  []byte // of open containers: { or [
	base   int    // depth of messages: 1, in a batch 2
	inside bool   // a string
	escape bool   // the next byte is behind a backslash
	dead   bool   // this is no JSON that can be followed

	word   []byte // of the present string or scalar, as far as it is kept
	keep   bool   // word is wanted
	name   []byte // the last name at depth base
	inner  []byte // the last name at depth base+1
	result bool   // inside the message's result
	now    outcome
	method bool
}

const (
	maxDepth = 512 // of containers that are followed
	maxWord  = 128 // bytes of a name or a value that are kept
)

// write takes the next piece.
func (s *scanner) write(b []byte) {
	for i := 0; i < len(b) && !s.dead; i++ {
		if s.inside {
			i = s.text(b, i)
			continue
		}
		switch c := b[i]; c {
		case '{', '[':
			s.open(c)
		case '}', ']':
			s.value()
			s.close(c)
		case '"':
			s.inside, s.word, s.keep = true, append(s.word[:0], c), s.near()
		case ':':
			s.named()
		case ',':
			s.value()
		case ' ', '\t', '\r', '\n':
		default:
			if len(s.word) == 0 {
				s.keep = s.near()
			}
			s.put(c)
		}
	}
}

// text goes on in a string and is the place of its last byte in b.
func (s *scanner) text(b []byte, i int) int {
	if !s.escape && !s.keep { // most of most answers: nobody looks at it
		end := bytes.IndexByte(b[i:], '"')
		stop := end
		if end < 0 {
			stop = len(b) - i
		}
		if slash := bytes.IndexByte(b[i:i+stop], '\\'); slash >= 0 {
			s.escape = true
			return i + slash
		}
		if end < 0 {
			return len(b)
		}
		s.inside = false
		return i + end
	}
	c := b[i]
	s.put(c)
	switch {
	case s.escape:
		s.escape = false
	case c == '\\':
		s.escape = true
	case c == '"':
		s.inside = false
	}
	return i
}

func (s *scanner) put(c byte) {
	if s.keep && len(s.word) < maxWord {
		s.word = append(s.word, c)
	}
}

// near reports whether what begins here is looked at: names and values of a
// message and of its result.
func (s *scanner) near() bool {
	d := len(s.stack)
	return d > 0 && (d == s.base || (d == s.base+1 && s.result))
}

func (s *scanner) top() byte {
	if len(s.stack) == 0 {
		return 0
	}
	return s.stack[len(s.stack)-1]
}

func (s *scanner) open(c byte) {
	switch len(s.stack) {
	case 0:
		s.base = 1
		if c == '[' {
			s.base = 2
		}
	case maxDepth:
		s.dead = true
		return
	}
	if len(s.stack) == s.base && string(s.name) == `"result"` {
		s.result, s.now.reply = true, true
	}
	if s.list != nil && c == '[' && s.result && len(s.stack) == s.base+1 && string(s.inner) == `"tools"` {
		s.list()
	}
	if len(s.stack) == s.base && string(s.name) == `"error"` {
		s.now.isError, s.now.reply = true, true
	}
	s.stack = append(s.stack, c)
	s.word = s.word[:0]
	if len(s.stack) == s.base && c == '{' {
		s.now, s.name, s.result, s.method = outcome{}, s.name[:0], false, false
	}
}

func (s *scanner) close(c byte) {
	if len(s.stack) == 0 || s.top() != c-2 { // { and }, [ and ] are two apart
		s.dead = true
		return
	}
	if len(s.stack) == s.base && c == '}' && s.now.reply && !s.method {
		s.tell(s.now)
	}
	s.stack = s.stack[:len(s.stack)-1]
	if len(s.stack) == s.base {
		s.result, s.name = false, s.name[:0]
	}
}

// named takes the string before a colon as a name.
func (s *scanner) named() {
	switch len(s.stack) {
	case s.base:
		s.name = append(s.name[:0], s.word...)
		s.method = s.method || string(s.name) == `"method"`
	case s.base + 1:
		s.inner = append(s.inner[:0], s.word...)
	}
	s.word = s.word[:0]
}

// value takes the word before a comma or the container's end as a value.
func (s *scanner) value() {
	if len(s.word) > 0 {
		switch {
		case len(s.stack) == s.base && string(s.name) == `"id"`:
			s.now.id = string(s.word)
		case len(s.stack) == s.base && string(s.name) == `"result"`:
			s.now.reply = true
		case len(s.stack) == s.base+1 && s.result && string(s.inner) == `"isError"`:
			s.now.isError = s.now.isError || string(s.word) == "true"
		}
	}
	s.word = s.word[:0]
}
