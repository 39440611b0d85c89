package test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSignalsEndCleanly: each signal that a supervisor or a closing terminal
// sends ends the program with exit code 0, and takes listen.json away.
func TestSignalsEndCleanly(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		s := start(t, nil, "serve")
		if err := s.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%v did not end the program:\n%s", signal, s.said())
		}
		if code := s.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%v: exit code %d\n%s", signal, code, s.said())
		}
		if _, err := os.Stat(filepath.Join(s.dir, "data", "listen.json")); err == nil {
			t.Errorf("%v left listen.json behind", signal)
		}
	}
}
