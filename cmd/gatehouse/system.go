package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/api/client"
)

// system is the noun for the installation itself.
func (a *app) system() *cobra.Command {
	return a.group("system", "The installation itself",
		a.plain("info", "Show what this installation is", "get_info"),
		a.plain("health", "Show whether it serves", "health_check"),
		a.plain("stats", "Show counts and the process's memory", "get_stats"),
		a.systemStatus(), a.systemNodes(), a.systemEvents())
}

// plain is a verb without arguments that shows one object.
func (a *app) plain(word, short, operation string) *cobra.Command {
	return a.command(verb{
		use: word, short: short, example: "  gatehouse system " + word,
		run: func(ctx context.Context, _ []string) error { return a.call(ctx, operation, nil, render.View{}) },
	})
}

func nodesView() render.View {
	return render.View{List: "items", Empty: "No node.", Columns: []render.Column{
		{Title: "NODE", Field: "node"}, {Title: "VERSION", Field: "version"}, {Title: "STARTED", Field: "started", As: render.When},
		{Title: "UP", Field: "uptime_seconds", As: render.Age}, {Title: "ANSWERS", Field: "self", As: render.YesNo},
	}}
}

func (a *app) systemNodes() *cobra.Command {
	return a.command(verb{
		use: "nodes", short: "List the nodes that share the store", example: "  gatehouse system nodes",
		run: func(ctx context.Context, _ []string) error { return a.call(ctx, "list_nodes", nil, nodesView()) },
	})
}

// systemStatus asks three things at once: programs get one object, people three
// tables.
func (a *app) systemStatus() *cobra.Command {
	return a.command(verb{
		use: "status", short: "Show health, counts and nodes together", example: "  gatehouse system status",
		run: func(ctx context.Context, _ []string) error {
			conn, err := a.connect()
			if err != nil {
				return err
			}
			parts := []part{{"health", "health_check", render.View{}}, {"stats", "get_stats", render.View{}}, {"nodes", "list_nodes", nodesView()}}
			return a.together(ctx, conn, parts)
		},
	})
}

// part is one of several answers that are shown together.
type part struct {
	name, operation string
	view            render.View
}

func (a *app) together(ctx context.Context, conn *connection, parts []part) error {
	p, err := a.printer()
	if err != nil {
		return err
	}
	all := make(map[string]json.RawMessage, len(parts))
	for _, part := range parts {
		req, err := conn.ops.Request(part.operation, nil)
		if err != nil {
			return err
		}
		if a.flags.dryRun {
			if err := a.show(ctx, conn, req); err != nil {
				return err
			}
			continue
		}
		var answer json.RawMessage
		if err := conn.api.Do(ctx, req, &answer); err != nil {
			return err
		}
		all[part.name] = answer
	}
	if a.flags.dryRun {
		return nil
	}
	return a.printParts(p, parts, all)
}

func (a *app) printParts(p *render.Printer, parts []part, all map[string]json.RawMessage) error {
	if p.Effective() != render.Table {
		answer, err := json.Marshal(all)
		if err != nil {
			return err
		}
		return p.Print(answer, render.View{})
	}
	for i, part := range parts {
		if i > 0 {
			_, _ = fmt.Fprintln(a.out)
		}
		if err := p.Print(all[part.name], part.view); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) systemEvents() *cobra.Command {
	return a.command(verb{
		use: "events", short: "Show changes as they happen, until interrupted", example: "  gatehouse system events",
		run: func(ctx context.Context, _ []string) error {
			return a.follow(ctx, client.Get("/events", nil), []render.Column{{Field: "event", Width: 18}, {Field: "name"}})
		},
	})
}

// follow prints the entries of a stream until it ends.
func (a *app) follow(ctx context.Context, req client.Request, columns []render.Column) error {
	conn, err := a.connect()
	if err != nil {
		return err
	}
	if a.flags.dryRun {
		return a.show(ctx, conn, req)
	}
	p, err := a.printer()
	if err != nil {
		return err
	}
	if p.Format == render.CSV || p.Format == render.YAML {
		return usage("a stream has the formats auto, table and json")
	}
	return conn.api.Stream(ctx, req, func(e client.Event) error { return p.Entry(json.RawMessage(e.Data), columns) })
}
