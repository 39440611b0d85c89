package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"golang.org/x/term"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/api/client"
	"gatehouse/internal/journal"
)

// call runs the operation called name and prints its answer.
func (a *app) call(ctx context.Context, name string, argument any, v render.View) error {
	conn, req, err := a.prepare(name, argument)
	if err != nil {
		return err
	}
	return a.send(ctx, conn, req, v)
}

// prepare finds the API and makes the request.
func (a *app) prepare(name string, argument any) (*connection, client.Request, error) {
	conn, err := a.connect()
	if err != nil {
		return nil, client.Request{}, err
	}
	req, err := conn.ops.Request(name, argument)
	return conn, req, err
}

func (a *app) send(ctx context.Context, conn *connection, req client.Request, v render.View) error {
	if a.flags.dryRun {
		return a.show(ctx, conn, req)
	}
	var answer json.RawMessage
	if err := conn.api.Do(ctx, req, &answer); err != nil {
		return err
	}
	return a.print(answer, v)
}

// list is call for a list. People and spreadsheets get all of it; who asks for
// pages, by JSON or by a limit, gets the API's page.
func (a *app) list(ctx context.Context, name string, argument any, v render.View) error {
	conn, req, err := a.prepare(name, argument)
	if err != nil {
		return err
	}
	p, err := a.printer()
	if err != nil {
		return err
	}
	whole := p.Effective() == render.Table || p.Effective() == render.CSV
	if a.flags.dryRun || !whole || req.Query.Has("limit") {
		return a.send(ctx, conn, req, v)
	}
	answer, err := pages(ctx, conn.api, req, v.List)
	if err != nil {
		return err
	}
	return p.Print(answer, v)
}

// pages reads a list to its end.
func pages(ctx context.Context, api *client.Client, req client.Request, list string) (json.RawMessage, error) {
	var all []json.RawMessage
	for {
		var page map[string]json.RawMessage
		if err := api.Do(ctx, req, &page); err != nil {
			return nil, err
		}
		var items []json.RawMessage
		var cursor string
		if err := json.Unmarshal(page[list], &items); err != nil {
			return nil, fmt.Errorf("the answer has no list called %s", list)
		}
		all = append(all, items...)
		if json.Unmarshal(page["cursor"], &cursor) != nil || cursor == "" {
			return json.Marshal(map[string]any{list: append([]json.RawMessage{}, all...)})
		}
		req.Query = with(req.Query, "cursor", cursor)
	}
}

func (a *app) print(answer json.RawMessage, v render.View) error {
	p, err := a.printer()
	if err != nil {
		return err
	}
	return p.Print(answer, v)
}

// printer prints to stdout in the format asked for.
func (a *app) printer() (*render.Printer, error) {
	format, err := render.ParseFormat(a.flags.format)
	if err != nil {
		return nil, usageError{err}
	}
	p := &render.Printer{Out: a.out, Format: format, Now: time.Now()}
	if f, ok := terminal(a.out); ok {
		p.Terminal = true
		p.Color = getenv(a.env, "NO_COLOR") == "" && getenv(a.env, "TERM") != "dumb"
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.Width = width
		}
	}
	return p, nil
}

// terminal is stream as a terminal, when it is one.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// show prints the request that would be sent, with secrets masked.
func (a *app) show(ctx context.Context, conn *connection, req client.Request) error {
	r, body, err := conn.api.Build(ctx, req)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(a.out, shown(r, body))
	return err
}

// shown is a request in words, as HTTP would send it.
func shown(r *http.Request, body []byte) string {
	var b bytes.Buffer
	_, _ = fmt.Fprintf(&b, "%s %s\n", r.Method, render.Clean(journal.MaskURL(r.URL.String())))
	writeHeaders(&b, r.Header)
	if len(body) > 0 {
		_, _ = fmt.Fprintf(&b, "\n%s\n", render.CleanLines(masked(body)))
	}
	return b.String()
}
