package store

import (
	"regexp"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/internal/fault"
)

// CheckKey is Invalid unless key is one that every backend takes: 1 to MaxKey
// bytes of UTF-8 without control characters.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fault.BadField("key", "must not be empty")
	case len(key) > MaxKey:
		return fault.BadField("key", "is %d bytes long, at most %d are allowed", len(key), MaxKey)
	case !utf8.ValidString(key):
		return fault.BadField("key", "must be UTF-8")
	}
	for _, r := range key {
		if unicode.IsControl(r) {
			return fault.BadField("key", "must not contain control characters")
		}
	}
	return nil
}

// CheckRange is Invalid unless prefix and after can stand in a List.
func CheckRange(prefix, after string, limit int) error {
	switch {
	case len(prefix) > MaxKey:
		return fault.BadField("prefix", "is %d bytes long, at most %d are allowed", len(prefix), MaxKey)
	case len(after) > MaxKey:
		return fault.BadField("after", "is %d bytes long, at most %d are allowed", len(after), MaxKey)
	case limit < 0:
		return fault.BadField("limit", "must not be negative")
	}
	return nil
}

// PageLimit is the number of items that a List with this limit answers at most.
func PageLimit(limit int) int {
	if limit == 0 || limit > MaxPage {
		return MaxPage
	}
	return limit
}

// CheckWrites is Invalid unless writes can stand together in one Commit.
func CheckWrites(writes []Write) error {
	if len(writes) > MaxCommit {
		return fault.BadField("writes", "are %d, at most %d are allowed in one commit", len(writes), MaxCommit)
	}
	size := 0
	seen := make(map[string]struct{}, len(writes))
	for i := range writes {
		if err := checkWrite(&writes[i]); err != nil {
			return err
		}
		if _, twice := seen[writes[i].Key]; twice {
			return fault.BadField("writes", "the key %q stands in one commit twice", writes[i].Key)
		}
		seen[writes[i].Key] = struct{}{}
		size += len(writes[i].Key) + len(writes[i].Value)
	}
	if size > MaxCommitBytes {
		return fault.BadField("writes", "are %d bytes in all, at most %d are allowed in one commit", size, MaxCommitBytes)
	}
	return nil
}

func checkWrite(w *Write) error {
	if err := CheckKey(w.Key); err != nil {
		return err
	}
	switch {
	case len(w.Value) > MaxValue:
		return fault.BadField("value", "of %q is %d bytes long, at most %d are allowed", w.Key, len(w.Value), MaxValue)
	case w.If < AnyVersion:
		return fault.BadField("version", "of %q must be -1 (any), 0 (must not exist) or one that was read", w.Key)
	case w.TTL < 0:
		return fault.BadField("ttl", "of %q must not be negative", w.Key)
	}
	return nil
}

// Expiry is when a write made now expires, in whole milliseconds rounded up as
// all backends keep it; zero without a TTL.
func (w Write) Expiry(now time.Time) time.Time {
	if w.TTL == 0 {
		return time.Time{}
	}
	at := now.Add(w.TTL).UTC()
	if whole := at.Truncate(time.Millisecond); whole.Before(at) {
		return whole.Add(time.Millisecond)
	}
	return at
}

var logName = regexp.MustCompile(`^[a-z]{1,16}$`)

// CheckLog is Invalid unless name can be the name of a log: [a-z]{1,16}.
func CheckLog(name string) error {
	if !logName.MatchString(name) {
		return fault.BadField("log", "%q must be 1 to 16 letters a to z", name)
	}
	return nil
}

// CheckBlock is Invalid unless b can be appended.
func CheckBlock(b Block) error {
	if err := CheckLog(b.Log); err != nil {
		return err
	}
	switch {
	case len(b.Data) == 0:
		return fault.BadField("data", "must not be empty")
	case len(b.Data) > MaxValue:
		return fault.BadField("data", "is %d bytes long, at most %d are allowed", len(b.Data), MaxValue)
	case b.First.Year() < 1970 || b.Last.Year() > 2200:
		return fault.BadField("first", "and last must be set, to times from 1970 to 2200")
	case b.Last.Before(b.First):
		return fault.BadField("last", "must not be before first")
	}
	return nil
}

// CheckLease is Invalid unless a lock can be asked for so.
func CheckLease(name string, ttl time.Duration) error {
	if err := CheckKey(name); err != nil {
		return err
	}
	if ttl < time.Second {
		return fault.BadField("ttl", "is %s, at least 1s is needed", ttl)
	}
	return nil
}
