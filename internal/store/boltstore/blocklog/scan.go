package blocklog

import (
	"bytes"
	"errors"
	"io"
	"math"
)

// entry is where a block stands in its segment.
type entry struct {
	offset, length uint32 // of the frame; of the data
	first, last    int64
}

// scanned is what a walk over a segment found.
type scanned struct {
	entries []entry
	end     int64 // where the last whole frame ends; what follows is a torn tail
	damaged int64 // stretches inside that are no frames
	sealed  bool  // the last frame is an index
}

// scan walks over the heads of size bytes of r. It passes over stretches that
// make no sense, and never fails because of them: only because r does. Data is
// not read; its checksum is looked at when the block is.
func scan(r io.ReaderAt, size int64) (scanned, error) {
	var s scanned
	size = min(size, math.MaxUint32) // more is not ours: offsets are 32 bits
	for at := int64(0); at < size; {
		h, err := headAt(r, at, size)
		if errors.Is(err, errFrame) {
			at, err = nextHead(r, at+1, size)
			if err == nil && at < size {
				s.damaged++
			}
		} else if err == nil {
			s.add(h, at)
			at += h.size()
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *scanned) add(h head, at int64) {
	s.end = at + h.size()
	s.sealed = h.kind == kindIndex
	if h.kind == kindBlock {
		s.entries = append(s.entries, entry{offset: uint32(at), length: h.length, first: h.first, last: h.last})
	}
}

// headAt is the head at an offset; errFrame when there is none, or not the whole
// frame.
func headAt(r io.ReaderAt, at, size int64) (head, error) {
	if at+headSize > size {
		return head{}, errFrame
	}
	var b [headSize]byte
	if err := readFull(r, b[:], at); err != nil {
		return head{}, err
	}
	h, err := parseHead(b[:])
	if err == nil && at+h.size() > size {
		return head{}, errFrame
	}
	return h, err
}

// nextHead is the offset of the first whole frame from at on; size when there is none.
func nextHead(r io.ReaderAt, at, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for at+headSize <= size {
		b := buf[:min(int64(len(buf)), size-at)]
		if err := readFull(r, b, at); err != nil {
			return 0, err
		}
		i := bytes.Index(b, []byte(magic))
		if i < 0 {
			at += int64(len(b)) - int64(len(magic)) + 1
			continue
		}
		at += int64(i)
		_, err := headAt(r, at, size)
		if !errors.Is(err, errFrame) {
			return at, err
		}
		at++
	}
	return size, nil
}

func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
