package boltstore

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"gatehouse/internal/fault"
)

// retrySoon is what callers are told to wait when the disk refuses.
const retrySoon = 10 * time.Second

func errClosed() error { return fault.New(fault.Unavailable, "the store is closed") }

// noSpace reports whether the disk took nothing because it is full, or we may
// not use more of it.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// diskFault puts a failure of the disk into words.
func diskFault(err error) error {
	public := "the disk under DATA_DIR failed"
	if noSpace(err) {
		public = "the disk under DATA_DIR is full: nothing was written; make room and try again"
	}
	return &fault.Error{Kind: fault.Unavailable, Public: public, RetryAfter: retrySoon, Cause: err}
}

func damaged(path string, cause error) error {
	return fault.Wrap(fault.Unavailable, cause, "%s can't be used (%v): restore it from a backup, or move it away to start anew", path, cause)
}

// recoverDamage turns bbolt's panic over a page that makes no sense into an
// error. A page that points out of the file faults; with SetPanicOnFault that is
// a panic too.
func recoverDamage(err *error) {
	if r := recover(); r != nil {
		*err = fault.Wrap(fault.Unavailable, panicked(r), "the store's file is damaged: restore it from a backup")
	}
}

func panicked(r any) error { return fmt.Errorf("panic: %v", r) }
