package boltstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store/disk"
)

const (
	lockFile  = "lock"
	lockRetry = 50 * time.Millisecond
)

// Claim takes dir for this process without a store in it: it makes it if need be,
// keeps others out, and refuses when another process has it. Closing what it
// answers lets go.
func Claim(dir string, wait time.Duration) (io.Closer, error) {
	if err := makePrivate(dir); err != nil {
		return nil, err
	}
	return lockFolder(dir, wait)
}

// Exists reports whether there is a store in dir.
func Exists(dir string) bool {
	there, err := exists(filepath.Join(dir, dbFile))
	return err == nil && there
}

// makePrivate makes dir if need be and keeps others out of it.
func makePrivate(dir string) error {
	if err := makeFolder(dir); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the data folder %s can't be made", dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the data folder %s can't be read", dir)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fault.Wrap(fault.Unavailable, err,
			"the data folder %s is open to other users (mode %04o) and can't be closed to them: make it 0700 and this user's own", dir, info.Mode().Perm())
	}
	return nil
}

func makeFolder(dir string) error {
	there, err := exists(dir)
	if err != nil || there {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	err = disk.SyncFolder(filepath.Dir(dir))
	if errors.Is(err, fs.ErrPermission) {
		return nil // a parent that we may write to, not read; its owner's to look after
	}
	return err
}

// lockFolder takes the folder for this process. The lock is the kernel's and
// ends with the process, however that ends; the file's text only names the
// owner for people.
func lockFolder(dir string, wait time.Duration) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the data folder %s can't be locked", dir)
	}
	for deadline := time.Now().Add(wait); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return named(file)
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, closeAfter(file, fault.Wrap(fault.Unavailable, err, "the data folder %s can't be locked", dir))
		case time.Now().After(deadline):
			return nil, closeAfter(file, taken(dir, file))
		}
	}
}

// named writes this process into the lock file.
func named(file *os.File) (*os.File, error) {
	text := fmt.Appendf(nil, "process %d, since %s\n", os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	err := file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt(text, 0)
	}
	if err != nil {
		return nil, closeAfter(file, disk.Fault(err))
	}
	return file, nil
}

func taken(dir string, file *os.File) error {
	owner := "no name"
	if text, err := io.ReadAll(io.NewSectionReader(file, 0, 256)); err == nil && len(text) > 0 {
		owner = strings.TrimSpace(string(text))
	}
	return fault.New(fault.Unavailable,
		"another gatehouse uses DATA_DIR %s (%s): stop it, or choose another DATA_DIR", dir, owner)
}

func closeAfter(file *os.File, err error) error { return errors.Join(err, file.Close()) }

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
