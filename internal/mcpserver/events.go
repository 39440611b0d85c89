package mcpserver

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	keptStreams = 64       // of one session
	keptBytes   = 1 << 20  // of one session
	keptInAll   = 64 << 20 // bytes of all sessions
)

// events keeps what was sent on streams, so that a client whose connection broke
// can ask for what it missed. It keeps the newest: who comes too late is told so.
// The SDK's own store never forgets a stream while its session lasts.
type events struct {
	mu       sync.Mutex
	sessions map[string]*history
	bytes    int
}

// history is what one session was sent.
type history struct {
	order   []string // streams but the standing one, oldest first
	streams map[string]*stream
	bytes   int
}

// stream is what one stream was sent, from event number first on.
type stream struct {
	first int
	data  [][]byte
}

func newEvents() *events { return &events{sessions: map[string]*history{}} }

var _ mcp.EventStore = (*events)(nil)

// Open makes room for a stream; the oldest of its session gives way.
func (e *events) Open(_ context.Context, session, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.sessions[session]
	if h == nil {
		h = &history{streams: map[string]*stream{}}
		e.sessions[session] = h
	}
	if h.streams[id] != nil {
		return nil
	}
	h.streams[id] = &stream{}
	if id == "" {
		return nil
	}
	h.order = append(h.order, id)
	for len(h.order) > keptStreams {
		e.forget(h, h.order[0])
		h.order = slices.Delete(h.order, 0, 1)
	}
	return nil
}

// Append keeps an event, and lets older ones of the session go where they are too many.
func (e *events) Append(_ context.Context, session, id string, data []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.sessions[session]
	if h == nil || h.streams[id] == nil {
		return nil // it has been forgotten: there is nothing to resume
	}
	st := h.streams[id]
	st.data = append(st.data, data)
	h.bytes += len(data)
	e.bytes += len(data)
	for h.bytes > keptBytes || (e.bytes > keptInAll && h.bytes > 0) {
		if !e.shed(h, st) {
			break
		}
	}
	return nil
}

// shed lets the oldest event of a session go: of its oldest finished stream, else
// of now, the stream that grows.
func (e *events) shed(h *history, now *stream) bool {
	for _, id := range h.order {
		if st := h.streams[id]; st != now && len(st.data) > 0 {
			e.drop(h, st)
			return true
		}
	}
	if st := h.streams[""]; st != nil && st != now && len(st.data) > 0 {
		e.drop(h, st)
		return true
	}
	if len(now.data) > 0 {
		e.drop(h, now)
		return true
	}
	return false
}

func (e *events) drop(h *history, st *stream) {
	h.bytes -= len(st.data[0])
	e.bytes -= len(st.data[0])
	st.data, st.first = slices.Delete(st.data, 0, 1), st.first+1
}

func (e *events) forget(h *history, id string) {
	for st := h.streams[id]; len(st.data) > 0; {
		e.drop(h, st)
	}
	delete(h.streams, id)
}

// After gives what came after event number index, all of it or an error.
func (e *events) After(_ context.Context, session, id string, index int) iter.Seq2[[]byte, error] {
	data, ok := e.since(session, id, index+1)
	return func(yield func([]byte, error) bool) {
		if !ok {
			yield(nil, mcp.ErrEventsPurged)
			return
		}
		for _, d := range data {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (e *events) since(session, id string, next int) ([][]byte, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.sessions[session]
	if h == nil || h.streams[id] == nil {
		return nil, false
	}
	st := h.streams[id]
	if next < st.first || next > st.first+len(st.data) {
		return nil, false
	}
	return slices.Clone(st.data[next-st.first:]), true
}

// SessionClosed forgets all that a session was sent.
func (e *events) SessionClosed(_ context.Context, session string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.sessions[session]; h != nil {
		e.bytes -= h.bytes
		delete(e.sessions, session)
	}
	return nil
}
