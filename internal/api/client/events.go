package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// maxEvent bounds one event: a log entry with captured bodies fits.
const maxEvent = 8 << 20

// Event is one server-sent event (WHATWG HTML, section 9.2).
type Event struct {
	Type string // "message" when the server names none
	ID   string
	Data string
}

// Stream sends r and calls each for every event, until each fails, ctx ends or
// the server ends the stream, which is fault.Unavailable.
func (c *Client) Stream(ctx context.Context, r Request, each func(Event) error) error {
	caller := ctx
	ctx, cancel := context.WithCancelCause(caller)
	defer cancel(nil)
	stop := c.headTimer(cancel)
	res, err := c.send(ctx, r, "text/event-stream")
	stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			err = unreachable(caller, c.base, context.DeadlineExceeded)
		}
		return err
	}
	defer res.Body.Close()
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return c.stranger(res.StatusCode)
	}
	err = readEvents(res.Body, each)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil || errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Unavailable, "%s ended the stream: start again to follow on", c.base)
	}
	return err
}

// headTimer ends a stream whose head does not come in time.
func (c *Client) headTimer(cancel context.CancelCauseFunc) func() {
	if c.timeout <= 0 {
		return func() {}
	}
	t := time.AfterFunc(c.timeout, func() { cancel(context.DeadlineExceeded) })
	return func() { t.Stop() }
}

// readEvents parses a stream; nil when it ended.
func readEvents(r io.Reader, each func(Event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	lines.Split(scanEventLines)
	ev, data, first := Event{}, []string(nil), true
	for lines.Scan() {
		line := lines.Text()
		if first {
			line, first = strings.TrimPrefix(line, "\ufeff"), false
		}
		if line != "" {
			data = ev.field(line, data)
			continue
		}
		if data != nil {
			ev.Data = strings.Join(data, "\n")
			if ev.Type == "" {
				ev.Type = "message"
			}
			if err := each(ev); err != nil {
				return err
			}
		}
		ev, data = Event{ID: ev.ID}, nil // the id stays until another comes
	}
	return lines.Err()
}

// field takes one line into ev; data are the lines so far.
func (ev *Event) field(line string, data []string) []string {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		ev.Type = value
	case "id":
		if !strings.Contains(value, "\x00") {
			ev.ID = value
		}
	case "data":
		return append(data, value)
	}
	return data
}

// scanEventLines ends lines at LF, CRLF and CR.
func scanEventLines(data []byte, atEOF bool) (int, []byte, error) {
	for i, b := range data {
		switch {
		case b == '\n':
			return i + 1, data[:i], nil
		case b == '\r' && i+1 < len(data):
			if data[i+1] == '\n' {
				return i + 2, data[:i], nil
			}
			return i + 1, data[:i], nil
		case b == '\r' && atEOF:
			return i + 1, data[:i], nil
		}
	}
	if atEOF {
		return len(data), nil, nil // an unfinished line belongs to no event
	}
	return 0, nil, nil
}
