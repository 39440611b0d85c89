package journal

import (
	"context"
	"encoding/json"
	"sync"

	"gatehouse/internal/store"
)

// mostLines is how many of the latest entries are shown to people who look at the
// store itself.
const mostLines = 1000

// shown are the entries that were stored since the last time, as text. They are
// for people: what can't be shown is left out.
type shown struct {
	to store.Liner // nil: the store shows none

	mu   sync.Mutex // guards what follows
	last []store.Line
}

// add takes entries that were stored.
func (l *shown) add(items []item) {
	if l.to == nil {
		return
	}
	items = items[max(len(items)-mostLines, 0):]
	fresh := make([]store.Line, 0, len(items))
	for _, it := range items {
		if text, err := json.Marshal(it.entry); err == nil { // an entry is plain data
			fresh = append(fresh, store.Line{At: it.at.time(), Text: text})
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = append(l.last, fresh...)
	l.last = l.last[max(len(l.last)-mostLines, 0):]
}

// show hands them to the store. What fails is forgotten: the log has it.
func (l *shown) show(ctx context.Context) {
	if l.to == nil {
		return
	}
	l.mu.Lock()
	last := l.last
	l.last = nil
	l.mu.Unlock()
	_ = l.to.ShowLines(ctx, last) // the log has it all
}

// forget takes away what is shown.
func (l *shown) forget(ctx context.Context) error {
	if l.to == nil {
		return nil
	}
	l.mu.Lock()
	l.last = nil
	l.mu.Unlock()
	return l.to.ForgetLines(ctx)
}
