package boltstore_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

func TestOnlyThisUserCanReadTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "anew")
	s := openIn(t, dir)
	if _, err := s.Commit(t.Context(), store.Write{Key: "k", If: 0}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if _, err := s.Append(t.Context(), store.Block{Log: "audit", First: now, Last: now, Data: []byte("x")}, true); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if !d.IsDir() {
			files++
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Fatalf("%d files, %v: want at least lock, database and segment", files, err)
	}
}

func TestAnOpenFolderIsClosedToOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("the folder has mode %v (%v), want 0700", info.Mode(), err)
	}
}

func TestASecondProcessIsToldWhoHasTheFolder(t *testing.T) {
	dir := t.TempDir()
	cmd, lines := child(t, "holder", dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the child said %q", lines.Text())
	}
	start := time.Now()
	_, err = boltstore.Open(dir, boltstore.Options{LockWait: 300 * time.Millisecond})
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v, want Unavailable", err)
	}
	for _, says := range []string{"another gatehouse uses DATA_DIR " + dir, fmt.Sprintf("process %d", cmd.Process.Pid)} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	if waited := time.Since(start); waited < 300*time.Millisecond || waited > 10*time.Second {
		t.Errorf("it was told after %s, asked for 300ms", waited)
	}
	// A predecessor that is just ending is waited for.
	opened := make(chan error, 1)
	go func() {
		s, err := boltstore.Open(dir, boltstore.Options{LockWait: 20 * time.Second})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatalf("after the other ended: %v", err)
	}
}

func TestTheSameProcessCanNotOpenItTwice(t *testing.T) {
	dir := t.TempDir()
	openIn(t, dir)
	_, err := boltstore.Open(dir, boltstore.Options{LockWait: time.Millisecond})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "another gatehouse uses") {
		t.Fatalf("got %v", err)
	}
}

func TestAFolderThatCanNotBeIsToldByName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := boltstore.Open(dir, boltstore.Options{})
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, want Unavailable with the path", dir, err)
		}
	}
}
