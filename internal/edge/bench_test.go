package edge

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"gatehouse/internal/principal"
	"gatehouse/internal/site"
)

// wire is a target and a client that cost next to nothing, so that what is
// measured is the edge: raw bytes over loopback.
func wire(b *testing.B, body int) string {
	b.Helper()
	return wireOf(b, "text/plain", string(make([]byte, body)))
}

func wireOf(b *testing.B, kind, body string) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerForever(c, reply)
		}
	}()
	return "http://" + l.Addr().String()
}

func answerForever(c net.Conn, reply []byte) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		for { // to the empty line that ends a head
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

// askForever sends the same request over one connection b.N times.
func askForever(b *testing.B, c net.Conn, request string, body int) {
	b.Helper()
	in := bufio.NewReaderSize(c, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(c, request); err != nil {
			b.Fatal(err)
		}
		line, err := in.ReadString('\n')
		if err != nil || line[9:12] != "200" {
			b.Fatalf("%q %v", line, err)
		}
		for len(line) > 2 {
			if line, err = in.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := in.Discard(body); err != nil {
			b.Fatal(err)
		}
	}
}

const benchRequest = "GET /reports?page=2 HTTP/1.1\r\nHost: app.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n" +
	"Accept: application/json\r\nAccept-Encoding: gzip, br\r\nAccept-Language: en\r\nCookie: theme=dark\r\nAuthorization: Bearer abc\r\n\r\n"

func benchRig(b *testing.B, body int, change ...func(*site.Proxy)) *rig {
	b.Helper()
	r := newRig(b, Options{}, to("app.test", wire(b, body), change...))
	r.journal.dropAll = true
	return r
}

func BenchmarkForwardPlain(b *testing.B) {
	r := benchRig(b, 1000)
	askForever(b, r.dial(r.plain), benchRequest, 1000)
}

func BenchmarkForwardTLS(b *testing.B) {
	r := benchRig(b, 1000)
	askForever(b, r.dialTLS("app.test"), benchRequest, 1000)
}

func BenchmarkForwardGuarded(b *testing.B) {
	r := benchRig(b, 1000, guarded)
	alice := &principal.Principal{Subject: "github:1", User: "alice", Email: "alice@example.com", Scopes: []string{"mcp", "user"}, ClientID: "client"}
	r.gate.decide(func(*site.Visit, *http.Request) site.Verdict {
		return site.Verdict{Step: 9, Reason: "allowed", OwnToken: true, Principal: alice}
	})
	askForever(b, r.dialTLS("app.test"), benchRequest, 1000)
}

func BenchmarkForwardLarge(b *testing.B) {
	r := benchRig(b, 1<<20)
	b.SetBytes(1 << 20)
	askForever(b, r.dial(r.plain), benchRequest, 1<<20)
}

func BenchmarkStrictHead(b *testing.B) {
	raw := []byte(benchRequest)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	var k checker
	for b.Loop() {
		if n, bad := k.advance(raw); n != len(raw) || bad != nil {
			b.Fatal(n, bad)
		}
	}
}

func BenchmarkClientHello(b *testing.B) {
	raw := captureHello(b, &tls.Config{ServerName: "app.test"})
	b.ReportAllocs()
	for b.Loop() {
		if _, done, err := parseRecords(raw); !done || err != nil {
			b.Fatal(err)
		}
	}
}
