// Command gatehouse is all of Gatehouse: the server (`serve`, `protect`) and the
// command line that talks to one.
//
// main.go runs a command; root.go is the tree of commands; each noun has a file
// that binds flags to the operation's argument struct, hands it to api/client
// and prints the answer. serve.go wires the server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/fault"
	"gatehouse/internal/stdio"
)

// Exit codes, which scripts rely on.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // the command line, the configuration or what they hold breaks a rule
	exitRefused     = 3 // not signed in, or not allowed
	exitInterrupted = 130
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == stdio.LaunchWord {
		_, _ = fmt.Fprintln(os.Stderr, "gatehouse:", stdio.Launch(os.Args[2], os.Environ())) // it comes back only when it failed
		os.Exit(127)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program: args without its name, the environment as
// NAME=value. It returns the exit code, after it has said on stderr what failed.
func run(ctx context.Context, args, env []string, in io.Reader, out, stderr io.Writer) int {
	a := &app{env: env, in: in, out: out, err: stderr}
	root := a.root() //nolint:contextcheck // commands get ctx from ExecuteContext
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.began {
		if v, ok := errors.AsType[*pflag.InvalidValueError](err); ok && errors.Is(err, strconv.ErrSyntax) {
			err = fmt.Errorf("--%s: %q is no number", v.GetFlag().Name, v.GetValue())
		}
		err = usageError{fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath())} // cobra's own: it never came to the command
	}
	code := exitCode(err)
	if code != exitOK && code != exitInterrupted {
		_, _ = fmt.Fprintln(stderr, "gatehouse: "+render.Clean(a.sentence(err)))
	}
	return code
}

// usageError is a command line that can't be meant.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage makes a usageError.
func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	var wrong usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &wrong):
		return exitUsage
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		return exitUsage
	case fault.Unauthenticated, fault.Denied:
		return exitRefused
	}
	return exitFailed
}

// sentence is what a person is told of err. The private cause of a failure on
// this machine helps; a server's is in its log.
func (a *app) sentence(err error) string {
	e, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	said := e.Message()
	if a.serving && e.Cause != nil {
		said = strings.ReplaceAll(e.Error(), "\n", "; ")
	}
	switch {
	case e.Kind == fault.Unauthenticated && a.flags.local:
		said += " (--local counts at this machine's direct door and socket only)"
	case e.Kind == fault.Unauthenticated && !strings.Contains(said, "oauth login") && !a.serving:
		said += " (run `gatehouse oauth login`)"
	case e.RetryAfter > 0:
		said += fmt.Sprintf(" (try again in %s)", e.RetryAfter.Round(time.Second))
	}
	return said
}
