package mcpserver

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/control"
)

func TestACallerSeesTheToolsOfTheirScopesAlone(t *testing.T) {
	s := newSystem(t)
	both(t, func(t *testing.T, version string) {
		only := names(t, s.connect("mcp", version, nil))
		slices.Sort(only)
		if !slices.Equal(only, []string{"echo", "health_check"}) {
			t.Errorf("the scope mcp alone sees %v", only)
		}
		reads := names(t, s.connect("user", version, nil))
		for _, op := range s.control.Operations() {
			if want := op.Scope != control.Admin && IsTool(op); slices.Contains(reads, op.Name) != want {
				t.Errorf("a reader sees %s: %v, want %v", op.Name, !want, want)
			}
		}
		all := names(t, s.connect("admin", version, nil))
		for _, name := range []string{"echo", "health_check", "list_proxies", "create_proxy", "delete_proxy", "get_logs", "run_command"} {
			if !slices.Contains(all, name) {
				t.Errorf("an administrator does not see %s", name)
			}
		}
		if slices.Contains(all, "create_client") || slices.Contains(reads, "run_command") {
			t.Error("a tool is offered that must not be")
		}
		if foreign := names(t, s.connect("foreign", version, nil)); len(foreign) != 2 {
			t.Errorf("a token for another host sees %v", foreign)
		}
	})
}

func TestAToolBeyondTheScopesIsRefusedAndWrittenDown(t *testing.T) {
	s := newSystem(t)
	both(t, func(t *testing.T, version string) {
		c := s.connect("user", version, nil)
		before := len(s.journal.find("create_proxy"))
		got := call(t, c, "create_proxy", map[string]any{"proxy_hostname": "a.localhost", "target_url": "internal:demo"})
		if !got.IsError || !strings.Contains(text(got), "needs the scope admin") {
			t.Errorf("a reader creates: %v %s", got.IsError, text(got))
		}
		refused := s.journal.find("create_proxy")[before:]
		if len(refused) != 1 || refused[0].Door != control.DoorMCP || refused[0].AuthResult != "denied" || refused[0].User != "local:ann" {
			t.Errorf("written down: %+v", refused)
		}
		if got := call(t, c, "run_command", map[string]any{"command": "proxy list"}); !got.IsError || len(s.lines) != 0 {
			t.Errorf("a reader runs a command: %s", text(got))
		}
		_, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_client"})
		if wire, ok := errors.AsType[*jsonrpc.Error](err); !ok || wire.Code != jsonrpc.CodeInvalidParams {
			t.Errorf("an operation that answers a secret: %v", err)
		}
	})
}

func TestToolsDoWhatOperationsDo(t *testing.T) {
	s := newSystem(t)
	both(t, func(t *testing.T, version string) {
		c := s.connect("admin", version, nil)
		made := call(t, c, "create_proxy", map[string]any{"proxy_hostname": "app.localhost", "target_url": "internal:demo"})
		if made.IsError {
			t.Fatal(text(made))
		}
		entries := s.journal.find("create_proxy")
		if e := entries[len(entries)-1]; e.Door != control.DoorMCP || e.User != "local:root" || e.Object == "" || e.RequestID != "req-1" {
			t.Errorf("audit: %+v", e)
		}
		bad := call(t, c, "update_proxy", map[string]any{"hostname": "app.localhost", "target_url": "ftp://x", "nonsense": 1})
		if !bad.IsError || !strings.Contains(text(bad), "nonsense") {
			t.Errorf("a broken rule: %v %s", bad.IsError, text(bad))
		}
		read, err := c.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "gatehouse://proxies/app.localhost"})
		if err != nil || !strings.Contains(read.Contents[0].Text, `"target_url":"internal:demo"`) {
			t.Errorf("as a resource: %v %+v", err, read)
		}
		if got := call(t, c, "delete_proxy", map[string]any{"hostname": "app.localhost"}); got.IsError {
			t.Error(text(got))
		}
		_, err = c.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "gatehouse://proxies/app.localhost"})
		if wire, ok := errors.AsType[*jsonrpc.Error](err); !ok || wire.Code != jsonrpc.CodeInvalidParams {
			t.Errorf("a resource that is gone: %v", err)
		}
	})
}

func TestResourcesAskForTheScopesOfTheirOperations(t *testing.T) {
	s := newSystem(t)
	both(t, func(t *testing.T, version string) {
		c := s.connect("mcp", version, nil)
		list, err := c.ListResources(t.Context(), nil)
		if err != nil || len(list.Resources) != 1 || list.Resources[0].URI != "gatehouse://health" {
			t.Errorf("listed: %v %+v", err, list)
		}
		if templates, err := c.ListResourceTemplates(t.Context(), nil); err != nil || len(templates.ResourceTemplates) != 0 {
			t.Errorf("templates: %v %+v", err, templates)
		}
		if _, err := c.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "gatehouse://proxies/localhost"}); err == nil || !strings.Contains(err.Error(), "needs the scope user") {
			t.Errorf("read: %v", err)
		}
	})
}

// TestEveryToolSaysWhatItTakesAndAnswers calls every reading tool that needs no
// argument, and holds the answer to the schema that clients check it by.
func TestEveryToolSaysWhatItTakesAndAnswers(t *testing.T) {
	s := newSystem(t)
	c := s.connect("admin", "2025-11-25", nil)
	list, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	called := 0
	for _, tool := range list.Tools {
		input, output := schemaOf(t, tool.InputSchema), schemaOf(t, tool.OutputSchema)
		if tool.Description == "" || input.Type != "object" || output.Type != "object" || tool.Annotations == nil || tool.Annotations.DestructiveHint == nil {
			t.Errorf("%s: %q %q %q %+v", tool.Name, tool.Description, input.Type, output.Type, tool.Annotations)
			continue
		}
		for name, property := range input.Properties {
			if property.Description == "" {
				t.Errorf("%s: the argument %s has no description", tool.Name, name)
			}
		}
		if !tool.Annotations.ReadOnlyHint || len(input.Required) > 0 || tool.Name == "list_github_logins" { // the sign-in pages have those
			continue
		}
		got := call(t, c, tool.Name, nil)
		if got.IsError {
			if !strings.Contains(text(got), "path") && !strings.Contains(text(got), "needs") {
				t.Errorf("%s: %s", tool.Name, text(got))
			}
			continue
		}
		called++
		resolved, err := output.Resolve(nil)
		if err != nil {
			t.Fatalf("%s: %v", tool.Name, err)
		}
		if err := resolved.Validate(got.StructuredContent); err != nil {
			t.Errorf("%s answers against its schema: %v", tool.Name, err)
		}
	}
	if called < 20 {
		t.Errorf("only %d tools were called", called)
	}
}

func schemaOf(t *testing.T, schema any) *jsonschema.Schema {
	t.Helper()
	raw, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestAnnotationsFollowFromWhatAnOperationDoes(t *testing.T) {
	want := map[string][3]bool{ // reads, destroys, may be repeated
		"list_proxies": {true, false, true}, "explain_proxy": {true, false, true}, "create_proxy": {false, false, false},
		"update_proxy": {false, true, true}, "delete_proxy": {false, true, true}, "set_proxy_auth": {false, true, true},
		"enable_proxy_route": {false, true, true}, "import_config": {false, true, false}, "test_logs": {false, false, false},
	}
	for _, op := range control.Declared() {
		a := annotations(op)
		if is, listed := want[op.Name]; listed && is != [3]bool{a.ReadOnlyHint, *a.DestructiveHint, a.IdempotentHint} {
			t.Errorf("%s: %+v destructive %v", op.Name, a, *a.DestructiveHint)
		}
	}
}

func TestPromptsAreFilledIn(t *testing.T) {
	s := newSystem(t)
	both(t, func(t *testing.T, version string) {
		c := s.connect("user", version, nil)
		got, err := c.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "diagnose_host", Arguments: map[string]string{"hostname": "app.localhost"}})
		if err != nil || !strings.Contains(got.Messages[0].Content.(*mcp.TextContent).Text, "host app.localhost behind") {
			t.Errorf("%v %+v", err, got)
		}
		if _, err := c.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "protect_mcp_server", Arguments: map[string]string{"hostname": "a"}}); err == nil {
			t.Error("a prompt without what it needs")
		}
	})
}

// TestADefectInACallEndsThatCallAlone: a panic in a goroutine of the SDK would end
// the whole process.
func TestADefectInACallEndsThatCallAlone(t *testing.T) {
	s := newSystem(t)
	both(t, func(t *testing.T, version string) {
		c := s.connect("admin", version, nil)
		if _, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "run_command", Arguments: map[string]any{"command": "panic"}}); err == nil {
			t.Error("no error")
		}
		if got := call(t, c, "echo", map[string]any{"text": "still there"}); !strings.Contains(text(got), "still there") {
			t.Error(text(got))
		}
	})
}

func TestACommandLineIsHandedOnAsWords(t *testing.T) {
	s := newSystem(t)
	c := s.connect("admin", "2026-07-28", nil)
	got := call(t, c, "run_command", map[string]any{"command": "log errors", "arguments": []string{"--hours", "1; rm -rf /"}})
	if got.IsError || !slices.Equal(s.lines[0], []string{"log", "errors", "--hours", "1; rm -rf /"}) || !strings.Contains(text(got), "local:root") {
		t.Errorf("%v %v %s", s.lines, got.IsError, text(got))
	}
	for _, bad := range []map[string]any{{}, {"command": "--local proxy list"}, {"command": "a", "arguments": []string{"\x00"}}, {"command": "a", "arguments": make([]string, 65)}} {
		if got := call(t, c, "run_command", bad); !got.IsError || len(s.lines) != 1 {
			t.Errorf("%v: %s", bad, text(got))
		}
	}
}
