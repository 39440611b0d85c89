package mcptest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// event is one server-sent event (WHATWG HTML, section 9.2), as it was sent.
type event struct {
	name, id, data, retry string
	hasID, hasData        bool
}

// errEnough ends the reading of a stream.
var errEnough = errors.New("enough")

// readEvents parses a stream and calls each for every event that has a field, until
// each says no (errEnough) or the stream ends (nil). What is read is bounded by r.
func readEvents(r io.Reader, each func(event) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 16<<10), maxAnswer+2)
	lines.Split(scanLines)
	var ev event
	var data []string
	any := false
	for lines.Scan() {
		line := strings.TrimPrefix(lines.Text(), "\ufeff")
		if line == "" {
			if any {
				ev.data = strings.Join(data, "\n")
				if !each(ev) {
					return errEnough
				}
			}
			ev, data, any = event{}, nil, false
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			ev.name = value
		case "data":
			data, ev.hasData = append(data, value), true
		case "id":
			ev.id, ev.hasID = value, true
		case "retry":
			ev.retry = value
		default:
			continue // comments and what nobody knows
		}
		any = true
	}
	return lines.Err()
}

// scanLines ends lines at LF, CR or both.
func scanLines(data []byte, atEOF bool) (int, []byte, error) {
	if atEOF && len(data) == 0 {
		return 0, nil, nil
	}
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0 && atEOF:
		return len(data), data, nil
	case i < 0:
		return 0, nil, nil
	case data[i] == '\n':
		return i + 1, data[:i], nil
	case i+1 < len(data) && data[i+1] == '\n':
		return i + 2, data[:i], nil
	case i+1 < len(data) || atEOF:
		return i + 1, data[:i], nil
	}
	return 0, nil, nil // whether LF follows CR is not known yet
}
