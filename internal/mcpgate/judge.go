package mcpgate

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// denial is why a message was not carried out.
type denial struct {
	why   string // for the log; empty: another message of the batch was refused
	text  string // for the client
	code  int
	needs string        // a scope that would help
	wait  time.Duration // until it may be tried again
}

// judge reads the request's body and holds it against the rules.
func (p *Pass) judge(q Request) (*Refusal, error) {
	if r := p.readable(q.HTTP); r != nil {
		return r, nil
	}
	if q.HTTP.ContentLength > MaxBody {
		return p.tooLarge(), nil
	}
	end := q.Patience()
	body, err := p.read(q.Body, q.HTTP.ContentLength)
	end()
	switch {
	case errors.Is(err, errNoRoom):
		return plain(http.StatusServiceUnavailable, codeBusy, "busy", "Too many messages are being judged; try again in a second.", time.Second), nil
	case err != nil:
		return nil, err
	case len(body) > MaxBody:
		return p.tooLarge(), nil
	}
	p.body, p.judged = body, true
	payload, err := Parse(body)
	if err != nil {
		if !p.mcp && !mayBeJSON(body) {
			return nil, nil // no message: it goes where it was sent
		}
		return plain(http.StatusBadRequest, codeParse, "mcp_malformed", "This is "+err.Error()+".", 0), nil
	}
	return p.messagesOf(payload, q.HTTP.Header), nil
}

// pieceSize is how much room a body takes at first, in bytes, whatever its head
// says: who sends slowly keeps little from others.
const pieceSize = 16 << 10

// read reads a body whole, of MaxBody bytes at most and one more. It takes room
// from the gate as the body comes.
func (p *Pass) read(from io.Reader, announced int64) ([]byte, error) {
	first := int64(pieceSize)
	if announced >= 0 {
		first = min(first, announced+1) // one more, to see the end
	}
	var body []byte
	for {
		if len(body) == cap(body) {
			grown := max(first, min(2*int64(cap(body)), MaxBody+1))
			more := grown - int64(cap(body))
			if !p.gate.hold(more) {
				return nil, errNoRoom
			}
			p.size += more
			body = append(make([]byte, 0, grown), body...)
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF), len(body) > MaxBody:
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// messagesOf judges what was read.
func (p *Pass) messagesOf(payload Payload, h http.Header) *Refusal {
	for _, m := range payload.Messages {
		switch {
		case m.Method == "" && !m.Reply && p.mcp:
			return plain(http.StatusBadRequest, codeInvalid, "mcp_malformed", "This is no JSON-RPC message: it has no method.", 0)
		case m.Method == methodCall && m.Tool == "":
			return plain(http.StatusBadRequest, codeParams, "mcp_malformed", "A tools/call names its tool in params.name.", 0)
		}
	}
	p.messages = payload.Messages
	if why := disagree(h, payload); why != "" {
		return p.answerAll(http.StatusBadRequest, payload.Batch, denial{why: "header_mismatch", code: codeMismatch, text: why})
	}
	if r := p.pinned(payload); r != nil {
		return r
	}
	if p.rules == nil {
		return nil
	}
	return p.apply(payload.Batch)
}

// readable refuses bodies that could be read as something else than their bytes.
func (p *Pass) readable(r *http.Request) *Refusal {
	if e := r.Header["Content-Encoding"]; len(e) > 1 || (len(e) == 1 && !strings.EqualFold(e[0], "identity")) {
		return plain(http.StatusBadRequest, codeInvalid, "mcp_encoded", "Messages to this host must not have a Content-Encoding.", 0)
	}
	kinds := r.Header["Content-Type"]
	_, params, err := mime.ParseMediaType(strings.Join(kinds, ","))
	if charset := params["charset"]; len(kinds) > 1 || (len(kinds) == 1 && err != nil) || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		return plain(http.StatusBadRequest, codeInvalid, "mcp_encoded", "Messages to this host are UTF-8, and their Content-Type says nothing else.", 0)
	}
	return nil
}

// mayBeJSON reports whether a body that could not be read may be a message to
// somebody who reads more than Parse does.
func mayBeJSON(b []byte) bool {
	first := strings.TrimLeft(string(b[:min(len(b), 256)]), " \t\r\n\v\f\x00")
	return first == "" && len(b) > 0 || first != "" && (first[0] == '{' || first[0] == '[' || suspicious([]byte(first)))
}

func (p *Pass) tooLarge() *Refusal {
	return plain(http.StatusRequestEntityTooLarge, codeInvalid, "too_large", fmt.Sprintf("The message is larger than %d MiB, which this host takes at most.", MaxBody>>20), 0)
}

// disagree is what headers say otherwise than the message (2026-07-28, Transports,
// Standard Request Headers); empty where they agree.
func disagree(h http.Header, payload Payload) string {
	if !modern(h) && payload.Messages[0].Version == "" {
		return ""
	}
	for _, name := range []string{"Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name"} {
		if len(h[name]) > 1 {
			return "the header " + name + " stands there more than once"
		}
	}
	if payload.Batch {
		return "headers speak of one message, and the body is a batch"
	}
	m := payload.Messages[0]
	method, name, version := h.Get("Mcp-Method"), h.Get("Mcp-Name"), h.Get("Mcp-Protocol-Version")
	about := m.Name
	if m.Method == "resources/read" {
		about = m.URI
	}
	strictly := version >= stateless || m.Version != ""
	switch {
	case m.Version != "" && m.Version != version:
		return "the header MCP-Protocol-Version is not the version in the message's _meta"
	case m.Reply || m.Method == "":
	case method == "" && strictly:
		return "the header Mcp-Method is missing"
	case method != "" && method != m.Method:
		return "the header Mcp-Method is not the message's method"
	case name == "" && strictly && named(m.Method):
		return "the header Mcp-Name is missing"
	case name != "" && decoded(name) != about:
		return "the header Mcp-Name is not the name in the message"
	}
	return ""
}

func named(method string) bool {
	return method == methodCall || method == "resources/read" || method == "prompts/get"
}

// decoded is a header's value, which may be wrapped for what headers can't hold.
func decoded(value string) string {
	inner, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return value
	}
	if inner, ok = strings.CutSuffix(inner, "?="); !ok {
		return value
	}
	b, err := base64.StdEncoding.DecodeString(inner)
	if err != nil {
		return value // which no name is
	}
	return string(b)
}

// apply holds each call against the rules. One that is refused stops the whole
// batch: what was asked together is not done by halves.
func (p *Pass) apply(batch bool) *Refusal {
	denials := make([]denial, len(p.messages))
	refused := false
	for i, m := range p.messages {
		if m.Method != methodCall {
			continue
		}
		denials[i] = p.call(m.Tool)
		refused = refused || denials[i].why != ""
	}
	if !refused {
		return nil
	}
	p.denied = denials
	return p.answer(batch)
}

// call decides on one call.
func (p *Pass) call(tool string) denial {
	who := p.visit.Verdict.Principal
	d := p.rules.of(who, tool)
	switch {
	case d.needs != "":
		return denial{why: d.why, code: codeDenied, needs: d.needs, text: "the tool " + tool + " needs the scope " + d.needs}
	case !d.allowed:
		return denial{why: d.why, code: codeDenied, text: "the tool " + tool + " is not open to you on this host"}
	case d.rule == nil || d.rule.calls == 0:
		return denial{}
	}
	key := rateKey{host: p.rules.host, rate: d.rule.Rate, tool: tool, who: p.visit.Client.String()}
	if who != nil {
		key.who = who.Subject
	}
	if wait := p.gate.rates.take(key, d.rule.calls, d.rule.per, time.Now()); wait > 0 {
		return denial{why: "rate_exceeded", code: codeRate, wait: wait, text: fmt.Sprintf("the tool %s takes %s from each of its users", tool, d.rule.Rate)}
	}
	return denial{}
}
