// Package test drives the real program from outside: it builds the binary,
// starts it as a user would, and talks to it with real clients and a real
// browser. Nothing in here reaches into the program.
package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// binary is the program under test, built once with the race detector.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gatehouse-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "gatehouse")
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		build := exec.CommandContext(ctx, "go", "build", "-race", "-o", binary, "gatehouse/cmd/gatehouse")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// whole reports whether long tests run in full.
func whole() bool { return os.Getenv("GATEHOUSE_TEST_ALL") != "" }

// need is the path of a program that a test can't do without. Without it the
// test skips with one line, or fails where nothing may be skipped.
func need(t *testing.T, program, debian string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
		t.Fatalf("%s is not here and nothing may be skipped (%s)", program, debian)
	}
	t.Skipf("%s is not here (%s)", program, debian)
	return ""
}
