package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// captureHello is the first flight of Go's own client.
func captureHello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() { _ = tls.Client(client, config).Handshake() }() // fails when the pipe is closed
	_ = server.SetDeadline(time.Now().Add(5 * time.Second))
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	return slices.Concat(head, body)
}

// recut cuts the handshake message of one record into records of at most size bytes.
func recut(record []byte, size int) []byte {
	var out []byte
	for rest := record[5:]; len(rest) > 0; {
		n := min(size, len(rest))
		out = append(out, 22, 3, 1, byte(n>>8), byte(n))
		out = append(out, rest[:n]...)
		rest = rest[n:]
	}
	return out
}

func TestHelloIsFoundHoweverItIsCut(t *testing.T) {
	config := &tls.Config{ServerName: "app.test", NextProtos: []string{"h2", "acme-tls/1"}}
	for range 60 { // a post-quantum key share and many protocols: more than one segment
		config.NextProtos = append(config.NextProtos, strings.Repeat("p", 200))
	}
	whole := captureHello(t, config)
	for _, size := range []int{1, 3, 4, 5, 100, 1 << 14} {
		raw := recut(whole, size)
		for cut := range raw {
			if cut > 40 && cut%997 != 0 {
				continue
			}
			if _, done, err := parseRecords(raw[:cut]); done || err != nil {
				t.Fatalf("records of %d bytes, %d there: %v %v", size, cut, done, err)
			}
		}
		hello, done, err := parseRecords(append(raw, "behind it"...))
		if !done || err != nil || hello.name != "app.test" || !hello.acme {
			t.Errorf("records of %d bytes: %+v %v %v", size, hello, done, err)
		}
	}
}

func TestFragmentedHelloIsServed(t *testing.T) {
	r := newRig(t, Options{}, to("app.test", backend(t, hello).URL))
	c := tls.Client(&recutConn{Conn: r.dial(r.secure)}, &tls.Config{RootCAs: r.certs.pool, ServerName: "app.test"})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
	if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 200 ") {
		t.Errorf("%q", b)
	}
}

// recutConn sends the first record in records of 50 bytes.
type recutConn struct {
	net.Conn
	done bool
}

func (c *recutConn) Write(b []byte) (int, error) {
	if c.done {
		return c.Conn.Write(b)
	}
	c.done = true
	for rest := recut(b, 50); len(rest) > 0; {
		n := min(20, len(rest))
		if _, err := c.Conn.Write(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

func TestEndlessHelloIsCutOff(t *testing.T) {
	r := newRig(t, Options{HeadTimeout: 2 * time.Second}, to("app.test", backend(t, hello).URL))
	c := r.dial(r.secure)
	_, _ = c.Write([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff})
	start := time.Now()
	for range 5 {
		if _, err := c.Write(append(make([]byte, 0x4000-4), 22, 3, 1, 0x40, 0)); err != nil {
			break
		}
	}
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	if time.Since(start) > time.Second {
		t.Error("more than 64 KiB were taken")
	}
	slow := r.dial(r.secure)
	_, _ = slow.Write([]byte{22, 3})
	if b, err := io.ReadAll(slow); err != nil || len(b) > 0 {
		t.Errorf("a slow hello: %q %v", b, err)
	}
}

// FuzzClientHello: the name that the dispatcher finds is the one that crypto/tls finds.
func FuzzClientHello(f *testing.F) {
	plain := captureHello(f, &tls.Config{ServerName: "app.test"})
	f.Add(plain)
	f.Add(recut(plain, 10))
	f.Add(captureHello(f, &tls.Config{ServerName: "a.b", NextProtos: []string{"acme-tls/1"}, MaxVersion: tls.VersionTLS12}))
	f.Add(captureHello(f, &tls.Config{InsecureSkipVerify: true})) //nolint:gosec // no name
	f.Add([]byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		hello, done, err := parseRecords(raw)
		var name string
		var found bool
		var acme bool
		c := tls.Server(&replay{r: bytes.NewReader(raw)}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name, found = h.ServerName, true
			for _, p := range h.SupportedProtos {
				acme = acme || p == "acme-tls/1"
			}
			return nil, errUnknownName
		}})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := c.HandshakeContext(ctx); err == nil {
			t.Fatal("a handshake with nothing")
		}
		if !found {
			return
		}
		if !done || err != nil {
			t.Fatalf("crypto/tls reads a ClientHello for %q, the dispatcher none: %v", name, err)
		}
		if !strings.EqualFold(strings.TrimSuffix(hello.name, "."), strings.TrimSuffix(name, ".")) || hello.acme != acme {
			t.Fatalf("%q %v and %q %v", hello.name, hello.acme, name, acme)
		}
	})
}

type replay struct {
	net.Conn
	r io.Reader
}

func (c *replay) Read(b []byte) (int, error)       { return c.r.Read(b) }
func (c *replay) Write(b []byte) (int, error)      { return len(b), nil }
func (c *replay) Close() error                     { return nil }
func (c *replay) SetDeadline(time.Time) error      { return nil }
func (c *replay) SetWriteDeadline(time.Time) error { return nil }

// FuzzHost: a name is in its final form, whatever came.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"app.test", "APP.test.:443", "[::1]:80", "xn--a", "bücher.test", ":80", "a:b:c", ".", "..", "a..b", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := hostName(s)
		if !ok {
			return
		}
		if name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, "/ \t\r\n\x00@") {
			t.Fatalf("%q became %q", s, name)
		}
		again, ok := hostName(name)
		if !strings.Contains(name, ":") && (!ok || again != name) && !strings.HasSuffix(name, ".") {
			t.Fatalf("%q became %q, that became %q", s, name, again)
		}
	})
}
