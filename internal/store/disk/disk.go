// Package disk is what the parts of the embedded store that write files share:
// how a failure of the disk is put into words, and how a new name is made safe.
package disk

import (
	"errors"
	"os"
	"syscall"
	"time"

	"gatehouse/internal/fault"
)

// RetryAfter is what callers are told to wait when the disk refuses.
const RetryAfter = 10 * time.Second

// Full reports whether err says that the disk is full, or that we may not use
// more of it.
func Full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// Fault is a failure of the disk in words, of kind Unavailable.
func Fault(err error) error {
	public := "the disk under DATA_DIR failed"
	if Full(err) {
		public = "the disk under DATA_DIR is full: nothing was written; make room and try again"
	}
	return &fault.Error{Kind: fault.Unavailable, Public: public, RetryAfter: RetryAfter, Cause: err}
}

// SyncFolder makes the names of new, renamed and removed files in dir survive a
// power loss.
func SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
