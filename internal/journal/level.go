package journal

import (
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"gatehouse/internal/fault"
)

// The levels of the process log: slog's four and one on either side.
const (
	LevelTrace    = slog.Level(-8)
	LevelDebug    = slog.LevelDebug
	LevelInfo     = slog.LevelInfo
	LevelWarning  = slog.LevelWarn
	LevelError    = slog.LevelError
	LevelCritical = slog.Level(12)
)

var levelNames = [...]struct {
	level slog.Level
	name  string
}{
	{LevelTrace, "TRACE"}, {LevelDebug, "DEBUG"}, {LevelInfo, "INFO"},
	{LevelWarning, "WARNING"}, {LevelError, "ERROR"}, {LevelCritical, "CRITICAL"},
}

// ParseLevel is the level called name, in any case; Invalid for other names.
func ParseLevel(name string) (slog.Level, error) {
	for _, l := range levelNames {
		if strings.EqualFold(name, l.name) {
			return l.level, nil
		}
	}
	return 0, fault.BadField("level", "is one of TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL, not %q", Printable(name))
}

// LevelName is the name of the highest level that l reaches.
func LevelName(l slog.Level) string {
	name := levelNames[0].name
	for _, known := range levelNames {
		if l >= known.level {
			name = known.name
		}
	}
	return name
}

// Levels says from which level on the process log writes, in all and for single
// components, and may be changed while everything runs.
type Levels struct {
	set      atomic.Pointer[levelSet]
	recorder atomic.Pointer[Recorder]
	mu       sync.Mutex // one change at a time
}

// levelSet is immutable.
type levelSet struct {
	all       slog.Level
	component map[string]slog.Level
}

func newLevels(all slog.Level) *Levels {
	l := &Levels{}
	l.set.Store(&levelSet{all: all})
	return l
}

// Set changes the level of one component, or with an empty name that of all
// components that have none of their own.
func (l *Levels) Set(component string, level slog.Level) {
	l.change(func(s *levelSet) {
		if component == "" {
			s.all = level
			return
		}
		s.component[component] = level
	})
}

// Reset takes a component's own level away.
func (l *Levels) Reset(component string) {
	l.change(func(s *levelSet) { delete(s.component, component) })
}

// Level is what a component logs from: its own level or the one of all.
func (l *Levels) Level(component string) slog.Level {
	s := l.set.Load()
	if level, own := s.component[component]; own {
		return level
	}
	return s.all
}

// All is every component's own level; the one of all others is under "".
func (l *Levels) All() map[string]slog.Level {
	s := l.set.Load()
	all := make(map[string]slog.Level, len(s.component)+1)
	maps.Copy(all, s.component)
	all[""] = s.all
	return all
}

// Record sends records from WARNING up to the journal too, as entries of kind
// System, from now on.
func (l *Levels) Record(to Recorder) { l.recorder.Store(&to) }

func (l *Levels) change(with func(*levelSet)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.set.Load()
	next := &levelSet{all: old.all, component: make(map[string]slog.Level, len(old.component)+1)}
	maps.Copy(next.component, old.component)
	with(next)
	l.set.Store(next)
}
