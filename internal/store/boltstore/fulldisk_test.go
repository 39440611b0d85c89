package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

// TestFullDiskIsToldAndHarmsNothing runs the store on a disk of 3 MB in a
// process with mounts of its own.
func TestFullDiskIsToldAndHarmsNothing(t *testing.T) {
	cmd, lines := child(t, "fulldisk", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("this machine lets nobody have mounts of their own: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	err := cmd.Wait()
	if len(said) > 0 && strings.HasPrefix(said[0], "skip") {
		t.Skip(said[0])
	}
	if err != nil || len(said) == 0 || said[len(said)-1] != "good" {
		t.Fatalf("the child said %q and ended with %v", said, err)
	}
	t.Log(said)
}

func childFullDisk(dir string) error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		fmt.Println("skip: mounts can't be made private:", err)
		return nil
	}
	if err := syscall.Mount("small", dir, "tmpfs", 0, "size=3m"); err != nil {
		fmt.Println("skip: no small disk can be mounted:", err)
		return nil
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	d := &fullDisk{dir: filepath.Join(dir, "data")}
	steps := []func() error{
		d.open, d.fillKeys, d.check, d.fillLog, d.check, d.reopen, d.check,
		func() error { return os.Remove(ballast) },
		d.goOn, d.check, d.reopen, d.check,
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	fmt.Printf("%d keys and %d blocks were taken\n", d.keys, d.blocks)
	fmt.Println("good")
	return d.s.Close()
}

// fullDisk remembers what the store acknowledged.
type fullDisk struct {
	dir          string
	s            *boltstore.Store
	keys, blocks int
}

func (d *fullDisk) open() (err error) {
	d.s, err = boltstore.Open(d.dir, boltstore.Options{})
	return err
}

func (d *fullDisk) reopen() error {
	if err := d.s.Close(); err != nil {
		return err
	}
	return d.open()
}

func (d *fullDisk) put() error {
	_, err := d.s.Commit(context.Background(), store.Write{
		Key: fmt.Sprintf("k:%06d", d.keys), Value: make([]byte, 20_000), If: 0,
	})
	if err == nil {
		d.keys++
	}
	return err
}

func (d *fullDisk) append(size int) error {
	now := time.Now()
	_, err := d.s.Append(context.Background(), store.Block{Log: "audit", First: now, Last: now, Data: make([]byte, size)}, true)
	if err == nil {
		d.blocks++
	}
	return err
}

// fillKeys writes until the disk is full and wants that said, more than once.
func (d *fullDisk) fillKeys() error {
	for d.keys < 1000 {
		if err := d.put(); err != nil {
			return errors.Join(wantFull(err), wantFull(d.put()), wantFull(d.put()))
		}
	}
	return errors.New("the disk never was full")
}

func (d *fullDisk) fillLog() error {
	for size := 50_000; size > 1000; {
		if err := d.append(size); err == nil {
			continue
		} else if err := wantFull(err); err != nil {
			return err
		}
		size /= 2
	}
	return nil
}

// goOn wants that there is room again, without a restart.
func (d *fullDisk) goOn() error { return errors.Join(d.put(), d.append(20_000), d.put()) }

// check wants exactly what was acknowledged.
func (d *fullDisk) check() error {
	items, err := d.s.List(context.Background(), "k:", "", 0)
	if err != nil {
		return err
	}
	blocks := 0
	err = d.s.Range(context.Background(), "audit", time.Time{}, time.Time{}, true, func(store.Block) bool { blocks++; return true })
	if err != nil {
		return err
	}
	info, err := d.s.Info(context.Background(), "audit")
	if len(items) != d.keys || blocks != d.blocks || info.Damaged != 0 {
		return fmt.Errorf("there are %d keys and %d blocks, %d damaged, acknowledged were %d and %d", len(items), blocks, info.Damaged, d.keys, d.blocks)
	}
	return err
}

func wantFull(err error) error {
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "is full") {
		return fmt.Errorf("got %w, want Unavailable that says the disk is full", err)
	}
	return nil
}
