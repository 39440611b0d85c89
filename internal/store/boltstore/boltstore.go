// Package boltstore is the embedded backend of store: one bbolt file for the
// keys and a folder of segment files for the logs (package blocklog), all under
// one folder that a single process owns.
//
// Every change goes through one goroutine, the writer, which gathers what waits
// into one transaction and one fsync. Reads go straight to bbolt's snapshots and
// wait for nobody. Expired keys are hidden from reads at once and removed by the
// writer. docs/decisions/0001-embedded-store.md says why bbolt, with numbers.
package boltstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore/blocklog"
	"gatehouse/internal/store/feed"
)

// Options are what may be chosen about an embedded store. The zero value is good.
type Options struct {
	// LockWait is how long Open waits for another process to let go of the
	// folder; 0 means DefaultLockWait.
	LockWait time.Duration
}

// DefaultLockWait covers a predecessor that is just ending.
const DefaultLockWait = 3 * time.Second

// Store is an open embedded store. It is safe for concurrent use.
type Store struct {
	*blocklog.Logs // store.Log

	dir    string
	lock   *os.File // held as long as the store is open
	db     *database
	writer *writer
	events feed.Hub[store.Event]
	leases leases

	closing context.Context // ends when Close begins
	close   func() error
}

var _ store.Store = (*Store)(nil)

// Open opens the store in dir, which it makes if need be, and which nobody else
// may read. Unavailable: another process has it, the disk refuses, or a file is
// damaged; the sentence says which.
func Open(dir string, opts Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the data folder has no absolute path")
	}
	if err := makePrivate(dir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir, opts.lockWait())
	if err != nil {
		return nil, err
	}
	s, err := open(dir, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func (o Options) lockWait() time.Duration {
	if o.LockWait > 0 {
		return o.LockWait
	}
	return DefaultLockWait
}

func open(dir string, lock *os.File) (*Store, error) {
	db, err := openDB(dir)
	if err != nil {
		return nil, err
	}
	logs, err := blocklog.Open(filepath.Join(dir, "log"))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	closing, cancel := context.WithCancel(context.Background())
	s := &Store{Logs: logs, dir: dir, lock: lock, db: db, closing: closing}
	s.writer = newWriter(closing, db.DB, &s.events)
	s.close = sync.OnceValue(func() error {
		cancel()
		<-s.writer.ended
		s.events.Close()
		s.leases.close()
		return errors.Join(logs.Close(), s.closeDB(), lock.Close())
	})
	go s.writer.run()
	return s, nil
}

// closeDB is called when the writer has ended.
func (s *Store) closeDB() error {
	if s.writer.stuck {
		s.db.letGo()
		return fault.New(fault.Unavailable, "the database could not be closed after a failure")
	}
	return s.db.Close()
}

// Close ends the writer, the watches and the leases, flushes the logs and frees
// the folder. Calling it again answers the same.
func (s *Store) Close() error { return s.close() }

// Now is this machine's clock; with one process there is no other.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if err := s.ready(ctx); err != nil {
		return time.Time{}, err
	}
	return time.Now(), nil
}

// Describe tells the folder, the number of keys and the bytes on disk.
func (s *Store) Describe(ctx context.Context) (store.Description, error) {
	d := store.Description{Backend: "embedded", Place: s.dir}
	err := s.view(ctx, func(tx *bolt.Tx) error {
		d.Keys = int64(tx.Bucket(keysBucket).Stats().KeyN)
		d.Bytes = tx.Size() + s.Logs.Bytes()
		return nil
	})
	return d, err
}

// ready is why the store can't be used now, if so.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closing.Err() != nil {
		return errClosed()
	}
	return nil
}
