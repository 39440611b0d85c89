package edge

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Get sends one GET in HTTP/2 with extra header fields that no client library
// would send, and is the answer's status; empty when the connection ends instead.
func h2Get(t testing.TB, c net.Conn, authority string, extra ...[2]string) string {
	t.Helper()
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range append([][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", authority}, {":path", "/"}}, extra...) {
		_ = enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	first := block.Next(16 << 10)
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true, EndHeaders: block.Len() == 0}); err != nil {
		t.Fatal(err)
	}
	for block.Len() > 0 {
		piece := block.Next(16 << 10)
		if err := f.WriteContinuation(1, block.Len() == 0, piece); err != nil {
			t.Fatal(err)
		}
	}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return ""
		}
		if h, ok := frame.(*http2.MetaHeadersFrame); ok {
			return h.PseudoValue("status")
		}
	}
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}
