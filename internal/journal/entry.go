// Package journal keeps what happened: one Entry for each request, OAuth event,
// MCP call, change and system event. It masks, buffers, encodes, stores,
// searches, follows and counts entries. The store's Log keeps its blocks; the
// process log (slog) is set up here too, because both mask by the same rules.
package journal

import "time"

// Kind is what an Entry tells of.
type Kind string

// The kinds of Entry.
const (
	Request Kind = "request"
	OAuth   Kind = "oauth"
	MCP     Kind = "mcp"
	Audit   Kind = "audit"
	System  Kind = "system"
)

// Entry is one thing that happened. The JSON names are the API's. Fields that
// do not apply stay zero and are left out. An Entry belongs to the journal from
// Write on.
type Entry struct {
	ID             string    `json:"id"`   // set by Write; ordered by time
	Time           time.Time `json:"time"` // set by Write: the end of what happened; it began Duration before
	Kind           Kind      `json:"kind"`
	RequestID      string    `json:"request_id,omitempty"`
	TraceID        string    `json:"trace_id,omitempty"`
	ClientIP       string    `json:"client_ip,omitempty"`
	ClientHostname string    `json:"client_hostname,omitempty"`
	Proxy          string    `json:"proxy,omitempty"`
	Method         string    `json:"method,omitempty"`
	Path           string    `json:"path,omitempty"`
	Query          string    `json:"query,omitempty"` // values of known secret names masked
	Status         int       `json:"status,omitempty"`
	Duration       float64   `json:"duration_ms"`
	FirstByte      float64   `json:"first_byte_ms,omitempty"`
	BytesIn        int64     `json:"bytes_in,omitempty"`
	BytesOut       int64     `json:"bytes_out,omitempty"`
	User           string    `json:"user,omitempty"`
	ClientID       string    `json:"client_id,omitempty"`
	Scopes         []string  `json:"scopes,omitempty"`
	Session        string    `json:"session,omitempty"`
	AuthType       string    `json:"auth_type,omitempty"`
	AuthResult     string    `json:"auth_result,omitempty"` // allowed, public, excluded, denied, challenged …
	AuthReason     string    `json:"auth_reason,omitempty"` // exact reason: "token_expired", "scope_missing"
	RouteID        string    `json:"route_id,omitempty"`
	Target         string    `json:"target,omitempty"`
	Error          string    `json:"error,omitempty"`
	ErrorKind      string    `json:"error_kind,omitempty"` // connect, timeout, client_gone, reset …
	UserAgent      string    `json:"user_agent,omitempty"`
	Referer        string    `json:"referer,omitempty"`
	Protocol       string    `json:"protocol,omitempty"`    // HTTP/1.1, HTTP/2.0
	TLSVersion     string    `json:"tls_version,omitempty"` // 1.2, 1.3

	RPCMethod string `json:"rpc_method,omitempty"`
	Tool      string `json:"tool,omitempty"`
	RPCID     string `json:"rpc_id,omitempty"`
	IsError   bool   `json:"is_error,omitempty"`

	Level     string `json:"level,omitempty"`     // system: WARNING, ERROR, CRITICAL
	Component string `json:"component,omitempty"` // system: which part spoke
	Message   string `json:"message,omitempty"`   // system, oauth, audit: what happened, in words

	Action string `json:"action,omitempty"` // audit: the operation's name; oauth: the step
	Door   string `json:"door,omitempty"`   // audit: api, cli, mcp, browser, local
	Object string `json:"object,omitempty"` // audit: what was changed
	Before string `json:"before,omitempty"` // audit: masked JSON
	After  string `json:"after,omitempty"`  // audit: masked JSON

	RequestHeaders  map[string]string `json:"request_headers,omitempty"`
	ResponseHeaders map[string]string `json:"response_headers,omitempty"`
	RequestBody     string            `json:"request_body,omitempty"`
	ResponseBody    string            `json:"response_body,omitempty"`
}

// Recorder takes entries. Write never waits: what does not fit the queue is
// dropped and counted.
type Recorder interface {
	Write(e *Entry)
}
