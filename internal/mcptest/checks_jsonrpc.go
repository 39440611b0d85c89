package mcptest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

func (r *run) harmless() (string, params) {
	switch {
	case !r.modern():
		return "ping", nil
	case r.declares("tools"):
		return "tools/list", nil
	}
	return "server/discover", nil
}

func checkID(id string) func(context.Context, *run) outcome {
	return func(ctx context.Context, r *run) outcome { return r.echoes(ctx, id) }
}

func (r *run) echoes(ctx context.Context, id string) outcome {
	method, in := r.harmless()
	a := r.peer.requestAs(json.RawMessage(id), method, in)
	a.enough = func(m message) bool { return m.response() }
	got, m := r.peer.send(ctx, a)
	if m == nil {
		return breaks("id %s: %s", id, got.said())
	}
	if !m.answers(json.RawMessage(id)) {
		return breaks("id %s came back as %s", id, quote(string(m.id)))
	}
	return pass("")
}

func checkNumbers(ctx context.Context, r *run) outcome {
	for _, id := range []string{"0", "-5", "9007199254740991"} {
		if out := r.echoes(ctx, id); out.status != Passed {
			return out
		}
	}
	return pass("")
}

func checkNullID(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	a := r.peer.requestAs(json.RawMessage("null"), method, in)
	a.enough = func(m message) bool { return m.response() }
	got, m := r.peer.send(ctx, a)
	if m != nil && m.result != nil {
		return breaks("%s", got.said())
	}
	return pass("%s", got.said())
}

func checkUnknownMethod(ctx context.Context, r *run) outcome {
	got, m := r.peer.call(ctx, "gatehouse/no-such-method", params{})
	switch {
	case m == nil || m.failure == nil || !m.failure.is(codeUnknownMethod):
		return breaks("%s", got.said())
	case r.modern() && got.status != http.StatusNotFound:
		return breaks("the status is %d and must be 404", got.status)
	}
	return pass("")
}

func checkInvalidParams(ctx context.Context, r *run) outcome {
	if !r.declares("tools") {
		return skip("the server has no tools")
	}
	a := r.peer.request("tools/call", params{"name": "gatehouse-no-such-tool"})
	a.body = []byte(strings.Replace(string(a.body), `"name":"gatehouse-no-such-tool"`, `"name":{"not":"a string"}`, 1))
	a.headers = append(a.headers, header{"Mcp-Name", ""})
	got, m := r.peer.send(ctx, a)
	if m != nil && m.result != nil && string(member(m.result, "isError")) != "true" || m == nil && !got.refused() {
		return breaks("%s", got.said())
	}
	return pass("%s", got.said())
}

func checkBad(body, code string) func(context.Context, *run) outcome {
	return func(ctx context.Context, r *run) outcome {
		a := r.peer.post([]byte(body))
		a.headers = append(a.headers, header{"Mcp-Method", "tools/list"})
		a.enough = func(m message) bool { return m.response() }
		got, m := r.peer.send(ctx, a)
		switch {
		case got.status == 0 || got.status >= 500:
			return breaks("%s", got.said())
		case got.refused() || m != nil && m.failure != nil:
			if m != nil && m.failure != nil && !m.failure.is(code) {
				return pass("%s, where %s is usual", got.said(), code)
			}
			return pass("%s", got.said())
		}
		return breaks("%s", got.said())
	}
}

func checkBatch(ctx context.Context, r *run) outcome {
	a := r.peer.post([]byte(`[{"jsonrpc":"2.0","id":"b1","method":"ping"},{"jsonrpc":"2.0","id":"b2","method":"ping"}]`))
	seen := map[string]bool{}
	a.enough = func(m message) bool {
		seen[string(m.id)] = true
		return seen[`"b1"`] && seen[`"b2"`]
	}
	got := r.wire.send(ctx, a)
	answered := map[string]bool{}
	for _, m := range got.messages {
		if m.result != nil {
			answered[string(m.id)] = true
		}
	}
	if !got.good() || !answered[`"b1"`] || !answered[`"b2"`] {
		return breaks("%s", got.said())
	}
	return pass("")
}

func checkBatchRefused(ctx context.Context, r *run) outcome {
	method, _ := r.harmless()
	one := string(r.peer.requestAs(json.RawMessage(`"b1"`), method, nil).body)
	a := r.peer.post([]byte("[" + one + "]"))
	a.headers = append(a.headers, header{"Mcp-Method", method})
	a.enough = func(m message) bool { return m.response() }
	got, m := r.peer.send(ctx, a)
	if m != nil && m.result != nil || got.status == 0 || got.status >= 500 {
		return breaks("%s", got.said())
	}
	return pass("%s", got.said())
}

func checkNotification(ctx context.Context, r *run) outcome {
	got := r.peer.notify(ctx, "notifications/cancelled", params{"requestId": "gatehouse-never-sent", "reason": "a test"})
	switch {
	case len(got.messages) > 0 && got.messages[0].result != nil:
		return breaks("it was answered with a result")
	case got.refused() || got.status == http.StatusAccepted && len(got.body) == 0:
		return pass("%s", got.said())
	}
	return breaks("%s", got.said())
}

func checkLarge(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	big := params{"gatehouse-padding": strings.Repeat("x", 1<<20)}
	a := r.peer.request(method, in)
	var body map[string]any
	_ = json.Unmarshal(a.body, &body) // it is our own
	inner, _ := body["params"].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
		body["params"] = inner
	}
	meta, _ := inner["_meta"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
		inner["_meta"] = meta
	}
	meta["example.com/padding"] = big
	a.body, _ = json.Marshal(body)
	got, m := r.peer.send(ctx, a)
	if got.status == 0 || got.status >= 500 || m == nil && !got.refused() {
		return breaks("%s", got.said())
	}
	if after, m := r.peer.call(ctx, method, in); m == nil || m.result == nil {
		return breaks("afterwards the server answers %s", after.said())
	}
	return pass("status %d", got.status)
}
