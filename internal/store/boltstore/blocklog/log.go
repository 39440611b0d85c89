package blocklog

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/disk"
	"gatehouse/internal/store/feed"
)

// A segment covers an hour of the blocks' own time and so many bytes at most, so
// that Drop can unlink whole files and keep little more than it should.
const (
	segmentTime  = int64(time.Hour)
	segmentBytes = 64 << 20
)

// journal is one log: a folder of segments.
type journal struct {
	name      string
	dir       string
	followers feed.Hub[store.Block]

	mu       sync.Mutex // guards all below and the order of appending
	segments []*segment // by number; the last is active when it has a file
	closed   bool
	unsafe   error           // a background sync failed: the next Append tells
	damaged  map[string]bool // ids of blocks found damaged
	holes    int64           // stretches without a frame, found at open
}

// openJournal opens the log in dir. The folder is made with the first segment.
func openJournal(name, dir string) (*journal, error) {
	j := &journal{name: name, dir: dir, damaged: make(map[string]bool)}
	files, err := os.ReadDir(dir)
	if gone(err) {
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if number, ok := segmentNumber(file.Name()); ok {
			j.segments = append(j.segments, newSegment(number, filepath.Join(dir, file.Name())))
		}
	}
	slices.SortFunc(j.segments, func(a, b *segment) int { return int(int64(a.number) - int64(b.number)) })
	return j, j.openSegments()
}

func segmentNumber(name string) (number uint64, ok bool) {
	_, err := fmt.Sscanf(name, segmentName, &number)
	return number, err == nil && name == fmt.Sprintf(segmentName, number)
}

func (j *journal) openSegments() error {
	for i, s := range j.segments {
		var err error
		var holes int64
		if i < len(j.segments)-1 {
			holes, err = s.openSealed()
		} else {
			holes, err = s.openActive()
		}
		if err != nil {
			return fmt.Errorf("segment %s: %w", s.path, err)
		}
		j.holes += holes
	}
	return nil
}

// append adds b and answers its id and what to sync to make it safe.
func (j *journal) append(b store.Block) (id string, s *segment, end int64, err error) {
	h := newHead(kindBlock, nanos(b.First), nanos(b.Last), b.Data)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.usable(); err != nil {
		return "", nil, 0, err
	}
	s, err = j.active(h)
	if err != nil {
		return "", nil, 0, disk.Fault(err)
	}
	e, err := s.append(h, b.Data)
	if err != nil {
		return "", nil, 0, disk.Fault(err)
	}
	b.ID = s.id(e)
	j.tell(b)
	return b.ID, s, s.size, nil
}

// usable is why nothing can be appended now. A failed background sync is told once.
func (j *journal) usable() error {
	if j.closed {
		return errClosed()
	}
	err := j.unsafe
	j.unsafe = nil
	return err
}

// tell hands b to those who follow, with bytes of its own.
func (j *journal) tell(b store.Block) {
	if j.followers.Idle() {
		return
	}
	b.Data = slices.Clone(b.Data)
	b.First, b.Last = b.First.UTC(), b.Last.UTC()
	j.followers.Publish(b)
}

// active is the segment that takes a block with head h, a new one if need be.
func (j *journal) active(h head) (*segment, error) {
	if s := j.newest(); s != nil && s.file != nil {
		if s.fits(h) {
			return s, nil
		}
		if err := s.seal(); err != nil {
			return nil, err
		}
	}
	return j.begin()
}

func (j *journal) newest() *segment {
	if len(j.segments) == 0 {
		return nil
	}
	return j.segments[len(j.segments)-1]
}

// begin starts a new active segment.
func (j *journal) begin() (*segment, error) {
	number := uint64(1)
	if s := j.newest(); s != nil {
		number = s.number + 1
	}
	if err := j.makeDir(); err != nil {
		return nil, err
	}
	s := newSegment(number, filepath.Join(j.dir, fmt.Sprintf(segmentName, number)))
	if err := s.create(); err != nil {
		return nil, err
	}
	if err := disk.SyncFolder(j.dir); err != nil {
		return nil, errors.Join(err, s.giveUp(), os.Remove(s.path))
	}
	j.segments = append(j.segments, s)
	return s, nil
}

func (j *journal) makeDir() error {
	if len(j.segments) > 0 {
		return nil
	}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	return disk.SyncFolder(filepath.Dir(j.dir))
}

// sync makes s safe up to end. When the disk refuses, s is given up: what it
// says it holds can't be relied on, and the next block begins a new one.
func (j *journal) sync(s *segment, end int64) error {
	err := s.sync(end)
	if err == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return disk.Fault(errors.Join(err, s.giveUp()))
}

// flush makes everything safe; a failure is told to the next who appends.
func (j *journal) flush() {
	j.mu.Lock()
	s := j.newest()
	if s == nil {
		j.mu.Unlock()
		return
	}
	end := s.size
	j.mu.Unlock()
	if err := j.sync(s, end); err != nil {
		j.mu.Lock()
		j.unsafe = err
		j.mu.Unlock()
	}
}

// drop unlinks the segments that end before the time given.
func (j *journal) drop(before int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errClosed()
	}
	if s := j.newest(); s != nil && s.blocks > 0 && s.last < before {
		// Its number must live on, or ids would come again.
		if err := s.forget(); err != nil {
			return disk.Fault(err)
		}
		if _, err := j.begin(); err != nil {
			return disk.Fault(err)
		}
	}
	return j.unlink(before)
}

func (j *journal) unlink(before int64) error {
	var kept []*segment
	var errs []error
	for i, s := range j.segments {
		if i == len(j.segments)-1 || s.last >= before {
			kept = append(kept, s)
			continue
		}
		if err := os.Remove(s.path); err != nil && !gone(err) {
			errs = append(errs, err)
			kept = append(kept, s)
		}
	}
	dropped := len(j.segments) - len(kept)
	j.segments = kept
	if dropped > 0 {
		errs = append(errs, disk.SyncFolder(j.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return disk.Fault(err)
	}
	return nil
}

func (j *journal) info() (store.LogInfo, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return store.LogInfo{}, errClosed()
	}
	info := store.LogInfo{Damaged: int64(len(j.damaged)) + j.holes}
	oldest := int64(math.MaxInt64)
	for _, s := range j.segments {
		info.Blocks += s.blocks
		info.Bytes += s.size
		oldest = min(oldest, s.first)
	}
	if info.Blocks > 0 {
		info.Oldest = fromNanos(oldest)
	}
	return info, nil
}

// close makes everything safe and ends those who follow.
func (j *journal) close() error {
	j.followers.Close()
	j.mu.Lock()
	j.closed = true // nobody adds behind the flush
	j.mu.Unlock()
	j.flush()
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.unsafe
	if s := j.newest(); s != nil {
		err = errors.Join(err, s.giveUp())
	}
	return err
}
