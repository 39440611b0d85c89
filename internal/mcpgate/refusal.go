package mcpgate

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Refusal is how a request is answered in place of its target.
type Refusal struct {
	Status     int
	Kind, Text string        // what happened, for the log
	Challenge  string        // WWW-Authenticate; empty: none
	RetryAfter time.Duration // 0: none
	Body       []byte        // JSON-RPC
}

// Codes of JSON-RPC errors: JSON-RPC's own, those of MCP, and ours out of the
// range that is left to implementations.
const (
	codeParse    = -32700
	codeInvalid  = -32600
	codeParams   = -32602
	codeMismatch = -32020 // MCP, HeaderMismatch
	codeVersion  = -32022 // MCP, UnsupportedProtocolVersion
	codeDenied   = -32010 // a rule of the host
	codeRate     = -32011
	codeBusy     = -32012
)

type reply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    *hint  `json:"data,omitempty"`
	} `json:"error"`
}

// hint tells programs what would help.
type hint struct {
	RetryAfter float64 `json:"retry_after_seconds,omitempty"`
	Scope      string  `json:"scope,omitempty"`

	Supported []string `json:"supported,omitempty"` // versions of the protocol
	Requested string   `json:"requested,omitempty"`
}

func newReply(id string, d denial) reply {
	r := reply{Version: "2.0", ID: json.RawMessage("null")}
	if id != "" {
		r.ID = json.RawMessage(id)
	}
	r.Error.Code, r.Error.Message = d.code, d.text
	if d.wait > 0 || d.needs != "" {
		r.Error.Data = &hint{RetryAfter: math.Ceil(d.wait.Seconds()), Scope: d.needs}
	}
	return r
}

// plain refuses a body of which nothing is known.
func plain(status, code int, kind, text string, wait time.Duration) *Refusal {
	return &Refusal{Status: status, Kind: kind, Text: text, RetryAfter: wait, Body: encode(newReply("", denial{code: code, text: text}))}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // ids were read as JSON: can't happen
		return []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}`)
	}
	return b
}

func (p *Pass) noSession() *Refusal {
	return plain(http.StatusNotFound, codeInvalid, "unknown_session", "There is no such session of yours here: begin anew with initialize.", 0)
}

// answerAll refuses every message for the same reason.
func (p *Pass) answerAll(status int, batch bool, d denial) *Refusal {
	p.denied = slices.Repeat([]denial{d}, len(p.messages))
	return &Refusal{Status: status, Kind: d.why, Text: d.text, Body: p.replies(batch)}
}

// replies are the errors for all messages that have an id; for one without,
// there is an error all the same, which HTTP wants.
func (p *Pass) replies(batch bool) []byte {
	var all []reply
	for i, m := range p.messages {
		if m.ID == "" || m.Method == "" {
			continue
		}
		d := p.denied[i]
		if d.why == "" {
			d = denial{code: codeDenied, text: "not done, because another message of this batch was refused"}
		}
		all = append(all, newReply(m.ID, d))
	}
	switch {
	case batch && len(all) > 0:
		return encode(all)
	case len(all) > 0:
		return encode(all[0])
	}
	first := slices.IndexFunc(p.denied, func(d denial) bool { return d.why != "" })
	return encode(newReply("", p.denied[first]))
}

// answer refuses by the rules. Clients show their user an error that comes as an
// answer to the call; where a scope would help, 403 has them ask for it; and
// those that read no answer here (HTTP+SSE, notifications) get a status.
func (p *Pass) answer(batch bool) *Refusal {
	first := p.denied[slices.IndexFunc(p.denied, func(d denial) bool { return d.why != "" })]
	r := &Refusal{Status: http.StatusOK, Kind: first.why, Text: first.text, Body: p.replies(batch)}
	if needs := p.wanting(); len(needs) > 0 {
		r.Status, r.Challenge = http.StatusForbidden, p.challenge(needs)
		return r
	}
	for _, d := range p.denied {
		r.RetryAfter = max(r.RetryAfter, d.wait)
	}
	if !p.reads {
		r.Status = http.StatusForbidden
		if r.RetryAfter > 0 {
			r.Status = http.StatusTooManyRequests
		}
	}
	return r
}

// wanting are the scopes that would help, when all that was refused lacks
// nothing but scopes that the person would be given.
func (p *Pass) wanting() (scopes []string) {
	for _, d := range p.denied {
		switch {
		case d.why == "":
		case d.needs == "" || p.visit.Verdict.Principal == nil || !p.gate.opt.Grantable(p.visit, d.needs):
			return nil
		default:
			scopes = append(scopes, d.needs)
		}
	}
	return scopes
}

// challenge names all scopes that the request needs, those that the caller has
// included: a client asks for exactly what it reads here (RFC 6750; MCP, Scope
// Challenge Handling).
func (p *Pass) challenge(needs []string) string {
	v := p.visit
	scopes := slices.Clone(v.Verdict.Principal.Scopes)
	for _, scope := range needs {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	endpoint := strings.TrimSuffix(v.Host.Proxy.ResourceEndpoint, "/")
	return `Bearer error="insufficient_scope", error_description="this tool needs more than your client asked for", resource_metadata="` +
		v.Origin + "/.well-known/oauth-protected-resource" + endpoint + `", scope="` + strings.Join(scopes, " ") + `"`
}
