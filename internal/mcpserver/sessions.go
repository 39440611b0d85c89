package mcpserver

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/fault"
)

// newID is 130 random bits in visible ASCII.
func newID() string { return rand.Text() }

// session is one client's session, or an open subscription of the versions
// without sessions.
type session struct {
	id, owner, subject string
	server             *mcp.Server
	subscription       bool

	// The rest is guarded by sessions.mu.
	level  level
	caller *caller // whose open stream is watched; nil: none was opened
	uses   int     // requests under way
	last   time.Time
}

// end ends the session; handlers under way may take a moment.
func (e *session) end(ends *sync.WaitGroup) {
	for open := range e.server.Sessions() {
		ends.Go(func() { _ = open.Close() }) // it is gone either way
	}
}

// notify tells the clients of e's server that their tools are others now: that is
// what the SDK does when a tool is put in place of itself.
func (s *Server) notify(e *session) {
	first := s.tools[0]
	e.server.AddTool(first.plain, first.handle)
}

// sessions are those that are open, bounded by subject and in all.
type sessions struct {
	mu     sync.Mutex
	all    map[string]*session
	closed bool
	ends   sync.WaitGroup // goroutines that wait for sessions to end
}

func newSessions() *sessions { return &sessions{all: map[string]*session{}} }

// add makes room for e, in use. Where there is none, the one that was unused for
// longest ends.
func (s *sessions) add(e *session, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "this node is about to end")
	}
	if s.count(e.subject) >= maxOfOne && !s.evict(e.subject) {
		return &fault.Error{Kind: fault.TooMany, Public: "too many sessions of yours are in use: end one of them first", RetryAfter: time.Minute}
	}
	if len(s.all) >= maxSessions && !s.evict("") {
		return &fault.Error{Kind: fault.Unavailable, Public: "too many sessions are in use here", RetryAfter: time.Minute}
	}
	e.uses, e.last = 1, now
	s.all[e.id] = e
	return nil
}

func (s *sessions) count(subject string) int {
	n := 0
	for _, e := range s.all {
		if e.subject == subject {
			n++
		}
	}
	return n
}

// evict ends the session that was unused for longest, of subject if it is given.
func (s *sessions) evict(subject string) bool {
	var oldest *session
	for _, e := range s.all {
		if e.uses == 0 && (subject == "" || e.subject == subject) && (oldest == nil || e.last.Before(oldest.last)) {
			oldest = e
		}
	}
	if oldest == nil {
		return false
	}
	delete(s.all, oldest.id)
	oldest.end(&s.ends)
	return true
}

// use is owner's session of that id, held until release; nil when there is none.
func (s *sessions) use(id, owner string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.all[id]
	if e == nil || e.owner != owner || e.subscription {
		return nil
	}
	e.uses++
	return e
}

func (s *sessions) release(e *session, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.uses--
	e.last = now
}

func (s *sessions) remove(e *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, e.id)
}

// idle takes out what nobody has used since then.
func (s *sessions) idle(since time.Time) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unused []*session
	for id, e := range s.all {
		if e.uses == 0 && e.last.Before(since) {
			unused = append(unused, e)
			delete(s.all, id)
		}
	}
	return unused
}

// close takes out all, and lets none in any more.
func (s *sessions) close() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var all []*session
	for id, e := range s.all {
		all = append(all, e)
		delete(s.all, id)
	}
	return all
}

// watched are the sessions with a stream that is open, and whose it is.
func (s *sessions) watched() map[*session]*caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[*session]*caller{}
	for _, e := range s.all {
		if e.uses > 0 && e.caller != nil {
			all[e] = e.caller
		}
	}
	return all
}

// changed notes what e's caller sees now, and reports whether that is new.
func (s *sessions) changed(e *session, now level) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := e.level
	e.level = now
	return was != now
}

// follow tells e's client when this request may see other tools than the one before.
func (s *Server) follow(e *session, c *caller, r *http.Request) {
	if r.Method == http.MethodGet {
		s.sessions.mu.Lock()
		e.caller = c
		s.sessions.mu.Unlock()
	}
	if s.sessions.changed(e, s.levelOf(r.Context())) {
		s.notify(e)
	}
}

// recheck tells the clients with open streams whose rights were changed.
func (s *Server) recheck(ctx context.Context) {
	for e, c := range s.sessions.watched() {
		p := *c.principal
		p.Scopes = s.opt.Scopes(c.visit)
		now := caller{principal: &p, visit: c.visit}
		if s.sessions.changed(e, s.levelOf(now.in(ctx))) {
			s.notify(e)
		}
	}
}
