package boltstore

import (
	"encoding/binary"
	"errors"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// A record is what stands at a key: version and expiry (Unix milliseconds, 0
// never), 8 bytes each, then the value. Slices are bbolt's and live as long as
// the transaction.
type record struct {
	version uint64
	expires int64
	value   []byte
}

const recordHead = 16

func (r record) encode() []byte {
	b := make([]byte, 0, recordHead+len(r.value))
	b = binary.BigEndian.AppendUint64(b, r.version)
	b = binary.BigEndian.AppendUint64(b, uint64(r.expires))
	return append(b, r.value...)
}

func decodeRecord(b []byte) (record, error) {
	if len(b) < recordHead {
		return record{}, fault.Wrap(fault.Unavailable, errors.New("a record is too short"), "the store's file is damaged: restore it from a backup")
	}
	return record{
		version: binary.BigEndian.Uint64(b),
		expires: int64(binary.BigEndian.Uint64(b[8:])),
		value:   b[recordHead:],
	}, nil
}

// expired reports whether r is absent at the time now.
func (r record) expired(now time.Time) bool {
	return r.expires != 0 && now.UnixMilli() >= r.expires
}

// versionAt is the version that callers see at the time now: 0 when nothing is there.
func (r record) versionAt(now time.Time) int64 {
	if r.expired(now) {
		return 0
	}
	return int64(r.version)
}

// item is r as callers see it, with bytes of its own.
func (r record) item(key []byte) store.Item {
	item := store.Item{Key: string(key), Value: append([]byte{}, r.value...), Version: int64(r.version)}
	if r.expires != 0 {
		item.Expires = time.UnixMilli(r.expires).UTC()
	}
	return item
}

// expiryKey orders keys by the time at which they expire.
func expiryKey(expires int64, key []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(key)), uint64(expires))
	return append(b, key...)
}

func splitExpiry(b []byte) (expires int64, key []byte) {
	return int64(binary.BigEndian.Uint64(b)), b[8:]
}
