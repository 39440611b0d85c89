package journal

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// A block keeps its entries by column. Columns that queries filter and count by
// are in the block's first section, so that the rest need not be unpacked for
// them. The numbers are in stored blocks: they are never given to another column.
type columnID uint8

// The columns of the first section.
const (
	colKind columnID = iota + 1
	colProxy
	colIP
	colUser
	colClient
	colStatus
	colMethod
	colPath
	colSession
	colRequest
	colRoute
	colTool
	colErrorKind
	colAuthResult

	colNanos columnID = iota + 32
	colNode
	colMicros
	colBytesIn
	colBytesOut
	colFlags
)

// The columns of the second section.
const (
	colTrace columnID = iota + 64
	colHostname
	colQuery
	colFirstByte
	colScopes
	colAuthType
	colAuthReason
	colTarget
	colError
	colUserAgent
	colReferer
	colProtocol
	colTLS
	colRPCMethod
	colRPCID
	colLevel
	colComponent
	colMessage
	colAction
	colDoor
	colObject
	colBefore
	colAfter
	colRequestHeaders
	colResponseHeaders
	colRequestBody
	colResponseBody

	columnCount = 128 // numbers beyond are of a later version
)

// clientGone is the ErrorKind of requests that the client gave up.
const clientGone = "client_gone"

// flags of an entry: what a query for errors needs, and IsError.
const (
	flagError = 1 << iota
	flagIsError
)

// textColumn tells how an Entry's field is read and set as text; name is its
// name in queries.
type textColumn struct {
	id   columnID
	name string
	get  func(*Entry) string
	set  func(*Entry, string)
}

// field is a column for a plain string field.
func field(id columnID, name string, at func(*Entry) *string) textColumn {
	return textColumn{id, name, func(e *Entry) string { return *at(e) }, func(e *Entry, s string) { *at(e) = s }}
}

// textColumns are all columns of text, in the order of their numbers.
var textColumns = []textColumn{
	{colKind, "kind", func(e *Entry) string { return string(e.Kind) }, func(e *Entry, s string) { e.Kind = Kind(s) }},
	field(colProxy, "proxy", func(e *Entry) *string { return &e.Proxy }),
	field(colIP, "client_ip", func(e *Entry) *string { return &e.ClientIP }),
	field(colUser, "user", func(e *Entry) *string { return &e.User }),
	field(colClient, "client_id", func(e *Entry) *string { return &e.ClientID }),
	{colStatus, "status", statusText, setStatus},
	field(colMethod, "method", func(e *Entry) *string { return &e.Method }),
	field(colPath, "path", func(e *Entry) *string { return &e.Path }),
	field(colSession, "session", func(e *Entry) *string { return &e.Session }),
	field(colRequest, "request_id", func(e *Entry) *string { return &e.RequestID }),
	field(colRoute, "route_id", func(e *Entry) *string { return &e.RouteID }),
	field(colTool, "tool", func(e *Entry) *string { return &e.Tool }),
	field(colErrorKind, "error_kind", func(e *Entry) *string { return &e.ErrorKind }),
	field(colAuthResult, "auth_result", func(e *Entry) *string { return &e.AuthResult }),
	field(colTrace, "trace_id", func(e *Entry) *string { return &e.TraceID }),
	field(colHostname, "client_hostname", func(e *Entry) *string { return &e.ClientHostname }),
	field(colQuery, "query", func(e *Entry) *string { return &e.Query }),
	{colScopes, "scopes", func(e *Entry) string { return strings.Join(e.Scopes, " ") }, func(e *Entry, s string) { e.Scopes = strings.Fields(s) }},
	field(colAuthType, "auth_type", func(e *Entry) *string { return &e.AuthType }),
	field(colAuthReason, "auth_reason", func(e *Entry) *string { return &e.AuthReason }),
	field(colTarget, "target", func(e *Entry) *string { return &e.Target }),
	field(colError, "error", func(e *Entry) *string { return &e.Error }),
	field(colUserAgent, "user_agent", func(e *Entry) *string { return &e.UserAgent }),
	field(colReferer, "referer", func(e *Entry) *string { return &e.Referer }),
	field(colProtocol, "protocol", func(e *Entry) *string { return &e.Protocol }),
	field(colTLS, "tls_version", func(e *Entry) *string { return &e.TLSVersion }),
	field(colRPCMethod, "rpc_method", func(e *Entry) *string { return &e.RPCMethod }),
	field(colRPCID, "rpc_id", func(e *Entry) *string { return &e.RPCID }),
	field(colLevel, "level", func(e *Entry) *string { return &e.Level }),
	field(colComponent, "component", func(e *Entry) *string { return &e.Component }),
	field(colMessage, "message", func(e *Entry) *string { return &e.Message }),
	field(colAction, "action", func(e *Entry) *string { return &e.Action }),
	field(colDoor, "door", func(e *Entry) *string { return &e.Door }),
	field(colObject, "object", func(e *Entry) *string { return &e.Object }),
	field(colBefore, "before", func(e *Entry) *string { return &e.Before }),
	field(colAfter, "after", func(e *Entry) *string { return &e.After }),
	{
		colRequestHeaders, "request_headers", func(e *Entry) string { return headersText(e.RequestHeaders) },
		func(e *Entry, s string) { e.RequestHeaders = parseHeaders(s) },
	},
	{
		colResponseHeaders, "response_headers", func(e *Entry) string { return headersText(e.ResponseHeaders) },
		func(e *Entry, s string) { e.ResponseHeaders = parseHeaders(s) },
	},
	field(colRequestBody, "request_body", func(e *Entry) *string { return &e.RequestBody }),
	field(colResponseBody, "response_body", func(e *Entry) *string { return &e.ResponseBody }),
}

// numberColumn is a column of whole numbers. The position's two columns are not
// among numberColumns: they are the entry's ID and time.
type numberColumn struct {
	id  columnID
	get func(*Entry) int64
	set func(*Entry, int64)
}

var numberColumns = []numberColumn{
	{colMicros, func(e *Entry) int64 { return micros(e.Duration) }, func(e *Entry, n int64) { e.Duration = millis(n) }},
	{colBytesIn, func(e *Entry) int64 { return e.BytesIn }, func(e *Entry, n int64) { e.BytesIn = n }},
	{colBytesOut, func(e *Entry) int64 { return e.BytesOut }, func(e *Entry, n int64) { e.BytesOut = n }},
	{colFlags, flagsOf, func(e *Entry, n int64) { e.IsError = n&flagIsError != 0 }},
	{colFirstByte, func(e *Entry) int64 { return micros(e.FirstByte) }, func(e *Entry, n int64) { e.FirstByte = millis(n) }},
}

// columnForms tells for each number what its column holds; 0: no column that is known here.
var columnForms = func() (forms [columnCount]uint8) {
	for _, c := range textColumns {
		forms[c.id] = formText
	}
	for _, c := range numberColumns {
		forms[c.id] = formNumber
	}
	return forms
}()

const (
	formText uint8 = iota + 1
	formNumber
)

func micros(ms float64) int64 {
	if !(ms > 0) || ms > math.MaxInt64/2000 { // no time, not a number, too much
		return 0
	}
	return int64(math.Round(ms * 1000))
}

func millis(us int64) float64 { return float64(us) / 1000 }

func statusText(e *Entry) string {
	if e.Status <= 0 {
		return ""
	}
	return strconv.Itoa(e.Status)
}

func setStatus(e *Entry, s string) { e.Status, _ = strconv.Atoi(s) }

func flagsOf(e *Entry) (flags int64) {
	if e.Failed() {
		flags |= flagError
	}
	if e.IsError {
		flags |= flagIsError
	}
	return flags
}

// Failed reports whether e tells of an error: status 500 and above, a target
// that could not be asked, a failed MCP call, a record of ERROR or CRITICAL.
// What was rightly refused (401, 403, 404) is none, nor a client that went away.
func (e *Entry) Failed() bool {
	if e.ErrorKind == clientGone {
		return false
	}
	return e.Status >= 500 || e.Error != "" || e.ErrorKind != "" || e.IsError || e.Level == "ERROR" || e.Level == "CRITICAL"
}

func headersText(h map[string]string) string {
	if len(h) == 0 {
		return ""
	}
	b, err := json.Marshal(h)
	if err != nil { // strings only
		return ""
	}
	return string(b)
}

func parseHeaders(s string) map[string]string {
	var h map[string]string
	if json.Unmarshal([]byte(s), &h) != nil {
		return nil
	}
	return h
}
