package boltstore

import (
	"fmt"

	"gatehouse/internal/fault"
)

func errClosed() error { return fault.New(fault.Unavailable, "the store is closed") }

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
