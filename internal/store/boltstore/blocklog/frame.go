package blocklog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"gatehouse/internal/store"
)

// A segment is a row of frames. Each is a head, with a checksum of its own so
// that its length can be trusted when the data can't, and the data:
//
//	0  "GHB" and the format's version, 1
//	4  kind: 1 a block, 2 the index that ends a sealed segment; three zero bytes
//	8  length of the data
//	12 CRC-32C of the data
//	16 times of the first and last entry, Unix nanoseconds, 8 bytes each
//	32 CRC-32C of the bytes before
//
// Numbers are big-endian.
const (
	headSize  = 36
	magic     = "GHB\x01"
	kindBlock = 1
	kindIndex = 2

	maxIndex = 64 << 20 // bytes of data in an index frame
)

var errFrame = errors.New("this is no frame")

// head is the head of a frame.
type head struct {
	kind        byte
	length      uint32
	sum         uint32
	first, last int64
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func newHead(kind byte, first, last int64, data []byte) head {
	return head{kind: kind, length: uint32(len(data)), sum: castagnoli(data), first: first, last: last}
}

// frame is h with its data, as it stands in the file.
func (h head) frame(data []byte) []byte {
	b := make([]byte, 0, headSize+len(data))
	b = append(b, magic...)
	b = append(b, h.kind, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, h.length)
	b = binary.BigEndian.AppendUint32(b, h.sum)
	b = binary.BigEndian.AppendUint64(b, uint64(h.first))
	b = binary.BigEndian.AppendUint64(b, uint64(h.last))
	b = binary.BigEndian.AppendUint32(b, castagnoli(b))
	return append(b, data...)
}

// parseHead reads a head from the beginning of b.
func parseHead(b []byte) (head, error) {
	if len(b) < headSize || !bytes.HasPrefix(b, []byte(magic)) {
		return head{}, errFrame
	}
	if castagnoli(b[:32]) != binary.BigEndian.Uint32(b[32:]) {
		return head{}, errFrame
	}
	h := head{
		kind:   b[4],
		length: binary.BigEndian.Uint32(b[8:]),
		sum:    binary.BigEndian.Uint32(b[12:]),
		first:  int64(binary.BigEndian.Uint64(b[16:])),
		last:   int64(binary.BigEndian.Uint64(b[24:])),
	}
	if h.last < h.first || h.length > h.limit() {
		return head{}, errFrame
	}
	return h, nil
}

func (h head) limit() uint32 {
	switch h.kind {
	case kindBlock:
		return store.MaxValue
	case kindIndex:
		return maxIndex
	}
	return 0
}

// size is how long the whole frame is.
func (h head) size() int64 { return headSize + int64(h.length) }

func nanos(t time.Time) int64 { return t.UnixNano() }

// bound is t in nanoseconds, cut to what blocks can have. A zero t is no bound: open.
func bound(t time.Time, open int64) int64 {
	switch {
	case t.IsZero():
		return open
	case t.Year() < 1970:
		return 0
	case t.Year() > 2200:
		return 1<<63 - 1
	}
	return t.UnixNano()
}
