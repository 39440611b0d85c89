package stdio

import (
	"sync"
	"time"

	"gatehouse/internal/local"
)

// session is one client's session with a program.
type session struct {
	id, owner string
	def       local.Definition
	bridge    *bridge
	get       *queue // what belongs to no request, for the session's own stream
	over      chan struct{}
	once      sync.Once

	mu     sync.Mutex // guards what follows
	uses   int        // requests under way
	used   time.Time
	reader chan struct{} // closed to end the stream that is open; nil: none is
}

func newSession(id string, def local.Definition, owner string) *session {
	return &session{id: id, owner: owner, def: def, get: newQueue(), over: make(chan struct{}), used: time.Now()}
}

// end ends the session, and its program where it has one of its own. It does not wait.
func (s *session) end() {
	s.once.Do(func() {
		close(s.over)
		s.get.close()
		if s.bridge == nil {
			return
		}
		s.bridge.leave(s)
		if s.bridge.single != nil {
			s.bridge.end()
		}
	})
}

// use counts a request until release.
func (s *session) use() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.uses--
		s.used = time.Now()
	}
}

func (s *session) unused(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uses == 0 && now.Sub(s.used) > s.def.IdleTime()
}

func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uses == 0
}

func (s *session) last() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// read takes over the session's own stream from whoever reads it: a client that
// opens it anew has lost the other. replaced is closed when somebody else does.
func (s *session) read() (replaced chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader != nil {
		close(s.reader)
	}
	s.reader = make(chan struct{})
	return s.reader
}

// stopped gives the stream back, unless somebody else has it by now.
func (s *session) stopped(reader chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader == reader {
		s.reader = nil
	}
}
