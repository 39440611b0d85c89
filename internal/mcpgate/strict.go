package mcpgate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// Message is one JSON-RPC message of a client, as far as rules and the log need it.
type Message struct {
	Method  string // empty: an answer, or no message at all
	ID      string // as it stands in JSON; empty: a notification
	Name    string // params.name
	URI     string // params.uri
	Tool    string // Name of a tools/call
	Version string // params._meta's protocol version (2026-07-28 and later)
	Reply   bool   // an answer to a request of the server

	asked   string // params.protocolVersion, of initialize
	askedAt [2]int // where its value stands in the body
}

// Payload is what a request's body holds.
type Payload struct {
	Messages []Message
	Batch    bool
}

// The methods that rules are about.
const (
	methodCall = "tools/call"
	methodList = "tools/list"
)

const metaVersion = "io.modelcontextprotocol/protocolVersion"

// errMessage says why a body is no message that everybody reads alike.
var errMessage = errors.New("not a JSON-RPC message that everybody reads alike")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMessage, fmt.Sprintf(format, args...))
}

// Parse reads a body strictly: UTF-8 JSON (RFC 8259), no name twice in an object,
// no name that differs from one of the protocol's in its case alone, nothing
// behind it. What it takes, every backend reads as it does.
func Parse(body []byte) (Payload, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(body))
	var p Payload
	var err error
	switch d.PeekKind() {
	case '{':
		var m Message
		m, err = readMessage(d)
		p.Messages = []Message{m}
	case '[':
		p.Batch = true
		p.Messages, err = readBatch(d)
	default:
		return p, bad("it is no JSON object")
	}
	if err != nil {
		return p, readable(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return p, bad("something stands behind it")
	}
	return p, nil
}

// readable keeps our own errors and turns the decoder's into words that hold
// nothing of the body.
func readable(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, errMessage):
		return err
	case errors.Is(err, jsontext.ErrDuplicateName):
		return bad("a name stands twice in one object")
	case errors.As(err, &syntax):
		return bad("it is no valid UTF-8 JSON at byte %d", syntax.ByteOffset)
	}
	return bad("it ends too early")
}

func readBatch(d *jsontext.Decoder) ([]Message, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var all []Message
	for d.PeekKind() == '{' {
		if len(all) == maxBatch {
			return nil, bad("a batch holds at most %d messages", maxBatch)
		}
		m, err := readMessage(d)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	if d.PeekKind() != ']' {
		if _, err := d.ReadToken(); err != nil {
			return nil, err
		}
		return nil, bad("a batch holds objects only")
	}
	if len(all) == 0 {
		return nil, bad("the batch is empty")
	}
	_, err := d.ReadToken()
	return all, err
}

// readMessage reads one message object; with an error m is what was read so far.
func readMessage(d *jsontext.Decoder) (m Message, err error) {
	defer func() {
		if m.Method == methodCall {
			m.Tool = m.Name
		}
	}()
	err = members(d, messageNames, func(name string) error {
		switch name {
		case "method":
			m.Method, err = text(d, "method")
			return err
		case "id":
			m.ID, err = identifier(d)
			return err
		case "params":
			if d.PeekKind() == '{' {
				return readParams(d, &m)
			}
		case "result", "error":
			m.Reply = true
		}
		return d.SkipValue()
	})
	if err != nil {
		return m, err
	}
	for _, method := range []string{methodCall, methodList} {
		if m.Method != method && strings.EqualFold(m.Method, method) {
			return m, bad("the method is written %s", method)
		}
	}
	return m, nil
}

// Glance reads what it can of the begin of a body that was not judged, for the log.
func Glance(body []byte) []Message {
	d := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '[' {
		if d.PeekKind() != '{' {
			return nil
		}
		m, _ := readMessage(d) // what was read counts
		return []Message{m}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil
	}
	var all []Message
	for len(all) < maxBatch && d.PeekKind() == '{' {
		m, err := readMessage(d)
		all = append(all, m)
		if err != nil {
			break
		}
	}
	return all
}

func readParams(d *jsontext.Decoder, m *Message) error {
	return members(d, paramNames, func(name string) (err error) {
		switch {
		case name == "name" && d.PeekKind() == '"':
			m.Name, err = text(d, "params.name")
			return err
		case name == "uri" && d.PeekKind() == '"':
			m.URI, err = text(d, "params.uri")
			return err
		case name == "protocolVersion" && d.PeekKind() == '"':
			v, err := d.ReadValue()
			if err != nil {
				return err
			}
			end := int(d.InputOffset())
			m.askedAt = [2]int{end - len(v), end}
			asked, err := jsontext.AppendUnquote(nil, v)
			m.asked = string(asked)
			return err
		case name == "_meta" && d.PeekKind() == '{':
			return members(d, metaNames, func(name string) (err error) {
				if name == metaVersion && d.PeekKind() == '"' {
					m.Version, err = text(d, metaVersion)
					return err
				}
				return d.SkipValue()
			})
		}
		return d.SkipValue()
	})
}

// Names that may stand in one spelling only, by the object that they stand in.
var (
	messageNames = []string{"jsonrpc", "id", "method", "params", "result", "error"}
	paramNames   = []string{"name", "uri", "arguments", "protocolVersion", "_meta"}
	metaNames    = []string{metaVersion}
	resultNames  = []string{"tools", "nextCursor", "isError"}
	toolNames    = []string{"name"}
)

// members reads an object and calls each, which reads the value, for its members.
func members(d *jsontext.Decoder, known []string, each func(name string) error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		if token.Kind() == '}' {
			return nil
		}
		name := token.String()
		for _, k := range known {
			if name != k && strings.EqualFold(name, k) {
				return bad("the name %s is written in another case", k)
			}
		}
		if err := each(name); err != nil {
			return err
		}
	}
}

func text(d *jsontext.Decoder, what string) (string, error) {
	if d.PeekKind() != '"' {
		return "", bad("%s is a string", what)
	}
	token, err := d.ReadToken()
	if err != nil {
		return "", err
	}
	s := token.String()
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", bad("%s holds control characters", what)
	}
	return s, nil
}

// identifier is an id as it stands there: a string, a number or null.
func identifier(d *jsontext.Decoder) (string, error) {
	switch d.PeekKind() {
	case '"', '0', 'n':
	default:
		if _, err := d.ReadValue(); err != nil {
			return "", err
		}
		return "", bad("an id is a string or a number")
	}
	v, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	if len(v) > maxID {
		return "", bad("an id is at most %d bytes long", maxID)
	}
	return string(v), nil
}

const maxID = 1024
