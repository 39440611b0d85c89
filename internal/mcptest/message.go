package mcptest

import (
	"bytes"
	"encoding/json"
	"strings"
)

// message is one JSON-RPC message as it came.
type message struct {
	raw     json.RawMessage
	fields  map[string]json.RawMessage // nil: it is no object
	version string
	id      json.RawMessage // nil: it has none
	method  string
	result  json.RawMessage // nil: it has none
	failure *failure
}

// failure is the error of a response.
type failure struct {
	Code    json.Number     `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`

	raw json.RawMessage
}

func (f *failure) is(code string) bool { return f != nil && string(f.Code) == code }

func (f *failure) codeText() string {
	if f.Code == "" {
		return "without a code"
	}
	return strings.Trim(quote(string(f.Code)), `"`)
}

// Error codes (JSON-RPC 2.0, section 5.1; MCP, Error Codes).
const (
	codeParse          = "-32700"
	codeInvalidRequest = "-32600"
	codeUnknownMethod  = "-32601"
	codeInvalidParams  = "-32602"
	codeHeaderMismatch = "-32020"
	codeBadVersion     = "-32022"
)

// readMessages are the messages of a body: one, or a batch. What is no JSON gives
// none.
func readMessages(body []byte) []message {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || !json.Valid(body) {
		return nil
	}
	if body[0] != '[' {
		return []message{readMessage(body)}
	}
	var parts []json.RawMessage
	if json.Unmarshal(body, &parts) != nil {
		return nil
	}
	all := make([]message, 0, len(parts))
	for _, p := range parts {
		all = append(all, readMessage(p))
	}
	return all
}

func readMessage(raw json.RawMessage) message {
	m := message{raw: raw}
	if json.Unmarshal(raw, &m.fields) != nil {
		m.fields = nil
		return m
	}
	_ = json.Unmarshal(m.fields["jsonrpc"], &m.version)
	_ = json.Unmarshal(m.fields["method"], &m.method)
	m.id, m.result = m.fields["id"], m.fields["result"]
	if e, has := m.fields["error"]; has {
		m.failure = &failure{raw: e}
		_ = json.Unmarshal(e, m.failure) // what could be read of it counts
	}
	return m
}

// response reports whether m answers a request.
func (m *message) response() bool { return m.result != nil || m.failure != nil }

// answers reports whether m answers the request with this id.
func (m *message) answers(id json.RawMessage) bool {
	return m.response() && bytes.Equal(compact(m.id), compact(id))
}

func compact(raw json.RawMessage) []byte {
	var text string
	if json.Unmarshal(raw, &text) == nil && len(raw) > 0 && raw[0] == '"' {
		canonical, err := json.Marshal(text)
		if err == nil {
			return canonical
		}
	}
	return bytes.TrimSpace(raw)
}

// into decodes a result.
func (m *message) into(v any) bool { return m.result != nil && json.Unmarshal(m.result, v) == nil }

// member is the raw member of a JSON object; nil where there is none.
func member(object json.RawMessage, name string) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return nil
	}
	return fields[name]
}

func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && raw[0] == '{'
}

func isArray(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && raw[0] == '['
}

func isString(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && raw[0] == '"'
}
