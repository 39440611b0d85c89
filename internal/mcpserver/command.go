package mcpserver

import (
	"context"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/internal/control"
	"gatehouse/internal/fault"
)

// CommandResult is what a command line left behind.
type CommandResult struct {
	ExitCode int    `json:"exit_code" jsonschema:"0: done; 1: failed; 2: the command line breaks a rule; 3: not allowed"`
	Output   string `json:"output" jsonschema:"what it printed: JSON unless --format says otherwise"`
	Error    string `json:"error,omitempty" jsonschema:"why it failed, in a sentence"`
}

type commandLine struct {
	Command   string   `json:"command" jsonschema:"noun and verb, such as proxy list or log errors"`
	Arguments []string `json:"arguments,omitempty" jsonschema:"arguments and flags, each a word of its own"`
}

const (
	maxWords = 64
	maxWord  = 16 << 10
)

// command runs a command line of Gatehouse in this process. It asks for admin
// before anything of the line is read; what the line then asks for is one
// operation, with checks and an audit entry of its own.
func (s *Server) command() *tool {
	closed, destructive := false, true
	return &tool{
		scope: control.Admin,
		shown: &mcp.Tool{
			Name: "run_command",
			Description: "Runs one command line of the gatehouse program with your rights, such as {\"command\": \"proxy list\"} or " +
				"{\"command\": \"log errors\", \"arguments\": [\"--hours\", \"1\"]}; {\"command\": \"proxy\", \"arguments\": [\"--help\"]} tells what there is. " +
				"Never a shell, never another program. Needs the scope admin.",
			InputSchema: commandSchema(), OutputSchema: schemaFor[CommandResult](),
			Annotations: &mcp.ToolAnnotations{DestructiveHint: &destructive, OpenWorldHint: &closed},
		},
		handle: func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if err := s.opt.Control.Allow(ctx, control.Admin); err != nil {
				return s.failed(ctx, req, err), nil
			}
			var in commandLine
			if err := control.Decode(arguments(req), &in); err != nil {
				return s.failed(ctx, req, err), nil
			}
			words, err := in.words()
			if err != nil {
				return s.failed(ctx, req, err), nil
			}
			out := s.opt.Command(ctx, words)
			result := answered(out)
			result.IsError = out.ExitCode != 0
			return result, nil
		},
	}
}

func commandSchema() any {
	schema := schemaFor[commandLine]()
	schema.Properties["arguments"].Types, schema.Properties["arguments"].Type = nil, "array"
	return schema
}

// words is the line as the program's arguments.
func (l commandLine) words() ([]string, error) {
	var rules fault.Rules
	words := append(strings.Fields(l.Command), l.Arguments...)
	if len(words) == 0 || strings.HasPrefix(words[0], "-") {
		rules.Add("command", "names a noun and a verb, such as proxy list")
	}
	if len(words) > maxWords {
		rules.Add("arguments", "are at most %d words", maxWords)
	}
	for i, word := range words {
		if len(word) > maxWord || strings.ContainsRune(word, 0) {
			rules.Add("arguments", "word %d is longer than %d bytes or holds a NUL", i, maxWord)
		}
	}
	return words, rules.Err()
}
