package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/fault"
	"gatehouse/internal/mcptest"
)

func (a *app) mcpTools() *cobra.Command {
	var access mcpAccess
	c := a.command(verb{
		use: "tools [URL] [flags]", short: "List the tools of an MCP server",
		long:    "Lists the tools that an MCP endpoint offers you." + mcpAccessHelp,
		example: "  gatehouse mcp tools\n  gatehouse mcp tools https://mcp.example.com/mcp --format json",
		args:    cobra.MaximumNArgs(1),
		run: func(ctx context.Context, args []string) error {
			target, err := a.mcpTarget(ctx, strings.Join(args, ""), access)
			if err != nil {
				return err
			}
			if a.flags.dryRun {
				_, err := fmt.Fprintf(a.out, "POST %s tools/list\n", render.Clean(target.url))
				return err
			}
			all, err := mcptest.Tools(ctx, a.mcpOptions(target))
			if err != nil {
				return err
			}
			raw, err := json.Marshal(map[string]any{"items": all, "cursor": ""})
			if err != nil {
				return err
			}
			return a.print(raw, render.View{List: "items", Empty: "It offers no tools.", Columns: []render.Column{
				{Title: "TOOL", Field: "name"}, {Title: "READS ONLY", Field: "annotations.readOnlyHint"}, {Title: "DESCRIPTION", Field: "description"}}})
		},
	})
	access.bind(c.Flags())
	return c
}

func (a *app) mcpOptions(t mcpTarget) mcptest.Options {
	return mcptest.Options{URL: t.url, Transport: t.transport, Token: t.token, Timeout: a.flags.timeout}
}

func (a *app) mcpCall() *cobra.Command {
	var access mcpAccess
	c := a.command(verb{
		use: "call [URL] TOOL [JSON | NAME=VALUE]... [flags]", short: "Call a tool of an MCP server",
		long: "Calls one tool and prints what it answers: its structured content, else its text. Arguments are one JSON object, or NAME=VALUE,\n" +
			"where VALUE is JSON if it can be read so, and else a text. Exit code 1: the tool says that it failed." + mcpAccessHelp,
		example: "  gatehouse mcp call echo text=hello\n  gatehouse mcp call https://mcp.example.com/mcp add '{\"a\": 2, \"b\": 3}'",
		args:    cobra.MinimumNArgs(1),
		run:     func(ctx context.Context, args []string) error { return a.runMCPCall(ctx, access, args) },
	})
	access.bind(c.Flags())
	return c
}

func (a *app) runMCPCall(ctx context.Context, access mcpAccess, args []string) error {
	at := ""
	if strings.Contains(args[0], "://") {
		at, args = args[0], args[1:]
	}
	if len(args) == 0 {
		return usage("name the tool to call: `gatehouse mcp tools` lists them")
	}
	arguments, err := toolArguments(args[1:])
	if err != nil {
		return err
	}
	target, err := a.mcpTarget(ctx, at, access)
	if err != nil {
		return err
	}
	if a.flags.dryRun {
		_, err := fmt.Fprintf(a.out, "POST %s tools/call %s\n", render.Clean(target.url), render.Clean(args[0]))
		return err
	}
	called, err := mcptest.Call(ctx, a.mcpOptions(target), args[0], arguments)
	if err != nil {
		return err
	}
	if err := a.printCalled(called); err != nil {
		return err
	}
	if called.IsError {
		return fault.New(fault.Unavailable, "the tool says that it failed")
	}
	return nil
}

// toolArguments reads one JSON object, or NAME=VALUE words.
func toolArguments(words []string) (map[string]any, error) {
	all := map[string]any{}
	if len(words) == 1 && strings.HasPrefix(strings.TrimSpace(words[0]), "{") {
		if err := json.Unmarshal([]byte(words[0]), &all); err != nil {
			return nil, usage("the arguments are no JSON object: %v", err)
		}
		return all, nil
	}
	for _, word := range words {
		name, text, found := strings.Cut(word, "=")
		if !found || name == "" {
			return nil, usage("%q is no argument: write NAME=VALUE, or one JSON object", word)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		all[name] = value
	}
	return all, nil
}

// printCalled prints structured content as objects are printed; else the text. With
// --format json it is the whole result.
func (a *app) printCalled(c *mcptest.Called) error {
	p, err := a.printer()
	if err != nil {
		return err
	}
	switch {
	case p.Format == render.JSON:
		return p.Print(c.Result, render.View{})
	case c.Structured != nil:
		return p.Print(c.Structured, render.View{})
	}
	for _, text := range c.Texts {
		if p.Terminal {
			text = render.CleanLines(text)
		}
		if _, err := fmt.Fprintln(a.out, text); err != nil {
			return err
		}
	}
	return nil
}
