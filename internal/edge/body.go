package edge

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// requestBody is what a client sends: counted, bounded, and remembered when it
// breaks off.
type requestBody struct {
	io.ReadCloser
	from    *http.Request
	strict  *strictConn // HTTP/1: knows why a body was refused
	limit   int64       // 0: none
	trailer http.Header
	watch   func([]byte) // sees what is read; nil: nobody does
	count   atomic.Int64
	stopped atomic.Bool
	whole   atomic.Bool           // the end was seen
	broken  atomic.Pointer[error] // why reading ended, when not by its end
}

var errBodyTooLarge = errors.New("the request's body is larger than this host takes")

// Read counts and stops behind the limit.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.stopped.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	if total := b.count.Add(int64(n)); b.limit > 0 && total > b.limit {
		n, err = 0, errBodyTooLarge
	}
	if b.watch != nil && n > 0 {
		b.watch(p[:n])
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.whole.Store(true)
		b.passTrailers()
	default:
		if b.strict != nil && b.strict.bad != nil && !errors.Is(err, errBodyTooLarge) {
			err = b.strict.bad // net/http may have put an error of its own in its place
		}
		b.broken.CompareAndSwap(nil, &err)
	}
	return n, err
}

// passTrailers gives the target the trailers that were announced and that a
// client may send. They are known only at the body's end.
func (b *requestBody) passTrailers() {
	for name := range b.trailer {
		if values, ok := b.from.Trailer[name]; ok {
			b.trailer[name] = values
		}
	}
}

// failure is why reading ended, nil when it did not break off.
func (b *requestBody) failure() error {
	if b == nil {
		return nil
	}
	if err := b.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// stop keeps the transport, which may still be reading when it has its answer,
// from reading behind the end of the handler. Closing the body instead would wait
// for the rest of it, and hold the answer back.
func (b *requestBody) stop() {
	if b != nil {
		b.stopped.Store(true)
	}
}

// onward is a requestBody as the transport sees it: closing it leaves the
// client's body open, so that it can be sent on another connection.
type onward struct{ *requestBody }

// Close does nothing: the exchange closes the body at its end.
func (onward) Close() error { return nil }

// again is the body once more, for a connection that turned out to be closed
// before anything was sent on it.
func (b *requestBody) again() (io.ReadCloser, error) {
	if b.count.Load() > 0 {
		return nil, errBodyStarted
	}
	return onward{b}, nil
}

var errBodyStarted = errors.New("the body has been sent in part already")
