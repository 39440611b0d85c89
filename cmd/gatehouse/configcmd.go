package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/config"
	"gatehouse/internal/fault"
)

// config is about the settings of this machine's Gatehouse.
func (a *app) config() *cobra.Command {
	return a.group("config", "Settings of the server on this machine", a.configCheck())
}

func (a *app) configCheck() *cobra.Command {
	var set settings
	var strict bool
	c := a.server(verb{
		use: "check [flags]", short: "Validate all settings and show the effective values",
		long:    "Reads the environment and .env as `serve` would, reports everything that breaks a rule,\nand prints the effective values with secrets masked.",
		example: "  gatehouse config check\n  gatehouse config check --strict --format json",
		run:     func(context.Context, []string) error { return a.check(set, strict) },
	}, "format")
	set.bind(c.Flags())
	c.Flags().BoolVar(&strict, "strict", false, "settings that must not stand in production are errors too")
	return c
}

func (a *app) check(set settings, strict bool) error {
	cfg, err := config.Load(a.source(set.given()))
	if err != nil {
		return a.eachRule(err)
	}
	for _, w := range cfg.Warnings() {
		_, _ = fmt.Fprintf(a.err, "warning: %s %s\n", w.Name, render.Clean(w.Text))
	}
	answer, err := json.Marshal(map[string]any{"items": cfg.Effective()})
	if err != nil {
		return err
	}
	if err := a.print(answer, configView()); err != nil || !strict {
		return err
	}
	return cfg.Strict()
}

// eachRule writes broken rules as lines, which people can work off.
func (a *app) eachRule(err error) error {
	broken, ok := errors.AsType[*fault.Error](err)
	if !ok || len(broken.Fields) < 2 {
		return err
	}
	for _, f := range broken.Fields {
		_, _ = fmt.Fprintf(a.err, "%s: %s\n", f.Path, render.Clean(f.Rule))
	}
	return fault.New(fault.Invalid, "%s: %d settings break a rule", broken.Public, len(broken.Fields))
}

func configView() render.View {
	return render.View{List: "items", Columns: []render.Column{{Title: "VARIABLE", Field: "name"}, {Title: "VALUE", Field: "value"}, {Title: "FROM", Field: "source"}}}
}
