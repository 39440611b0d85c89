// Command stdioserver is a small MCP server that speaks over its standard input
// and output: what tests put behind `protect --stdio`.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type none struct{}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "stdioserver", Version: "1"}, nil)
	calls := 0
	tools := map[string]func() string{
		"count":      func() string { calls++; return fmt.Sprint(calls) },
		"pid":        func() string { return fmt.Sprint(os.Getpid()) },
		"key":        func() string { return os.Getenv("SEARCH_KEY") },
		"delete_all": func() string { return "deleted" },
	}
	for name, do := range tools {
		mcp.AddTool(s, &mcp.Tool{Name: name, Description: name}, func(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, none, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: do()}}}, none{}, nil
		})
	}
	fmt.Fprintln(os.Stderr, "stdioserver is ready")
	if err := s.Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
