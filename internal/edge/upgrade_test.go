package edge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/internal/site"
)

// echo is a WebSocket server that sends every message back.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	c.SetReadLimit(1 << 20)
	defer c.CloseNow()
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, b) != nil {
			return
		}
	}
}

func (r *rig) webSocket(url string) *websocket.Conn {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: r.client()})
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	r.t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// roundTrip sends a message and wants it back.
func roundTrip(c *websocket.Conn, message []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageBinary, message); err != nil {
		return err
	}
	_, got, err := c.Read(ctx)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, message) {
		return errors.New("another message came back")
	}
	return nil
}

// ended is the close code that the client is told.
func ended(t *testing.T, c *websocket.Conn) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _, err := c.Read(ctx)
	return websocket.CloseStatus(err)
}

func TestWebSocketPassesBothWays(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, echo).URL))
	for _, scheme := range []string{"ws", "wss"} {
		c := r.webSocket(scheme + "://app.test/")
		for _, size := range []int{0, 1, 125, 126, 65535, 65536, 500_000} {
			if err := roundTrip(c, bytes.Repeat([]byte("x"), size)); err != nil {
				t.Fatalf("%s, %d bytes: %v", scheme, size, err)
			}
		}
		if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
			t.Errorf("%s: the close did not come through: %v", scheme, err)
		}
	}
}

func TestWebSocketGetsACloseFrame(t *testing.T) {
	for why, c := range map[string]struct {
		end  func(r *rig)
		code websocket.StatusCode
	}{
		"shutdown": {func(r *rig) { go r.stop() }, websocket.StatusGoingAway},
		"revoked":  {func(r *rig) { r.gate.denied.Store(true) }, websocket.StatusPolicyViolation},
		"removed":  {func(r *rig) { r.remove("app.test") }, websocket.StatusGoingAway},
		"disabled": {func(r *rig) { r.set(to("app.test", "http://x", func(p *site.Proxy) { p.Enabled = false })) }, websocket.StatusGoingAway},
	} {
		told := make(chan websocket.StatusCode, 1)
		b := backend(t, func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			_, _, err = c.Read(context.Background())
			told <- websocket.CloseStatus(err)
		})
		r := newRig(t, Options{}, to("app.test", b.URL))
		ws := r.webSocket("wss://app.test/")
		c.end(r)
		if code := ended(t, ws); code != c.code {
			t.Errorf("%s: the client was told %d, want %d", why, code, c.code)
		}
		if code := <-told; code != c.code {
			t.Errorf("%s: the target was told %d, want %d", why, code, c.code)
		}
		r.stop()
	}
}

func TestCloseFrameNeverLandsWithinAnother(t *testing.T) {
	var out bytes.Buffer
	p := &pipe{dst: &out, frames: true}
	first := append([]byte{0x82, 126, 1, 0}, bytes.Repeat([]byte("a"), 256)...)
	second := []byte{0x82, 2, 'b', 'b'}
	if _, err := p.Write(first[:100]); err != nil {
		t.Fatal(err)
	}
	p.close(closeGoingAway)
	if out.Len() != 100 {
		t.Fatal("the close frame came within a frame")
	}
	n, err := p.Write(append(bytes.Clone(first[100:]), second...))
	if n != len(first)-100 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%d %v", n, err)
	}
	if want := append(bytes.Clone(first), 0x88, 2, 3, 0xe9); !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%x", out.Bytes()[len(first)-2:])
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x82, 2, 'b', 'b', 0x81, 0x80, 1, 2, 3, 4}, 3)
	f.Add([]byte{0x82, 126, 0, 3, 1, 2, 3, 0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 9}, 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		whole, pieces := frame{}, frame{}
		for n := 0; n < len(b); {
			m := whole.advance(b[n:])
			if m <= 0 {
				t.Fatal("no progress")
			}
			n += m
		}
		if cut < 1 {
			cut = 1
		}
		for n := 0; n < len(b); {
			n += pieces.advance(b[n:min(len(b), n+cut)])
		}
		if whole.atBoundary() != pieces.atBoundary() || whole.left != pieces.left {
			t.Fatalf("%+v and %+v", whole, pieces)
		}
	})
}

func TestOnlyRealUpgradesPass(t *testing.T) {
	handshake := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	key := "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	accept := "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	for name, c := range map[string]struct{ ask, reply, want string }{
		"websocket":             {handshake + key, "101 S\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n" + accept, "101"},
		"no key":                {handshake, "101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + accept, "400"},
		"short key":             {handshake + "Sec-WebSocket-Key: YQ==\r\n", "101 S\r\n", "400"},
		"refused by the target": {handshake + key, "403 No\r\nContent-Length: 2\r\n\r\nno", "403"},
		"wrong accept":          {handshake + key, "101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n", "502"},
		"no accept":             {handshake + key, "101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", "502"},
		"another protocol":      {handshake + key, "101 S\r\nConnection: upgrade\r\nUpgrade: other\r\n" + accept, "502"},
		"nobody asked":          {"X-A: b\r\n", "101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + accept, "502"},
		"unknown protocol":      {"Connection: Upgrade\r\nUpgrade: spdy/3\r\n", "101 S\r\nConnection: upgrade\r\nUpgrade: spdy/3\r\n", "502"},
		"h2c":                   {"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", "101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n", "502"},
		"named by the proxy":    {"Connection: upgrade\r\nUpgrade: Custom/1\r\n", "101 S\r\nConnection: upgrade\r\nUpgrade: custom/1\r\n", "101"},
	} {
		target := canned(t, "HTTP/1.1 "+c.reply+"\r\n")
		r := newRig(t, Options{}, to("app.test", target, func(p *site.Proxy) { p.UpgradeProtocols = []string{"custom/1"} }))
		conn := r.dial(r.plain)
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\n"+c.ask+"\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.Status[:3] != c.want {
			t.Errorf("%s: %v %v", name, resp, err)
		}
		if resp != nil && c.want != "101" && name != "nobody asked" && name != "h2c" && !resp.Close {
			t.Errorf("%s: the connection stays open behind what was not checked", name)
		}
		_ = conn.Close()
	}
}

// canned is a target that gives the same bytes to every connection.
func canned(t *testing.T, reply string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, reply)
			}
			_ = c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestNothingIsSmuggledBehindAnUpgrade(t *testing.T) {
	b := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/smuggled" {
			t.Error("a request came through unchecked")
		}
	})
	r := newRig(t, Options{Locals: map[string]http.Handler{"internal:oauth": http.HandlerFunc(hello)}}, to("app.test", b.URL), site.Localhost())
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: anything\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET /jwks HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: nobody.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nab",
	} {
		got := r.send(head + "GET /smuggled HTTP/1.1\r\nHost : app.test\nX: y\r\n\r\n")
		if strings.Count(got, "HTTP/1.1 ") != 1 || !strings.Contains(got, "Connection: close") {
			t.Errorf("%q: %q", head, got)
		}
	}
}

func TestUnreadBodyAfterExpectIsNotARequest(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/smuggled" {
			t.Error("a body was read as a request")
		}
		w.WriteHeader(http.StatusUnauthorized) // without asking for the body
	})
	r := newRig(t, Options{HeadTimeout: 200 * time.Millisecond}, to("app.test", b.URL))
	got := r.send("POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 54\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 401 ") {
		t.Errorf("%q", got)
	}
}
