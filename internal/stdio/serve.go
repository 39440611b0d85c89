package stdio

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/local"
	"gatehouse/internal/site"
)

// versions are those with sessions.
var versions = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"}

const (
	sessionHeader = "Mcp-Session-Id"
	stateless     = "2026-07-28" // the first version without sessions
	initialize    = "initialize"
	quiet         = 20 * time.Second // after which a client hears that we are still there
)

// serve is one request to stdio:name, which the gate has let in.
func (r *Runner) serve(name string, w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	def, err := r.definition(name)
	if err != nil {
		r.log.ErrorContext(req.Context(), "a target can't be used", "target", "stdio:"+name, "error", err)
		refuse(w, nil, fault.New(fault.Unavailable, "the target of this host is not there"))
		return
	}
	switch {
	case r.elsewhere(w, req):
	case !atEndpoint(req):
		fault.NewProblem(http.StatusNotFound, "not_found", "There is nothing here but the MCP endpoint.").WriteTo(w)
	case req.Method == http.MethodPost:
		r.post(def, w, req)
	case req.Method == http.MethodGet, req.Method == http.MethodDelete:
		r.ofSession(def, w, req)
	default:
		h.Set("Allow", "GET, POST, DELETE")
		fault.NewProblem(http.StatusMethodNotAllowed, "method_not_allowed", "An MCP endpoint takes GET, POST and DELETE.").WriteTo(w)
	}
}

// atEndpoint reports whether the request is for the host's MCP endpoint.
func atEndpoint(req *http.Request) bool {
	v := site.VisitFrom(req.Context())
	if v == nil || v.Host == nil {
		return true
	}
	endpoint := strings.TrimSuffix(v.Host.Proxy.ResourceEndpoint, "/")
	return strings.TrimSuffix(v.Path.Clean, "/") == endpoint
}

// ofSession is what is done to a session that is there: its own stream, its end.
func (r *Runner) ofSession(def local.Definition, w http.ResponseWriter, req *http.Request) {
	s, err := r.known(def, req)
	if err != nil {
		refuse(w, nil, err)
		return
	}
	if req.Method == http.MethodDelete {
		r.remove(s)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !accepts(req, "text/event-stream") {
		fault.NewProblem(http.StatusNotAcceptable, "not_acceptable", "A session's own stream is text/event-stream.").WriteTo(w)
		return
	}
	defer s.use()()
	reader := s.read()
	defer s.stopped(reader)
	events := newEvents(w)
	events.follow(req.Context(), s.get, reader, func(item) bool { return true })
}

// known is the session that a request names.
func (r *Runner) known(def local.Definition, req *http.Request) (*session, error) {
	ids := req.Header.Values(sessionHeader)
	if len(ids) != 1 {
		return nil, fault.New(fault.Malformed, "the header Mcp-Session-Id is missing: begin with initialize, which answers it")
	}
	s := r.session(def.Name, ids[0], owner(req.Context()))
	if s == nil {
		return nil, fault.New(fault.NotFound, "there is no such session: begin anew with initialize")
	}
	return s, nil
}

// post takes messages of a client.
func (r *Runner) post(def local.Definition, w http.ResponseWriter, req *http.Request) {
	all, batch, err := read(w, req)
	if err != nil {
		refuse(w, nil, err)
		return
	}
	first, named := all[0], req.Header.Get("Mcp-Protocol-Version")
	modern := slices.ContainsFunc(all, func(m message) bool { return object(m.params()["_meta"])[metaVersion] != nil })
	switch {
	case modern || named >= stateless:
		if err := complete(first, batch); err != nil {
			answerError(w, http.StatusBadRequest, first.id(), codeParams, publicText(err))
			return
		}
		r.withoutSession(def, w, req, all, batch)
	case named != "" && !slices.Contains(versions, named):
		refuse(w, first.id(), fault.New(fault.Malformed, "this version of the protocol is not spoken here"))
	case first.method() == initialize && len(all) == 1 && len(req.Header.Values(sessionHeader)) == 0:
		r.open(def, w, req, first)
	default:
		s, err := r.known(def, req)
		if err != nil {
			refuse(w, first.id(), err)
			return
		}
		defer s.use()()
		r.exchange(w, req, s.bridge, s, all, batch)
	}
}

// complete wants what every request without a session says of its client.
func complete(m message, batch bool) error {
	meta := object(m.params()["_meta"])
	for _, name := range []string{metaVersion, metaCapabilities} {
		if m.request() && meta[name] == nil {
			return fault.New(fault.Malformed, "params._meta lacks %s", name)
		}
	}
	if batch {
		return fault.New(fault.Malformed, "this version of the protocol has no batches")
	}
	return nil
}

// read reads and parses a body.
func read(w http.ResponseWriter, req *http.Request) ([]message, bool, error) {
	if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, false, fault.New(fault.Malformed, "messages are application/json")
	}
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(bodyTimeout)) // a closed connection waits for nothing
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	_ = deadline.SetReadDeadline(time.Time{})
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return nil, false, fault.New(fault.TooLarge, "the message is larger than %d bytes", maxBody)
	}
	if err != nil {
		return nil, false, fault.Wrap(fault.Malformed, err, "the message could not be read")
	}
	all, batch, err := readMessages(body)
	if err != nil {
		return nil, batch, fault.New(fault.Malformed, "this is no JSON-RPC message")
	}
	return all, batch, nil
}

// withoutSession serves the versions that have none: by the program that all
// share, or by one that belongs to whoever asks.
func (r *Runner) withoutSession(def local.Definition, w http.ResponseWriter, req *http.Request, all []message, batch bool) {
	whose := stateless
	if def.Mode != local.Shared {
		who := owner(req.Context())
		if v := site.VisitFrom(req.Context()); who == "" && v != nil {
			who = v.Client.String()
		}
		whose += "\x00" + who
	}
	b, err := r.sharedBridge(def, whose)
	if err != nil {
		refuse(w, all[0].id(), err)
		return
	}
	r.exchange(w, req, b, nil, all, batch)
}

// open begins a session.
func (r *Runner) open(def local.Definition, w http.ResponseWriter, req *http.Request, hello message) {
	if hello.id() == nil {
		refuse(w, nil, fault.New(fault.Malformed, "initialize is a request: it needs an id"))
		return
	}
	s := newSession(r.opt.Peers.NewID(), def, owner(req.Context()))
	defer s.use()()
	if err := r.add(s); err != nil {
		refuse(w, hello.id(), err)
		return
	}
	if err := r.connect(s, hello); err != nil {
		r.remove(s)
		refuse(w, hello.id(), err)
		return
	}
	w.Header().Set(sessionHeader, s.id)
	if def.Mode != local.Shared {
		r.exchange(w, req, s.bridge, s, []message{hello}, false)
		return
	}
	answer, err := s.bridge.greet(hello, req.Context().Done())
	if err != nil {
		r.remove(s)
		w.Header().Del(sessionHeader)
		refuse(w, hello.id(), err)
		return
	}
	mine := maps.Clone(answer)
	mine["id"] = hello.id()
	writeJSON(w, mine.bytes())
}

// connect gives a session its program.
func (r *Runner) connect(s *session, hello message) error {
	if s.def.Mode == local.Shared {
		var version string
		_ = json.Unmarshal(hello.params()["protocolVersion"], &version) // what is no string is no version
		if !slices.Contains(versions, version) {
			version = "" // one program for all that is unheard of
		}
		b, err := r.sharedBridge(s.def, version)
		if err != nil {
			return err
		}
		b.join(s)
		return r.bind(s, b)
	}
	b, err := r.begin(s.def, s)
	if err != nil {
		return err
	}
	return r.bind(s, b)
}

// bind says which program a session has, unless it was ended meanwhile.
func (r *Runner) bind(s *session, b *bridge) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.bridge = b
	if r.sessions[s.id] == s {
		return nil
	}
	b.leave(s)
	if b.single != nil {
		b.end()
	}
	return errGone
}

// exchange brings messages to a program and its answers back.
func (r *Runner) exchange(w http.ResponseWriter, req *http.Request, b *bridge, s *session, all []message, batch bool) {
	post := newQueue()
	var open []*call
	for _, m := range all {
		c, err := tell(b, s, m, post)
		switch {
		case err != nil && !batch:
			refuse(w, m.id(), err)
			return
		case err != nil && m.request():
			post.put(item{failure(m.id(), codeInternal, publicText(err)), true})
			open = append(open, nil)
		case c != nil:
			open = append(open, c)
		}
	}
	defer func() {
		post.close()
		for _, c := range open {
			if c != nil {
				b.cancel(c, "the client went away")
			}
		}
	}()
	if len(open) == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	answer(w, req, post, len(open), b.done)
}

// tell gives the program one message.
func tell(b *bridge, s *session, m message, post *queue) (*call, error) {
	switch {
	case m.request():
		return b.ask(m, post, s)
	case m.method() == "notifications/cancelled":
		if c := b.of(s, m.params()["requestId"]); c != nil && s != nil {
			b.cancel(c, "the client cancelled it")
		}
		return nil, nil //nolint:nilnil // nothing is to be answered
	case b.single == nil && (m.reply() || m.method() == "notifications/initialized" && b.initiated.Swap(true)):
		return nil, nil //nolint:nilnil // a shared program has asked for nothing, and was greeted already
	}
	return nil, b.send(m)
}

// answer writes what belongs to a POST: plain JSON where the only answer is the
// first thing that comes, else events.
func answer(w http.ResponseWriter, req *http.Request, post *queue, left int, gone <-chan struct{}) {
	var first item
	timer := time.NewTimer(quiet)
	defer timer.Stop()
wait:
	for {
		it, ok, _ := post.take()
		if ok {
			first = it
			break
		}
		select {
		case <-post.ready:
		case <-timer.C:
			break wait
		case <-req.Context().Done():
			return
		case <-gone: // everything that there is to say is said by now
			if it, ok, _ := post.take(); ok {
				first = it
				break wait
			}
			refuse(w, nil, errGone)
			return
		}
	}
	events := accepts(req, "text/event-stream")
	if first.last && left == 1 || !events {
		plainly(w, req, post, first)
		return
	}
	e := newEvents(w)
	done := func(it item) bool {
		if it.last {
			left--
		}
		return left > 0
	}
	if first.data != nil {
		if !e.write(first) || !done(first) {
			return
		}
	}
	e.follow(req.Context(), post, nil, done)
}

// plainly answers a client that reads no events: the answer alone, without what
// else belongs to its request.
func plainly(w http.ResponseWriter, req *http.Request, post *queue, it item) {
	for !it.last {
		next, ok, open := post.take()
		if ok {
			it = next
			continue
		}
		if !open {
			return
		}
		select {
		case <-post.ready:
		case <-req.Context().Done():
			return
		}
	}
	if status := statusOf(req, it.data); status != http.StatusOK {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(it.data) // the client is gone: nobody is left to tell
		return
	}
	writeJSON(w, it.data)
}

// statusOf is how HTTP says what an answer of the versions without sessions says
// (2026-07-28, Transports, Error Handling); 200 for the others.
func statusOf(req *http.Request, data []byte) int {
	if req.Header.Get("Mcp-Protocol-Version") < stateless {
		return http.StatusOK
	}
	var m struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(data, &m) // it was JSON when it came
	switch m.Error.Code {
	case codeMethod:
		return http.StatusNotFound
	case codeHeaders, codeCapability, codeVersion:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// answerError answers a message with an error of JSON-RPC.
func answerError(w http.ResponseWriter, status int, id json.RawMessage, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(failure(id, code, text)) // the client is gone: nobody is left to tell
}

func writeJSON(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // the client is gone: nobody is left to tell
}

// events writes an SSE stream.
type events struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func newEvents(w http.ResponseWriter) *events {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx in front would collect them
	w.WriteHeader(http.StatusOK)
	e := &events{w, http.NewResponseController(w)}
	_ = e.c.Flush() // a client that is gone is found at the next write
	return e
}

// write sends one message; messages have no line ends of their own.
func (e *events) write(it item) bool {
	_, err := io.WriteString(e.w, "event: message\ndata: "+string(it.data)+"\n\n")
	return err == nil && e.c.Flush() == nil
}

// follow sends what comes until more says that this was all, somebody else has
// the stream, or the client is gone.
func (e *events) follow(ctx context.Context, q *queue, replaced <-chan struct{}, more func(item) bool) {
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	for {
		it, ok, open := q.take()
		switch {
		case ok && (!e.write(it) || !more(it)):
			return
		case ok:
			continue
		case !open:
			return
		}
		select {
		case <-q.ready:
		case <-tick.C:
			if _, err := io.WriteString(e.w, ": still here\n\n"); err != nil || e.c.Flush() != nil {
				return
			}
		case <-replaced:
			return
		case <-ctx.Done():
			return
		}
	}
}

// accepts reports whether the client reads a type.
func accepts(req *http.Request, kind string) bool {
	list := strings.Join(req.Header.Values("Accept"), ",")
	return strings.Contains(list, kind) || strings.Contains(list, "*/*")
}

// refuse answers a message with err, as HTTP and JSON-RPC say it.
func refuse(w http.ResponseWriter, id json.RawMessage, err error) {
	p := fault.ProblemOf(err)
	if e, ok := errors.AsType[*fault.Error](err); ok && e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	answerError(w, p.Status, id, codeInvalid, p.Detail)
}

func publicText(err error) string { return fault.ProblemOf(err).Detail }
