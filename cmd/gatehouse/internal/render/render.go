// Package render prints an API's answer: as a table for people, and as JSON,
// YAML or CSV for programs. JSON is the answer as it came. Whatever stands in
// the answer was possibly sent by strangers: nothing of it reaches a terminal as
// a control character.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Format is how an answer is printed.
type Format string

// The formats. Auto is a table on a terminal and JSON elsewhere.
const (
	Auto  Format = "auto"
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
	CSV   Format = "csv"
)

// Formats are the names of all formats.
func Formats() []string {
	return []string{string(Auto), string(Table), string(JSON), string(YAML), string(CSV)}
}

// ParseFormat is the format called name.
func ParseFormat(name string) (Format, error) {
	if !slices.Contains(Formats(), name) {
		return "", fmt.Errorf("%q is no format: use one of %s", name, strings.Join(Formats(), ", "))
	}
	return Format(name), nil
}

// Printer prints answers to one place.
type Printer struct {
	Out      io.Writer
	Format   Format
	Terminal bool      // Out is one
	Color    bool      // may use colors
	Width    int       // columns of the terminal; 0: not known, nothing is cut
	Now      time.Time // what relative times relate to
}

// View is how a table shows an answer.
type View struct {
	List    string   // member that holds the rows: "items", "logs"; empty: the answer is one object
	Columns []Column // of the rows; of one object, all members that hold something are shown
	Empty   string   // sentence for a list without rows

	Reverse bool // rows come newest first; people read them oldest first

	Skip string // of one object, a member that another view shows

	Say  func(Object) string // instead of a table of one object, a sentence
	Keep func(Object) bool   // of a list, only the rows that it keeps, in every format
}

// Effective is the format after Auto is decided.
func (p *Printer) Effective() Format {
	switch {
	case p.Format != Auto && p.Format != "":
		return p.Format
	case p.Terminal:
		return Table
	}
	return JSON
}

// Print prints a whole answer.
func (p *Printer) Print(answer json.RawMessage, v View) error {
	if v.Keep != nil || v.Reverse {
		var err error
		if answer, err = arranged(answer, v); err != nil {
			return err
		}
	}
	switch p.Effective() {
	case Table:
		return p.table(answer, v)
	case YAML:
		return p.yaml(answer)
	case CSV:
		return p.csv(answer, v)
	}
	return p.json(answer)
}

// json prints the answer as it came. A terminal gets it indented and without
// control characters, which JSON can write as escapes.
func (p *Printer) json(answer json.RawMessage) error {
	text := []byte(strings.TrimRight(string(answer), "\n"))
	if p.Terminal {
		var b bytes.Buffer
		if err := json.Indent(&b, text, "", "  "); err != nil {
			return err
		}
		text = escapeJSON(b.Bytes())
	}
	_, err := p.Out.Write(append(text, '\n'))
	return err
}

// Line prints one entry of a stream as JSON on a line of its own.
func (p *Printer) Line(entry json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Compact(&b, entry); err != nil {
		return err
	}
	line := b.Bytes()
	if p.Terminal {
		line = escapeJSON(line)
	}
	_, err := p.Out.Write(append(line, '\n'))
	return err
}
