package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completeFor bounds how long a shell waits for live names.
const completeFor = 2 * time.Second

// names completes the first argument with what an operation lists: the member
// called field of each item, or the items themselves where field is empty.
func (a *app) names(operation, field string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.live(cmd.Context(), operation, field, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// live are the names that begin so; none when the API does not answer.
func (a *app) live(ctx context.Context, operation, field, begun string) []string {
	ctx, cancel := context.WithTimeout(ctx, completeFor)
	defer cancel()
	a.flags.debug = false
	conn, req, err := a.prepare(operation, nil)
	if err != nil {
		return nil
	}
	answer, err := pages(ctx, conn.api, req, "items")
	if err != nil {
		return nil
	}
	var names []string
	for _, name := range itemNames(answer, field) {
		if strings.HasPrefix(name, begun) {
			names = append(names, name)
		}
	}
	return names
}

func itemNames(answer json.RawMessage, field string) []string {
	var plain struct{ Items []string }
	if field == "" {
		_ = json.Unmarshal(answer, &plain) // no names, then
		return plain.Items
	}
	var list struct{ Items []map[string]any }
	_ = json.Unmarshal(answer, &list) // no names, then
	var names []string
	for _, item := range list.Items {
		if name, ok := item[field].(string); ok && printable(name) {
			names = append(names, name)
		}
	}
	return names
}

// printable reports whether a shell may be shown a name.
func printable(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// flagNames completes a flag's value as names does an argument.
func (a *app) flagNames(c *cobra.Command, flag, operation, field string) {
	_ = c.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return a.live(cmd.Context(), operation, field, begun), cobra.ShellCompDirectiveNoFileComp
	}) // fails only for a flag that is not there
}
