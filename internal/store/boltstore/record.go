package boltstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// A record is what stands at a key: version and expiry (Unix milliseconds, 0
// never), 8 bytes each, a checksum of 4, then the value. bbolt has no checksums
// of its own but for its meta pages; with this one a rotten disk is an error and
// not another value. Slices are bbolt's and live as long as the transaction.
type record struct {
	version uint64
	expires int64
	value   []byte
}

const (
	versionAt  = 0
	expiresAt  = 8
	sumAt      = 16
	recordHead = 20
)

// room is value with space in front for the head, which stamp fills in.
func room(value []byte) []byte {
	return append(make([]byte, recordHead, recordHead+len(value)), value...)
}

// stamp makes b, from room, the record at key.
func stamp(b, key []byte, version uint64, expires int64) {
	binary.BigEndian.PutUint64(b[versionAt:], version)
	binary.BigEndian.PutUint64(b[expiresAt:], uint64(expires))
	binary.BigEndian.PutUint32(b[sumAt:], checksum(b, key))
}

// checksum is over everything but itself, and the key, so that a record can't
// stand elsewhere.
func checksum(b, key []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Checksum(key, table), table, b[:sumAt])
	return crc32.Update(sum, table, b[recordHead:])
}

func decodeRecord(b, key []byte) (record, error) {
	if len(b) < recordHead || binary.BigEndian.Uint32(b[sumAt:]) != checksum(b, key) {
		return record{}, fault.Wrap(fault.Unavailable, fmt.Errorf("the record at %q has %d bytes and another checksum", key, len(b)),
			"the store's file is damaged at the key %q: restore it from a backup", key)
	}
	return record{
		version: binary.BigEndian.Uint64(b[versionAt:]),
		expires: int64(binary.BigEndian.Uint64(b[expiresAt:])),
		value:   b[recordHead:],
	}, nil
}

// expired reports whether r is absent at the time now.
func (r record) expired(now time.Time) bool {
	return r.expires != 0 && now.UnixMilli() >= r.expires
}

// shown is the version that callers see at the time now: 0 when nothing is there.
func (r record) shown(now time.Time) int64 {
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
