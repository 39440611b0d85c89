package blocklog

import (
	"context"
	"errors"
	"os"
	"slices"

	"gatehouse/internal/store"
	"gatehouse/internal/store/disk"
)

// overlapping is the segments that may hold blocks in [from, to].
func (j *journal) overlapping(from, to int64) ([]*segment, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, errClosed()
	}
	var found []*segment
	for _, s := range j.segments {
		if s.blocks > 0 && s.first <= to && s.last >= from {
			found = append(found, s)
		}
	}
	return found, nil
}

// rangeOver calls fn for the blocks in [from, to].
func (j *journal) rangeOver(ctx context.Context, from, to int64, reverse bool, fn func(store.Block) bool) error {
	segments, err := j.overlapping(from, to)
	if err != nil {
		return err
	}
	if reverse {
		slices.Reverse(segments)
	}
	for _, s := range segments {
		more, err := j.walk(ctx, s, from, to, reverse, fn)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// walk calls fn for the blocks of one segment. The file stays readable while it
// is open here, even when it is dropped.
func (j *journal) walk(ctx context.Context, s *segment, from, to int64, reverse bool, fn func(store.Block) bool) (more bool, err error) {
	entries, err := s.index()
	if err == nil {
		entries = between(entries, from, to, reverse)
	}
	file, openErr := os.Open(s.path)
	if gone(err) || gone(openErr) {
		return true, nil
	}
	if err := errors.Join(err, openErr); err != nil {
		return false, disk.Fault(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		b, err := s.read(file, j.name, e)
		if errors.Is(err, errDamaged) {
			j.noteDamage(s.id(e))
			continue
		}
		if err != nil {
			return false, disk.Fault(err)
		}
		if !fn(b) {
			return false, nil
		}
	}
	return true, nil
}

// between is the entries that overlap [from, to], in a slice of its own.
func between(entries []entry, from, to int64, reverse bool) []entry {
	var found []entry
	for _, e := range entries {
		if e.first <= to && e.last >= from {
			found = append(found, e)
		}
	}
	if reverse {
		slices.Reverse(found)
	}
	return found
}

func (j *journal) noteDamage(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.damaged[id] = true
}
