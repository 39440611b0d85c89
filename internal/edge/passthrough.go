package edge

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"gatehouse/internal/journal"
)

// rawConns are the connections that are passed through at layer 4.
type rawConns struct {
	mu   sync.Mutex // guards open
	open map[*rawConn]struct{}
}

// rawConn is one connection whose bytes go to the target as they are.
type rawConn struct {
	name           string
	client, target net.Conn
}

func (r *rawConns) add(c *rawConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = make(map[*rawConn]struct{})
	}
	r.open[c] = struct{}{}
}

func (r *rawConns) remove(c *rawConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
}

// cut closes those that f picks.
func (r *rawConns) cut(f func(*rawConn) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		if f(c) {
			_ = c.client.Close() // both copies end
			_ = c.target.Close()
		}
	}
}

// closeWhenDone waits for dispatches and raw connections, and closes what is
// left when ctx ends.
func (r *rawConns) closeWhenDone(ctx context.Context, all *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		r.cut(func(*rawConn) bool { return true })
		<-done
	}
}

// passthrough joins client and target without ending TLS.
func (e *Edge) passthrough(p *peekConn, in *instance) {
	defer func() { _ = p.Close() }()
	start := time.Now()
	by := choice{now: start.UnixNano(), client: clientHash(addressKey(p.info.peer.Addr()))}
	to := in.own.pick(by)
	entry := &journal.Entry{
		Kind: journal.Request, ClientIP: p.info.peer.Addr().String(), Proxy: p.info.sni,
		Target: to.value, Protocol: "TLS passthrough",
	}
	defer func() {
		entry.Duration = milliseconds(time.Since(start))
		e.Recorder.Write(entry)
	}()
	if !in.host.Proxy.Enabled || to.host == "" {
		entry.Error, entry.ErrorKind = "the host is switched off or has no target for raw bytes", "no_target"
		_, _ = p.Write(accessDenied) // closed either way
		return
	}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), infoKey{}, p.info), in.dialer.timeout)
	defer cancel()
	target, err := in.dialer.DialContext(ctx, "tcp", withPort(to))
	if err != nil {
		to.health.broke(time.Now())
		by.not = to
		if other := in.own.pick(by); other != to && other.host != "" {
			to, entry.Target = other, other.value
			target, err = in.dialer.DialContext(ctx, "tcp", withPort(to))
		}
	}
	if err != nil {
		entry.Error, entry.ErrorKind = err.Error(), "connect"
		_, _ = p.Write(internalError)
		return
	}
	to.health.worked()
	defer target.Close()
	to.load().Add(1)
	defer to.load().Add(-1)
	c := &rawConn{name: p.info.sni, client: p.Conn, target: target}
	e.raw.add(c)
	defer e.raw.remove(c)
	entry.BytesIn, entry.BytesOut = join(p, target)
}

// Fatal alerts (RFC 8446, 6) in records of their own.
var (
	accessDenied  = []byte{21, 3, 3, 0, 2, 2, 49}
	internalError = []byte{21, 3, 3, 0, 2, 2, 80}
)

// withPort is where raw bytes for a target go.
func withPort(t *target) string {
	if _, _, err := net.SplitHostPort(t.host); err == nil {
		return t.host
	}
	port := "80"
	if t.scheme == "https" {
		port = "443"
	}
	return t.host + ":" + port // an IPv6 address has its brackets in a URL
}

// join copies both ways until both are done. Between sockets the kernel moves
// the bytes (splice).
func join(p *peekConn, target net.Conn) (in, out int64) {
	_ = p.SetDeadline(time.Time{})
	up := make(chan int64, 1)
	go func() {
		n, err := target.Write(p.head)
		total := int64(n)
		p.head = nil
		if err == nil {
			var m int64
			m, err = io.Copy(target, p.Conn)
			total += m
		}
		endWriting(target, p.Conn, err)
		up <- total
	}()
	out, err := io.Copy(p.Conn, target)
	endWriting(p.Conn, target, err)
	return <-up, out
}

// endWriting tells to that no more comes; after an error both are closed.
func endWriting(to, from net.Conn, err error) {
	half, ok := to.(interface{ CloseWrite() error })
	if err == nil && ok && half.CloseWrite() == nil {
		return
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		_ = from.Close() // the other direction can't go on either
	}
	_ = to.Close()
}
