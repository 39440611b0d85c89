package edge

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const webSocket = "websocket"

// leavesHTTP reports whether the strict check stops behind this request. It may
// say so more often than the check does, never less often.
func leavesHTTP(h http.Header) bool {
	return slices.ContainsFunc(h["Upgrade"], func(v string) bool { return !strings.EqualFold(v, "h2c") })
}

// upgradeAsked is the protocol that the client wants and the host allows, empty
// for an ordinary request: an offer may be ignored. ok is false for a WebSocket
// handshake that is none.
func (x *exchange) upgradeAsked() (protocol string, ok bool) {
	h := x.r.Header
	if x.r.ProtoMajor != 1 || len(h["Upgrade"]) != 1 || !slices.ContainsFunc(h["Connection"], func(v string) bool { return hasToken(v, "upgrade") }) {
		return "", true
	}
	protocol = h["Upgrade"][0]
	if strings.EqualFold(protocol, webSocket) {
		key, err := base64.StdEncoding.DecodeString(h.Get("Sec-Websocket-Key"))
		return webSocket, err == nil && len(key) == 16 && x.r.Method == http.MethodGet && x.body == nil
	}
	if slices.ContainsFunc(x.inst.host.Proxy.UpgradeProtocols, func(p string) bool { return strings.EqualFold(p, protocol) }) {
		return protocol, true
	}
	return "", true
}

// switchTo joins client and target after a 101, when it is the answer to what
// was asked.
func (x *exchange) switchTo(protocol string, out *http.Request, resp *http.Response) {
	target, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || protocol == "" || !validSwitch(protocol, out, resp) {
		_ = resp.Body.Close() // nothing of it is wanted
		x.fail("bad_upgrade", "the target switched to a protocol that was not asked for")
		x.problem(http.StatusBadGateway, "bad_upgrade", "The target switched to a protocol that was not asked for.")
		return
	}
	defer target.Close()
	x.adopt(resp.Header)
	resp.Header["Connection"], resp.Header["Upgrade"] = []string{"Upgrade"}, []string{protocol}
	setCustom(resp.Header, x.inst.response, &x.visit)
	x.edge.tunnels.Add(1) // before Hijack: from there on http.Server no longer waits for us
	defer x.edge.tunnels.Done()
	client, buffered, err := http.NewResponseController(x.w.ResponseWriter).Hijack()
	if err != nil {
		x.fail("upgrade", err.Error())
		return
	}
	defer client.Close()
	x.w.status, x.w.first = http.StatusSwitchingProtocols, time.Now()
	if err := writeSwitch(client, resp); err != nil {
		x.fail("client_gone", err.Error())
		return
	}
	t := newTunnel(client, buffered, target, protocol == webSocket)
	x.enterTunnel(t)
	t.run(x.cutBy)
	x.w.written, x.received = t.down.passed, t.up.passed
}

func (x *exchange) enterTunnel(t *tunnel) {
	x.shard.mu.Lock()
	defer x.shard.mu.Unlock()
	x.tunnel = t
	if x.edge.closing.Load() {
		t.end(errShutdown)
	}
}

// validSwitch reports whether a 101 answers the request: the protocol, and for
// WebSocket the key.
func validSwitch(protocol string, out *http.Request, resp *http.Response) bool {
	if !strings.EqualFold(resp.Header.Get("Upgrade"), protocol) || !hasToken(resp.Header.Get("Connection"), "upgrade") {
		return false
	}
	if protocol != webSocket {
		return true
	}
	sum := sha1.Sum([]byte(out.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // not for security
	return resp.Header.Get("Sec-Websocket-Accept") == base64.StdEncoding.EncodeToString(sum[:])
}

func writeSwitch(client net.Conn, resp *http.Response) error {
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := resp.Header.Write(&b); err != nil {
		return fmt.Errorf("switching protocols: %w", err)
	}
	b.WriteString("\r\n")
	if err := client.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("switching protocols: %w", err)
	}
	_, err := io.WriteString(client, b.String())
	return err
}

// tunnel is a connection that left HTTP, both ways.
type tunnel struct {
	client net.Conn
	target io.ReadWriteCloser
	early  *bufio.Reader // what the client sent before the switch was out
	down   *pipe         // to the client
	up     *pipe         // to the target
	ending chan struct{}
	once   sync.Once
	cause  error // set before ending is closed
}

const (
	tunnelBuffer = 4 << 10
	closeGrace   = 2 * time.Second  // for the close frames to be answered
	halfGrace    = 30 * time.Second // for one direction when the other has ended
)

func newTunnel(client net.Conn, buffered *bufio.ReadWriter, target io.ReadWriteCloser, frames bool) *tunnel {
	return &tunnel{
		client: client, target: target, early: buffered.Reader, ending: make(chan struct{}),
		down: &pipe{dst: client, frames: frames}, up: &pipe{dst: target, frames: frames, masked: true},
	}
}

// end asks the tunnel to close; it does not wait.
func (t *tunnel) end(cause error) {
	t.once.Do(func() {
		t.cause = cause
		close(t.ending)
	})
}

// run copies both ways until both are done, one is and the other does not follow,
// or the tunnel is told to end; then why is told.
func (t *tunnel) run(ended func(cause error)) {
	done := make(chan struct{}, 2)
	go func() { t.copy(t.down, t.target, t.client); done <- struct{}{} }()
	go func() { t.copy(t.up, t.clientReader(), t.target); done <- struct{}{} }()
	left := 2
	var patience <-chan time.Time
	ending := t.ending
	for left > 0 {
		select {
		case <-done:
			left--
			if patience == nil {
				patience = time.After(halfGrace)
			}
		case <-ending:
			ending = nil
			ended(t.cause)
			patience = time.After(t.sayGoodbye())
		case <-patience:
			_ = t.client.Close() // ends both copies
			_ = t.target.Close()
			patience = nil
			for ; left > 0; left-- {
				<-done
			}
		}
	}
}

// sayGoodbye sends close frames and reports how long to wait for the answers.
func (t *tunnel) sayGoodbye() time.Duration {
	if !t.down.frames {
		return 0
	}
	_ = t.client.SetWriteDeadline(time.Now().Add(closeGrace))
	code := closeGoingAway
	if errors.Is(t.cause, errRevoked) {
		code = closePolicy
	}
	t.down.close(code)
	t.up.close(code)
	return closeGrace
}

func (t *tunnel) clientReader() io.Reader {
	if n := t.early.Buffered(); n > 0 {
		b, err := t.early.Peek(n)
		if err == nil {
			return io.MultiReader(strings.NewReader(string(b)), t.client)
		}
	}
	return t.client
}

// copy is one direction. At its end the receiver is told that no more comes.
func (t *tunnel) copy(to *pipe, from io.Reader, receiver any) {
	_, err := io.CopyBuffer(to, from, make([]byte, tunnelBuffer))
	half, ok := receiver.(interface{ CloseWrite() error })
	if err == nil && ok && half.CloseWrite() == nil {
		return
	}
	_ = t.target.Close() // a broken direction ends the tunnel
	_ = t.client.Close()
}

// cutBy notes in the journal why a tunnel was ended from our side.
func (x *exchange) cutBy(cause error) { x.fail("ended", cause.Error()) }
