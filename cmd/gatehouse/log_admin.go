package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
)

func (a *app) logClear() *cobra.Command {
	var force bool
	c := a.command(verb{
		use: "clear [flags]", short: "Forget all entries but those of changes", example: "  gatehouse log clear --force",
		run: func(ctx context.Context, _ []string) error {
			if err := a.confirm(ctx, force, "Forget all log entries but those of changes?"); err != nil {
				return err
			}
			return a.call(ctx, "clear_logs", control.Nothing{}, done("the log is empty, but for changes"))
		},
	})
	bindForce(c.Flags(), &force)
	return c
}

func (a *app) logTest() *cobra.Command {
	var in control.TestLog
	c := a.command(verb{
		use: "test [flags]", short: "Write one entry, to see whether entries arrive", example: "  gatehouse log test --message hello",
		run: func(ctx context.Context, _ []string) error { return a.call(ctx, "test_logs", in, done("written")) },
	})
	c.Flags().StringVar(&in.Message, "message", "", "text of the entry")
	return c
}

// logLevel shows the levels of the process log without an argument, sets one
// with it, and puts them back with --reset.
func (a *app) logLevel() *cobra.Command {
	var component string
	var reset bool
	levels := []string{"TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
	c := a.command(verb{
		use: "level [LEVEL] [flags]", short: "Show or change from which level on the process log writes",
		example: "  gatehouse log level\n  gatehouse log level DEBUG --component edge\n  gatehouse log level --reset",
		args:    cobra.MaximumNArgs(1), complete: cobra.FixedCompletions(levels, cobra.ShellCompDirectiveNoFileComp),
		run: func(ctx context.Context, args []string) error {
			switch {
			case reset && len(args) == 0:
				return a.call(ctx, "reset_log_level", control.ResetLogLevel{Component: component}, render.View{})
			case reset:
				return usage("give a level or --reset, not both")
			case len(args) == 1:
				return a.call(ctx, "set_log_level", control.SetLogLevel{Level: args[0], Component: component}, render.View{})
			case component != "":
				return usage("say which level %s is to have", strconv.Quote(component))
			}
			return a.call(ctx, "get_log_level", control.Nothing{}, render.View{})
		},
	})
	c.Flags().StringVar(&component, "component", "", "only this part of the program, like edge or oauth")
	c.Flags().BoolVar(&reset, "reset", false, "back to what the configuration says")
	return c
}
