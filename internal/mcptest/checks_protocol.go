package mcptest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

func protocolChecks() []check {
	return []check{
		{id: "protocol.initialize", category: Protocol, level: Must, ref: refInitialization(), before: sessionless,
			text: "initialize answers protocolVersion, capabilities and serverInfo with a name and a version", run: checkInitialize},
		{id: "protocol.discover", category: Protocol, level: Must, ref: refInitialization(), since: sessionless,
			text: "server/discover answers supportedVersions, this one among them, and capabilities", run: checkDiscover},
		{id: "protocol.server-info", category: Protocol, level: Should, ref: refMeta(), since: sessionless,
			text: "results say in _meta which server answers", run: checkServerInfo},
		{id: "protocol.version-agreed", category: Protocol, level: Must, ref: refNegotiation(), before: sessionless,
			text: "A version that the server supports is answered with that same version", run: checkVersionAgreed},
		{id: "protocol.version-fallback", category: Protocol, level: Must, ref: refNegotiation(), before: sessionless,
			text: "An unknown version is answered with one that the server supports", run: checkVersionFallback},
		{id: "protocol.version-unsupported", category: Protocol, level: Must, ref: refNegotiation(), since: sessionless,
			text: "An unknown version is refused with 400, error -32022 and the versions that are supported", run: checkVersionUnsupported},
		{id: "protocol.capabilities", category: Protocol, level: Must, ref: refCapabilities(),
			text: "capabilities is an object of objects, and listChanged and subscribe in it are booleans", run: checkCapabilities},
		{id: "protocol.capabilities-honoured", category: Protocol, level: Must, ref: refCapabilities(),
			text: "What is declared works: tools, resources and prompts can be listed", run: checkHonoured},
		{id: "protocol.tools-declared", category: Protocol, level: Must, ref: tools("Capabilities"),
			text: "A server that has tools declares the capability tools", run: checkToolsDeclared},
		{id: "protocol.list-changed", category: Protocol, level: Should, ref: tools("List Changed Notification"),
			text: "Who declares listChanged offers a stream on which changes can be told", run: checkListChanged},
		{id: "protocol.subscription", category: Protocol, level: Must, ref: refSubscriptions(), since: sessionless,
			text: "subscriptions/listen is acknowledged before anything else is sent on its stream", run: checkSubscription},
		{id: "protocol.id-string", category: Protocol, level: Must, ref: base("Requests"),
			text: "A string id comes back as the same string", run: checkID(`"id \u00fc/\"x\" 1"`)},
		{id: "protocol.id-number", category: Protocol, level: Must, ref: base("Requests"),
			text: "An integer id comes back as the same integer, zero and large ones too", run: checkNumbers},
		{id: "protocol.id-kind", category: Protocol, level: Must, ref: base("Responses"),
			text: "The string \"7\" and the number 7 are different ids", run: checkID(`"7"`)},
		{id: "protocol.id-null", category: Protocol, level: Should, ref: base("Requests"),
			text: "A request whose id is null is not served", run: checkNullID},
		{id: "protocol.unknown-method", category: Protocol, level: Must, ref: jsonRPC("5.1", "Error object"),
			text: "An unknown method is answered with error -32601", run: checkUnknownMethod},
		{id: "protocol.invalid-params", category: Protocol, level: Must, ref: jsonRPC("5.1", "Error object"),
			text: "params of the wrong type are answered with an error", run: checkInvalidParams},
		{id: "protocol.parse-error", category: Protocol, level: Must, ref: jsonRPC("5.1", "Error object"),
			text: "A body that is no JSON is refused with a status of 400 and up, or error -32700", run: checkBad(`{"jsonrpc":"2.0","id":1,`, codeParse)},
		{id: "protocol.invalid-request", category: Protocol, level: Must, ref: jsonRPC("5.1", "Error object"),
			text: "JSON that is no JSON-RPC message is refused with a status of 400 and up, or error -32600", run: checkBad(`{"hello":"world"}`, codeInvalidRequest)},
		{id: "protocol.jsonrpc-missing", category: Protocol, level: Should, ref: jsonRPC("4", "Request object"),
			text: "A request of another JSON-RPC version is not served", run: checkBad(`{"jsonrpc":"1.0","id":41,"method":"tools/list","params":{}}`, codeInvalidRequest)},
		{id: "protocol.empty-body", category: Protocol, level: Must, ref: refSending(),
			text: "A POST without a body is refused", run: checkBad(``, codeParse)},
		{id: "protocol.batch", category: Protocol, level: Must, ref: refBatch(), since: v2503, before: v2506,
			text: "A batch is received, and each request of it answered", run: checkBatch},
		{id: "protocol.batch-refused", category: Protocol, level: Should, ref: refBatch(), since: v2506,
			text: "A batch, which this version has no more, is refused", run: checkBatchRefused},
		{id: "protocol.notification", category: Protocol, level: Must, ref: base("Notifications"),
			text: "A notification gets no response: 202 without a body, or an error status", run: checkNotification},
		{id: "protocol.large-payload", category: Protocol, level: Must, ref: refSending(),
			text: "A request of 1 MiB is answered or refused in order, and the server lives on", run: checkLarge},
		{id: "protocol.meta-required", category: Protocol, level: Must, ref: refMeta(), since: sessionless,
			text: "A request without the required fields of _meta is refused with 400 and error -32602", run: checkMetaRequired},
		{id: "protocol.result-type", category: Protocol, level: Must, ref: base("Result Responses"), since: sessionless,
			text: "Every result has a resultType", run: checkResultType},
		{id: "protocol.cache-hints", category: Protocol, level: Must, ref: refCaching(), since: sessionless,
			text: "Lists and discovery say by ttlMs and cacheScope how they may be cached", run: checkCacheHints},
		{id: "protocol.cursor-invalid", category: Protocol, level: Should, ref: refPagination("Error Handling"),
			text: "A cursor that the server did not give is refused with error -32602", run: checkCursor},
	}
}

func checkInitialize(_ context.Context, r *run) outcome {
	var info map[string]json.RawMessage
	switch {
	case !isString(member(r.server.raw, "protocolVersion")):
		return breaks("protocolVersion is no string")
	case !isObject(r.server.Capabilities):
		return breaks("capabilities is no object")
	case json.Unmarshal(r.server.Info, &info) != nil:
		return breaks("serverInfo is no object")
	case !isString(info["name"]) || !isString(info["version"]):
		return breaks("serverInfo lacks name or version")
	}
	return pass("%s speaks %s", r.report.Server, r.version)
}

func checkDiscover(_ context.Context, r *run) outcome {
	switch {
	case !isArray(member(r.server.raw, "supportedVersions")):
		return breaks("supportedVersions is no array")
	case !isObject(r.server.Capabilities):
		return breaks("capabilities is no object")
	}
	return pass("%s", quoteAll(r.server.Supported))
}

func checkServerInfo(_ context.Context, r *run) outcome {
	info := member(member(r.server.raw, "_meta"), metaServer)
	if !isString(member(info, "name")) || !isString(member(info, "version")) {
		return breaks("server/discover names no server in _meta")
	}
	return pass("%s", r.report.Server)
}

func checkVersionAgreed(ctx context.Context, r *run) outcome {
	p, got, g := r.wire.initialize(ctx, r.version, owner)
	if p == nil {
		return breaks("a second initialize: %s", got.said())
	}
	r.opened = append(r.opened, p)
	if g.Version != r.version {
		return breaks("asked for %s, answered %s", r.version, quote(g.Version))
	}
	return pass("")
}

func checkVersionFallback(ctx context.Context, r *run) outcome {
	for _, version := range []string{"1999-12-31", "2099-01-01"} {
		p, got, g := r.wire.initialize(ctx, version, owner)
		if p == nil {
			return breaks("asked for %s: %s", version, got.said())
		}
		r.opened = append(r.opened, p)
		if !slices.Contains(Versions(), g.Version) {
			return breaks("asked for %s, answered %s", version, quote(g.Version))
		}
	}
	return pass("")
}

// as is a request of the newest version, some of whose words are others.
func (p *peer) as(method string, in params, meta params, headers ...header) ask {
	a := p.request(method, in)
	var body map[string]any
	dec := json.NewDecoder(strings.NewReader(string(a.body)))
	dec.UseNumber()
	_ = dec.Decode(&body) // it is our own
	inner, _ := body["params"].(map[string]any)
	if m, ok := inner["_meta"].(map[string]any); ok {
		for k, v := range meta {
			if v == nil {
				delete(m, k)
				continue
			}
			m[k] = v
		}
	}
	a.body, _ = json.Marshal(body)
	a.headers = append(a.headers, headers...)
	return a
}

func checkVersionUnsupported(ctx context.Context, r *run) outcome {
	const unknown = "2099-01-01"
	got, m := r.peer.send(ctx, r.peer.as("tools/list", nil, params{metaVersion: unknown}, header{"MCP-Protocol-Version", unknown}))
	var data struct{ Supported []string }
	switch {
	case m == nil || m.failure == nil || got.status != http.StatusBadRequest || !m.failure.is(codeBadVersion):
		return breaks("%s", got.said())
	case json.Unmarshal(m.failure.Data, &data) != nil || len(data.Supported) == 0:
		return breaks("the error does not list the versions that are supported")
	}
	return pass("%s", quoteAll(data.Supported))
}

func checkCapabilities(_ context.Context, r *run) outcome {
	var all map[string]json.RawMessage
	if json.Unmarshal(r.server.Capabilities, &all) != nil {
		return breaks("capabilities is no object")
	}
	for name, c := range all {
		if !isObject(c) {
			return breaks("%s is no object", quote(name))
		}
		for _, flag := range []string{"listChanged", "subscribe"} {
			if v := member(c, flag); v != nil && string(v) != "true" && string(v) != "false" {
				return breaks("%s of %s is no boolean", flag, quote(name))
			}
		}
	}
	return pass("")
}

func (r *run) declares(name string) bool { return isObject(member(r.server.Capabilities, name)) }

func checkHonoured(ctx context.Context, r *run) outcome {
	tried := 0
	for _, name := range []string{"tools", "resources", "prompts"} {
		if !r.declares(name) {
			continue
		}
		tried++
		got, m := r.peer.call(ctx, name+"/list", nil)
		if m == nil || !isArray(member(m.result, name)) {
			return breaks("%s is declared, and %s/list answers %s", name, name, got.said())
		}
	}
	if tried == 0 {
		return skip("none of them is declared")
	}
	return pass("")
}

func checkToolsDeclared(ctx context.Context, r *run) outcome {
	if r.declares("tools") {
		return pass("")
	}
	if _, m := r.peer.call(ctx, "tools/list", nil); m != nil && isArray(member(m.result, "tools")) {
		return breaks("tools/list answers, and the capability is not declared")
	}
	return skip("the server has no tools")
}

func checkListChanged(ctx context.Context, r *run) outcome {
	if string(member(member(r.server.Capabilities, "tools"), "listChanged")) != "true" {
		return skip("listChanged is not declared")
	}
	if r.modern() {
		return subscribe(ctx, r)
	}
	got := r.wire.send(ctx, ask{method: http.MethodGet, headers: append(r.peer.usual(), header{"Accept", "text/event-stream"}), linger: r.opt.listen})
	if got.status != http.StatusOK || got.media != "text/event-stream" {
		return breaks("listChanged is declared, and GET opens no stream: %s", got.said())
	}
	return pass("GET opens a stream")
}

func checkSubscription(ctx context.Context, r *run) outcome {
	if string(member(member(r.server.Capabilities, "tools"), "listChanged")) != "true" {
		return skip("listChanged is not declared")
	}
	return subscribe(ctx, r)
}

func subscribe(ctx context.Context, r *run) outcome {
	a := r.peer.request("subscriptions/listen", params{"notifications": params{"toolsListChanged": true}})
	a.enough = func(message) bool { return true }
	got := r.wire.send(ctx, a)
	switch {
	case got.media != "text/event-stream" || len(got.messages) == 0:
		return breaks("%s", got.said())
	case got.messages[0].method != "notifications/subscriptions/acknowledged":
		return breaks("the first message is %s", quote(got.messages[0].method))
	}
	return pass("")
}

// harmless is a request that every server of the version must know.
// checkBad sends a body that no server may serve.
func checkMetaRequired(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	if method == "server/discover" {
		return skip("the server has no tools")
	}
	got, m := r.peer.send(ctx, r.peer.as(method, in, params{metaCapabilities: nil}))
	if m == nil || !m.failure.is(codeInvalidParams) || got.status != http.StatusBadRequest {
		return breaks("without clientCapabilities: %s", got.said())
	}
	return pass("")
}

func checkResultType(ctx context.Context, r *run) outcome {
	method, in := r.harmless()
	got, m := r.peer.call(ctx, method, in)
	if m == nil || m.result == nil {
		return breaks("%s: %s", method, got.said())
	}
	for name, result := range map[string]json.RawMessage{method: m.result, "server/discover": r.server.raw} {
		if t := member(result, "resultType"); !isString(t) {
			return breaks("that of %s has none", name)
		}
	}
	return pass("")
}

func checkCacheHints(ctx context.Context, r *run) outcome {
	results := map[string]json.RawMessage{"server/discover": r.server.raw}
	if r.declares("tools") {
		if _, m := r.peer.call(ctx, "tools/list", nil); m != nil {
			results["tools/list"] = m.result
		}
	}
	for name, result := range results {
		var ttl float64
		if raw := member(result, "ttlMs"); raw == nil || json.Unmarshal(raw, &ttl) != nil || ttl < 0 {
			return breaks("ttlMs of %s is %s", name, quote(string(raw)))
		}
		if scope := string(member(result, "cacheScope")); scope != `"public"` && scope != `"private"` {
			return breaks("cacheScope of %s is %s", name, quote(scope))
		}
	}
	return pass("")
}

func checkCursor(ctx context.Context, r *run) outcome {
	if !r.declares("tools") {
		return skip("the server has no tools")
	}
	got, m := r.peer.call(ctx, "tools/list", params{"cursor": "gatehouse-no-such-cursor"})
	if m == nil || !m.failure.is(codeInvalidParams) {
		return breaks("%s", got.said())
	}
	return pass("")
}
