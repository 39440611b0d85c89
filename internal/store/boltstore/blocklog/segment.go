package blocklog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// segment is one file of a log. The newest is active: open, growing, its entries
// in memory. The others are sealed and never change; their entries are read
// when somebody asks for their time.
type segment struct {
	number uint64
	path   string

	// Guarded by the log's mutex.
	size        int64
	blocks      int64
	first, last int64 // least first and greatest last time; inverted when empty
	lastLeast   int64 // least last time, known of the active one only

	mu      sync.Mutex // guards entries, loaded; file with the log's mutex: both to change it
	entries []entry
	loaded  bool     // entries are all there; always so in the active one
	file    *os.File // of the active one, else nil

	syncing sync.Mutex // guards synced; held while the disk works
	synced  int64      // bytes known to be safe
}

const segmentName = "%010d.blocks"

func newSegment(number uint64, path string) *segment {
	first, last := span(nil)
	return &segment{number: number, path: path, first: first, last: last, lastLeast: first}
}

// create makes the file of a new active segment.
func (s *segment) create() error {
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.file, s.loaded = file, true
	return nil
}

// openSealed reads what must be known of an older segment.
func (s *segment) openSealed() (damaged int64, err error) {
	file, err := os.Open(s.path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	h, _, err := indexHead(file, info.Size())
	if errors.Is(err, errIndex) {
		found, err := scan(file, info.Size())
		s.take(found.entries, info.Size())
		return found.damaged, err
	}
	s.size, s.blocks, s.first, s.last = info.Size(), h.count(), h.first, h.last
	return 0, err
}

// openActive opens the newest segment to go on in it, cutting off the torn frame
// that a crash may have left. When it is sealed already it stays closed.
func (s *segment) openActive() (damaged int64, err error) {
	file, err := os.OpenFile(s.path, os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	found, err := cutTail(file)
	s.take(found.entries, found.end)
	if err != nil || found.sealed {
		return found.damaged, errors.Join(err, file.Close())
	}
	s.file, s.synced = file, 0
	return found.damaged, nil
}

func cutTail(file *os.File) (scanned, error) {
	info, err := file.Stat()
	if err != nil {
		return scanned{}, err
	}
	found, err := scan(file, info.Size())
	if err == nil && found.end < info.Size() {
		err = file.Truncate(found.end)
	}
	return found, err
}

func (s *segment) take(entries []entry, size int64) {
	s.entries, s.loaded = entries, true
	s.size, s.synced, s.blocks = size, size, int64(len(entries))
	s.first, s.last = span(entries)
	for _, e := range entries {
		s.lastLeast = min(s.lastLeast, e.last)
	}
}

// append writes a frame at the end, whole or not at all. The log's mutex is held.
func (s *segment) append(h head, data []byte) (entry, error) {
	if _, err := s.file.WriteAt(h.frame(data), s.size); err != nil {
		return entry{}, errors.Join(err, s.file.Truncate(s.size))
	}
	e := entry{offset: uint32(s.size), length: h.length, first: h.first, last: h.last}
	s.mu.Lock()
	s.entries = append(s.entries, e)
	s.mu.Unlock()
	s.size += h.size()
	s.blocks++
	s.first, s.last, s.lastLeast = min(s.first, h.first), max(s.last, h.last), min(s.lastLeast, h.last)
	return e, nil
}

// fits reports whether a block with head h belongs into s: all of s then ends
// within an hour. First times don't count: an entry may have begun long ago.
func (s *segment) fits(h head) bool {
	if s.blocks == 0 {
		return true
	}
	return s.size+h.size() <= segmentBytes && max(s.last, h.last)-min(s.lastLeast, h.last) <= segmentTime
}

// sync makes the bytes up to end safe. Callers who come while another is at it
// find theirs safe already, as often as not.
func (s *segment) sync(end int64) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if s.synced >= end {
		return nil
	}
	file := s.open()
	if file == nil {
		return errors.New("the segment was given up before it was safe on disk")
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	s.synced = info.Size()
	return nil
}

func (s *segment) open() *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file
}

// forget makes the active segment one whose bytes nobody needs any more.
func (s *segment) forget() error {
	s.syncing.Lock()
	s.synced = s.size
	s.syncing.Unlock()
	return s.giveUp()
}

// seal ends the active segment with its index. The log's mutex is held.
func (s *segment) seal() error {
	index := encodeIndex(s.entries, s.size)
	if _, err := s.file.WriteAt(index, s.size); err != nil {
		// It can do without: the next start scans it.
		return errors.Join(s.file.Truncate(s.size), s.sync(s.size), s.giveUp())
	}
	s.size += int64(len(index))
	return errors.Join(s.sync(s.size), s.giveUp())
}

// giveUp closes the file of the active segment. The log's mutex is held.
func (s *segment) giveUp() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Close()
}

// index is the entries of the segment; the caller may keep the slice, which
// only ever grows behind its end.
func (s *segment) index() ([]entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return s.entries, nil
	}
	file, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	entries, err := readEntries(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	s.entries, s.loaded = entries, true
	return entries, nil
}

func readEntries(file *os.File) ([]entry, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	entries, err := readIndex(file, info.Size())
	if !errors.Is(err, errIndex) {
		return entries, err
	}
	found, err := scan(file, info.Size())
	return found.entries, err
}

// errDamaged is a block whose bytes are not those that were written.
var errDamaged = errors.New("the block is damaged")

// read is the block at e.
func (s *segment) read(file *os.File, log string, e entry) (store.Block, error) {
	frame := make([]byte, headSize+int64(e.length))
	if err := readFull(file, frame, int64(e.offset)); err != nil {
		return store.Block{}, err
	}
	h, err := parseHead(frame)
	data := frame[headSize:]
	if err != nil || h.kind != kindBlock || h.length != e.length || castagnoli(data) != h.sum {
		return store.Block{}, errDamaged
	}
	return store.Block{Log: log, ID: s.id(e), First: fromNanos(h.first), Last: fromNanos(h.last), Data: data}, nil
}

func (s *segment) id(e entry) string { return fmt.Sprintf("%010d-%010d", s.number, e.offset) }

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }

// gone reports whether err says that the segment was dropped in the meantime.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
