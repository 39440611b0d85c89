package edge

import (
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
)

// WebSocket close codes (RFC 6455, 7.4.1).
const (
	closeGoingAway uint32 = 1001
	closePolicy    uint32 = 1008
)

// pipe is one direction of a tunnel. For WebSocket it follows the frames, so
// that a close frame of ours never lands within another.
type pipe struct {
	dst    io.Writer
	frames bool // WebSocket
	masked bool // towards a server: frames are masked

	code atomic.Uint32 // close code that is wanted; 0: none

	mu     sync.Mutex // guards what follows, and is held while writing
	frame  frame
	passed int64
	closed bool
}

// Write passes b on; once a close frame is out, nothing more.
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for len(b) > 0 {
		if err := p.closeIfDue(); err != nil {
			return total, err
		}
		n := len(b)
		if p.frames {
			n = p.span(b)
		}
		n, err := p.dst.Write(b[:n])
		total += n
		p.passed += int64(n)
		if err != nil {
			return total, err
		}
		b = b[n:]
	}
	return total, p.closeIfDue()
}

// span is how much of b may go out in one piece: all of it, or one frame where a
// close frame waits for its end.
func (p *pipe) span(b []byte) int {
	n := p.frame.advance(b)
	for p.code.Load() == 0 && n < len(b) {
		n += p.frame.advance(b[n:])
	}
	return n
}

// close sends a close frame as soon as the frame that is under way has ended.
func (p *pipe) close(code uint32) {
	p.code.Store(code)
	if p.mu.TryLock() { // else a Write is under way and sees the code
		defer p.mu.Unlock()
		_ = p.closeIfDue() // the tunnel ends either way
	}
}

// closeIfDue is io.ErrClosedPipe once the close frame is out. p.mu is held.
func (p *pipe) closeIfDue() error {
	code := p.code.Load()
	if code == 0 || !p.frames || !p.frame.atBoundary() {
		return nil
	}
	if !p.closed {
		p.closed = true
		if _, err := p.dst.Write(closeFrame(uint16(code), p.masked)); err != nil { //nolint:gosec // codes are small
			return err
		}
	}
	return io.ErrClosedPipe
}

// closeFrame is a whole close frame.
func closeFrame(code uint16, masked bool) []byte {
	if !masked {
		return binary.BigEndian.AppendUint16([]byte{0x88, 2}, code)
	}
	var mask [4]byte
	var random [8]byte
	fillRandom(random[:])
	copy(mask[:], random[:])
	b := append([]byte{0x88, 0x82}, mask[:]...)
	return append(b, byte(code>>8)^mask[0], byte(code)^mask[1])
}

// frame follows the frames of one direction (RFC 6455, 5.2).
type frame struct {
	head [14]byte
	have int    // bytes of head so far
	left uint64 // bytes of payload to come
}

func (f *frame) atBoundary() bool { return f.have == 0 && f.left == 0 }

// advance goes on to the end of the present frame, or of b, and reports how far
// that is.
func (f *frame) advance(b []byte) int {
	n := 0
	for f.left == 0 && n < len(b) {
		f.head[f.have] = b[n]
		f.have++
		n++
		if f.have < 2 || f.have < f.headSize() {
			continue
		}
		f.left = f.payload()
		f.have = 0
		if f.left == 0 {
			return n
		}
	}
	m := min(uint64(len(b)-n), f.left) //nolint:gosec // n is within b
	f.left -= m
	return n + int(m) //nolint:gosec // m is within b
}

func (f *frame) headSize() int {
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4
	}
	return size
}

func (f *frame) payload() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}
