package mcptest

import (
	"context"
	"net/http"
	"strings"
)

func securityChecks() []check {
	return []check{
		{id: "security.transport", category: Security, level: Must, ref: refSecureTransport(), closed: true,
			text: "The endpoint is reached by https, or is on this machine", run: checkTLS},
		{id: "security.origin-foreign", category: Security, level: Must, ref: refOrigin(), closed: true,
			text: "A request from a foreign web page (Origin) is refused with 403", run: checkOrigin("https://gatehouse-evil.example")},
		{id: "security.origin-lookalike", category: Security, level: Must, ref: refOrigin(), closed: true,
			text: "An Origin that only begins or ends like an allowed one is refused with 403", run: checkLookalikes},
		{id: "security.origin-null", category: Security, level: Should, ref: refOrigin(), closed: true,
			text: "The Origin null, which sandboxed pages have, is refused", run: checkOrigin("null")},
		{id: "security.origin-get", category: Security, level: Must, ref: refOrigin(), before: sessionless, closed: true,
			text: "The Origin of a GET is looked at too", run: checkOriginGet},
		{id: "security.cors", category: Security, level: Should, ref: refOrigin(), closed: true,
			text: "A foreign web page is not told that it may use the endpoint", run: checkCORS},
		{id: "security.host", category: Security, level: Should, ref: refOrigin(), closed: true,
			text: "On this machine a Host that is not its own is refused, against DNS rebinding", run: checkHost},
		{id: "security.session-no-token", category: Security, level: Must, ref: refHijacking(), before: sessionless,
			text: "A session id is no credential: without the token it is refused", run: checkSessionAlone},
		{id: "security.session-foreign", category: Security, level: Must, ref: refHijacking(), before: sessionless,
			text: "Another person's token does not get into a session", run: checkSessionForeign},
		{id: "security.session-foreign-end", category: Security, level: Must, ref: refHijacking(), before: sessionless,
			text: "Who has no token for a session can't end it", run: checkForeignEnd},
		{id: "security.deep-json", category: Security, level: Must, ref: tools("Security Considerations"),
			text: "Deeply nested JSON is answered or refused in order, and the server lives on", run: checkDeep},
		{id: "security.header-injection", category: Security, level: Must, ref: rfc("9110", "5.5", "Field Values"),
			text: "What a request says does not come back as a header of the answer", run: checkInjection},
	}
}

func checkTLS(_ context.Context, r *run) outcome {
	if r.url.Scheme != "https" && !loopback(r.url.Hostname()) {
		return breaks("it is reached by plain http")
	}
	return pass("%s", r.url.Scheme)
}

// fromOrigin sends a request as a web page of that origin would.
func (r *run) fromOrigin(ctx context.Context, origin string) *answer {
	p := r.peer
	if p == nil {
		p = &peer{wire: r.wire, version: r.version, ids: newIDs()}
	}
	method, in := r.harmless()
	a := p.request(method, in)
	a.headers = append(a.headers, header{"Origin", origin})
	return r.wire.send(ctx, a)
}

func (r *run) judgeOrigin(origin string, got *answer) outcome {
	switch {
	case got.status == http.StatusForbidden, r.version < v2511 && got.refused() && got.status != http.StatusUnauthorized:
		return pass("status %d", got.status)
	case got.status == http.StatusUnauthorized && r.peer == nil:
		return skip("nobody is let in without a token")
	}
	return breaks("%s: %s", origin, got.said())
}

func checkOrigin(origin string) func(context.Context, *run) outcome {
	return func(ctx context.Context, r *run) outcome { return r.judgeOrigin(origin, r.fromOrigin(ctx, origin)) }
}

func checkLookalikes(ctx context.Context, r *run) outcome {
	own := r.url.Scheme + "://" + r.url.Host
	last := outcome{status: Passed}
	for _, origin := range []string{own + ".gatehouse-evil.example", "https://gatehouse-evil.example/" + r.url.Host, "https://localhost.gatehouse-evil.example", "https://gatehouse-evil" + hostOf(r.url.Host)} {
		if strings.HasSuffix(strings.ToLower(hostOf(origin)), ".localhost") {
			continue // all of these are this machine
		}
		if last = r.judgeOrigin(origin, r.fromOrigin(ctx, origin)); last.status != Passed {
			return last
		}
	}
	return last
}

func checkOriginGet(ctx context.Context, r *run) outcome {
	a := ask{method: http.MethodGet, headers: []header{{"Accept", "text/event-stream"}, {"Origin", "https://gatehouse-evil.example"}}, linger: r.opt.listen}
	if r.peer != nil {
		a.headers = append(a.headers, r.peer.usual()...)
	}
	got := r.wire.send(ctx, a)
	if got.status == http.StatusMethodNotAllowed {
		return pass("GET is not offered")
	}
	return r.judgeOrigin("https://gatehouse-evil.example", got)
}

func checkCORS(ctx context.Context, r *run) outcome {
	const origin = "https://gatehouse-evil.example"
	got := r.wire.send(ctx, ask{method: http.MethodOptions, from: nobody,
		headers: []header{{"Origin", origin}, {"Access-Control-Request-Method", "POST"}, {"Access-Control-Request-Headers", "content-type"}}})
	allowed := got.header.Get("Access-Control-Allow-Origin")
	switch {
	case got.status == 0:
		return breaks("%s", got.said())
	case allowed == origin && got.header.Get("Access-Control-Allow-Credentials") == "true":
		return breaks("any origin is allowed, with credentials")
	case allowed == origin || allowed == "*":
		if refused := r.fromOrigin(ctx, origin); refused.status == http.StatusForbidden {
			return pass("the preflight allows it, the request is refused")
		}
		return breaks("Access-Control-Allow-Origin is %s", quote(allowed))
	}
	return pass("")
}

func checkHost(ctx context.Context, r *run) outcome {
	if !loopback(r.url.Hostname()) {
		return skip("the endpoint is not on this machine")
	}
	p := r.peer
	if p == nil {
		p = &peer{wire: r.wire, version: r.version, ids: newIDs()}
	}
	method, in := r.harmless()
	a := p.request(method, in)
	a.host, a.fresh = "gatehouse-evil.example", true
	got := r.wire.send(ctx, a)
	if got.good() {
		return breaks("it is served")
	}
	if got.status == 0 {
		return pass("the connection is closed")
	}
	return pass("status %d", got.status)
}

func checkSessionAlone(ctx context.Context, r *run) outcome {
	if r.peer.session == "" || r.opt.Token == "" {
		return skip("there are no sessions, or no token is needed")
	}
	a := r.peer.request("ping", nil)
	a.from = nobody
	if got := r.wire.send(ctx, a); got.status != http.StatusUnauthorized {
		if got.good() && r.isOpen(ctx) {
			return skip("no token is needed here")
		}
		return breaks("%s", got.said())
	}
	return pass("")
}

// isOpen reports whether anybody is served without a token.
func (r *run) isOpen(ctx context.Context) bool { return r.signIn(ctx).open }

func checkSessionForeign(ctx context.Context, r *run) outcome {
	if r.peer.session == "" || r.opt.Other == "" {
		return skip("give another person's token with --other-token-file to try")
	}
	a := r.peer.request("tools/list", nil)
	a.from = stranger
	if got := r.wire.send(ctx, a); !got.refused() {
		return breaks("%s", got.said())
	}
	return pass("")
}

func checkForeignEnd(ctx context.Context, r *run) outcome {
	if r.peer.session == "" || r.opt.Token == "" || r.isOpen(ctx) {
		return skip("there are no sessions, or no token is needed")
	}
	a := ask{method: http.MethodDelete, headers: r.peer.usual(), from: nobody}
	if r.opt.Other != "" {
		a.from = stranger
	}
	r.wire.send(ctx, a)
	if got, m := r.peer.call(ctx, "ping", nil); m == nil || m.result == nil {
		return breaks("afterwards the session answers %s", got.said())
	}
	return pass("")
}

func checkDeep(ctx context.Context, r *run) outcome {
	const levels = 20000
	deep := strings.Repeat("[", levels) + strings.Repeat("]", levels)
	a := r.peer.request("tools/call", params{"name": "gatehouse-no-such-tool"})
	a.body = []byte(strings.Replace(string(a.body), `"name":`, `"arguments":`+deep+`,"name":`, 1))
	a.enough = func(m message) bool { return m.response() }
	got, m := r.peer.send(ctx, a)
	if got.status == 0 || got.status >= 500 || m != nil && m.result != nil && string(member(m.result, "isError")) != "true" {
		return breaks("%s", got.said())
	}
	method, in := r.harmless()
	if after, m := r.peer.call(ctx, method, in); m == nil || m.result == nil {
		return breaks("afterwards the server answers %s", after.said())
	}
	return pass("status %d", got.status)
}

func checkInjection(ctx context.Context, r *run) outcome {
	a := r.peer.requestAs([]byte(`"x\r\nX-Gatehouse-Injected: 1"`), "gatehouse/no\r\nX-Gatehouse-Injected: 1", params{})
	a.headers = append(a.headers, header{"Mcp-Method", "gatehouse/no"})
	a.enough = func(m message) bool { return m.response() }
	if got := r.wire.send(ctx, a); got.header.Get("X-Gatehouse-Injected") != "" {
		return breaks("it does")
	}
	return pass("")
}
