package journal

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A block's bytes: the version, the kind of block, then
//
//	entries: the number of rows and two sections, each the length of its
//	         compressed bytes and these (zstd). A section is a row of columns,
//	         each its number, its length and its bytes (column.go). Columns
//	         that are not known are passed over, columns that are not there
//	         are empty.
//	floor:   8 bytes, a time: entries up to it were cleared.
//
// The store sees to checksums.
const (
	version      = 1
	blockEntries = 0
	blockFloor   = 1

	maxSection = 16 << 20 // bytes of a section, unpacked
)

// codec packs and unpacks blocks; it is safe for concurrent use.
type codec struct {
	pack   *zstd.Encoder
	unpack *zstd.Decoder
}

func newCodec() (*codec, error) {
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxSection))
	if err != nil {
		return nil, err
	}
	return &codec{pack: pack, unpack: unpack}, nil
}

// block is a block by its columns. A block that was only opened has those of the
// first section.
type block struct {
	rows    int
	nanos   numbers
	node    numbers
	text    [columnCount]*texts // by columnID
	number  [columnCount]numbers
	detail  []byte // the second section, still packed
	details bool   // unpacked
}

// encode packs entries, sorted by position, and answers them by column too.
func (c *codec) encode(entries []*Entry, at []position) ([]byte, *block) {
	b := newBlock(entries, at)
	out := []byte{version, blockEntries}
	out = binary.AppendUvarint(out, uint64(b.rows))
	for _, first := range [...]bool{true, false} {
		packed := c.pack.EncodeAll(b.section(first), nil)
		out = binary.AppendUvarint(out, uint64(len(packed)))
		out = append(out, packed...)
	}
	return out, b
}

func newBlock(entries []*Entry, at []position) *block {
	b := &block{rows: len(entries), details: true}
	b.nanos, b.node = make(numbers, b.rows), make(numbers, b.rows)
	for i, p := range at {
		b.nanos[i], b.node[i] = p.nanos, int64(p.node)
	}
	for _, c := range textColumns {
		b.text[c.id] = textsOf(entries, c.get)
	}
	for _, c := range numberColumns {
		b.number[c.id] = numbersOf(entries, c.get)
	}
	return b
}

// section is the first or second section, not packed yet.
func (b *block) section(first bool) []byte {
	var out []byte
	if first {
		out = appendColumn(out, colNanos, b.nanos.deltas().append(nil))
		out = appendColumn(out, colNode, b.node.deltas().append(nil))
	}
	for _, c := range textColumns {
		if t := b.text[c.id]; t != nil && c.id.first() == first {
			out = appendColumn(out, c.id, t.append(nil, b.rows))
		}
	}
	for _, c := range numberColumns {
		if n := b.number[c.id]; n != nil && c.id.first() == first {
			out = appendColumn(out, c.id, n.append(nil))
		}
	}
	return out
}

func (id columnID) first() bool { return id < colTrace }

func appendColumn(out []byte, id columnID, content []byte) []byte {
	out = append(out, byte(id))
	out = binary.AppendUvarint(out, uint64(len(content)))
	return append(out, content...)
}

// open reads a block of entries as far as its first section; whatever the bytes
// are, it neither panics nor takes memory without bound.
func (c *codec) open(data []byte) (*block, error) {
	if len(data) < 2 || data[0] != version || data[1] != blockEntries {
		return nil, errBlock
	}
	r := reader{b: data[2:]}
	b := &block{rows: int(min(r.uvarint(), maxRows+1))}
	first := r.bytes(r.uvarint())
	b.detail = r.bytes(r.uvarint())
	if r.bad || b.rows == 0 || b.rows > maxRows {
		return nil, errBlock
	}
	if err := c.read(b, first); err != nil {
		return nil, err
	}
	return b, b.checkPositions()
}

// openDetails unpacks the second section.
func (c *codec) openDetails(b *block) error {
	if b.details {
		return nil
	}
	b.details = true
	return c.read(b, b.detail)
}

func (c *codec) read(b *block, packed []byte) error {
	raw, err := c.unpack.DecodeAll(packed, nil)
	if err != nil || len(raw) > maxSection {
		return errBlock
	}
	text := string(raw)
	r := reader{b: raw}
	for len(r.b) > 0 {
		id := columnID(r.b[0])
		r.b = r.b[1:]
		content := r.bytes(r.uvarint())
		if r.bad {
			return errBlock
		}
		end := len(raw) - len(r.b)
		if err := b.readColumn(id, content, text[end-len(content):end]); err != nil {
			return err
		}
	}
	return nil
}

func (b *block) readColumn(id columnID, content []byte, text string) (err error) {
	switch {
	case id == colNanos:
		b.nanos, err = readNumbers(content, b.rows)
		b.nanos.sums()
	case id == colNode:
		b.node, err = readNumbers(content, b.rows)
		b.node.sums()
	case id >= columnCount:
	case columnForms[id] == formNumber:
		b.number[id], err = readNumbers(content, b.rows)
	case columnForms[id] == formText:
		b.text[id], err = readTexts(content, text, b.rows)
	}
	return err
}

func (b *block) checkPositions() error {
	if b.nanos == nil || b.node == nil || !slices.IsSorted(b.nanos) || b.nanos[0] < 0 {
		return errBlock
	}
	return nil
}

func (b *block) position(row int) position {
	return position{nanos: b.nanos[row], node: uint16(b.node[row])}
}

// entry is one row as an Entry; the details must be open.
func (b *block) entry(row int) *Entry {
	at := b.position(row)
	e := &Entry{ID: at.String(), Time: at.time()}
	for _, c := range textColumns {
		if t := b.text[c.id]; t != nil {
			if s := t.at(row); s != "" {
				c.set(e, s)
			}
		}
	}
	for _, c := range numberColumns {
		if n := b.number[c.id]; n != nil {
			c.set(e, n[row])
		}
	}
	return e
}

// floorBlock tells that entries up to t were cleared.
func floorBlock(t time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte{version, blockFloor}, uint64(t.UnixNano()))
}

// floorOf is the time in a floor block; ok is false for other blocks.
func floorOf(data []byte) (nanos int64, ok bool) {
	if len(data) != 10 || data[0] != version || data[1] != blockFloor {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(data[2:])), true
}
