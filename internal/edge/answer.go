package edge

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
)

// interims guards the time in which 1xx answers may be written: the transport
// reports them from a goroutine of its own, which may outlive the round trip.
type interims struct {
	mu   sync.Mutex // guards over, and is held while one is written
	over bool
}

func (i *interims) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}

// interim passes 1xx answers on. 100 is left out: our own server sends it when
// the target begins to read.
func (x *exchange) interim(code int, header textproto.MIMEHeader) error {
	x.interims.mu.Lock()
	defer x.interims.mu.Unlock()
	if code == http.StatusContinue || x.interims.over {
		return nil
	}
	removeHops(http.Header(header))
	dropOwnSetCookies(http.Header(header), x.inst.host.Proxy.AuthCookieName)
	h := x.w.Header()
	maps.Copy(h, http.Header(header))
	x.w.ResponseWriter.WriteHeader(code)
	for name := range header {
		delete(h, name)
	}
	return nil
}

// answer streams the target's answer back.
func (x *exchange) answer(resp *http.Response) {
	defer resp.Body.Close()
	x.adopt(resp.Header)
	x.keepPlace()
	h := x.w.Header()
	for name, values := range resp.Header {
		h[name] = append(h[name], values...)
	}
	announceTrailers(h, resp.Trailer)
	announced := len(resp.Trailer)
	stream := isStream(resp)
	x.w.WriteHeader(resp.StatusCode)
	if stream || announced > 0 {
		x.w.Flush()
	}
	err := x.copyBody(resp.Body, stream)
	switch {
	case x.w.replaced:
		return
	case err != nil:
		x.brokeOff(err, stream)
		return
	}
	x.passTrailers(resp, announced)
}

// isStream reports whether each piece goes out as it comes: where nobody knows
// how much will come, and events.
func isStream(resp *http.Response) bool {
	_, events := cutFold(resp.Header.Get("Content-Type"), "text/event-stream")
	return events || resp.ContentLength < 0
}

func announceTrailers(h http.Header, trailer http.Header) {
	if len(trailer) == 0 {
		return
	}
	names := make([]string, 0, len(trailer))
	for name := range trailer {
		names = append(names, name)
	}
	h["Trailer"] = []string{strings.Join(names, ", ")}
}

// passTrailers sends trailers: as announced, or under net/http's prefix for those
// that came unannounced.
func (x *exchange) passTrailers(resp *http.Response, announced int) {
	if len(resp.Trailer) == 0 {
		return
	}
	x.w.Flush() // a body that is empty so far must become a chunked one
	h := x.w.Header()
	prefix := ""
	if len(resp.Trailer) != announced {
		prefix = http.TrailerPrefix
	}
	for name, values := range resp.Trailer {
		if !hopByHop(name) && !privateTrailer(name) {
			h[prefix+name] = values
		}
	}
}

const copySize = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// errClientGone says that the client took no more.
var errClientGone = errors.New("client gone")

// copyBody brings the answer to the client, each piece at once when it is a stream.
func (x *exchange) copyBody(from io.Reader, stream bool) error {
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := from.Read(buf[:])
		if n > 0 {
			if _, werr := x.w.Write(buf[:n]); werr != nil {
				return errors.Join(errClientGone, werr)
			}
			if stream {
				x.w.Flush()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
