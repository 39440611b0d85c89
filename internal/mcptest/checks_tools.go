package mcptest

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
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
// try calls up to three of the tools that may be called.
// same reports whether two JSON texts mean the same.
// spoiled calls the first tool for which spoil has arguments that must be refused.
