package mcptest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

func transportChecks() []check {
	return []check{
		{id: "transport.redirect", category: Transport, level: Should, ref: refSending(), closed: true,
			text: "The endpoint answers itself and redirects nobody", run: checkRedirect},
		{id: "transport.content-type", category: Transport, level: Must, ref: refSending(),
			text: "A request is answered as application/json or text/event-stream", run: checkContentType},
		{id: "transport.stream-ends", category: Transport, level: Should, ref: refReceiving(),
			text: "After the response the stream ends", run: checkStreamEnds},
		{id: "transport.accept", category: Transport, level: Should, ref: rfc("9110", "12.5.1", "Accept"),
			text: "Who accepts JSON alone gets no event stream", run: checkAccept},
		{id: "transport.request-type", category: Transport, level: Should, ref: rfc("9110", "15.5.16", "415 Unsupported Media Type"),
			text: "A body of another Content-Type is refused", run: checkRequestType},
		{id: "transport.get", category: Transport, level: Must, ref: refListening(), before: sessionless,
			text: "GET opens an event stream, or is answered with 405", run: checkGet},
		{id: "transport.get-accept", category: Transport, level: Should, ref: refListening(), before: sessionless,
			text: "GET of who accepts no event stream is refused", run: checkGetAccept},
		{id: "transport.get-gone", category: Transport, level: Should, ref: refListening(), since: sessionless,
			text: "GET is answered with 405, or refused where older versions are spoken too", run: checkGone(http.MethodGet)},
		{id: "transport.delete-gone", category: Transport, level: Should, ref: refListening(), since: sessionless,
			text: "DELETE is answered with 405, or refused where older versions are spoken too", run: checkGone(http.MethodDelete)},
		{id: "transport.method", category: Transport, level: Must, ref: rfc("9110", "15.5.6", "405 Method Not Allowed"),
			text: "Other methods are refused, a 405 with the header Allow", run: checkMethod},
		{id: "transport.version-header", category: Transport, level: Must, ref: refVersionHeader(), since: v2506, before: sessionless,
			text: "An invalid MCP-Protocol-Version is refused with 400", run: checkVersionHeader},
		{id: "transport.version-absent", category: Transport, level: Should, ref: refVersionHeader(), since: v2506, before: sessionless,
			text: "Without MCP-Protocol-Version a request is served by the version that was agreed", run: checkVersionAbsent},
		{id: "transport.response-posted", category: Transport, level: Must, ref: refSending(), before: sessionless,
			text: "A response that nobody asked for is answered with 202 and no body, or an error status", run: checkResponsePosted},
		{id: "transport.priming", category: Transport, level: Should, ref: refSending(), since: v2511, before: sessionless,
			text: "An event stream begins with an id and empty data", run: checkPriming},
		{id: "transport.resume", category: Transport, level: Must, ref: refResume(), before: sessionless,
			text: "Resuming a stream by Last-Event-ID replays that stream and no other", run: checkResume},
		{id: "transport.version-mismatch", category: Transport, level: Must, ref: refVersionHeader(), since: sessionless,
			text: "MCP-Protocol-Version other than in _meta is refused with 400 and error -32020", run: mismatch(header{"MCP-Protocol-Version", v2511}, false)},
		{id: "transport.method-mismatch", category: Transport, level: Must, ref: refHeaders(), since: sessionless,
			text: "Mcp-Method other than the body's method is refused with 400 and error -32020", run: mismatch(header{"Mcp-Method", "prompts/list"}, false)},
		{id: "transport.method-missing", category: Transport, level: Must, ref: refHeaders(), since: sessionless,
			text: "A request without Mcp-Method is refused with 400 and error -32020", run: mismatch(header{"Mcp-Method", ""}, false)},
		{id: "transport.name-mismatch", category: Transport, level: Must, ref: refHeaders(), since: sessionless,
			text: "Mcp-Name other than the body's name is refused with 400 and error -32020", run: mismatch(header{"Mcp-Name", "gatehouse-other-tool"}, true)},
		{id: "transport.name-missing", category: Transport, level: Must, ref: refHeaders(), since: sessionless,
			text: "A call without Mcp-Name is refused with 400 and error -32020", run: mismatch(header{"Mcp-Name", ""}, true)},
		{id: "transport.buffering", category: Transport, level: Should, ref: refReceiving(), since: sessionless,
			text: "An event stream says X-Accel-Buffering: no", run: checkBuffering},
	}
}

func checkRedirect(_ context.Context, r *run) outcome {
	if r.first.status >= 300 && r.first.status < 400 {
		return breaks("status %d to %s", r.first.status, quote(r.first.header.Get("Location")))
	}
	return pass("")
}

func checkContentType(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	got, _ := r.peer.call(ctx, method, in)
	if got.good() && got.media != "application/json" && got.media != "text/event-stream" {
		return breaks("%s is answered as %s", method, quote(got.media))
	}
	return pass("%s", got.media)
}

// stream is a whole answer to a request, as far as it is an event stream.
func (r *run) stream(ctx context.Context) (*answer, outcome) {
	method, in := r.harmless()
	a := r.peer.request(method, in)
	a.enough, a.wait = nil, 2*streamWait
	got := r.wire.send(ctx, a)
	if got.good() && got.media != "text/event-stream" {
		return nil, skip("the server answers in JSON")
	}
	return got, outcome{}
}

func checkStreamEnds(ctx context.Context, r *run) outcome {
	got, out := r.stream(ctx)
	if got == nil {
		return out
	}
	if !got.ended {
		return breaks("it stays open: %s", got.said())
	}
	return pass("after %s", got.took.Round(time.Millisecond))
}

func checkAccept(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	a := r.peer.request(method, in)
	a.headers = append(a.headers, header{"Accept", "application/json"})
	got := r.wire.send(ctx, a)
	if got.good() && got.media != "application/json" || got.status == 0 || got.status >= 500 {
		return breaks("status %d, %s", got.status, quote(got.media))
	}
	return pass("status %d", got.status)
}

func checkRequestType(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	a := r.peer.request(method, in)
	a.headers = append(a.headers, header{"Content-Type", "text/plain"})
	got := r.wire.send(ctx, a)
	if !got.refused() {
		return breaks("a form of a web page can send it: %s", got.said())
	}
	return pass("status %d", got.status)
}

func checkGet(ctx context.Context, r *run) outcome {
	got := r.wire.send(ctx, ask{method: http.MethodGet, headers: append(r.peer.usual(), header{"Accept", "text/event-stream"}), linger: r.opt.listen})
	switch {
	case got.status == http.StatusMethodNotAllowed:
		return pass("405")
	case got.status != http.StatusOK || got.media != "text/event-stream":
		return breaks("%s", got.said())
	}
	for _, m := range got.messages {
		if m.response() {
			return breaks("a response is sent on it")
		}
	}
	return pass("a stream")
}

func checkGetAccept(ctx context.Context, r *run) outcome {
	got := r.wire.send(ctx, ask{method: http.MethodGet, headers: append(r.peer.usual(), header{"Accept", "text/html"}), linger: r.opt.listen})
	if !got.refused() {
		return breaks("%s", got.said())
	}
	return pass("status %d", got.status)
}

func checkGone(method string) func(context.Context, *run) outcome {
	return func(ctx context.Context, r *run) outcome {
		got := r.wire.send(ctx, ask{method: method, headers: append(r.peer.usual(), header{"Accept", "text/event-stream"}), linger: r.opt.listen})
		both := slices.ContainsFunc(r.server.Supported, func(v string) bool { return v < sessionless })
		if got.status != http.StatusMethodNotAllowed && (!both || !got.refused()) {
			return breaks("%s", got.said())
		}
		return pass("status %d", got.status) // who speaks older versions too has more to look at
	}
}

func checkMethod(ctx context.Context, r *run) outcome {
	got := r.wire.send(ctx, ask{method: http.MethodPut, body: []byte("{}"), headers: append(r.peer.usual(), header{"Content-Type", "application/json"})})
	switch {
	case !got.refused() && got.status != http.StatusNotImplemented:
		return breaks("PUT: %s", got.said())
	case got.status == http.StatusMethodNotAllowed && got.header.Get("Allow") == "":
		return breaks("the header Allow is missing")
	}
	return pass("PUT: status %d", got.status)
}

func checkVersionHeader(ctx context.Context, r *run) outcome {
	for _, version := range []string{"1999-12-31", "no-version"} {
		a := r.peer.request("ping", nil)
		a.headers = append(a.headers, header{"MCP-Protocol-Version", version})
		if got := r.wire.send(ctx, a); got.status != http.StatusBadRequest {
			return breaks("%s: %s", version, got.said())
		}
	}
	return pass("")
}

func checkVersionAbsent(ctx context.Context, r *run) outcome {
	a := r.peer.request("ping", nil)
	a.headers = append(a.headers, header{"MCP-Protocol-Version", ""})
	got, m := r.peer.send(ctx, a)
	if m == nil || m.result == nil {
		return breaks("%s", got.said())
	}
	return pass("")
}

func checkResponsePosted(ctx context.Context, r *run) outcome {
	got := r.wire.send(ctx, r.peer.post([]byte(`{"jsonrpc":"2.0","id":"gatehouse-never-asked","result":{}}`)))
	if got.refused() || got.status == http.StatusAccepted && len(got.body) == 0 && len(got.messages) == 0 {
		return pass("status %d", got.status)
	}
	return breaks("%s", got.said())
}

func checkPriming(ctx context.Context, r *run) outcome {
	got, out := r.stream(ctx)
	switch {
	case got == nil:
		return out
	case len(got.events) == 0 || !got.events[0].hasID || got.events[0].id == "" || strings.TrimSpace(got.events[0].data) != "":
		return breaks("its first event has no id, or data")
	}
	return pass("")
}

// checkResume asks for two things, and then for the first stream again.
func checkResume(ctx context.Context, r *run) outcome {
	first, out := r.stream(ctx)
	if first == nil {
		return out
	}
	if len(first.events) == 0 || !first.events[0].hasID || first.events[0].id == "" {
		return skip("events have no ids")
	}
	own := map[string]bool{}
	for _, m := range first.messages {
		own[string(compact(m.id))] = true
	}
	if second, out := r.stream(ctx); second == nil {
		return out
	}
	got := r.wire.send(ctx, ask{method: http.MethodGet, linger: r.opt.listen,
		headers: append(r.peer.usual(), header{"Accept", "text/event-stream"}, header{"Last-Event-ID", first.events[0].id})})
	if got.refused() {
		return pass("it is not offered: status %d", got.status)
	}
	for _, m := range got.messages {
		if m.response() && !own[string(compact(m.id))] {
			return breaks("the response to another request is replayed")
		}
	}
	return pass("%d event(s) are replayed", len(got.events))
}

// mismatch sends a request whose header says something else than its body.
func mismatch(h header, tool bool) func(context.Context, *run) outcome {
	return func(ctx context.Context, r *run) outcome {
		if !r.declares("tools") {
			return skip("the server has no tools")
		}
		a := r.peer.request("tools/list", nil)
		if tool {
			a = r.peer.request("tools/call", params{"name": "gatehouse-no-such-tool", "arguments": params{}})
		}
		a.headers = append(a.headers, h)
		got, m := r.peer.send(ctx, a)
		if m == nil {
			for i := range got.messages { // its id may be left out
				m = &got.messages[i]
			}
		}
		if m == nil || got.status != http.StatusBadRequest || !m.failure.is(codeHeaderMismatch) {
			return breaks("%s", got.said())
		}
		return pass("")
	}
}

func checkBuffering(ctx context.Context, r *run) outcome {
	if out := subscribe(ctx, r); out.status != Passed {
		return skip("no stream was opened")
	}
	a := r.peer.request("subscriptions/listen", params{"notifications": params{"toolsListChanged": true}})
	a.enough = func(message) bool { return true }
	if got := r.wire.send(ctx, a); got.header.Get("X-Accel-Buffering") != "no" {
		return breaks("it does not")
	}
	return pass("")
}
