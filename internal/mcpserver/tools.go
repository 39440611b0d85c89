package mcpserver

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
)

// tool is one thing that a caller can be offered.
type tool struct {
	scope     control.Scope
	operation *control.Operation // nil: it is none
	shown     *mcp.Tool          // as tools/list has it
	plain     *mcp.Tool          // as the SDK's servers know it, which read no arguments
	handle    mcp.ToolHandler
}

// IsTool reports whether an operation is a tool: all are but those that answer a
// secret, which nobody's conversation should hold.
func IsTool(o *control.Operation) bool { return !o.Secret }

func (s *Server) allTools() ([]*tool, map[string]*tool) {
	all := []*tool{s.echo()}
	for _, o := range s.opt.Control.Operations() {
		if IsTool(o) {
			all = append(all, s.operation(o))
		}
	}
	if s.opt.Command != nil {
		all = append(all, s.command())
	}
	byName := map[string]*tool{}
	for _, t := range all {
		t.plain = &mcp.Tool{Name: t.shown.Name, InputSchema: anyObject}
		byName[t.shown.Name] = t
	}
	return all, byName
}

// anyObject spares each new session the reading of all schemas: the operations
// check their arguments themselves.
var anyObject = json.RawMessage(`{"type":"object"}`)

func (s *Server) operation(o *control.Operation) *tool {
	return &tool{
		scope: o.Scope, operation: o,
		shown: &mcp.Tool{
			Name: o.Name, Description: describe(o), InputSchema: object(o.Input), OutputSchema: object(o.Output), Annotations: annotations(o),
		},
		handle: func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			out, err := o.Call(ctx, arguments(req))
			if err != nil {
				return s.failed(ctx, req, err), nil
			}
			return answered(out), nil
		},
	}
}

func describe(o *control.Operation) string {
	if o.Scope == control.Public {
		return o.Summary
	}
	return o.Summary + " Needs the scope " + string(o.Scope) + "."
}

// object is a schema whose type is plainly an object, as clients want it.
func object(s *jsonschema.Schema) *jsonschema.Schema {
	o := *s
	o.Type, o.Types = "object", nil
	return &o
}

// annotations follow from how the operation is asked for over HTTP: GET reads,
// PUT and set_ put a value in place of another, DELETE takes away.
func annotations(o *control.Operation) *mcp.ToolAnnotations {
	set := strings.HasPrefix(o.Name, "set_") || strings.HasPrefix(o.Name, "enable_") || strings.HasPrefix(o.Name, "disable_")
	destructive := o.Changes() && (o.Method == http.MethodPut || o.Method == http.MethodDelete || set || o.Name == "import_config")
	closed := false
	return &mcp.ToolAnnotations{
		ReadOnlyHint: !o.Changes(), DestructiveHint: &destructive, OpenWorldHint: &closed,
		IdempotentHint: !o.Changes() || set || o.Method == http.MethodPut || o.Method == http.MethodDelete,
	}
}

// arguments are those of a call; none is an empty object.
func arguments(req *mcp.CallToolRequest) json.RawMessage {
	if len(req.Params.Arguments) == 0 || string(req.Params.Arguments) == "null" {
		return json.RawMessage(`{}`)
	}
	return req.Params.Arguments
}

func answered(out any) *mcp.CallToolResult {
	raw, err := json.Marshal(out)
	if err != nil {
		return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "the answer could not be written"}}}
	}
	return &mcp.CallToolResult{StructuredContent: json.RawMessage(raw), Content: []mcp.Content{&mcp.TextContent{Text: string(raw)}}}
}

// failed is err as a tool's error, which the model reads: the public sentence, the
// fields that broke a rule, and the scope that would help. Clients that asked for
// log messages get it as one.
func (s *Server) failed(ctx context.Context, req *mcp.CallToolRequest, err error) *mcp.CallToolResult {
	p := fault.ProblemOf(err)
	p.RequestID = requestID(ctx)
	var severity mcp.LoggingLevel = "warning" //nolint:staticcheck // see newServer
	if p.Status >= http.StatusInternalServerError {
		severity = "error"
		s.log.ErrorContext(ctx, "a tool failed", "tool", req.Params.Name, "error", err)
	}
	_ = req.Session.Log(ctx, &mcp.LoggingMessageParams{Level: severity, Logger: req.Params.Name, Data: p}) //nolint:staticcheck // see newServer; when the client is gone nobody is left to tell
	return &mcp.CallToolResult{IsError: true, StructuredContent: p, Content: []mcp.Content{&mcp.TextContent{Text: p.Detail}}}
}

// filter shows each caller the tools, resources and prompts of their scopes.
func (s *Server) filter(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		result, err := next(ctx, method, req)
		if err != nil {
			return result, err
		}
		sees := s.levelOf(ctx)
		switch r := result.(type) {
		case *mcp.ListToolsResult:
			r.Tools = []*mcp.Tool{}
			for _, t := range s.tools {
				if sees.has(t.scope) {
					r.Tools = append(r.Tools, t.shown)
				}
			}
		case *mcp.ListResourcesResult:
			r.Resources = kept(r.Resources, func(x *mcp.Resource) bool { return sees.has(s.scopeOf(x.URI)) })
		case *mcp.ListResourceTemplatesResult:
			r.ResourceTemplates = kept(r.ResourceTemplates, func(x *mcp.ResourceTemplate) bool { return sees.has(s.scopeOf(x.URITemplate)) })
		}
		return result, nil
	}
}

func kept[T any](all []T, keep func(T) bool) []T {
	some := []T{}
	for _, x := range all {
		if keep(x) {
			some = append(some, x)
		}
	}
	return some
}

type said struct {
	Text string `json:"text" jsonschema:"what to say back"`
}

// echo needs nothing but to be let in, so that a client can try its connection.
func (s *Server) echo() *tool {
	closed, destructive := false, false
	schema := schemaFor[said]()
	return &tool{
		scope: control.Public,
		shown: &mcp.Tool{
			Name: "echo", Description: "Says a text back: whether the connection works.", InputSchema: schema, OutputSchema: schema,
			Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true, DestructiveHint: &destructive, OpenWorldHint: &closed},
		},
		handle: func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var in struct {
				Text *string `json:"text"`
			}
			if err := control.Decode(arguments(req), &in); err != nil {
				return s.failed(ctx, req, err), nil
			}
			if in.Text == nil {
				return s.failed(ctx, req, fault.BadField("text", "is required")), nil
			}
			return answered(said{*in.Text}), nil
		},
	}
}

// schemaFor panics on types that JSON can't show: a defect that the first test finds.
func schemaFor[T any]() *jsonschema.Schema {
	schema, err := jsonschema.For[T](nil)
	if err != nil {
		panic("mcpserver: " + err.Error())
	}
	return schema
}
