package mcptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

func toolChecks() []check {
	return []check{
		{id: "tools.list", category: ToolsBasic, level: Must, ref: tools("Listing Tools"),
			text: "tools/list answers an array of tools, each with a name and an inputSchema", run: checkToolList},
		{id: "tools.pagination", category: ToolsBasic, level: Must, ref: refPagination("Pagination Flow"),
			text: "Following nextCursor comes to an end", run: checkPages},
		{id: "tools.names-unique", category: ToolsBasic, level: Should, ref: spec("Tools", page{v2024, "server/tools", "Tool"}, page{v2511, "server/tools", "Tool Names"}),
			text: "No two tools have the same name", run: checkNamesUnique},
		{id: "tools.names-form", category: ToolsBasic, level: Should, ref: toolsSince(v2511, "Tool Names"), since: v2511,
			text: "Names have 1 to 128 letters, digits, _, - and .", run: checkNamesForm},
		{id: "tools.descriptions", category: ToolsBasic, level: Should, ref: tools("Tool"),
			text: "Every tool has a description", run: checkDescriptions},
		{id: "tools.input-schema", category: ToolsBasic, level: Must, ref: tools("Tool"),
			text: "Every inputSchema is a valid JSON Schema of an object", run: checkInputSchemas},
		{id: "tools.output-schema", category: ToolsBasic, level: Must, ref: toolsSince(v2506, "Output Schema"), since: v2506,
			text: "Every outputSchema is a valid JSON Schema", run: checkOutputSchemas},
		{id: "tools.annotations", category: ToolsBasic, level: Must, ref: tools("Tool"), since: v2503,
			text: "Annotations are booleans where they must be, and a tool that only reads destroys nothing", run: checkAnnotations},
		{id: "tools.order", category: ToolsBasic, level: Should, ref: tools("Capabilities"), since: sessionless,
			text: "Tools are listed in the same order each time", run: checkOrder},
		{id: "tools.unknown", category: ToolsBasic, level: Should, ref: tools("Error Handling"),
			text: "A call of an unknown tool is answered with a JSON-RPC error", run: checkUnknownTool},
		{id: "tools.call", category: ToolsBasic, level: Must, ref: tools("Tool Result"),
			text: "A call is answered with an array of content, each part of a known type", run: checkCall},
	}
}

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

// offered are the tools; none and why there is nothing to check.
func (r *run) offered(ctx context.Context) ([]tool, outcome) {
	if !r.declares("tools") {
		return nil, skip("the server has no tools")
	}
	if list := r.list(ctx); len(list.tools) > 0 {
		return list.tools, outcome{}
	} else if list.wrong != "" {
		return nil, skip("%s", list.wrong)
	}
	return nil, skip("no tool is listed")
}

func checkToolList(ctx context.Context, r *run) outcome {
	if !r.declares("tools") {
		return skip("the server has no tools")
	}
	list := r.list(ctx)
	if list.wrong != "" && len(list.tools) == 0 {
		return breaks("%s", list.wrong)
	}
	for i, t := range list.tools {
		if t.Name == "" || !isString(t.fields["name"]) {
			return breaks("tool %d has no name", i+1)
		}
		if t.input() == nil {
			return breaks("%s has no inputSchema", quote(t.Name))
		}
	}
	return pass("%d tools", len(list.tools))
}

func checkPages(ctx context.Context, r *run) outcome {
	if !r.declares("tools") {
		return skip("the server has no tools")
	}
	list := r.list(ctx)
	if list.wrong != "" && list.pages > 0 {
		return breaks("%s", list.wrong)
	}
	return pass("%d page(s)", list.pages)
}

// every looks at all tools and names those that a rule finds fault with.
func every(all []tool, out outcome, wrong func(*tool) string) outcome {
	if all == nil {
		return out
	}
	var found []string
	for i := range all {
		if why := wrong(&all[i]); why != "" {
			found = append(found, quote(all[i].Name)+": "+why)
		}
	}
	if len(found) == 0 {
		return pass("%d tools", len(all))
	}
	more := ""
	if len(found) > 3 {
		more = fmt.Sprintf(" and %d more", len(found)-3)
	}
	return breaks("%s%s", strings.Join(found[:min(3, len(found))], "; "), more)
}

func checkNamesUnique(ctx context.Context, r *run) outcome {
	all, out := r.offered(ctx)
	seen := map[string]bool{}
	return every(all, out, func(t *tool) string {
		if seen[t.Name] {
			return "it is there twice"
		}
		seen[t.Name] = true
		return ""
	})
}

func checkNamesForm(ctx context.Context, r *run) outcome {
	form := regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
	all, out := r.offered(ctx)
	return every(all, out, func(t *tool) string {
		if !form.MatchString(t.Name) {
			return "it has other characters, or too many"
		}
		return ""
	})
}

func checkDescriptions(ctx context.Context, r *run) outcome {
	all, out := r.offered(ctx)
	return every(all, out, func(t *tool) string {
		var text string
		if json.Unmarshal(t.fields["description"], &text) != nil || strings.TrimSpace(text) == "" {
			return "it has none"
		}
		return ""
	})
}

func checkInputSchemas(ctx context.Context, r *run) outcome {
	all, out := r.offered(ctx)
	return every(all, out, func(t *tool) string { return schemaFault(t.input(), true) })
}

func checkOutputSchemas(ctx context.Context, r *run) outcome {
	all, out := r.offered(ctx)
	return every(all, out, func(t *tool) string {
		if t.output() == nil {
			return ""
		}
		return schemaFault(t.output(), !r.modern())
	})
}

func checkAnnotations(ctx context.Context, r *run) outcome {
	all, out := r.offered(ctx)
	return every(all, out, func(t *tool) string {
		notes := t.fields["annotations"]
		if notes == nil {
			return ""
		}
		if !isObject(notes) {
			return "they are no object"
		}
		for _, name := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
			if v := string(member(notes, name)); v != "" && v != "true" && v != "false" {
				return name + " is no boolean"
			}
		}
		if t.hint("readOnlyHint") && t.hint("destructiveHint") {
			return "readOnlyHint and destructiveHint are both true"
		}
		return ""
	})
}

func checkOrder(ctx context.Context, r *run) outcome {
	all, out := r.offered(ctx)
	if all == nil {
		return out
	}
	again := readTools(ctx, r.peer)
	same := slices.EqualFunc(all, again.tools, func(a, b tool) bool { return a.Name == b.Name })
	if !same {
		return breaks("two lists differ")
	}
	return pass("")
}

func checkUnknownTool(ctx context.Context, r *run) outcome {
	if !r.declares("tools") {
		return skip("the server has no tools")
	}
	got, m := r.peer.callTool(ctx, "gatehouse-no-such-tool", params{})
	switch {
	case m != nil && m.failure.is(codeInvalidParams):
		return pass("")
	case m != nil && m.failure != nil:
		return pass("%s, where -32602 is usual", got.said())
	case m != nil && string(member(m.result, "isError")) == "true":
		return breaks("it is answered with a result that says isError")
	case m != nil && m.result != nil:
		return outcome{Failed, "it is answered with a result"}
	}
	return breaks("%s", got.said())
}

// partKinds are the types of content that each part must be of, with the members
// that it must have.
var partKinds = map[string][]string{
	"text": {"text"}, "image": {"data", "mimeType"}, "audio": {"data", "mimeType"}, "resource": {"resource"}, "resource_link": {"uri", "name"},
}

// try calls up to three of the tools that may be called.
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

// same reports whether two JSON texts mean the same.
func same(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return sameNode(x, y)
}

// spoiled calls the first tool for which spoil has arguments that must be refused.
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
