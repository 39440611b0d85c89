package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/config"
	"gatehouse/internal/local"
)

// backend is about what unix: and stdio: targets stand for on this machine: files
// in DATA_DIR, which these commands read and write themselves.
func (a *app) backend() *cobra.Command {
	return a.group("backend", "Programs and sockets that targets name on this machine", a.backendAdd(), a.backendList(), a.backendRemove())
}

// names is the folder of definitions that belongs to the DATA_DIR of the command.
func (a *app) localNames(set settings) (local.Dir, error) {
	client, err := config.LoadClient(a.source(set.given()))
	if err != nil {
		return local.Dir{}, err
	}
	return local.In(client.DataDir), nil
}

// program are the flags that say how a program runs.
type program struct {
	env            []string
	user, mode     string
	memory         int64
	sessions, idle int
}

func (p *program) bind(f *pflag.FlagSet) {
	f.StringArrayVar(&p.env, "env", nil, "variable that the program gets: NAME=VALUE, or NAME for the value that it has here; repeatable")
	f.StringVar(&p.user, "user", "", "account that the program runs as where Gatehouse is root (default nobody)")
	f.StringVar(&p.mode, "processes", "", "session: a process for each session; shared: one for everybody (default session)")
	f.Int64Var(&p.memory, "memory", 0, "bytes of writable memory for a process (default 2 GiB)")
	f.IntVar(&p.sessions, "sessions", 0, "sessions at once, half of them at most for one person and client (default 64)")
	f.IntVar(&p.idle, "idle", 0, "seconds after which an unused session ends (default 1800)")
}

// definition is the program that a command line names.
func (a *app) definition(name string, words []string, p program) (local.Definition, error) {
	command := words[0]
	if strings.Contains(command, "/") {
		path, err := filepath.Abs(command)
		if err != nil {
			return local.Definition{}, err
		}
		command = path
	}
	if p.mode != "" && p.mode != local.PerSession && p.mode != local.Shared {
		return local.Definition{}, usage("--processes %q: is session or shared", p.mode)
	}
	def := local.Definition{
		Name: name, Kind: local.Stdio, Command: command, Args: words[1:], Env: map[string]string{},
		User: p.user, Mode: p.mode, Memory: p.memory, Sessions: p.sessions, Idle: p.idle,
	}
	for _, pair := range p.env {
		variable, value, given := strings.Cut(pair, "=")
		if !given {
			var set bool
			if value, set = lookupEnv(a.env, variable); !set {
				return def, usage("--env %s: it has no value here; write NAME=VALUE", variable)
			}
		}
		def.Env[variable] = value
	}
	if err := def.Check(); err != nil {
		return def, err
	}
	if _, err := exec.LookPath(def.Command); err != nil { // it may be installed before it is needed
		_, _ = fmt.Fprintf(a.err, "warning: there is no program %s on this machine yet: requests get 503 until there is\n", render.Clean(command))
	}
	return def, nil
}

// lookupEnv is a variable of an environment.
func lookupEnv(env []string, name string) (string, bool) {
	for _, pair := range slices.Backward(env) { // the last one counts
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func (a *app) backendAdd() *cobra.Command {
	var set settings
	var p program
	var socket string
	c := a.server(verb{
		use: "add NAME [flags] [-- COMMAND ARGS…]", short: "Define what stdio:NAME or unix:NAME stands for",
		long: "Defines a program that speaks MCP over its standard input and output, for targets stdio:NAME, or with --socket a unix\n" +
			"socket that speaks HTTP, for targets unix:NAME. A definition of the same name is replaced; it counts from the next\n" +
			"session or connection on. The file is DATA_DIR/local.d/NAME.json; nothing of it can be changed over the network.",
		example: "  gatehouse backend add files -- npx -y @modelcontextprotocol/server-filesystem /srv/files\n  gatehouse backend add search --env SEARCH_API_KEY --processes shared -- /opt/search/server\n  gatehouse backend add app --socket /run/app/http.sock",
		args: func(cmd *cobra.Command, args []string) error {
			if socket != "" {
				return cobra.ExactArgs(1)(cmd, args)
			}
			return cobra.MinimumNArgs(2)(cmd, args)
		},
		run: func(_ context.Context, args []string) error {
			dir, err := a.localNames(set)
			if err != nil {
				return err
			}
			def := local.Definition{Name: args[0], Kind: local.Unix, Path: socket}
			if socket == "" {
				if def, err = a.definition(args[0], args[1:], p); err != nil {
					return err
				}
			}
			if err := dir.Put(def); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.err, "%s:%s is defined on this machine\n", def.Kind, def.Name)
			return err
		},
	}, "local")
	c.Flags().StringVar(&socket, "socket", "", "absolute path of a unix socket that speaks HTTP, in place of a program")
	p.bind(c.Flags())
	set.only(c.Flags(), "DATA_DIR")
	return c
}

func (a *app) backendList() *cobra.Command {
	var set settings
	c := a.server(verb{
		use: "list [flags]", short: "List what is defined on this machine", example: "  gatehouse backend list",
		run: func(context.Context, []string) error {
			dir, err := a.localNames(set)
			if err != nil {
				return err
			}
			all, broken, err := dir.List()
			if err != nil {
				return err
			}
			for _, err := range broken {
				_, _ = fmt.Fprintln(a.err, render.Clean(a.sentence(err)))
			}
			return a.printBackends(all)
		},
	}, "local", "format")
	set.only(c.Flags(), "DATA_DIR")
	return c
}

// printBackends shows definitions; of the environment only the names.
func (a *app) printBackends(all []local.Definition) error {
	type line struct {
		Target  string   `json:"target"`
		Runs    string   `json:"runs"`
		Mode    string   `json:"processes,omitempty"`
		User    string   `json:"user,omitempty"`
		EnvVars []string `json:"env_names,omitempty"`
	}
	lines := make([]line, 0, len(all))
	for _, def := range all {
		l := line{Target: def.Kind + ":" + def.Name, Runs: def.Path, Mode: def.Mode, User: def.User}
		if def.Kind == local.Stdio {
			l.Runs = strings.Join(append([]string{def.Command}, def.Args...), " ")
		}
		for name := range def.Env {
			l.EnvVars = append(l.EnvVars, name)
		}
		lines = append(lines, l)
	}
	raw, err := json.Marshal(map[string]any{"items": lines})
	if err != nil {
		return err
	}
	return a.print(raw, render.View{List: "items", Empty: "Nothing is defined: `gatehouse backend add` does that.", Columns: []render.Column{
		{Title: "TARGET", Field: "target"}, {Title: "RUNS", Field: "runs", Width: 60}, {Title: "PROCESSES", Field: "processes"}, {Title: "USER", Field: "user"},
	}})
}

func (a *app) backendRemove() *cobra.Command {
	var set settings
	c := a.server(verb{
		use: "remove NAME [flags]", short: "Forget a definition", example: "  gatehouse backend remove files",
		long: "Forgets what stdio:NAME or unix:NAME stands for on this machine. Hosts whose target names it answer 503 from then on.",
		args: cobra.ExactArgs(1),
		run: func(_ context.Context, args []string) error {
			dir, err := a.localNames(set)
			if err != nil {
				return err
			}
			return dir.Remove(args[0])
		},
	}, "local")
	set.only(c.Flags(), "DATA_DIR")
	return c
}

var notInNames = regexp.MustCompile(`[^a-z0-9_-]+`)

// nameOf is the name of the definition that `protect --stdio` makes for a host.
func nameOf(host string) string {
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(host), "-"), "-")
	return name[:min(len(name), 63)]
}
