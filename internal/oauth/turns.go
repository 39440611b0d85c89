package oauth

import (
	"context"
	"sync"
)

// turns lets those who want the same thing have it one after the other, and
// everybody else go on: of parallel refreshes in one family the first asks the
// provider, and none is repeated because another was faster. Other nodes are
// kept apart by the versions in the store.
type turns struct {
	mu    sync.Mutex // guards lines
	lines map[string]*line
}

// line are those who want one thing; its channel holds whose turn it is.
type line struct {
	turn chan struct{}
	n    int
}

// take waits for its turn at name, and answers how to end it.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	t.mu.Lock()
	l := t.lines[name]
	if l == nil {
		if t.lines == nil {
			t.lines = map[string]*line{}
		}
		l = &line{turn: make(chan struct{}, 1)}
		t.lines[name] = l
	}
	l.n++
	t.mu.Unlock()
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn; t.leave(name, l) }, nil
	case <-ctx.Done():
		t.leave(name, l)
		return nil, context.Cause(ctx)
	}
}

func (t *turns) leave(name string, l *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.n--; l.n == 0 {
		delete(t.lines, name)
	}
}
