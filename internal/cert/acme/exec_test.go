package acme

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

func script(t *testing.T, text string) Exec {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return Exec{path}
}

func TestTheProgramIsToldWhatToDo(t *testing.T) {
	t.Setenv("SECRET_KEY", "s3cr3t")
	out := filepath.Join(t.TempDir(), "out")
	e := script(t, `echo "$@" "$SECRET_KEY" >>`+out)
	if err := e.Set(t.Context(), "_acme-challenge.example.com.", "val; rm -rf /"); err != nil {
		t.Fatal(err)
	}
	if err := e.Remove(t.Context(), "_acme-challenge.example.com.", "val"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if want := "present _acme-challenge.example.com. val; rm -rf / \ncleanup _acme-challenge.example.com. val \n"; err != nil || string(got) != want {
		t.Errorf("%v %q", err, got)
	}
}

// TestAProgramThatFailsTellsTheLogAlone: what it says may hold its credentials.
func TestAProgramThatFailsTellsTheLogAlone(t *testing.T) {
	e := script(t, `echo api key k3y refused; i=0; while [ $i -lt 5000 ]; do echo 0123456789; i=$((i+1)); done; printf 'the end\033[31m' >&2; exit 3`)
	err := e.Set(t.Context(), "n.", "v")
	f, ok := err.(*fault.Error) //nolint:errorlint // it is the outermost
	if !ok || !strings.Contains(f.Message(), "failed (exit status 3)") || strings.Contains(f.Message(), "0123456789") {
		t.Fatalf("%v", err)
	}
	if text := err.Error(); len(text) > 3<<10 || strings.ContainsRune(text, '\033') || !strings.Contains(text, "0123456789") {
		t.Errorf("the log gets %d bytes: %.200s", len(text), text)
	}
	if err := (Exec{"/nonexistent"}).Set(t.Context(), "n.", "v"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

// TestAProgramThatHangsIsKilledWithItsChildren.
func TestAProgramThatHangsIsKilledWithItsChildren(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	e := script(t, `sleep 300 & echo $! >`+pids+`; wait`)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := e.Set(ctx, "n.", "v")
	if err == nil || !strings.Contains(err.Error(), "did not end in time and was killed") || time.Since(begin) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
	gone(t, pids)
}

// TestAProgramsLeftoversAreEnded: it ended well and left something running.
func TestAProgramsLeftoversAreEnded(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	if err := script(t, `sleep 300 >/dev/null 2>&1 & echo $! >`+pids).Set(t.Context(), "n.", "v"); err != nil {
		t.Error(err)
	}
	gone(t, pids)
}

// gone wants the process whose id stands in a file to have ended; a zombie that
// nobody waits for has.
func gone(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("a child of the program lives on")
		}
	}
}
