package mcptest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"gatehouse/internal/fault"
)

// peer is one client's view of the server: a session, where the version has them.
type peer struct {
	wire    *wire
	version string
	session string // its id; empty: the server gave none
	ids     *atomic.Int64
}

// greeting is what a server says of itself.
type greeting struct {
	Version      string          `json:"protocolVersion"`
	Supported    []string        `json:"supportedVersions"`
	Capabilities json.RawMessage `json:"capabilities"`
	Info         json.RawMessage `json:"serverInfo"`
	raw          json.RawMessage
}

type params map[string]any

const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaClient       = "io.modelcontextprotocol/clientInfo"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaServer       = "io.modelcontextprotocol/serverInfo"
)

func clientInfo() params { return params{"name": "gatehouse-mcp-test", "version": "1"} }

func (p *peer) modern() bool { return p.version >= sessionless }

// next is an id that this peer has not used.
func (p *peer) next() json.RawMessage { return json.RawMessage(strconv.FormatInt(p.ids.Add(1), 10)) }

// request is the ask for a method, as a client of the version would send it.
func (p *peer) request(method string, in params) ask { return p.requestAs(p.next(), method, in) }

func (p *peer) requestAs(id json.RawMessage, method string, in params) ask {
	body := params{"jsonrpc": "2.0", "method": method}
	if id != nil {
		body["id"] = id
	}
	in = p.withMeta(in)
	if len(in) > 0 {
		body["params"] = in
	}
	raw, err := json.Marshal(body)
	if err != nil {
		panic("mcptest: " + err.Error()) // our own values
	}
	a := p.post(raw)
	if p.modern() {
		a.headers = append(a.headers, header{"Mcp-Method", method})
		for _, field := range []string{"name", "uri"} {
			if name, ok := in[field].(string); ok && (method == "tools/call" || method == "prompts/get" || method == "resources/read") {
				a.headers = append(a.headers, header{"Mcp-Name", headerValue(name)})
			}
		}
	}
	if id != nil {
		a.enough = func(m message) bool { return m.answers(id) }
	}
	return a
}

// headerValue is a value as a header can carry it (Streamable HTTP, Value Encoding).
func headerValue(s string) string {
	plain := !strings.HasPrefix(s, "=?base64?") && strings.TrimSpace(s) == s
	for i := range len(s) {
		plain = plain && s[i] >= ' ' && s[i] <= '~'
	}
	if plain {
		return s
	}
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?="
}

func (p *peer) withMeta(in params) params {
	if !p.modern() {
		return in
	}
	out := params{"_meta": params{metaVersion: p.version, metaClient: clientInfo(), metaCapabilities: params{}}}
	maps.Copy(out, in)
	return out
}

// post is a POST of a body with the headers that the version wants.
func (p *peer) post(body []byte) ask {
	return ask{body: body, headers: append([]header{{"Content-Type", "application/json"}, {"Accept", "application/json, text/event-stream"}}, p.usual()...)}
}

// usual are the headers of all requests after the first.
func (p *peer) usual() []header {
	var all []header
	if p.version >= v2506 {
		all = append(all, header{"MCP-Protocol-Version", p.version})
	}
	if p.session != "" {
		all = append(all, header{"Mcp-Session-Id", p.session})
	}
	return all
}

// call sends a request and gives its answer with the response to it; nil when
// there was none.
func (p *peer) call(ctx context.Context, method string, in params) (*answer, *message) {
	return p.send(ctx, p.request(method, in))
}

func (p *peer) send(ctx context.Context, a ask) (*answer, *message) {
	got := p.wire.send(ctx, a)
	return got, got.reply()
}

// reply is the response to what was asked; nil when there was none.
func (a *answer) reply() *message {
	for i := range a.messages {
		if a.asked.enough != nil && a.asked.enough(a.messages[i]) {
			return &a.messages[i]
		}
	}
	return nil
}

// notify sends a notification.
func (p *peer) notify(ctx context.Context, method string, in params) *answer {
	return p.wire.send(ctx, p.requestAs(nil, method, in))
}

// initialize begins a session of an older version. p is nil when it did not come to one.
func (w *wire) initialize(ctx context.Context, version string, from who) (*peer, *answer, greeting) {
	p := &peer{wire: w, ids: newIDs()}
	a := p.request("initialize", params{"protocolVersion": version, "capabilities": params{}, "clientInfo": clientInfo()})
	a.from = from
	got, m := p.send(ctx, a)
	var g greeting
	if m == nil || !m.into(&g) || !got.good() {
		return nil, got, g
	}
	g.raw, p.version, p.session = m.result, g.Version, got.header.Get("Mcp-Session-Id")
	return p, got, g
}

// discover asks a server of the version without sessions what it is.
func (w *wire) discover(ctx context.Context, version string) (*peer, *answer, greeting) {
	p := &peer{wire: w, version: version, ids: newIDs()}
	got, m := p.call(ctx, "server/discover", nil)
	var g greeting
	if m == nil || !m.into(&g) || !got.good() {
		return nil, got, g
	}
	g.raw = m.result
	return p, got, g
}

// begin is a session that has begun, as clients begin one; nil and why not.
func (r *run) begin(ctx context.Context) (*peer, string) {
	p, why := r.beginAlone(ctx)
	if p != nil && p.session != "" {
		r.opened = append(r.opened, p)
	}
	return p, why
}

// beginAlone is begin of a session that the caller ends.
func (r *run) beginAlone(ctx context.Context) (*peer, string) {
	if r.modern() {
		return &peer{wire: r.wire, version: r.version, ids: newIDs()}, ""
	}
	p, got, _ := r.wire.initialize(ctx, r.version, owner)
	if p == nil {
		return nil, "a new session could not be begun: " + got.said()
	}
	if got := p.notify(ctx, "notifications/initialized", nil); !got.good() {
		return nil, "notifications/initialized was refused: " + got.said()
	}
	return p, ""
}

// end ends a session.
func (p *peer) end(ctx context.Context) *answer {
	return p.wire.send(ctx, ask{method: http.MethodDelete, headers: p.usual()})
}

// open finds the version to speak and begins the session that most checks use. Its
// error says why no test is possible; that the endpoint lets nobody in is none.
func (r *run) open(ctx context.Context) error {
	r.version = r.opt.Protocol
	if r.version == "" || r.version == sessionless {
		p, got, g := r.wire.discover(ctx, sessionless)
		r.first = got
		switch {
		case p != nil && slices.Contains(g.Supported, sessionless):
			r.welcome(p, g)
			return nil
		case r.version != "" || got.status == 0 || shut(got):
			return r.turnedAway(got)
		}
	}
	asked := r.version
	if asked == "" {
		asked = v2511
	}
	p, got, g := r.wire.initialize(ctx, asked, owner)
	r.first = got
	switch {
	case p == nil:
		r.version = asked
		return r.turnedAway(got)
	case r.opt.Protocol != "" && p.version != asked:
		return fault.New(fault.Unavailable, "the server does not speak %s: it answers %s", asked, quote(p.version))
	case !slices.Contains(Versions(), p.version):
		return fault.New(fault.Unavailable, "the server answers a protocol version that this tester does not know: %s", quote(p.version))
	}
	r.welcome(p, g)
	if p.session != "" {
		r.opened = append(r.opened, p)
	}
	return nil
}

// shut reports an answer that lets nobody in.
func shut(a *answer) bool {
	return a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
}

func (r *run) welcome(p *peer, g greeting) {
	r.peer, r.server, r.version = p, g, p.version
	r.report.Protocol = p.version
	var info, meta struct{ Name, Version string }
	_ = json.Unmarshal(g.Info, &info)
	_ = json.Unmarshal(member(member(g.raw, "_meta"), metaServer), &meta)
	if info.Name == "" {
		info = meta
	}
	if info.Name != "" {
		r.report.Server = quote(info.Name + " " + info.Version)
	}
}

// turnedAway notes why nobody was let in, or fails where nothing can be tested.
func (r *run) turnedAway(got *answer) error {
	if r.version == "" {
		r.version = v2511
	}
	switch {
	case got.status == 0:
		return fault.New(fault.Unavailable, "%s can't be reached: %v", r.url.Redacted(), got.err)
	case shut(got):
		r.report.SignIn = true
		r.shut = fmt.Sprintf("the endpoint lets nobody in without a token for it (status %d)", got.status)
		if r.opt.Token != "" {
			r.shut = fmt.Sprintf("the endpoint does not take this token (status %d)", got.status)
		}
		return nil
	case got.status >= 300 && got.status < 400:
		return fault.New(fault.Unavailable, "%s redirects to %s, and no test follows: name that URL if it is meant", r.url.Redacted(), quote(got.header.Get("Location")))
	case r.opt.Protocol != "" && got.status == http.StatusBadRequest:
		return fault.New(fault.Unavailable, "the server does not speak %s over Streamable HTTP: %s", r.version, scrub(got.said(), r.opt.Token))
	}
	return fault.New(fault.Unavailable, "this is no MCP server that speaks Streamable HTTP: %s", scrub(got.said(), r.opt.Token))
}

// close ends the sessions that the run began.
func (r *run) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), streamWait)
	defer cancel()
	for _, p := range r.opened {
		p.end(ctx)
	}
}

func newIDs() *atomic.Int64 { return new(atomic.Int64) }
