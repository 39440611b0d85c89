package demo

import (
	"context"
	"fmt"
	"math"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/principal"
)

type nothing struct{}

type identity struct {
	Anonymous bool     `json:"anonymous"`
	User      string   `json:"user,omitempty"`
	Email     string   `json:"email,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	Client    string   `json:"client,omitempty"`
}

type text struct {
	Text string `json:"text" jsonschema:"what to say"`
}

type sum struct {
	A float64 `json:"a" jsonschema:"first number"`
	B float64 `json:"b" jsonschema:"second number"`
}

type total struct {
	Sum float64 `json:"sum"`
}

// newMCP is a server with three tools that read only: whoami, echo and add.
func newMCP() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "gatehouse-demo", Title: "Gatehouse demo", Version: "1"},
		&mcp.ServerOptions{Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}}}) // they never change
	reads := &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true}
	mcp.AddTool(s, &mcp.Tool{Name: "whoami", Description: "Who Gatehouse says is calling.", Annotations: reads}, whoami)
	mcp.AddTool(s, &mcp.Tool{Name: "echo", Description: "Says a text back.", Annotations: reads}, echo)
	mcp.AddTool(s, &mcp.Tool{Name: "add", Description: "Adds two numbers.", Annotations: reads}, add)
	return s
}

func whoami(ctx context.Context, _ *mcp.CallToolRequest, _ nothing) (*mcp.CallToolResult, identity, error) {
	p := principal.From(ctx)
	if p == nil {
		return nil, identity{Anonymous: true}, nil
	}
	return nil, identity{User: p.User, Email: p.Email, Scopes: p.Scopes, Client: p.ClientID}, nil
}

func echo(_ context.Context, _ *mcp.CallToolRequest, in text) (*mcp.CallToolResult, text, error) {
	return nil, in, nil
}

func add(_ context.Context, _ *mcp.CallToolRequest, in sum) (*mcp.CallToolResult, total, error) {
	s := in.A + in.B
	if math.IsInf(s, 0) || math.IsNaN(s) {
		return nil, total{}, fmt.Errorf("a + b is beyond what a number can hold")
	}
	return nil, total{Sum: s}, nil
}
