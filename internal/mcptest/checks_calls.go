package mcptest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
)

func toolAdvancedChecks() []check {
	return []check{
		{id: "tools.missing-argument", category: ToolsAdvanced, level: Must, ref: tools("Security Considerations"),
			text: "A call that lacks a required argument is an error", run: checkMissing},
		{id: "tools.wrong-type", category: ToolsAdvanced, level: Must, ref: tools("Security Considerations"),
			text: "A call with an argument of the wrong type is an error", run: checkWrongType},
		{id: "tools.arguments-object", category: ToolsAdvanced, level: Must, ref: tools("Calling Tools"),
			text: "A call whose arguments are no object is an error", run: checkNoObject},
		{id: "tools.unknown-argument", category: ToolsAdvanced, level: Must, ref: tools("Security Considerations"),
			text: "A call with an argument that the schema rules out is an error", run: checkUnknownArgument},
		{id: "tools.structured-output", category: ToolsAdvanced, level: Must, ref: toolsSince(v2506, "Output Schema"), since: v2506,
			text: "structuredContent fits the tool's outputSchema", run: checkStructured},
		{id: "tools.structured-text", category: ToolsAdvanced, level: Should, ref: toolsSince(v2506, "Structured Content"), since: v2506,
			text: "A result with structuredContent has the same as text", run: checkStructuredText},
		{id: "tools.concurrent", category: ToolsAdvanced, level: Must, ref: base("Responses"),
			text: "Of ten calls at once each gets the response with its own id", run: checkConcurrent},
	}
}

var partKinds = map[string][]string{
	"text": {"text"}, "image": {"data", "mimeType"}, "audio": {"data", "mimeType"}, "resource": {"resource"}, "resource_link": {"uri", "name"},
}

func (r *run) try(ctx context.Context, each func(t *tool, got *answer, m *message) outcome) outcome {
	if _, out := r.offered(ctx); out.status == Skipped {
		return out
	}
	some := r.callable(ctx)
	if len(some) == 0 {
		return skip(noCallable)
	}
	last := skip("no result was of that kind")
	for i := range some[:min(3, len(some))] {
		t := &some[i]
		s, _ := shapeOf(t.input())
		got, m := r.peer.callTool(ctx, t.Name, s.arguments())
		out := each(t, got, m)
		if out.status != Passed && out.status != Skipped {
			return out
		}
		if out.status == Passed {
			last = out
		}
	}
	return last
}

func checkCall(ctx context.Context, r *run) outcome {
	return r.try(ctx, func(t *tool, got *answer, m *message) outcome {
		var res toolResult
		if m != nil && m.failure.is(codeInvalidParams) {
			return skip("%s refuses the arguments that its schema seems to want", quote(t.Name))
		}
		if m == nil || m.result == nil {
			return breaks("%s: %s", quote(t.Name), got.said())
		}
		if !isArray(member(m.result, "content")) || !m.into(&res) {
			return breaks("%s: content is no array", quote(t.Name))
		}
		for i, part := range res.Content {
			var kind string
			_ = json.Unmarshal(member(part, "type"), &kind)
			needs, known := partKinds[kind]
			if !known {
				return breaks("%s: part %d is of the type %s", quote(t.Name), i+1, quote(kind))
			}
			for _, name := range needs {
				if member(part, name) == nil {
					return breaks("%s: part %d, a %s, lacks %s", quote(t.Name), i+1, kind, name)
				}
			}
		}
		return pass("%s", quote(t.Name))
	})
}

func checkStructured(ctx context.Context, r *run) outcome {
	return r.try(ctx, func(t *tool, _ *answer, m *message) outcome {
		var res toolResult
		if m == nil || !m.into(&res) || res.IsError || t.output() == nil {
			return skip("no result")
		}
		if res.Structured == nil {
			return breaks("%s has an outputSchema and answers no structuredContent", quote(t.Name))
		}
		err := conforms(t.output(), res.Structured)
		if errors.Is(err, errNotChecked) {
			return skip("%s: %v", quote(t.Name), err)
		}
		if err != nil {
			return breaks("%s: %s", quote(t.Name), quote(err.Error()))
		}
		return pass("%s", quote(t.Name))
	})
}

func checkStructuredText(ctx context.Context, r *run) outcome {
	return r.try(ctx, func(t *tool, _ *answer, m *message) outcome {
		var res toolResult
		if m == nil || !m.into(&res) || res.IsError || res.Structured == nil {
			return skip("no result")
		}
		for _, part := range res.Content {
			var text string
			_ = json.Unmarshal(member(part, "text"), &text)
			if same(json.RawMessage(text), res.Structured) {
				return pass("%s", quote(t.Name))
			}
		}
		return breaks("%s: no part of the content is the structuredContent as JSON", quote(t.Name))
	})
}

func same(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return sameNode(x, y)
}

func (r *run) spoiled(ctx context.Context, spoil func(shape) (any, string)) outcome {
	if _, out := r.offered(ctx); out.status == Skipped {
		return out
	}
	some := r.callable(ctx)
	if len(some) == 0 {
		return skip(noCallable)
	}
	for i := range some {
		s, ok := shapeOf(some[i].input())
		if !ok {
			continue
		}
		arguments, what := spoil(s)
		if what == "" {
			continue
		}
		got, m := r.peer.callTool(ctx, some[i].Name, arguments)
		refused := m != nil && (m.failure != nil || string(member(m.result, "isError")) == "true") || m == nil && got.refused()
		if !refused {
			return breaks("%s %s: %s", quote(some[i].Name), what, got.said())
		}
		return pass("%s %s", quote(some[i].Name), what)
	}
	return skip("no tool that may be called has such a schema")
}

func checkMissing(ctx context.Context, r *run) outcome {
	return r.spoiled(ctx, func(s shape) (any, string) {
		if len(s.Required) == 0 {
			return nil, ""
		}
		args := s.arguments()
		delete(args, s.Required[0])
		return args, "without " + quote(s.Required[0])
	})
}

func checkWrongType(ctx context.Context, r *run) outcome {
	return r.spoiled(ctx, func(s shape) (any, string) {
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if bad, ok := s.Properties[name].wrong(); ok {
				args := s.arguments()
				args[name] = bad
				return args, "with a wrong " + quote(name)
			}
		}
		return nil, ""
	})
}

func checkNoObject(ctx context.Context, r *run) outcome {
	return r.spoiled(ctx, func(shape) (any, string) { return "no object", "with a string" })
}

func checkUnknownArgument(ctx context.Context, r *run) outcome {
	return r.spoiled(ctx, func(s shape) (any, string) {
		if string(s.Additional) != "false" {
			return nil, ""
		}
		args := s.arguments()
		args["gatehouse_no_such_argument"] = 1
		return args, "with one more"
	})
}

func checkConcurrent(ctx context.Context, r *run) outcome {
	const calls = 10
	method, in := r.harmless()
	if some := r.callable(ctx); r.declares("tools") && len(some) > 0 {
		s, _ := shapeOf(some[0].input())
		method, in = "tools/call", params{"name": some[0].Name, "arguments": s.arguments()}
	}
	wrong := make([]string, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			a := r.peer.request(method, in)
			mine := a.enough
			a.enough = func(m message) bool { return m.response() }
			got := r.wire.send(ctx, a)
			for _, m := range got.messages {
				if m.response() && !mine(m) {
					wrong[i] = "the response has the id " + quote(string(m.id))
				}
			}
			if len(got.messages) == 0 {
				wrong[i] = got.said()
			}
		})
	}
	wg.Wait()
	for _, w := range wrong {
		if w != "" {
			return breaks("%s", w)
		}
	}
	return pass("%d calls of %s", calls, method)
}
