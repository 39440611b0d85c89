package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/control"
	"gatehouse/internal/fault"
	"gatehouse/internal/mcpserver"
)

// inside runs command lines in the server itself, for its MCP tool run_command:
// the same commands, whose requests go to the API without a network, with the
// caller who is in the context. Nothing of the machine is theirs: no environment,
// no files, no terminal, no other server.
type inside struct {
	api        http.Handler
	operations []*control.Operation
}

// refusedInside are commands of the client that are no single operation, each
// with the reason.
var refusedInside = map[string]string{
	"gatehouse oauth login":    "it signs a person in on their own machine",
	"gatehouse oauth logout":   "it is about a sign-in on a person's own machine",
	"gatehouse oauth refresh":  "it is about a sign-in on a person's own machine",
	"gatehouse oauth status":   "it is about a sign-in on a person's own machine: the tool get_token_info tells who is calling",
	"gatehouse oauth register": "it is a request to an OAuth endpoint, not an operation",
	"gatehouse system status":  "it asks for three things: use system health, system stats and system nodes",
	"gatehouse system events":  "it is a stream without an end",
	"gatehouse mcp test":       "it asks another server, from this machine",
	"gatehouse mcp stress":     "it asks another server, from this machine",
	"gatehouse mcp tools":      "it asks another server, from this machine",
	"gatehouse mcp call":       "it asks another server, from this machine",
	"gatehouse log follow":     "it is a stream without an end: use log search",
}

// nounsInside are the nouns whose commands ask the API. A noun that is not here,
// such as store, which opens the store itself, runs on the machine alone.
var nounsInside = []string{"proxy", "route", "cert", "oauth", "resource", "mcp", "log", "system"}

// refusedFlags are about where and as whom a program on a person's machine asks.
var refusedFlags = []string{"local", "url", "token", "profile", "debug"}

// maxPrinted bounds what a command may print, in bytes.
const maxPrinted = 4 << 20

// run is one command line with the rights of the caller in ctx.
func (in *inside) run(ctx context.Context, args []string) mcpserver.CommandResult {
	var out, stderr printed
	once := &once{in: in}
	a := &app{in: strings.NewReader(""), out: &out, err: &stderr, inside: once}
	root := a.root() //nolint:contextcheck // commands get ctx from ExecuteContext
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return insideOnly(cmd) }
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.began {
		err = usageError{fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath())}
	}
	if err == nil && (out.full || stderr.full) {
		err = fault.New(fault.TooLarge, "it was done, and printed more than %d bytes: ask for less, with --limit", maxPrinted)
	}
	result := mcpserver.CommandResult{ExitCode: exitCode(err), Output: out.String()}
	if err != nil {
		result.Error = strings.TrimSpace(stderr.String() + "\n" + render.Clean(a.sentence(err)))
	}
	return result
}

// insideOnly is nil for a command that is one operation.
func insideOnly(cmd *cobra.Command) error {
	top := cmd
	for top.HasParent() && top.Parent().HasParent() {
		top = top.Parent()
	}
	if !contains(nounsInside, top.Name()) {
		return usage("%s can't be run here: only commands that ask a running Gatehouse for one operation can", cmd.CommandPath())
	}
	if reason, refused := refusedInside[cmd.CommandPath()]; refused {
		return usage("%s can't be run here: %s", cmd.CommandPath(), reason)
	}
	var wrong error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case f.Name == "wait":
			wrong = usage("--wait can't be used here: leave it out, and ask again how it stands")
		case contains(refusedFlags, f.Name):
			wrong = usage("--%s can't be used here: a command runs in this Gatehouse, with the rights of who calls", f.Name)
		}
	})
	return wrong
}

// readFile is a file that the command line names.
func (a *app) readFile(name string) ([]byte, error) {
	if a.inside != nil {
		return nil, usage("files can't be read here")
	}
	return os.ReadFile(name)
}

// writeFile makes a file that only this account can read. It must not exist.
func (a *app) writeFile(name, text string) error {
	if a.inside != nil {
		return usage("files can't be written here")
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}

// once lets through the requests of one operation, one after the other: the pages
// of a list are one operation, a change is one request.
type once struct {
	in   *inside
	done *control.Operation
}

// RoundTrip serves r in this process.
func (o *once) RoundTrip(r *http.Request) (*http.Response, error) {
	op := o.in.find(r)
	switch {
	case op == nil:
		return nil, fault.New(fault.Denied, "only operations can be asked for here")
	case op.Secret:
		return nil, fault.New(fault.Denied, "%s answers a secret, which no conversation should hold: use the command line or the console", op.Name)
	case o.done != nil && (o.done != op || op.Changes()):
		return nil, fault.New(fault.Denied, "a command here is one operation, and %s would be the second", op.Name)
	}
	o.done = op
	w := &answerWriter{header: http.Header{}, status: http.StatusOK}
	o.in.api.ServeHTTP(w, r)
	return &http.Response{
		StatusCode: w.status, Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// find is the operation that r asks for.
func (in *inside) find(r *http.Request) *control.Operation {
	mux := http.NewServeMux()
	byPattern := map[string]*control.Operation{}
	for _, op := range in.operations {
		if op.Method != r.Method {
			continue
		}
		for _, pattern := range []string{op.Pattern, strings.TrimSuffix(op.Pattern, "/")} {
			if pattern == "" || byPattern[pattern] != nil {
				continue
			}
			byPattern[pattern] = op
			exact := pattern
			if strings.HasSuffix(pattern, "/") {
				exact += "{$}"
			}
			mux.Handle(exact, known{op})
		}
	}
	h, _ := mux.Handler(r)
	if k, ok := h.(known); ok {
		return k.Operation
	}
	return nil
}

// known is an operation where the mux wants a handler.
type known struct{ *control.Operation }

func (known) ServeHTTP(http.ResponseWriter, *http.Request) {}

// answerWriter keeps an answer in memory.
type answerWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answerWriter) Header() http.Header         { return w.header }
func (w *answerWriter) WriteHeader(status int)      { w.status = status }
func (w *answerWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

// printed keeps what a command prints, up to a bound.
type printed struct {
	bytes.Buffer
	full bool
}

func (p *printed) Write(b []byte) (int, error) {
	if p.Len()+len(b) > maxPrinted {
		p.full = true
		return 0, errors.New("too much was printed")
	}
	return p.Buffer.Write(b)
}
