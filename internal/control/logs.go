package control

import (
	"context"

	"gatehouse/internal/fault"
	"gatehouse/internal/journal"
	"gatehouse/internal/principal"
)

// Journal is what operations need of the request log; package journal has it.
type Journal interface {
	journal.Recorder
	Search(ctx context.Context, q journal.Query) (journal.Page, error)
	Follow(ctx context.Context, q journal.Query) (<-chan *journal.Entry, error)
	Stats(ctx context.Context, q journal.Query) (*journal.Stats, error)
	Outcomes(ctx context.Context, q journal.Query, told ...string) (*journal.Outcomes, error)
	Calls(ctx context.Context, q journal.Query) (*journal.Calls, error)
	Clear(ctx context.Context) error
	Counts() journal.Counts
}

// Logs is one page of entries, newest first.
type Logs struct {
	Logs   []*journal.Entry `json:"logs"`
	Cursor string           `json:"cursor" jsonschema:"for the next page, older entries; empty: this was the last"`
}

// usualSlow is what counts as slow when nobody says otherwise, in milliseconds.
const usualSlow = 1000

// GetLogs answers the newest entries that match.
func (c *Control) GetLogs(ctx context.Context, q journal.Query) (Logs, error) {
	q, err := c.visible(ctx, q)
	if err != nil {
		return Logs{}, err
	}
	page, err := c.deps.Journal.Search(ctx, q)
	if err != nil {
		return Logs{}, err
	}
	return Logs{Logs: append([]*journal.Entry{}, page.Logs...), Cursor: page.Cursor}, nil
}

// FollowLogs delivers matching entries as they come until ctx ends. It checks
// that the caller may read.
func (c *Control) FollowLogs(ctx context.Context, q journal.Query) (<-chan *journal.Entry, error) {
	if err := c.Allow(ctx, User); err != nil {
		return nil, err
	}
	q, err := c.visible(ctx, q)
	if err != nil {
		return nil, err
	}
	return c.deps.Journal.Follow(ctx, q)
}

// visible narrows a search to what the caller may see: administrators all,
// others the entries about themselves.
func (c *Control) visible(ctx context.Context, q journal.Query) (journal.Query, error) {
	if c.admin(ctx) {
		return q, nil
	}
	own := principal.From(ctx).User
	if own == "" {
		return q, fault.New(fault.Denied, "only administrators see entries of others, and this token names no person")
	}
	if q.User != "" && q.User != own {
		return q, fault.New(fault.Denied, "only administrators see entries of others; leave user out, or name %s", own)
	}
	q.User = own
	return q, nil
}

// LogStats counts what matches in a window of time, a day when none is given.
func (c *Control) LogStats(ctx context.Context, q journal.Query) (*journal.Stats, error) {
	q, err := c.visible(ctx, q)
	if err != nil {
		return nil, err
	}
	return c.deps.Journal.Stats(ctx, q)
}

// LogsByPath answers entries of one path, or of what begins with it.
func (c *Control) LogsByPath(ctx context.Context, q journal.Query) (Logs, error) {
	if q.Path == "" {
		return Logs{}, fault.BadField("path", "is required: a path, or its beginning and *")
	}
	return c.GetLogs(ctx, q)
}

// SlowLogs answers entries that took longer than slow_ms, or a second.
func (c *Control) SlowLogs(ctx context.Context, q journal.Query) (Logs, error) {
	if q.SlowMS == 0 {
		q.SlowMS = usualSlow
	}
	return c.GetLogs(ctx, q)
}

// ErrorLogs answers entries of what failed.
func (c *Control) ErrorLogs(ctx context.Context, q journal.Query) (Logs, error) {
	q.Errors = true
	return c.GetLogs(ctx, q)
}

// EventLogs answers what the process itself had to tell.
func (c *Control) EventLogs(ctx context.Context, q journal.Query) (Logs, error) {
	return c.ofKind(ctx, q, journal.System)
}

// OAuthLogs answers entries of the authorization server.
func (c *Control) OAuthLogs(ctx context.Context, q journal.Query) (Logs, error) {
	return c.ofKind(ctx, q, journal.OAuth)
}

func (c *Control) ofKind(ctx context.Context, q journal.Query, k journal.Kind) (Logs, error) {
	if q.Kind != "" && q.Kind != k {
		return Logs{}, fault.BadField("kind", "is always %s here", k)
	}
	q.Kind = k
	return c.GetLogs(ctx, q)
}

// TestLog is the argument of test_logs.
type TestLog struct {
	Message string `json:"message,omitempty" jsonschema:"text of the entry"`
}

// TestLogs writes one entry, to see whether entries arrive.
func (c *Control) TestLogs(ctx context.Context, in TestLog) (Done, error) {
	if len(in.Message) > 1024 {
		return Done{}, fault.BadField("message", "is at most 1024 bytes long")
	}
	if in.Message == "" {
		in.Message = "a test entry"
	}
	e := &journal.Entry{Kind: journal.System, Level: "INFO", Component: "test", Message: in.Message, RequestID: c.requestID(ctx)}
	if p := principal.From(ctx); p != nil {
		e.User = p.User
	}
	c.journal.Write(e)
	return Done{true}, nil
}

// ClearLogs forgets all entries but those of changes; that it was done becomes
// one of these.
func (c *Control) ClearLogs(ctx context.Context, _ Nothing) (Done, error) {
	noted(ctx, "logs", nil, nil)
	return Done{true}, c.deps.Journal.Clear(ctx)
}

// LogLevel is from which level on the process log writes.
type LogLevel struct {
	Level      string            `json:"level" jsonschema:"of all components that have none of their own"`
	Components map[string]string `json:"components" jsonschema:"components with a level of their own"`
}

// SetLogLevel is the argument of set_log_level.
type SetLogLevel struct {
	Level     string `json:"level" required:"true" jsonschema:"TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL"`
	Component string `json:"component,omitempty" jsonschema:"only this component; empty: all that have no level of their own"`
}

// ResetLogLevel is the argument of reset_log_level.
type ResetLogLevel struct {
	Component string `json:"component,omitempty" jsonschema:"only this component; empty: all, back to what the configuration says"`
}

// GetLogLevel answers the levels of the process log on this node.
func (c *Control) GetLogLevel(context.Context, Nothing) (LogLevel, error) {
	out := LogLevel{Components: map[string]string{}}
	for component, level := range c.deps.Levels.All() {
		if component == "" {
			out.Level = journal.LevelName(level)
		} else {
			out.Components[component] = journal.LevelName(level)
		}
	}
	return out, nil
}

// SetLogLevel changes the level of the process log on this node.
func (c *Control) SetLogLevel(ctx context.Context, in SetLogLevel) (LogLevel, error) {
	level, err := journal.ParseLevel(in.Level)
	if err != nil {
		return LogLevel{}, err
	}
	if len(c.deps.Levels.All()) > 100 || len(in.Component) > 64 {
		return LogLevel{}, fault.BadField("component", "is the name of one, of at most 64 bytes; at most 100 have a level of their own")
	}
	return c.levels(ctx, func() { c.deps.Levels.Set(in.Component, level) })
}

// ResetLogLevel puts the levels back to what the configuration says.
func (c *Control) ResetLogLevel(ctx context.Context, in ResetLogLevel) (LogLevel, error) {
	return c.levels(ctx, func() {
		if in.Component != "" {
			c.deps.Levels.Reset(in.Component)
			return
		}
		for component := range c.deps.Levels.All() {
			c.deps.Levels.Reset(component)
		}
		c.deps.Levels.Set("", c.level)
	})
}

func (c *Control) levels(ctx context.Context, change func()) (LogLevel, error) {
	before, err := c.GetLogLevel(ctx, Nothing{})
	if err != nil {
		return before, err
	}
	change()
	after, err := c.GetLogLevel(ctx, Nothing{})
	noted(ctx, "log:level", before, after)
	return after, err
}
