package stdio

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// message is one JSON-RPC message, its members as they came.
type message map[string]json.RawMessage

var errNoMessage = errors.New("it is no JSON-RPC message")

// readMessages reads a message or a batch.
func readMessages(raw []byte) (all []message, batch bool, err error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '[' {
		err = json.Unmarshal(raw, &all)
		batch = true
	} else {
		all = make([]message, 1)
		err = json.Unmarshal(raw, &all[0])
	}
	if err != nil || len(all) == 0 || len(all) > 100 {
		return nil, batch, errNoMessage
	}
	for _, m := range all {
		if !m.sound() {
			return nil, batch, errNoMessage
		}
	}
	return all, batch, nil
}

// sound reports whether this is a message of JSON-RPC 2.0 (section 4 and 5).
// Programs end at what is none, and with them the sessions of those who wrote
// sound ones.
func (m message) sound() bool {
	if string(m["jsonrpc"]) != `"2.0"` || (m.method() == "") != m.reply() || m.method() == "" && m["method"] != nil {
		return false
	}
	if id, ok := m["id"]; ok && id[0] != '"' && id[0] != 'n' && id[0] != '-' && (id[0] < '0' || id[0] > '9') {
		return false
	}
	params, ok := m["params"]
	return !ok || params[0] == '{' || params[0] == '['
}

func (m message) method() (s string) {
	_ = json.Unmarshal(m["method"], &s) // what is no string is no method
	return s
}

func (m message) id() json.RawMessage {
	if id := m["id"]; len(id) > 0 && !bytes.Equal(id, []byte("null")) {
		return id
	}
	return nil
}

func (m message) request() bool { return m.method() != "" && m.id() != nil }

func (m message) reply() bool {
	_, result := m["result"]
	_, failure := m["error"]
	return result || failure
}

func (m message) bytes() []byte {
	return encode(map[string]json.RawMessage(m))
}

// encode writes JSON as it came: what json.Marshal makes safe for HTML grows by it
// to six times its size.
func encode(o map[string]json.RawMessage) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); err != nil { // every member was read as JSON: can't happen
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// params are the message's, to be read or changed; nil where they are no object.
func (m message) params() map[string]json.RawMessage {
	var p map[string]json.RawMessage
	_ = json.Unmarshal(m["params"], &p) // what is no object has no members
	return p
}

func object(raw json.RawMessage) map[string]json.RawMessage {
	var o map[string]json.RawMessage
	_ = json.Unmarshal(raw, &o) // what is no object has no members
	return o
}

// with is raw JSON of an object with one member changed.
func with(o map[string]json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	o[name] = value
	return encode(o)
}

func number(n int64) json.RawMessage { return strconv.AppendInt(nil, n, 10) }

// asNumber is the number that an id of ours is; -1 for others.
func asNumber(id json.RawMessage) int64 {
	n, err := strconv.ParseInt(string(id), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// failure answers a request with a JSON-RPC error.
func failure(id json.RawMessage, code int, text string) []byte {
	if id == nil {
		id = json.RawMessage("null")
	}
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": code, "message": text}})
	if err != nil { // ids were read as JSON: can't happen
		return []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}`)
	}
	return b
}

const (
	codeInvalid  = -32600
	codeMethod   = -32601
	codeParams   = -32602
	codeInternal = -32603

	codeHeaders    = -32020 // MCP, HeaderMismatch
	codeCapability = -32021 // MCP, MissingRequiredClientCapability
	codeVersion    = -32022 // MCP, UnsupportedProtocolVersion
)
