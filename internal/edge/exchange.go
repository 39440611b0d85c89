package edge

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/journal"
	"gatehouse/internal/mcpgate"
	"gatehouse/internal/site"
)

// exchange is one request and its answer on their way through the edge.
type exchange struct {
	edge  *Edge
	r     *http.Request   // as net/http made it; its body is not read but through body
	ctx   context.Context // of the exchange: ends with the client, or by cut
	w     *response
	info  *connInfo
	visit site.Visit
	snap  *snapshot
	inst  *instance
	to    *target
	moved *target // where it went when the first target was not there; nil: it did not

	start     time.Time
	trace     string // W3C trace id
	leaves    bool   // behind this request the connection is not checked as HTTP
	body      *requestBody
	interims  interims
	received  int64  // bytes from the client behind an upgrade
	fault     string // what went wrong, for the journal
	faultKind string
	cors      string        // the foreign origin that may read the answer
	pass      *mcpgate.Pass // what the MCP gate makes of it; nil: not its business

	streamLinks // guarded by its shard of edge.streams
	cancel      context.CancelCauseFunc
	tunnel      *tunnel // guarded by the shard too
}

// begin makes the exchange: id, clock, who is asking. The request itself is left
// as it is, its body above all: net/http looks at that when it decides whether
// the connection may serve another request.
func (e *Edge) begin(rw http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{edge: e, r: r, info: infoFrom(r.Context()), start: time.Now()}
	x.w = &response{ResponseWriter: rw, x: x}
	x.ctx, x.cancel = context.WithCancelCause(r.Context())
	if x.info == nil { // not through our own listeners: nothing is known, so nothing is trusted
		x.info = &connInfo{peer: remoteOf(r), secure: r.TLS != nil, tls: r.TLS}
	}
	if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
		x.body = &requestBody{ReadCloser: r.Body, from: r, strict: x.info.strict}
	}
	x.leaves = x.info.strict != nil && leavesHTTP(r.Header)
	v := &x.visit
	v.Peer = x.info.peer.Addr()
	v.Loopback = x.info.loopback()
	v.Trusted = x.info.trusted
	v.Client = v.Peer
	v.Secure = x.info.secure
	if v.Trusted {
		x.believe()
	}
	x.identify()
	return x
}

// identify gives the request its id and its place in a trace.
func (x *exchange) identify() {
	var id [16]byte
	fillRandom(id[:])
	fresh := hex.EncodeToString(id[:])
	x.visit.RequestID, x.trace = fresh, fresh
	if given := x.r.Header.Get("X-Request-Id"); x.visit.Trusted && usableID(given) {
		x.visit.RequestID = given
	}
	if trace, ok := traceOf(x.r.Header.Get("Traceparent")); ok {
		x.trace = trace
	}
}

// fillRandom is for ids that must differ, not for secrets.
func fillRandom(b []byte) {
	for i := 0; i < len(b); i += 8 {
		n := rand.Uint64()
		for j := i; j < min(i+8, len(b)); j++ {
			b[j] = byte(n)
			n >>= 8
		}
	}
}

func newMark() string {
	var b [8]byte
	fillRandom(b[:])
	return "gatehouse-" + hex.EncodeToString(b[:])
}

// usableID admits the request ids of trusted proxies that are safe to write anywhere.
func usableID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !letter(c) && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && c != ':' {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= 128
}

// end writes the journal entry, whatever happened.
func (x *exchange) end() {
	x.edge.streams.remove(x)
	x.leaveBody()
	if p := recover(); p != nil {
		if p != http.ErrAbortHandler && x.fault == "" { //nolint:errorlint // the very value that net/http documents
			x.fail("panic", "a handler panicked")
		}
		x.cancel(nil)
		x.record()
		panic(p) // net/http cuts the connection and logs what is worth it
	}
	x.cancel(nil)
	x.record()
}

// leaveBody bounds how long net/http waits for the rest of a body that nobody
// wanted. It sets its own deadline before the next request.
func (x *exchange) leaveBody() {
	if x.body == nil || x.body.whole.Load() || x.r.ProtoMajor != 1 {
		return
	}
	x.body.stop()
	_ = http.NewResponseController(x.w.ResponseWriter).SetReadDeadline(time.Now().Add(x.edge.HeadTimeout)) // a closed connection waits for nothing
}

// fail notes what went wrong; the first cause stands.
func (x *exchange) fail(kind, what string) {
	if x.fault == "" {
		x.faultKind, x.fault = kind, what
	}
}

func (x *exchange) record() {
	v, r := &x.visit, x.r
	if c := x.info.strict; c != nil && strings.HasPrefix(r.Method, refusedMark) && c.bad.unused {
		return // nobody asked for anything
	}
	entry := &journal.Entry{
		Kind: journal.Request, RequestID: v.RequestID, TraceID: x.trace, ClientIP: v.Client.String(),
		Proxy: v.Name, Method: strings.TrimPrefix(r.Method, refusedMark), Path: v.Path.Raw, Query: r.URL.RawQuery,
		Status: x.w.status, Duration: milliseconds(time.Since(x.start)), BytesOut: x.w.written,
		Error: x.fault, ErrorKind: x.faultKind,
		UserAgent: r.UserAgent(), Referer: r.Referer(), Protocol: r.Proto,
		AuthReason: v.Verdict.Reason, AuthResult: authResult(&v.Verdict),
	}
	entry.BytesIn = x.received
	if x.body != nil {
		entry.BytesIn = x.body.count.Load()
	}
	if !x.w.first.IsZero() {
		entry.FirstByte = milliseconds(x.w.first.Sub(x.start))
	}
	if x.info.tls != nil {
		entry.TLSVersion = strings.TrimPrefix(tls.VersionName(x.info.tls.Version), "TLS ")
	}
	if v.Route != nil {
		entry.RouteID = v.Route.ID
	}
	if x.to != nil {
		entry.Target = x.to.value
	}
	x.describe(entry)
	if x.pass != nil {
		x.pass.Record(*entry)
		x.pass.Close()
	}
	x.edge.Recorder.Write(entry)
}

// describe adds who asked.
func (x *exchange) describe(entry *journal.Entry) {
	who := x.visit.Verdict.Principal
	if who == nil {
		return
	}
	entry.User, entry.ClientID, entry.Scopes = who.User, who.ClientID, who.Scopes
	entry.Session, entry.AuthType = who.SessionID, who.AuthType
}

func authResult(d *site.Verdict) string {
	if d.Step == 0 {
		return "" // the gate was not asked
	}
	switch d.Outcome {
	case site.Challenge:
		return "challenged"
	case site.Forbid, site.Wait:
		return "denied"
	case site.SignIn:
		return "sign_in"
	}
	if d.Principal != nil {
		return "allowed"
	}
	if d.Step == 4 {
		return "excluded"
	}
	return "public"
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
