package redistest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands before a server and spoils the connection when it is told to.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	links  map[*linked]struct{}
	delay  time.Duration
	silent bool // nothing is passed on, either way
	mute   int  // so many times an answer is withheld, and the connection cut instead
	closed bool
	wake   chan struct{} // closed and replaced when something is told
}

type linked struct{ client, server net.Conn }

func (l *linked) close() { _ = l.client.Close(); _ = l.server.Close() }

// Before makes a proxy to target, until the test ends.
func Before(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: listener, links: map[*linked]struct{}{}, wake: make(chan struct{})}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.tell(func() { p.closed = true })
		p.Cut()
		p.running.Wait()
	})
	return p
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut breaks all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// Delay keeps everything that passes back for d.
func (p *Proxy) Delay(d time.Duration) { p.tell(func() { p.delay = d }) }

// Silence passes nothing on, while connections stay and new ones are taken.
func (p *Proxy) Silence(on bool) { p.tell(func() { p.silent = on }) }

// Mute withholds the answer to the next question that has Marked in it, and cuts
// that connection: the change is made, and nobody is told.
func (p *Proxy) Mute() { p.tell(func() { p.mute++ }) }

func (p *Proxy) tell(set func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set()
	close(p.wake)
	p.wake = make(chan struct{})
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &linked{client, server}
		p.mu.Lock()
		p.links[l] = struct{}{}
		p.mu.Unlock()
		marked := make(chan struct{}, 1) // the last question was large: it was a change
		p.running.Go(func() { p.pass(l, server, client, marked, true) })
		p.running.Go(func() { p.pass(l, client, server, marked, false) })
	}
}

// Marked is in the value of a write whose answer Mute withholds.
const Marked = "withhold the answer to this"

func (p *Proxy) pass(l *linked, to io.Writer, from io.Reader, marked chan struct{}, question bool) {
	defer func() {
		l.close()
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !p.wait() {
			return
		}
		if question && bytes.Contains(buffer[:n], []byte(Marked)) {
			select {
			case marked <- struct{}{}:
			default:
			}
		}
		if !question && p.withholds(marked) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// withholds reports whether this answer is one that Mute meant.
func (p *Proxy) withholds(marked chan struct{}) bool {
	select {
	case <-marked:
	default:
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute == 0 {
		return false
	}
	p.mute--
	return true
}

// wait waits as long as it is told; false when the proxy is closed.
func (p *Proxy) wait() bool {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	time.Sleep(delay)
	for {
		p.mu.Lock()
		silent, closed, wake := p.silent, p.closed, p.wake
		p.mu.Unlock()
		if closed || !silent {
			return !closed
		}
		<-wake
	}
}
