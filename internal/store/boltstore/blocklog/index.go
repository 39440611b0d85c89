package blocklog

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// The index that ends a sealed segment holds its entries, so that opening the
// store and finding blocks need not walk over the file: 24 bytes for each, then
// the offset of the index frame itself, which are the file's last 8 bytes. The
// times in its head are the least and the greatest of the segment.
const (
	entrySize = 24
	tailSize  = 8
)

var errIndex = errors.New("the segment has no good index")

// span is the least and greatest time in entries; an inverted span for none.
func span(entries []entry) (first, last int64) {
	first, last = math.MaxInt64, math.MinInt64
	for _, e := range entries {
		first, last = min(first, e.first), max(last, e.last)
	}
	return first, last
}

func encodeIndex(entries []entry, at int64) []byte {
	data := make([]byte, 0, len(entries)*entrySize+tailSize)
	for _, e := range entries {
		data = binary.BigEndian.AppendUint32(data, e.offset)
		data = binary.BigEndian.AppendUint32(data, e.length)
		data = binary.BigEndian.AppendUint64(data, uint64(e.first))
		data = binary.BigEndian.AppendUint64(data, uint64(e.last))
	}
	data = binary.BigEndian.AppendUint64(data, uint64(at))
	first, last := span(entries)
	return newHead(kindIndex, first, last, data).frame(data)
}

// indexHead finds the index of a segment of size bytes. errIndex: there is none.
func indexHead(r io.ReaderAt, size int64) (h head, at int64, err error) {
	if size < headSize+tailSize {
		return head{}, 0, errIndex
	}
	var tail [tailSize]byte
	if err := readFull(r, tail[:], size-tailSize); err != nil {
		return head{}, 0, err
	}
	at = int64(binary.BigEndian.Uint64(tail[:]))
	if at < 0 || at > size-headSize-tailSize {
		return head{}, 0, errIndex
	}
	h, err = headAt(r, at, size)
	if errors.Is(err, errFrame) || h.kind != kindIndex || at+h.size() != size || h.length%entrySize != tailSize {
		return head{}, 0, errors.Join(errIndex, err)
	}
	return h, at, err
}

// readIndex reads the entries of a sealed segment. errIndex: it must be scanned.
func readIndex(r io.ReaderAt, size int64) ([]entry, error) {
	h, at, err := indexHead(r, size)
	if err != nil {
		return nil, err
	}
	data := make([]byte, h.length)
	if err := readFull(r, data, at+headSize); err != nil {
		return nil, err
	}
	if castagnoli(data) != h.sum {
		return nil, errIndex
	}
	entries := make([]entry, 0, h.count())
	for b := data[:len(data)-tailSize]; len(b) > 0; b = b[entrySize:] {
		e := entry{
			offset: binary.BigEndian.Uint32(b),
			length: binary.BigEndian.Uint32(b[4:]),
			first:  int64(binary.BigEndian.Uint64(b[8:])),
			last:   int64(binary.BigEndian.Uint64(b[16:])),
		}
		if int64(e.offset)+headSize+int64(e.length) > at {
			return nil, errIndex
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// count is how many entries an index holds.
func (h head) count() int64 { return int64(h.length-tailSize) / entrySize }
