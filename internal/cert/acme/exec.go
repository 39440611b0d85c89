package acme

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"gatehouse/internal/fault"
)

// Exec sets records by a program of the machine's administrator:
//
//	PROGRAM present _acme-challenge.example.com. VALUE
//	PROGRAM cleanup _acme-challenge.example.com. VALUE
//
// The path comes from the environment alone (DNS_EXEC), never over the network
// or from the store. There is no shell in between. Exit code 0 means done, and
// for present also that the record can be seen.
type Exec struct{ Program string }

// execPath is where the program finds others.
const execPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const maxSaid = 2 << 10 // bytes of a program's output that are kept

// Set runs the program with present.
func (e Exec) Set(ctx context.Context, name, value string) error {
	return e.run(ctx, "present", name, value)
}

// Remove runs the program with cleanup.
func (e Exec) Remove(ctx context.Context, name, value string) error {
	return e.run(ctx, "cleanup", name, value)
}

func (e Exec) run(ctx context.Context, verb, name, value string) error {
	cmd := exec.CommandContext(ctx, e.Program, verb, name, value)
	cmd.Env = []string{execPath} // none of our secrets
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its children too
	cmd.WaitDelay = 2 * time.Second
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind; mostly nothing
	}
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // ErrWaitDelay: it ended well, a child of its did not
		return nil
	case ctx.Err() != nil:
		return fault.Wrap(fault.Unavailable, fmt.Errorf("it said: %s", oneLine(said.String())), "DNS_EXEC %s %s did not end in time and was killed", verb, name)
	}
	// What it said may hold its credentials: that is for the log, which masks them.
	return fault.Wrap(fault.Unavailable, fmt.Errorf("it said: %s", oneLine(said.String())), "DNS_EXEC %s %s failed (%v); the log has what it said", verb, name, err)
}

// tail keeps the end of what is written to it.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p)
	if over := t.b.Len() - maxSaid; over > 0 {
		t.b.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string { return t.b.String() }
