package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"gatehouse/cmd/gatehouse/internal/render"
	"gatehouse/internal/fault"
)

// maxLine bounds what is read from a prompt or a pipe.
const maxLine = 64 << 10

// confirm asks before something is lost or opened. In a pipe nobody can answer: there the
// command line must say --force.
func (a *app) confirm(ctx context.Context, force bool, question string) error {
	if force || a.flags.dryRun {
		return nil
	}
	if _, ok := terminal(a.in); !ok {
		return usage("nobody is there to say yes: add --force")
	}
	_, _ = fmt.Fprintf(a.err, "%s [y/N] ", render.Clean(question))
	answer, err := waited(ctx, func() (string, error) { return readLine(a.in) })
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return fault.New(fault.Malformed, "nothing was done")
}

// presented asks for a secret that exists already, once; from a pipe it takes the
// first line.
func (a *app) presented(ctx context.Context, label string) (string, error) {
	if tty, ok := terminal(a.in); ok {
		return a.hidden(ctx, tty, label+": ")
	}
	line, err := waited(ctx, func() (string, error) { return readLine(a.in) })
	if line = strings.TrimSpace(line); err == nil && line == "" {
		err = usage("give the %s as the first line of stdin", label)
	}
	return line, err
}

// secret asks for a password, twice on a terminal; from a pipe it takes the
// first line. No secret is ever an argument: process lists and shell histories
// show those.
func (a *app) secret(ctx context.Context, label string) (string, error) {
	tty, ok := terminal(a.in)
	if !ok {
		line, err := waited(ctx, func() (string, error) { return readLine(a.in) })
		if err == nil && line == "" {
			err = usage("give the %s as the first line of stdin", label)
		}
		return line, err
	}
	once, err := a.hidden(ctx, tty, label+": ")
	if err != nil {
		return "", err
	}
	again, err := a.hidden(ctx, tty, label+" again: ")
	if err == nil && once != again {
		err = fault.New(fault.Invalid, "the two are not the same: nothing was changed")
	}
	return once, err
}

// hidden reads a line that the terminal does not show, and puts the terminal
// back whatever happens.
func (a *app) hidden(ctx context.Context, tty *os.File, label string) (string, error) {
	state, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(int(tty.Fd()), state) }() // nothing better to do if it fails
	_, _ = io.WriteString(a.err, label)
	text, err := waited(ctx, func() (string, error) {
		line, err := term.ReadPassword(int(tty.Fd()))
		return string(line), err
	})
	_, _ = io.WriteString(a.err, "\n")
	if err == nil && text == "" {
		err = fault.New(fault.Invalid, "the %s is empty: nothing was changed", strings.TrimSuffix(label, ": "))
	}
	return text, err
}

// waited is read, given up when ctx ends. The read itself can't be ended; the
// program is about to.
func waited(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// readLine is the next line without its end.
func readLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
