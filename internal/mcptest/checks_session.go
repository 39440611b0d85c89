package mcptest

import (
	"context"
	"math"
	"net/http"
	"time"
)

// samples is how many ids are drawn to judge how they are made.
const samples = 8

func sessionChecks() []check {
	return []check{
		{id: "session.id-visible-ascii", category: SessionBasic, level: Must, ref: refSessions(), before: sessionless,
			text: "A session id has visible ASCII characters only (0x21 to 0x7E)", run: checkIDCharacters},
		{id: "session.id-unique", category: SessionBasic, level: Should, ref: refSessions(), before: sessionless,
			text: "Session ids are globally unique", run: checkIDUnique},
		{id: "session.id-entropy", category: SessionBasic, level: Should, ref: refSessions(), before: sessionless,
			text: "Session ids are cryptographically secure: they vary by 64 bits and more", run: checkIDEntropy},
		{id: "session.id-required", category: SessionBasic, level: Should, ref: refSessions(), before: sessionless,
			text: "Where sessions are used, a request without an id is refused with 400", run: checkIDRequired},
		{id: "session.initialized", category: SessionBasic, level: Must, ref: refSending(), before: sessionless,
			text: "notifications/initialized is answered with 202 and no body", run: checkInitialized},
		{id: "session.ping", category: SessionBasic, level: Must, ref: refPing(), before: sessionless,
			text: "ping is answered promptly with an empty result", run: checkPing},
		{id: "session.state", category: SessionBasic, level: Must, ref: refSessions(), before: sessionless,
			text: "A session goes on over later requests and other connections", run: checkState},
		{id: "session.header-case", category: SessionBasic, level: Must, ref: rfc("9110", "5.1", "Field Names"), before: sessionless,
			text: "The names of headers are taken in any case", run: checkHeaderCase},
		{id: "session.none", category: SessionBasic, level: Should, ref: refSessions(), since: sessionless,
			text: "No session id is given or sent back", run: checkNoSession},
		{id: "session.ignored", category: SessionBasic, level: Should, ref: refSessions(), since: sessionless,
			text: "An Mcp-Session-Id on a request is ignored", run: checkSessionIgnored},
		{id: "session.stateless", category: SessionBasic, level: Must, ref: refStateless(), since: sessionless,
			text: "A request needs none before it on its connection", run: checkStateless},
	}
}

// ids begins sessions and gives their ids.
func (r *run) ids(ctx context.Context, n int) ([]string, outcome) {
	if r.peer.session == "" {
		return nil, skip("the server gives no session ids")
	}
	ids := []string{r.peer.session}
	for len(ids) < n {
		p, got, _ := r.wire.initialize(ctx, r.version, owner)
		if p == nil {
			return nil, breaks("a session could not be begun: %s", got.said())
		}
		ids = append(ids, p.session)
		p.version = r.version
		p.end(ctx) // as soon as it is known: servers bound what one client has
	}
	return ids, outcome{}
}

func checkIDCharacters(_ context.Context, r *run) outcome {
	if r.peer.session == "" {
		if len(r.first.header.Values("Mcp-Session-Id")) > 0 {
			return breaks("the header is there and empty")
		}
		return skip("the server gives no session ids")
	}
	for i := range len(r.peer.session) {
		if c := r.peer.session[i]; c < 0x21 || c > 0x7e {
			return breaks("it holds the byte 0x%02x", c)
		}
	}
	return pass("%d characters", len(r.peer.session))
}

func checkIDUnique(ctx context.Context, r *run) outcome {
	ids, out := r.ids(ctx, 3)
	if ids == nil {
		return out
	}
	if ids[0] == ids[1] || ids[1] == ids[2] || ids[0] == ids[2] {
		return breaks("two sessions have the same id")
	}
	return pass("")
}

func checkIDEntropy(ctx context.Context, r *run) outcome {
	ids, out := r.ids(ctx, samples)
	if ids == nil {
		return out
	}
	bits := varied(ids)
	if bits < 64 {
		return breaks("%d ids vary by about %.0f bits", samples, bits)
	}
	return pass("%d ids vary by about %.0f bits", samples, bits)
}

// varied estimates from samples by how many bits ids differ: each place that takes
// several values counts with the size of the alphabet that it seems to be from.
// It can show that ids are bad, not that they are good.
func varied(ids []string) float64 {
	shortest := len(ids[0])
	for _, id := range ids {
		shortest = min(shortest, len(id))
	}
	bits := 0.0
	for i := range shortest {
		values := map[byte]bool{}
		size := 10.0
		for _, id := range ids {
			c := id[i]
			values[c] = true
			switch {
			case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
				size = max(size, 16)
			case c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z':
				size = max(size, 32)
			}
		}
		if len(values) > len(ids)/4 { // a counter changes its last places only
			bits += math.Log2(size)
		}
	}
	return bits
}

func checkIDRequired(ctx context.Context, r *run) outcome {
	if r.peer.session == "" {
		return skip("the server gives no session ids")
	}
	bare := *r.peer
	bare.session = ""
	got, m := bare.call(ctx, "tools/list", nil)
	switch {
	case m != nil && m.result != nil:
		return breaks("it is served")
	case got.status != http.StatusBadRequest:
		return breaks("%s", got.said())
	}
	return pass("")
}

func checkInitialized(ctx context.Context, r *run) outcome {
	got := r.peer.notify(ctx, "notifications/initialized", nil)
	if got.status != http.StatusAccepted || len(got.body) > 0 || len(got.messages) > 0 {
		return breaks("%s", got.said())
	}
	return pass("")
}

func checkPing(ctx context.Context, r *run) outcome {
	got, m := r.peer.call(ctx, "ping", nil)
	if m == nil || !isObject(m.result) {
		return breaks("%s", got.said())
	}
	if got.took > streamWait {
		return warn("it took %s", got.took.Round(time.Millisecond))
	}
	return pass("")
}

func checkState(ctx context.Context, r *run) outcome {
	if r.peer.session == "" {
		return skip("the server gives no session ids")
	}
	for range 2 {
		a := r.peer.request("ping", nil)
		a.fresh = true
		if got, m := r.peer.send(ctx, a); m == nil || m.result == nil {
			return breaks("on another connection: %s", got.said())
		}
	}
	return pass("")
}

func checkHeaderCase(ctx context.Context, r *run) outcome {
	a := r.peer.request("ping", nil)
	a.fresh = true
	a.headers = []header{{"content-type", "application/json"}, {"ACCEPT", "application/json, text/event-stream"}}
	if r.version >= v2506 {
		a.headers = append(a.headers, header{"mcp-PROTOCOL-version", r.version})
	}
	if r.peer.session != "" {
		a.headers = append(a.headers, header{"mCP-sESSION-iD", r.peer.session})
	}
	if got, m := r.peer.send(ctx, a); m == nil || m.result == nil {
		return breaks("%s", got.said())
	}
	return pass("")
}

func checkNoSession(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	got, _ := r.peer.call(ctx, method, in)
	if got.header.Get("Mcp-Session-Id") != "" || r.first.header.Get("Mcp-Session-Id") != "" {
		return breaks("an answer has the header Mcp-Session-Id")
	}
	return pass("")
}

func checkSessionIgnored(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	a := r.peer.request(method, in)
	a.headers = append(a.headers, header{"Mcp-Session-Id", "gatehouse-no-such-session"})
	got, m := r.peer.send(ctx, a)
	switch {
	case m == nil || m.result == nil:
		return breaks("%s", got.said())
	case got.header.Get("Mcp-Session-Id") != "":
		return breaks("it comes back")
	}
	return pass("")
}

func checkStateless(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	for range 2 {
		a := r.peer.request(method, in)
		a.fresh = true
		if got, m := r.peer.send(ctx, a); m == nil || m.result == nil {
			return breaks("on a new connection: %s", got.said())
		}
	}
	return pass("")
}

// another is a second session, where there are any.
// ended is a session that was ended; nil where that is not possible.
// checkSameIDs has several clients ask different things under the same ids.
