package mcpgate

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// filterTools is an answer, or a batch of answers, without the tools that are
// not visible. What it does not change it answers as it was. An error means that
// the bytes can't be read in one way only, and must not be passed on.
func filterTools(data []byte, visible func(tool string) bool) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(data))
	f := &toolFilter{d: d, data: data, visible: visible}
	switch d.PeekKind() {
	case '{':
		if err := f.answer(); err != nil {
			return nil, readable(err)
		}
	case '[':
		if _, err := d.ReadToken(); err != nil {
			return nil, readable(err)
		}
		for d.PeekKind() == '{' {
			if err := f.answer(); err != nil {
				return nil, readable(err)
			}
		}
		if token, err := d.ReadToken(); err != nil || token.Kind() != ']' {
			return nil, bad("a batch holds objects only")
		}
	default:
		return nil, bad("it is no JSON object")
	}
	if rest := bytes.Trim(data[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, bad("something stands behind it")
	}
	if f.out == nil {
		return data, nil
	}
	return append(f.out, data[f.copied:]...), nil
}

// toolFilter copies what it keeps of data into out.
type toolFilter struct {
	d       *jsontext.Decoder
	data    []byte
	visible func(string) bool
	out     []byte // nil: nothing was left out yet
	copied  int    // how much of data is in out, or was left out
}

// answer walks one message to the tools in its result.
func (f *toolFilter) answer() error {
	return members(f.d, messageNames, func(name string) error {
		if name != "result" || f.d.PeekKind() != '{' {
			return f.d.SkipValue()
		}
		return members(f.d, resultNames, func(name string) error {
			if name != "tools" {
				return f.d.SkipValue()
			}
			if f.d.PeekKind() != '[' {
				return bad("a list of tools is an array")
			}
			return f.tools()
		})
	})
}

// tools writes the array anew when one of its members is left out.
func (f *toolFilter) tools() error {
	if _, err := f.d.ReadToken(); err != nil {
		return err
	}
	begin := int(f.d.InputOffset()) // behind the bracket
	var kept [][]byte
	dropped := false
	for f.d.PeekKind() != ']' {
		v, err := f.d.ReadValue()
		if err != nil {
			return err
		}
		name, err := toolName(v)
		if err != nil {
			return err
		}
		if f.visible(name) {
			kept = append(kept, bytes.Clone(v))
		} else {
			dropped = true
		}
	}
	end := int(f.d.InputOffset()) // behind the last member
	if _, err := f.d.ReadToken(); err != nil {
		return err
	}
	if dropped {
		f.out = append(f.out, f.data[f.copied:begin]...)
		f.out = append(f.out, bytes.Join(kept, []byte(","))...)
		f.copied = end
	}
	return nil
}

// toolName is the name in a tool's description.
func toolName(v []byte) (name string, err error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(v))
	if d.PeekKind() != '{' {
		return "", bad("a tool is an object")
	}
	err = members(d, toolNames, func(member string) (err error) {
		if member != "name" {
			return d.SkipValue()
		}
		name, err = text(d, "a tool's name")
		return err
	})
	if err == nil && strings.TrimSpace(name) == "" {
		err = bad("a tool has no name")
	}
	return name, err
}
