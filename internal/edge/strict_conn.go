package edge

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// refusedMark begins the method of the request that strictConn puts in the place
// of one that it refuses. No client can send it: methods begin with a letter.
const refusedMark = "!"

// strictConn is an HTTP/1 connection of which the parser sees only what a
// checker has passed. A head that is refused is replaced by a request with a
// method of ours, so that the refusal is answered in its turn, behind the
// answers to requests before it, and the connection is closed. It keeps
// incomplete heads back, and gives each headTimeout to become complete.
type strictConn struct {
	net.Conn
	info        *connInfo
	headTimeout time.Duration

	check  checker
	pend   []byte       // read but not passed on yet; begins at what check expects next, or with ready bytes
	ready  int          // leading bytes of pend that have been checked
	bad    *refusal     // why nothing passes any more
	ended  bool         // the replacement is out: end of file from here on
	passed atomic.Int64 // heads passed on, the replacement included
	first  bool         // no head has come yet

	mu     sync.Mutex // guards outer and headBy
	outer  time.Time  // the deadline that the owner set
	headBy time.Time  // when the present head must be complete; zero: no head has begun
}

func newStrictConn(c net.Conn, info *connInfo, headTimeout time.Duration) *strictConn {
	s := &strictConn{Conn: c, info: info, headTimeout: headTimeout, first: true}
	info.strict = s
	return s
}

// smallRead is a read too small to check heads in: net/http's one-byte reads.
const smallRead = 512

// Read passes on checked bytes only.
func (c *strictConn) Read(p []byte) (int, error) {
	for {
		switch {
		case len(p) == 0:
			return 0, nil
		case c.ready > 0:
			return c.deliver(p), nil
		case c.ended:
			return 0, io.EOF
		case c.bad != nil:
			if err := c.refuse(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := c.fill(p)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// deliver hands over bytes that have been checked.
func (c *strictConn) deliver(p []byte) int {
	n := copy(p, c.pend[:c.ready])
	c.ready -= n
	rest := copy(c.pend, c.pend[n:])
	c.pend = c.pend[:rest]
	if rest == 0 {
		c.pend = nil
	}
	return n
}

// refuse acts on c.bad: within a body the read fails; where a head was expected
// the replacement stands in for it.
func (c *strictConn) refuse() error {
	if c.check.state != inHead {
		return &net.OpError{Op: "read", Net: "tcp", Addr: c.RemoteAddr(), Err: c.bad}
	}
	c.pend = append(c.pend[:0], refusedMark...)
	c.pend = strconv.AppendInt(c.pend, int64(c.bad.status), 10)
	c.pend = append(c.pend, " / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n"...)
	c.ready, c.ended = len(c.pend), true
	c.passed.Add(1)
	return nil
}

// fill reads once, into p itself where that is possible, and reports how many
// checked bytes p then begins with.
func (c *strictConn) fill(p []byte) (int, error) {
	c.watchHead()
	if len(c.pend) > 0 || len(p) < smallRead && c.check.state != unchecked {
		return 0, c.fillPending()
	}
	n, err := c.Conn.Read(p)
	ok := c.pass(p[:n])
	if ok < n {
		c.pend = append(make([]byte, 0, max(4096, n-ok)), p[ok:n]...)
	}
	if ok > 0 {
		return ok, nil // an error comes again with the next read
	}
	if n > 0 {
		return 0, nil
	}
	return 0, c.readError(err)
}

func (c *strictConn) fillPending() error {
	if cap(c.pend)-len(c.pend) < smallRead {
		bigger := make([]byte, len(c.pend), max(4096, 2*cap(c.pend)))
		copy(bigger, c.pend)
		c.pend = bigger
	}
	n, err := c.Conn.Read(c.pend[len(c.pend):cap(c.pend)])
	c.pend = c.pend[:len(c.pend)+n]
	if n > 0 {
		c.ready = c.pass(c.pend)
		return nil
	}
	return c.readError(err)
}

// pass checks b and notes why it can't pass whole.
func (c *strictConn) pass(b []byte) int {
	before := c.check.heads
	n, bad := c.check.advance(b)
	c.bad = bad
	if more := c.check.heads - before; more > 0 {
		c.first = false
		c.passed.Add(int64(more))
	}
	return n
}

// readError tells an overdue head from all other ends of a read.
func (c *strictConn) readError(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.headBy.IsZero() || now.Before(c.headBy) || (!c.outer.IsZero() && c.outer.Before(c.headBy)) {
		return err
	}
	c.headBy = time.Time{}
	c.bad = &refusal{status: 408, rule: "the head of a request must arrive within " + c.headTimeout.String(), unused: c.first && len(c.pend) == 0}
	return nil
}

// watchHead starts the clock of a head that has begun, or that a new connection
// owes, and stops it when the head is complete.
func (c *strictConn) watchHead() {
	awaited := c.check.state == inHead && (c.first || len(c.pend) > 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	if awaited == !c.headBy.IsZero() {
		return
	}
	c.headBy = time.Time{}
	if awaited {
		c.headBy = time.Now().Add(c.headTimeout)
	}
	_ = c.Conn.SetReadDeadline(c.deadline()) // a closed connection says so at the read
}

// deadline is the earlier one of the owner's and the head's. c.mu is held.
func (c *strictConn) deadline() time.Time {
	if c.headBy.IsZero() || (!c.outer.IsZero() && c.outer.Before(c.headBy)) {
		return c.outer
	}
	return c.headBy
}

// SetReadDeadline keeps the head's own deadline in force beside t.
func (c *strictConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outer = t
	return c.Conn.SetReadDeadline(c.deadline())
}

// SetDeadline sets both deadlines.
func (c *strictConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// CloseWrite lets net/http linger, so that a client that is still sending gets
// to read its refusal.
func (c *strictConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
