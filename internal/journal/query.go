package journal

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/fault"
)

// Query says which entries are wanted. All that is given must hold. The JSON
// names are those of the API's query parameters.
type Query struct {
	Q       string    `json:"q,omitempty" jsonschema:"field:value terms and free text"`
	Hours   float64   `json:"hours,omitempty" jsonschema:"the last so many hours; not with since"`
	Since   time.Time `json:"since,omitzero" jsonschema:"from then on"`
	Until   time.Time `json:"until,omitzero" jsonschema:"up to then, itself not"`
	Proxy   string    `json:"proxy,omitempty" jsonschema:"hostname"`
	IP      string    `json:"ip,omitempty" jsonschema:"the client's address"`
	User    string    `json:"user,omitempty" jsonschema:"who asked, as lists name them"`
	Client  string    `json:"client,omitempty" jsonschema:"OAuth client"`
	Status  string    `json:"status,omitempty" jsonschema:"404 or 4xx"`
	Method  string    `json:"method,omitempty" jsonschema:"HTTP method"`
	Path    string    `json:"path,omitempty" jsonschema:"exact; /api/* for what begins so; /users/:id for a pattern"`
	Kind    Kind      `json:"kind,omitempty" jsonschema:"request, oauth, mcp, audit or system"`
	Session string    `json:"session,omitempty" jsonschema:"id of a browser's session"`
	RouteID string    `json:"route_id,omitempty" jsonschema:"the route that matched"`
	Tool    string    `json:"tool,omitempty" jsonschema:"the tool of an MCP call"`
	Errors  bool      `json:"errors,omitempty" jsonschema:"only what failed"`
	SlowMS  float64   `json:"slow_ms,omitempty" jsonschema:"only what took longer, in milliseconds"`
	Limit   int       `json:"limit,omitempty" jsonschema:"entries in the answer; 100, at most 1000"`
	Cursor  string    `json:"cursor,omitempty" jsonschema:"from the page before"`
}

// Bounds and defaults of a Query.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
	maxQueryText = 1024 // bytes of Q
	maxTerms     = 16
)

// plan is a Query made ready: what the index can tell, and what only the entry can.
type plan struct {
	conditions []condition
	slow       uint8 // least durationClass
	terms      []term
	texts      []string // lower case; each must be somewhere in the entry

	errors    bool
	slowMS    float64
	auditOnly bool // the kind says which log
	noAudit   bool

	since, until int64     // nanoseconds; since is in, until is out
	before       *position // the cursor
	limit        int
}

// condition is a range of values that an indexed field must be in.
type condition struct {
	field  int // of indexed
	lo, hi uint32
}

// term is a field that must have a value; the index's hashes can collide, so
// terms are checked on the entries themselves too.
type term struct {
	column *textColumn
	match  func(string) bool
}

// plan checks q and makes it ready; Invalid names each bad field.
func (q Query) plan() (*plan, error) {
	var bad fault.Rules
	p := &plan{errors: q.Errors, slowMS: q.SlowMS, limit: q.Limit}
	p.window(q, &bad)
	for _, f := range [...]struct{ name, value string }{
		{"proxy", q.Proxy}, {"ip", q.IP}, {"user", q.User}, {"client", q.Client}, {"status", q.Status}, {"method", q.Method},
		{"path", q.Path}, {"kind", string(q.Kind)}, {"session", q.Session}, {"route_id", q.RouteID}, {"tool", q.Tool},
	} {
		if f.value != "" {
			p.filter(f.name, f.value, f.name, &bad)
		}
	}
	p.text(q.Q, &bad)
	if q.SlowMS < 0 || q.SlowMS != q.SlowMS {
		bad.Add("slow_ms", "must be a number of milliseconds, 0 or more")
	}
	p.slow = durationClass(micros(q.SlowMS))
	if q.Limit < 0 || q.Limit > MaxLimit {
		bad.Add("limit", "must be from 1 to %d", MaxLimit)
	}
	if p.limit == 0 {
		p.limit = DefaultLimit
	}
	if q.Cursor != "" {
		at, err := parseID("cursor", q.Cursor)
		if err != nil {
			bad.Add("cursor", "is not one that an answer gave")
		}
		p.before = &at
	}
	return p, bad.Err()
}

// maxHours is more than any log is kept.
const maxHours = 24 * 366 * 10

func (p *plan) window(q Query, bad *fault.Rules) {
	if !(q.Hours >= 0 && q.Hours <= maxHours) {
		bad.Add("hours", "must be a number from 0 to %d", maxHours)
	}
	if q.Hours > 0 && !q.Since.IsZero() {
		bad.Add("hours", "can't be given together with since")
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && q.Until.Before(q.Since) {
		bad.Add("until", "must not be before since")
	}
	since := q.Since
	if q.Hours > 0 {
		since = time.Now().Add(-time.Duration(q.Hours * float64(time.Hour)))
	}
	p.since, p.until = bound(since, 0), bound(q.Until, 1<<63-1)
}

// bound is t in nanoseconds, zero meaning open.
func bound(t time.Time, open int64) int64 {
	switch {
	case t.IsZero():
		return open
	case t.Year() < 1970:
		return 0
	case t.Year() > 2200:
		return 1<<63 - 1
	}
	return t.UnixNano()
}

// aliases are the short names of fields.
var aliases = map[string]string{
	"ip": "client_ip", "client": "client_id", "route": "route_id", "request": "request_id", "host": "client_hostname",
	"trace": "trace_id", "agent": "user_agent",
}

// filter demands that the field called name has a value; at is where the caller
// gave it, for messages.
func (p *plan) filter(name, value, at string, bad *fault.Rules) {
	if full, short := aliases[name]; short {
		name = full
	}
	switch name {
	case "status":
		p.status(value, at, bad)
	case "path":
		p.path(value)
	case "client_ip":
		addr, err := netip.ParseAddr(value)
		if err != nil {
			bad.Add(at, "must be an IP address, not %q", Printable(value))
			return
		}
		p.equals(name, addr.Unmap().String())
	case "kind":
		p.kind(Kind(strings.ToLower(value)), at, bad)
	case "method", "level":
		p.equals(name, strings.ToUpper(value))
	case "proxy":
		p.equals(name, strings.ToLower(strings.TrimSuffix(value, ".")))
	default:
		p.equals(name, value)
	}
}

func (p *plan) kind(k Kind, at string, bad *fault.Rules) {
	if !slices.Contains([]Kind{Request, OAuth, MCP, Audit, System}, k) {
		bad.Add(at, "must be one of request, oauth, mcp, audit, system")
		return
	}
	p.auditOnly, p.noAudit = p.auditOnly || k == Audit, p.noAudit || k != Audit
	p.equals("kind", string(k))
}

func (p *plan) status(value, at string, bad *fault.Rules) {
	lo, hi, ok := statusRange(value)
	if !ok {
		bad.Add(at, `must be a status like 404 or a class like 4xx, not %q`, Printable(value))
		return
	}
	p.conditions = append(p.conditions, condition{indexOf(colStatus), lo, hi})
	p.terms = append(p.terms, term{column("status"), func(s string) bool { n := hashStatus(s); return lo <= n && n <= hi }})
}

func statusRange(s string) (lo, hi uint32, ok bool) {
	if len(s) != 3 || s[0] < '1' || s[0] > '9' {
		return 0, 0, false
	}
	if strings.EqualFold(s[1:], "xx") {
		lo = uint32(s[0]-'0') * 100
		return lo, lo + 99, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint32(n), uint32(n), err == nil
}

func (p *plan) path(value string) {
	if prefix, open := strings.CutSuffix(value, "*"); open {
		p.terms = append(p.terms, term{column("path"), func(s string) bool { return strings.HasPrefix(s, prefix) }})
		return
	}
	if strings.Contains(value, "/:id") {
		p.demand(patternField, hashText(value))
		p.terms = append(p.terms, term{column("path"), func(s string) bool { return Pattern(s) == value }})
		return
	}
	p.equals("path", value)
}

// equals demands an exact value of the column called name, "x*" what begins so.
func (p *plan) equals(name, value string) {
	c := column(name)
	if prefix, open := strings.CutSuffix(value, "*"); open && prefix != "" {
		p.terms = append(p.terms, term{c, func(s string) bool { return strings.HasPrefix(s, prefix) }})
		return
	}
	if i := indexOf(c.id); i >= 0 {
		p.demand(i, hashText(value))
	}
	p.terms = append(p.terms, term{c, func(s string) bool { return s == value }})
}

func (p *plan) demand(field int, hash uint32) {
	p.conditions = append(p.conditions, condition{field, hash, hash})
}

// indexOf is the index's field for a column, -1 without.
func indexOf(id columnID) int {
	for i, f := range indexed {
		if f.column == id {
			return i
		}
	}
	return -1
}

// column is the column called name; nil without.
func column(name string) *textColumn {
	i := slices.IndexFunc(textColumns, func(c textColumn) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &textColumns[i]
}
