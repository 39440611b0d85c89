package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"gatehouse/internal/fault"
	"gatehouse/internal/store/disk"
)

const (
	dbFile = "gatehouse.db"

	// formatVersion is the layout of the buckets and records below. An older
	// program refuses a newer file.
	formatVersion = 1
)

var (
	metaBucket   = []byte("meta")   // "format": formatVersion
	keysBucket   = []byte("keys")   // key: record; its sequence is the source of versions
	expiryBucket = []byte("expiry") // 8 bytes of Unix milliseconds and the key: nothing
	formatKey    = []byte("format")
)

// database is a bbolt database and its file, which is bbolt's to use.
type database struct {
	*bolt.DB
	file *os.File
}

// openDB opens the database in dir, making it first if it is not there. The new
// file gets its name when it is whole, so that a crash leaves none or a good one.
func openDB(dir string) (*database, error) {
	path := filepath.Join(dir, dbFile)
	there, err := exists(path)
	if err != nil {
		return nil, disk.Fault(err)
	}
	if !there {
		if err := createDB(path); err != nil {
			return nil, disk.Fault(err)
		}
	}
	db, err := openBolt(path)
	if err != nil {
		return nil, damaged(path, err)
	}
	if err := checkDB(db, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func createDB(path string) error {
	part := path + ".new"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	db, err := openBolt(part)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(layOut), db.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return disk.SyncFolder(filepath.Dir(path))
}

func layOut(tx *bolt.Tx) error {
	for _, name := range [][]byte{metaBucket, keysBucket, expiryBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return tx.Bucket(metaBucket).Put(formatKey, binary.BigEndian.AppendUint32(nil, formatVersion))
}

// openBolt opens one bbolt file. The folder's lock is held already, so that
// bbolt's own is free at once; its timeout only keeps a stray tool from
// stopping the start for ever.
func openBolt(path string) (_ *database, err error) {
	db := new(database)
	defer func() {
		if err != nil {
			db.letGo()
		}
	}()
	defer recoverDamage(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db.DB, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			var err error
			db.file, err = os.OpenFile(name, flag, mode)
			return db.file, err
		},
	})
	return db, err
}

// letGo frees the file of a database that can't be closed: when bbolt panics over
// a damaged page it leaves it locked, and mapped, so that closing alone would not
// unlock it. Of a closed file there is nothing left to free.
func (db *database) letGo() {
	if db.file != nil {
		_ = syscall.Flock(int(db.file.Fd()), syscall.LOCK_UN)
		_ = db.file.Close()
	}
}

// checkDB refuses a file that is not ours, of a later format, or cut short (a
// page beyond the end would kill the process when it is touched).
func checkDB(db *database, path string) (err error) {
	defer recoverDamage(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return db.View(func(tx *bolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return disk.Fault(err)
		}
		if info.Size() < tx.Size() {
			return damaged(path, fmt.Errorf("it has %d bytes and should have %d", info.Size(), tx.Size()))
		}
		meta := tx.Bucket(metaBucket)
		if meta == nil || tx.Bucket(keysBucket) == nil || tx.Bucket(expiryBucket) == nil {
			return damaged(path, errors.New("a bucket is missing"))
		}
		format := meta.Get(formatKey)
		if len(format) != 4 {
			return damaged(path, errors.New("the format number is missing"))
		}
		if n := binary.BigEndian.Uint32(format); n != formatVersion {
			return fault.New(fault.Unavailable, "%s has format %d and this gatehouse knows %d: use the version that wrote it, or a later one", path, n, formatVersion)
		}
		return nil
	})
}

// view runs fn on a snapshot, beside any writer.
func (s *Store) view(ctx context.Context, fn func(*bolt.Tx) error) (err error) {
	if err := s.ready(ctx); err != nil {
		return err
	}
	defer recoverDamage(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	err = s.db.View(fn)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return errClosed()
	}
	return err
}
