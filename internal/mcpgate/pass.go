package mcpgate

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"gatehouse/internal/journal"
	"gatehouse/internal/site"
)

// Request is what Open looks at.
type Request struct {
	Visit *site.Visit // with its verdict
	HTTP  *http.Request
	Body  io.Reader // of HTTP, counted and bounded by the caller; nil: none
	Rules *Rules    // the host's; nil: none

	Patience func() (end func()) // bounds the time for reading Body, until end is called
}

// Pass is one request that went through the gate, and its answer. It is used by
// one goroutine at a time, Watch aside.
type Pass struct {
	gate  *Gate
	rules *Rules
	visit *site.Visit
	mcp   bool // the request is for an MCP endpoint
	get   bool
	reads bool // the client reads the answer of its POST (Streamable HTTP)

	body     []byte // judged
	judged   bool
	watchMu  sync.Mutex
	watched  []byte // the begin of a body that is only watched; guarded by watchMu, for the transport reads it
	messages []Message
	denied   []denial // by place in messages; nil: none
	filter   bool     // lists of tools are filtered in the answer
	listed   bool     // a list of tools stands in an answer that is not filtered
	size     int64    // held of the gate's room
	sieving  int64    // of that, for the event that is held back

	mode     mode
	scan     scanner
	watch    watcher
	sieve    sieve
	held     []byte
	outcomes []outcome
}

// mode is what happens to an answer's body.
type mode uint8

const (
	pass   mode = iota
	scans       // JSON, watched
	events      // events, watched
	sieves      // events, filtered
	holds       // held until it is whole, then filtered
)

// Open looks at a request before it goes to its target. refused is how it must
// be answered instead, nil when it may go on. The request's headers are changed:
// the session's mark comes off, and where the answer is filtered it must come
// unencoded. err is why the body could not be read. A nil Pass means that the
// request is none of the gate's business. Close must be called at the end.
func (g *Gate) Open(q Request) (p *Pass, refused *Refusal, err error) {
	v, h := q.Visit, q.HTTP.Header
	mcp := v.MCP()
	if !mcp && q.Rules == nil {
		return nil, nil, nil
	}
	p = &Pass{gate: g, rules: q.Rules, visit: v, mcp: mcp, get: q.HTTP.Method == http.MethodGet}
	p.reads = strings.Contains(strings.Join(h["Accept"], ","), "application/json")
	p.scan.tell, p.watch.scan.tell = p.note, p.note
	p.watch.scan.list = func() { p.listed = true }
	if mcp && v.Target() != site.InternalMCP && !g.takeSession(v, h) {
		return p, p.noSession(), nil
	}
	versions := p.versions()
	if refused = unsupported(versions, h["Mcp-Protocol-Version"]); refused != nil {
		return p, refused, nil
	}
	if q.Body != nil && (q.Rules != nil || len(versions) > 0 || (modern(h) && q.HTTP.ContentLength <= MaxBody)) {
		refused, err = p.judge(q)
	}
	if q.Rules != nil {
		p.filter = p.get || p.asks(methodList)
		h["Accept-Encoding"] = []string{"identity"}
		delete(h, "Range")
	}
	return p, refused, err
}

// modern reports whether headers speak of the message (2026-07-28 and later).
func modern(h http.Header) bool {
	version := h["Mcp-Protocol-Version"]
	return len(h["Mcp-Method"]) > 0 || len(h["Mcp-Name"]) > 0 || (len(version) > 0 && version[0] >= stateless)
}

const stateless = "2026-07-28" // the first version whose headers name method and tool

// Body is the request's body when it was judged: these very bytes must go on.
func (p *Pass) Body() (body []byte, judged bool) { return p.body, p.judged }

// Watch sees a piece of a body that was not judged.
func (p *Pass) Watch(b []byte) {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	if room := maxWatch - len(p.watched); room > 0 {
		p.watched = append(p.watched, b[:min(len(b), room)]...)
	}
}

func (p *Pass) asks(method string) bool {
	return slices.ContainsFunc(p.messages, func(m Message) bool { return m.Method == method })
}

var errEncoded = errors.New("the backend encoded an answer that has to be judged")

// Begin sees the head of the answer before it is written, and may change it. place
// is what Place will say of the session that it begins.
// hold: the body goes to Hold and the answer is what Finish says. An error means
// that nothing of the answer may be passed on.
func (p *Pass) Begin(status int, place uint32, h http.Header) (hold bool, err error) {
	if p.mcp && p.visit.Target() != site.InternalMCP {
		p.gate.markSession(p.visit, place, h)
	}
	if status == http.StatusNoContent || status == http.StatusNotModified {
		return false, nil
	}
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	encoded := len(h["Content-Encoding"]) > 0 && !strings.EqualFold(h.Get("Content-Encoding"), "identity")
	isEvents := kind == "text/event-stream"
	ruled := p.rules != nil && (isEvents || (p.filter && !p.get))
	if ruled && encoded {
		return false, errEncoded
	}
	switch {
	case ruled && !isEvents:
		unsized(h)
		p.mode = holds
	case ruled && (p.filter || !p.asks(methodCall)):
		// A stream may bring the answer to what another request asked, whatever
		// method opened it (HTTP+SSE, resumed streams).
		unsized(h)
		p.mode = sieves
		p.sieve.visible = p.sees
	case ruled: // the answer to calls: of any size, so it is not held back; see Write
		p.mode = events
	case encoded, !p.mcp:
	case isEvents:
		p.mode = events
	case kind == "application/json":
		p.mode = scans
	}
	return p.mode == holds, nil
}

// unsized takes away what is no longer true of a body that is filtered.
func unsized(h http.Header) {
	for _, name := range []string{"Content-Length", "Etag", "Content-Digest", "Repr-Digest", "Digest"} {
		delete(h, name)
	}
}

func (p *Pass) sees(tool string) bool { return p.gate.visible(p.rules, p.visit, tool) }

// Write sees a piece of the answer and is what goes on of it now. An error means
// that the answer ends here.
func (p *Pass) Write(b []byte) ([]byte, error) {
	switch p.mode {
	case scans:
		p.scan.write(b)
	case events:
		p.watch.write(b)
		if p.rules != nil && p.listed {
			return nil, errListed
		}
	case sieves:
		kept, err := p.sieve.write(b)
		if err == nil {
			err = p.weigh()
		}
		if err != nil {
			return nil, err
		}
		p.watch.write(kept)
		return kept, nil
	case pass, holds:
	}
	return b, nil
}

// weigh takes room from the gate for the event that is held back.
func (p *Pass) weigh() error {
	more := int64(cap(p.sieve.event)) - p.sieving
	if more > 0 && !p.gate.hold(more) {
		return errNoRoom
	}
	if more < 0 {
		p.gate.release(-more)
	}
	p.sieving += more
	p.size += more
	return nil
}

var (
	errAnswerTooLarge = errors.New("the backend's list of tools is larger than can be judged")
	errNoRoom         = errors.New("too many answers are being judged")
	errListed         = errors.New("the backend lists its tools where nobody asked for that")
)

// Hold takes a piece of an answer that is held.
func (p *Pass) Hold(b []byte) error {
	if len(p.held)+len(b) > maxAnswer {
		return errAnswerTooLarge
	}
	if !p.gate.hold(int64(len(b))) {
		return errNoRoom
	}
	p.size += int64(len(b))
	p.held = append(p.held, b...)
	return nil
}

// Finish is the answer that was held, without what its reader may not see.
func (p *Pass) Finish() ([]byte, error) {
	kept, err := filterTools(p.held, p.sees)
	if err != nil && !mayBeJSON(p.held) && !bytes.Contains(p.held, []byte(`"tools"`)) {
		return p.held, nil // no answer to a message: a page about a failure, or "Accepted"
	}
	p.scan.write(kept)
	return kept, err
}

// note keeps what the answer says of a call.
func (p *Pass) note(o outcome) {
	if len(p.outcomes) < maxBatch {
		p.outcomes = append(p.outcomes, o)
	}
}

// Close gives back what the pass held.
func (p *Pass) Close() {
	p.gate.release(p.size)
	p.size = 0
}

// Record writes down the calls of the request, of whose journal entry about is a
// draft that belongs to the caller.
func (p *Pass) Record(about journal.Entry) {
	if !p.judged {
		p.watchMu.Lock()
		p.messages = Glance(p.watched)
		p.watchMu.Unlock()
	}
	for i, m := range p.messages {
		if m.Method == "" || m.ID == "" {
			continue // answers and notifications
		}
		e := about
		e.Kind, e.RPCMethod, e.Tool, e.RPCID = journal.MCP, m.Method, m.Tool, strings.Trim(m.ID, `"`)
		e.IsError = about.Status >= http.StatusBadRequest
		for _, o := range p.outcomes {
			if o.id == m.ID {
				e.IsError = o.isError
			}
		}
		if len(p.denied) > 0 {
			e.IsError, e.AuthResult, e.AuthReason = true, "denied", p.denied[i].why
		}
		p.gate.opt.Recorder.Write(&e)
	}
}
