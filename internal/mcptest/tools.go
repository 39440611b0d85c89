package mcptest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// Bounds of a list of tools.
const (
	maxPages = 50
	maxTools = 5000
)

// tool is a tool as the server describes it.
type tool struct {
	raw    json.RawMessage
	Name   string
	fields map[string]json.RawMessage
}

// toolList is what tools/list told, all pages of it.
type toolList struct {
	tools []tool
	pages int
	wrong string // what was wrong with the list itself
}

// list reads the tools once.
func (r *run) list(ctx context.Context) *toolList {
	if r.tools == nil {
		r.tools = readTools(ctx, r.peer)
	}
	return r.tools
}

func readTools(ctx context.Context, p *peer) *toolList {
	all := &toolList{}
	cursors := map[string]bool{}
	var in params
	for {
		got, m := p.call(ctx, "tools/list", in)
		if m == nil || !isArray(member(m.result, "tools")) {
			all.wrong = "tools/list: " + got.said()
			return all
		}
		var page struct {
			Tools []json.RawMessage `json:"tools"`
			Next  *string           `json:"nextCursor"`
		}
		if err := json.Unmarshal(m.result, &page); err != nil {
			all.wrong = "tools/list answers no list of tools: " + quote(err.Error())
			return all
		}
		all.pages++
		for _, raw := range page.Tools {
			t := tool{raw: raw}
			_ = json.Unmarshal(raw, &t.fields) // what is no object has no fields
			_ = json.Unmarshal(t.fields["name"], &t.Name)
			all.tools = append(all.tools, t)
		}
		switch {
		case page.Next == nil:
			return all
		case cursors[*page.Next]:
			all.wrong = "the same cursor comes twice: the list has no end"
			return all
		case all.pages == maxPages || len(all.tools) > maxTools:
			all.wrong = fmt.Sprintf("after %d pages with %d tools the list has no end", all.pages, len(all.tools))
			return all
		}
		cursors[*page.Next] = true
		in = params{"cursor": *page.Next}
	}
}

// input and output are the tool's schemas; nil where it has none.
func (t *tool) input() json.RawMessage  { return t.fields["inputSchema"] }
func (t *tool) output() json.RawMessage { return t.fields["outputSchema"] }

// hint is an annotation; false where it is not given.
func (t *tool) hint(name string) bool { return string(member(t.fields["annotations"], name)) == "true" }

// callable are the tools that may be called with arguments: those that say that
// they only read, and those that the person named.
func (r *run) callable(ctx context.Context) []tool {
	var some []tool
	for _, t := range r.list(ctx).tools {
		if t.Name != "" && (slices.Contains(r.opt.Tools, t.Name) || len(r.opt.Tools) == 0 && t.hint("readOnlyHint")) {
			some = append(some, t)
		}
	}
	return some
}

const noCallable = "no tool says that it only reads (readOnlyHint): name one that may be called with --tool"

// call calls a tool.
func (p *peer) callTool(ctx context.Context, name string, arguments any) (*answer, *message) {
	return p.call(ctx, "tools/call", params{"name": name, "arguments": arguments})
}

// toolResult is what a call gave.
type toolResult struct {
	Content    []json.RawMessage `json:"content"`
	Structured json.RawMessage   `json:"structuredContent"`
	IsError    bool              `json:"isError"`
}
