package edge

import (
	"bytes"
	"fmt"
)

// maxHead is the largest request head, and the largest trailer section, in bytes.
const maxHead = 64 << 10

// maxChunkLine is the longest line that introduces a chunk, extensions included.
const maxChunkLine = 1 << 10

// refusal is why a message is not let through to the HTTP parser.
type refusal struct {
	status int    // 400, 408 or 431
	rule   string // the rule that was broken, as a sentence without a final stop
	unused bool   // no byte ever came: browsers open connections ahead of need
}

func (r *refusal) Error() string { return fmt.Sprintf("refused with %d: %s", r.status, r.rule) }

func malformed(rule string) *refusal { return &refusal{status: 400, rule: rule} }

// checkState is what a checker expects next.
type checkState uint8

const (
	inHead      checkState = iota
	inBody                 // left bytes of a body with Content-Length
	inChunkLine            // the size of the next chunk
	inChunk                // left bytes of a chunk
	inChunkEnd             // the CRLF behind a chunk
	inTrailer              // trailer fields, or the empty line that ends them
	unchecked              // behind a request to change the protocol: no longer HTTP
)

// checker walks over the bytes of one HTTP/1 connection, message by message,
// and refuses what two programs could read differently (RFC 9112): it stands in
// front of net/http, which is more lenient. It keeps no bytes. Heads, chunk
// lines and trailer lines pass whole or not at all.
type checker struct {
	state checkState
	left  int64 // bytes of body or chunk to come; in a trailer, bytes of it so far
	line  int   // within an unfinished head: where the present line begins
	scan  int   // within an unfinished line: where to look for its end
	heads int   // heads that passed
	head  headCheck
}

// advance looks at b, which begins where the last call said that it had come to,
// and reports how many bytes of it may pass. The rest needs more bytes behind it,
// or breaks a rule.
func (k *checker) advance(b []byte) (n int, bad *refusal) {
	for n < len(b) {
		m, bad := k.step(b[n:])
		if bad != nil || m == 0 {
			return n, bad
		}
		n += m
	}
	return n, nil
}

func (k *checker) step(b []byte) (int, *refusal) {
	switch k.state {
	case inHead:
		return k.headLines(b)
	case inBody, inChunk:
		return k.data(b), nil
	case inChunkLine:
		return k.chunkLine(b)
	case inChunkEnd:
		return k.chunkEnd(b)
	case inTrailer:
		return k.trailerLine(b)
	default:
		return len(b), nil
	}
}

// headLines checks the lines of a head as they come in and passes the head when
// its last one is there.
func (k *checker) headLines(b []byte) (int, *refusal) {
	if !letter(b[0]) {
		return 0, malformed("a request begins with a method")
	}
	for {
		line, bad := k.nextLine(b, maxHead)
		if line == nil || bad != nil {
			return 0, bad
		}
		if len(line) > 0 {
			if bad := k.head.add(line); bad != nil {
				return 0, bad
			}
			continue
		}
		if bad := k.head.end(); bad != nil {
			return 0, bad
		}
		n := k.line
		k.begin()
		return n, nil
	}
}

// nextLine is the next complete line of b without its CRLF, nil when there is none yet.
func (k *checker) nextLine(b []byte, limit int) ([]byte, *refusal) {
	i := bytes.IndexByte(b[k.scan:], '\n')
	if i < 0 {
		k.scan = len(b)
		if len(b) >= limit {
			return nil, &refusal{status: 431, rule: "the head is larger than 64 KiB"}
		}
		return nil, nil
	}
	end := k.scan + i
	if end >= limit {
		return nil, &refusal{status: 431, rule: "the head is larger than 64 KiB"}
	}
	if end == k.line || b[end-1] != '\r' {
		return nil, malformed("lines end with CRLF, not with LF alone")
	}
	line := b[k.line : end-1]
	k.line, k.scan = end+1, end+1
	return line, nil
}

// begin goes from a head that passed to what follows it.
func (k *checker) begin() {
	h := &k.head
	k.heads++
	k.line, k.scan = 0, 0
	switch {
	case h.chunked:
		k.state, k.left = inChunkLine, 0
	case h.length > 0:
		k.state, k.left = inBody, h.length
	default:
		k.finish()
	}
}

// finish goes from a complete message to what follows it.
func (k *checker) finish() {
	k.state, k.left = inHead, 0
	if k.head.upgrades() {
		k.state = unchecked
	}
	k.head = headCheck{}
}

func (k *checker) data(b []byte) int {
	n := min(int64(len(b)), k.left)
	k.left -= n
	if k.left == 0 {
		if k.state == inChunk {
			k.state = inChunkEnd
		} else {
			k.finish()
		}
	}
	return int(n)
}

func (k *checker) chunkLine(b []byte) (int, *refusal) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 && len(b) < maxChunkLine {
		return 0, nil
	}
	if i < 1 || i > maxChunkLine || b[i-1] != '\r' {
		return 0, malformed("a chunk begins with its size and CRLF")
	}
	size, ok := chunkSize(b[:i-1])
	if !ok {
		return 0, malformed("a chunk's size is at most 15 hexadecimal digits")
	}
	k.state, k.left = inChunk, size
	if size == 0 {
		k.state = inTrailer
	}
	return i + 1, nil
}

// chunkSize reads "1f" or "1f;name=value".
func chunkSize(line []byte) (size int64, ok bool) {
	digits, extension, _ := bytes.Cut(line, []byte{';'})
	if len(digits) == 0 || len(digits) > 15 || !textOnly(extension) {
		return 0, false
	}
	for _, c := range digits {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		size = size<<4 | int64(d)
	}
	return size, true
}

func (k *checker) chunkEnd(b []byte) (int, *refusal) {
	if b[0] != '\r' || (len(b) > 1 && b[1] != '\n') {
		return 0, malformed("a chunk ends with CRLF where its size says")
	}
	if len(b) < 2 {
		return 0, nil
	}
	k.state = inChunkLine
	return 2, nil
}

func (k *checker) trailerLine(b []byte) (int, *refusal) {
	i := bytes.IndexByte(b, '\n')
	size := i
	if i < 0 {
		size = len(b)
	}
	if k.left+int64(size) >= maxHead {
		return 0, &refusal{status: 431, rule: "the trailers are larger than 64 KiB"}
	}
	if i < 0 {
		return 0, nil
	}
	if i == 0 || b[i-1] != '\r' {
		return 0, malformed("lines end with CRLF, not with LF alone")
	}
	if i == 1 {
		k.finish()
		return 2, nil
	}
	name, _, bad := field(b[:i-1])
	if bad != nil {
		return 0, bad
	}
	if framing(name) {
		return 0, malformed("a trailer can't be about the message's framing")
	}
	k.left += int64(i) + 1
	return i + 1, nil
}
