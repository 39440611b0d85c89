package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// InstancePort is a port on which one host listens for balancers. Every connection
// begins with a PROXY header there, and serves that host alone.
type InstancePort struct {
	Port   int
	Host   string // the proxy's hostname, a wildcard's by its pattern
	Secure bool   // TLS is spoken here
}

// instancePorts are the listeners of instances on this node.
type instancePorts struct {
	bound sync.Map // port -> netip.AddrPort: what owns asks without a lock

	mu      sync.Mutex // guards what follows; no request takes it
	places  map[int]*instancePlace
	open    int
	closed  bool
	accepts sync.WaitGroup
	retry   chan struct{} // something could not be bound: look when to try again
}

// instancePlace is where one instance port should be served.
type instancePlace struct {
	InstancePort
	listener *listener // nil: not bound
	err      error     // why not
	wait     time.Duration
	next     time.Time // when to try again
}

// A port that can't be bound is tried again and again, soon at first.
const (
	firstBindRetry = time.Second
	lastBindRetry  = 30 * time.Second
)

// errFewDescriptors keeps descriptors for clients where few are allowed.
var errFewDescriptors = errors.New("too few file descriptors are allowed to this process (ulimit -n): three quarters are kept for clients")

// SetInstancePorts says which ports instances have from now on. It binds those
// that are new and closes those that are gone; all others stay as they are.
// Connections that were accepted on a port that is gone go on, as those of its
// host do.
func (e *Edge) SetInstancePorts(all []InstancePort) {
	p := &e.instancePorts
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := make(map[int]InstancePort, len(all))
	for _, w := range all {
		wanted[w.Port] = w
	}
	for port, place := range p.places {
		if wanted[port] != place.InstancePort {
			p.remove(place)
		}
	}
	for _, w := range all {
		if p.places[w.Port] == nil {
			place := &instancePlace{InstancePort: w}
			p.places[w.Port] = place
			e.openPlace(place)
		}
	}
	p.wake()
}

// remove closes a place. p.mu is held.
func (p *instancePorts) remove(place *instancePlace) {
	delete(p.places, place.Port)
	if place.listener == nil {
		return
	}
	_ = place.listener.Close() // closing is all that was wanted
	p.bound.Delete(place.Port)
	p.open--
}

func (p *instancePorts) wake() {
	select {
	case p.retry <- struct{}{}:
	default: // a look is due already
	}
}

// openPlace binds a port and accepts on it, or notes why it can't be. e.instancePorts.mu is held.
func (e *Edge) openPlace(place *instancePlace) {
	p := &e.instancePorts
	if p.closed {
		return
	}
	l, err := e.bindPlace(place)
	if err != nil {
		if place.err == nil {
			e.Logger.Warn("an instance port can't be bound: its host is served on the public ports alone until it can", "host", place.Host, "port", place.Port, "error", err)
		}
		place.err = err
		place.wait = min(max(2*place.wait, firstBindRetry), lastBindRetry)
		place.next = time.Now().Add(place.wait)
		return
	}
	if place.err != nil {
		e.Logger.Info("an instance port is bound after all", "host", place.Host, "port", place.Port)
	}
	place.err, place.wait = nil, 0
	place.listener = &listener{Listener: l, secure: place.Secure, host: place.Host}
	p.bound.Store(place.Port, addrPort(l.Addr()))
	p.open++
	p.accepts.Go(func() { e.accept(place.listener) })
}

func (e *Edge) bindPlace(place *instancePlace) (net.Listener, error) {
	if e.instancePorts.open >= mostInstancePorts() {
		return nil, errFewDescriptors
	}
	l, err := bind(e.InstanceListen, place.Port)
	if err != nil {
		return nil, bindFailure(err)
	}
	return l, nil
}

// mostInstancePorts is how many listeners may be open: a quarter of the
// descriptors that there can be.
func mostInstancePorts() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 256
	}
	return int(min(limit.Cur/4, 1<<20)) //nolint:gosec // a million at most
}

// CanListen is nil, or why a port can't be bound for instances on this node.
func (e *Edge) CanListen(port int) error {
	l, err := bind(e.InstanceListen, port)
	if err != nil {
		return bindFailure(err)
	}
	return l.Close()
}

// bindFailure is why a port can't be bound, in words.
func bindFailure(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program has the port: %w", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("PROXY_INSTANCE_LISTEN is no address of this machine: %w", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("no right to bind the port: %w", err)
	}
	return err
}

// InstanceListener tells how an instance port stands: bound to address, or why
// not. ok is false for ports that no instance has here.
func (e *Edge) InstanceListener(port int) (address string, err error, ok bool) { //nolint:revive // ok says whether the others mean anything
	p := &e.instancePorts
	p.mu.Lock()
	defer p.mu.Unlock()
	place := p.places[port]
	if place == nil {
		return "", nil, false
	}
	return net.JoinHostPort(e.InstanceListen, strconv.Itoa(port)), place.err, true
}

// ListensOn reports whether an instance of this node listens on port.
func (e *Edge) ListensOn(port int) bool {
	_, ok := e.instancePorts.bound.Load(port)
	return ok
}

// owns reports whether ip and port lead to an instance port.
func (p *instancePorts) owns(ip netip.Addr, port uint16) bool {
	bound, ok := p.bound.Load(int(port))
	if !ok {
		return false
	}
	a, ok := bound.(netip.AddrPort)
	return ok && ours(a, ip, port)
}

// watchInstancePorts tries ports again that could not be bound, until ctx ends.
func (e *Edge) watchInstancePorts(ctx context.Context) {
	p := &e.instancePorts
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.retry:
		case <-timer.C:
			e.bindAgain()
		}
		timer.Stop()
		if next, any := p.nextTry(); any {
			timer.Reset(time.Until(next))
		}
	}
}

// bindAgain binds what is due.
func (e *Edge) bindAgain() {
	p := &e.instancePorts
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, place := range p.places {
		if place.listener == nil && !place.next.After(now) {
			e.openPlace(place)
		}
	}
}

// nextTry is when the first port is due again.
func (p *instancePorts) nextTry() (at time.Time, any bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, place := range p.places {
		if place.listener == nil && (!any || place.next.Before(at)) {
			at, any = place.next, true
		}
	}
	return at, any
}

// closeInstancePorts closes all listeners of instances, for good.
func (e *Edge) closeInstancePorts() {
	p := &e.instancePorts
	p.mu.Lock()
	p.closed = true
	for _, place := range p.places {
		p.remove(place)
	}
	p.mu.Unlock()
	p.accepts.Wait()
}
