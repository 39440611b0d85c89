package journal

import (
	"fmt"
	"slices"
	"testing"
)

func TestCallsAreCountedByHostAndTool(t *testing.T) {
	j, _ := open(t, &memLog{}, Options{})
	call := func(proxy, tool string, failed bool) {
		j.Write(&Entry{Kind: MCP, Proxy: proxy, RPCMethod: "tools/call", Tool: tool, IsError: failed})
	}
	for n := range 30 { // more tools than a top list has lines
		call("a.example.com", fmt.Sprintf("tool%02d", n), n%2 == 0)
		if n == 15 {
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	call("a.example.com", "tool00", false)
	call("b.example.com", "tool00", false)
	j.Write(&Entry{Kind: MCP, Proxy: "a.example.com", RPCMethod: "tools/list"})
	j.Write(&Entry{Kind: Request, Proxy: "a.example.com", Tool: "none"})
	got, err := j.Calls(t.Context(), Query{})
	if err != nil || len(got.Tools) != 31 || got.Tools[0] != (ToolCalls{"a.example.com", "tool00", 2, 1}) || got.Tools[30] != (ToolCalls{"b.example.com", "tool00", 1, 0}) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = j.Calls(t.Context(), Query{Proxy: "b.example.com"})
	if err != nil || !slices.Equal(got.Tools, []ToolCalls{{"b.example.com", "tool00", 1, 0}}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDifferentToolsAreBounded(t *testing.T) {
	sums := toolTally{}
	for n := range maxTools + 50 {
		sums.add(toolOf{"a.example.com", fmt.Sprint(n)}, true)
	}
	if other := sums[toolOf{"a.example.com", "other"}]; len(sums) != maxTools+1 || other.requests != 50 || other.errors != 50 {
		t.Errorf("%d different, others %+v", len(sums), other)
	}
}
