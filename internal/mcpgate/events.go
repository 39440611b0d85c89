package mcpgate

import (
	"bytes"
	"errors"
)

// An SSE stream (WHATWG HTML, 9.2) is lines, ended by CR, LF or both; a blank
// line ends an event. Its data lines together are one JSON-RPC message.

// watcher shows a scanner the data of a stream that passes untouched.
type watcher struct {
	scan scanner
	line []byte // the field's name so far
	past int    // bytes of the line seen
	data bool   // the line is data
	cr   bool   // the last byte was a CR
}

// write takes the next piece.
func (w *watcher) write(b []byte) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\n' && w.cr {
			w.cr = false
			continue
		}
		w.cr = c == '\r'
		switch {
		case c == '\n' || c == '\r':
			w.end()
		case w.data:
			n := bytes.IndexAny(b[i:], "\r\n")
			if n < 0 {
				n = len(b) - i
			}
			w.scan.write(b[i : i+n])
			w.past += n
			i += n - 1
		default:
			w.past++
			if len(w.line) < len("data:") {
				w.line = append(w.line, c)
			}
			w.data = w.past == len("data:") && string(w.line) == "data:"
		}
	}
}

// end ends a line; a blank one ends the message.
func (w *watcher) end() {
	if w.past == 0 {
		w.scan = scanner{tell: w.scan.tell, list: w.scan.list, stack: w.scan.stack[:0], word: w.scan.word[:0], name: w.scan.name[:0]}
	} else if w.data {
		w.scan.write([]byte{'\n'})
	}
	w.line, w.past, w.data = w.line[:0], 0, false
}

const keepEvent = 64 << 10 // bytes of room for events that a stream keeps

var (
	errEventTooLarge = errors.New("an event of the backend is larger than can be judged")
	errEventUnclear  = errors.New("an event of the backend can't be judged")
)

// sieve holds each event back until it is whole, and passes it on without the
// tools that nobody may see.
type sieve struct {
	visible func(string) bool
	event   []byte // as it came
	lines   []line
	begin   int  // of the present line in event
	cr      bool // the last byte was a CR
}

// line is a part of sieve.event, its end without the terminator.
type line struct{ from, to int }

// write takes the next piece and answers what may go on.
func (s *sieve) write(b []byte) ([]byte, error) {
	var out []byte
	for _, c := range b {
		if c == '\n' && s.cr { // the second half of a terminator
			s.cr = false
			if len(s.event) == 0 {
				out = append(out, c) // of the blank line that is gone already
				continue
			}
			s.event = append(s.event, c)
			s.begin = len(s.event)
			continue
		}
		s.cr = c == '\r'
		s.event = append(s.event, c)
		if len(s.event) > maxAnswer {
			return nil, errEventTooLarge
		}
		if c != '\n' && c != '\r' {
			continue
		}
		blank := s.begin == len(s.event)-1
		s.lines = append(s.lines, line{s.begin, len(s.event) - 1})
		s.begin = len(s.event)
		if blank {
			done, err := s.done()
			if err != nil {
				return nil, err
			}
			out = append(out, done...)
		}
	}
	return out, nil
}

// done is the event as it goes on.
func (s *sieve) done() ([]byte, error) {
	defer func() {
		s.event, s.lines, s.begin = s.event[:0], s.lines[:0], 0
		if cap(s.event) > keepEvent {
			s.event = nil // one large event is no reason to keep its room while the stream lasts
		}
	}()
	data, others := s.parts()
	first := bytes.TrimLeft(data, " \t\r\n")
	if len(first) == 0 || (first[0] != '{' && first[0] != '[') {
		if suspicious(first) {
			return nil, errEventUnclear
		}
		return bytes.Clone(s.event), nil // no message: an endpoint's address, a comment
	}
	kept, err := filterTools(data, s.visible)
	if err != nil {
		return nil, errors.Join(errEventUnclear, err)
	}
	if bytes.Equal(kept, data) {
		return bytes.Clone(s.event), nil
	}
	out := others
	for part := range bytes.SplitSeq(kept, []byte("\n")) {
		out = append(append(append(out, "data: "...), part...), '\n')
	}
	return append(out, '\n'), nil
}

// suspicious reports whether bytes that begin like no JSON may be read as JSON
// all the same: behind a mark of an encoding, or in two-byte characters.
func suspicious(b []byte) bool {
	return len(b) > 0 && (b[0] == 0xEF || b[0] == 0xFE || b[0] == 0xFF || b[0] == 0)
}

// parts are the data of the event and its other lines.
func (s *sieve) parts() (data, others []byte) {
	some := false
	for i, l := range s.lines {
		text := s.event[l.from:l.to]
		if i == 0 {
			text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF")) // a stream may begin so
		}
		value, is := bytes.CutPrefix(text, []byte("data"))
		value, colon := bytes.CutPrefix(value, []byte(":"))
		switch {
		case is && (colon || len(value) == 0):
			if some {
				data = append(data, '\n')
			}
			some = true
			data = append(data, bytes.TrimPrefix(value, []byte(" "))...)
		case len(text) > 0:
			others = append(append(others, text...), '\n')
		}
	}
	return data, others
}
