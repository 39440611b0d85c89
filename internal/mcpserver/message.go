package mcpserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"gatehouse/internal/fault"
)

// sessionless is the first protocol version without sessions. Versions are dates:
// later ones compare greater.
const sessionless = "2026-07-28"

// message is what must be known of a body before the SDK reads it.
type message struct {
	method    string
	tool      string // of a call
	id        json.RawMessage
	stateless bool // of a version without sessions, by its header or its own word
}

// read reads the body whole, and leaves it to be read again.
func read(w http.ResponseWriter, r *http.Request) (message, error) {
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(bodyPatience)) // not every connection has one
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = deadline.SetReadDeadline(time.Time{})
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return message{}, fault.New(fault.TooLarge, "the message is larger than %d bytes", maxBody)
	}
	if err != nil {
		return message{}, fault.Wrap(fault.Malformed, err, "the message could not be read")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return recognize(r.Header.Get("Mcp-Protocol-Version"), body), nil
}

// recognize finds which of the two handlers a message is for. What it can't read
// is left to the handlers, which refuse it.
func recognize(version string, body []byte) message {
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params struct {
			Name string `json:"name"`
			Meta struct {
				Version string `json:"io.modelcontextprotocol/protocolVersion"`
			} `json:"_meta"`
		} `json:"params"`
	}
	_ = json.Unmarshal(body, &m) // what could be read of it counts
	return message{method: m.Method, tool: m.Params.Name, id: m.ID, stateless: version >= sessionless || m.Params.Meta.Version != ""}
}

// refuse answers a message with err, as HTTP and JSON-RPC say it.
func refuse(w http.ResponseWriter, id json.RawMessage, err error) {
	p := fault.ProblemOf(err)
	if e, ok := errors.AsType[*fault.Error](err); ok && e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	if !plainID(id) {
		id = json.RawMessage("null")
	}
	body, marshalErr := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": invalidRequest, "message": p.Detail}})
	if marshalErr != nil {
		p.WriteTo(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

const invalidRequest = -32600

// plainID reports whether id is a string or a number, as ids of requests are.
func plainID(id json.RawMessage) bool {
	return len(id) > 0 && (id[0] == '"' || id[0] == '-' || (id[0] >= '0' && id[0] <= '9'))
}
